//! Framing as a whole: what goes in comes out, regular framing is small, and nothing from outside does harm.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::codec::block::{BlockBuilder, BlockReader, DecodeLimits, RowSink, Rows};
use crate::codec::{BlockCodec, Codec, Column, ColumnCodec};
use crate::frame::Reader;
use crate::model::columns::framing::artefact as framing_artefact;
use crate::model::columns::{ColumnsCodec, ColumnsModel, Options, artefact};
use crate::record::{Header, Record, RecordRef, Timestamp, TimestampKind};

/// What varies from topic to topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dress {
    /// The key is a field, the timestamp another, headers are alike.
    Regular,
    /// The key is a number of eight bytes, the timestamp a clock that jitters, a header goes on from the key; some records are deletions.
    Binary,
    /// No key, the broker's clock, which stands still for a batch, an identifier for each record.
    Broker,
}

/// Orders as a service writes them.
fn orders(from: u64, count: u64, dress: Dress) -> Vec<Record> {
    let mut clock = 1_700_000_000_000 + 40 * from as i64;
    let order = |i: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(i);
        let mut pick = |n: u64| rng.next_u64() % n;
        let (user, id, at) = (pick(90_000), 5_000 + i, 1_700_000_000_000 + 37 * i as i64 + pick(9) as i64);
        let value =
            format!(r#"{{"id":{id},"user":"u-{user}","at":{at},"city":"{}"}}"#, ["Split", "Zadar"][pick(2) as usize]);
        let header = |name: &str, value: String| Header { name: name.to_owned(), value: Some(value.into()) };
        let offset = 70_000 + i as i64 + i as i64 / 100;
        let value = Some(value.into_bytes().into());
        match dress {
            Dress::Regular => Record {
                key: Some(format!("\"u-{user}\"").into()),
                value,
                headers: vec![header("type", "order".to_owned()), header("id", format!("order/{id}"))],
                timestamp: Timestamp::create(at),
                offset,
            },
            Dress::Binary => {
                clock += 35 + pick(10) as i64;
                let number = user as i64 * 7 + 1;
                let gone = pick(10) == 0;
                Record {
                    key: Some(number.to_be_bytes().to_vec().into()),
                    value: value.filter(|_| !gone),
                    headers: if gone {
                        Vec::new()
                    } else {
                        vec![header("of", format!("key {number}")), header("of", "2".to_owned())]
                    },
                    timestamp: Timestamp::create(clock),
                    offset,
                }
            }
            Dress::Broker => {
                clock += if i.is_multiple_of(20) { 400 + pick(300) as i64 } else { 0 };
                Record {
                    key: None,
                    value,
                    headers: vec![header("trace", format!("{:016x}", pick(u64::MAX)))],
                    timestamp: Timestamp { kind: TimestampKind::LogAppendTime, millis: clock },
                    offset,
                }
            }
        }
    };
    (from..from + count).map(order).collect()
}

fn train(records: &[Record]) -> Arc<ColumnsModel> {
    let records: Vec<RecordRef<'_>> = records.iter().map(Record::as_ref).collect();
    let options = Options { effort: 4_000_000, ..Options::default() };
    Arc::new(ColumnsModel::train_records(&records, &options))
}

const DRESSES: [Dress; 3] = [Dress::Regular, Dress::Binary, Dress::Broker];

fn models() -> &'static [Arc<ColumnsModel>] {
    static MODELS: OnceLock<Vec<Arc<ColumnsModel>>> = OnceLock::new();
    MODELS.get_or_init(|| DRESSES.map(|dress| train(&orders(0, 3000, dress))).into())
}

fn pack(records: &[Record], codec: &mut dyn Codec) -> Vec<u8> {
    let (mut builder, mut block) = (BlockBuilder::default(), Vec::new());
    records.iter().for_each(|record| builder.push(&record.as_ref()));
    builder.encode(codec, &mut block).unwrap();
    block
}

