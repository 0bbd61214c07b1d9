//! Memory stays under the budget and a constant, whatever the lag.
//!
//! `LATENTD_LAG_BYTES` and `LATENTD_LAG_BUDGET` choose how much of each; `5000000000` and `256MiB` take ten minutes.

use std::fs;
use std::time::Duration;

use latentd::units::ByteSize;

use crate::broker::Broker;
use crate::daemon::Daemon;
use crate::end_to_end::records;

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
