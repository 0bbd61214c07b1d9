//! latentd against a real Apache Kafka: `make setup` fetches it, and a test without it fails.

#![allow(dead_code, reason = "the broker, the daemon and their topics serve tests that come and go")]
#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

mod augment;
mod broker;
mod chaos;
mod commands;
mod daemon;
mod dead_letters;
mod end_to_end;
mod feed;
mod fire;
mod generators;
mod health;
mod images;
mod learning;
mod memory;
mod node;
mod odd_records;
mod ports;
mod prometheus;
mod raw;
mod reload;
mod sasl;
mod topics;
mod training;

#[path = "../tools/mod.rs"]
mod tools;
