//! How a client of the cluster is set up, and what its errors mean to us.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Where the cluster is and how to speak to it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port` of some brokers.
    pub brokers: Vec<String>,
    /// librdkafka properties, passed on as they are. May hold secrets: `Debug` prints names only.
    pub properties: BTreeMap<String, String>,
}

impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSettings")
            .field("brokers", &self.brokers)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl KafkaSettings {
    /// Whether these are the brokers inside this process, which can do less than real ones.
    pub fn are_embedded(&self) -> bool {
        super::embedded::runs(&self.brokers)
    }

    /// A client configuration with the brokers, our own settings, and the user's on top of them.
    pub(crate) fn client_config(&self, ours: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.brokers.join(","));
        config.set("client.id", "latentd");
        // A broker that comes back is found within a second, not within the default ten.
        config.set("reconnect.backoff.max.ms", "1000");
        config.set_log_level(RDKafkaLogLevel::Warning);
        for (name, value) in ours {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }
}

/// What an error asks us to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diagnosis {
    /// Nobody answers: wait and try again, for ever.
    Unreachable,
    /// The brokers know us and refuse: a human must change rights or a password, then it goes on by itself.
    Refused,
    /// A topic that must be there is not.
    MissingTopic,
    /// Wait and call again.
    Retriable,
    /// The transaction must be aborted and its records read again.
    Abortable,
    /// Another producer has our transactional id, or another member our place.
    Fenced,
    /// The record is larger than the topic allows.
    TooLarge,
    /// The client is beyond repair: drop it and make a new one.
    Fatal,
}

impl Diagnosis {
    /// The kind of error under which repeated log lines are counted: a closed set.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::MissingTopic => "missing_topic",
            Self::Retriable => "retriable",
            Self::Abortable => "abortable",
            Self::Fenced => "fenced",
            Self::TooLarge => "too_large",
            Self::Fatal => "fatal",
        }
    }
}

/// An error of the Kafka client, with what it means and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {text}{remedy}")]
pub struct ClientError {
    /// What it asks us to do.
    pub diagnosis: Diagnosis,
    /// What was being done.
    pub doing: &'static str,
    /// What the library said.
    pub text: String,
    /// What a human can do; empty or starts with `: `.
    pub remedy: &'static str,
}

impl ClientError {
    /// An error that we found ourselves.
    pub fn new(diagnosis: Diagnosis, doing: &'static str, text: impl Into<String>) -> Self {
        Self { diagnosis, doing, text: text.into(), remedy: remedy(diagnosis) }
    }

    /// Whether waiting may help, without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self.diagnosis, Diagnosis::Unreachable | Diagnosis::Retriable)
    }

    /// Sorts an error of the library.
    pub(crate) fn from_kafka(doing: &'static str, error: &KafkaError) -> Self {
        let diagnosis = match error {
            KafkaError::Transaction(error) => {
                let sorted = diagnose(error.code());
                if error.is_retriable() {
                    Diagnosis::Retriable
                } else if error.txn_requires_abort() {
                    Diagnosis::Abortable
                } else if error.is_fatal() && sorted != Diagnosis::Fenced {
                    Diagnosis::Fatal
                } else {
                    match sorted {
                        // A call that failed without saying "retry" or "abort" leaves the producer in doubt.
                        Diagnosis::Unreachable | Diagnosis::Retriable => Diagnosis::Fatal,
                        other => other,
                    }
                }
            }
            KafkaError::MessageConsumptionFatal(_) | KafkaError::ClientCreation(_) => Diagnosis::Fatal,
            other => other.rdkafka_error_code().map_or(Diagnosis::Retriable, diagnose),
        };
        let text = match error {
            KafkaError::Transaction(error) => format!("{} ({})", error.string(), error.name()),
            other => other.rdkafka_error_code().map_or_else(|| other.to_string(), |code| code.to_string()),
        };
        Self::new(diagnosis, doing, text)
    }
}

