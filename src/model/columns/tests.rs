//! The codec as a whole: what goes in comes out, whatever comes in.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::codec::block::{BlockBuilder, BlockReader, DecodeLimits};
use crate::codec::{
    Algorithm, Codec, CodecError, Column, ColumnCodec, Content, Decoders, LearnedCodecs, MissingModel, ModelRef,
    ModelSource, NoModels, Restorer, seal,
};
use crate::model::{Condition, DrawError, Generator, Learned};
use crate::record::{Header, Record, Timestamp};

/// Records as services write them: optional keys, arrays, times, decimals, escapes, free text.
fn service(from: u64, count: u64) -> Vec<Vec<u8>> {
    let record = |i: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(i);
        let mut pick = |n: u64| rng.next_u64() % n;
        let optional = if pick(3) == 0 { r#","note":"a \"quoted\" word \u00e9""# } else { "" };
        let tags: Vec<String> = (0..pick(4)).map(|_| format!("\"t{}\"", pick(5))).collect();
        let user = if pick(5) == 0 { "null".to_owned() } else { format!("\"user-{:05}\"", pick(90_000)) };
        format!(
            r#"{{"seq":{},"at":"2024-05-{:02}T{:02}:{:02}:{:02}.{:03}Z","user":{user},"price":{}.{:02}{optional},"tags":[{}],"pos":{{"x":{},"y":-{}}},"text":"{} {:x}"}}"#,
            1000 + i,
            1 + i / 5000 % 28,
            i / 600 % 24,
            i / 10 % 60,
            pick(60),
            pick(1000),
            pick(100),
            pick(100),
            tags.join(","),
            pick(50),
            1 + pick(50),
            ["red", "green", "blue"][pick(3) as usize],
            pick(1 << 40),
        )
        .into_bytes()
    };
    (from..from + count).map(record).collect()
}

/// Rows of CSV, some of them quoted.
fn rows(from: u64, count: u64) -> Vec<Vec<u8>> {
    let row = |i: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(i);
        let mut pick = |n: u64| rng.next_u64() % n;
        let name = if pick(4) == 0 { "\"Smith, \"\"J\"\"\"".to_owned() } else { format!("name{}", pick(30)) };
        let empty = if pick(2) == 0 { String::new() } else { pick(7).to_string() };
        format!("{i},{name},{empty},10.0.{}.{},{:02}:{:02}", pick(3), pick(256), pick(24), pick(60)).into_bytes()
    };
    (from..from + count).map(row).collect()
}

fn refs(records: &[Vec<u8>]) -> Vec<&[u8]> {
    records.iter().map(Vec::as_slice).collect()
}

fn quick() -> Options {
    Options { effort: 3_000_000, ..Options::default() }
}

fn models() -> &'static [Arc<ColumnsModel>] {
    static MODELS: OnceLock<Vec<Arc<ColumnsModel>>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let service = service(0, 1500);
        let rows = rows(0, 1500);
        let noise: Vec<Vec<u8>> = (0..50u8).map(|i| vec![i ^ 0xa5; usize::from(i)]).collect();
        let alone = Options { alone: true, ..quick() };
        [(&service, quick()), (&service, alone), (&rows, quick()), (&noise, quick()), (&Vec::new(), quick())]
            .map(|(records, options)| Arc::new(ColumnsModel::train(&refs(records), &options)))
            .into()
    })
}

fn column(records: &[Vec<u8>]) -> Column {
    let mut column = Column::default();
    records.iter().for_each(|record| column.push(record));
    column
}

/// Codes records both ways and back; gives the bytes of the column, and of the records.
fn round_trip(model: &Arc<ColumnsModel>, records: &[Vec<u8>]) -> (usize, usize) {
    // One codec for everything, and another that has seen nothing: what was coded before must not matter.
    let mut codec = ColumnsCodec::new(Arc::clone(model));
    let all: usize = records.iter().map(Vec::len).sum();
    let mut singles = 0;
    for record in records {
        let mut coded = b"before".to_vec();
        codec.encode(record, &mut coded).unwrap();
        let mut decoded = b"kept".to_vec();
        let mut fresh = ColumnsCodec::new(Arc::clone(model));
        fresh.decode(&coded[6..], record.len(), &mut decoded).unwrap();
        assert_eq!(&decoded[4..], record, "{}", String::from_utf8_lossy(record));
        singles += coded.len() - 6;
        if !record.is_empty() {
            let error = codec.decode(&coded[6..], record.len() - 1, &mut decoded).unwrap_err();
            assert!(matches!(error, CodecError::LimitExceeded { .. }), "{error}");
            assert_eq!(decoded.len(), 4 + record.len());
        }
    }
    let values = column(records);
    let mut coded = b"before".to_vec();
    codec.encode_column(values.as_ref(), &mut coded).unwrap();
    let mut decoded = Column::default();
    codec.decode_column(&coded[6..], records.len(), all, &mut decoded).unwrap();
    assert_eq!(decoded, values);
    let mut decoded = Column::default();
    ColumnsCodec::new(Arc::clone(model)).decode_column(&coded[6..], records.len(), all, &mut decoded).unwrap();
    assert_eq!(decoded, values);
    (coded.len() - 6, singles)
}