fn unpack(block: &[u8], codec: &mut dyn Codec) -> Vec<Record> {
    let mut reader = BlockReader::default();
    reader.decode_with(block, codec, &DecodeLimits { max_bytes: 1 << 24, max_records: 1 << 16 }).unwrap();
    reader.records().map(|record| record.to_owned()).collect()
}

/// Whether the codec has coded what stands beside the values.
fn is_framed(block: &[u8]) -> bool {
    let mut body = Reader::new(block, 12);
    body.varint().unwrap();
    body.byte().unwrap() & 0x40 != 0
}

/// Bytes beside the values of a block.
fn beside(records: &[Record], block: &[u8], codec: &mut ColumnsCodec) -> usize {
    let mut column = Column::default();
    records.iter().filter_map(|record| record.value.as_ref()).for_each(|value| column.push(value));
    let mut values = Vec::new();
    codec.encode_column(column.as_ref(), &mut values).unwrap();
    block.len() - values.len()
}

#[test]
fn regular_framing_comes_back_and_costs_little() {
    // Of a timestamp's jitter 3.3 bits are news; of a trace 8 bytes; a deletion is one of ten, and its key is its own.
    for ((model, dress), most) in models().iter().zip(DRESSES).zip([0.12, 1.6, 9.0]) {
        let records = orders(3000, 1000, dress);
        let mut codec = ColumnsCodec::new(Arc::clone(model));
        let block = pack(&records, &mut codec);
        assert!(is_framed(&block), "{dress:?}");
        let each = beside(&records, &block, &mut codec) as f64 / records.len() as f64;
        println!("{dress:?}: {each:.3} bytes a record beside its value");
        assert!(each < most, "{dress:?}: {each} bytes a record");
        // A decoder that knows the artefact only, and one that has coded other blocks.
        let read = Arc::new(ColumnsModel::parse(model.artefact()).unwrap());
        assert!(read.knows_framing());
        assert_eq!(unpack(&block, &mut ColumnsCodec::new(read)), records, "{dress:?}");
        assert_eq!(unpack(&block, &mut codec), records, "{dress:?}");
        assert_eq!(pack(&records, &mut codec), block, "the same records make the same block");
    }
}

#[test]
fn what_was_not_learned_comes_back_too_and_costs_little_more_than_without() {
    let plain: Vec<Vec<u8>> =
        orders(0, 3000, Dress::Regular).iter().map(|record| record.value.clone().unwrap().to_vec()).collect();
    let plain: Vec<&[u8]> = plain.iter().map(Vec::as_slice).collect();
    let options = Options { effort: 4_000_000, ..Options::default() };
    let plain = Arc::new(ColumnsModel::train(&plain, &options));
    assert!(!plain.knows_framing());
    for (model, dress) in models().iter().zip(DRESSES) {
        for other in DRESSES {
            let records = orders(9000, 300, other);
            let mut codec = ColumnsCodec::new(Arc::clone(model));
            let block = pack(&records, &mut codec);
            assert_eq!(unpack(&block, &mut codec), records, "{dress:?} for {other:?}");
            let mut without = ColumnsCodec::new(Arc::clone(&plain));
            let generic = pack(&records, &mut without);
            let (ours, generic) = (beside(&records, &block, &mut codec), beside(&records, &generic, &mut without));
            assert!(ours <= generic + 8, "{dress:?} for {other:?}: {ours} and {generic} bytes beside the values");
        }
    }
}

#[test]
fn the_same_records_make_the_same_artefact() {
    let records = orders(0, 400, Dress::Binary);
    assert_eq!(train(&records).id(), train(&records).id());
    // Values only make the model that they make without framing, but for its framing.
    let values: Vec<&[u8]> = records.iter().filter_map(|record| record.value.as_deref()).collect();
    let options = Options { effort: 4_000_000, ..Options::default() };
    let plain = ColumnsModel::train(&values, &options);
    let framed = train(&records);
    assert_eq!(plain.artefact()[4], 3);
    assert_eq!(framed.artefact()[4], 4);
    assert_eq!(plain.artefact()[5..], framed.artefact()[5..plain.artefact().len()]);
    assert!(!ColumnsModel::train_records(&[], &options).knows_framing());
}

