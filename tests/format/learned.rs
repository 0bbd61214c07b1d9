//! Models that the golden files of learned codecs were written with, and the topic that they were learned from.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use latentd::codec::{self, Algorithm, Codec, CodecError, LearnedCodecs as _};
use latentd::model::columns::Options;
use latentd::model::{ColumnsModel, Learned};
use latentd::record::{Header, Record, RecordRef, Timestamp, TimestampKind};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::golden::FOLDER;
use crate::latent;
use crate::tools::project;

/// The models, by name: `records` codes each of the [`rides`] alone, `blocks` codes runs of [`readings`] and knows their framing.
/// Texts of these two are made of bytes (versions 1 and 2). `places-alone` and `places` are of the [`places`], whose texts are made
/// of tokens and echo one another (versions 3 and 4).
pub const MODELS: [&str; 4] = ["records", "blocks", "places-alone", "places"];

/// Records that a model is learned from: few, so that it is small.
const LEARNED: u64 = 500;

/// Where a model lies.
pub fn path(name: &str) -> PathBuf {
    let folder = if latent::MODELS.contains(&name) { "latent" } else { "columns" };
    project(FOLDER).join(folder).join(name).with_extension("model")
}

/// A model's artefact.
pub fn artefact(name: &str) -> Result<Arc<[u8]>> {
    let path = path(name);
    Ok(fs::read(&path).with_context(|| format!("the golden model `{}`", path.display()))?.into())
}

/// The codec with a model.
pub fn codec(algorithm: Algorithm, name: &str) -> Result<Box<dyn Codec>> {
    Ok(Learned.open(algorithm, &artefact(name)?)?)
}

/// Writes the models that are not there. They come first, because other cases are written with them.
pub fn models() -> Result<()> {
    if std::env::var_os("LATENTD_BLESS").is_none() {
        return Ok(());
    }
    let topics = [rides(0, LEARNED), readings(0, LEARNED), places(0, LEARNED), places(0, LEARNED)];
    for (name, records) in MODELS.into_iter().zip(topics) {
        let path = path(name);
        if path.is_file() {
            continue;
        }
        fs::create_dir_all(path.parent().context("a model lies in a folder")?)?;
        let records: Vec<RecordRef<'_>> = records.iter().map(Record::as_ref).collect();
        let options = Options { alone: name == "records" || name == "places-alone", text: 1 << 10, effort: 20_000_000 };
        fs::write(path, ColumnsModel::train_records(&records, &options).artefact())?;
    }
    for name in latent::MODELS {
        let path = path(name);
        if !path.is_file() {
            fs::create_dir_all(path.parent().context("a model lies in a folder")?)?;
            fs::write(path, latent::model(name)?.artefact())?;
        }
    }
    Ok(())
}

/// What a learned codec writes for one record, in the frame that names its model.
pub fn seal(coder: &mut dyn Codec, content: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
    let mut coded = Vec::new();
    coder.encode(content, &mut coded)?;
    codec::seal(coder.algorithm(), coder.model().map(|id| id.prefix()), &coded, content, output);
    Ok(())
}

/// Records of a topic that has a field of every kind.
pub fn rides(from: u64, count: u64) -> Vec<Record> {
    (from..from + count).map(ride).collect()
}

fn ride(i: u64) -> Record {
    let mut rng = ChaCha8Rng::seed_from_u64(i);
    let mut pick = |n: u64| rng.next_u64() % n;
    let minute = 3 * i + pick(2);
    let (day, hour, second, milli) = (1 + minute / 1440 % 28, minute / 60 % 24, pick(60), pick(1000));
    let (minutes, base, extra) = (5 + pick(40), 250 + 5 * pick(20), 10 * pick(8));
    let id = [pick(1 << 32), pick(1 << 16), pick(1 << 12), pick(1 << 12), pick(1 << 48)];
    let [a, b, c, d, e] = id;
    let rating = match pick(4) {
        0 => "null".to_owned(),
        stars => (stars + 2).to_string(),
    };
    let stops: Vec<&str> = (0..pick(3)).map(|_| ["\"Split\"", "\"Zadar\"", "\"Pula\""][pick(3) as usize]).collect();
    let mut optional = String::new();
    if pick(3) == 0 {
        optional.push_str(&format!(",\"promo\":\"SPRING-{}\"", pick(4)));
    }
    if pick(6) == 0 {
        optional.push_str(&format!(",\"note\":\"{}\"", note(&mut pick)));
    }
    let value = format!(
        r#"{{"seq":{},"ride":"{a:08x}-{b:04x}-4{c:03x}-8{d:03x}-{e:012x}","vehicle":"v-{:02}","at":"2026-03-{day:02}T{hour:02}:{:02}:{second:02}.{milli:03}Z","year":2026,"month":3,"day":{day},"hour":{hour},"of":"2026-03-{day:02}T{hour:02}:00:00Z","begin":{},"minutes":{minutes},"end":{},"gate":"{:02}:{:02}","base":{base},"extra":{extra},"total":{},"fare":{}.{:02},"share":{},"length":{}.{},"address":"10.1.{}.{}","mac":"00:1B:44:{:02X}:{:02X}:{:02X}","rating":{rating},"stops":[{}]{optional}}}"#,
        4000 + i,
        i * 7 % 11,
        minute % 60,
        clock(minute),
        clock(minute + minutes),
        pick(24),
        15 * pick(4),
        base + extra,
        (base + extra) / 100,
        (base + extra) % 100,
        ["0", "0.5", "0.25", "1", "0.125"][pick(5) as usize],
        pick(30),
        ["0", "5", "25"][pick(3) as usize],
        pick(3),
        pick(256),
        pick(256),
        pick(256),
        pick(256),
        stops.join(","),
    );
    Record {
        key: None,
        value: Some(value.into_bytes().into()),
        headers: Vec::new(),
        timestamp: Timestamp::create(1_772_323_200_000 + (60 * minute + second) as i64 * 1000 + milli as i64),
        offset: i as i64,
    }
}

