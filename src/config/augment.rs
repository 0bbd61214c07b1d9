//! `[pipelines.*.augment]`: what is generated beside a topic's records.

use std::time::Duration;

use super::node::{Node, Value};
use super::resolve::lasting;
use super::section::{Notes, Placed, Read, Section, Word, Words};
use crate::augment::Rate;
use crate::pipeline::{AugmentSettings, Gates, GeneratorChoice, Operation, TopicTemplate};

/// A generator, or one of the plan that this release does not have.
#[derive(Clone, Copy)]
enum Wanted {
    Is(GeneratorChoice),
    Later(&'static str),
}

impl Words for Wanted {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Is(GeneratorChoice::Auto)),
        ("columns", Self::Is(GeneratorChoice::Columns)),
        ("autoregressive", Self::Later("autoregressive")),
        ("vae", Self::Later("vae")),
        ("gan", Self::Later("gan")),
    ];
}

impl Words for Gates {
    const WORDS: &'static [(&'static str, Self)] = &[("default", Self::Default), ("off", Self::Off)];
}

impl Read for Rate {
    fn read(node: &Node) -> Result<Self, String> {
        let what =
            "this must be a number for each consumed record, such as 0.1, or `{ every = \"1m\", records = 1000 }`";
        let Value::Table(table) = &node.value else {
            return f64::read(node).map(Self::PerRecord).map_err(|_| what.to_owned());
        };
        let (Some(every), Some(records), 2) = (table.get("every"), table.get("records"), table.len()) else {
            return Err(what.to_owned());
        };
        let (every, records) = (Duration::read(&every.node)?, u64::read(&records.node)?);
        if every < Duration::from_secs(1) {
            return Err("`every` must be \"1s\" or more".to_owned());
        }
        Ok(Self::PerTime { every, records })
    }
    fn placeholder() -> Self {
        Self::PerRecord(0.0)
    }
}

/// Reads the table. `to` is where the pipeline writes.
pub fn resolve(
    path: String,
    node: Option<&Node>,
    operation: Operation,
    to: &Placed<TopicTemplate>,
    notes: &mut Notes,
) -> Placed<AugmentSettings> {
    let mut section = Section::new(path, node, notes);
    let origin = section.origin();
    if operation == Operation::Restore {
        let message = "a restore learns nothing, so it has nothing to draw from: generate where records are compressed";
        notes.problem(section.path(), &origin, message);
    }
    let own: Placed<TopicTemplate> = match operation {
        Operation::Generate => section.optional("to", false, notes).unwrap_or_else(|| to.clone()),
        _ => section.required("to", notes),
    };
    if operation == Operation::Generate && own.value != to.value {
        let message = format!("`operation = \"generate\"` writes one topic, which `{}` names: leave this out", to.key);
        notes.problem(own.key.as_str(), &own.origin, message);
    }
    let wanted: Placed<Word<Wanted>> = section.get("generator", notes);
    let generator = match wanted.value.0 {
        Wanted::Is(generator) => generator,
        Wanted::Later(name) => {
            let message = format!("`{name}` is not in this release: take `auto` or `columns`");
            notes.problem(wanted.key.as_str(), &wanted.origin, message);
            GeneratorChoice::Auto
        }
    };
    for name in ["where", "balance"] {
        if let Some(node) = section.below(name) {
            let message =
                "the generator `columns` draws under no condition, and this release has no other: leave this out";
            notes.problem(format!("{}.{name}", section.path()), &node.origin, message);
        }
    }
    let rate: Placed<Rate> = section.get("rate", notes);
    let share: Placed<f64> = section.get("share", notes);
    match rate.value {
        Rate::PerRecord(rate) if rate > share.value => {
            let message = format!("{} generated records for each real one are the most: `share`", share.value);
            notes.notice(format!("{}.rate", section.path()), &share.origin, message);
        }
        Rate::PerTime { every, .. } => {
            let every = Placed { value: every, key: rate.key.clone(), origin: rate.origin.clone() };
            lasting(every, Duration::from_secs(1), Duration::from_secs(365 * 86_400), notes);
        }
        Rate::PerRecord(_) => {}
    }
    if share.value > 10.0 {
        notes.problem(share.key.as_str(), &share.origin, "a share is at most 10 generated records for each real one");
    }
    let gates: Placed<Word<Gates>> = section.get("gates", notes);
    let target: Option<Placed<String>> = section.optional("target", false, notes);
    let seed: Placed<u64> = section.get("seed", notes);
    section.finish(notes);
    let value = AugmentSettings {
        to: own.value,
        generator,
        rate: rate.value,
        share: share.value,
        gates: gates.value.0,
        target: target.map(|target| target.value),
        seed: seed.value,
    };
    Placed { value, key: own.key, origin: own.origin }
}
