//! What the golden files of this version hold.

use std::fs;

use anyhow::{Context, Result};
use latentd::codec::{Algorithm, LATENTD};
use latentd::model::Dictionary;
use latentd::record::{Header, Record, Timestamp, TimestampKind};

use crate::golden::{Case, DICTIONARY, Decoded, Description, Holds};
use crate::latent;
use crate::learned;
use crate::tools::{data, project};

fn block(name: impl Into<String>, codec: &str, records: &[Record]) -> Case {
    let holds = Holds::of(&Decoded::Records(records.to_vec()));
    let token = Some(LATENTD.to_owned());
    Case {
        name: format!("blocks/{}", name.into()),
        description: Description { codec: codec.to_owned(), model: None, token, holds },
    }
}

fn content(name: impl Into<String>, codec: &str, token: Option<&str>, content: &[u8]) -> Case {
    let holds = Holds::of(&Decoded::Content(content.to_vec()));
    let token = token.map(str::to_owned);
    Case { name: name.into(), description: Description { codec: codec.to_owned(), model: None, token, holds } }
}

/// What a learned codec writes with a golden model, in a frame of its own.
fn learned(codec: Algorithm, name: &str, model: &str, decoded: &Decoded) -> Case {
    let description = Description {
        codec: codec.name().to_owned(),
        model: Some(model.to_owned()),
        token: Some(LATENTD.to_owned()),
        holds: Holds::of(decoded),
    };
    Case { name: format!("{codec}/{name}"), description }
}

/// Records that were not learned from, by themselves and in blocks of every kind.
fn columns() -> Vec<Case> {
    let mut cases = Vec::new();
    let (rides, readings) = (learned::rides(7000, 16), learned::readings(7100, 24));
    let places = learned::places(7400, 20);
    for (model, records) in learned::MODELS.into_iter().zip([&rides, &readings, &places, &places]) {
        let values = learned::values(records);
        let odd = String::from_utf8_lossy(&values[1]).replacen("e\":", "e\" : ", 1).into_bytes();
        for (name, content) in [
            ("regular", &values[0][..]),
            ("foreign", &odd),
            ("plain", "alpha beta gamma ".repeat(9).as_bytes()),
            ("empty", b""),
        ] {
            let name = format!("{model}-{name}");
            cases.push(learned(Algorithm::Columns, &name, model, &Decoded::Content(content.to_vec())));
        }
    }
    for (name, model, records) in [
        ("block", "blocks", &readings),
        ("block-gathered", "blocks", &learned::told(7200, 12)),
        ("block-plain", "blocks", &learned::noise(20)),
        ("block-strange", "blocks", &learned::strange(7300)),
        // Of both kinds of timestamps, which have no framing.
        ("block-odd", "blocks", &[&readings[..6], &odd()].concat()),
        ("block-empty", "blocks", &Vec::new()),
        ("block-alone", "records", &rides),
        ("places-block", "places", &places),
        ("places-block-alone", "places-alone", &places),
        ("places-block-strange", "places", &learned::readings(7500, 6)),
    ] {
        cases.push(learned(Algorithm::Columns, name, model, &Decoded::Records(records.clone())));
    }
    cases
}

/// Bytes that no model fits.
fn noise_of(count: usize) -> Vec<u8> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Images that tables were not counted on, bare and as files, and values that are no images.
fn images_of_models() -> Vec<Case> {
    let mut cases = Vec::new();
    for model in latent::MODELS {
        let images = latent::images(model, 5000..5012);
        let case =
            |name: &str, decoded: &Decoded| learned(Algorithm::Latent, &format!("{model}-{name}"), model, decoded);
        for (name, content) in [
            ("image", &images[0][..]),
            ("black", &vec![0; images[0].len()]),
            ("noise", &noise_of(images[0].len())),
            ("text", "alpha beta gamma ".repeat(9).as_bytes()),
            ("empty", b""),
            ("file", &[latent::HEADER, &images[1]].concat()),
        ] {
            cases.push(case(name, &Decoded::Content(content.to_vec())));
        }
        let odd = [noise_of(images[0].len()), b"no image".to_vec(), Vec::new()];
        let file = [latent::HEADER, &images[3]].concat();
        for (name, values) in [
            ("block", &images[..]),
            ("block-odd", &[&images[..9], &odd, &images[9..], &[file]].concat()),
            ("block-plain", &odd),
        ] {
            cases.push(case(name, &Decoded::Records(latent::records(values))));
        }
        cases.push(case("block-empty", &Decoded::Records(Vec::new())));
    }
    let images = latent::images("digits", 5100..5103);
    for (name, content) in
        [("digits-png", latent::file(&images[0], true)), ("digits-png-filters", latent::file(&images[1], false))]
    {
        cases.push(learned(Algorithm::Latent, name, "digits", &Decoded::Content(content)));
    }
    cases
}