/// Records with identifiers, and how many bits of each are random.
fn identifiers(from: u64, count: u64) -> (Vec<Vec<u8>>, u64) {
    let record = |i: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(i);
        let mut bits = |n: u32| rng.next_u64() >> (64 - n);
        let random = format!("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", bits(32), bits(16), bits(12), bits(12), bits(48));
        let millis = 1_700_000_000_000 + i * 7;
        let timed = format!("{:08x}-{:04x}-7{:03x}-9{:03x}-{:012x}", millis >> 16, millis & 0xffff, 0, 0, bits(48));
        let trace = format!("{:016x}{:016x}", bits(64), bits(64));
        let address = core::net::Ipv6Addr::from((0x2001_0db8_u128 << 96) | (1 << 64) | u128::from(bits(32)));
        format!(r#"{{"id":"{random}","order":"{timed}","trace":"{trace}","from":"{address}","mac":"00:16:3e:{:02x}:{:02x}:{:02x}"}}"#,
            bits(8), bits(8), bits(8)).into_bytes()
    };
    ((from..from + count).map(record).collect(), 120 + 48 + 128 + 32 + 24)
}

#[test]
fn identifiers_cost_their_random_bits() {
    let (records, _) = identifiers(0, 6_000);
    let model = Arc::new(ColumnsModel::train(&refs(&records), &quick()));
    let names: Vec<&str> = model.model.grammar.slots().iter().map(|slot| slot.name.as_str()).collect();
    assert!(names.contains(&"id(4)") && names.contains(&"trace(2)") && names.contains(&"from(2)"), "{names:?}");
    let (mut later, bits) = identifiers(1_000_000, 1_000);
    let (block, singles) = round_trip(&model, &later);
    let floor = (bits * 1_000 / 8) as usize;
    assert!(block < floor * 105 / 100, "{block} bytes of {floor}");
    assert!(singles < floor * 125 / 100, "{singles} bytes of {floor}");
    // What is no such identifier comes back too.
    for odd in [r#"{"id":"","order":null,"trace":"0","from":"::","mac":"00:16:3e:ab:cd:ef"}"#, r#"{"id":"0"#] {
        later.push(odd.as_bytes().to_vec());
        later.push(String::from_utf8_lossy(&later[0]).to_uppercase().into_bytes());
        later.push(later[1][..later[1].len() / 2].to_vec());
    }
    round_trip(&model, &later);
}

