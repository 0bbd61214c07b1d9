//! Reading a tree key by key: types, defaults from the table of keys, the record of what was read, and every problem at
//! once.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::error::Problem;
use super::keys;
use super::node::{Entry, Node, Origin, Value};
use super::text::{joined, parse};
use crate::units::ByteSize;

/// A resolved value and its origin, as `latentd check` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The key.
    pub key: String,
    /// The value; `***` for a secret.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// What reading has brought so far.
#[derive(Default)]
pub struct Notes {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is allowed and probably not meant.
    pub notices: Vec<Problem>,
    /// What was read.
    pub explained: Vec<Explained>,
    /// For `${NAME}` in a default.
    pub variables: std::collections::BTreeMap<String, String>,
}

impl Notes {
    /// Something is wrong with the value of a key.
    pub fn problem(&mut self, key: impl Into<String>, origin: &Origin, message: impl Into<String>) {
        self.problems.push(Problem { key: key.into(), message: message.into(), origin: origin.clone() });
    }

    /// Something is allowed and probably not meant.
    pub fn notice(&mut self, key: impl Into<String>, origin: &Origin, message: impl Into<String>) {
        self.notices.push(Problem { key: key.into(), message: message.into(), origin: origin.clone() });
    }

    fn explain(&mut self, key: &str, node: &Node, secret: bool) {
        let value = if secret { "***".to_owned() } else { node.text() };
        let mut origin = node.origin.to_string();
        for through in &node.through {
            origin.push_str(" from ");
            origin.push_str(through);
        }
        self.explained.push(Explained { key: key.to_owned(), value, origin });
    }
}

/// A type of value.
pub trait Read: Sized {
    /// Reads it, or says what would be right.
    fn read(node: &Node) -> Result<Self, String>;
    /// Something to go on with after a problem, so that the next ones are found too.
    fn placeholder() -> Self;
}

/// A value together with its place, for checks that come later.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Its key.
    pub key: String,
    /// Its place.
    pub origin: Origin,
}

/// One table being read.
pub struct Section<'a> {
    path: String,
    node: Option<&'a Node>,
    seen: BTreeSet<&'static str>,
}

impl<'a> Section<'a> {
    /// The table at `path`, or an empty one where there is none.
    pub fn new(path: impl Into<String>, node: Option<&'a Node>, notes: &mut Notes) -> Self {
        let path = path.into();
        if let Some(node) = node.filter(|node| node.table().is_none()) {
            notes.problem(path.as_str(), &node.origin, format!("this must be a table, and is {}", node.kind()));
        }
        Self { path, node: node.filter(|node| node.table().is_some()), seen: BTreeSet::new() }
    }

    /// Where the table stands.
    pub fn origin(&self) -> Origin {
        self.node.map_or(Origin::Default, |node| node.origin.clone())
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn entry(&mut self, name: &'static str) -> Option<&'a Entry> {
        self.seen.insert(name);
        self.node.and_then(Node::table).and_then(|table| table.get(name))
    }

    /// A table below this one; `None` where it is not written.
    pub fn below(&mut self, name: &'static str) -> Option<&'a Node> {
        self.entry(name).map(|entry| &entry.node)
    }

    /// All names of the table, chosen by the user, with their values.
    pub fn names(&self) -> impl Iterator<Item = (&'a String, &'a Entry)> + use<'a> {
        self.node.and_then(Node::table).into_iter().flatten()
    }

    /// A value that has a default.
    pub fn get<T: Read>(&mut self, name: &'static str, notes: &mut Notes) -> Placed<T> {
        let path = joined(&self.path, name);
        match self.entry(name) {
            Some(entry) => self.take(&entry.node, path, false, notes),
            None => {
                let node = default(&path, &notes.variables);
                self.take(&node, path, false, notes)
            }
        }
    }

    /// A value that may be absent.
    pub fn optional<T: Read>(&mut self, name: &'static str, secret: bool, notes: &mut Notes) -> Option<Placed<T>> {
        let path = joined(&self.path, name);
        self.entry(name).map(|entry| self.take(&entry.node, path, secret, notes))
    }

    /// A value that must be there.
    pub fn required<T: Read>(&mut self, name: &'static str, notes: &mut Notes) -> Placed<T> {
        if let Some(placed) = self.optional(name, false, notes) {
            return placed;
        }
        let path = joined(&self.path, name);
        let known = keys::find(&path);
        let example = known.map_or("", |key| key.example);
        let origin = self.origin();
        notes.problem(path.as_str(), &origin, format!("this key is missing: write `{name} = {example}`, for example"));
        Placed { value: T::placeholder(), key: path, origin }
    }

    fn take<T: Read>(&self, node: &Node, key: String, secret: bool, notes: &mut Notes) -> Placed<T> {
        notes.explain(&key, node, secret);
        let value = T::read(node).unwrap_or_else(|message| {
            notes.problem(key.as_str(), &node.origin, message);
            T::placeholder()
        });
        Placed { value, key, origin: node.origin.clone() }
    }

    /// Names that nobody asked for are errors, with the nearest one that there is.
    pub fn finish(self, notes: &mut Notes) {
        for (name, entry) in self.names().filter(|(name, _)| !self.seen.contains(name.as_str())) {
            let path = joined(&self.path, name);
            let known: Vec<&str> = self.seen.iter().copied().collect();
            let message = match nearest(name, known.iter().copied()) {
                Some(near) => format!("there is no such key; did you mean `{near}`?"),
                None => format!("there is no such key: there are {}", known.join(", ")),
            };
            notes.problem(path, &entry.key, message);
        }
    }
}

/// A user's own table of texts: every name is a key.
pub fn texts(
    path: &str,
    node: Option<&Node>,
    secret: fn(&str) -> bool,
    notes: &mut Notes,
) -> Vec<(String, Placed<String>)> {
    let section = Section::new(path, node, notes);
    let mut found = Vec::new();
    for (name, entry) in section.names() {
        let key = joined(path, name);
        let hidden = secret(name) || !entry.node.through.is_empty();
        let placed = section.take::<Text>(&entry.node, key, hidden, notes);
        found.push((name.clone(), Placed { value: placed.value.0, key: placed.key, origin: placed.origin }));
    }
    found
}

/// The nearest of some names, when one is near.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= (name.len().max(other.len()) / 3).max(1))
        .min()
        .map(|(_, other)| other)
}

/// The default of a key, from the table.
fn default(path: &str, variables: &std::collections::BTreeMap<String, String>) -> Node {
    let key = keys::find(path).expect("every key that is read is in the table: a test reads them all");
    let text = format!("default = {}", key.default.expect("a key read with `get` has a default in the table"));
    let mut root = parse(&text).expect("the table holds TOML: a test reads it all");
    let world = super::text::World { variables: variables.clone(), read: &|_| Ok(String::new()) };
    // A default asks for no variable that must be set.
    super::text::interpolate(&mut root, path, &world, &mut Vec::new());
    let Value::Table(mut table) = root.value else { unreachable!("a document is a table") };
    let mut node = table.remove("default").expect("it was written two lines ago").node;
    node.origin = Origin::Default;
    node
}

fn wants(what: &str, node: &Node) -> String {
    format!("this must be {what}, and is {}: {}", node.kind(), node.text())
}

impl Read for String {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(wants("a text in quotes", node)),
        }
    }
    fn placeholder() -> Self {
        Self::new()
    }
}

