//! The block container: consecutive records of one partition as columns, each coded by the codec.
//!
//! ```text
//! header (8 bytes) | checksum (4, only where the header names a model) | records: varint
//! methods: byte    | integers: varint length, stream                   | headers | keys | values
//! ```
//!
//! All numbers (offsets, timestamps and their kinds, lengths, which header names a record has) lie in one stream of
//! [`IntegerEncoder`](crate::frame::IntegerEncoder). The bytes of header names and values, of keys, and of values are a
//! column each: left as they are, coded by the codec, or, for the values, handed whole and with their boundaries to a codec
//! that takes columns. A codec that takes whole blocks codes the rest as well, where that is smaller: methods, then what
//! stands beside the values as one piece, then the values. The checksum covers what is decoded and every byte of the block but itself, so that no damage
//! passes, not even where a stream has bits that mean nothing. A block decodes on its own. `FORMAT.md` has every bit of it.

mod builder;
mod columns;
mod reader;
mod rows;

pub use builder::BlockBuilder;
pub use columns::Records;
pub use reader::{BlockReader, DecodeLimits};
pub use rows::{RowSink, Rows};

/// How a byte column is coded: two bits of the methods byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// As it is; its length is the sum of its values' lengths.
    Plain = 0,
    /// One stream of the codec.
    Coded = 1,
    /// One column of the codec, boundaries included.
    Column = 2,
}

impl Method {
    /// The method of the column that stands `index`th in the methods byte: headers, keys, values.
    fn of(methods: u8, index: u32) -> Option<Self> {
        match (methods >> (2 * index)) & 3 {
            0 => Some(Self::Plain),
            1 => Some(Self::Coded),
            2 => Some(Self::Column),
            _ => None,
        }
    }

    fn bits(self, index: u32) -> u8 {
        (self as u8) << (2 * index)
    }
}

/// Places in the methods byte.
const HEADERS: u32 = 0;
const KEYS: u32 = 1;
const VALUES: u32 = 2;

/// The bits of the methods byte that say that the codec has coded all that stands beside the values.
const FRAMED: u8 = 1 << 6;

/// Length of the checksum, which stands right before the body.
const CHECKSUM_LEN: usize = 4;