fn any_record() -> impl Strategy<Value = Record> {
    let bytes = || {
        prop::option::of(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..20),
            any::<i64>().prop_map(|number| number.to_be_bytes().to_vec()),
            (0u32..9).prop_map(|i| format!("\"u-{i}\"").into_bytes()),
        ])
    };
    let value = prop::option::of(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        (0u32..9, any::<i64>())
            .prop_map(|(i, at)| format!(r#"{{"id":7,"user":"u-{i}","at":{at},"city":"Split"}}"#).into_bytes()),
    ]);
    let name = prop::sample::select(vec!["type", "id", "of", "trace", "", "ü", "content-encoding"]);
    let headers = prop::collection::vec((name, bytes()), 0..4);
    let number =
        || prop_oneof![any::<i64>(), -3i64..3, Just(i64::MIN), Just(i64::MAX), 1_700_000_000_000i64..1_700_000_009_000];
    (bytes(), value, headers, number(), number()).prop_map(|(key, value, headers, millis, offset)| Record {
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers: headers
            .into_iter()
            .map(|(name, value)| Header { name: name.to_owned(), value: value.map(Into::into) })
            .collect(),
        timestamp: Timestamp::create(millis),
        offset,
    })
}

/// Codes records and decodes them, whether or not a container would rather code them itself.
fn through(records: &[Record], codec: &mut ColumnsCodec) -> Option<Vec<Record>> {
    let (framing, values) = coded(records, codec)?;
    let mut rows = Rows::default();
    let size: usize = records.iter().map(|record| record.as_ref().payload_len() + 200 * record.headers.len()).sum();
    codec.decode_block(&framing, &values, records.len(), &mut RowSink::new(&mut rows, 400 + 2 * size)).unwrap();
    Some(rows.records().map(|record| record.to_owned()).collect())
}

/// The two streams of a block.
fn coded(records: &[Record], codec: &mut ColumnsCodec) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut rows, mut column) = (Rows::default(), Column::default());
    records.iter().for_each(|record| rows.push(&record.as_ref()));
    records.iter().filter_map(|record| record.value.as_ref()).for_each(|value| column.push(value));
    let (mut framing, mut values) = (Vec::new(), Vec::new());
    codec.encode_block(&rows, column.as_ref(), &mut framing, &mut values).unwrap().then_some((framing, values))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_records_come_back(
        records in prop::collection::vec(any_record(), 1..30),
        append in any::<bool>(),
        mixed in prop::option::of(0usize..30),
    ) {
        let mut records = records;
        let kind = |append: bool| if append { TimestampKind::LogAppendTime } else { TimestampKind::CreateTime };
        for (i, record) in records.iter_mut().enumerate() {
            record.timestamp.kind = kind(append ^ (mixed == Some(i)));
        }
        for model in models() {
            let mut codec = ColumnsCodec::new(Arc::clone(model));
            let block = pack(&records, &mut codec);
            prop_assert_eq!(&unpack(&block, &mut codec), &records);
            let alike = records.iter().all(|record| record.timestamp.kind == records[0].timestamp.kind);
            match through(&records, &mut codec) {
                Some(decoded) => prop_assert_eq!(&decoded, &records),
                None => prop_assert!(!alike),
            }
        }
    }

    #[test]
    fn any_bytes_decode_to_an_error_or_to_records_within_the_limit(
        framing in prop::collection::vec(any::<u8>(), 0..80),
        head in prop::collection::vec(0u8..4, 0..2),
        count in 0usize..70,
    ) {
        for model in models() {
            let mut codec = ColumnsCodec::new(Arc::clone(model));
            let (_, values) = coded(&orders(50, 20, Dress::Regular), &mut codec).unwrap();
            for values in [&values, &framing] {
                judge(&mut codec, &[&head[..], &framing].concat(), values, count);
            }
        }
    }
}