/// A text, or a number or truth value taken as text: librdkafka's properties.
pub struct Text(pub String);

impl Read for Text {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::String(text) => Ok(Self(text.clone())),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => Ok(Self(node.text())),
            _ => Err(wants("a text, or `{ file = \"…\" }` where a file holds it", node)),
        }
    }
    fn placeholder() -> Self {
        Self(String::new())
    }
}

impl Read for bool {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::Boolean(truth) => Ok(*truth),
            Value::String(text) if node.is_lenient() => text.parse().map_err(|_| wants("true or false", node)),
            _ => Err(wants("true or false, without quotes", node)),
        }
    }
    fn placeholder() -> Self {
        false
    }
}

impl Read for u64 {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::Integer(number) => Self::try_from(*number).map_err(|_| wants("a whole number from 0 on", node)),
            Value::String(text) if node.is_lenient() => text.parse().map_err(|_| wants("a whole number", node)),
            _ => Err(wants("a whole number, without quotes", node)),
        }
    }
    fn placeholder() -> Self {
        1
    }
}

impl Read for f64 {
    fn read(node: &Node) -> Result<Self, String> {
        let number = match &node.value {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as Self),
            Value::String(text) if node.is_lenient() => text.parse().ok(),
            _ => None,
        };
        number
            .filter(|number| number.is_finite() && *number >= 0.0)
            .ok_or_else(|| wants("a number from 0 on, without quotes", node))
    }
    fn placeholder() -> Self {
        0.0
    }
}

impl Read for ByteSize {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::String(text) => text.parse().map_err(|error: crate::units::ParseByteSizeError| error.to_string()),
            Value::Integer(number) => u64::try_from(*number).map(Self::new).map_err(|_| wants("a size", node)),
            _ => Err(wants("a size, such as \"64MiB\"", node)),
        }
    }
    fn placeholder() -> Self {
        Self::mib(64)
    }
}

impl Read for Duration {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::String(text) => humantime::parse_duration(text).map_err(|error| {
                format!(
                    "`{text}` is no duration ({error}): write a number and a unit, such as \"500ms\", \"10s\", \"6h\""
                )
            }),
            Value::Integer(_) | Value::Float(_) => {
                let number = node.text();
                Err(format!(
                    "a duration needs a unit: write \"{number}s\" for seconds or \"{number}ms\" for milliseconds"
                ))
            }
            _ => Err(wants("a duration, such as \"500ms\"", node)),
        }
    }
    fn placeholder() -> Self {
        Self::from_secs(1)
    }
}

impl Read for Vec<String> {
    fn read(node: &Node) -> Result<Self, String> {
        match &node.value {
            Value::String(text) if node.is_lenient() => {
                Ok(text.split(',').map(|part| part.trim().to_owned()).collect())
            }
            Value::String(text) => Ok(vec![text.clone()]),
            Value::List(nodes) => nodes.iter().map(String::read).collect(),
            _ => Err(wants("a list of texts", node)),
        }
    }
    fn placeholder() -> Self {
        Self::new()
    }
}

/// One of some words.
pub struct Word<T>(pub T);

/// A set of words, each of which means something.
pub trait Words: Sized + Copy + 'static {
    /// The words, the placeholder first.
    const WORDS: &'static [(&'static str, Self)];
}

impl<T: Words> Read for Word<T> {
    fn read(node: &Node) -> Result<Self, String> {
        let words = || T::WORDS.iter().map(|(word, _)| *word);
        let all = || words().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let Value::String(text) = &node.value else {
            return Err(format!("this must be one of {}, in quotes", all()));
        };
        T::WORDS.iter().find(|(word, _)| word == text).map(|(_, meaning)| Self(*meaning)).ok_or_else(|| {
            let near = nearest(text, words()).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            format!("`{text}` is none of {}{near}", all())
        })
    }
    fn placeholder() -> Self {
        Self(T::WORDS[0].1)
    }
}