/// Rows of the flights topic, without their line ends.
fn rows() -> Result<Vec<Vec<u8>>> {
    let file = fs::read(data("flights.jsonl")?)?;
    Ok(file.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).map(<[u8]>::to_vec).collect())
}

/// Writes the dictionary if it is not there. It comes first, because other cases are written with it.
pub fn dictionary() -> Result<()> {
    let path = project(DICTIONARY);
    if path.is_file() || std::env::var_os("LATENTD_BLESS").is_none() {
        return Ok(());
    }
    fs::create_dir_all(path.parent().context("the dictionary lies in a folder")?)?;
    let rows = rows()?;
    let samples: Vec<&[u8]> = rows.iter().step_by(rows.len() / 1000).map(|row| &row[..]).collect();
    Ok(fs::write(path, Dictionary::train(&samples, 2 << 10)?.artefact())?)
}

/// Records with everything that Kafka allows and few expect.
fn odd() -> Vec<Record> {
    let record = |offset, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]| Record {
        key: key.map(|bytes| bytes.to_vec().into()),
        value: value.map(|bytes| bytes.to_vec().into()),
        headers: headers
            .iter()
            .map(|(name, value)| Header { name: (*name).to_owned(), value: value.map(|bytes| bytes.to_vec().into()) })
            .collect(),
        timestamp: Timestamp::create(1_700_000_000_000),
        offset,
    };
    let mut records = vec![
        record(5, None, None, &[]),
        record(6, Some(b""), Some(b""), &[("", Some(b""))]),
        record(7, Some(b"key"), None, &[("a", None), ("a", Some(b"")), ("a", Some(&[0xc3, 0x28]))]),
        record(9, Some(&[0xff, 0xfe, 0]), Some(&[0x80; 90]), &[("b", Some(b"1")), ("a", Some(b"2"))]),
        record(10, Some(b"key"), Some(b"value"), &[("a", Some(b"2")), ("b", Some(b"1"))]),
        record(1000, Some(b"key"), Some(b"value"), &[("content-encoding", Some(b"gzip")), ("ü", Some(b"\x00"))]),
        record(1001, Some(b"key"), Some(b"value"), &[("a", Some(b"2")), ("b", Some(b"1"))]),
    ];
    records[1].timestamp = Timestamp { kind: TimestampKind::LogAppendTime, millis: 1_700_000_000_000 };
    records[2].timestamp = Timestamp::create(-1);
    records[3].timestamp = Timestamp { kind: TimestampKind::LogAppendTime, millis: i64::MIN };
    records[4].timestamp = Timestamp::create(i64::MAX);
    records[5].timestamp = Timestamp::create(0);
    records
}

/// Consecutive records as one commit reads them: keys, two headers, rows of JSON.
fn flights(rows: &[Vec<u8>]) -> Vec<Record> {
    let record = |(i, row): (i64, &Vec<u8>)| Record {
        key: Some(format!("N{}", 14_000 + i * 37 % 100).into()),
        value: Some(row.clone().into()),
        headers: vec![
            Header { name: "content-type".to_owned(), value: Some("application/json".into()) },
            Header {
                name: "trace".to_owned(),
                value: Some(format!("{:016x}", i.wrapping_mul(0x1e37_79b9_7f4a_7c15)).into()),
            },
        ],
        timestamp: Timestamp::create(1_700_000_000_000 + 40 * i + i * i % 7),
        offset: 123_456 + i,
    };
    (0..).zip(rows).map(record).collect()
}

