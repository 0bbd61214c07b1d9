//! Faults, one after the other from a seed, while records flow: nothing lost, nothing doubled, order kept.
//!
//! Two chains of a compressing and a restoring pipeline, one per layout, copy a topic that is written all the time. A
//! reader of its own follows both ends under `read_committed` and knows which record must come next. After each fault
//! the time is printed until records written after it have come through both chains on every partition.
//!
//! `LATENTD_CHAOS_ROUNDS` (8: each kind once) and `LATENTD_CHAOS_SEED` (1) choose how many faults and which;
//! `make chaos` runs sixty.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use latentd::record::{Header, Record, Timestamp};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::producer::{BaseProducer, Producer};

use crate::broker::Broker;
use crate::daemon::Daemon;
use crate::tools;
use crate::topics::{Follower, send};

const PARTITIONS: i32 = 4;
const CHAINS: [&str; 2] = ["block", "record"];
const SOURCE: &str = "chaos";

/// How long a fault may be felt. A transaction that a frozen or killed process left open under an id that nobody takes
/// over is ended by the coordinator after 30 s, and readers wait for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sessions as short as a busy machine allows, so that a member that is gone is noticed soon.
const SESSION: &str = "\"session.timeout.ms\" = \"3000\"\n\"heartbeat.interval.ms\" = \"500\"\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    DaemonKilled,
    DaemonRestarted,
    DaemonFrozen,
    SecondComesAndGoes,
    SecondTakesOver,
    BrokerKilled,
    BrokerRestarted,
    BrokerFrozen,
}

const FAULTS: [Fault; 8] = [
    Fault::DaemonKilled,
    Fault::DaemonRestarted,
    Fault::DaemonFrozen,
    Fault::SecondComesAndGoes,
    Fault::SecondTakesOver,
    Fault::BrokerKilled,
    Fault::BrokerRestarted,
    Fault::BrokerFrozen,
];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, no number")))
}

/// The record of a partition with this number.
fn record(partition: i32, number: i64, line: &Bytes) -> Record {
    let text =
        format!("{{\"partition\":{partition},\"number\":{number},\"flight\":{}}}", String::from_utf8_lossy(line));
    Record {
        key: Some(Bytes::from(number.to_string())),
        value: Some(Bytes::from(text)),
        headers: vec![Header { name: "n".to_owned(), value: Some(Bytes::from(number.to_string())) }],
        timestamp: Timestamp::create(1_700_000_000_000 + number),
        offset: 0,
    }
}

/// The lines that records are made of.
fn lines() -> Arc<Vec<Bytes>> {
    let text = std::fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Arc::new(lines.take(10_000).map(Bytes::copy_from_slice).collect())
}

fn line(lines: &[Bytes], partition: i32, number: i64) -> &Bytes {
    &lines[(usize::try_from(number).unwrap() * 4 + partition as usize) % lines.len()]
}

/// One number per partition, shared by threads.
type Numbers = [AtomicI64; PARTITIONS as usize];

/// Writes the source topic without a pause.
struct Feed {
    sent: Arc<Numbers>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Feed {
    fn start(broker: &Broker, lines: &Arc<Vec<Bytes>>) -> Self {
        let producer: BaseProducer = broker
            .client()
            .set("enable.idempotence", "true")
            // A broker that is gone is waited for.
            .set("message.timeout.ms", "0")
            .set("linger.ms", "5")
            .create()
            .unwrap();
        let sent: Arc<Numbers> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (counts, wish, lines) = (Arc::clone(&sent), Arc::clone(&stop), Arc::clone(lines));
        let thread = std::thread::spawn(move || {
            while !wish.load(Ordering::Relaxed) {
                for partition in 0..PARTITIONS {
                    let number = counts[partition as usize].load(Ordering::Relaxed);
                    send(&producer, SOURCE, partition, &record(partition, number, line(&lines, partition, number)));
                    counts[partition as usize].store(number + 1, Ordering::Release);
                }
                producer.poll(Duration::from_millis(4));
            }
            let deadline = Instant::now() + PATIENCE;
            while producer.in_flight_count() > 0 {
                producer.poll(Duration::from_millis(10));
                assert!(Instant::now() < deadline, "the source topic takes no more records");
            }
        });
        Self { sent, stop, thread }
    }

    /// Numbers that are sent by now, per partition.
    fn sent(&self) -> Vec<i64> {
        self.sent.iter().map(|sent| sent.load(Ordering::Acquire)).collect()
    }

    /// Ends; everything sent is acknowledged.
    fn stop(self) -> Vec<i64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.sent.iter().map(|sent| sent.load(Ordering::Acquire)).collect()
    }
}

