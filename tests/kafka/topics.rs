//! Topics of a test's broker: made, filled, read to their end by a client of the test's own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use latentd::record::{Header, Record, Timestamp, TimestampKind};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::Broker;

const ASK: Duration = Duration::from_secs(30);

/// Records by partition.
pub type Partitions = BTreeMap<i32, Vec<Record>>;

impl Broker {
    /// Makes a topic.
    pub fn create(&self, topic: &str, partitions: i32, properties: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        for (name, value) in properties {
            new = new.set(name, value);
        }
        let results = block_on(admin.create_topics([&new], &AdminOptions::new().operation_timeout(Some(ASK)))).unwrap();
        results.into_iter().for_each(|result| drop(result.unwrap()));
        // The metadata of a new topic spreads a moment later.
        self.until(|| (self.partitions(topic) == Some(partitions)).then_some(()));
    }

    /// A topic's number of partitions, if there is such a topic.
    pub fn partitions(&self, topic: &str) -> Option<i32> {
        let consumer: BaseConsumer = self.client().set("allow.auto.create.topics", "false").create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), ASK).unwrap();
        let found = metadata.topics().first().filter(|topic| topic.error().is_none())?;
        i32::try_from(found.partitions().len()).ok()
    }

    /// How many members a consumer group has, if the broker can say so now.
    pub fn group_members(&self, group: &str) -> Option<usize> {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let list = consumer.fetch_group_list(Some(group), Duration::from_secs(5)).ok()?;
        list.groups().first().map(|group| group.members().len())
    }

    /// Asks again and again until there is an answer.
    pub fn until<T>(&self, mut ask: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + ASK;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(Instant::now() < deadline, "it did not happen in time");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Produces records, each to its partition. With `transactional`, in committed transactions, between which others are
    /// aborted.
    pub fn produce(&self, topic: &str, records: &Partitions, transactional: bool) {
        let mut config = self.client();
        config.set("linger.ms", "5").set("enable.idempotence", "true").set("compression.type", "zstd");
        config.set("queue.buffering.max.messages", "1000000").set("message.max.bytes", "50000000");
        if transactional {
            config.set("transactional.id", format!("test-{topic}"));
        }
        let producer: BaseProducer = config.create().unwrap();
        if transactional {
            producer.init_transactions(ASK).unwrap();
        }
        for (partition, records) in records {
            let chunks = records.chunks(if transactional { 5000 } else { usize::MAX });
            for (round, chunk) in chunks.enumerate() {
                if transactional {
                    producer.begin_transaction().unwrap();
                    if round % 2 == 0 {
                        for record in &chunk[..chunk.len().min(50)] {
                            let mut ghost = record.clone();
                            ghost.value = Some(Bytes::from_static(b"of an aborted transaction"));
                            send(&producer, topic, *partition, &ghost);
                        }
                        flush(&producer);
                        producer.abort_transaction(ASK).unwrap();
                        producer.begin_transaction().unwrap();
                    }
                }
                chunk.iter().for_each(|record| send(&producer, topic, *partition, record));
                flush(&producer);
                if transactional {
                    producer.commit_transaction(ASK).unwrap();
                }
            }
        }
    }

    /// Produces records as they are, without compression.
    pub fn produce_plain(&self, topic: &str, records: &Partitions) {
        let producer: BaseProducer =
            self.client().set("linger.ms", "5").set("queue.buffering.max.messages", "1000000").create().unwrap();
        for (partition, records) in records {
            records.iter().for_each(|record| send(&producer, topic, *partition, record));
        }
        flush(&producer);
    }

    /// Deletes a topic.
    pub fn delete(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        block_on(admin.delete_topics(&[topic], &AdminOptions::new())).unwrap();
    }

    /// Reads a topic, committed records only, until it holds `count` records, and then to its end: what is there that
    /// should not be comes back too.
    pub fn consume(&self, topic: &str, count: usize, patience: Duration) -> Partitions {
        let partitions = self.until(|| self.partitions(topic));
        let mut reader = TopicReader::open(self, topic, partitions);
        let deadline = Instant::now() + patience;
        while reader.count < count {
            reader.poll();
            assert!(
                Instant::now() < deadline,
                "`{topic}` holds {} of {count} records after {patience:?}",
                reader.count
            );
        }
        reader.read_to_the_end();
        reader.records
    }
}

/// A reader of a topic that remembers everything.
pub struct TopicReader {
    consumer: BaseConsumer,
    partitions: i32,
    ended: Vec<bool>,
    /// What it has read.
    pub records: Partitions,
    /// How many records it has read.
    pub count: usize,
}

impl TopicReader {
    /// Reads from the beginning.
    pub fn open(broker: &Broker, topic: &str, partitions: i32) -> Self {
        let consumer: BaseConsumer = broker
            .client()
            .set("group.id", "test")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("fetch.queue.backoff.ms", "10")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let records = (0..partitions).map(|partition| (partition, Vec::new())).collect();
        Self { consumer, partitions, ended: vec![false; partitions as usize], records, count: 0 }
    }

