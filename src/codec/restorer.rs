//! Records as a compressing pipeline wrote them, back into the records it read.

use std::sync::Arc;

use super::block::{BlockReader, DecodeLimits};
use super::seal::{Coding, Opened, open, sniff};
use super::{Algorithm, CONTENT_ENCODING, CodecError, Decoders, ModelRef, ModelSource};
use crate::record::{HeaderRefs, RecordRef};

/// Restores records, whatever mixture of codecs, layouts and ways to name them a topic holds.
pub struct Restorer {
    decoders: Decoders,
    limits: DecodeLimits,
    decoded: Vec<u8>,
    block: BlockReader,
}

/// A restored record.
pub struct Restored<'a> {
    /// What it was coded with; identity where it was not.
    pub algorithm: Algorithm,
    /// What it held.
    pub content: Content<'a>,
}

/// What a record turned out to hold.
pub enum Content<'a> {
    /// One record.
    Record(RecordRef<'a>),
    /// A block of records.
    Block(&'a BlockReader),
}

impl Restorer {
    /// A restorer that makes at most `max_bytes` of one record or block, and takes at most `max_records` from a block.
    pub fn new(models: &Arc<dyn ModelSource>, max_bytes: usize, max_records: usize) -> Self {
        Self {
            decoders: Decoders::new(models),
            limits: DecodeLimits { max_bytes, max_records },
            decoded: Vec::new(),
            block: BlockReader::default(),
        }
    }

    /// Restores a record. The last `content-encoding` header is ours, if there is one: the others came with the record.
    pub fn restore<'s, 'r: 's>(&'s mut self, record: &RecordRef<'r>) -> Result<Restored<'s>, CodecError> {
        let ours = record.headers.iter().rposition(|header| header.name == CONTENT_ENCODING);
        let mut headers: HeaderRefs<'s> = record.headers.iter().copied().collect();
        let coding = match ours {
            Some(index) => Some(Coding::of_token(headers.remove(index).value.unwrap_or_default())?),
            None => record.value.and_then(sniff),
        };
        let (Some(value), Some(coding)) = (record.value, coding) else {
            let content = Content::Record(with(record, record.value, headers));
            return Ok(Restored { algorithm: Algorithm::Identity, content });
        };
        self.decoded.clear();
        let limit = self.limits.max_bytes;
        let algorithm = match coding {
            Coding::Stream(algorithm) => {
                self.decoders.decode(algorithm, value, limit, &mut self.decoded)?;
                algorithm
            }
            Coding::Frame => match open(value)? {
                Opened::Record(frame) => {
                    let decoder = self.decoders.codec(frame.algorithm, ModelRef::of(frame.header.guard))?;
                    decoder.decode(frame.body, limit, &mut self.decoded)?;
                    frame.check(&self.decoded)?;
                    frame.algorithm
                }
                Opened::Block(algorithm) => {
                    self.block.decode(value, &mut self.decoders, &self.limits)?;
                    return Ok(Restored { algorithm, content: Content::Block(&self.block) });
                }
            },
        };
        Ok(Restored { algorithm, content: Content::Record(with(record, Some(&self.decoded), headers)) })
    }
}

/// A record with another value and other headers.
fn with<'s, 'r: 's>(record: &RecordRef<'r>, value: Option<&'s [u8]>, headers: HeaderRefs<'s>) -> RecordRef<'s> {
    RecordRef { key: record.key, value, headers, timestamp: record.timestamp, offset: record.offset }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::block::BlockBuilder;
    use crate::codec::{CodecSpec, LATENTD, NoModels, build, seal};
    use crate::record::{HeaderRef, Record, Timestamp};

    fn record<'a>(value: Option<&'a [u8]>, headers: &[HeaderRef<'a>]) -> RecordRef<'a> {
        RecordRef { key: Some(b"k"), value, headers: headers.into(), timestamp: Timestamp::create(7), offset: 3 }
    }

    /// A record that holds one record, restored.
    fn one(coded: &RecordRef<'_>) -> Record {
        match restorer().restore(coded).unwrap().content {
            Content::Record(restored) => restored.to_owned(),
            Content::Block(_) => panic!("it is no block"),
        }
    }

    fn restorer() -> Restorer {
        let models: Arc<dyn ModelSource> = Arc::new(NoModels);
        Restorer::new(&models, 1 << 20, 1000)
    }

    #[test]
    fn a_record_comes_back_under_its_header_and_under_none() {
        let models: Arc<dyn ModelSource> = Arc::new(NoModels);
        let own = HeaderRef { name: CONTENT_ENCODING, value: Some(b"of the record itself") };
        for algorithm in Algorithm::ALL {
            for raw in [&b"value value value value"[..], b"", b"BZh9 is how this value begins"] {
                let mut coded = Vec::new();
                build(CodecSpec::new(algorithm), &models).unwrap().encode(raw, &mut coded).unwrap();
                let named = HeaderRef { name: CONTENT_ENCODING, value: Some(algorithm.content_encoding().as_bytes()) };
                assert_eq!(
                    one(&record(Some(&coded), &[own, named])),
                    record(Some(raw), &[own]).to_owned(),
                    "{algorithm}"
                );
                let mut sealed = Vec::new();
                seal(algorithm, None, &coded, raw, &mut sealed);
                assert_eq!(
                    one(&record(Some(&sealed), &[])),
                    record(Some(raw), &[]).to_owned(),
                    "{algorithm}, no header"
                );
            }
        }
    }

    #[test]
    fn tombstones_and_plain_values_pass_as_they_are() {
        for value in [None, Some(&b""[..]), Some(b"plain")] {
            let plain = record(value, &[HeaderRef { name: "h", value: None }]);
            assert_eq!(one(&plain), plain.to_owned());
        }
        let named = HeaderRef { name: CONTENT_ENCODING, value: Some(b"zstd") };
        assert_eq!(one(&record(None, &[named])), record(None, &[]).to_owned());
    }

    #[test]
    fn a_block_comes_back_as_its_records() {
        let mut builder = BlockBuilder::default();
        let records = [record(Some(b"a"), &[]), record(None, &[HeaderRef { name: "h", value: Some(b"x") }])];
        records.iter().for_each(|record| builder.push(record));
        let mut block = Vec::new();
        builder.encode(&mut *build("gzip".parse().unwrap(), &(Arc::new(NoModels) as _)).unwrap(), &mut block).unwrap();
        let ours = HeaderRef { name: CONTENT_ENCODING, value: Some(LATENTD.as_bytes()) };
        for headers in [&[ours][..], &[]] {
            let mut restorer = restorer();
            let restored = restorer.restore(&record(Some(&block), headers)).unwrap();
            assert_eq!(restored.algorithm, Algorithm::Gzip);
            let Content::Block(back) = restored.content else { panic!("it is a block") };
            let back: Vec<Record> = back.records().map(|record| record.to_owned()).collect();
            assert_eq!(back, records.each_ref().map(RecordRef::to_owned));
        }
    }

    #[test]
    fn what_cannot_be_restored_says_why() {
        let mut restorer = restorer();
        let mut text = |value: &[u8], token: &'static str| {
            let named = HeaderRef { name: CONTENT_ENCODING, value: Some(token.as_bytes()) };
            restorer.restore(&record(Some(value), &[named])).map(|_| ()).unwrap_err().to_string()
        };
        assert!(text(b"x", "snappy").contains("`snappy`"));
        assert!(text(b"x", "zstd").contains("zstd stream"));
        assert!(text(b"x", LATENTD).contains("not a latentd frame"));
        let mut sealed = Vec::new();
        seal(Algorithm::Lzw, None, b"", b"", &mut sealed);
        sealed[4] ^= 1;
        assert!(restorer.restore(&record(Some(&sealed), &[])).is_err());
    }
}
