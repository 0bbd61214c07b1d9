//! A configuration as a tree of values, each of which knows where it came from.

use std::collections::BTreeMap;
use std::fmt;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything: the program's own default.
    Default,
    /// A place in the configuration file.
    File {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// Length in characters.
        length: usize,
    },
    /// An environment variable that overrides the file.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { line, column, .. } => write!(f, "line {line}, column {column}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
    /// Environment variables and files that its text was taken from.
    pub through: Vec<String>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A date: no key takes one.
    Date(String),
    /// Several values.
    List(Vec<Node>),
    /// Named values, each with the place of its name.
    Table(BTreeMap<String, Entry>),
}

/// An entry of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where its name stands.
    pub key: Origin,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// A value from nowhere else than this place.
    pub fn new(value: Value, origin: Origin) -> Self {
        Self { value, origin, through: Vec::new() }
    }

    /// The value as its user would write it.
    pub fn text(&self) -> String {
        match &self.value {
            Value::String(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Date(text) => text.clone(),
            Value::List(nodes) => {
                format!("[{}]", nodes.iter().map(Node::text).collect::<Vec<_>>().join(", "))
            }
            Value::Table(table) => {
                let entries: Vec<String> =
                    table.iter().map(|(name, entry)| format!("{name} = {}", entry.node.text())).collect();
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::String(_) => "a text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// Whether a text stands for a number or a truth value: the environment holds nothing but text.
    pub fn is_lenient(&self) -> bool {
        matches!(self.origin, Origin::Variable(_)) || !self.through.is_empty()
    }

    /// Its entries, when it is a table.
    pub fn table(&self) -> Option<&BTreeMap<String, Entry>> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}
