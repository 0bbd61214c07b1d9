//! Images: a training with libtorch, which takes minutes, and what comes of it on images that it has not seen.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;

use crate::codec::Codec as _;
use crate::frame::HEADER_LEN;
use crate::model::latent::{LatentCodec, LatentModel, MAX_WRAPPINGS};
use crate::model::{Sizes, Verdict, coded_sizes, judge};
use crate::payload::image::{Opened, Shape, Wrapping};
use crate::pipeline::Run;
use crate::telemetry::thread_cpu_seconds;
use crate::training::latent::{Budget, Data, Recipe, Start, train};
use crate::training::{Monitor, Phase, Progress};

/// One image in so many validates.
const VALIDATES: usize = 15;

/// zstd's level that images are compared with.
const PLAIN_LEVEL: i32 = 3;

/// What is learned from images.
#[derive(Clone, Copy, Debug)]
pub struct Images {
    /// Their shape.
    pub shape: Shape,
    /// CPU time of the training.
    pub cpu: Duration,
    /// Where random numbers begin.
    pub seed: u64,
}

/// Shows how far the training is, and counts its CPU time.
struct Watch<'a> {
    begun: f64,
    bar: &'a ProgressBar,
}

impl Monitor for Watch<'_> {
    fn spent(&mut self) -> Duration {
        Duration::from_secs_f64((thread_cpu_seconds() - self.begun).max(0.0))
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        let phase = match progress.phase {
            Phase::Float => "with floats",
            Phase::Quantised => "with integers",
            Phase::Calibration => "counting",
        };
        let validation = (progress.validation < f64::MAX).then(|| format!(", {:.4} validated", progress.validation));
        self.bar.set_message(format!(
            "training {phase}: {:.0} %, {:.4} bits a sample{}, {:.0} s of CPU left",
            progress.fraction * 100.0,
            progress.loss,
            validation.unwrap_or_default(),
            progress.left.as_secs_f64()
        ));
        ControlFlow::Continue(())
    }
}

impl Images {
    /// The settings of a training, for the manifest.
    pub fn config(&self) -> serde_json::Value {
        serde_json::json!({
            "shape": self.shape.to_string(),
            "cpu_seconds": self.cpu.as_secs_f64(),
            "seed": self.seed,
            "recipe": format!("{:?}", Recipe::default()),
        })
    }

    /// Learns a model of the values that are images.
    pub fn train(&self, runs: &[&Run], bar: &ProgressBar) -> anyhow::Result<Arc<[u8]>> {
        let values = || runs.iter().flat_map(|run| run.values());
        let wrappings = Wrapping::learn(values(), self.shape, MAX_WRAPPINGS);
        let mut opened = Opened::default();
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        let mut found = 0usize;
        for value in values() {
            if wrappings.iter().any(|wrapping| wrapping.open(value, self.shape, &mut opened)) {
                let part = if found.is_multiple_of(VALIDATES) { &mut validation } else { &mut training };
                part.extend_from_slice(&opened.samples);
                found += 1;
            }
        }
        if found == 0 {
            bail!(
                "no record is an image of {}: neither its samples alone nor a PGM, PPM or PNG file of them",
                self.shape
            );
        }
        let data = Data { shape: self.shape, training: &training, validation: &validation };
        let budget = Budget { steps: u32::MAX, cpu: Some(self.cpu) };
        let mut watch = Watch { begun: thread_cpu_seconds(), bar };
        let trained = train(data, &Recipe::default(), self.seed, budget, Start::Anew, &mut watch)
            .with_context(|| format!("{found} images of {} were not learned", self.shape))?;
        let parts = trained.parts.with_wrappings(wrappings).context("the forms of the images' files")?;
        Ok(Arc::clone(LatentModel::new(&parts).artefact()))
    }

    /// Compares a model with zstd, each image on its own.
    pub fn judge(&self, artefact: &[u8], runs: &[&Run]) -> anyhow::Result<Verdict> {
        let values: Vec<&[u8]> = runs.iter().flat_map(|run| run.values()).collect();
        let mut codec = LatentCodec::new(Arc::new(LatentModel::parse(artefact)?));
        let (mut coded, mut back, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for value in &values {
            coded.clear();
            back.clear();
            codec.encode(value, &mut coded)?;
            codec.decode(&coded, value.len(), &mut back)?;
            if back != *value {
                bail!("an image came back as another: this is an error of latentd, please report it");
            }
            sizes.push(((coded.len() + HEADER_LEN) as u64).min(value.len() as u64));
        }
        Ok(judge(&Sizes {
            raw_bytes: values.iter().map(|value| value.len() as u64).sum(),
            plain: coded_sizes(None, &values, PLAIN_LEVEL)?,
            incumbent: None,
            candidate: Some(sizes),
            candidate_artefact_bytes: Some(artefact.len()),
        }))
    }
}
