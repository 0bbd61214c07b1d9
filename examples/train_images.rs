//! Trains a model of images, and says what it makes of them:
//!
//! ```sh
//! cargo run --release --example train_images -- 28x28 train-images-idx3-ubyte cpu=120 hidden=48 test=t10k-images-idx3-ubyte
//! ```
//!
//! Settings are those of `training::latent::Recipe`, `steps` and `cpu` (seconds) of its `Budget`, `seed`, and `save`, a file
//! for the model, which `latentd compress --model` takes. Each fifteenth image of the file validates; `test` names images that decide nothing.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use latentd::codec::Codec;
use latentd::engine::Kernel;
use latentd::model::latent::{LatentCodec, LatentModel};
use latentd::model::manifest::metric;
use latentd::model::{Family, Manifest, Monitor, Progress, Start, package};
use latentd::payload::image::Shape;
use latentd::training::latent::{Budget, Data, Recipe, train};
use rustix::time::{ClockId, clock_gettime};

/// One image in so many validates.
const VALIDATES: usize = 15;

/// The time in manifests: none, so that the same training makes the same file.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Prints how far the training is.
struct Printer {
    begun: Duration,
    printed: f64,
    /// The sum of the losses since the last line, and their number.
    losses: (f64, u32),
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

impl Monitor for Printer {
    fn spent(&mut self) -> Duration {
        thread_cpu() - self.begun
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.losses = (self.losses.0 + progress.loss, self.losses.1 + 1);
        if progress.fraction >= self.printed {
            let Progress { phase, step, validation, left, .. } = progress;
            let loss = self.losses.0 / f64::from(self.losses.1);
            self.losses = (0.0, 0);
            eprintln!(
                "{phase:?} step {step}: loss {loss:.4}, validation {validation:.4}, {:.0} s left",
                left.as_secs_f64()
            );
            self.printed += 0.1;
        }
        ControlFlow::Continue(())
    }
}

/// The images of an idx file, one behind the other.
fn images(path: &str) -> anyhow::Result<Vec<u8>> {
    let mut file = std::fs::read(path).with_context(|| format!("cannot read `{path}`"))?;
    let dimensions = usize::from(*file.get(3).context("an idx file has a header")?);
    // Its type and number of dimensions, and the size of each.
    ensure!(file.len() >= 4 + 4 * dimensions, "`{path}` ends within its header");
    Ok(file.split_off(4 + 4 * dimensions))
}

/// Bytes that these images take as records, and seconds of CPU to encode and to decode them.
fn measure(model: &Arc<LatentModel>, kernel: Kernel, images: &[u8]) -> anyhow::Result<(usize, [f64; 2])> {
    let mut codec = LatentCodec::with_kernel(Arc::clone(model), kernel);
    let samples = model.shape().samples();
    let (begun, mut coded) = (thread_cpu(), Vec::new());
    for image in images.chunks_exact(samples) {
        let mut record = Vec::new();
        codec.encode(image, &mut record)?;
        coded.push(record);
    }
    let (encoded, mut back) = (thread_cpu(), Vec::new());
    for (record, image) in coded.iter().zip(images.chunks_exact(samples)) {
        back.clear();
        codec.decode(record, samples, &mut back)?;
        if back != image {
            bail!("an image came back as another");
        }
    }
    let decoded = thread_cpu();
    Ok((coded.iter().map(Vec::len).sum(), [encoded - begun, decoded - encoded].map(|time| time.as_secs_f64())))
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: train_images HEIGHTxWIDTH FILE [SETTING=VALUE]...";
    let shape: Shape = arguments.next().context(usage)?.parse()?;
    let images = self::images(&arguments.next().context(usage)?)?;
    let (mut recipe, mut budget, mut seed) = (Recipe::default(), Budget { steps: u32::MAX, cpu: None }, 1);
    let (mut test, mut save) = (None, None);
    let settings: Vec<String> = arguments.collect();
    for setting in &settings {
        let (name, value) = setting.split_once('=').with_context(|| format!("`{setting}` sets nothing"))?;
        match name {
            "latents" => recipe.latents = value.parse()?,
            "limit" => recipe.limit = value.parse()?,
            "width" => recipe.width = value.parse()?,
            "features" => recipe.features = value.parse()?,
            "neighbours" => recipe.neighbours = value.parse()?,
            "fours" => recipe.fours = value.parse()?,
            "ahead" => recipe.ahead = value.parse()?,
            "hidden" => recipe.hidden = value.parse()?,
            "positions" => recipe.positions = value.parse()?,
            "scales" => recipe.scales = value.parse()?,
            "peaks" => recipe.peaks = value.parse()?,
            "batch" => recipe.batch = value.parse()?,
            "rate" => recipe.rate = value.parse()?,
            "float" => recipe.float = value.parse()?,
            "interval" => recipe.interval = value.parse()?,
            "steps" => budget.steps = value.parse()?,
            "cpu" => budget.cpu = Some(Duration::from_secs_f64(value.parse()?)),
            "seed" => seed = value.parse()?,
            "test" => test = Some(self::images(value)?),
            "save" => save = Some(value.to_owned()),
            _ => bail!("there is no setting `{name}`"),
        }
    }
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for (number, image) in images.chunks_exact(shape.samples()).enumerate() {
        if number % VALIDATES == 0 { &mut validation } else { &mut training }.extend_from_slice(image);
    }
    let begun = Instant::now();
    let mut printer = Printer { begun: thread_cpu(), printed: 0.0, losses: (0.0, 0) };
    let data = Data { shape, training: &training, validation: &validation };
    let trained = train(data, &recipe, seed, budget, Start::Anew, &mut printer)?;
    let model = Arc::new(LatentModel::new(&trained.parts));
    println!(
        "{}: {} steps, {:.0} s CPU, {:.0} s, {} rewinds; validation {:.4} bits a sample ({:.4} latent); artefact {} bytes, {}",
        settings.join(" "),
        trained.steps,
        trained.cpu.as_secs_f64(),
        begun.elapsed().as_secs_f64(),
        trained.rewinds,
        trained.validation.total(),
        trained.validation.latents,
        model.artefact().len(),
        model.id(),
    );
    if let Some(path) = save {
        let mut manifest = Manifest::new(model.artefact(), Family::LATENT, "images", CREATED);
        manifest.config = serde_json::json!({ "recipe": format!("{recipe:?}"), "seed": seed });
        manifest.metrics = [(metric::TRAINING_SECONDS.to_owned(), trained.cpu.as_secs_f64())].into();
        std::fs::write(path, package::pack(&manifest.to_json()?, model.artefact())?)?;
    }
    if let Some(images) = test {
        for kernel in Kernel::here() {
            let (bytes, seconds) = measure(&model, kernel, &images)?;
            let megabytes = images.len() as f64 / 1e6;
            println!(
                "test: {bytes} bytes, {:.4} bits a sample as records without frames; {kernel}: {:.1} MB/s encoded, {:.1} decoded",
                bytes as f64 * 8.0 / images.len() as f64,
                megabytes / seconds[0],
                megabytes / seconds[1],
            );
        }
    }
    Ok(())
}
