//! The demonstration's streams: real records, and what is done with them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;

/// One topic that is fed, compressed and restored.
pub struct Stream {
    /// The topic's name, and the pipeline's.
    pub name: &'static str,
    /// What the records are, for the screen.
    pub what: &'static str,
    /// The codec.
    pub codec: &'static str,
    /// The layout.
    pub layout: &'static str,
    /// What its values are, for the configuration.
    pub payload: &'static str,
    /// How the pipeline learns from the stream, for the configuration.
    pub learn: &'static str,
    /// Records a second.
    pub rate: f64,
    /// The records, in order; the feeder begins again at their end.
    pub records: Vec<Sample>,
}

/// One record to feed.
pub struct Sample {
    /// Key.
    pub key: Bytes,
    /// Value.
    pub value: Bytes,
    /// A header, name and value.
    pub header: Option<(&'static str, String)>,
}

/// Partitions of each topic.
pub const PARTITIONS: i32 = 4;

/// Records of one stream that are held in memory: all flights of the year, so that none comes twice in the first minute.
const MOST: usize = 400_000;

/// What images are coded with: without libtorch no network is trained on them.
const IMAGE_CODEC: &str = if cfg!(feature = "training") { "latent" } else { "zstd-dict:19" };

/// Where the records lie: `--data`, `LATENTD_DATA`, or the cache that `make demo` fills.
pub fn data_folder(asked: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = || std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    asked
        .or_else(|| std::env::var_os("LATENTD_DATA").map(PathBuf::from))
        .or_else(|| Some(cache()?.join("latentd").join("data")))
        .context("no home folder: name the records' folder with --data")
}

/// The streams, with their records read from `folder`. `speed` scales their pace.
pub fn streams(folder: &Path, speed: f64) -> anyhow::Result<Vec<Stream>> {
    Ok(vec![
        Stream {
            name: "flights",
            what: "departures from New York in 2013, one JSON object each, keyed by airport",
            codec: "columns",
            layout: "block",
            payload: "payload = \"json\"",
            // The demonstration is short: a year of flights goes by in minutes.
            learn: "every = \"10s\"\nreservoir = \"16MiB\"",
            rate: 1000.0 * speed,
            records: flights(&folder.join("flights.jsonl"))?,
        },
        Stream {
            name: "digits",
            what: "MNIST, handwritten digits of 28 x 28 pixels",
            codec: IMAGE_CODEC,
            layout: "block",
            payload: "payload = \"image\"\nshape = \"28x28\"",
            learn: "every = \"10m\"\nreservoir = \"32MiB\"\ncpu = \"60s\"",
            rate: 400.0 * speed,
            records: digits(folder)?,
        },
    ])
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| {
        format!(
            "no records at `{}`: `make demo` fetches them, and `deploy/setup/data.py --folder FOLDER flights mnist` \
             does so elsewhere (then --data FOLDER)",
            path.display()
        )
    })
}

fn flights(path: &Path) -> anyhow::Result<Vec<Sample>> {
    let bytes = Bytes::from(read(path)?);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(MOST);
    let records: Vec<Sample> = lines
        .map(|line| Sample {
            key: bytes.slice_ref(field(line, b"\"origin\":\"")),
            value: bytes.slice_ref(line),
            header: None,
        })
        .collect();
    ensure!(!records.is_empty(), "`{}` holds no lines", path.display());
    Ok(records)
}

/// The text of a field behind its name, up to its end; empty when the line has none.
fn field<'a>(line: &'a [u8], name: &[u8]) -> &'a [u8] {
    let Some(at) = line.windows(name.len()).position(|window| window == name) else { return &[] };
    let rest = &line[at + name.len()..];
    &rest[..rest.iter().position(|byte| b",}\"".contains(byte)).unwrap_or(rest.len())]
}

fn digits(folder: &Path) -> anyhow::Result<Vec<Sample>> {
    let images = Bytes::from(idx(&folder.join("train-images-idx3-ubyte"), 16)?);
    let labels = idx(&folder.join("train-labels-idx1-ubyte"), 8)?;
    let records: Vec<Sample> = images
        .chunks_exact(28 * 28)
        .zip(&labels)
        .take(MOST)
        .enumerate()
        .map(|(index, (image, label))| Sample {
            key: index.to_string().into(),
            value: images.slice_ref(image),
            header: Some(("label", label.to_string())),
        })
        .collect();
    ensure!(!records.is_empty(), "`{}` holds no images", folder.display());
    Ok(records)
}

/// The content of an idx file of bytes, whose header has `header` bytes.
fn idx(path: &Path, header: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = read(path)?;
    // The magic: two zeros, 8 for unsigned bytes, the number of dimensions.
    if bytes.len() < header || bytes[..3] != [0, 0, 8] || usize::from(bytes[3]) * 4 + 4 != header {
        bail!("`{}` is no idx file of bytes with {} dimensions", path.display(), header / 4 - 1);
    }
    bytes.drain(..header);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_flight_is_its_airport() {
        assert_eq!(field(br#"{"month":1,"origin":"EWR","tailnum":"N14228"}"#, b"\"origin\":\""), b"EWR");
        assert_eq!(field(br#"{"flight":7}"#, b"\"flight\":"), b"7");
        assert_eq!(field(br#"{}"#, b"\"origin\":\""), b"");
    }

    #[test]
    fn missing_records_say_how_to_get_them() {
        let folder = tempfile::tempdir().unwrap();
        let error = streams(folder.path(), 1.0).map(|_| ()).unwrap_err();
        assert!(format!("{error:#}").contains("make demo"), "{error:#}");
    }
}