/// Hours and minutes as one number.
fn clock(minute: u64) -> u64 {
    minute / 60 % 24 * 100 + minute % 60
}

/// Free text.
fn note(pick: &mut impl FnMut(u64) -> u64) -> String {
    const SAID: [&str; 4] = [
        "the passenger asked for a receipt and was sent one by mail",
        "left a blue umbrella behind, which waits at the office in Split",
        "the brakes were loud on the way down, so the vehicle goes to the workshop",
        "paid in cash because the card was refused twice",
    ];
    let said: Vec<&str> = (0..1 + pick(2)).map(|_| SAID[pick(4) as usize]).collect();
    format!("{} ({})", said.join("; "), pick(900))
}

/// Records of a topic with whatever Kafka keeps beside a value: a key and a timestamp that are fields, deletions, headers
/// that are constant, made of a field, binary, and random. Meters come by turns, and what one has counted goes on from its
/// last reading.
pub fn readings(from: u64, count: u64) -> Vec<Record> {
    (from..from + count).map(reading).collect()
}

/// How many meters there are.
const METERS: u64 = 9;

fn reading(i: u64) -> Record {
    let mut rng = ChaCha8Rng::seed_from_u64(i);
    let mut pick = |n: u64| rng.next_u64() % n;
    let meter = 7 * i % METERS;
    let sent = 1_772_323_200_000 + 2500 * i as i64 + pick(700) as i64;
    // So many readings of this meter came before.
    let round = i / METERS;
    let (plan, late) = (600 + i / 4 % 700, pick(50));
    let water = 40_000 * meter + 13 * round + pick(4);
    let (limit, used) = (500 + 100 * pick(9), pick(500));
    let site = ["\"Split\"", "\"Zadar\"", "null"][pick(3) as usize];
    let mut optional = String::new();
    if pick(8) == 0 {
        optional.push_str(&format!(",\"alarm\":{}", 20 * pick(5)));
    }
    if pick(8) == 0 {
        optional.push_str(&format!(",\"note\":\"{}\"", note(&mut pick)));
    }
    let value = format!(
        r#"{{"n":{},"meter":"m-{meter:02}","sent":{sent},"energy":{},"water":{}.{},"starts":{},"plan":{},"from":{},"late":{late},"limit":{limit},"used":{used},"spare":{},"site":{site}{optional}}}"#,
        4000 + i,
        100_000 * (meter + 1) + 220 * round + pick(5),
        water / 10,
        water % 10,
        7000 * meter + round,
        clock(plan),
        clock(plan + late),
        limit - used,
    );
    let header = |name: &str, value: Vec<u8>| Header { name: name.to_owned(), value: Some(value.into()) };
    let mut headers = vec![header("type", b"reading".to_vec()), header("ref", format!("readings/{}", 4000 + i).into())];
    headers.push(header("area", u32::to_be_bytes(300 + pick(6) as u32).to_vec()));
    if pick(3) == 0 {
        headers.push(header("position", u64::to_be_bytes(900_000 + 300 * i + pick(9)).to_vec()));
    }
    if pick(5) == 0 {
        headers.push(header("trace", format!("{:016x}", pick(u64::MAX)).into()));
    }
    let deleted = pick(12) == 0;
    if deleted {
        headers = vec![Header { name: "type".to_owned(), value: None }];
    }
    Record {
        key: Some(format!("m-{meter:02}").into()),
        value: Some(value.into_bytes().into()).filter(|_| !deleted),
        headers,
        timestamp: Timestamp::create(sent + pick(3) as i64),
        offset: 90_000 + i as i64 + i as i64 / 50,
    }
}

/// Records of a topic whose texts are made of the same syllables and words, and stand there in other letters too.
pub fn places(from: u64, count: u64) -> Vec<Record> {
    (from..from + count).map(place).collect()
}