/// Follows the ends of both chains and notes whatever is not the one record that must come next.
struct Check {
    next: Arc<[Numbers; CHAINS.len()]>,
    wrong: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Check {
    fn start(broker: &Broker, lines: &Arc<Vec<Bytes>>) -> Self {
        let next: Arc<[Numbers; CHAINS.len()]> = Arc::default();
        let wrong: Arc<Mutex<Vec<String>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let topics: Vec<String> = CHAINS.iter().map(|chain| end_of(chain)).collect();
        let follower = Follower::open(broker, &topics, PARTITIONS);
        let (numbers, complaints, wish, lines) =
            (Arc::clone(&next), Arc::clone(&wrong), Arc::clone(&stop), Arc::clone(lines));
        let thread = std::thread::spawn(move || {
            while !wish.load(Ordering::Relaxed) {
                let Some((topic, partition, found)) = follower.poll(Duration::from_millis(50)) else { continue };
                let chain = topics.iter().position(|name| *name == topic).unwrap();
                let next = &numbers[chain][partition as usize];
                let expected = next.load(Ordering::Relaxed);
                let number: i64 = std::str::from_utf8(found.key.as_deref().unwrap()).unwrap().parse().unwrap();
                let complain = |text: String| complaints.lock().unwrap().push(format!("{topic}/{partition}: {text}"));
                if number != expected {
                    let what = if number < expected { "doubled or out of order" } else { "records are missing" };
                    complain(format!("{what}: {number} in place of {expected}, at offset {}", found.offset));
                }
                let original = record(partition, number, line(&lines, partition, number));
                if (&original.value, &original.headers, original.timestamp.millis)
                    != (&found.value, &found.headers, found.timestamp.millis)
                {
                    complain(format!("{number} is not what was sent: {found:?}"));
                }
                next.store(number + 1, Ordering::Release);
            }
        });
        Self { next, wrong, stop, thread }
    }

    /// Waits until both chains have delivered everything before these numbers.
    fn reach(&self, marks: &[i64], patience: Duration, what: &str) {
        let deadline = Instant::now() + patience;
        loop {
            let wrong = self.wrong.lock().unwrap();
            assert!(wrong.is_empty(), "{what}: {wrong:#?}");
            drop(wrong);
            let reached = |numbers: &Numbers| {
                numbers.iter().zip(marks).all(|(number, mark)| number.load(Ordering::Acquire) >= *mark)
            };
            if self.next.iter().all(reached) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not recovered after {patience:?}: {:?} of {marks:?}",
                self.next
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

fn end_of(chain: &str) -> String {
    format!("{SOURCE}.{chain}.back")
}

/// The pipelines of every instance.
fn pipelines(random: &mut ChaCha8Rng) -> String {
    let mut tables = String::new();
    for layout in CHAINS {
        let mut more = || {
            let interval = [50, 100, 300, 500][random.random_range(0..4)];
            let workers = random.random_range(1..3);
            let overlap = random.random_bool(0.75);
            format!("workers = {workers}\ncommit_interval = \"{interval}ms\"\noverlap_commits = {overlap}\n")
        };
        let (there, back) = (more(), more());
        write!(
            tables,
            "[pipelines.{layout}]\nfrom = \"{SOURCE}\"\nto = \"{SOURCE}.{layout}\"\nlayout = \"{layout}\"\n{there}\
             [pipelines.{layout}-back]\nfrom = \"{SOURCE}.{layout}\"\nto = \"{SOURCE}.{layout}.back\"\n\
             operation = \"restore\"\n{back}"
        )
        .unwrap();
    }
    tables
}

/// Whether a consumer group has this many members.
fn members(broker: &Broker, pipeline: &str) -> Option<usize> {
    broker.group_members(&format!("test.{pipeline}"))
}

struct Stage {
    broker: Broker,
    daemon: Daemon,
    tables: String,
    feed: Feed,
    check: Check,
}

impl Stage {
    /// Waits until records that are sent from now on have come through.
    fn through(&self, what: &str) {
        self.check.reach(&self.feed.sent().iter().map(|sent| sent + 1).collect::<Vec<_>>(), PATIENCE, what);
    }

    fn second(&self) -> Daemon {
        Daemon::with_kafka(&self.broker, "second", SESSION, &self.tables)
    }

    /// Waits until the groups have thrown a frozen daemon's members out.
    fn thrown_out(&self) {
        for chain in CHAINS {
            for pipeline in [chain.to_owned(), format!("{chain}-back")] {
                self.broker.until(|| (members(&self.broker, &pipeline) == Some(0)).then_some(()));
            }
        }
    }

    /// Waits until a daemon reads some partition of every pipeline.
    fn takes_part(daemon: &Daemon) {
        daemon.until("it has partitions of every pipeline", PATIENCE, || {
            let (_, pipelines) = daemon.json("/api/v1/pipelines")?;
            let pipelines = pipelines.as_array()?;
            let busy = |pipeline: &serde_json::Value| {
                pipeline["workers"].as_array().is_some_and(|workers| {
                    workers.iter().any(|worker| worker["partitions"].as_array().is_some_and(|p| !p.is_empty()))
                })
            };
            (pipelines.len() == 2 * CHAINS.len() && pipelines.iter().all(busy)).then_some(())
        });
    }

    /// Does it, and waits for the recovery; what was printed about it.
    fn suffer(&mut self, fault: Fault, random: &mut ChaCha8Rng) -> String {
        let started = Instant::now();
        let mut note = String::new();
        match fault {
            Fault::DaemonKilled => {
                self.daemon.kill();
                self.daemon.restart();
            }
            Fault::DaemonRestarted => {
                self.daemon.stop();
                self.daemon.restart();
            }
            Fault::DaemonFrozen => {
                self.daemon.signal("STOP");
                self.thrown_out();
                self.daemon.signal("CONT");
            }
            Fault::SecondComesAndGoes => {
                let second = self.second();
                Stage::takes_part(&second);
                self.through("a second instance has come");
                write!(note, " (with two instances after {:.1} s)", started.elapsed().as_secs_f64()).unwrap();
                if random.random_bool(0.5) {
                    second.stop();
                } else {
                    second.kill();
                    note.push_str(", the second killed");
                }
            }
            Fault::SecondTakesOver => {
                self.daemon.signal("STOP");
                let second = self.second();
                self.through("a second instance takes over from a frozen one");
                write!(note, " (taken over after {:.1} s)", started.elapsed().as_secs_f64()).unwrap();
                self.daemon.signal("CONT");
                Stage::takes_part(&self.daemon);
                self.through("the frozen instance is back");
                second.stop();
            }
            Fault::BrokerKilled => {
                self.broker.kill();
                self.broker.restart();
            }
            Fault::BrokerRestarted => {
                self.broker.stop();
                self.broker.restart();
            }
            Fault::BrokerFrozen => {
                self.broker.freeze();
                // The length of the freeze is the fault.
                std::thread::sleep(Duration::from_millis(random.random_range(1_000..8_000)));
                self.broker.thaw();
            }
        }
        let lasted = started.elapsed();
        let ended = Instant::now();
        self.through(&format!("{fault:?}"));
        format!(
            "{fault:?}: lasted {:.1} s{note}, recovered {:.1} s later",
            lasted.as_secs_f64(),
            ended.elapsed().as_secs_f64()
        )
    }
}

#[test]
fn chaos_loses_nothing_doubles_nothing_and_keeps_the_order() {
    let rounds = usize::try_from(setting("LATENTD_CHAOS_ROUNDS", 8)).unwrap();
    let seed = setting("LATENTD_CHAOS_SEED", 1);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    println!("chaos: {rounds} faults from seed {seed} (LATENTD_CHAOS_ROUNDS, LATENTD_CHAOS_SEED)");
    let broker = Broker::start(&[
        ("group.min.session.timeout.ms", "1000"),
        // Transactions over their time are looked for once a second in place of every ten.
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000"),
    ]);
    broker.create(SOURCE, PARTITIONS, &[]);
    for chain in CHAINS {
        broker.create(&format!("{SOURCE}.{chain}"), PARTITIONS, &[]);
        broker.create(&end_of(chain), PARTITIONS, &[]);
    }
    let tables = pipelines(&mut random);
    let lines = lines();
    let feed = Feed::start(&broker, &lines);
    let check = Check::start(&broker, &lines);
    let daemon = Daemon::with_kafka(&broker, "first", SESSION, &tables);
    let mut stage = Stage { broker, daemon, tables, feed, check };
    stage.through("the start");
    let mut faults: Vec<Fault> = Vec::new();
    for round in 0..rounds {
        if faults.is_empty() {
            // Each kind before any kind again, in an order of the seed's.
            faults = FAULTS.to_vec();
            faults.shuffle(&mut random);
        }
        let fault = faults.pop().expect("it was just filled");
        let report = stage.suffer(fault, &mut random);
        println!("chaos: {:>2}/{rounds} {report}", round + 1);
    }
    let sent = stage.feed.stop();
    stage.check.reach(&sent, PATIENCE, "the end");
    stage.daemon.stop();
    stage.check.stop();
    // Once more from the beginning: what came after a record that was the last for the reader would show here.
    let total = usize::try_from(sent.iter().sum::<i64>()).unwrap();
    for topic in CHAINS.map(end_of) {
        let found = stage.broker.consume(&topic, total, PATIENCE);
        for (partition, records) in &found {
            let numbers: Vec<i64> = records
                .iter()
                .map(|record| std::str::from_utf8(record.key.as_deref().unwrap()).unwrap().parse().unwrap())
                .collect();
            assert!(numbers.iter().copied().eq(0..sent[*partition as usize]), "{topic}/{partition} is not exact");
        }
    }
    println!("chaos: {total} records through two chains after {rounds} faults: 0 lost, 0 doubled, order kept");
}
