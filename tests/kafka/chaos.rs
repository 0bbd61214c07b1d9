//! Faults, one after the other from a seed, while records flow: nothing lost, nothing doubled, order kept.
//!
//! The broker is three nodes, each of which holds every partition: what Kafka's exactly-once asks for. A partition without a leader,
//! which is what a single broker's restart makes of all, has transaction markers skipped by Apache Kafka 4.3.1 (ARCHITECTURE.md).
//! Before a fault hits a node, all replicas have caught up, as who restarts brokers one by one waits for it too.
//!
//! Two chains of a compressing and a restoring pipeline, one per layout, copy a topic that is written all the time. A
//! reader of its own follows both ends under `read_committed` and knows which record must come next. After each fault
//! the time is printed until records written after it have come through both chains on every partition.
//!
//! `LATENTD_CHAOS_ROUNDS` (8: each kind once) and `LATENTD_CHAOS_SEED` (1) choose how many faults and which, and
//! `LATENTD_CHAOS_ONLY` restricts them to the kinds that it names; `make chaos` runs sixty.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use latentd::record::{Header, Record, Timestamp};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::producer::{BaseProducer, Producer};

use crate::broker::Broker;
use crate::daemon::Daemon;
use crate::tools;
use crate::topics::{Follower, assert_same, send};

const PARTITIONS: i32 = 4;
const CHAINS: [&str; 2] = ["block", "record"];
const SOURCE: &str = "chaos";

/// How long a fault may be felt. A transaction that a frozen or killed process left open under an id that nobody takes
/// over is ended by the coordinator after 30 s, and readers wait for it.
const PATIENCE: Duration = Duration::from_secs(240);

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

/// Since when records are made.
static BEGINNING: LazyLock<i64> =
    LazyLock::new(|| i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap());

