//! Generators that were trained once draw the same bytes for ever: small models of each family, and what they drew.
//!
//! `tests/golden/v1/generators/NAME.model` is an artefact, `NAME.drawn` what it draws, a line each. Files are added and never changed:
//! `LATENTD_BLESS=1` trains and draws those that are missing, in a build with the feature `training`.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

#[path = "format/allocations.rs"]
mod allocations;
#[path = "format/generators.rs"]
mod attacks;
mod tools;

use std::fs;
use std::path::PathBuf;

use allocations::measured;
use arbitrary::{Arbitrary, Unstructured};
use attacks::GeneratorAttack;
use latentd::model::{Condition, Family, open_generator};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Fields and their values.
type Asked = &'static [(&'static str, &'static str)];

/// Models, by name: the family, and the condition of the second run that is drawn.
const MODELS: [(&str, Family, Asked); 11] = [
    ("autoregressive", Family::AUTOREGRESSIVE, &[("line", "boat"), ("minutes", "41")]),
    ("vae", Family::VAE, &[]),
    ("gan", Family::GAN, &[]),
    ("autoregressive-times", Family::AUTOREGRESSIVE, &[("city", "Split"), ("total", "150")]),
    ("gan-times", Family::GAN, &[]),
    ("vae-images", Family::VAE, &[("label", "up")]),
    ("vae-images-pgm", Family::VAE, &[("label", "flat")]),
    ("vae-images-png", Family::VAE, &[("label", "up")]),
    ("classical", Family::CLASSICAL, &[("line", "boat"), ("minutes", "41")]),
    ("classical-images", Family::CLASSICAL, &[("label", "up")]),
    ("gan-images", Family::GAN, &[("label", "up")]),
];

fn path(name: &str, extension: &str) -> PathBuf {
    tools::project("tests/golden/v1/generators").join(name).with_extension(extension)
}

/// Twenty records of two runs, a line each: samples of images in hexadecimal.
fn drawn(name: &str, family: &Family, condition: &[(&str, &str)]) -> String {
    let model = open_generator(family, &fs::read(path(name, "model")).unwrap()).unwrap();
    let condition = condition.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
    let mut records = Vec::new();
    model.draw(7, &Condition::new(), 3, 10, &mut records).unwrap();
    model.draw(u64::MAX, &condition, u64::MAX >> 8, 10, &mut records).unwrap();
    let line = |record: Vec<u8>| match model.content_type() {
        "application/json" => String::from_utf8(record).unwrap(),
        _ => record.iter().map(|sample| format!("{sample:02x}")).collect(),
    };
    records.into_iter().map(|record| line(record) + "\n").collect()
}

#[test]
fn what_was_trained_draws_what_it_drew() {
    let is_blessed = std::env::var_os("LATENTD_BLESS").is_some();
    for (name, family, condition) in MODELS {
        if is_blessed && !path(name, "model").is_file() {
            train(name);
        }
        if is_blessed && !path(name, "drawn").is_file() {
            fs::write(path(name, "drawn"), drawn(name, &family, condition)).unwrap();
        }
        let expected = fs::read_to_string(path(name, "drawn")).unwrap();
        assert_eq!(expected.lines().count(), 20);
        assert_eq!(drawn(name, &family, condition), expected, "{name}");
    }
}

#[test]
fn another_program_draws_the_same() {
    let (python, _) = (tools::program("python3").unwrap(), tools::program("zstd").unwrap());
    let script = tools::project("tests/format/generators.py").display().to_string();
    for (name, _, condition) in MODELS {
        let model = path(name, "model").display().to_string();
        let condition: Vec<String> = condition.iter().map(|(field, value)| format!("{field}={value}")).collect();
        let condition: Vec<&str> = condition.iter().map(String::as_str).collect();
        let length: u64 = if name.contains("images") { 64 } else { 256 };
        let [run, last] = [3, u64::MAX >> 8].map(|run: u64| (run.wrapping_mul(length)).to_string());
        let said = [
            tools::run(&python, &[&script, &model, "7", &run, "10"]).unwrap(),
            tools::run(&python, &[&[&script[..], &model, &u64::MAX.to_string(), &last, "10"], &condition[..]].concat())
                .unwrap(),
        ];
        assert!(said.iter().all(|said| said.success), "{name}: {} {}", said[0].text, said[1].text);
        let drawn = format!("{}\n{}\n", said[0].text.trim_end(), said[1].text.trim_end());
        assert_eq!(drawn, fs::read_to_string(path(name, "drawn")).unwrap(), "{name}");
    }
}