/// Numbers of every shape and size in the columns of numbers.
fn numbers() -> Vec<Record> {
    let record = |i: i64| Record {
        // Every length of a number, both signs.
        key: Some(vec![b'k'; (i % 5) as usize].into()),
        value: None,
        headers: Vec::new(),
        timestamp: Timestamp::create((-1i64).pow(i as u32 % 2).wrapping_mul(1i64.wrapping_shl(i as u32) | i)),
        // Steps that grow evenly: bends.
        offset: i * (i + 1) / 2 * 1000 + i,
    };
    (0..64).map(record).collect()
}

/// A byte without a pattern (the finaliser of MurmurHash3).
fn noisy(i: u32) -> u8 {
    let mut word = i.wrapping_add(1);
    for factor in [0x85eb_ca6b, 0xc2b2_ae35] {
        word = (word ^ word >> 15).wrapping_mul(factor);
    }
    (word >> 24) as u8
}

/// All cases.
pub fn all() -> Result<Vec<Case>> {
    let rows = rows()?;
    let some: Vec<Vec<u8>> = rows.iter().skip(50_000).take(12).cloned().collect();
    let images = fs::read(data("t10k-images-idx3-ubyte")?)?;
    let text = some[..5].join(&b"\n"[..]);
    // Noise fills the table of LZW with a code a byte.
    let noise = |count: u32| (0..count).map(noisy).collect::<Vec<u8>>();
    let long = [&noise(4200)[..], &some[0], &some[1]].concat();

    let mut cases = vec![
        block("empty-identity", "identity", &[]),
        block("numbers-identity", "identity", &numbers()),
        block("one-zstd", "zstd", &flights(&some[..1])),
    ];
    for codec in ["identity", "huffman", "zlib", "zstd"] {
        cases.push(block(format!("odd-{codec}"), codec, &odd()));
    }
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        cases.push(block(format!("flights-{name}"), name, &flights(&some)));
        // The values of single records, named by a header and not.
        cases.push(content(format!("values/named-{name}"), name, Some(algorithm.content_encoding()), &text));
        cases.push(content(format!("values/unnamed-{name}"), name, None, &text));
    }
    cases.extend([
        content("values/unnamed-identity-like-bzip2", "identity", None, b"BZh is how this text begins"),
        content("values/unnamed-identity-like-a-frame", "identity", None, b"\x91L\x10\x00\x00\x00\x00\x00"),
        content("values/unnamed-identity-like-a-short-frame", "identity", None, b"\xc1 is how these bytes begin"),
        content("values/unnamed-identity-like-the-shortest-frame", "identity", None, b"\xfc is how these bytes begin"),
        content("values/unnamed-zlib-of-nothing", "zlib", None, b""),
        // Long enough for codes of twelve bits and a full table.
        content("values/named-lzw-long", "lzw", Some("x-lzw"), &long),
    ]);
    cases.extend(columns());
    cases.extend(images_of_models());

    // The longest codes: counts that double.
    let skewed: Vec<u8> =
        (0..13u32).flat_map(|symbol| std::iter::repeat_n(symbol as u8 * 19, 1 << symbol.min(11))).collect();
    let every: Vec<u8> = (0..2048u32).map(|i| (i % 256).min(i * i % 256) as u8).collect();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("stored", &noise(100)),
        ("run", &[7; 300]),
        ("two-symbols", &[&[0; 40][..], &[255; 3]].concat()),
        ("two-streams", &some[0]),
        ("four-streams", &text),
        ("longest-codes", &skewed),
        ("many-symbols", &every),
        ("image", &images[16..16 + 2 * 784]),
    ] {
        cases.push(content(format!("huffman/{name}"), "huffman", Some("x-huffman"), bytes));
    }
    Ok(cases)
}