/// The length of what is null.
const NULL: i64 = -1;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::codec::{
        Algorithm, Codec, CodecError, CodecSpec, Column, ColumnCodec, ColumnRef, Decoders, ModelId, ModelSource,
        NoModels, build,
    };
    use crate::frame::HEADER_LEN;
    use crate::record::{Header, Record, Timestamp, TimestampKind};

    fn models() -> Arc<dyn ModelSource> {
        Arc::new(NoModels)
    }

    fn record(offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
        let owned = |bytes: Option<&[u8]>| bytes.map(bytes::Bytes::copy_from_slice);
        let timestamp = Timestamp::create(offset.wrapping_add(1_700_000_000_000));
        Record { key: owned(key), value: owned(value), headers: Vec::new(), timestamp, offset }
    }

    fn header(name: &str, value: Option<&[u8]>) -> Header {
        Header { name: name.to_owned(), value: value.map(bytes::Bytes::copy_from_slice) }
    }

    fn pack(records: &[Record], codec: &mut dyn Codec) -> Vec<u8> {
        let mut builder = BlockBuilder::default();
        records.iter().for_each(|record| builder.push(&record.as_ref()));
        let mut packed = b"before".to_vec();
        builder.encode(codec, &mut packed).unwrap();
        packed.split_off(6)
    }

    fn unpack(packed: &[u8], limits: &DecodeLimits) -> Result<Vec<Record>, CodecError> {
        let mut reader = BlockReader::default();
        reader.decode(packed, &mut Decoders::new(&models()), limits)?;
        Ok(reader.records().map(|record| record.to_owned()).collect())
    }

    fn odd_records() -> Vec<Record> {
        let mut records = vec![
            record(5, None, None),
            record(6, Some(b""), Some(b"")),
            record(7, Some(b"key"), Some(b"value")),
            record(9, Some(&[0xff, 0xfe]), Some(&[0x80; 300])),
        ];
        records[0].headers = vec![header("a", None), header("a", Some(b"")), header("", Some(&[0xc3, 0x28]))];
        records[2].headers = vec![header("b", Some(b"x")), header("a", Some(b"y"))];
        records[3].headers = vec![header("a", Some(b"y")), header("b", Some(b"x"))];
        records[1].timestamp = Timestamp { kind: TimestampKind::LogAppendTime, millis: i64::MIN };
        records[2].timestamp = Timestamp::create(i64::MAX);
        records[3].timestamp = Timestamp::create(-1);
        records
    }

    #[test]
    fn odd_records_come_back_exactly_through_every_codec() {
        for algorithm in Algorithm::ALL {
            let mut codec = build(CodecSpec::new(algorithm), &models()).unwrap();
            for records in [odd_records(), Vec::new(), vec![record(i64::MAX, None, None), record(i64::MIN, None, None)]]
            {
                let packed = pack(&records, &mut *codec);
                assert_eq!(unpack(&packed, &DecodeLimits::UNLIMITED).unwrap(), records, "{algorithm}");
            }
        }
    }

    #[test]
    fn regular_records_cost_little_more_than_their_coded_values() {
        let value = |i: i64| format!("{{\"id\":{i},\"city\":\"Zagreb\",\"count\":{}}}", i * 37 % 11);
        let mut codec = build("zstd".parse().unwrap(), &models()).unwrap();
        for (count, most) in [(10, 110), (1000, 200)] {
            let records: Vec<Record> = (0..count)
                .map(|i| {
                    let mut record = record(1000 + i, Some(b"k"), Some(value(i).as_bytes()));
                    record.headers = vec![header("source", Some(b"eu-1"))];
                    record
                })
                .collect();
            let values: Vec<u8> = (0..count).flat_map(|i| value(i).into_bytes()).collect();
            let mut coded = Vec::new();
            codec.encode(&values, &mut coded).unwrap();
            let packed = pack(&records, &mut *codec);
            let beside = packed.len() - coded.len().min(values.len());
            // Ten keys and ten header values are left as they are, 50 bytes of them; the lengths of a thousand values,
            // which vary with their numbers, take 70 bytes.
            assert!(beside <= most, "{count} records: {beside} bytes beside the values");
        }
    }

    #[test]
    fn limits_are_kept_and_said() {
        let records: Vec<Record> = (0..100).map(|i| record(i, None, Some(&[7; 1000]))).collect();
        let packed = pack(&records, &mut *build("zstd".parse().unwrap(), &models()).unwrap());
        let limits = DecodeLimits { max_bytes: 99_999, max_records: 1000 };
        assert!(matches!(unpack(&packed, &limits), Err(CodecError::LimitExceeded { limit: 99_999 })));
        let limits = DecodeLimits { max_bytes: 1 << 20, max_records: 99 };
        assert!(matches!(unpack(&packed, &limits), Err(CodecError::Frame(_))));
        let limits = DecodeLimits { max_bytes: 1 << 20, max_records: 100 };
        assert_eq!(unpack(&packed, &limits).unwrap().len(), 100);
    }

    #[test]
    fn a_builder_knows_whether_a_reader_holds_its_records() {
        let mut builder = BlockBuilder::default();
        odd_records().iter().for_each(|record| builder.push(&record.as_ref()));
        let mut packed = Vec::new();
        builder.encode(&mut *build("zlib".parse().unwrap(), &models()).unwrap(), &mut packed).unwrap();
        let mut reader = BlockReader::default();
        reader.decode(&packed, &mut Decoders::new(&models()), &DecodeLimits::UNLIMITED).unwrap();
        assert!(builder.holds(&reader));
        builder.push(&record(10, None, None).as_ref());
        assert!(!builder.holds(&reader));
    }

    /// A codec that takes columns: swaps the bits of every value and writes the boundaries itself.
    struct Swapper;

    impl Codec for Swapper {
        fn algorithm(&self) -> Algorithm {
            Algorithm::Identity
        }
        fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
            output.extend(input.iter().map(|byte| !byte));
            Ok(())
        }
        fn decode(&mut self, input: &[u8], _limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
            self.encode(input, output)
        }
        fn columns(&mut self) -> Option<&mut dyn ColumnCodec> {
            Some(self)
        }
        fn model(&self) -> Option<ModelId> {
            Some(ModelId::of(b"swapper"))
        }
    }

    impl ColumnCodec for Swapper {
        fn encode_column(&mut self, values: ColumnRef<'_>, output: &mut Vec<u8>) -> Result<(), CodecError> {
            values.ends.iter().for_each(|end| output.extend_from_slice(&end.to_le_bytes()));
            self.encode(values.bytes, output)
        }
        fn decode_column(
            &mut self,
            input: &[u8],
            count: usize,
            limit: usize,
            column: &mut Column,
        ) -> Result<(), CodecError> {
            let (ends, bytes) =
                input.split_at_checked(4 * count).ok_or(CodecError::Truncated { algorithm: Algorithm::Identity })?;
            if bytes.len() > limit {
                return Err(CodecError::LimitExceeded { limit });
            }
            column.ends.extend(ends.chunks_exact(4).map(|end| u32::from_le_bytes([end[0], end[1], end[2], end[3]])));
            self.decode(bytes, limit, &mut column.bytes)
        }
    }

    #[test]
    fn a_codec_that_takes_columns_gets_the_values_with_their_boundaries_and_is_named_in_the_header() {
        let records = odd_records();
        let packed = pack(&records, &mut Swapper);
        assert_eq!(packed[4..HEADER_LEN], ModelId::of(b"swapper").prefix());
        let mut reader = BlockReader::default();
        reader.decode_with(&packed, &mut Swapper, &DecodeLimits::UNLIMITED).unwrap();
        let unpacked: Vec<Record> = reader.records().map(|record| record.to_owned()).collect();
        assert_eq!(unpacked, records);
        let Err(CodecError::MissingModel(missing)) = unpack(&packed, &DecodeLimits::UNLIMITED) else {
            panic!("a decoder without the model must say so")
        };
        assert!(missing.to_string().contains("no model"), "{missing}");
        for at in 0..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 4;
            assert!(reader.decode_with(&damaged, &mut Swapper, &DecodeLimits::UNLIMITED).is_err(), "byte {at}");
        }
    }

    #[test]
    fn damage_at_any_byte_and_any_cut_is_an_error() {
        let mut records = odd_records();
        records.extend((10..40).map(|i| record(i, Some(b"k"), Some(format!("value {i}").as_bytes()))));
        let limits = DecodeLimits { max_bytes: 1 << 20, max_records: 1 << 16 };
        for codec in ["identity", "zstd", "huffman", "deflate", "brotli", "lzw"] {
            let packed = pack(&records, &mut *build(codec.parse().unwrap(), &models()).unwrap());
            for cut in 0..packed.len() {
                assert!(unpack(&packed[..cut], &limits).is_err(), "{codec} cut at {cut}");
            }
            for at in 0..packed.len() {
                for bit in 0..8 {
                    let mut damaged = packed.clone();
                    damaged[at] ^= 1 << bit;
                    assert!(unpack(&damaged, &limits).is_err(), "{codec}: bit {bit} of byte {at}");
                }
            }
            let mut longer = packed.clone();
            longer.push(0);
            assert!(unpack(&longer, &limits).is_err(), "{codec} with a byte behind it");
        }
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
        let name = prop::sample::select(vec!["a", "b", "content-encoding", "", "ü"]);
        let headers = prop::collection::vec((name, bytes()), 0..4);
        (bytes(), bytes(), headers, any::<i64>(), any::<bool>(), any::<i64>()).prop_map(
            |(key, value, headers, millis, append, offset)| Record {
                key: key.map(Into::into),
                value: value.map(Into::into),
                headers: headers.iter().map(|(name, value)| header(name, value.as_deref())).collect(),
                timestamp: Timestamp {
                    kind: if append { TimestampKind::LogAppendTime } else { TimestampKind::CreateTime },
                    millis,
                },
                offset,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_records_come_back(
            batches in prop::collection::vec(prop::collection::vec(any_record(), 0..30), 1..4),
            codec in prop::sample::select(vec!["identity", "zstd", "huffman", "lz4"]),
        ) {
            // One builder and one reader for all blocks, as a worker has them.
            let mut codec = build(codec.parse().unwrap(), &models()).unwrap();
            let mut decoders = Decoders::new(&models());
            let (mut builder, mut reader) = (BlockBuilder::default(), BlockReader::default());
            for records in batches {
                builder.clear();
                records.iter().for_each(|record| builder.push(&record.as_ref()));
                prop_assert_eq!(builder.records(), records.len());
                let mut packed = Vec::new();
                builder.encode(&mut *codec, &mut packed).unwrap();
                reader.decode(&packed, &mut decoders, &DecodeLimits::UNLIMITED).unwrap();
                prop_assert!(builder.holds(&reader));
                let unpacked: Vec<Record> = reader.records().map(|record| record.to_owned()).collect();
                prop_assert_eq!(unpacked, records);
            }
        }

        #[test]
        fn bytes_that_are_no_block_are_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), codec in 0u8..13) {
            let mut block = vec![0x91, 0x4c, 0x11, codec, 1, 2, 3, 4];
            block.extend_from_slice(&bytes);
            let limits = DecodeLimits { max_bytes: 1 << 16, max_records: 1000 };
            prop_assert!(unpack(&block, &limits).is_err());
        }
    }
}
