//! Generated images, judged by what a classifier of the topic's own labels sees in them.

use super::{Classified, Classifier, FEATURES};
use crate::quality::images::{Evidence, Features, judge as gates};
use crate::quality::{Gate, QualityError};
use crate::training::TrainingError;
use crate::training::images::{Chosen, Data};

/// Images of three kinds, with labels all of them or none.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// That the generator learned from.
    pub train: Data<'a>,
    /// Real ones that it did not learn from.
    pub holdout: Data<'a>,
    /// Drawn ones, with the labels that they were drawn as.
    pub generated: Data<'a>,
}

/// Why images cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// A classifier cannot be trained on them.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// There are too few.
    #[error(transparent)]
    Quality(#[from] QualityError),
}

/// All gates of images. With labels, features are those of a classifier that learned them from the training images, each seen `epochs`
/// times; without, those of random convolutions. The same images and seed give the same gates.
pub fn judge(images: &Images<'_>, epochs: u32, seed: u64) -> Result<Vec<Gate>, JudgeError> {
    let Images { train, holdout, generated } = *images;
    let has_labels = [train, holdout, generated].iter().all(|data| !data.labels.is_empty());
    let classifier = match has_labels {
        true => Classifier::train(train, epochs, seed)?,
        false => Classifier::untrained(train.shape, seed)?,
    };
    let seen = |data: Data<'_>| Ok::<_, TrainingError>(classifier.classify(data.images)?.features);
    let [of_train, of_holdout, of_generated] = [seen(train)?, seen(holdout)?, seen(generated)?];
    let (mut label_agreement, mut accuracies) = (None, None);
    if has_labels {
        label_agreement = Some([classifier.accuracy(generated)?, classifier.accuracy(holdout)?]);
        accuracies = Some(worth(images, &classifier, epochs, seed)?);
    }
    Ok(gates(&Evidence {
        train: Features::new(FEATURES, &of_train),
        holdout: Features::new(FEATURES, &of_holdout),
        generated: Features::new(FEATURES, &of_generated),
        label_agreement,
        accuracies,
    })?)
}

/// Accuracy on held-out images of a classifier of generated images, and of one of as many training images: `of_train`, where there
/// are no more.
fn worth(images: &Images<'_>, of_train: &Classifier, epochs: u32, seed: u64) -> Result<[f64; 2], TrainingError> {
    let Images { train, holdout, generated } = *images;
    let (real, drawn) = (train.count()?, generated.count()?);
    let accuracy_of = |data: Data<'_>, most: usize| {
        let some = Chosen::some(data, most, seed)?;
        Classifier::train(some.data(data.shape), epochs, seed)?.accuracy(holdout)
    };
    let of_generated = accuracy_of(generated, real)?;
    let of_real = if drawn < real { accuracy_of(train, drawn)? } else { of_train.accuracy(holdout)? };
    Ok([of_generated, of_real])
}

/// The gates of images of one class, with a classifier that learned labels from images of all classes. What a classifier of images of
/// one class is worth nobody can say.
pub fn judge_class(
    all: Data<'_>,
    images: &Images<'_>,
    class: &str,
    epochs: u32,
    seed: u64,
) -> Result<Vec<Gate>, JudgeError> {
    let classifier = Classifier::train(all, epochs, seed)?;
    let seen = |data: Data<'_>| classifier.classify(data.images);
    let [train, holdout, generated] = [seen(images.train)?, seen(images.holdout)?, seen(images.generated)?];
    let right = |seen: &Classified<'_>| {
        seen.labels.iter().filter(|label| **label == class).count() as f64 / seen.labels.len().max(1) as f64
    };
    Ok(gates(&Evidence {
        train: Features::new(FEATURES, &train.features),
        holdout: Features::new(FEATURES, &holdout.features),
        generated: Features::new(FEATURES, &generated.features),
        label_agreement: Some([right(&generated), right(&holdout)]),
        accuracies: None,
    })?)
}
