//! The codec over models made of chance.

use std::sync::Arc;

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::codec::{Codec, CodecError, Column};
use crate::engine::{CausalNet, Dense, Kernel, Name, Neighbour, Output};
use crate::payload::image::{Opened, Png, Settings};

/// A model with weights of chance.
pub(crate) fn model(seed: u64, shape: Shape, latents: usize, features: usize) -> LatentModel {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut dense = |inputs: usize, outputs: usize, exponent: u8| {
        let weights = (0..inputs * outputs).map(|_| rng.next_u32() as u8 as i8).collect();
        let bias = (0..outputs).map(|_| (rng.next_u32() % 4000) as i32 - 1000).collect();
        Dense::new(inputs, weights, bias, vec![exponent; outputs]).unwrap()
    };
    let limit = 20;
    let autoencoder = (latents > 0).then(|| Autoencoder {
        encoder: [dense(shape.samples(), 20, 9), dense(20, latents, 9)],
        generator: [dense(latents, 20, 8), dense(20, shape.samples() * features, 7)],
        limit,
        frequencies: (0..latents)
            .flat_map(|_| frequencies(&(0..41).map(|z: u32| 1000 / (1 + z.abs_diff(20))).collect::<Vec<_>>()).unwrap())
            .collect(),
    });
    let near = |channel: i8, row: i8, column: i8| Neighbour { channel, row, column };
    let nets = (0..shape.channels()).map(|channel| {
        let mut neighbours = vec![near(0, 0, -1), near(0, 0, -2), near(0, -1, -1), near(0, -1, 0), near(0, -1, 1)];
        neighbours.extend((1..=channel as i8).map(|back| near(-back, 0, 0)));
        let hidden = dense(neighbours.len() + if latents > 0 { features } else { 0 }, 12, 7);
        let last = dense(12, 3, 9);
        let row = |row: usize| last.weights()[12 * row..][..12].iter().map(|weight| 7 * i16::from(*weight)).collect();
        let bias = [0, 1, 2].map(|row| 8 * last.bias()[row]);
        let output = Output::new([0, 1, 2].map(row), bias, [12, 12, 9]).unwrap();
        CausalNet::new(neighbours, hidden, output).unwrap()
    });
    let nets: Vec<CausalNet> = nets.collect();
    // Tables as they are counted, with networks of chance, on images of the kind.
    let (mut zeroes, mut counts) = (vec![[1, 1]; 256], vec![1; 12 * 4 * OTHERS]);
    let even = SampleTables::from_counts(12, 4, &zeroes, &counts).unwrap();
    let parts = LatentParts::new(shape, autoencoder.clone(), nets.clone(), even).unwrap();
    let mut opened = Opened::default();
    for image in images(1000, shape, 30) {
        assert!(Wrapping::Raw.open(&image, shape, &mut opened));
        let samples = &opened.samples;
        let names = parts.names(samples, &parts.features(&parts.latent(samples)));
        for (name, sample) in names.iter().zip(samples) {
            zeroes[usize::from(name.zero())][usize::from(*sample != 0)] += 100;
            if *sample != 0 {
                counts[usize::from(name.table()) * OTHERS + usize::from(*sample) - 1] += 100;
            }
        }
    }
    let tables = SampleTables::from_counts(12, 4, &zeroes, &counts).unwrap();
    LatentModel::new(&LatentParts::new(shape, autoencoder, nets, tables).unwrap())
}

/// Images with an area of one of three levels, and noise in it.
pub(super) fn images(seed: u64, shape: Shape, count: usize) -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chance = |bound: usize| rng.next_u32() as usize % bound;
    let mut image = || -> Vec<u8> {
        let (top, left, level) = (chance(shape.height()), chance(shape.width()), 60 + 70 * chance(3));
        let mut sample = |at: usize| {
            let (row, column) = (at / shape.channels() / shape.width(), at / shape.channels() % shape.width());
            if row >= top && column >= left { (level + chance(12)) as u8 } else { 0 }
        };
        (0..shape.samples()).map(&mut sample).collect()
    };
    (0..count).map(|_| image()).collect()
}

fn shapes() -> Vec<(LatentModel, Vec<Vec<u8>>)> {
    [("8x8", 4, 2), ("28x28", 24, 2), ("9x13x3", 6, 3), ("16x8", 0, 0), ("64x64x3", 5, 1)]
        .into_iter()
        .map(|(shape, latents, features)| {
            let shape = shape.parse().unwrap();
            (model(1, shape, latents, features), images(2, shape, 20))
        })
        .collect()
}

fn column(values: &[Vec<u8>]) -> Column {
    let mut column = Column::default();
    values.iter().for_each(|value| column.push(value));
    column
}

