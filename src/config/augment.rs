//! `[pipelines.*.augment]`: what is generated beside a topic's records.

use std::time::Duration;

use super::node::{Node, Value};
use super::resolve::lasting;
use super::section::{Notes, Placed, Read, Section, Word, Words};
use crate::augment::Rate;
use crate::model::Condition;
use crate::pipeline::{AugmentSettings, Gates, GeneratorChoice, Operation, TopicTemplate};

/// A generator, or one that no pipeline of this release learns.
#[derive(Clone, Copy)]
enum Wanted {
    Is(GeneratorChoice),
    Later(&'static str),
}

/// The values that fields are to have.
struct Where(Condition);

impl Read for Where {
    fn read(node: &Node) -> Result<Self, String> {
        let what =
            "this must be a table of fields with a text, a number or a boolean each, such as `{ carrier = \"UA\" }`";
        let Value::Table(table) = &node.value else { return Err(what.to_owned()) };
        let mut condition = Condition::new();
        for (field, entry) in table {
            let value = match &entry.node.value {
                Value::String(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                Value::Float(number) => number.to_string(),
                Value::Boolean(is) => is.to_string(),
                _ => return Err(what.to_owned()),
            };
            condition.insert(field.clone(), value);
        }
        if condition.is_empty() {
            return Err("this names no field: leave it out".to_owned());
        }
        Ok(Self(condition))
    }
    fn placeholder() -> Self {
        Self(Condition::new())
    }
}

impl Words for Wanted {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Is(GeneratorChoice::Auto)),
        ("columns", Self::Is(GeneratorChoice::Columns)),
        ("autoregressive", Self::Is(GeneratorChoice::Autoregressive)),
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
            let message = format!(
                "no pipeline of this release learns `{name}`, `latentd train` does: take `auto`, `columns` or `autoregressive`"
            );
            notes.problem(wanted.key.as_str(), &wanted.origin, message);
            GeneratorChoice::Auto
        }
    };
    let condition: Option<Placed<Where>> = section.optional("where", false, notes);
    let balance: Option<Placed<String>> = section.optional("balance", false, notes);
    let places = [
        condition.as_ref().map(|condition| (&condition.key, &condition.origin)),
        balance.as_ref().map(|balance| (&balance.key, &balance.origin)),
    ];
    for (key, origin) in places.into_iter().flatten().filter(|_| generator == GeneratorChoice::Columns) {
        let message = "the generator `columns` draws under no condition: take `auto` or `autoregressive`";
        notes.problem(key.as_str(), origin, message);
    }
    let condition = condition.map_or_else(Condition::new, |condition| condition.value.0);
    if let Some(balance) = balance.as_ref().filter(|balance| condition.contains_key(&balance.value)) {
        let message = format!("`where` says what `{}` is: there is nothing to balance", balance.value);
        notes.problem(balance.key.as_str(), &balance.origin, message);
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
    let cpu = lasting(section.get("cpu", notes), Duration::from_secs(1), Duration::from_secs(86_400), notes);
    section.finish(notes);
    let value = AugmentSettings {
        to: own.value,
        generator,
        condition,
        balance: balance.map(|balance| balance.value),
        rate: rate.value,
        share: share.value,
        gates: gates.value.0,
        target: target.map(|target| target.value),
        seed: seed.value,
        cpu,
    };
    Placed { value, key: own.key, origin: own.origin }
}