/// The record of a partition with this number. Those of odd partitions are years old: of such records a broker forgets
/// the producers' sequence numbers when it restarts.
fn record(partition: i32, number: i64, line: &Bytes) -> Record {
    let begin = if partition % 2 == 0 { *BEGINNING } else { 1_500_000_000_000 };
    let text =
        format!("{{\"partition\":{partition},\"number\":{number},\"flight\":{}}}", String::from_utf8_lossy(line));
    Record {
        key: Some(Bytes::from(number.to_string())),
        value: Some(Bytes::from(text)),
        headers: vec![Header { name: "n".to_owned(), value: Some(Bytes::from(number.to_string())) }],
        timestamp: Timestamp::create(begin + number),
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

/// Something that must not be.
#[derive(Clone, Debug)]
struct Wrong {
    partition: i32,
    number: i64,
    text: String,
}

impl Wrong {
    /// At which offsets of which topics the record lies: where it was doubled or lost; and whose batches it lies in.
    fn explained(&self, broker: &Broker) -> String {
        let mut text = self.text.clone();
        let record_layout = [SOURCE.to_owned(), format!("{SOURCE}.record")];
        for topic in record_layout.into_iter().chain(CHAINS.map(end_of)) {
            let records = broker.consume(&topic, 0, PATIENCE).remove(&self.partition).unwrap_or_default();
            let here = records.iter().filter(|record| number(record) == self.number).map(|record| record.offset);
            let here: Vec<i64> = here.collect();
            write!(text, "\n  {} in {topic}/{}: {here:?}", self.number, self.partition).unwrap();
            let (Some(first), Some(last)) = (here.first(), here.last()) else { continue };
            let batches = broker.batches(&topic, self.partition);
            let around = |line: &&String| {
                let offset = line.split_whitespace().nth(1).and_then(|offset| offset.parse().ok());
                offset.is_some_and(|offset: i64| (first - 200..last + 200).contains(&offset))
            };
            batches.iter().filter(around).for_each(|line| write!(text, "\n    {line}").unwrap());
        }
        let blocks = broker.batches(&format!("{SOURCE}.block"), self.partition);
        write!(text, "\n  the newest batches of {SOURCE}.block/{}:", self.partition).unwrap();
        blocks.iter().rev().take(80).rev().for_each(|line| write!(text, "\n    {line}").unwrap());
        text
    }
}

/// The number of a record, which is its key.
fn number(record: &Record) -> i64 {
    std::str::from_utf8(record.key.as_deref().unwrap()).unwrap().parse().unwrap()
}

/// One partition of the source, and how far each chain has copied it.
#[derive(Default)]
struct Copies {
    /// What the source holds.
    source: Vec<i64>,
    /// How many of them each chain has delivered.
    delivered: [usize; CHAINS.len()],
    /// What a chain has delivered before the source's own reader was there.
    ahead: [VecDeque<Record>; CHAINS.len()],
}

impl Copies {
    /// Compares what can be compared; the first difference.
    fn compare(&mut self, chain: usize) -> Option<(i64, String)> {
        while let Some(expected) = self.source.get(self.delivered[chain]) {
            let found = self.ahead[chain].pop_front()?;
            let number = number(&found);
            if number != *expected {
                let what = if number < *expected { "doubled or out of order" } else { "records are missing" };
                return Some((number, format!("{what}: {number} in place of {expected}, at offset {}", found.offset)));
            }
            self.delivered[chain] += 1;
        }
        None
    }
}

/// Reads the source and the ends of both chains: each chain must deliver what the source holds, in its order.
///
/// The source itself may hold a record twice. Its producer is idempotent, but a broker that restarts forgets the sequence
/// numbers of old records; a copy of it then has the record twice as well.
struct Check {
    newest: Arc<[Numbers; CHAINS.len()]>,
    wrong: Arc<Mutex<Vec<Wrong>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Check {
    fn start(broker: &Broker, lines: &Arc<Vec<Bytes>>) -> Self {
        let newest: Arc<[Numbers; CHAINS.len()]> = Arc::default();
        let wrong: Arc<Mutex<Vec<Wrong>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let topics: Vec<String> = CHAINS.map(end_of).into_iter().chain([SOURCE.to_owned()]).collect();
        let follower = Follower::open(broker, &topics, PARTITIONS);
        let (numbers, complaints, wish, lines) =
            (Arc::clone(&newest), Arc::clone(&wrong), Arc::clone(&stop), Arc::clone(lines));
        let thread = std::thread::spawn(move || {
            let mut partitions: [Copies; PARTITIONS as usize] = Default::default();
            while !wish.load(Ordering::Relaxed) {
                let Some((topic, partition, found)) = follower.poll(Duration::from_millis(50)) else { continue };
                let complain = |number: i64, text: String| {
                    let text = format!("{topic}/{partition}: {text}");
                    complaints.lock().unwrap().push(Wrong { partition, number, text });
                };
                let copies = &mut partitions[partition as usize];
                let chains = match CHAINS.iter().position(|chain| end_of(chain) == topic) {
                    None => {
                        copies.source.push(number(&found));
                        0..CHAINS.len()
                    }
                    Some(chain) => {
                        let number = number(&found);
                        let original = record(partition, number, line(&lines, partition, number));
                        if (&original.value, &original.headers, original.timestamp.millis)
                            != (&found.value, &found.headers, found.timestamp.millis)
                        {
                            complain(number, format!("{number} is not what was sent: {found:?}"));
                        }
                        copies.ahead[chain].push_back(found);
                        chain..chain + 1
                    }
                };
                for chain in chains {
                    if let Some((number, text)) = copies.compare(chain) {
                        complain(number, text);
                    }
                    if let Some(delivered) = copies.delivered[chain].checked_sub(1) {
                        numbers[chain][partition as usize].store(copies.source[delivered] + 1, Ordering::Release);
                    }
                }
            }
            partitions.iter().map(|copies| copies.source.len()).sum()
        });
        Self { newest, wrong, stop, thread }
    }

    /// Waits until both chains have delivered everything before these numbers.
    fn reach(&self, broker: &Broker, marks: &[i64], patience: Duration, what: &str) {
        let deadline = Instant::now() + patience;
        loop {
            let wrong = self.wrong.lock().unwrap().clone();
            if let Some(first) = wrong.first() {
                panic!("{what}: {} things are wrong, the first of them: {}", wrong.len(), first.explained(broker));
            }
            let reached = |numbers: &Numbers| {
                numbers.iter().zip(marks).all(|(number, mark)| number.load(Ordering::Acquire) >= *mark)
            };
            if self.newest.iter().all(reached) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{what}: not recovered after {patience:?}: {:?} of {marks:?}",
                self.newest
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends; the number of records that the source holds.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let count = self.thread.join().unwrap();
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{wrong:#?}");
        count
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

/// A broker is gone for a moment, or for longer than any session.
fn away(random: &mut ChaCha8Rng) {
    if random.random_bool(0.5) {
        std::thread::sleep(Duration::from_millis(random.random_range(2_000..15_000)));
    }
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
        self.check.reach(
            &self.broker,
            &self.feed.sent().iter().map(|sent| sent + 1).collect::<Vec<_>>(),
            PATIENCE,
            what,
        );
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
        let which = random.random_range(0..self.broker.nodes().len());
        let node = &self.broker.nodes()[which];
        let mut note = String::new();
        if matches!(fault, Fault::BrokerKilled | Fault::BrokerRestarted | Fault::BrokerFrozen) {
            self.broker.in_sync();
            write!(note, " (node {})", which + 1).unwrap();
        }
        let started = Instant::now();
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
                node.kill();
                away(random);
                self.broker.restart(node);
            }
            Fault::BrokerRestarted => {
                node.stop();
                away(random);
                self.broker.restart(node);
            }
            Fault::BrokerFrozen => {
                node.freeze();
                // The length of the freeze is the fault.
                std::thread::sleep(Duration::from_millis(random.random_range(1_000..8_000)));
                node.thaw();
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
    let only = std::env::var("LATENTD_CHAOS_ONLY").unwrap_or_default();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    println!("chaos: {rounds} faults from seed {seed} (LATENTD_CHAOS_ROUNDS, LATENTD_CHAOS_SEED)");
    let broker = Broker::cluster(&[
        // A broker that comes back after a kill is let in when its old session is over.
        ("broker.session.timeout.ms", "2000"),
        ("broker.heartbeat.interval.ms", "500"),
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
            faults =
                FAULTS.into_iter().filter(|fault| only.is_empty() || only.contains(&format!("{fault:?}"))).collect();
            assert!(!faults.is_empty(), "LATENTD_CHAOS_ONLY names none of {FAULTS:?}");
            faults.shuffle(&mut random);
        }
        let fault = faults.pop().expect("it was just filled");
        let report = stage.suffer(fault, &mut random);
        println!("chaos: {:>2}/{rounds} {report}", round + 1);
    }
    let sent = stage.feed.stop();
    stage.check.reach(&stage.broker, &sent, PATIENCE, "the end");
    stage.daemon.stop();
    let total = stage.check.stop();
    // Once more from the beginning: what came after a record that was the last for the reader would show here.
    let source = stage.broker.consume(SOURCE, total, PATIENCE);
    for topic in CHAINS.map(end_of) {
        assert_same(&source, &stage.broker.consume(&topic, total, PATIENCE), &topic);
        let letters = topic.replace(".back", ".dead");
        assert_eq!(stage.broker.consume(&letters, 0, PATIENCE).values().map(Vec::len).sum::<usize>(), 0, "{letters}");
    }
    println!("chaos: {total} records through two chains after {rounds} faults: 0 lost, 0 doubled, order kept");
}