fn diagnose(code: RDKafkaErrorCode) -> Diagnosis {
    use RDKafkaErrorCode as Code;
    match code {
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve | Code::OperationTimedOut => {
            Diagnosis::Unreachable
        }
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SSL => Diagnosis::Refused,
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => Diagnosis::MissingTopic,
        Code::MessageSizeTooLarge => Diagnosis::TooLarge,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId => Diagnosis::Fenced,
        Code::Fatal | Code::OutOfOrderSequenceNumber | Code::UnknownProducerId => Diagnosis::Fatal,
        Code::IllegalGeneration | Code::UnknownMemberId | Code::AssignmentLost => Diagnosis::Abortable,
        _ => Diagnosis::Retriable,
    }
}

fn remedy(diagnosis: Diagnosis) -> &'static str {
    match diagnosis {
        Diagnosis::Unreachable => ": check `kafka.brokers`, the network and, with TLS, `security.protocol`",
        Diagnosis::Refused => {
            ": check `sasl.username`, `sasl.password` and `security.protocol` in [kafka.properties], and the \
             principal's ACLs (Read on source topics and the group, Write on target topics and the transactional id)"
        }
        Diagnosis::MissingTopic => ": create the topic, or correct its name in the configuration",
        Diagnosis::Fenced => ": another running process has the same `daemon.name` and `daemon.instance`",
        Diagnosis::TooLarge => ": raise the topic's `max.message.bytes`",
        Diagnosis::Retriable | Diagnosis::Abortable | Diagnosis::Fatal => "",
    }
}

/// A line of the library's own log. That a connection failed is told as an error too, with what can be done about it, and
/// again at every attempt: such lines are for those who look for details.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    let level = match level {
        RDKafkaLogLevel::Debug => log::Level::Debug,
        _ if facility == "FAIL" => log::Level::Debug,
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => log::Level::Info,
        RDKafkaLogLevel::Warning => log::Level::Warn,
        _ => log::Level::Error,
    };
    log::log!(target: "librdkafka", level, "{facility} {line}");
}

/// Keeps the newest complaint of a client's background threads, which no call returns.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    newest: Mutex<Option<ClientError>>,
}

impl Complaints {
    /// Takes what `ClientContext::error` is given.
    pub(crate) fn note(&self, error: &KafkaError, reason: &str) {
        // Told twice: here and by `poll`, which is where the end of a partition is taken.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        let mut sorted = ClientError::from_kafka("talking to the brokers", error);
        // How long it took this time makes every repetition a text of its own.
        let reason = reason.rsplit_once(" (after ").map_or(reason, |(reason, _)| reason);
        sorted.text = format!("{}: {reason}", sorted.text);
        let mut newest = self.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // "All brokers down" follows a refusal and must not hide it.
        let hides = matches!(&*newest, Some(old) if old.diagnosis == Diagnosis::Refused)
            && sorted.diagnosis != Diagnosis::Refused;
        if !hides {
            *newest = Some(sorted);
        }
    }

    /// The newest complaint, once.
    pub(crate) fn take(&self) -> Option<ClientError> {
        self.newest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

/// The context of clients that are no member of a group: those that ask (metadata, offsets, admin) and those that scan.
#[derive(Default)]
pub(crate) struct AskingContext {
    pub(crate) complaints: Complaints,
}

impl ClientContext for AskingContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.note(&error, reason);
    }
}

impl ConsumerContext for AskingContext {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_not_hidden_by_the_brokers_that_are_down_because_of_it() {
        let complaints = Complaints::default();
        complaints.note(&KafkaError::Global(RDKafkaErrorCode::Authentication), "SASL: wrong password");
        complaints.note(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let error = complaints.take().unwrap();
        assert_eq!(error.diagnosis, Diagnosis::Refused);
        assert!(error.to_string().contains("wrong password"), "{error}");
        assert!(error.to_string().contains("sasl.password"), "{error}");
        assert_eq!(complaints.take(), None);
    }

    #[test]
    fn settings_never_print_the_values_of_properties() {
        let settings = KafkaSettings {
            brokers: vec!["b:9092".into()],
            properties: [("sasl.password".to_owned(), "hunter2".to_owned())].into(),
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
