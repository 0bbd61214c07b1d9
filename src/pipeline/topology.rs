//! Which topic goes where, looked up before a worker starts: sources must exist, targets are made when they may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::settings::{DeadLetter, Settings, SourceTopics};
use super::{inheritance, replication};
use crate::sink::topics::{DEFAULT_MAX_MESSAGE_BYTES, TopicAdmin, TopicProperties};
use crate::source::topics::{TopicInfo, TopicReader};
use crate::source::{ClientError, Diagnosis, KafkaSettings};

/// Where generated records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Augmented {
    /// The topic.
    pub topic: Arc<str>,
    /// Its number of partitions.
    pub partitions: i32,
    /// Largest record batch that it takes.
    pub max_batch: usize,
}

/// Where records of one source topic go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Target topic.
    pub target: Arc<str>,
    /// Its number of partitions.
    pub target_partitions: i32,
    /// Topic of generated records, where some are generated.
    pub augmented: Option<Augmented>,
    /// Dead-letter topic; `None` stops the pipeline instead.
    pub dead_letter: Option<Arc<str>>,
    /// Its number of partitions.
    pub dead_letter_partitions: i32,
    /// Partitions of the source topic.
    pub source_partitions: i32,
    /// Largest record batch that the target takes.
    pub target_max_batch: usize,
    /// Largest record batch that the dead-letter topic takes.
    pub dead_letter_max_batch: usize,
}

impl Route {
    /// The target partition of a record: the same number where the counts agree; otherwise by the key's hash, or,
    /// without a key, folded, so that order within a source partition stays.
    pub fn partition(source: i32, source_count: i32, target_count: i32, has_key: bool) -> Option<i32> {
        if source_count == target_count {
            Some(source)
        } else if has_key {
            None
        } else {
            Some(source % target_count.max(1))
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self {
            target: "t.z".into(),
            target_partitions: 4,
            augmented: None,
            dead_letter: Some("t.dead".into()),
            dead_letter_partitions: 4,
            source_partitions: 4,
            target_max_batch: 1 << 20,
            dead_letter_max_batch: 1 << 20,
        }
    }
}

/// All routes of a pipeline, by source topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    routes: BTreeMap<String, Arc<Route>>,
    retention_ms: Option<i64>,
}

/// How long to wait for one answer.
const ASK: Duration = Duration::from_secs(10);

/// Room that a dead letter's added headers take over the record itself.
const DEAD_LETTER_ROOM: usize = 16 << 10;

impl Topology {
    /// A topology of known routes, by source topic.
    #[cfg(test)]
    pub(crate) fn of(routes: impl IntoIterator<Item = (String, Route)>) -> Self {
        let routes = routes.into_iter().map(|(topic, route)| (topic, Arc::new(route))).collect();
        Self { routes, retention_ms: None }
    }

    /// Looks everything up, and creates what is missing and may be created. `beat` is called between any two questions.
    pub fn resolve(settings: &Settings, kafka: &KafkaSettings, beat: &dyn Fn()) -> Result<Self, ClientError> {
        let reader = TopicReader::connect(kafka)?;
        let sources = sources(settings, &reader, beat)?;
        let admin = TopicAdmin::connect(kafka)?;
        let mut routes = BTreeMap::new();
        let (mut written, mut retention_ms) = (Vec::new(), None);
        for source in sources {
            beat();
            if !source.is_led {
                reader.until_led(&source.name, ASK, beat)?;
            }
            let target = settings.to.resolve(&source.name);
            let properties = admin.properties(&source.name, ASK)?;
            let wanted = inheritance::of_target(&properties, !settings.keeps_keys());
            let (target_info, target_properties) =
                target_topic(&reader, &admin, &target, source.partitions, settings.create_topics, &wanted, beat)?;
            written.push((target.clone(), target_info.replicas));
            let target_max_batch = target_properties.max_message_bytes;
            retention_ms = longest(retention_ms, target_properties.retention_ms);
            let mut route = Route {
                target: target.as_str().into(),
                target_partitions: target_info.partitions,
                augmented: None,
                dead_letter: None,
                dead_letter_partitions: 0,
                source_partitions: source.partitions,
                target_max_batch,
                dead_letter_max_batch: 0,
            };
            if let Some(augment) = &settings.augment {
                beat();
                let name = augment.to.resolve(&source.name);
                // Generated records have no keys by which a topic could be compacted.
                let wanted = inheritance::of_target(&properties, true);
                let (info, own) =
                    target_topic(&reader, &admin, &name, source.partitions, settings.create_topics, &wanted, beat)?;
                route.augmented = Some(Augmented {
                    topic: name.as_str().into(),
                    partitions: info.partitions,
                    max_batch: own.max_message_bytes,
                });
                written.push((name, info.replicas));
            }
            if let DeadLetter::Topic(template) = &settings.dead_letter {
                beat();
                let name = template.resolve(&source.name);
                // A record that is too large for its target must still fit here.
                let room = properties.max_message_bytes.max(target_max_batch) + DEAD_LETTER_ROOM;
                let wanted = inheritance::of_dead_letters(&properties, room);
                let (info, own) =
                    target_topic(&reader, &admin, &name, source.partitions, settings.create_topics, &wanted, beat)?;
                route.dead_letter = Some(name.as_str().into());
                route.dead_letter_partitions = info.partitions;
                route.dead_letter_max_batch = own.max_message_bytes;
                written.push((name, info.replicas));
            }
            routes.insert(source.name, Arc::new(route));
        }
        if let Some(warning) = replication::warning(settings.delivery, &written, &reader, ASK) {
            tracing::warn!(pipeline = &*settings.name, "{warning}");
        }
        Ok(Self { routes, retention_ms })
    }

