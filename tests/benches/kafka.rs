//! What benchmarks on a real Apache Kafka have in common: the broker, the daemon and topics of the tests; how a run is set, and what its
//! rounds come to. Whoever uses it brings these modules to the root of its crate, where they look for each other.

#![allow(dead_code, reason = "every benchmark uses its own part of it")]

#[path = "../kafka/broker.rs"]
pub mod broker;
#[path = "../kafka/daemon.rs"]
pub mod daemon;
#[path = "../kafka/node.rs"]
pub mod node;
#[path = "../kafka/ports.rs"]
pub mod ports;
#[path = "../tools/mod.rs"]
pub mod tools;
#[path = "../kafka/topics.rs"]
pub mod topics;

/// A number in the environment.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// The one in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
