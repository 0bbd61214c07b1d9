//! Some images of many.

use super::Data;
use crate::model::chance::Chance;
use crate::payload::image::Shape;
use crate::training::TrainingError;

/// Images chosen from others, and their classes.
#[derive(Debug)]
pub struct Chosen {
    images: Vec<u8>,
    labels: Vec<String>,
}

impl Chosen {
    /// So many at most, each set of them as likely as any other.
    pub fn some(data: Data<'_>, most: usize, seed: u64) -> Result<Self, TrainingError> {
        let images = data.count()?;
        Ok(Self::of(data, &Chance::of(seed, 0).some_of(images, most)))
    }

    /// All of a class.
    pub fn of_class(data: Data<'_>, class: &str) -> Result<Self, TrainingError> {
        data.count()?;
        let own = data.labels.iter().enumerate().filter(|(_, label)| *label == class);
        Ok(Self::of(data, &own.map(|(number, _)| number).collect::<Vec<usize>>()))
    }

    fn of(data: Data<'_>, numbers: &[usize]) -> Self {
        let samples = data.shape.samples();
        Self {
            images: numbers.iter().flat_map(|number| &data.images[number * samples..][..samples]).copied().collect(),
            labels: numbers.iter().filter_map(|number| data.labels.get(*number)).cloned().collect(),
        }
    }

    /// They, to look at.
    pub fn data(&self, shape: Shape) -> Data<'_> {
        Data { shape, images: &self.images, labels: &self.labels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_chosen_with_their_classes() {
        let shape = Shape::SMALLEST;
        let images: Vec<u8> = (0..20u8).flat_map(|number| vec![number; shape.samples()]).collect();
        let labels: Vec<String> = (0..20).map(|number| (number % 3).to_string()).collect();
        let data = Data { shape, images: &images, labels: &labels };
        let numbers = |chosen: &Chosen| -> Vec<u8> { chosen.images.iter().step_by(shape.samples()).copied().collect() };
        let some = Chosen::some(data, 7, 1).unwrap();
        assert_eq!(some.data(shape).count().unwrap(), 7);
        let classes = numbers(&some).iter().map(|number| (number % 3).to_string()).collect::<Vec<String>>();
        assert_eq!(some.labels, classes);
        assert_ne!(numbers(&some), numbers(&Chosen::some(data, 7, 2).unwrap()));
        assert_eq!(numbers(&Chosen::some(data, 99, 1).unwrap()), (0..20).collect::<Vec<u8>>());
        assert_eq!(numbers(&Chosen::of_class(data, "2").unwrap()), [2, 5, 8, 11, 14, 17]);
        let unlabelled = Chosen::some(Data { labels: &[], ..data }, 7, 1).unwrap();
        assert!(unlabelled.labels.is_empty() && unlabelled.images == some.images);
        assert!(Chosen::some(Data { images: &images[1..], ..data }, 7, 1).is_err());
    }

    #[test]
    fn some_are_of_all_classes_however_these_take_turns() {
        let shape = Shape::SMALLEST;
        let images = vec![0; 600 * shape.samples()];
        for period in [2, 3, 300] {
            let labels: Vec<String> =
                (0..600).map(|number| (number / (600 / period).min(1) % period).to_string()).collect();
            let some = Chosen::some(Data { shape, images: &images, labels: &labels }, 300, 7).unwrap();
            let first = some.labels.iter().filter(|label| *label == "0").count();
            assert!(period == 300 || first.abs_diff(300 / period) < 40, "{first} of {period}");
        }
    }
}
