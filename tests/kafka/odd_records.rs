//! Records that hardly anybody writes: what can come back does, and what cannot becomes a dead letter that has it all.

use std::fmt::Write as _;
use std::time::Duration;

use crate::broker::shared;
use crate::daemon::Daemon;
use crate::raw::{RawRecord, produce};
use crate::topics::{assert_same, header_text, number_of};

const PATIENCE: Duration = Duration::from_secs(240);

fn at(timestamp: i64) -> RawRecord {
    let text = format!("at {timestamp}, at {timestamp}, at {timestamp}, at {timestamp}");
    RawRecord { key: Some(b"k".to_vec()), value: Some(text.into_bytes()), headers: Vec::new(), timestamp }
}

/// Compressing and restoring pipelines in both layouts.
fn both_ways(topic: &str) -> String {
    let mut tables = String::new();
    for layout in ["record", "block"] {
        write!(
            tables,
            "[pipelines.{layout}]\nfrom = \"{topic}\"\nto = \"{topic}.{layout}\"\nlayout = \"{layout}\"\n\
             [pipelines.{layout}-back]\nfrom = \"{topic}.{layout}\"\nto = \"{topic}.{layout}.back\"\n\
             operation = \"restore\"\n"
        )
        .unwrap();
    }
    tables
}

#[test]
fn timestamps_before_the_epoch_none_at_all_and_of_a_far_future_come_back() {
    let broker = &shared();
    // The topics that are made take this over from the source; without it a broker refuses what is an hour ahead.
    broker.create("times", 1, &[("message.timestamp.after.max.ms", "9223372036854775807")]);
    let year_9999 = 253_402_300_799_000;
    let times = [1_700_000_000_000, -1, -2, -86_400_000, 1, 1, year_9999, i64::from(i32::MIN), 5];
    produce(broker, "times", 0, &times.map(at));
    let source = broker.consume("times", times.len(), PATIENCE);
    let found: Vec<i64> = source[&0].iter().map(|record| record.timestamp.millis).collect();
    assert_eq!(found, times, "the source topic is not what it should be");
    let daemon = Daemon::start(broker, "times", &both_ways("times"));
    for layout in ["record", "block"] {
        let back = broker.consume(&format!("times.{layout}.back"), times.len(), PATIENCE);
        assert_same(&source, &back, layout);
    }
    daemon.stop();
}

#[test]
fn a_timestamp_of_zero_which_the_client_library_cannot_write_becomes_a_dead_letter() {
    let broker = &shared();
    broker.create("epoch", 1, &[]);
    produce(broker, "epoch", 0, &[at(5), at(0), at(7)]);
    let daemon = Daemon::start(broker, "epoch", &both_ways("epoch"));
    for (layout, letters) in [("record", "epoch.dead"), ("block", "epoch.block.dead")] {
        let back = broker.consume(&format!("epoch.{layout}.back"), 2, PATIENCE);
        let times: Vec<i64> = back[&0].iter().map(|record| record.timestamp.millis).collect();
        assert_eq!(times, [5, 7], "{layout}");
        let dead = broker.consume(letters, 1, PATIENCE);
        let [letter] = &dead[&0][..] else { panic!("{dead:?}") };
        assert_eq!(header_text(letter, "latentd-error-reason"), Some("timestamp"));
        assert_eq!(letter.value.as_deref(), at(0).value.as_deref());
        assert_eq!(letter.timestamp.millis, 1, "the nearest that can be written");
    }
    daemon.stop();
}

#[test]
fn times_that_the_broker_set_come_back_as_times_that_a_producer_set() {
    let broker = &shared();
    broker.create("appended", 2, &[("message.timestamp.type", "LogAppendTime")]);
    for partition in 0..2 {
        produce(broker, "appended", partition, &[at(5), at(6)]);
        produce(broker, "appended", partition, &[at(7)]);
    }
    let source = broker.consume("appended", 6, PATIENCE);
    assert!(source[&0][0].timestamp.millis > 1_700_000_000_000, "the broker did not set it");
    let daemon = Daemon::start(broker, "appended", &both_ways("appended"));
    for layout in ["record", "block"] {
        let back = broker.consume(&format!("appended.{layout}.back"), 6, PATIENCE);
        assert_same(&source, &back, layout);
    }
    daemon.stop();
}

#[test]
fn a_header_name_that_is_no_text_makes_a_dead_letter_with_key_and_value() {
    let broker = &shared();
    broker.create("names", 1, &[]);
    let odd = RawRecord { headers: vec![(vec![0xff, 0xfe], Some(b"x".to_vec()))], ..at(6) };
    produce(broker, "names", 0, &[at(5), odd, at(7)]);
    let daemon = Daemon::start(broker, "names", &both_ways("names"));
    for layout in ["record", "block"] {
        let back = broker.consume(&format!("names.{layout}.back"), 2, PATIENCE);
        let times: Vec<i64> = back[&0].iter().map(|record| record.timestamp.millis).collect();
        assert_eq!(times, [5, 7], "{layout}");
    }
    // One of each layout.
    let dead = broker.consume("names.dead", 2, PATIENCE);
    for letter in &dead[&0] {
        assert_eq!(header_text(letter, "latentd-error-reason"), Some("unreadable"));
        assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"k"[..]), at(6).value.as_deref()));
        assert_eq!(letter.timestamp.millis, 6);
        assert_eq!(number_of(letter, "latentd-origin-offset"), 1);
    }
    daemon.stop();
}