fn place(i: u64) -> Record {
    const SYLLABLES: [&str; 12] =
        ["ka", "sto", "vi", "nica", "bre", "zov", "polje", "do", "ma", "grad", "lu", "\u{161}ev"];
    let mut rng = ChaCha8Rng::seed_from_u64(i);
    let mut pick = |n: u64| rng.next_u64() % n;
    let mut name = String::new();
    for word in 0..1 + pick(2) {
        name.push_str(["", [" ", "-", "'"][pick(3) as usize]][(word > 0) as usize]);
        (0..2 + pick(2)).for_each(|_| name.push_str(SYLLABLES[pick(12) as usize]));
    }
    let mut shown = String::new();
    for letter in name.chars() {
        let begins = shown.chars().next_back().is_none_or(|before| before == ' ' || before == '-');
        shown.push(if begins { letter.to_ascii_uppercase() } else { letter });
    }
    // Some are written otherwise.
    if pick(9) == 0 {
        shown = format!("Sveti {shown}");
    }
    let value = format!(
        r#"{{"id":{i},"name":"{name}","shown":"{shown}","code":"{}","sort":"{}","again":"{shown}","note":"{}"}}"#,
        name.to_ascii_uppercase(),
        shown.to_ascii_lowercase(),
        note(&mut pick),
    );
    Record {
        key: Some(name.into()),
        value: Some(value.into_bytes().into()),
        headers: vec![Header { name: "type".to_owned(), value: Some("place".into()) }],
        timestamp: Timestamp::create(1_772_323_200_000 + 100 * i as i64),
        offset: 100 + i as i64,
    }
}

/// Readings whose notes are long and alike.
pub fn told(from: u64, count: u64) -> Vec<Record> {
    let mut readings = readings(from, count);
    for (i, reading) in readings.iter_mut().enumerate() {
        let Some(value) = &reading.value else { continue };
        let mut rng = ChaCha8Rng::seed_from_u64(i as u64);
        let mut pick = |n: u64| rng.next_u64() % n;
        let notes: Vec<String> = (0..6).map(|_| note(&mut pick)).collect();
        let text = String::from_utf8_lossy(value);
        let whole = text.split(",\"note\"").next().unwrap_or_default().trim_end_matches('}');
        reading.value = Some(format!("{whole},\"note\":\"{}\"}}", notes.join(". ")).into_bytes().into());
    }
    readings
}

/// Readings of a topic with the broker's clock, among which others have come: other fields, no JSON, nothing, numbers that
/// are too long, names, keys and numbers of bytes that were not there before.
pub fn strange(from: u64) -> Vec<Record> {
    let mut records = readings(from, 20);
    for record in &mut records {
        record.timestamp.kind = TimestampKind::LogAppendTime;
    }
    let text = |text: &str| Some(text.as_bytes().to_vec().into());
    let header = |name: &str, value| Header { name: name.to_owned(), value };
    let spoilt = |record: &mut Record, from: &str, to: &str| {
        let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).replacen(from, to, 1);
        record.value = Some(value.into_bytes().into());
    };
    records[1].value = text(r#"{"n":4,"meter":"m-1000","sent":null}"#);
    records[3].value = text("no JSON at all");
    records[4].value = text("");
    spoilt(&mut records[6], r#""n":"#, r#""n":-0.1e"#);
    spoilt(&mut records[8], r#""sent":"#, r#""sent":31415926535897932384"#);
    spoilt(&mut records[9], r#""plan":"#, r#""plan":0"#);
    spoilt(&mut records[10], r#""late":"#, r#""late":9223372036854775807,"late":-"#);
    records[2].headers.push(header("x-debug", Some(vec![0xff, 0x00].into())));
    records[5].headers = vec![header("x-debug", text("on")), header("position", None)];
    records[7].headers.clear();
    let positions =
        records.iter_mut().flat_map(|record| &mut record.headers).filter(|header| header.name == "position");
    for (i, header) in positions.enumerate().skip(1) {
        header.value = [text("12345678"), text("123"), None][i % 3].clone();
    }
    records[11].key = None;
    records[12].key = text("another key");
    records[13].key = text("another key");
    records[14].key = Some(vec![0xc3, 0x28].into());
    records[15].timestamp.millis = -5;
    records[16].offset = i64::MAX;
    records
}

/// Records without a field.
pub fn noise(count: u64) -> Vec<Record> {
    let record = |i: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(900 + i);
        let words: String =
            (0..12).map(|_| ["alpha ", "beta ", "gamma ", "delta "][rng.next_u64() as usize % 4]).collect();
        Record { value: Some(format!("<{words}/>").into_bytes().into()), ..reading(5000 + i) }
    };
    (0..count).map(record).collect()
}

/// The values of records.
pub fn values(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().filter_map(|record| record.value.as_ref().map(|value| value.to_vec())).collect()
}
