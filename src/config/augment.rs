//! `[pipelines.*.augment]`: what is generated beside a topic's records.

use std::time::Duration;

use super::node::{Node, Origin, Value};
use super::resolve::{lasting, within};
use super::section::{Notes, Placed, Read, Section, Word, Words};
use crate::augment::Rate;
use crate::model::Condition;
use crate::model::images::LABEL;
use crate::pipeline::{AugmentSettings, Gates, GeneratorChoice, LabelSource, Operation, TopicTemplate};

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

impl Words for GeneratorChoice {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("columns", Self::Columns),
        ("autoregressive", Self::Autoregressive),
        ("vae", Self::Vae),
        ("gan", Self::Gan),
        ("classical", Self::Classical),
    ];
}

impl Read for LabelSource {
    fn read(node: &Node) -> Result<Self, String> {
        let what = "this must be \"key\" or `{ header = \"NAME\" }`: the place where a record says its image's class";
        match &node.value {
            Value::String(text) if text == "key" => Ok(Self::Key),
            Value::Table(table) if table.len() == 1 => {
                let header = table.get("header").map(|entry| String::read(&entry.node)).ok_or(what)??;
                if header.is_empty() { Err(what.to_owned()) } else { Ok(Self::Header(header)) }
            }
            _ => Err(what.to_owned()),
        }
    }
    fn placeholder() -> Self {
        Self::Key
    }
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

/// Reads the table. `to` is where the pipeline writes; `images` says that its records are some.
pub fn resolve(
    path: String,
    node: Option<&Node>,
    (operation, images): (Operation, bool),
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
    let wanted: Placed<Word<GeneratorChoice>> = section.get("generator", notes);
    let generator = wanted.value.0;
    let bases: Option<Placed<u64>> = section.optional("bases", false, notes);
    match &bases {
        None if images && generator == GeneratorChoice::Classical => {
            let message = "a `classical` model of images holds images of the topic as they are, in the registry, and what it draws is near to \
                           one of them: say with `bases = 10000` how many it may hold";
            notes.problem(wanted.key.as_str(), &wanted.origin, message);
        }
        Some(bases) if generator != GeneratorChoice::Classical => {
            let message = format!("this has no effect: the generator `{}` holds no records", generator.name());
            notes.notice(bases.key.as_str(), &bases.origin, message);
        }
        _ => {}
    }
    let bases = bases.map(|bases| within(bases, 10, 65_536, notes));
    let condition: Option<Placed<Where>> = section.optional("where", false, notes);
    let balance: Option<Placed<String>> = section.optional("balance", false, notes);
    let label: Option<Placed<LabelSource>> = section.optional("label", false, notes);
    if let Some(message) = refused(generator, images) {
        notes.problem(wanted.key.as_str(), &wanted.origin, message);
    }
    let fields = condition.iter().flat_map(|condition| {
        condition.value.0.keys().map(|field| (field.as_str(), condition.key.as_str(), &condition.origin))
    });
    let fields =
        fields.chain(balance.iter().map(|balance| (balance.value.as_str(), balance.key.as_str(), &balance.origin)));
    for (field, key, origin) in fields {
        if let Some(message) = unasked(generator, images, field, label.is_some()) {
            notes.problem(key, origin, message);
        }
    }
    if let Some(label) = label.as_ref().filter(|_| !images) {
        let message = "this has no effect: only images have a label, rows have fields";
        notes.notice(label.key.as_str(), &label.origin, message);
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
    if let Some(target) = target.as_ref().filter(|_| images) {
        let message = "this has no effect: what images are worth is measured by their labels";
        notes.notice(target.key.as_str(), &target.origin, message);
    }
    let seed: Placed<u64> = section.get("seed", notes);
    let cpu: Placed<Duration> = section.get("cpu", notes);
    let trains_nothing = matches!(generator, GeneratorChoice::Classical | GeneratorChoice::Columns);
    if trains_nothing && cpu.origin != Origin::Default {
        let message = format!("this has no effect: the generator `{}` takes no training of its own", generator.name());
        notes.notice(cpu.key.as_str(), &cpu.origin, message);
    }
    let cpu = lasting(cpu, Duration::from_secs(1), Duration::from_secs(86_400), notes);
    section.finish(notes);
    let value = AugmentSettings {
        to: own.value,
        generator,
        condition,
        balance: balance.map(|balance| balance.value),
        label: label.map(|label| label.value).filter(|_| images),
        rate: rate.value,
        share: share.value,
        gates: gates.value.0,
        target: target.map(|target| target.value),
        seed: seed.value,
        cpu,
        bases: bases.and_then(|bases| usize::try_from(bases).ok()),
    };
    Placed { value, key: own.key, origin: own.origin }
}

/// Why a generator cannot be learned from such records, and what can.
fn refused(generator: GeneratorChoice, images: bool) -> Option<&'static str> {
    match generator {
        GeneratorChoice::Columns | GeneratorChoice::Autoregressive if images => {
            Some("this generator learns fields, of which images have none: take `auto`, `vae`, `gan` or `classical`")
        }
        _ => None,
    }
}

/// Why a field cannot be asked for or balanced, and what does it.
fn unasked(generator: GeneratorChoice, images: bool, field: &str, labelled: bool) -> Option<String> {
    if images {
        return match (field == LABEL, labelled) {
            (false, _) => Some(format!("images have no `{field}`: what is asked of them is `{LABEL}`, their class")),
            (true, false) => {
                Some("which class an image is of, its record says: write `label = \"key\"` or `label = { header = \"NAME\" }`".to_owned())
            }
            (true, true) => None,
        };
    }
    let why = match generator {
        GeneratorChoice::Columns => "draws under no condition",
        GeneratorChoice::Vae | GeneratorChoice::Gan => {
            "draws all fields of a row at once, from noise, and under no condition"
        }
        GeneratorChoice::Auto | GeneratorChoice::Autoregressive | GeneratorChoice::Classical => return None,
    };
    Some(format!("the generator `{}` {why}: take `auto`, `autoregressive` or `classical`", generator.name()))
}