/// A column coded in the best way and with the model in any case, and decoded: gives what the model made.
fn through(codec: &mut LatentCodec, values: &[Vec<u8>]) -> Vec<u8> {
    let (values, mut best, mut modelled) = (column(values), Vec::new(), Vec::new());
    codec.columns().unwrap().encode_column(values.as_ref(), &mut best).unwrap();
    codec.encode_modelled(values.as_ref(), &mut modelled).unwrap();
    assert!(best.len() <= modelled.len());
    for coded in [&best, &modelled] {
        let mut decoded = Column::default();
        let columns = codec.columns().unwrap();
        columns.decode_column(coded, values.len(), values.bytes.len(), &mut decoded).unwrap();
        assert_eq!(decoded, values);
    }
    modelled
}

#[test]
fn images_come_back_from_records_and_from_columns() {
    for (model, images) in shapes() {
        let mut codec = LatentCodec::new(Arc::new(model));
        for image in &images {
            let (mut coded, mut decoded) = (b"before".to_vec(), b"before".to_vec());
            codec.encode(image, &mut coded).unwrap();
            codec.decode(&coded[6..], image.len(), &mut decoded).unwrap();
            assert_eq!(&decoded[6..], image);
            let error = codec.decode(&coded[6..], image.len() - 1, &mut decoded).unwrap_err();
            assert!(matches!(error, CodecError::LimitExceeded { .. }), "{error}");
            assert_eq!(decoded.len(), 6 + image.len());
        }
        assert_eq!(through(&mut codec, &images)[..2], [0, 0], "no exceptions");
        through(&mut codec, &[]);
    }
}

#[test]
fn bytes_do_not_depend_on_kernel_batch_or_threads() {
    for (model, images) in shapes() {
        let model = Arc::new(model);
        let code = |kernel: Kernel, batch: usize| -> Vec<u8> {
            let mut codec = LatentCodec::with_kernel(Arc::clone(&model), kernel);
            let mut all = Vec::new();
            images.iter().for_each(|image| codec.encode(image, &mut all).unwrap());
            images.chunks(batch).for_each(|images| drop(through(&mut codec, images)));
            all.extend(through(&mut codec, &images));
            all
        };
        let expected = code(Kernel::Portable, 1);
        std::thread::scope(|scope| {
            let cases = Kernel::here().flat_map(|kernel| [1, 7, 64, 256].map(|batch| (kernel, batch)));
            let threads: Vec<_> = cases.map(|(kernel, batch)| scope.spawn(move || code(kernel, batch))).collect();
            threads.into_iter().for_each(|thread| assert!(thread.join().unwrap() == expected));
        });
    }
}

#[test]
fn names_of_a_codec_are_those_of_the_definition() {
    for (model, images) in shapes() {
        let parts = model.parts();
        assert_eq!(LatentModel::new(&parts).artefact(), model.artefact());
        let image = &images[3];
        let mut opened = Opened::default();
        assert!(Wrapping::Raw.open(image, model.shape(), &mut opened));
        let samples = opened.samples;
        let latent = parts.latent(&samples);
        let names = parts.names(&samples, &parts.features(&latent));
        let mut expected: Vec<(Name, u8)> = names.into_iter().zip(samples).collect();
        let model = Arc::new(model);
        let mut seen = LatentCodec::new(Arc::clone(&model)).names_of(image);
        expected.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, expected);
    }
}

#[test]
fn what_is_no_image_or_does_not_fit_goes_past_the_model() {
    let shape: Shape = "28x28".parse().unwrap();
    let mut codec = LatentCodec::new(Arc::new(model(1, shape, 8, 2)));
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut noise = vec![0; shape.samples()];
    rng.fill_bytes(&mut noise);
    let mut values = images(5, shape, 6);
    values.splice(1..1, [Vec::new(), b"no image".to_vec(), noise.clone(), vec![7; 10_000]]);
    for value in &values {
        let (mut coded, mut decoded) = (Vec::new(), Vec::new());
        codec.encode(value, &mut coded).unwrap();
        codec.decode(&coded, value.len(), &mut decoded).unwrap();
        assert_eq!(&decoded, value);
        assert!(coded.len() <= value.len() + 16, "{} of {}", coded.len(), value.len());
    }
    let coded = through(&mut codec, &values);
    assert_eq!(coded[..2], [0, 4], "four exceptions");
    let mut coded = Vec::new();
    let values = column(&[noise.clone(), b"x".to_vec(), noise]);
    codec.columns().unwrap().encode_column(values.as_ref(), &mut coded).unwrap();
    assert_eq!(coded[0], 1, "nothing for the model");
}