#[test]
fn times_with_their_distance_from_utc_cost_what_times_do() {
    let records = |from: u64, count: u64, zone: &dyn Fn(u64) -> &'static str| -> Vec<Vec<u8>> {
        let record = |i: u64| {
            let (day, of_day) = (i * 37 / 86_400, i * 37 % 86_400);
            let time =
                format!("2024-03-{:02}T{:02}:{:02}:{:02}", 1 + day % 31, of_day / 3600, of_day / 60 % 60, of_day % 60);
            format!(r#"{{"id":{i},"at":"{time}{}","v":{}}}"#, zone(i), i * 7919 % 100).into_bytes()
        };
        (from..from + count).map(record).collect()
    };
    let size = |zone: &dyn Fn(u64) -> &'static str| {
        let model = Arc::new(ColumnsModel::train(&refs(&records(0, 6_000, zone)), &quick()));
        let mut later = records(6_000, 1_000, zone);
        let (block, singles) = round_trip(&model, &later);
        // What is no such time comes back too, and a distance that was never seen.
        for odd in ["2024-03-01T10:00:00+05:30", "2024-03-01T10:00:00", "2024-03-01T10:00:00.5+01:00", "", "T+01:00"] {
            later.push(format!(r#"{{"id":1,"at":"{odd}","v":1}}"#).into_bytes());
        }
        later.push(br#"{"id":1,"at":null,"v":1}"#.to_vec());
        later.push(later[0][..30].to_vec());
        round_trip(&model, &later);
        (block, singles)
    };
    let (block, singles) = size(&|_| "Z");
    let (zoned_block, zoned_singles) = size(&|_| "+01:00");
    assert!(
        zoned_block <= block + 16 && zoned_singles <= singles + 64,
        "{zoned_block} {block} {zoned_singles} {singles}"
    );
    // Two of them cost a bit each at most.
    let (two_block, _) = size(&|i| ["+01:00", "+02:00"][(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63) as usize]);
    assert!(two_block <= block + 1_000 / 8 + 64, "{two_block} {block}");
}

/// Records whose texts are new words of the same syllables, in letters of every case.
fn names(from: u64, count: u64) -> Vec<Vec<u8>> {
    let record = |i: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(i);
        let syllables: Vec<&str> = (0..6)
            .map(|_| ["ka", "sto", "vinica", "bre", "zov", "polje", "grad", "\u{161}ev"][rng.next_u64() as usize % 8])
            .collect();
        let (first, last) = (syllables[..3].concat(), syllables[3..].concat());
        let title = |word: &str| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]);
        // A letter that is not of ASCII stays, and its word begins with none.
        let title = |word: &str| if word.is_char_boundary(1) { title(word) } else { word.to_owned() };
        let shown = format!("{} {}", title(&first), title(&last));
        let said = if rng.next_u64() % 10 == 0 { "" } else { shown.as_str() };
        format!(
            r#"{{"name":"{first} {last}","shown":"{shown}","code":"{}","said":"{said}"}}"#,
            shown.to_ascii_uppercase()
        )
        .into_bytes()
    };
    (from..from + count).map(record).collect()
}

#[test]
fn texts_in_other_letters_cost_next_to_nothing_and_new_ones_what_their_syllables_do() {
    let learned = names(0, 1500);
    for alone in [false, true] {
        let model = Arc::new(ColumnsModel::train(&refs(&learned), &Options { alone, ..quick() }));
        let echoes = model.model.grammar.slots().len() - 1;
        let (block, singles) = round_trip(&model, &names(5000, 300));
        // Six syllables of three bits each, where they end, and one in ten that is not said: 21 bits and a half.
        assert!(block < 300 * 4, "{block} bytes of 300 records with {echoes} echoes");
        assert!(singles < 300 * 5, "{singles} bytes of 300 records by themselves");
    }
}

#[test]
fn records_come_back_and_are_small() {
    let [service_model, alone, rows_model, ..] = models() else { panic!("there are five models") };
    let (block, singles) = round_trip(service_model, &service(1500, 200));
    let raw: usize = service(1500, 200).iter().map(Vec::len).sum();
    assert!(block * 6 < raw, "{block} of {raw}");
    assert!(singles * 4 < raw, "{singles} of {raw}");
    round_trip(alone, &service(1500, 200));
    let (block, _) = round_trip(rows_model, &rows(1500, 200));
    let raw: usize = rows(1500, 200).iter().map(Vec::len).sum();
    assert!(block * 3 < raw, "{block} of {raw}");
    for model in models() {
        round_trip(model, &[]);
        round_trip(model, &[Vec::new(), Vec::new()]);
    }
}

#[test]
fn the_same_records_make_the_same_artefact_which_comes_back() {
    let records = service(0, 600);
    let one = ColumnsModel::train(&refs(&records), &quick());
    let two = ColumnsModel::train(&refs(&records), &quick());
    assert_eq!(one.artefact(), two.artefact());
    let read = Arc::new(ColumnsModel::parse(one.artefact()).unwrap());
    assert_eq!(read.id(), one.id());
    let values = column(&service(600, 50));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    ColumnsCodec::new(Arc::new(one)).encode_column(values.as_ref(), &mut a).unwrap();
    ColumnsCodec::new(read).encode_column(values.as_ref(), &mut b).unwrap();
    assert_eq!(a, b);
}

