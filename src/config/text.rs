//! From TOML text to a tree: places, environment variables, secrets in files.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::node::{Entry, Node, Origin, Value};

/// The world outside the file: environment variables, and files that hold secrets.
pub struct World<'a> {
    /// The environment, sorted by name.
    pub variables: BTreeMap<String, String>,
    /// Reads a file that holds a secret.
    pub read: &'a dyn Fn(&str) -> std::io::Result<String>,
}

/// Reads the text; what is no TOML at all is one problem.
pub fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let places = Places::new(text);
    match DeTable::parse(text) {
        Ok(table) => {
            let span = table.span();
            Ok(Node::new(Value::Table(convert_table(table.into_inner(), &places)), places.origin(span)))
        }
        Err(error) => Err(vec![Problem {
            key: String::new(),
            message: error.message().to_owned(),
            origin: error.span().map_or(Origin::Default, |span| places.origin(span)),
        }]),
    }
}

/// Where lines begin.
struct Places<'a> {
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines }
    }

    fn origin(&self, span: Range<usize>) -> Origin {
        let start = span.start.min(self.text.len());
        let end = span.end.clamp(start, self.text.len());
        let line = self.lines.partition_point(|begin| *begin <= start);
        let column = self.text[self.lines[line - 1]..start].chars().count() + 1;
        let length = self.text[start..end].lines().next().unwrap_or_default().chars().count();
        Origin::File { line, column, length: length.max(1) }
    }
}

fn convert_table(table: DeTable<'_>, places: &Places<'_>) -> BTreeMap<String, Entry> {
    table
        .into_iter()
        .map(|(key, value)| {
            let origin = places.origin(key.span());
            let span = value.span();
            let node = Node::new(convert(value.into_inner(), places), places.origin(span));
            (key.into_inner().into_owned(), Entry { key: origin, node })
        })
        .collect()
}

fn convert(value: DeValue<'_>, places: &Places<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            // A number beyond 64 bits stays text, and whoever wants a number says what is wrong with it.
            i64::from_str_radix(&digits, number.radix()).map_or(Value::Date(digits), Value::Integer)
        }
        DeValue::Float(number) => {
            let digits = number.as_str().replace('_', "");
            digits.parse().map_or(Value::Date(digits), Value::Float)
        }
        DeValue::Boolean(truth) => Value::Boolean(truth),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(array) => Value::List(
            array
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    Node::new(convert(item.into_inner(), places), places.origin(span))
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, places)),
    }
}

/// The prefix of variables that override keys. One that has no `__` in it is none of the configuration.
const PREFIX: &str = "LATENTD_";

/// Puts variables such as `LATENTD_KAFKA__BROKERS` over the keys they name.
///
/// Two underscores separate tables; names are compared without regard to case, and an underscore stands for any character
/// that a variable's name cannot have. In `kafka.properties` it stands for a dot.
pub fn overlay(root: &mut Node, world: &World<'_>) {
    for (name, text) in &world.variables {
        let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) else { continue };
        let parts: Vec<&str> = path.split("__").collect();
        set(root, &parts, "", &Node::new(Value::String(text.clone()), Origin::Variable(name.clone())));
    }
}

/// Puts a value where the parts of a variable's name say.
fn set(node: &mut Node, parts: &[&str], above: &str, value: &Node) {
    let Some((part, parts)) = parts.split_first() else {
        node.clone_from(value);
        return;
    };
    if node.table().is_none() {
        // A variable that names something below a value: whoever reads the value says what is wrong with a table.
        node.value = Value::Table(BTreeMap::new());
        node.origin.clone_from(&value.origin);
    }
    let Value::Table(table) = &mut node.value else { return };
    let key = spelled(part, table, above);
    let empty =
        || Entry { key: value.origin.clone(), node: Node::new(Value::Table(BTreeMap::new()), value.origin.clone()) };
    set(&mut table.entry(key.clone()).or_insert_with(empty).node, parts, &key, value);
}

