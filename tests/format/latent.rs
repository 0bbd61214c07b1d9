//! Models of images that golden files were written with, and images that they fit.

use anyhow::Result;
use latentd::engine::{CausalNet, Dense, Neighbour, Output};
use latentd::model::LatentParts;
use latentd::model::latent::{Autoencoder, LatentModel, OTHERS, Peaks, SampleTables, frequencies};
use latentd::payload::image::{Opened, Png, Settings, Shape, Wrapping};
use latentd::record::{Record, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The models, by name: `digits` has a latent and five wrappings, `tiles` has colours and no latent, `dots`, `specks` and `stars` have neither.
/// Records of `dots` have frames of four bytes, those of `specks` and `stars` of three; `stars` has peaks.
pub const MODELS: [&str; 5] = ["digits", "tiles", "dots", "specks", "stars"];

/// The peaks of `stars`.
const THRESHOLD: u8 = 250;
const NEAR: usize = 3;

/// Images that tables are counted on.
const COUNTED: u64 = 400;

/// Positions and scales of the tables.
const POSITIONS: u16 = 6;
const SCALES: u16 = 3;

/// A header of a PGM file that `digits` knows.
pub const HEADER: &[u8] = b"P5\n# a digit\n8 8\n255\n";

/// The shape of a model's images.
pub fn shape(name: &str) -> Shape {
    let shape = if name == "tiles" { Shape::new(8, 9, 3) } else { Shape::new(8, 8, 1) };
    shape.expect("sides are 8 or 9")
}

/// Values with an image each: a stroke of a digit, or a tile of two colours. Samples in the order row, column, channel.
pub fn images(name: &str, seeds: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    let shape = shape(name);
    let image = |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |bound: u32| (rng.next_u32() % bound) as i32;
        let (x, y, down, across, level) = (below(8), below(8), below(5) - 2, below(5) - 2, 128 + below(120));
        let mut samples = Vec::new();
        for row in 0..shape.height() as i32 {
            for column in 0..shape.width() as i32 {
                // How far from a line through a point.
                let distance = ((column - x) * down - (row - y) * across).abs();
                for channel in 0..shape.channels() as i32 {
                    let value = (level - 40 * channel - 60 * distance).clamp(0, 255) as u8;
                    // Bright, and seldom as bright as the one beside it.
                    let peak = name == "stars" && value > 150 + (row * column % 7) as u8;
                    samples.push(if peak { THRESHOLD + ((level + row) % 6) as u8 } else { value });
                }
            }
        }
        samples
    };
    seeds.map(image).collect()
}

/// Images as one commit reads them.
pub fn records(values: &[Vec<u8>]) -> Vec<Record> {
    let record = |(offset, value): (i64, &Vec<u8>)| Record {
        key: None,
        value: Some(value.clone().into()),
        headers: Vec::new(),
        timestamp: Timestamp::create(1_700_000_000_000 + offset * 40),
        offset,
    };
    (900..).zip(values).map(record).collect()
}

/// A form of PNG files that `digits` knows: their rows have one filter, or each its own.
fn png(alike: bool) -> Png {
    Png {
        head: b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x08\0\0\0\x08\x08\0\0\0\0\xe1\x64\xe1\x57".to_vec(),
        tail: b"\0\0\0\0IEND\xae\x42\x60\x82".to_vec(),
        zlib: [0x78, 0x9c],
        settings: Settings { level: 6, memory: 8, filtered: !alike },
        filter: alike.then_some(0),
    }
}

/// The PNG file of an image of `digits`.
pub fn file(image: &[u8], alike: bool) -> Vec<u8> {
    let filters = (0..8).map(|row| row * row % 5).collect();
    let mut value = Vec::new();
    Wrapping::Png(png(alike)).wrap(&Opened { samples: image.to_vec(), filters }, shape("digits"), &mut value);
    value
}

/// Weights of chance.
fn dense(rng: &mut ChaCha8Rng, inputs: usize, outputs: usize, exponent: u8) -> Result<Dense> {
    let weights = (0..inputs * outputs).map(|_| rng.next_u32() as u8 as i8).collect();
    let bias = (0..outputs).map(|_| (rng.next_u32() % 8000) as i32 - 1000).collect();
    Ok(Dense::new(inputs, weights, bias, vec![exponent; outputs])?)
}

/// What such a net says: levels of zero are of twice the weights.
fn output(rng: &mut ChaCha8Rng, inputs: usize) -> Result<Output> {
    let mut numbers = |bound: u32| (rng.next_u32() % bound) as i32 - bound as i32 / 2;
    let weights = [512, 512, 2048].map(|bound| (0..inputs).map(|_| numbers(bound) as i16).collect());
    Ok(Output::new(weights, [16_000, 8000, 300_000], [12, 12, 11])?)
}

