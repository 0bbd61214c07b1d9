//! A dictionary is learned from the live stream, put to use between two transactions, and picked up by whoever needs it.

use std::time::Duration;

use crate::broker::{Broker, shared};
use crate::daemon::Daemon;
use crate::end_to_end::records;
use crate::topics::{Partitions, assert_same};

const PATIENCE: Duration = Duration::from_secs(240);

const TABLES: &str = "[pipelines.learn]\nfrom = \"learn\"\nto = \"learn.z\"\ncodec = \"zstd-dict\"\nlayout = \"record\"\n\
                      [pipelines.learn.learn]\nevery = \"1h\"\nreservoir = \"8MiB\"\ndictionary = \"16KiB\"\n\
                      [pipelines.learn-back]\noperation = \"restore\"\nfrom = \"learn.z\"\nto = \"learn.back\"\n";

fn model(daemon: &Daemon) -> Option<String> {
    let (_, pipeline) = daemon.json("/api/v1/pipelines/learn")?;
    Some(pipeline["model"]["id"].as_str()?.to_owned())
}

/// Bytes of the values of a topic's records from one of them on, in each partition.
fn bytes(found: &Partitions, from: &Partitions) -> usize {
    let of = |(partition, records): (&i32, &Vec<latentd::record::Record>)| -> usize {
        let skip = from[partition].len();
        records[skip..].iter().map(|record| record.value.as_ref().map_or(0, |value| value.len())).sum()
    };
    found.iter().map(of).sum()
}

fn produce(broker: &Broker, records: &Partitions) {
    broker.produce("learn", records, false);
}

#[test]
fn a_dictionary_is_learned_swapped_in_found_by_the_restore_and_picked_up_by_a_second_daemon() {
    let broker = &shared();
    broker.create("learn", 2, &[]);
    let first = records(2, 6_000);
    produce(broker, &first);
    let daemon = Daemon::start(broker, "learn-a", TABLES);
    let id = daemon.until("a dictionary in use", PATIENCE, || model(&daemon));
    assert_eq!(daemon.metric("latentd_model_info", &[&id, "zstd-dictionary"]), Some(1.0));
    // What comes from here on is coded with it, from a transaction's beginning on.
    let second = records(2, 6_000);
    produce(broker, &second);
    let both: Partitions =
        first.iter().map(|(partition, records)| (*partition, [&records[..], &second[partition]].concat())).collect();
    let back = broker.consume("learn.back", 12_000, PATIENCE);
    assert_same(&both, &back, "with a dictionary");
    let coded = broker.consume("learn.z", 12_000, PATIENCE);
    let nothing: Partitions = first.keys().map(|partition| (*partition, Vec::new())).collect();
    let (all, later) = (bytes(&coded, &nothing), bytes(&coded, &first));
    assert!(later * 2 < all - later, "{later} bytes with the dictionary, {} without", all - later);
    // A second daemon of the group learns nothing itself and uses what was published.
    let folder = tempfile::tempdir().unwrap();
    let registry = daemon.registry().display().to_string();
    let other = Daemon::with_registry(&broker.servers(), "learn-b", "", TABLES, folder, &registry);
    assert_eq!(other.until("the published dictionary", PATIENCE, || model(&other)), id);
    other.stop();
    daemon.stop();
}
