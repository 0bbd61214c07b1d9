//! Trains a model that draws images, and judges what it draws by images that it has not seen:
//!
//! ```sh
//! cargo run --release --no-default-features --features training,quality --example draw_images -- vae 28x28 train-images-idx3-ubyte \
//!     train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte images=10000 cpu=240
//! ```
//!
//! The first argument is `vae` or `gan`. Settings are those of its recipe in `training::images`, `components` and `members` of mixtures, `steps` and `cpu`
//! (seconds) of the budget, `seed`, `images` (the first so many are learned from), `epochs` of classifiers, and `save`, a file for the model.

mod printer;

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use latentd::model::images::{Class, ImagesParts, NetworkParts, VaeParts};
use latentd::model::mixture::Mixture;
use latentd::model::{Condition, Generator, ImageGenerator as _, ImagesModel, Manifest, package};
use latentd::payload::image::Shape;
use latentd::quality::images::{Evidence, Features, judge};
use latentd::training::Budget;
use latentd::training::classifier::{Classifier, FEATURES};
use latentd::training::images::{Data, gan, vae};
use printer::{Printer, thread_cpu};

/// The time in manifests: none, so that the same training makes the same file.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// The items of an idx file, one behind the other.
fn items(path: &str) -> anyhow::Result<Vec<u8>> {
    let mut file = std::fs::read(path).with_context(|| format!("cannot read `{path}`"))?;
    let dimensions = usize::from(*file.get(3).context("an idx file has a header")?);
    ensure!(file.len() >= 4 + 4 * dimensions, "`{path}` ends within its header");
    Ok(file.split_off(4 + 4 * dimensions))
}

fn labels(path: &str) -> anyhow::Result<Vec<String>> {
    Ok(items(path)?.iter().map(u8::to_string).collect())
}

/// Images and their labels, as many as are asked for.
fn draw(model: &ImagesModel, seed: u64, count: usize) -> anyhow::Result<(Vec<u8>, Vec<String>)> {
    let (mut records, run) = (Vec::new(), model.run_length());
    for number in 0..count.div_ceil(run as usize) {
        model.draw(seed, &Condition::new(), number as u64, run, &mut records)?;
    }
    records.truncate(count);
    let label = |number: usize| model.label_of(seed, number as u64).map(str::to_owned);
    Ok((records.concat(), (0..records.len()).filter_map(label).collect()))
}

/// Recipes of both families, of which one is used.
struct Recipes {
    vae: vae::Recipe,
    gan: gan::Recipe,
}

impl Recipes {
    fn set(&mut self, kind: &str, name: &str, value: &str) -> anyhow::Result<()> {
        let two = || -> anyhow::Result<[f64; 2]> {
            let (first, second) = value.split_once(',').unwrap_or((value, value));
            Ok([first.parse()?, second.parse()?])
        };
        let several = || value.split(',').map(|value| Ok(value.parse()?)).collect::<anyhow::Result<Vec<usize>>>();
        let Self { vae, gan } = self;
        match (kind, name) {
            ("vae", "latents") => vae.latents = value.parse()?,
            ("vae", "width") => vae.width = value.parse()?,
            ("vae", "beta") => vae.beta = value.parse()?,
            ("vae", "shift") => vae.shift = value.parse()?,
            ("vae", "batch") => vae.batch = value.parse()?,
            ("vae", "rate") => vae.rate = value.parse()?,
            ("vae", "draws") => vae.draws = value.parse()?,
            ("vae", "spread") => vae.spread = value.parse()?,
            ("vae", "likeness") => vae.likeness = value.parse()?,
            ("vae", "drawn") => vae.drawn = value.parse()?,
            ("vae", "last_rate") => vae.last_rate = value.parse()?,
            ("vae", "components") => vae.fit.components = value.parse()?,
            ("vae", "members") => vae.fit.members = value.parse()?,
            ("gan", "latents") => gan.latents = value.parse()?,
            ("gan", "hidden") => gan.hidden = value.parse()?,
            ("gan", "channels") => gan.channels = several()?,
            ("gan", "critic") => gan.critic = several()?,
            ("gan", "batch") => gan.batch = value.parse()?,
            ("gan", "rates") => gan.rates = two()?,
            ("gan", "gamma") => gan.gamma = two()?,
            ("gan", "mean") => gan.mean = value.parse()?,
            ("gan", "translation") => gan.translation = value.parse()?,
            ("gan", "interval") => gan.interval = value.parse()?,
            _ => bail!("there is no setting `{name}`"),
        }
        Ok(())
    }

