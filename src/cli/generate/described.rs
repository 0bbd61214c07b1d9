//! `latentd generate --headers`: records with the headers that a pipeline gives them.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::Subject;
use crate::augment::{Balance, Headers, Lineage, Usage};
use crate::cli::cat::{entry, put};
use crate::codec::ModelId;
use crate::model::{Condition, Generator};

/// Who draws: no pipeline.
const SOURCE: &str = "/latentd/generate";

/// Writes records as objects, a line each, that `--from-headers` takes.
pub struct Described<'a> {
    generator: &'a dyn Generator,
    seed: u64,
    condition: &'a Condition,
    balance: Option<&'a Balance>,
    headers: Headers,
}

impl<'a> Described<'a> {
    /// Of records of a seed, under a condition or a balance.
    pub fn new(
        subject: &Subject,
        generator: &'a dyn Generator,
        seed: u64,
        condition: &'a Condition,
        balance: Option<&'a Balance>,
    ) -> Self {
        let lineage = Lineage {
            source: SOURCE.to_owned(),
            model: ModelId::of(&subject.artefact),
            generator: generator.name(),
            condition: condition.clone(),
            trained_on: subject.manifest.as_ref().map_or_else(Vec::new, |manifest| manifest.window.clone()),
            report: None,
            // Nobody has looked.
            usage: Usage::NotForTraining,
            content_type: generator.content_type(),
        };
        Self { generator, seed, condition, balance, headers: lineage.headers() }
    }

    /// Writes the record with this number.
    pub fn write(&mut self, number: u64, record: &[u8], out: &mut dyn Write) -> io::Result<()> {
        self.headers.under(self.balance.map_or(self.condition, |balance| balance.of(self.seed, number)));
        self.headers.by(self.generator.made_by(self.seed, number));
        let mut object = Map::new();
        let headers = self.headers.of(self.seed, number).iter().map(entry).collect();
        object.insert("headers".to_owned(), Value::Array(headers));
        put(&mut object, "value", Some(record));
        writeln!(out, "{}", Value::Object(object))
    }
}
