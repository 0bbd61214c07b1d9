//! A topic that is written to all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use latentd::record::{Header, Record, Timestamp};
use rdkafka::producer::BaseProducer;

use crate::broker::Broker;
use crate::tools;
use crate::topics::{Partitions, flush, send};

/// The pause after each chunk of records.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes in front of the images of an idx file.
const IDX_HEADER: usize = 16;

/// Writes records to two partitions of a topic, a chunk in a row to each, until it is told to stop.
pub struct Feed {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Partitions>,
}

impl Feed {
    /// Rows of the flights topic, four thousand a second.
    pub fn flights(broker: &Broker, topic: &'static str) -> Self {
        let text = std::fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Self::start(broker, topic, lines.map(Bytes::copy_from_slice).collect(), 200)
    }

    /// Rows of Adult, four thousand a second, over and over.
    pub fn adult(broker: &Broker, topic: &'static str) -> Self {
        let text = std::fs::read(tools::data("adult.jsonl").unwrap()).unwrap();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Self::start(broker, topic, lines.map(Bytes::copy_from_slice).collect(), 200)
    }

    /// Images of 28 times 28, a thousand a second.
    pub fn images(broker: &Broker, topic: &'static str) -> Self {
        let file = std::fs::read(tools::data("train-images-idx3-ubyte").unwrap()).unwrap();
        let images = file[IDX_HEADER..].chunks_exact(28 * 28);
        Self::start(broker, topic, images.map(Bytes::copy_from_slice).collect(), 50)
    }

    /// Such values, over and over, so many every 50 ms.
    pub fn start(broker: &Broker, topic: &'static str, values: Vec<Bytes>, chunk: usize) -> Self {
        Self::of(broker, topic, chunk, move |number| Record {
            key: Some(Bytes::from(number.to_string())),
            value: Some(values[number % values.len()].clone()),
            headers: vec![Header { name: "n".to_owned(), value: Some(Bytes::from(number.to_string())) }],
            timestamp: Timestamp::create(1_700_000_000_000 + number as i64),
            offset: 0,
        })
    }

    /// The records of such numbers, so many every 50 ms.
    pub fn of(
        broker: &Broker,
        topic: &'static str,
        chunk: usize,
        record: impl Fn(usize) -> Record + Send + 'static,
    ) -> Self {
        let producer: BaseProducer =
            broker.client().set("enable.idempotence", "true").set("linger.ms", "5").create().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let wish = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut sent = Partitions::from([(0, Vec::new()), (1, Vec::new())]);
            let mut next = 0;
            while !wish.load(Ordering::Relaxed) {
                let partition = (next / chunk % 2) as i32;
                for _ in 0..chunk {
                    let record = record(next);
                    send(&producer, topic, partition, &record);
                    sent.get_mut(&partition).unwrap().push(record);
                    next += 1;
                }
                producer.poll(Duration::ZERO);
                std::thread::sleep(PAUSE);
            }
            flush(&producer);
            sent
        });
        Self { stop, thread }
    }

    /// Stops, and gives back what was sent.
    pub fn stop(self) -> Partitions {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
