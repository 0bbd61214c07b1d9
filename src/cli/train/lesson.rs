//! What is taught by hand: what the daemon learns too, or images.

use std::sync::Arc;

use anyhow::bail;
use indicatif::ProgressBar;

use super::{BLOCK, Payload, TrainArgs};
use crate::cli::UsageError;
use crate::codec::{Algorithm, CodecSpec};
use crate::model::{Family, Split, Verdict};
use crate::pipeline::{Run, Subject};

#[cfg(feature = "training")]
use super::images::Images;

/// What is learned, and how it is judged.
pub enum Lesson {
    /// In seconds, without libtorch.
    Subject(Subject),
    /// Images, in minutes.
    #[cfg(feature = "training")]
    Images(Images),
}

impl Lesson {
    /// What the arguments say of a file.
    pub fn of_file(args: &TrainArgs) -> anyhow::Result<Self> {
        let images = args.payload == Payload::Image;
        let codec = args.codec.unwrap_or(CodecSpec::new(if images { Algorithm::Latent } else { Algorithm::Columns }));
        match (images, codec.algorithm() == Algorithm::Latent) {
            (true, true) => return Self::of_images(args),
            (true, false) if codec.algorithm() != Algorithm::ZstdDict => {
                let message = format!("`{codec}` learns nothing of images: write --codec latent or --codec zstd-dict");
                return Err(UsageError::new(message).into());
            }
            (false, true) => {
                return Err(
                    UsageError::new("`latent` learns images: write --payload image --shape HEIGHTxWIDTH").into()
                );
            }
            _ => {}
        }
        let learns = Subject::of_codec(codec, args.layout, BLOCK, args.dictionary);
        let subject = learns.ok_or_else(|| {
            UsageError::new(format!("`{codec}` learns nothing: write --codec columns or --codec zstd-dict"))
        })?;
        Ok(Self::Subject(subject))
    }

    #[cfg(feature = "training")]
    fn of_images(args: &TrainArgs) -> anyhow::Result<Self> {
        let Some(shape) = args.shape else { bail!("the arguments say no shape") };
        Ok(Self::Images(Images { shape, cpu: args.cpu, seed: args.seed }))
    }

    #[cfg(not(feature = "training"))]
    fn of_images(TrainArgs { shape: _, cpu: _, seed: _, .. }: &TrainArgs) -> anyhow::Result<Self> {
        bail!("this latentd was built without libtorch, which trains on images: build it with the feature `training`")
    }

    /// The kind of its models.
    pub fn family(&self) -> Family {
        match self {
            Self::Subject(subject) => subject.family(),
            #[cfg(feature = "training")]
            Self::Images(_) => Family::LATENT,
        }
    }

    /// Bytes of records in a row that it learns from.
    pub fn run_bytes(&self) -> usize {
        match self {
            Self::Subject(subject) => subject.run_bytes(),
            #[cfg(feature = "training")]
            Self::Images(_) => 0,
        }
    }

    /// How samples are divided.
    pub fn split(&self) -> Split {
        match self {
            Self::Subject(subject) => subject.split(),
            #[cfg(feature = "training")]
            Self::Images(_) => Split::DICTIONARY,
        }
    }

    /// The settings of a training, for the manifest.
    pub fn config(&self) -> serde_json::Value {
        match self {
            Self::Subject(subject) => subject.config(),
            #[cfg(feature = "training")]
            Self::Images(images) => images.config(),
        }
    }

    /// Learns a model from samples, the oldest first.
    pub fn train(
        &self,
        samples: &[&Run],
        #[cfg_attr(not(feature = "training"), expect(unused_variables, reason = "only minutes are worth a bar"))]
        bar: &ProgressBar,
    ) -> anyhow::Result<Arc<[u8]>> {
        match self {
            Self::Subject(subject) => match subject.train(samples)? {
                Ok(candidate) => Ok(candidate),
                Err(reason) => bail!("nothing was learned: {reason}"),
            },
            #[cfg(feature = "training")]
            Self::Images(images) => images.train(samples, bar),
        }
    }

    /// Compares a model with what is in use and with plain zstd, on samples that neither has seen.
    pub fn judge(&self, candidate: &[u8], incumbent: Option<&[u8]>, holdout: &[&Run]) -> anyhow::Result<Verdict> {
        match self {
            Self::Subject(subject) => Ok(subject.judge(candidate, incumbent, holdout)?),
            #[cfg(feature = "training")]
            Self::Images(images) => images.judge(candidate, holdout),
        }
    }
}