#[test]
fn no_generator_gets_through_whatever_it_claims() {
    // What is unpacked, what it is read into, and layers that are filled up to whole lanes.
    const MOST: usize = 128 << 20;
    let cases = 3_000;
    let mut rng = ChaCha8Rng::seed_from_u64(0x47_45);
    let mut came = [0u32; 3];
    for case in 0..cases {
        let mut bytes = vec![0; 24 + case as usize % 120];
        rng.fill_bytes(&mut bytes);
        let attack = GeneratorAttack::arbitrary(&mut Unstructured::new(&bytes)).expect("any bytes make an attack");
        let (far, allocated) = measured(|| attack.judge());
        came[far.map_or(0, |drawn| 1 + usize::from(drawn))] += 1;
        assert!(allocated.peak <= MOST, "case {case}: {allocated:?} for {attack:?}");
    }
    assert!(came[0] > cases / 20 && came[2] > cases / 20, "refused, drew nothing, drew: {came:?}");
    println!("refused, drew nothing, drew: {came:?}");
}

#[cfg(not(feature = "training"))]
fn train(name: &str) {
    panic!("`{name}` is trained in a build with the feature `training`");
}

#[cfg(feature = "training")]
fn train(name: &str) {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use latentd::model::classical::{ClassicalParts, ImagesRecipe, Operation};
    use latentd::model::rows::{ClassicalRecipe, learn};
    use latentd::model::{ClassicalImages, ClassicalRows, ImagesModel, Monitor, Progress, with_wrapping};
    use latentd::payload::image::Shape;
    use latentd::training::images::{Data, gan, vae};
    use latentd::training::{Budget, rows};

    /// Nobody watches.
    struct Unwatched;

    impl Monitor for Unwatched {
        fn spent(&mut self) -> Duration {
            Duration::ZERO
        }

        fn progress(&mut self, _: &Progress) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
    }

    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut below = |limit: u32| rng.next_u32() % limit;
    // Rides: boats go from two cities of three, and take longer.
    let mut ride = |number: u32| {
        let city = below(3) as usize;
        let boat = below(10) < [0, 3, 6][city];
        let (line, minutes) =
            if boat { ("boat", 30 + below(20)) } else { (["tram", "bus"][below(2) as usize], 5 + below(20)) };
        let note = if below(4) == 0 { ",\"note\":null" } else { "" };
        let city = ["Zagreb", "Split", "Pula"][city];
        format!("{{\"id\":{number},\"city\":\"{city}\",\"line\":\"{line}\",\"minutes\":{minutes}{note}}}").into_bytes()
    };
    let rides: Vec<Vec<u8>> = (0..3000).map(&mut ride).collect();
    // Sales: one after the other by day, hours apart by night; a total of two numbers, but where there is none.
    let mut time = 1_709_280_000;
    let mut sale = |_| {
        let city = ["Zagreb", "Split"][below(2) as usize];
        let (net, tax, of_day) = (below(150), 40 + below(30), time / 3600 % 24);
        let total = if below(8) == 0 { "null".to_owned() } else { (net + tax).to_string() };
        let (hour, minute) = (below(24), below(60));
        let clock = 100 * hour + minute;
        let text = format!(
            "{{\"at\":{time},\"hour\":{hour},\"minute\":{minute},\"clock\":{clock},\"city\":\"{city}\",\"total\":{total},\"net\":{net},\"tax\":{tax}}}"
        );
        time += if of_day < 20 { 60 * (1 + below(7)) } else { 3600 * 11 };
        text.into_bytes()
    };
    let sales: Vec<Vec<u8>> = if name.ends_with("-times") { (0..3000).map(&mut sale).collect() } else { Vec::new() };
    let budget = |steps| Budget { steps, cpu: None };
    let rides = if sales.is_empty() { rides } else { sales };
    let coded = learn(&rides.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let artefact = match name {
        "autoregressive" | "autoregressive-times" => {
            let recipe = rows::Recipe { width: 24, inner: 16, blocks: 1, batch: 128, ..rows::Recipe::default() };
            rows::train(&coded, &recipe, 1, budget(600), &mut Unwatched).unwrap().model.artefact().to_vec()
        }
        "vae" => {
            let recipe =
                rows::vae::Recipe { latents: 5, width: 24, batch: 128, rate: 1e-2, ..rows::vae::Recipe::default() };
            rows::vae::train(&coded, &recipe, 1, budget(600), &mut Unwatched).unwrap().model.artefact().to_vec()
        }
        "gan" | "gan-times" => {
            let recipe = rows::gan::Recipe {
                latents: 6,
                width: 24,
                critic: 64,
                batch: 64,
                rates: [3e-3; 2],
                ..rows::gan::Recipe::default()
            };
            rows::gan::train(&coded, &recipe, 1, budget(2000), &mut Unwatched).unwrap().model.artefact().to_vec()
        }
        "classical" => {
            let recipe = ClassicalRecipe { bases: 200, ..ClassicalRecipe::default() };
            ClassicalRows::new(&coded, &recipe, 1).unwrap().artefact().to_vec()
        }
        "vae-images" | "classical-images" => {
            // A bar of light across or along.
            let (mut images, mut labels) = (Vec::new(), Vec::new());
            for number in 0..300 {
                let at = f64::from(2 + below(5));
                for (row, column) in (0..8).flat_map(|row| (0..8).map(move |column| (row, column))) {
                    let side = f64::from(if number % 2 == 0 { column } else { row });
                    images.push((250.0 * (-(side - at).powi(2) / 2.0).exp()) as u8);
                }
                labels.push(["up", "flat"][number % 2].to_owned());
            }
            let shape = Shape::new(8, 8, 1).unwrap();
            let data = Data { shape, images: &images, labels: &labels };
            if name == "classical-images" {
                let recipe = ImagesRecipe { operations: Operation::OF_IMAGES.into(), bases: 20 };
                let (parts, _) = ClassicalParts::of(shape, &images, &labels, &recipe, 1).unwrap();
                return bless(name, ClassicalImages::new(&parts).unwrap().artefact());
            }
            let parts = if name.starts_with("vae-images") {
                let recipe = vae::Recipe { latents: 3, width: 24, shift: 0, rate: 5e-3, ..vae::Recipe::default() };
                vae::train(data, &recipe, 1, budget(600), &mut Unwatched).unwrap().parts
            } else {
                // Channels that fill up no lanes, and three grids.
                let (latents, hidden, channels, critic) = (5, 12, vec![12, 10, 6], vec![16, 32]);
                let (rates, batch) = ([2e-3; 2], 32);
                let recipe =
                    gan::Recipe { latents, hidden, channels, critic, rates, batch, ..gan::Recipe::of(data.shape) };
                gan::train(data, &recipe, 1, budget(600), &mut Unwatched).unwrap().parts
            };
            let model = ImagesModel::new(&parts).unwrap();
            with_wrapping(model.artefact(), &wrapping(name)).unwrap().to_vec()
        }
        _ => panic!("there is no `{name}`"),
    };
    bless(name, &artefact);
}

#[cfg(feature = "training")]
fn bless(name: &str, artefact: &[u8]) {
    fs::create_dir_all(path(name, "model").parent().unwrap()).unwrap();
    fs::write(path(name, "model"), artefact).unwrap();
}

/// The form of images of 8 times 8: that of the tests' own files.
#[cfg(feature = "training")]
fn wrapping(name: &str) -> latentd::payload::image::Wrapping {
    use latentd::payload::image::{Png, Settings, Wrapping};

    // Made by libpng: width, height, 8 bits, grey; its checksum.
    const HEAD: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x08\0\0\0\x08\x08\0\0\0\0\xe1\x64\xe1\x57";
    match name {
        "vae-images-pgm" => Wrapping::Pnm { header: b"P5 # bars\n8 8 255\n".to_vec() },
        "vae-images-png" => Wrapping::Png(Png {
            head: HEAD.to_vec(),
            tail: b"\0\0\0\0IEND\xae\x42\x60\x82".to_vec(),
            zlib: [0x78, 0x9c],
            settings: Settings { level: 6, memory: 8, filtered: true },
            filter: Some(2),
        }),
        _ => Wrapping::Raw,
    }
}
