//! The worker against a cluster that fails as told: after every fault each record is there once and in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::deliver::{AtLeastOnce, AtLeastOnceParts, Deliver, ExactlyOnce, ExactlyOnceParts, Limits, SlotId};
use super::pulse::Pulse;
use super::stage::{Halt, Output, Publication, Stage};
use super::testing::{Call, Cluster, Fault, MemorySource, observer};
use super::topology::{Route, Topology};
use super::worker::{Exit, Worker, WorkerParts};
use crate::record::{RecordRef, TopicPartition};
use crate::source::Rebalance;
use crate::telemetry::PublishedKind;

/// Publishes every record as it is; with `hold`, in pairs, as a block does.
struct Echo {
    hold: bool,
    held: Vec<(SlotId, crate::record::Record)>,
}

impl Stage for Echo {
    fn take(&mut self, slot: SlotId, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt> {
        self.held.push((slot, record.to_owned()));
        if self.hold && self.held.iter().filter(|(held, _)| *held == slot).count() < 2 {
            return Ok(());
        }
        self.close(slot, output)
    }

    fn close(&mut self, slot: SlotId, output: &mut dyn Output) -> Result<(), Halt> {
        let held = std::mem::take(&mut self.held);
        let (mine, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|(held, _)| *held == slot);
        self.held = others;
        for (_, record) in mine {
            let publication = Publication {
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &[],
                timestamp: record.timestamp.millis,
            };
            output.publish(&publication, Some(record.offset + 1))?;
        }
        Ok(())
    }

    fn due(&self, _now: Instant, _into: &mut Vec<SlotId>) {}
    fn next_due(&self) -> Option<Instant> {
        None
    }
    fn open(&self, into: &mut Vec<SlotId>) {
        into.extend(self.held.iter().map(|(slot, _)| *slot));
        into.sort_unstable();
        into.dedup();
    }
    fn discard(&mut self) {
        self.held.clear();
    }
    fn remove(&mut self, slot: SlotId) {
        self.held.retain(|(held, _)| *held != slot);
    }
    fn buffered_bytes(&self) -> usize {
        0
    }
}

struct Running {
    cluster: Cluster,
    pulse: Arc<Pulse>,
    thread: std::thread::JoinHandle<Exit>,
}

fn limits() -> Limits {
    Limits { call: Duration::from_millis(100), whole: Duration::from_millis(300), grace: Duration::from_millis(100) }
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("t", number)
}

fn fill(cluster: &Cluster, partitions: i32, records: usize) {
    for number in 0..partitions {
        for i in 0..records {
            cluster.append(&partition(number), format!("{number}:{i}").as_bytes());
        }
    }
}

fn run_with<D>(cluster: &Cluster, pulse: &Arc<Pulse>, deliver: D, hold: bool) -> Running
where
    D: Deliver<MemorySource> + Send + 'static,
{
    let topology = Topology::of([("t".to_owned(), Route::for_tests())]);
    let worker = Worker::new(WorkerParts {
        source: cluster.source(),
        deliver,
        stage: Echo { hold, held: Vec::new() },
        topology: Arc::new(topology),
        kind: PublishedKind::Compressed,
        commit_interval: Duration::from_millis(5),
        drain_timeout: Duration::from_secs(5),
        augmenter: None,
        open_bytes: 1 << 20,
        pulse: Arc::clone(pulse),
        observer: Arc::new(observer().for_worker(0)),
    });
    let thread = std::thread::spawn(move || worker.run());
    Running { cluster: cluster.clone(), pulse: Arc::clone(pulse), thread }
}

fn exactly_once(cluster: &Cluster, overlap: bool, hold: bool) -> Running {
    let pulse = Arc::new(Pulse::default());
    let producers = cluster.clone();
    let deliver = ExactlyOnce::new(ExactlyOnceParts {
        name: "p-0".to_owned(),
        make: move || Ok(producers.producer()),
        limits: limits(),
        overlap,
        spool_bytes: 1 << 20,
        pulse: Arc::clone(&pulse),
        metrics: observer().metrics().clone(),
        on_trouble: Box::new(|_| {}),
    });
    run_with(cluster, &pulse, deliver, hold)
}

impl Running {
    /// Waits until everything is committed, or panics with what is there.
    fn wait(&self, partitions: i32, records: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let done =
            |number| self.cluster.committed(&partition(number)).is_some_and(|position| position >= records as i64);
        while !(0..partitions).all(done) {
            assert!(
                Instant::now() < deadline,
                "not committed in time: {:?} after {:?}",
                (0..partitions).map(|number| self.cluster.committed(&partition(number))).collect::<Vec<_>>(),
                self.cluster.happened()
            );
            assert!(!self.thread.is_finished(), "the worker ended: {:?}", self.cluster.happened());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn stop(self) -> Exit {
        self.pulse.stop();
        self.thread.join().unwrap()
    }
}

/// Waits until something is so, for ten seconds at most.
fn eventually(otherwise: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{otherwise}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every record once, in order, in its partition.
fn assert_exact(cluster: &Cluster, partitions: i32, records: usize) {
    for number in 0..partitions {
        let output = cluster.output();
        let values: Vec<String> = output
            .iter()
            .filter(|(_, partition, _)| *partition == Some(number))
            .map(|(_, _, record)| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap())
            .collect();
        let expected: Vec<String> = (0..records).map(|i| format!("{number}:{i}")).collect();
        assert_eq!(values, expected, "partition {number} after {:?}", cluster.happened());
    }
}

const CALLS: [Call; 6] = [Call::Init, Call::Begin, Call::Send, Call::Deliver, Call::SendOffsets, Call::Commit];

/// Faults that a call can really have: only a commit can take effect without an answer.
fn faults(call: Call) -> Vec<Fault> {
    let mut faults = vec![Fault::Retriable, Fault::LostUnanswered, Fault::Fenced];
    if !matches!(call, Call::Init | Call::Begin) {
        faults.push(Fault::Abortable);
    }
    if call == Call::Commit {
        faults.push(Fault::DoneButUnanswered);
    }
    if matches!(call, Call::Init | Call::SendOffsets | Call::Commit) {
        faults.push(Fault::Hangs(Duration::from_millis(1_000)));
    }
    faults.retain(|fault| !(call == Call::Deliver && *fault == Fault::Retriable));
    faults
}

#[test]
fn after_any_single_fault_each_record_is_there_once_and_in_order() {
    for overlap in [false, true] {
        for call in CALLS {
            for fault in faults(call) {
                if fault == Fault::Fenced && call != Call::Commit {
                    // Each costs the pause that keeps two processes from fighting; one call shows it.
                    continue;
                }
                let cluster = Cluster::default();
                fill(&cluster, 2, 50);
                cluster.rebalance(Rebalance::Assigned(vec![partition(0), partition(1)]));
                let running = exactly_once(&cluster, overlap, false);
                running.wait(2, 50);
                cluster.fail(call, fault);
                if call == Call::Init {
                    // A new producer is made only after another fault.
                    cluster.fail(Call::Commit, Fault::LostUnanswered);
                }
                for number in 0..2 {
                    for i in 50..100 {
                        cluster.append(&partition(number), format!("{number}:{i}").as_bytes());
                    }
                }
                running.wait(2, 100);
                assert!(!cluster.happened().is_empty(), "{call:?} {fault:?} did not happen");
                let exit = running.stop();
                // What is committed can be seen before the worker knows; asked to stop in between, it is in doubt.
                let in_doubt = fault == Fault::DoneButUnanswered && matches!(exit, Exit::StoppedUncommitted(_));
                assert!(exit == Exit::Stopped || in_doubt, "{call:?} {fault:?}: {exit:?}");
                assert_exact(&cluster, 2, 100);
            }
        }
    }
}

#[test]
fn after_many_faults_in_any_order_each_record_is_there_once_and_in_order() {
    for seed in 0..40 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let cluster = Cluster::default();
        fill(&cluster, 3, 200);
        cluster.rebalance(Rebalance::Assigned((0..3).map(partition).collect()));
        for _ in 0..random.random_range(1..8) {
            let call = CALLS[random.random_range(0..CALLS.len())];
            let kinds: Vec<Fault> =
                faults(call).into_iter().filter(|fault| !matches!(fault, Fault::Hangs(_) | Fault::Fenced)).collect();
            cluster.fail(call, kinds[random.random_range(0..kinds.len())]);
        }
        let running = exactly_once(&cluster, random.random_bool(0.5), random.random_bool(0.5));
        running.wait(3, 200);
        // A fault may be left for the commit at the end, which then ends in doubt; the records do not.
        let exit = running.stop();
        assert!(matches!(exit, Exit::Stopped | Exit::StoppedUncommitted(_)), "seed {seed}: {exit:?}");
        assert_exact(&cluster, 3, 200);
    }
}

#[test]
fn records_spooled_behind_a_commit_that_then_fail_do_not_bring_back_what_was_committed() {
    let cluster = Cluster::default();
    fill(&cluster, 1, 50);
    cluster.rebalance(Rebalance::Assigned(vec![partition(0)]));
    let running = exactly_once(&cluster, true, false);
    running.wait(1, 50);
    cluster.fail(Call::Commit, Fault::Slow(Duration::from_millis(200)));
    cluster.append(&partition(0), b"0:50");
    eventually("no commit", || !cluster.happened().is_empty());
    // The commit is under way: these are spooled, and the first of them fails when the commit is done.
    cluster.fail(Call::Send, Fault::Abortable);
    for i in 51..60 {
        cluster.append(&partition(0), format!("0:{i}").as_bytes());
    }
    running.wait(1, 60);
    assert_eq!(cluster.happened().len(), 2);
    assert_eq!(running.stop(), Exit::Stopped);
    assert_exact(&cluster, 1, 60);
}

#[test]
fn a_source_that_gives_records_again_unasked_ends_the_worker_before_they_are_there_twice() {
    for overlap in [false, true] {
        let cluster = Cluster::default();
        fill(&cluster, 2, 50);
        cluster.rebalance(Rebalance::Assigned(vec![partition(0), partition(1)]));
        let running = exactly_once(&cluster, overlap, false);
        running.wait(2, 50);
        cluster.repeat(&partition(1), 45);
        let exit = running.thread.join().unwrap();
        assert!(matches!(&exit, Exit::Restart(error) if error.to_string().contains("`t/1`")), "{exit:?}");
        assert_exact(&cluster, 2, 50);
        // A new member reads on from what is committed.
        let positions = |state: &Cluster| [0, 1].map(|number| state.committed(&partition(number)));
        assert_eq!(positions(&cluster), [Some(50), Some(50)]);
    }
}

#[test]
fn a_group_that_forgets_commits_makes_no_record_twice() {
    for overlap in [false, true] {
        let cluster = Cluster::default();
        fill(&cluster, 2, 50);
        let all = Rebalance::Assigned(vec![partition(0), partition(1)]);
        cluster.rebalance(all.clone());
        let running = exactly_once(&cluster, overlap, false);
        running.wait(2, 50);
        let lost = Rebalance::Revoked { partitions: vec![partition(0), partition(1)], lost: true };
        cluster.rebalance(lost.clone());
        eventually("the loss was not accepted", || cluster.accepted().contains(&lost));
        cluster.forget_commits(&partition(0), 20);
        (0..2).for_each(|number| cluster.append(&partition(number), format!("{number}:50").as_bytes()));
        cluster.rebalance(all);
        running.wait(2, 51);
        assert_eq!(running.stop(), Exit::Stopped);
        assert_exact(&cluster, 2, 51);
    }
}

#[test]
fn asked_to_stop_while_no_producer_can_start_the_worker_ends_and_says_what_it_leaves() {
    let cluster = Cluster::default();
    fill(&cluster, 1, 50);
    cluster.rebalance(Rebalance::Assigned(vec![partition(0)]));
    let running = exactly_once(&cluster, true, false);
    running.wait(1, 50);
    cluster.fail(Call::Commit, Fault::LostUnanswered);
    (0..1000).for_each(|_| cluster.fail(Call::Init, Fault::LostUnanswered));
    cluster.append(&partition(0), b"0:50");
    let deadline = Instant::now() + Duration::from_secs(10);
    while cluster.happened().len() < 3 {
        assert!(Instant::now() < deadline, "no new producer was tried: {:?}", cluster.happened());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(matches!(running.stop(), Exit::StoppedUncommitted(_)));
    assert_exact(&cluster, 1, 50);
}

#[test]
fn a_partition_is_let_go_only_after_what_was_read_from_it_is_committed() {
    let cluster = Cluster::default();
    fill(&cluster, 2, 31);
    cluster.rebalance(Rebalance::Assigned(vec![partition(0), partition(1)]));
    let running = exactly_once(&cluster, true, true);
    running.wait(2, 30);
    let revoked = Rebalance::Revoked { partitions: vec![partition(0)], lost: false };
    cluster.rebalance(revoked.clone());
    eventually("the revocation was not accepted", || cluster.accepted().contains(&revoked));
    // The odd last record was held back by the stage; giving the partition up committed it.
    assert_eq!(cluster.committed(&partition(0)), Some(31));
    assert_eq!(running.stop(), Exit::Stopped);
    assert_exact(&cluster, 2, 31);
}

#[test]
fn nothing_of_a_lost_partition_is_committed_and_the_others_are_read_again() {
    let cluster = Cluster::default();
    fill(&cluster, 2, 11);
    cluster.rebalance(Rebalance::Assigned(vec![partition(0), partition(1)]));
    // With a long hold the last record of each partition is read and not committed.
    let running = exactly_once(&cluster, false, true);
    running.wait(2, 10);
    let lost = Rebalance::Revoked { partitions: vec![partition(0)], lost: true };
    cluster.rebalance(lost.clone());
    eventually("the loss was not accepted", || cluster.accepted().contains(&lost));
    let position = cluster.committed(&partition(0)).unwrap();
    running.wait(0, 0);
    assert_eq!(running.stop(), Exit::Stopped);
    assert_eq!(cluster.committed(&partition(0)), Some(position), "the new owner's position was touched");
    let output = cluster.output();
    let of = |number| output.iter().filter(|(_, partition, _)| *partition == Some(number)).count() as i64;
    assert_eq!(of(0), position);
    assert_eq!(of(1), 11);
}

#[test]
fn an_abandoned_worker_does_nothing_more() {
    let cluster = Cluster::default();
    fill(&cluster, 1, 10);
    cluster.rebalance(Rebalance::Assigned(vec![partition(0)]));
    let running = exactly_once(&cluster, true, false);
    running.wait(1, 10);
    running.pulse.abandon();
    assert_eq!(running.thread.join().unwrap(), Exit::Abandoned);
    assert_exact(&cluster, 1, 10);
}

#[test]
fn at_least_once_commits_no_offset_of_a_record_that_was_not_delivered() {
    for seed in 0..20 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let cluster = Cluster::default();
        fill(&cluster, 2, 100);
        cluster.rebalance(Rebalance::Assigned(vec![partition(0), partition(1)]));
        for _ in 0..random.random_range(1..4) {
            let call = [Call::Send, Call::Deliver, Call::ConsumerCommit][random.random_range(0..3)];
            cluster.fail(call, if call == Call::Send { Fault::Retriable } else { Fault::LostUnanswered });
        }
        let pulse = Arc::new(Pulse::default());
        let producers = cluster.clone();
        let deliver = AtLeastOnce::new(AtLeastOnceParts {
            make: move || Ok(producers.producer()),
            limits: limits(),
            pulse: Arc::clone(&pulse),
            metrics: observer().metrics().clone(),
            on_uncommitted: Box::new(|_| {}),
        });
        let running = run_with(&cluster, &pulse, deliver, random.random_bool(0.5));
        running.wait(2, 100);
        assert_eq!(running.stop(), Exit::Stopped, "seed {seed}");
        // Some may be there twice; none may be missing.
        let output = cluster.output();
        for number in 0..2 {
            for i in 0..100 {
                let value = format!("{number}:{i}");
                let there = output.iter().any(|(_, _, record)| record.value.as_deref() == Some(value.as_bytes()));
                assert!(there, "seed {seed}: {value} is missing after {:?}", cluster.happened());
            }
        }
    }
}