/// The peaks of a model: likeliest as the sample to the left.
fn peaks(name: &str) -> Result<Option<Peaks>> {
    if name != "stars" {
        return Ok(None);
    }
    let values = 256 - usize::from(THRESHOLD);
    let tables = (0..(values + 1).pow(NEAR as u32)).map(|context| {
        let left = context / (values + 1).pow(NEAR as u32 - 1);
        let counts = (0..values).map(|value| if value + 1 == left { 40 } else { 1 + (context % 5) as u32 });
        frequencies(&counts.collect::<Vec<u32>>())
    });
    Ok(Some(Peaks::new(THRESHOLD, NEAR, tables.collect::<Result<Vec<_>, _>>()?.concat())?))
}

/// A model with networks of chance, and tables that are counted with them.
pub fn model(name: &str) -> Result<LatentModel> {
    let shape = shape(name);
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let images = images(name, 0..COUNTED);
    let (latents, features, limit) = (4, 2, 10u8);
    let autoencoder = match name {
        "digits" => Some(Autoencoder {
            encoder: [dense(rng, shape.samples(), 12, 11)?, dense(rng, 12, latents, 11)?],
            generator: [dense(rng, latents, 12, 8)?, dense(rng, 12, shape.samples() * features, 8)?],
            limit,
            frequencies: vec![0; latents * (2 * usize::from(limit) + 1)],
        }),
        _ => None,
    };
    let near = |channel: i8, row: i8, column: i8| Neighbour { channel, row, column };
    let mut nets = Vec::new();
    for channel in 0..shape.channels() as i8 {
        let mut neighbours =
            vec![near(0, 0, -1), near(0, -1, 2), near(0, -1, -1), near(0, -1, 0), near(0, -2, 0), near(0, 0, -6)];
        if name == "stars" {
            neighbours.push(near(0, -1, 1));
        }
        neighbours.extend((1..=channel).flat_map(|back| [near(-back, 0, 0), near(-back, 1, 1)]));
        let inputs = neighbours.len() + if autoencoder.is_some() { features } else { 0 };
        nets.push(CausalNet::new(neighbours, dense(rng, inputs, 10, 8)?, output(rng, 10)?)?);
    }
    let (mut zeroes, mut counts) = (vec![[1, 1]; 256], vec![1; usize::from(POSITIONS * SCALES) * OTHERS]);
    let even = SampleTables::from_counts(POSITIONS, SCALES, &zeroes, &counts)?;
    let mut opened = Opened::default();
    // The latents' tables first: without them there are no parts to count samples with.
    let mut autoencoder = autoencoder;
    if let Some(autoencoder) = &mut autoencoder {
        let levels = autoencoder.levels();
        let mut counts = vec![1; latents * levels];
        for image in &images {
            let [first, second] = &autoencoder.encoder;
            let latent = second.signed(&first.relu(image), i16::from(limit));
            for (number, z) in latent.iter().enumerate() {
                counts[number * levels + (z + i16::from(limit)) as usize] += 1;
            }
        }
        let tables: Result<Vec<Vec<u16>>, _> = counts.chunks(levels).map(frequencies).collect();
        autoencoder.frequencies = tables?.concat();
    }
    let parts = LatentParts::new(shape, autoencoder.clone(), nets.clone(), even)?;
    for image in &images {
        assert!(Wrapping::Raw.open(image, shape, &mut opened));
        let samples = &opened.samples;
        for (name, sample) in parts.names(samples, &parts.features(&parts.latent(samples))).iter().zip(samples) {
            zeroes[usize::from(name.zero())][usize::from(*sample != 0)] += 8;
            if *sample != 0 {
                counts[usize::from(name.table()) * OTHERS + usize::from(*sample) - 1] += 8;
            }
        }
    }
    let tables = SampleTables::from_counts(POSITIONS, SCALES, &zeroes, &counts)?.with_peaks(peaks(name)?);
    let mut parts = LatentParts::new(shape, autoencoder, nets, tables)?;
    if name == "digits" {
        let other = Wrapping::Pnm { header: b"P5 8 8 255\n".to_vec() };
        let files = [true, false].map(|alike| Wrapping::Png(png(alike)));
        parts = parts.with_wrappings(
            [&[Wrapping::Raw, other, Wrapping::Pnm { header: HEADER.to_vec() }], &files[..]].concat(),
        )?;
    }
    Ok(LatentModel::new(&parts))
}
