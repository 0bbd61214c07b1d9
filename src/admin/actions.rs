//! What the admin server can ask of the daemon.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The daemon, as the admin server sees it. Calls may block: each runs on a thread for that.
pub trait Actions: Send + Sync + 'static {
    /// Reads the configuration again.
    fn reload(&self) -> Result<ReloadSummary, ActionError>;
    /// Makes a pipeline finish its transaction and consume nothing more.
    fn pause(&self, pipeline: &str) -> Result<(), ActionError>;
    /// Makes a paused pipeline go on.
    fn resume(&self, pipeline: &str) -> Result<(), ActionError>;
    /// Makes a pipeline train as soon as there is enough to learn from.
    fn train(&self, pipeline: &str) -> Result<(), ActionError>;
    /// The manifests of all models.
    fn models(&self) -> Result<Vec<Value>, ActionError>;
    /// The manifest of one model, by its id or a prefix that only it has.
    fn model(&self, id: &str) -> Result<Value, ActionError>;
    /// Puts a model to use in a pipeline, or in the one that it was made for; what is in force then.
    fn promote(&self, id: &str, pipeline: Option<&str>) -> Result<Value, ActionError>;
    /// Draws records from the model that a pipeline publishes from. Publishes nothing.
    fn generate(&self, pipeline: &str, request: &GenerateRequest) -> Result<Generated, ActionError>;
    /// Takes a pipeline's last promotion back; what is in force then.
    fn rollback(&self, pipeline: &str, of: Role) -> Result<Value, ActionError>;
}

/// What a pipeline uses a model for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// To code, and to draw from it where it draws.
    #[default]
    Codec,
    /// Only to draw from it.
    Generator,
}

/// What a reload changed, by the names of pipelines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReloadSummary {
    /// Started.
    pub added: Vec<String>,
    /// Stopped.
    pub removed: Vec<String>,
    /// Stopped and started with other settings.
    pub restarted: Vec<String>,
    /// Left alone.
    pub unchanged: Vec<String>,
}

impl fmt::Display for ReloadSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = [("added", &self.added), ("removed", &self.removed), ("restarted", &self.restarted)];
        let parts: Vec<String> = changed
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        f.write_str(&if parts.is_empty() { "nothing has changed".to_owned() } else { parts.join("; ") })
    }
}

/// Records that are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateRequest {
    /// How many: 1 to 1,000.
    #[serde(default = "ten")]
    pub count: u32,
    /// What all chance comes from.
    #[serde(default)]
    pub seed: u64,
    /// The values that fields are to have, by their paths: texts, numbers, true, false or null. Without it records are drawn as the
    /// pipeline draws them.
    #[serde(default, rename = "where", deserialize_with = "fixed")]
    #[schema(value_type = Option<BTreeMap<String, serde_json::Value>>)]
    pub condition: Option<BTreeMap<String, String>>,
}

fn ten() -> u32 {
    10
}

/// What fields are to have, written as in the records, texts without quotes.
fn fixed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    let Some(values) = Option::<BTreeMap<String, Value>>::deserialize(deserializer)? else { return Ok(None) };
    let text = |(field, value): (String, Value)| match value {
        Value::String(text) => Ok((field, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok((field, value.to_string())),
        Value::Array(_) | Value::Object(_) => {
            let message = format!("`where.{field}` must be a text, a number, true, false or null");
            Err(<D::Error as serde::de::Error>::custom(message))
        }
    };
    values.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

/// Records that were drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Generated {
    /// The model that they were drawn from.
    pub model: String,
    /// Its generator's family.
    pub generator: String,
    /// The media type of a record.
    pub content_type: String,
    /// The report that lets the pipeline publish from the model; absent under another condition than it was judged under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// `training` or `not-for-training`; the latter under another condition than the model was judged under.
    pub usage: String,
    /// The seed.
    pub seed: u64,
    /// Records that are not valid, which the pipeline would not publish either: others were drawn in their place.
    pub left_out: u64,
    /// The records, in the order of their numbers; fewer than asked for where hardly one that is drawn is valid.
    pub records: Vec<GeneratedRecord>,
}

/// A record that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GeneratedRecord {
    /// Its number under the seed.
    pub index: u64,
    /// The condition under which it was drawn, where there was one.
    #[serde(rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<String, String>,
    /// The record, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The record, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
    /// The headers that a pipeline would give it, from which anybody with the model draws it again.
    pub headers: Vec<GeneratedHeader>,
}

/// A header of a record that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct GeneratedHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Why an action was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// What was asked for makes no sense, or the configuration has errors.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be done while the daemon runs.
    #[error("{0}")]
    Conflict(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Something that it needs does not answer: later it may.
    #[error("{0}")]
    Unavailable(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_has_texts_numbers_booleans_and_nulls() {
        let read = |text: &str| serde_json::from_str::<GenerateRequest>(text);
        let request = read(r#"{"where":{"age":39,"gain":-1.5,"sex":"Female","own":true,"end":null}}"#).unwrap();
        let expected = [("age", "39"), ("end", "null"), ("gain", "-1.5"), ("own", "true"), ("sex", "Female")];
        let expected = expected.map(|(field, value)| (field.to_owned(), value.to_owned()));
        assert_eq!(request.condition, Some(BTreeMap::from(expected)));
        assert_eq!((read("{}").unwrap().condition, read(r#"{"where":null}"#).unwrap().condition), (None, None));
        let refused = read(r#"{"where":{"age":[39]}}"#).unwrap_err().to_string();
        assert!(refused.contains("`where.age` must be a text, a number"), "{refused}");
    }
}