#[test]
fn records_that_are_unlike_any_that_were_learned_cost_what_zstd_costs() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let words: Vec<u8> = (0..2000).flat_map(|_| format!("{} ", rng.next_u32() % 300).into_bytes()).collect();
    let mut noise = vec![0; 3000];
    rng.fill_bytes(&mut noise);
    for record in [words, noise, vec![b'{'; 5000], vec![b'a'; 900], b"x".to_vec(), Vec::new()] {
        let frame = zstd::bulk::compress(&record, 3).unwrap().len();
        for model in models() {
            let (block, single) = round_trip(model, std::slice::from_ref(&record));
            assert!(single <= frame + 8, "{single} against {frame}");
            assert!(block <= frame + 8, "{block} against {frame}");
        }
    }
}

/// The first records of some runs.
fn drawn(model: &ColumnsModel, seed: u64, runs: u64) -> Vec<Vec<u8>> {
    let generator = ColumnsGenerator::parse(model.artefact()).unwrap();
    let mut records = Vec::new();
    (0..runs).for_each(|run| generator.draw(seed, &Condition::new(), run, 64, &mut records).unwrap());
    records
}

#[test]
fn drawn_records_are_of_the_topic_s_syntax_and_the_same_for_a_seed() {
    let records = drawn(&models()[0], 7, 3);
    assert_eq!(records, drawn(&models()[0], 7, 3));
    assert_ne!(records, drawn(&models()[0], 8, 3));
    for record in &records {
        let value: serde_json::Value = serde_json::from_slice(record).unwrap();
        assert!(value["seq"].is_u64() && value["tags"].is_array(), "{value}");
    }
    round_trip(&models()[0], &records);
    let rows = drawn(&models()[2], 7, 3);
    assert!(rows.iter().all(|row| row.iter().filter(|byte| **byte == b',').count() >= 4));
    let generator = ColumnsGenerator::parse(models()[2].artefact()).unwrap();
    assert_eq!(generator.content_type(), "text/csv");
    let (mut alone, mut first) = (Vec::new(), Vec::new());
    generator.draw(7, &Condition::new(), 2, 64, &mut alone).unwrap();
    generator.draw(7, &Condition::new(), 2, 5, &mut first).unwrap();
    assert_eq!(
        (&alone[..], &first[..]),
        (&rows[128..], &alone[..5]),
        "a run is drawn alike whatever is drawn before it"
    );
    let condition = Condition::from([("name".to_owned(), "x".to_owned())]);
    assert!(matches!(generator.admits(&condition), Err(DrawError::Unconditional { family: "columns", .. })));
}

#[test]
fn nothing_is_drawn_that_was_seen_fewer_than_five_times() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut pick = |n: u64| rng.next_u64() % n;
    let record = |i: u64| {
        // A city in a hundred records is one of 200 that are there twice; a size of 100 and above is there once.
        let city = if i % 100 == 7 { format!("hamlet {}", i / 100 % 200) } else { format!("city {}", pick(40)) };
        let size = if i % 50 == 3 { 100 + i / 50 } else { pick(90) };
        let mail = format!("{:08x}@{}.example", pick(1 << 32), ["one", "two"][pick(2) as usize]);
        format!(r#"{{"city":"{city}","size":{size},"mail":"{mail}","code":"{:016X}"}}"#, pick(u64::MAX)).into_bytes()
    };
    let records: Vec<Vec<u8>> = (0..20_000).map(record).collect();
    let model = ColumnsModel::train(&refs(&records), &quick());
    type Row = serde_json::Map<String, serde_json::Value>;
    let rows = |records: &[Vec<u8>]| -> Vec<Row> {
        records.iter().map(|record| serde_json::from_slice(record).unwrap()).collect()
    };
    let mut seen: std::collections::HashMap<(String, String), u32> = std::collections::HashMap::new();
    let cells = |row: &Row| -> Vec<(String, String)> {
        row.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    };
    rows(&records).iter().flat_map(cells).for_each(|cell| *seen.entry(cell).or_default() += 1);
    let (mut cities, mut fresh) = (0, 0);
    for cell in rows(&drawn(&model, 3, 100)).iter().flat_map(cells) {
        match seen.get(&cell) {
            // Numbers of 128 and above stand for cells of several, in which one that was there is met by chance.
            Some(count) if cell.0 != "size" => assert!(*count >= 5, "{cell:?} was there {count} times"),
            Some(count) => {
                let is_wide = cell.1.parse::<u64>().is_ok_and(|size| size >= 128);
                assert!(*count >= 5 || is_wide, "{cell:?} was there {count} times");
            }
            None => fresh += u32::from(cell.0 == "mail" || cell.0 == "code"),
        }
        cities += u32::from(cell.0 == "city");
    }
    assert_eq!((cities, fresh), (6_400, 12_800));
}

