//! Ports of the loopback interface that servers of the tests can be told to listen on.
//!
//! A port that was free a moment ago may be taken a moment later. So it is reserved for as long as the value lives: its
//! namesake on another address of the loopback interface is held, which only tests like these ask for. The ports lie
//! below those that clients' own sockets get, or one of those could sit on the port of a server that restarts.

use std::fmt;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where reservations are held.
const GUARDED: &str = "127.0.0.73";

/// The range that ports are taken from.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that no other test has, in this process or another.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _guard: TcpListener,
}

impl Port {
    /// Takes a free port.
    pub fn reserve() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let spread = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap();
        for _ in PORTS {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = PORTS.start + spread.wrapping_add(step) % (PORTS.end - PORTS.start);
            let Ok(guard) = TcpListener::bind((GUARDED, number)) else { continue };
            if TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self { number, _guard: guard };
            }
        }
        panic!("no free port in {PORTS:?}");
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}
