//! Images out of records.

use crate::model::latent::MAX_WRAPPINGS;
use crate::payload::image::{Opened, Shape, Wrapping};

/// Images, and their classes where records say them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// `[images, D]`, samples in planar order.
    pub samples: Vec<u8>,
    /// Of each image; empty without classes.
    pub labels: Vec<String>,
    /// The form of most of them.
    pub wrapping: Wrapping,
}

impl Pictures {
    /// Of those values that are images of this shape, which have a class each, or none.
    pub fn of<'a>(records: &[(&'a [u8], Option<&'a str>)], shape: Shape) -> Self {
        let wrappings = Wrapping::learn(records.iter().map(|(value, _)| *value), shape, MAX_WRAPPINGS);
        let (mut samples, mut labels, mut opened) = (Vec::new(), Vec::new(), Opened::default());
        for (value, label) in records {
            if wrappings.iter().any(|wrapping| wrapping.open(value, shape, &mut opened)) {
                samples.extend_from_slice(&opened.samples);
                labels.extend(label.map(str::to_owned));
            }
        }
        Self { samples, labels, wrapping: wrappings.into_iter().next().unwrap_or(Wrapping::Raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_images_keep_their_classes() {
        let shape = Shape::SMALLEST;
        let (raw, pgm) = ([7u8; 64], [&b"P5 8 8 255\n"[..], &[9; 64]].concat());
        let records: [(&[u8], Option<&str>); 4] =
            [(&pgm, Some("b")), (b"no image", Some("c")), (&raw, Some("a")), (&pgm, Some("b"))];
        let pictures = Pictures::of(&records, shape);
        assert_eq!(pictures.samples, [[9; 64], [7; 64], [9; 64]].concat());
        assert_eq!(pictures.labels, ["b", "a", "b"]);
        assert_eq!(pictures.wrapping, Wrapping::Pnm { header: b"P5 8 8 255\n".to_vec() });
        let without = records.map(|(value, _)| (value, None));
        assert!(Pictures::of(&without, shape).labels.is_empty());
    }
}