    /// Takes what comes within a moment.
    pub fn poll(&mut self) {
        match self.consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                self.ended[message.partition() as usize] = false;
                self.count += 1;
                let record = own(&message);
                self.records.get_mut(&message.partition()).unwrap().push(record);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => self.ended[partition as usize] = true,
            // A broker that restarts is found again.
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            ))) => {}
            Some(Err(error)) => panic!("{error}"),
        }
    }

    /// Reads on until every partition says that there is no more.
    pub fn read_to_the_end(&mut self) {
        let deadline = Instant::now() + ASK;
        self.ended = vec![false; self.partitions as usize];
        // The ends seen before may be old: ask for each anew.
        for partition in 0..self.partitions {
            let (_, end) = self.consumer.fetch_watermarks(&self.topic(), partition, ASK).unwrap();
            while self.position(partition) < end && !self.ended[partition as usize] {
                self.poll();
                assert!(Instant::now() < deadline, "partition {partition} has no end");
            }
        }
    }

    fn topic(&self) -> String {
        self.consumer.assignment().unwrap().elements()[0].topic().to_owned()
    }

    fn position(&self, partition: i32) -> i64 {
        let positions = self.consumer.position().unwrap();
        match positions.elements().iter().find(|element| element.partition() == partition).map(|e| e.offset()) {
            Some(Offset::Offset(offset)) => offset,
            _ => 0,
        }
    }
}

/// A reader of several topics that remembers nothing: it hands out each committed record once, in order.
pub struct Follower {
    consumer: BaseConsumer,
}

impl Follower {
    /// Follows these topics, which have so many partitions each, from the beginning.
    pub fn open(broker: &Broker, topics: &[String], partitions: i32) -> Self {
        let consumer: BaseConsumer = broker
            .client()
            .set("group.id", "test")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..partitions {
                list.add_partition_offset(topic, partition, Offset::Offset(0)).unwrap();
            }
        }
        consumer.assign(&list).unwrap();
        Self { consumer }
    }

    /// The next record with its topic and partition, if one comes in time.
    pub fn poll(&self, patience: Duration) -> Option<(String, i32, Record)> {
        match self.consumer.poll(patience)? {
            Ok(message) => Some((message.topic().to_owned(), message.partition(), own(&message))),
            // A broker that restarts is found again.
            Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            )) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

fn own<M: Message>(message: &M) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| Header { name: header.key.to_owned(), value: header.value.map(Bytes::copy_from_slice) })
            .collect()
    });
    let timestamp = match message.timestamp() {
        rdkafka::Timestamp::NotAvailable => Timestamp::create(-1),
        rdkafka::Timestamp::CreateTime(millis) => Timestamp::create(millis),
        rdkafka::Timestamp::LogAppendTime(millis) => Timestamp { kind: TimestampKind::LogAppendTime, millis },
    };
    Record {
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers,
        timestamp,
        offset: message.offset(),
    }
}

/// The text of a record's only header of this name.
pub fn header_text<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let mut found = record.headers.iter().filter(|header| header.name == name);
    let value = found.next()?.value.as_deref()?;
    assert!(found.next().is_none(), "`{name}` is there twice");
    Some(std::str::from_utf8(value).unwrap())
}

/// The number in a record's only header of this name.
pub fn number_of(record: &Record, name: &str) -> i64 {
    header_text(record, name).unwrap_or_else(|| panic!("no `{name}` in {record:?}")).parse().unwrap()
}

/// Queues a record.
pub fn send(producer: &BaseProducer, topic: &str, partition: i32, record: &Record) {
    let mut headers = OwnedHeaders::new();
    for header in &record.headers {
        headers = headers.insert(rdkafka::message::Header { key: &header.name, value: header.value.as_deref() });
    }
    let mut base: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to(topic).partition(partition).timestamp(record.timestamp.millis).headers(headers);
    if let Some(key) = &record.key {
        base = base.key(key);
    }
    if let Some(value) = &record.value {
        base = base.payload(value);
    }
    while let Err((error, back)) = producer.send(base) {
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
        producer.poll(Duration::from_millis(10));
        base = back;
    }
}

/// Waits until everything queued is acknowledged.
pub fn flush(producer: &BaseProducer) {
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(5));
    }
}

/// Asserts that a topic holds these records: partition, order, key, value, headers and timestamps.
pub fn assert_same(expected: &Partitions, found: &Partitions, what: &str) {
    for (partition, expected) in expected {
        let found = &found[partition];
        for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
            let same = expected.key == found.key
                && expected.value == found.value
                && expected.headers == found.headers
                && expected.timestamp.millis == found.timestamp.millis;
            assert!(same, "{what}: partition {partition}, record {index}:\nexpected {expected:?}\nfound    {found:?}");
        }
        assert_eq!(expected.len(), found.len(), "{what}: records in partition {partition}");
    }
}