    /// The route of a source topic.
    pub fn route(&self, source_topic: &str) -> Option<&Arc<Route>> {
        self.routes.get(source_topic)
    }

    /// The largest record batch that some topic written takes.
    pub fn max_record(&self) -> usize {
        self.batch_limits().max().unwrap_or(DEFAULT_MAX_MESSAGE_BYTES)
    }

    /// The largest batch of several records that every topic written takes.
    pub fn max_batch(&self) -> usize {
        self.batch_limits().min().unwrap_or(DEFAULT_MAX_MESSAGE_BYTES)
    }

    fn batch_limits(&self) -> impl Iterator<Item = usize> {
        self.routes.values().flat_map(|route| {
            let dead = route.dead_letter.as_ref().map(|_| route.dead_letter_max_batch);
            let augmented = route.augmented.as_ref().map(|augmented| augmented.max_batch);
            [Some(route.target_max_batch), augmented, dead].into_iter().flatten()
        })
    }

    /// How long a target keeps its records, the longest of all, in milliseconds; -1 for ever.
    pub fn retention_ms(&self) -> Option<i64> {
        self.retention_ms
    }

    /// The source topics.
    pub fn source_topics(&self) -> impl Iterator<Item = &str> {
        self.routes.keys().map(String::as_str)
    }
}

/// The topics that the pipeline reads, as the cluster has them.
pub(super) fn sources(
    settings: &Settings,
    reader: &TopicReader,
    beat: &dyn Fn(),
) -> Result<Vec<TopicInfo>, ClientError> {
    match &settings.from {
        SourceTopics::Names(names) => {
            let ask = |name: &String| {
                beat();
                reader.topic(name, ASK)
            };
            names.iter().map(ask).collect()
        }
        SourceTopics::Pattern(pattern) => {
            let doing = "looking for source topics";
            let regex = Regex::new(pattern)
                .map_err(|error| ClientError::new(Diagnosis::MissingTopic, doing, error.to_string()))?;
            let mut topics = reader.list(ASK)?;
            // What we write must not match: the pipeline would read its own output.
            let ours: Vec<String> = topics
                .iter()
                .filter(|topic| regex.is_match(&topic.name))
                .flat_map(|topic| {
                    let dead = match &settings.dead_letter {
                        DeadLetter::Topic(template) => Some(template.resolve(&topic.name)),
                        DeadLetter::Stop => None,
                    };
                    let augmented = settings.augment.as_ref().map(|augment| augment.to.resolve(&topic.name));
                    [Some(settings.to.resolve(&topic.name)), augmented, dead].into_iter().flatten()
                })
                .collect();
            topics.retain(|topic| regex.is_match(&topic.name) && !topic.name.starts_with("__"));
            if let Some(loops) = topics.iter().find(|topic| ours.contains(&topic.name)) {
                let text = format!("`{}` is written by this pipeline and matches its pattern `{pattern}`", loops.name);
                return Err(ClientError::new(Diagnosis::MissingTopic, doing, text));
            }
            if topics.is_empty() {
                return Err(ClientError::new(Diagnosis::MissingTopic, doing, format!("no topic matches `{pattern}`")));
            }
            Ok(topics)
        }
    }
}

fn target_topic(
    reader: &TopicReader,
    admin: &TopicAdmin,
    name: &str,
    partitions: i32,
    create: bool,
    properties: &BTreeMap<String, String>,
    beat: &dyn Fn(),
) -> Result<(TopicInfo, TopicProperties), ClientError> {
    let info = match reader.topic(name, ASK) {
        Ok(info) => info,
        Err(error) if error.diagnosis == Diagnosis::MissingTopic && create => {
            admin.create(name, partitions, properties, ASK)?;
            tracing::info!(topic = name, partitions, "created topic");
            reader.until_led(name, ASK, beat)?;
            reader.topic(name, ASK)?
        }
        Err(error) if error.diagnosis == Diagnosis::MissingTopic => {
            let text = format!("no target topic `{name}`, and `create_topics` is false");
            return Err(ClientError::new(Diagnosis::MissingTopic, "looking a topic up", text));
        }
        Err(error) => return Err(error),
    };
    Ok((info, admin.properties(name, ASK)?))
}

/// The longer of two times that topics keep their records; what is negative is for ever.
fn longest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) if a < 0 || b < 0 => Some(a.min(b)),
        _ => a.max(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_several_retentions_counts_and_for_ever_is_longer() {
        for (a, b, is) in
            [(None, None, None), (None, Some(5), Some(5)), (Some(7), Some(5), Some(7)), (Some(-1), Some(5), Some(-1))]
        {
            assert_eq!([longest(a, b), longest(b, a)], [is; 2]);
        }
    }

    #[test]
    fn a_record_keeps_its_partition_where_it_can_and_its_order_everywhere() {
        assert_eq!(Route::partition(3, 4, 4, true), Some(3));
        assert_eq!(Route::partition(3, 4, 4, false), Some(3));
        assert_eq!(Route::partition(3, 4, 2, true), None);
        assert_eq!(Route::partition(3, 4, 2, false), Some(1));
    }
}
