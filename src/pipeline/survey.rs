//! What a pipeline would find on the cluster, asked without changing anything there.

use std::time::{Duration, Instant};

use super::replication;
use super::settings::{DeadLetter, Settings};
use super::topology::sources;
use crate::record::TopicPartition;
use crate::sink::topics::TopicAdmin;
use crate::source::topics::{TopicInfo, TopicReader};
use crate::source::{ClientError, Diagnosis, KafkaSettings, Positions};

/// How long one answer may take.
const ASK: Duration = Duration::from_secs(10);

/// What a question to the cluster brought to light.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As it must be.
    Right(String),
    /// The pipeline runs, and does not keep everything that it promises.
    Warning(String),
    /// The pipeline cannot run.
    Wrong(ClientError),
}

/// Asks for the source topics, the target and dead-letter topics, and the group's committed offsets. One answer per
/// question; what follows from an answer that is missing is not asked.
///
/// The right to write cannot be asked for without writing: a refusal shows itself when the pipeline starts.
pub fn survey(settings: &Settings, kafka: &KafkaSettings, group: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    if let Err(error) = ask(settings, kafka, group, &mut answers) {
        answers.push(Answer::Wrong(error));
    }
    answers
}

fn ask(settings: &Settings, kafka: &KafkaSettings, group: &str, answers: &mut Vec<Answer>) -> Result<(), ClientError> {
    let reader = TopicReader::connect(kafka)?;
    let admin = TopicAdmin::connect(kafka)?;
    let sources = sources(settings, &reader, &|| {})?;
    for source in &sources {
        let max = admin.max_message_bytes(&source.name, ASK)?;
        answers.push(Answer::Right(format!(
            "reads `{}`: {} partitions, messages up to {max} bytes",
            source.name, source.partitions
        )));
    }
    let mut present = Vec::new();
    for source in &sources {
        let target = settings.to.resolve(&source.name);
        let mut look = |what, name: &str| {
            let answer = match written(&reader, &admin, what, name, source, settings.create_topics) {
                Ok((answer, replicas)) => {
                    present.extend(replicas.map(|replicas| (name.to_owned(), replicas)));
                    Answer::Right(answer)
                }
                Err(error) => Answer::Wrong(error),
            };
            answers.push(answer);
        };
        look("writes", &target);
        if let Some(augment) = settings.augment.as_ref().filter(|augment| augment.to != settings.to) {
            let augmented = augment.to.resolve(&source.name);
            look("generated records go to", &augmented);
        }
        if let DeadLetter::Topic(template) = &settings.dead_letter {
            let dead = template.resolve(&source.name);
            look("dead letters go to", &dead);
        }
    }
    let partitions: Vec<TopicPartition> = sources
        .iter()
        .flat_map(|source| (0..source.partitions).map(|number| TopicPartition::new(source.name.as_str(), number)))
        .collect();
    let committed = committed(&TopicReader::in_group(kafka, group)?, &partitions)?;
    answers.push(Answer::Right(format!(
        "group `{group}` has committed offsets of {} of {} partitions",
        committed.len(),
        partitions.len()
    )));
    // The question for offsets makes the topic that holds them, on a new cluster.
    answers.extend(replication::warning(settings.delivery, &present, &reader, ASK).map(Answer::Warning));
    Ok(())
}

/// The group's offsets. A cluster that has never had a group makes its topic of offsets at the first question, and answers
/// "not now" until that is done.
fn committed(reader: &TopicReader, partitions: &[TopicPartition]) -> Result<Positions, ClientError> {
    let deadline = Instant::now() + ASK * 2;
    loop {
        match reader.committed(partitions, ASK) {
            Err(error) if error.is_passing() && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(300));
            }
            answer => return answer,
        }
    }
}

/// What to say about a topic that is written, and how many replicas it has if it is there.
fn written(
    reader: &TopicReader,
    admin: &TopicAdmin,
    what: &str,
    name: &str,
    source: &TopicInfo,
    create: bool,
) -> Result<(String, Option<usize>), ClientError> {
    match reader.topic(name, ASK) {
        Ok(info) => {
            let max = admin.max_message_bytes(name, ASK)?;
            let note = if info.partitions == source.partitions {
                ""
            } else {
                "; the source has another number, so keys are hashed anew"
            };
            let answer = format!("{what} `{name}`: {} partitions, messages up to {max} bytes{note}", info.partitions);
            Ok((answer, Some(info.replicas)))
        }
        Err(error) if error.diagnosis == Diagnosis::MissingTopic && create => {
            Ok((format!("{what} `{name}`: will be created with {} partitions", source.partitions), None))
        }
        Err(error) if error.diagnosis == Diagnosis::MissingTopic => {
            let text = format!("no topic `{name}`, and `create_topics` is false");
            Err(ClientError::new(Diagnosis::MissingTopic, "looking a topic up", text))
        }
        Err(error) => Err(error),
    }
}