#[test]
fn wrapped_images_come_back_to_the_same_bytes() {
    let shape: Shape = "8x9x3".parse().unwrap();
    let parts = model(1, shape, 3, 1).parts();
    let header = b"P6 # from a camera\n9 8\n255\n";
    let wrappings = vec![
        Wrapping::Pnm { header: header.to_vec() },
        Wrapping::Raw,
        Wrapping::Pnm { header: b"P6 9 8 255 ".to_vec() },
    ];
    let parts = parts.with_wrappings(wrappings.clone()).unwrap();
    let model = LatentModel::new(&parts);
    assert_eq!(LatentModel::parse(model.artefact()).unwrap().parts(), parts);
    let mut codec = LatentCodec::new(Arc::new(model));
    let mut values = images(5, shape, 4);
    values[0].splice(0..0, *header);
    values[1].splice(0..0, *b"P6 9 8 255 ");
    assert_eq!(through(&mut codec, &values)[..2], [0, 0], "no exceptions");
    values[2].splice(0..0, *b"P6\n9 8\n255\n");
    assert_eq!(through(&mut codec, &values)[..2], [0, 1], "a header that the model does not have");
    assert!(parts.clone().with_wrappings(Vec::new()).is_err());
    assert!(parts.with_wrappings(vec![Wrapping::Pnm { header: b"P6 8 9 255 ".to_vec() }]).is_err());
}