#[test]
fn a_damaged_or_cut_stream_is_an_error_or_other_records_within_the_limits() {
    let records = service(1500, 20);
    let values = column(&records);
    for model in models() {
        let mut codec = ColumnsCodec::new(Arc::clone(model));
        let (mut block, mut single) = (Vec::new(), Vec::new());
        codec.encode_column(values.as_ref(), &mut block).unwrap();
        codec.encode(&records[0], &mut single).unwrap();
        let mut attack = |block: &[u8], single: &[u8]| {
            let mut decoded = Column::default();
            if codec.decode_column(block, records.len(), 10_000, &mut decoded).is_ok() {
                assert!(decoded.bytes.len() <= 10_000 && decoded.len() == records.len());
            }
            let mut decoded = Vec::new();
            match codec.decode(single, 1000, &mut decoded) {
                Ok(()) => assert!(decoded.len() <= 1000),
                Err(_) => assert!(decoded.is_empty()),
            }
        };
        for cut in 0..block.len() {
            attack(&block[..cut], &single[..cut.min(single.len())]);
        }
        for at in 0..block.len() {
            let (mut block, mut single) = (block.clone(), single.clone());
            block[at] ^= 1 << (at % 8);
            if let Some(byte) = single.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
            attack(&block, &single);
        }
    }
}

/// Has one model.
struct One(Arc<[u8]>);

impl ModelSource for One {
    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        if model == ModelRef::Prefix(ModelId::of(&self.0).prefix()) {
            return Ok(Arc::clone(&self.0));
        }
        Err(MissingModel { model, looked_in: "the test has another".to_owned(), retriable: false })
    }

    fn learned(&self) -> &dyn LearnedCodecs {
        &Learned
    }
}

#[test]
fn a_block_that_zstd_codes_smaller_is_one_of_zstd() {
    let model = &models()[0];
    let other: Vec<Vec<u8>> = (0..20_000u64)
        .map(|i| format!("{},{}", i % 7, ["ok", "warn", "fail"][(i * i % 11 % 3) as usize]).into())
        .collect();
    let again = vec![service(1500, 1).remove(0); 3000];
    let mut codec = ColumnsCodec::new(Arc::clone(model));
    for (values, zstd_wins) in [(service(1600, 300), false), (other, true), (again, true), (service(1900, 300), false)]
    {
        let mut builder = BlockBuilder::default();
        for (offset, value) in (0..).zip(&values) {
            let record = Record {
                key: None,
                value: Some(value.clone().into()),
                headers: Vec::new(),
                timestamp: Timestamp::create(1_700_000_000_000),
                offset,
            };
            builder.push(&record.as_ref());
        }
        let (mut block, mut plain) = (Vec::new(), Vec::new());
        let written = builder.encode(&mut codec, &mut block).unwrap();
        assert_eq!(written, if zstd_wins { Algorithm::Zstd } else { Algorithm::Columns });
        assert_eq!(codec.take_misfits(), if zstd_wins { values.len() as u64 } else { 0 });
        builder.encode(codec.fallback().unwrap(), &mut plain).unwrap();
        assert_eq!(block == plain, zstd_wins, "{} and {} bytes", block.len(), plain.len());
        assert!(block.len() <= plain.len());
        let mut reader = BlockReader::default();
        reader.decode_with(&block, &mut codec, &DecodeLimits::UNLIMITED).unwrap();
        assert!(builder.holds(&reader));
        if zstd_wins {
            let models: Arc<dyn ModelSource> = Arc::new(NoModels);
            reader.decode(&block, &mut Decoders::new(&models), &DecodeLimits::UNLIMITED).unwrap();
            assert!(builder.holds(&reader));
        }
    }
}