/// The key that a part of a variable's name stands for: one that is there, or how a new one would be written.
fn spelled(part: &str, table: &BTreeMap<String, Entry>, above: &str) -> String {
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_ascii_lowercase();
    let wanted = plain(part);
    table
        .keys()
        .find(|key| plain(key) == wanted)
        .cloned()
        .unwrap_or_else(|| if above == "properties" { wanted.replace('_', ".") } else { wanted })
}

/// Replaces `${NAME}` and `${NAME:-default}` in every text; `$${` is how to write `${`.
pub fn interpolate(node: &mut Node, key: &str, world: &World<'_>, problems: &mut Vec<Problem>) {
    match &mut node.value {
        Value::String(text) if matches!(node.origin, Origin::File { .. }) && text.contains('$') => {
            match substitute(text, world) {
                Ok((replaced, names)) => {
                    *text = replaced;
                    node.through.extend(names.into_iter().map(|name| format!("${{{name}}}")));
                }
                Err(message) => problems.push(Problem { key: key.to_owned(), message, origin: node.origin.clone() }),
            }
        }
        Value::List(nodes) => nodes.iter_mut().for_each(|node| interpolate(node, key, world, problems)),
        Value::Table(table) => {
            for (name, entry) in table {
                interpolate(&mut entry.node, &joined(key, name), world, problems);
            }
        }
        _ => {}
    }
}

fn substitute(text: &str, world: &World<'_>) -> Result<(String, Vec<String>), String> {
    let mut out = String::new();
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix("${") {
            out.push_str("${");
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let end = inner.find('}').ok_or("`${` has no `}`: write `${NAME}`, or `$${` for these two characters")?;
            let (name, default) = match inner[..end].split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (&inner[..end], None),
            };
            let value = world.variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
            match value.or(default) {
                Some(value) => out.push_str(value),
                None => {
                    return Err(format!(
                        "environment variable `{name}` is not set: set it, or write `${{{name}:-default}}`"
                    ));
                }
            }
            names.push(name.to_owned());
            rest = &inner[end + 1..];
        } else {
            // Patterns and passwords have dollar signs too.
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok((out, names))
}

/// Replaces `{ file = "…" }` by the file's content, without its last line break, where a secret may stand.
pub fn read_secrets(root: &mut Node, world: &World<'_>, problems: &mut Vec<Problem>) {
    for (above, below) in
        [(&["kafka", "properties"][..], None), (&["registry", "options"], None), (&["admin"], Some("token"))]
    {
        let Some(Value::Table(table)) = descend(root, above).map(|node| &mut node.value) else { continue };
        for (name, entry) in table.iter_mut().filter(|(name, _)| below.is_none_or(|below| below == name.as_str())) {
            let key = joined(&above.join("."), name);
            read_secret(&mut entry.node, key, world, problems);
        }
    }
}

/// The node below another, when it is there.
fn descend<'a>(node: &'a mut Node, path: &[&str]) -> Option<&'a mut Node> {
    let Some((part, path)) = path.split_first() else { return Some(node) };
    let Value::Table(table) = &mut node.value else { return None };
    descend(&mut table.get_mut(*part)?.node, path)
}

fn read_secret(node: &mut Node, key: String, world: &World<'_>, problems: &mut Vec<Problem>) {
    let Value::Table(table) = &node.value else { return };
    let path = match table.iter().next() {
        Some((name, Entry { node: Node { value: Value::String(path), .. }, .. }))
            if name == "file" && table.len() == 1 =>
        {
            path.clone()
        }
        _ => return,
    };
    match (world.read)(&path) {
        Ok(content) => {
            node.value = Value::String(content.trim_end_matches(['\r', '\n']).to_owned());
            node.through.push(format!("file {path}"));
        }
        Err(error) => {
            let message = format!("cannot read the secret's file `{path}`: {error}");
            problems.push(Problem { key, message, origin: node.origin.clone() });
            node.value = Value::String(String::new());
        }
    }
}

