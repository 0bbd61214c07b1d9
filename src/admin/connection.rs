//! Connections with a limit to their number and to their silence.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Most connections at a time; the next one waits.
pub const MOST: usize = 256;

/// How long a connection may be silent both ways. Event streams say something more often.
pub const SILENCE: Duration = Duration::from_secs(60);

/// A listener that accepts so many connections at a time.
pub struct Limited {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    silence: Duration,
}

impl Limited {
    /// Limits a listener.
    pub fn new(listener: TcpListener, most: usize, silence: Duration) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(most)), silence }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let slots = Arc::clone(&self.slots);
        let slot = slots.acquire_owned().await.expect("nobody closes the semaphore");
        let (stream, addr) = Listener::accept(&mut self.listener).await;
        let connection =
            Connection { stream, silence: self.silence, timer: Box::pin(sleep(self.silence)), _slot: slot };
        (connection, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when it is silent for too long.
pub struct Connection {
    stream: TcpStream,
    silence: Duration,
    timer: Pin<Box<Sleep>>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    fn heard(&mut self) {
        let until = Instant::now() + self.silence;
        self.timer.as_mut().reset(until);
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.heard();
            return poll;
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(context, buf);
        self.watch(context, poll)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