#[test]
fn where_a_block_stays_the_models_its_values_fit_and_the_fallback_is_not_tried_for_each() {
    let mut codec = ColumnsCodec::new(Arc::clone(&models()[0]));
    // Records of a few, again and again: zstd makes the values smaller, and not what stands beside them.
    let few = service(1500, 20);
    let many = |count: u64| -> Vec<Vec<u8>> { (0..count).map(|i| few[(i * i % 20) as usize].clone()).collect() };
    let values = column(&many(200));
    let mut tries = 0;
    for round in 0..130 {
        let mut coded = Vec::new();
        codec.columns().unwrap().encode_column(values.as_ref(), &mut coded).unwrap();
        if codec.falls_back() {
            tries += 1;
            codec.settle(false);
        }
        let is_plain = coded[0] == 1;
        assert_eq!(codec.take_misfits(), if is_plain { 200 } else { 0 }, "round {round}");
    }
    assert_eq!(tries, 3);
    // Of a few less zstd makes the values smaller, but not with their lengths: in the model's block they are the model's.
    for (fell_back, misfits) in [(false, 0), (true, 1)] {
        let kept = (21..200).find_map(|count| {
            let (mut codec, mut coded) = (ColumnsCodec::new(Arc::clone(&models()[0])), Vec::new());
            codec.columns().unwrap().encode_column(column(&many(count)).as_ref(), &mut coded).unwrap();
            (codec.falls_back() && coded[0] != 1).then_some((codec, count))
        });
        let (mut codec, count) = kept.unwrap();
        codec.settle(fell_back);
        assert_eq!(codec.take_misfits(), misfits * count);
    }
    // Where zstd saves far more than where it lost, it is tried at once.
    codec.columns().unwrap().encode_column(column(&many(2_000)).as_ref(), &mut Vec::new()).unwrap();
    assert!(codec.falls_back());
    codec.settle(true);
    assert_eq!(codec.take_misfits(), 2_000);
    codec.columns().unwrap().encode_column(values.as_ref(), &mut Vec::new()).unwrap();
    assert!(codec.falls_back(), "where the fallback won, it is tried for the next");
}

#[test]
fn blocks_and_records_are_restored_by_whoever_has_the_model_and_damage_to_a_block_is_noticed() {
    let model = &models()[0];
    let models: Arc<dyn ModelSource> = Arc::new(One(Arc::clone(model.artefact())));
    let mut codec = ColumnsCodec::new(Arc::clone(model));
    let records: Vec<Record> = (0i64..)
        .zip(service(1500, 30))
        .map(|(offset, value)| Record {
            key: Some(format!("key {offset}").into()),
            value: Some(value.into()).filter(|_| offset != 7),
            headers: vec![Header { name: "h".to_owned(), value: Some("v".into()) }],
            timestamp: Timestamp::create(1_700_000_000_000 + offset),
            offset,
        })
        .collect();
    let mut builder = BlockBuilder::default();
    records.iter().for_each(|record| builder.push(&record.as_ref()));
    let mut block = Vec::new();
    builder.encode(&mut codec, &mut block).unwrap();
    let mut reader = BlockReader::default();
    let mut decoders = Decoders::new(&models);
    reader.decode(&block, &mut decoders, &DecodeLimits::UNLIMITED).unwrap();
    assert_eq!(reader.records().map(|record| record.to_owned()).collect::<Vec<_>>(), records);
    let limits = DecodeLimits { max_bytes: 1 << 20, max_records: 1000 };
    for at in 0..block.len() {
        let mut damaged = block.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(reader.decode(&damaged, &mut decoders, &limits).is_err(), "byte {at}");
    }

    let mut restorer = Restorer::new(&models, 1 << 20, 1000);
    for record in records.iter().filter(|record| record.value.is_some()) {
        let value = record.value.as_ref().unwrap();
        let (mut coded, mut framed) = (Vec::new(), Vec::new());
        codec.encode(value, &mut coded).unwrap();
        seal(Algorithm::Columns, Some(model.id().prefix()), &coded, value, &mut framed);
        let sent = Record { value: Some(framed.into()), ..record.clone() };
        let restored = restorer.restore(&sent.as_ref()).unwrap();
        assert_eq!(restored.algorithm, Algorithm::Columns);
        let Content::Record(content) = restored.content else { panic!("it was one record") };
        assert_eq!(content.to_owned(), *record);
    }
}

/// An artefact's parts, unpacked, and packed again after a change.
fn tampered(artefact: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut input = crate::frame::Reader::new(artefact, 5);
    let size = input.varint().unwrap() as usize;
    let packed = input.varint().unwrap() as usize;
    let mut raw = zstd::bulk::decompress(input.take(packed).unwrap(), size).unwrap();
    change(&mut raw);
    let mut output = artefact[..5].to_vec();
    let packed = zstd::bulk::compress(&raw, 1).unwrap();
    crate::frame::put_varint(raw.len() as u64, &mut output);
    crate::frame::put_varint(packed.len() as u64, &mut output);
    output.extend_from_slice(&packed);
    output.extend_from_slice(input.rest());
    output
}