/// A key below another.
pub fn joined(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(variables: &[(&str, &str)]) -> World<'static> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        World { variables, read: &|path| Ok(format!("content of {path}\n")) }
    }

    fn at<'a>(node: &'a Node, path: &str) -> &'a Node {
        path.split('/').fold(node, |node, part| &node.table().unwrap()[part].node)
    }

    #[test]
    fn a_value_knows_its_line_and_column() {
        let root = parse("# ü\n[a]\nb = \"ü\"\n  \"c.d\" = [1, 2]\n").unwrap();
        assert_eq!(at(&root, "a/b").origin, Origin::File { line: 3, column: 5, length: 3 });
        assert_eq!(
            root.table().unwrap()["a"].node.table().unwrap()["c.d"].key,
            Origin::File { line: 4, column: 3, length: 5 }
        );
        let Err(problems) = parse("a = 1\nb = = 2\n") else { panic!("this is no TOML") };
        assert!(matches!(problems[0].origin, Origin::File { line: 2, .. }), "{problems:?}");
    }

    #[test]
    fn texts_take_variables_and_say_which() {
        let world = world(&[("HOST", "h1"), ("EMPTY", "")]);
        for (text, expected) in [
            ("${HOST}-x", Ok("h1-x")),
            ("${NONE:-d}", Ok("d")),
            ("${EMPTY:-d}", Ok("d")),
            ("$$5", Ok("$$5")),
            ("^app\\..*$", Ok("^app\\..*$")),
            ("${NONE}", Err("`NONE` is not set")),
            ("${HOST", Err("has no `}`")),
            ("a$b$", Ok("a$b$")),
            ("$${HOST}", Ok("${HOST}")),
        ] {
            match (substitute(text, &world), expected) {
                (Ok((replaced, _)), Ok(expected)) => assert_eq!(replaced, expected),
                (Err(message), Err(expected)) => assert!(message.contains(expected), "{message}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn variables_stand_over_the_keys_they_name_however_these_are_spelled() {
        let mut root = parse("[pipelines.flights-back]\ncodec = \"zstd\"\n[kafka]\nbrokers = [\"a:1\"]\n").unwrap();
        overlay(
            &mut root,
            &world(&[
                ("LATENTD_PIPELINES__FLIGHTS_BACK__CODEC", "xz"),
                ("LATENTD_KAFKA__PROPERTIES__SECURITY_PROTOCOL", "ssl"),
                ("LATENTD_KAFKA__BROKERS", "b:1,c:2"),
                ("LATENTD_DATA", "/data"),
            ]),
        );
        assert_eq!(at(&root, "pipelines/flights-back/codec").value, Value::String("xz".into()));
        assert_eq!(at(&root, "kafka/properties/security.protocol").value, Value::String("ssl".into()));
        assert_eq!(at(&root, "kafka/brokers").origin, Origin::Variable("LATENTD_KAFKA__BROKERS".into()));
        assert_eq!(root.table().unwrap().len(), 2);
    }

    #[test]
    fn secrets_come_out_of_files_where_secrets_may_stand() {
        let text = "[admin]\ntoken = { file = \"t\" }\n[kafka.properties]\n\"sasl.password\" = { file = \"p\" }\n\
                    [pipelines.p]\nfrom = { file = \"no\" }\n";
        let mut root = parse(text).unwrap();
        let mut problems = Vec::new();
        read_secrets(&mut root, &world(&[]), &mut problems);
        assert_eq!(at(&root, "admin/token").value, Value::String("content of t".into()));
        assert_eq!(at(&root, "kafka/properties/sasl.password").value, Value::String("content of p".into()));
        assert!(at(&root, "pipelines/p/from").table().is_some());
        assert_eq!(problems, []);
        let mut root = parse(text).unwrap();
        let refuse = |_: &str| Err(std::io::Error::from(std::io::ErrorKind::PermissionDenied));
        let world = World { variables: BTreeMap::new(), read: &refuse };
        read_secrets(&mut root, &world, &mut problems);
        assert_eq!(problems.len(), 2);
    }
}