    /// Trains: the model's parts, and what is told of it.
    fn train(
        &self,
        kind: &str,
        data: Data<'_>,
        seed: u64,
        budget: Budget,
        printer: &mut Printer,
    ) -> anyhow::Result<(ImagesParts, String)> {
        Ok(match kind {
            "vae" => {
                let trained = vae::train(data, &self.vae, seed, budget, printer)?;
                let vae::Trained { steps, rewinds, validation, contrast, .. } = trained;
                let told = format!(
                    "{steps} steps, {rewinds} rewinds, validation {validation:.4} bits a sample, contrast {contrast:.2}"
                );
                (trained.parts, told)
            }
            "gan" => {
                let trained = gan::train(data, &self.gan, seed, budget, printer)?;
                (trained.parts, format!("{} steps, kernel distance {:.4}", trained.steps, trained.distance))
            }
            _ => bail!("there is no generator `{kind}` of images: write vae or gan"),
        })
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, shape, images, labels_of, test, test_labels, settings @ ..] = arguments.as_slice() else {
        bail!("usage: draw_images vae|gan HEIGHTxWIDTH IMAGES LABELS TEST-IMAGES TEST-LABELS [SETTING=VALUE]...")
    };
    let shape: Shape = shape.parse()?;
    let (mut images, mut names) = (items(images)?, labels(labels_of)?);
    let (test, test_names) = (items(test)?, labels(test_labels)?);
    let mut recipes = Recipes { vae: vae::Recipe::default(), gan: gan::Recipe::of(shape) };
    let (mut budget, mut seed) = (Budget { steps: u32::MAX, cpu: None }, 1);
    let (mut save, mut epochs) = (None, 8);
    for setting in settings {
        let (name, value) = setting.split_once('=').with_context(|| format!("`{setting}` sets nothing"))?;
        match name {
            "steps" => budget.steps = value.parse()?,
            "cpu" => budget.cpu = Some(Duration::from_secs_f64(value.parse()?)),
            "seed" => seed = value.parse()?,
            "images" => {
                let count: usize = value.parse()?;
                images.truncate(count * shape.samples());
                names.truncate(count);
            }
            "epochs" => epochs = value.parse()?,
            "save" => save = Some(value.to_owned()),
            _ => recipes.set(kind, name, value)?,
        }
    }
    let real = Data { shape, images: &images, labels: &names };
    let held = Data { shape, images: &test, labels: &test_names };
    let mut printer = Printer::new();
    let (parts, told) = recipes.train(kind, real, seed, budget, &mut printer)?;
    let spent = (thread_cpu() - printer.begun).as_secs_f64();
    let model = ImagesModel::new(&parts)?;
    let (settings, bytes, id) = (settings.join(" "), model.artefact().len(), model.id());
    println!("{kind} {settings}: {spent:.0} s CPU, {told}; {bytes} bytes, {id}");
    if let Some(path) = save {
        let manifest = Manifest::new(model.artefact(), model.family(), "images", CREATED);
        std::fs::write(path, package::pack(&manifest.to_json()?, model.artefact())?)?;
    }
    let begun = thread_cpu();
    let (drawn, drawn_names) = draw(&model, seed, names.len())?;
    println!("{:.0} images/s drawn", names.len() as f64 / (thread_cpu() - begun).as_secs_f64());

    let begun = thread_cpu();
    let classifier = Classifier::train(real, epochs, seed)?;
    let accuracy = classifier.accuracy(held)?;
    let of_drawn = Classifier::train(Data { shape, images: &drawn, labels: &drawn_names }, epochs, seed)?;
    let generated = Data { shape, images: &drawn, labels: &drawn_names };
    let [seen_real, seen_held, seen_drawn] = [&images, &test, &drawn].map(|images| classifier.classify(images));
    let (seen_real, seen_held, seen_drawn) = (seen_real?, seen_held?, seen_drawn?);
    let evidence = Evidence {
        train: Features::new(FEATURES, &seen_real.features),
        holdout: Features::new(FEATURES, &seen_held.features),
        generated: Features::new(FEATURES, &seen_drawn.features),
        label_agreement: Some([classifier.accuracy(generated)?, accuracy]),
        accuracies: Some([of_drawn.accuracy(held)?, accuracy]),
    };
    for gate in judge(&evidence)? {
        println!("{:16} {:8.4} {:?}  {}", gate.name, gate.value, gate.verdict, gate.explanation);
    }
    println!("judged in {:.0} s CPU", (thread_cpu() - begun).as_secs_f64());

    // The same decoder over the prior that it was trained with, in place of the mixtures.
    let NetworkParts::Vae(VaeParts { decoder, .. }) = parts.network else { return Ok(()) };
    let latents = recipes.vae.latents;
    let factors = (0..latents).flat_map(|row| (0..=row).map(move |column| f32::from(u8::from(row == column))));
    let mixture = Mixture::new(vec![1], vec![0.0; latents], factors.collect())?;
    let network = NetworkParts::Vae(VaeParts { mixtures: vec![mixture], decoder });
    let prior = ImagesParts { shape, classes: vec![Class { label: None, images: 1 }], network };
    let (drawn, _) = draw(&ImagesModel::new(&prior)?, seed, names.len())?;
    let seen = classifier.classify(&drawn)?;
    let evidence = Evidence {
        generated: Features::new(FEATURES, &seen.features),
        label_agreement: None,
        accuracies: None,
        ..evidence
    };
    println!("without the mixtures, from the prior:");
    for gate in judge(&evidence)? {
        println!("{:16} {:8.4} {:?}  {}", gate.name, gate.value, gate.verdict, gate.explanation);
    }
    Ok(())
}