#[test]
fn files_of_images_come_back_to_the_same_bytes() {
    let shape: Shape = "20x20x3".parse().unwrap();
    let png = Png {
        head: [&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x14\0\0\0\x14\x08\x02\0\0\0"[..], &[0; 4]].concat(),
        tail: b"\0\0\0\0IEND\xae\x42\x60\x82".to_vec(),
        zlib: [0x78, 0x9c],
        settings: Settings { level: 6, memory: 8, filtered: true },
        filter: None,
    };
    let wrapping = Wrapping::Png(png);
    let parts = model(1, shape, 3, 1).parts().with_wrappings(vec![Wrapping::Raw, wrapping.clone()]).unwrap();
    let model = LatentModel::new(&parts);
    assert_eq!(LatentModel::parse(model.artefact()).unwrap().parts(), parts);
    let mut codec = LatentCodec::new(Arc::new(model));
    let mut values = images(5, shape, 6);
    let filters: Vec<u8> = (0..20u32).map(|row| (row * row % 5) as u8).collect();
    for value in &mut values[2..] {
        let mut opened = Opened::default();
        assert!(Wrapping::Raw.open(value, shape, &mut opened));
        opened.filters.clone_from(&filters);
        value.clear();
        wrapping.wrap(&opened, shape, value);
        assert!(matches!(Wrapping::of(value, shape), Some(Wrapping::Png(_))));
        let (mut coded, mut decoded) = (Vec::new(), Vec::new());
        codec.encode(value, &mut coded).unwrap();
        assert!(coded.len() <= value.len() + 16, "{} of {}", coded.len(), value.len());
        codec.decode(&coded, value.len(), &mut decoded).unwrap();
        assert_eq!(&decoded, value);
        let error = codec.decode(&coded, value.len() - 1, &mut decoded).unwrap_err();
        assert!(matches!(error, CodecError::LimitExceeded { .. }), "{error}");
    }
    // A file of an image that is nearly empty is smaller than what networks of chance make of it.
    let coded = through(&mut codec, &values);
    assert!(coded[0] == 0 && coded[1] <= 2, "{} exceptions", coded[1]);
}

#[test]
fn peaks_come_back_and_take_what_their_neighbours_leave() {
    let shape: Shape = "9x8".parse().unwrap();
    let parts = model(5, shape, 0, 0).parts();
    let with = |threshold: u8, near: usize| {
        let values = 256 - usize::from(threshold);
        let digits = |digits: u32| (values + 1).pow(digits);
        // Most likely as the one before.
        let tables = (0..digits(near as u32)).map(|context| {
            let before = context / digits(near as u32 - 1);
            frequencies(&(1..=values).map(|value| if value == before { 50_000 } else { 1 }).collect::<Vec<u32>>())
                .unwrap()
        });
        let peaks = Peaks::new(threshold, near, tables.collect::<Vec<_>>().concat()).unwrap();
        let tables = parts.tables().clone().with_peaks(Some(peaks));
        LatentParts::new(shape, None, parts.nets().to_vec(), tables)
    };
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut noise = |from: u32| (0..shape.samples()).map(|_| (from + rng.next_u32() % (256 - from)) as u8).collect();
    let mut images: Vec<Vec<u8>> = [0, 200, 248, 250, 253, 254].map(&mut noise).to_vec();
    images.extend([vec![255; shape.samples()], vec![253; shape.samples()]]);
    for (threshold, near) in [(254, 1), (252, 2), (250, 4), (248, 5)] {
        let model = LatentModel::new(&with(threshold, near).unwrap());
        assert_eq!(model.parts(), with(threshold, near).unwrap());
        let mut codec = LatentCodec::new(Arc::new(LatentModel::parse(model.artefact()).unwrap()));
        through(&mut codec, &images);
        let mut bytes = |image: &[u8]| {
            let mut column = Column::default();
            column.push(image);
            let mut coded = Vec::new();
            codec.encode_modelled(column.as_ref(), &mut coded).unwrap();
            coded.len()
        };
        // Those of a kind are not told from one another.
        assert!(bytes(&images[7]) <= bytes(&images[4]));
    }
    assert!(with(252, 6).is_err(), "the net does not look two rows up");
}

#[test]
fn streams_cut_at_any_byte_or_with_a_bit_flipped_never_panic() {
    let shape: Shape = "8x8".parse().unwrap();
    let mut codec = LatentCodec::new(Arc::new(model(1, shape, 4, 2)));
    let images = images(5, shape, 5);
    let mut coded = Vec::new();
    codec.encode(&images[1], &mut coded).unwrap();
    let block = through(&mut codec, &[images.clone(), vec![b"no image".to_vec()]].concat());
    let mut output = Vec::new();
    for stream in [&coded, &block] {
        for at in 0..stream.len() {
            let mut damaged = stream.clone();
            damaged[at] ^= 1 << (at % 8);
            for stream in [&stream[..at], &damaged] {
                output.clear();
                let _ = codec.decode(stream, 64, &mut output);
                assert!(output.len() <= 64);
                let mut column = Column::default();
                let _ = codec.columns().unwrap().decode_column(stream, 6, 400, &mut column);
                assert!(column.bytes.len() <= 400);
            }
        }
    }
}

#[test]
fn artefacts_that_were_cut_or_changed_are_refused_or_read_without_a_panic() {
    let model = model(1, "8x8".parse().unwrap(), 4, 2);
    let artefact = model.artefact();
    assert_eq!(LatentModel::parse(artefact).unwrap().id(), model.id());
    for length in (0..artefact.len()).step_by(artefact.len() / 300) {
        assert!(LatentModel::parse(&artefact[..length]).is_err(), "{length}");
    }
    assert!(LatentModel::parse(&[artefact, &b"x"[..]].concat()).is_err());
    let text = |from: &str, to: &str| {
        let at = artefact.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        assert_eq!(from.len(), to.len());
        let changed = [&artefact[..at], to.as_bytes(), &artefact[at + from.len()..]].concat();
        LatentModel::parse(&changed).unwrap_err()
    };
    for other in ["1", "4"] {
        assert!(matches!(text(r#"\"version\":2"#, &format!(r#"\"version\":{other}"#)), LatentError::Version { .. }));
    }
    for (from, to) in [
        (r#"\"version\":2"#, r#"\"version\":3"#),
        (r#"\"height\":8"#, r#"\"height\":9"#),
        (r#"\"channels\":1"#, r#"\"channels\":3"#),
        (r#"\"limit\":20"#, r#"\"limit\":99"#),
        (r#"\"positions\":12"#, r#"\"positions\":99"#),
        (r#"\"wrappings\":"#, r#"\"wrapping_\":"#),
        (r#"net.0.hidden.bias"#, r#"net.0.hidden.bios"#),
        (r#""I8","shape":[20,64]"#, r#""U8","shape":[20,64]"#),
        (r#""I8","shape":[20,64]"#, r#""I8","shape":[64,20]"#),
    ] {
        let error = text(from, to);
        assert!(matches!(error, LatentError::Invalid(_)), "{error}");
    }
    let mut huge = artefact.to_vec();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(LatentModel::parse(&huge).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_artefact_is_refused_or_codes_without_a_panic(at: prop::sample::Index, value: u8, image: u64) {
        use std::sync::OnceLock;
        static GOOD: OnceLock<Arc<[u8]>> = OnceLock::new();
        let shape: Shape = "8x8".parse().unwrap();
        let good = GOOD.get_or_init(|| Arc::clone(model(1, shape, 4, 2).artefact()));
        let mut damaged = good.to_vec();
        let at = at.index(damaged.len());
        damaged[at] = value;
        if let Ok(model) = LatentModel::parse(&damaged) {
            let mut codec = LatentCodec::new(Arc::new(model));
            through(&mut codec, &images(image, shape, 3));
        }
    }

    #[test]
    fn any_values_come_back(values in prop::collection::vec(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..70), prop::collection::vec(any::<u8>(), 64), Just(vec![0; 64]),
    ], 0..8)) {
        let mut codec = LatentCodec::new(Arc::new(model(1, "8x8".parse().unwrap(), 4, 2)));
        through(&mut codec, &values);
    }
}
