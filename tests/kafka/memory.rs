//! Memory stays under the budget and a constant, whatever the lag.
//!
//! `LATENTD_LAG_BYTES` and `LATENTD_LAG_BUDGET` choose how much of each; `5000000000` and `256MiB` take ten minutes. `LATENTD_LEARNED_ROWS`
//! chooses how long the stream is that a generator is learned from.

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use latentd::record::{Record, Timestamp};
use latentd::units::ByteSize;

use crate::broker::Broker;
use crate::daemon::Daemon;
use crate::end_to_end::records;
use crate::feed::Feed;
use crate::tools;
use crate::topics::Partitions;

/// Bytes of lag: enough to fill the budget many times over.
fn lag() -> u64 {
    std::env::var("LATENTD_LAG_BYTES").map_or(400_000_000, |bytes| bytes.parse().unwrap())
}

fn budget() -> ByteSize {
    std::env::var("LATENTD_LAG_BUDGET").map_or(ByteSize::mib(64), |size| size.parse().unwrap())
}

/// What the process has taken at most, in bytes.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn memory_stays_under_budget_and_300_mb_with_any_lag() {
    // A broker of its own, whose disk is given back.
    let broker = Broker::start(&[]);
    broker.create("lag", 4, &[]);
    let chunk = records(4, 50_000);
    let bytes: u64 = chunk.values().flatten().map(|record| record.as_ref().payload_len() as u64).sum();
    let rounds = lag().div_ceil(bytes);
    (0..rounds).for_each(|_| broker.produce_plain("lag", &chunk));
    let budget = budget();
    let tables = format!(
        "[resources]\nmemory = \"{budget}\"\n[pipelines.lag]\nfrom = \"lag\"\nto = \"lag.z\"\nworkers = 2\n\
         [pipelines.lag-back]\noperation = \"restore\"\nfrom = \"lag.z\"\nto = \"lag.back\"\n"
    );
    let daemon = Daemon::start(&broker, "lag", &tables);
    let total = (rounds * 50_000) as f64;
    daemon.until("everything restored", Duration::from_secs(60 + lag() / 5_000_000), || {
        (daemon.metric("latentd_published_records_total", &["\"lag-back\""])? >= total).then_some(())
    });
    let peak = peak(daemon.pid());
    println!("memory: {} MB of lag, peak {} MiB with a budget of {budget}", rounds * bytes / 1_000_000, peak >> 20);
    assert!(peak < budget.bytes() + 300_000_000, "{} MiB", peak >> 20);
    daemon.stop();
}

/// Different values of the column that has the most.
const CUSTOMERS: usize = 300_000;

/// Rows of Adult from one on, each with a customer of its own until all have had a turn.
fn customers(from: usize, count: usize) -> Vec<Bytes> {
    let text = fs::read_to_string(tools::data("adult.jsonl").unwrap()).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    let row = |number: usize| {
        let customer = number * 7_919 % CUSTOMERS;
        Bytes::from(format!("{{\"customer\":\"k-{customer:06x}\",{}", &rows[number % rows.len()][1..]))
    };
    (from..from + count).map(row).collect()
}

fn resident(daemon: &Daemon) -> f64 {
    daemon.metric("process_resident_memory_bytes", &[]).unwrap_or(0.0) / f64::from(1 << 20)
}

#[test]
fn a_generator_publishes_minutes_after_ten_thousand_rows_and_memory_is_bounded_over_a_long_stream() {
    let broker = Broker::start(&[]);
    broker.create("customers", 2, &[]);
    let partitions = |rows: Vec<Bytes>| -> Partitions {
        let mut partitions = Partitions::from([(0, Vec::new()), (1, Vec::new())]);
        for (number, value) in rows.into_iter().enumerate() {
            let timestamp = Timestamp::create(1_700_000_000_000 + number as i64);
            let record = Record { key: None, value: Some(value), headers: Vec::new(), timestamp, offset: 0 };
            partitions.get_mut(&((number / 100 % 2) as i32)).unwrap().push(record);
        }
        partitions
    };
    broker.produce_plain("customers", &partitions(customers(0, 10_000)));
    let tables = "[pipelines.customers]\noperation = \"generate\"\nfrom = \"customers\"\nto = \"customers.augmented\"\n\
                  [pipelines.customers.augment]\nrate = 0.1\n";
    let begun = Instant::now();
    let daemon = Daemon::start(&broker, "customers", tables);
    // Records are drawn beside real ones: a few of them go on coming.
    let feed = Feed::start(&broker, "customers", customers(10_000, 20_000), 5);
    let published =
        || daemon.metric("latentd_published_records_total", &["kind=\"augmented\""]).filter(|all| *all > 0.0);
    daemon.until("the first generated record", Duration::from_secs(180), published);
    println!("the first generated record {:.0?} after the start", begun.elapsed());
    feed.stop();

    // A long stream behind them, trained on again meanwhile.
    let rows: usize = std::env::var("LATENTD_LEARNED_ROWS").map_or(400_000, |rows| rows.parse().unwrap());
    let consumed = || daemon.metric("latentd_consumed_records_total", &[]).unwrap_or(0.0);
    let mut taken = Vec::new();
    for round in 0..10 {
        let before = consumed();
        broker.produce_plain("customers", &partitions(customers(30_000 + round * rows / 10, rows / 10)));
        daemon.until("the rows read", Duration::from_secs(300), || {
            (consumed() >= before + (rows / 10) as f64).then_some(())
        });
        taken.push(resident(&daemon));
    }
    let before = peak(daemon.pid());
    println!("MiB after each of {} rows: {taken:.0?}; peak {} MiB", rows / 10, before >> 20);

    // Codec and generator learned at once, over 20,000 rows a second, which replace all that they learn from meanwhile.
    let ended = || -> Option<[i64; 2]> {
        let (_, pipeline) = daemon.json("/api/v1/pipelines/customers")?;
        let of = |what: &str| pipeline[what]["last"]["at_ms"].as_i64();
        Some([of("learning")?, of("generator")?])
    };
    for round in 0..3 {
        let last = ended().unwrap();
        assert_eq!(daemon.post("/api/v1/pipelines/customers/train").0, 202);
        let both = || ended().filter(|now| now.iter().zip(last).all(|(now, last)| *now > last));
        let (begun, mut further) = (Instant::now(), 0);
        while both().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(300), "not in five minutes: both trained\n{}", daemon.log());
            if further < 200_000 {
                broker.produce_plain("customers", &partitions(customers(30_000 + rows + further, 20_000)));
                further += 20_000;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        println!(
            "both learned anew for the {}. time in {:.0?}: {:.0} MiB",
            round + 1,
            begun.elapsed(),
            resident(&daemon)
        );
    }
    let peak = peak(daemon.pid());
    println!("peak {} MiB", peak >> 20);
    let (_, pipeline) = daemon.json("/api/v1/pipelines/customers").unwrap();
    println!("{}\n{}", pipeline["generator"], pipeline["augment"]);
    assert!(peak < 600_000_000, "{} MiB", peak >> 20);
    daemon.stop();
}
