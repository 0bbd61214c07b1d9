//! What a pipeline would find on the cluster, asked without changing anything there.

use std::time::{Duration, Instant};

use super::settings::{DeadLetter, Settings};
use super::topology::sources;
use crate::record::TopicPartition;
use crate::sink::topics::TopicAdmin;
use crate::source::topics::{TopicInfo, TopicReader};
use crate::source::{ClientError, Diagnosis, KafkaSettings, Positions};

/// How long one answer may take.
const ASK: Duration = Duration::from_secs(10);

/// Asks for the source topics, the target and dead-letter topics, and the group's committed offsets. One answer per
/// question; what follows from an answer that is missing is not asked.
///
/// The right to write cannot be asked for without writing: a refusal shows itself when the pipeline starts.
pub fn survey(settings: &Settings, kafka: &KafkaSettings, group: &str) -> Vec<Result<String, ClientError>> {
    let mut answers = Vec::new();
    if let Err(error) = ask(settings, kafka, group, &mut answers) {
        answers.push(Err(error));
    }
    answers
}

type Answers = Vec<Result<String, ClientError>>;

fn ask(settings: &Settings, kafka: &KafkaSettings, group: &str, answers: &mut Answers) -> Result<(), ClientError> {
    let reader = TopicReader::connect(kafka)?;
    let admin = TopicAdmin::connect(kafka)?;
    let sources = sources(settings, &reader, &|| {})?;
    for source in &sources {
        let max = admin.max_message_bytes(&source.name, ASK)?;
        answers
            .push(Ok(format!("reads `{}`: {} partitions, messages up to {max} bytes", source.name, source.partitions)));
    }
    for source in &sources {
        let target = settings.to.resolve(&source.name);
        answers.push(written(&reader, &admin, "writes", &target, source, settings.create_topics));
        if let DeadLetter::Topic(template) = &settings.dead_letter {
            let dead = template.resolve(&source.name);
            answers.push(written(&reader, &admin, "dead letters go to", &dead, source, settings.create_topics));
        }
    }
    let partitions: Vec<TopicPartition> = sources
        .iter()
        .flat_map(|source| (0..source.partitions).map(|number| TopicPartition::new(source.name.as_str(), number)))
        .collect();
    let committed = committed(&TopicReader::in_group(kafka, group)?, &partitions)?;
    answers.push(Ok(format!(
        "group `{group}` has committed offsets of {} of {} partitions",
        committed.len(),
        partitions.len()
    )));
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

fn written(
    reader: &TopicReader,
    admin: &TopicAdmin,
    what: &str,
    name: &str,
    source: &TopicInfo,
    create: bool,
) -> Result<String, ClientError> {
    match reader.topic(name, ASK) {
        Ok(info) => {
            let max = admin.max_message_bytes(name, ASK)?;
            let note = if info.partitions == source.partitions {
                ""
            } else {
                "; the source has another number, so keys are hashed anew"
            };
            Ok(format!("{what} `{name}`: {} partitions, messages up to {max} bytes{note}", info.partitions))
        }
        Err(error) if error.diagnosis == Diagnosis::MissingTopic && create => {
            Ok(format!("{what} `{name}`: will be created with {} partitions", source.partitions))
        }
        Err(error) if error.diagnosis == Diagnosis::MissingTopic => {
            let text = format!("no topic `{name}`, and `create_topics` is false");
            Err(ClientError::new(Diagnosis::MissingTopic, "looking a topic up", text))
        }
        Err(error) => Err(error),
    }
}
