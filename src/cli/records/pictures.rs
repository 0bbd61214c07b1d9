//! Images of one shape out of a file, and their labels out of another.

use std::path::Path;

use anyhow::{Context, ensure};

use super::{RecordMode, open};
use crate::cli::UsageError;
use crate::payload::image::{Opened, Shape, Wrapping};
use crate::units::ByteSize;

/// Images, with labels all of them or none.
pub struct Pictures {
    /// `[images, D]`, samples in planar order.
    pub images: Vec<u8>,
    /// Of each image; empty without.
    pub labels: Vec<String>,
}

impl Pictures {
    /// Those of a file, up to so many bytes of samples; labels of an idx file, as numbers.
    pub fn read(
        file: &Path,
        mode: Option<RecordMode>,
        shape: Shape,
        labels: Option<&Path>,
        most: ByteSize,
    ) -> anyhow::Result<Self> {
        let (_, mut reader) = open(file, mode)?;
        let mut images = Planar::new(shape);
        while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", file.display()))? {
            ensure!(
                images.push(record.content),
                "image {} of `{}` is not of shape {shape}",
                images.samples.len() / shape.samples(),
                file.display()
            );
            ensure!(
                images.samples.len() <= most.as_usize(),
                "`{}` has more than {most} of images: take a part of it",
                file.display()
            );
        }
        let labels = labels.map(read_labels).transpose()?;
        let count = images.samples.len() / shape.samples();
        if let Some(labels) = labels.as_ref().filter(|labels| labels.len() != count) {
            let message = format!("there are {count} images and {} labels", labels.len());
            return Err(UsageError::new(message).into());
        }
        Ok(Self { images: images.samples, labels: labels.unwrap_or_default() })
    }
}

/// Images as networks see them: channel by channel.
pub struct Planar {
    shape: Shape,
    wrapping: Option<Wrapping>,
    opened: Opened,
    /// `[images, D]`.
    pub samples: Vec<u8>,
}

impl Planar {
    /// No images yet.
    pub fn new(shape: Shape) -> Self {
        Self { shape, wrapping: None, opened: Opened::default(), samples: Vec::new() }
    }

    /// Takes a record: samples alone, or an image file. `false` if it is no image of the shape.
    pub fn push(&mut self, record: &[u8]) -> bool {
        let (shape, opened) = (self.shape, &mut self.opened);
        if !self.wrapping.as_ref().is_some_and(|known| known.open(record, shape, opened)) {
            self.wrapping = Wrapping::of(record, shape);
            if !self.wrapping.as_ref().is_some_and(|known| known.open(record, shape, opened)) {
                return false;
            }
        }
        self.samples.extend_from_slice(&self.opened.samples);
        true
    }
}

/// The labels of an idx file of a byte each.
fn read_labels(file: &Path) -> anyhow::Result<Vec<String>> {
    let (_, mut reader) = open(file, Some(RecordMode::Idx))?;
    let mut labels = Vec::new();
    while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", file.display()))? {
        let &[label] = record.content else {
            return Err(UsageError::new(format!("`{}` is no idx file of a byte for each image", file.display())).into());
        };
        labels.push(label.to_string());
    }
    Ok(labels)
}