#[test]
fn a_cut_artefact_is_refused() {
    let artefact = models()[2].artefact();
    for cut in 0..artefact.len().min(400) {
        assert!(ColumnsModel::parse(&artefact[..cut]).is_err(), "{cut}");
    }
    let mut longer = artefact.to_vec();
    longer.push(0);
    assert!(ColumnsModel::parse(&longer).is_err());
    assert!(matches!(ColumnsModel::parse(b"\x91LCM\x05"), Err(ColumnsError::Version { version: 5 })));
}

fn any_json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("-0".to_owned()),
        Just("1.0".to_owned()),
        Just("1e5".to_owned()),
        "-?[0-9]{1,40}",
        "-?[0-9]{1,6}\\.[0-9]{1,6}",
        any::<i64>().prop_map(|n| n.to_string()),
        "\"[a-z \\\\u{e9}]{0,12}\"".prop_map(|text| text.replace('\\', "\\\\")),
        Just(r#""\ud83d\ude00 \u0000 \"""#.to_owned()),
        Just(r#""2024-05-01T00:00:60.000Z""#.to_owned()),
    ];
    scalar.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(("[a-c]|seq|at|tags|price", inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_json_comes_back(
        records in prop::collection::vec(any_json(), 1..12), learned in prop::collection::vec(any_json(), 0..30),
    ) {
        let records: Vec<Vec<u8>> = records.into_iter().map(String::into_bytes).collect();
        for model in models() {
            round_trip(model, &records);
        }
        let learned: Vec<Vec<u8>> = learned.into_iter().map(String::into_bytes).collect();
        let learned = refs(&learned);
        for alone in [false, true] {
            let model = ColumnsModel::train(&learned, &Options { effort: 100_000, alone, ..Options::default() });
            let model = Arc::new(ColumnsModel::parse(model.artefact()).unwrap());
            round_trip(&model, &records);
        }
    }

    #[test]
    fn any_csv_and_any_bytes_come_back(
        rows in prop::collection::vec("([a-z0-9 ]{0,6}|\"([a-z,]|\"\"){0,6}\")(,([0-9.:-]{0,9}|\"[a-z\r\n]{0,4}\")){0,4}\r?", 1..20),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..8),
    ) {
        let rows: Vec<Vec<u8>> = rows.into_iter().map(String::into_bytes).collect();
        for model in models() {
            round_trip(model, &rows);
            round_trip(model, &noise);
        }
        let model = ColumnsModel::train(&refs(&rows), &Options { effort: 100_000, ..Options::default() });
        round_trip(&Arc::new(model), &rows);
    }

    #[test]
    fn a_record_with_a_change_anywhere_comes_back(seed: u64, at: prop::sample::Index, byte: u8) {
        let mut record = service(seed % 100_000, 1).remove(0);
        let at = at.index(record.len());
        let mut longer = record.clone();
        longer.insert(at, byte);
        record[at] = byte;
        round_trip(&models()[0], &[record.clone(), longer, record]);
    }

    #[test]
    fn a_tampered_artefact_is_refused_or_codes(at: prop::sample::Index, value: u8, cut: bool) {
        let artefact = models()[2].artefact();
        let tampered = tampered(artefact, |raw| {
            let at = at.index(raw.len());
            if cut { raw.truncate(at) } else { raw[at] = value }
        });
        if let Ok(model) = ColumnsModel::parse(&tampered) {
            let model = Arc::new(model);
            let records = rows(5000, 5);
            round_trip(&model, &records);
            // Whatever comes of it.
            let generator = ColumnsGenerator::parse(model.artefact()).unwrap();
            drop(generator.draw(3, &Condition::new(), 0, 2, &mut Vec::new()));
        }
    }
}

#[test]
fn a_counter_that_is_longer_than_what_is_looked_at_counts_on() {
    let counted = |from: u64, count: u64| -> Vec<Vec<u8>> {
        (from..from + count)
            .map(|i| format!(r#"{{"seq":{i},"tick":{}}}"#, 1_700_000_000 + 30 * i).into_bytes())
            .collect()
    };
    let model = Arc::new(ColumnsModel::train(&refs(&counted(0, 20_000)), &quick()));
    let (block, _) = round_trip(&model, &counted(20_000, 1_000));
    assert!(block < 60, "{block} bytes of 1000 records that count on");
}