/// Decodes what may be anything, under a small limit.
fn judge(codec: &mut ColumnsCodec, framing: &[u8], values: &[u8], count: usize) -> bool {
    const LIMIT: usize = 8 << 10;
    let mut rows = Rows::default();
    let decoded = codec.decode_block(framing, values, count, &mut RowSink::new(&mut rows, LIMIT));
    let strings = |record: RecordRef<'_>| {
        let headers: usize = record.headers.iter().filter_map(|header| header.value).map(<[u8]>::len).sum();
        record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
    };
    assert!(rows.len() <= count && rows.records().map(strings).sum::<usize>() <= LIMIT);
    decoded.is_ok()
}

#[test]
fn damage_anywhere_in_framing_is_an_error_or_other_records_but_no_panic() {
    for (model, dress) in models().iter().zip(DRESSES) {
        let records = orders(4000, 40, dress);
        let mut codec = ColumnsCodec::new(Arc::clone(model));
        let (framing, values) = coded(&records, &mut codec).unwrap();
        assert!(judge(&mut codec, &framing, &values, 40));
        for at in 0..framing.len() {
            // What is missing is read as nothing, which a checksum finds.
            judge(&mut codec, &framing[..at], &values, 40);
            for bit in 0..8 {
                let mut damaged = framing.clone();
                damaged[at] ^= 1 << bit;
                judge(&mut codec, &damaged, &values, 40);
            }
        }
        for count in [0, 39, 41] {
            judge(&mut codec, &framing, &values, count);
        }
        assert!(!judge(&mut codec, &framing, &values, 1 << 20), "{dress:?}: a million records in a few bytes");
        // A model without framing says so.
        let plain = ColumnsModel::train(&[b"{}"], &Options { effort: 0, ..Options::default() });
        assert!(ColumnsCodec::new(Arc::new(plain)).blocks().is_none());
        // In a block the checksum finds all of it.
        let block = pack(&records, &mut codec);
        let mut reader = BlockReader::default();
        for at in 0..block.len() {
            let mut damaged = block.clone();
            damaged[at] ^= 4;
            assert!(reader.decode_with(&damaged, &mut codec, &DecodeLimits::UNLIMITED).is_err(), "byte {at}");
        }
    }
}

#[test]
fn damage_anywhere_in_what_was_learned_is_an_error_or_another_model_but_no_panic() {
    let records = orders(0, 300, Dress::Binary);
    let model = train(&records);
    let parts = artefact::read(model.artefact()).unwrap();
    let framing = parts.framing.clone().unwrap();
    let mut bytes = Vec::new();
    framing_artefact::write(&framing, &mut bytes);
    let slots = parts.grammar.slots().len();
    let read = |bytes: &[u8]| framing_artefact::read(&mut Reader::new(bytes, 0), slots);
    assert_eq!(read(&bytes).unwrap(), framing);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (framing, values) = coded(&records[..40], &mut ColumnsCodec::new(Arc::clone(&model))).unwrap();
    let mut others = 0;
    for at in 0..bytes.len() {
        assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (rng.next_u32() % 8);
        let Ok(other) = read(&damaged) else { continue };
        let parts = crate::model::columns::parts::Parts { framing: Some(other), ..parts.clone() };
        let bytes = artefact::write(&parts);
        // What was read is a model like any other: it codes, and decodes what it has coded.
        if others % 16 == 0 {
            let mut codec = ColumnsCodec::new(Arc::new(ColumnsModel::parse(&bytes).unwrap()));
            assert_eq!(through(&records[..20], &mut codec).unwrap(), records[..20]);
            judge(&mut codec, &framing, &values, 40);
        }
        others += 1;
    }
    assert!(others > 100, "only {others} of {} changes made other models", bytes.len());
}
