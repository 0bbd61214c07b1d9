//! What trainings of images are tested with.

use std::ops::ControlFlow;
use std::time::Duration;

use super::batches::{Purpose, generator};
use crate::model::{Monitor, Progress};
use crate::training::layer::uniform;

/// Counts steps, and ends the training when it is told to.
#[derive(Default)]
pub struct Watch {
    pub heard: Vec<Progress>,
    pub until: Option<u32>,
}

impl Monitor for Watch {
    fn spent(&mut self) -> Duration {
        Duration::from_millis(self.heard.len() as u64)
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.heard.push(*progress);
        match self.until {
            Some(step) if progress.step >= step => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// A bar of light somewhere: upright ones are `up`, the others `flat`.
pub fn bars(images: usize, seed: u64) -> (Vec<u8>, Vec<String>) {
    let mut rng = generator(seed, Purpose::Weights);
    let (mut raw, mut labels) = (Vec::new(), Vec::new());
    for number in 0..images {
        let at = 2.0 + uniform(&mut rng) * 7.0;
        for (row, column) in (0..12).flat_map(|row| (0..12).map(move |column| (row, column))) {
            let side = f64::from(if number % 3 == 0 { column } else { row });
            raw.push((250.0 * (-(side - at).powi(2) / 2.0).exp()) as u8);
        }
        labels.push(if number % 3 == 0 { "up" } else { "flat" }.to_owned());
    }
    (raw, labels)
}

/// How many of bars of 12 by 12 are of a class: along a bar samples are alike, across it they are not.
pub fn right(drawn: &[Vec<u8>], label: &str) -> usize {
    let is_right = |image: &&Vec<u8>| {
        let differ =
            |step: usize| -> u64 { image.iter().zip(&image[step..]).map(|(a, b)| u64::from(a.abs_diff(*b))).sum() };
        let lit = image.iter().any(|sample| *sample > 150);
        lit && (differ(1) > 2 * differ(12)) == (label == "up")
    };
    drawn.iter().filter(is_right).count()
}
