//! How fast images are drawn: images a second of one thread, by kernel.
//!
//! `cargo bench --no-default-features --bench images [-- --model FILE]`; the model is an artefact or a `.latentd-model` file, and without one a `gan` of
//! 28x28 with weights of chance, as large as `latentd train` makes it. Times are CPU times of the thread, the fastest of some rounds.

mod measure;

use std::fs;
use std::time::Duration;

use latentd::engine::Kernel;
use latentd::model::images::{Class, GanParts, ImagesParts, NetworkParts, first_grid};
use latentd::model::package::unpack;
use latentd::model::perceptron::Linear;
use latentd::model::{Condition, Generator, ImagesModel};
use latentd::payload::image::Shape;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use measure::fastest;

/// CPU time of a measurement, at least.
const AT_LEAST: Duration = Duration::from_secs(2);

/// Runs of a round.
const RUNS: u64 = 16;

/// An artefact of chance.
fn untrained() -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut layer = |inputs: usize, outputs: usize| {
        let size = (6.0 / inputs as f32).sqrt();
        let mut number = || ((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0) * size;
        let weights = (0..inputs * outputs).map(|_| number()).collect();
        Linear::new(weights, vec![0.1; outputs]).expect("the numbers are finite")
    };
    let shape = Shape::new(28, 28, 1).expect("there is such a shape");
    let channels = [64, 32, 16];
    let [height, width] = first_grid(shape, 2);
    let dense = [layer(64 + 10, 128), layer(128, height * width * channels[0])];
    let ups = channels.windows(2).map(|pair| layer(16 * pair[0], pair[1])).collect();
    let classes = (0..10).map(|label| Class { label: Some(label.to_string()), images: 1 }).collect();
    let network = NetworkParts::Gan(GanParts { dense, ups, output: layer(9 * channels[2], 1) });
    ImagesModel::new(&ImagesParts { shape, classes, network }).expect("the layers fit").artefact().to_vec()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let artefact = match arguments.as_slice() {
        [] => untrained(),
        [name, path] if name == "--model" => {
            let bytes = fs::read(path).unwrap_or_else(|error| panic!("`{path}`: {error}"));
            unpack(&bytes).map(|package| package.artefact.to_vec()).unwrap_or(bytes)
        }
        _ => panic!("usage: cargo bench --bench images [-- --model FILE]"),
    };
    for kernel in Kernel::here() {
        let model = ImagesModel::with_kernel(&artefact, kernel).unwrap_or_else(|error| panic!("{error}"));
        let mut images = Vec::new();
        let seconds = fastest(AT_LEAST, || {
            images.clear();
            for run in 0..RUNS {
                let drawn = model.draw(1, &Condition::new(), run, model.run_length(), &mut images);
                drawn.expect("without a condition images are drawn");
            }
        });
        println!("| {} | {kernel} | {:.0} images/s |", model.name(), images.len() as f64 / seconds);
    }
}
