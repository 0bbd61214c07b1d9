//! What a generator learns from: taken out of the reservoir, so that this goes on, and kept while a training goes on, so that another
//! process can go on with it.

use std::collections::BTreeSet;

use crate::codec::Column;
use crate::model::chance::Chance;
use crate::model::images::MAX_CLASSES;
use crate::payload::image::Shape;
use crate::pipeline::learn::Samples;
use crate::pipeline::learn::pictures::Pictures;
use crate::pipeline::learn::samples::newest;
use crate::pipeline::settings::LabelSource;

/// Fewest images that are worth a training.
const FEWEST_IMAGES: usize = 200;

/// Values, the oldest first, and the class of each where records say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Material {
    values: Column,
    /// As many, or none.
    labels: Column,
}

/// Most of what is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of values.
    pub bytes: usize,
    /// Values.
    pub records: usize,
}

impl Material {
    /// The newest of what does not judge. With a place for classes those records alone that have one.
    pub fn of(samples: &Samples, label: Option<&LabelSource>, bounds: Bounds) -> Self {
        let learned = samples.learned();
        let mut records: Vec<(&[u8], Option<&str>)> = Vec::new();
        for record in newest(&learned, bounds.bytes).iter().flat_map(|run| run.records()) {
            let class = label.map(|label| label.of(&record));
            if let Some(value) = record.value.filter(|_| class != Some(None)) {
                records.push((value, class.flatten()));
            }
        }
        records.drain(..records.len().saturating_sub(bounds.records));
        let mut material = Self::default();
        for (value, class) in records {
            material.values.push(value);
            class.into_iter().for_each(|class| material.labels.push(class.as_bytes()));
        }
        material
    }

    /// Some of the values, each set of them as likely as any other.
    pub fn some(&self, most: usize, seed: u64) -> Vec<Vec<u8>> {
        let some = Chance::of(seed, 0).some_of(self.count(), most);
        some.into_iter().filter_map(|place| self.values.get(place)).map(<[u8]>::to_vec).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The values.
    pub fn values(&self) -> Vec<&[u8]> {
        (0..self.count()).filter_map(|place| self.values.get(place)).collect()
    }

    /// The values with their classes.
    pub fn labelled(&self) -> Vec<(&[u8], Option<&str>)> {
        let class = |place| self.labels.get(place).and_then(|class| std::str::from_utf8(class).ok());
        self.values().into_iter().enumerate().map(|(place, value)| (value, class(place))).collect()
    }

    /// The images of a shape among them, which have their class from `label`; why there is nothing to learn from, if not.
    pub fn pictures(&self, shape: Shape, label: Option<&LabelSource>) -> Result<Pictures, String> {
        let pictures = Pictures::of(&self.labelled(), shape);
        let (images, records) = (pictures.samples.len() / shape.samples(), self.count());
        if images < FEWEST_IMAGES {
            let with = label.map_or_else(String::new, |label| format!(" that have a class in their {label}"));
            return Err(format!(
                "{images} of {records} records{with} are images of {shape}: its samples alone, or a PGM, PPM or PNG file of them; \
                 a training takes {FEWEST_IMAGES}"
            ));
        }
        let classes = pictures.labels.iter().collect::<BTreeSet<_>>().len();
        if classes > MAX_CLASSES {
            return Err(format!("{classes} different texts are no classes: {MAX_CLASSES} are the most"));
        }
        Ok(pictures)
    }

    /// As bytes from which [`Self::from_bytes`] makes it again: how many values there are, and each with its length in front, in 32
    /// bits, the lowest first; then the classes in the same way.
    pub fn to_bytes(&self) -> Vec<u8> {
        let all = [&self.values, &self.labels];
        let mut bytes = Vec::with_capacity(all.iter().map(|column| 4 + column.bytes.len() + 4 * column.len()).sum());
        for column in all {
            bytes.extend((column.len() as u32).to_le_bytes());
            for value in (0..column.len()).filter_map(|place| column.get(place)) {
                bytes.extend((value.len() as u32).to_le_bytes());
                bytes.extend(value);
            }
        }
        bytes
    }

    /// What [`Self::to_bytes`] wrote; `None` where it is something else.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        // Places in a column are of 32 bits.
        u32::try_from(bytes.len()).ok()?;
        fn number(bytes: &mut &[u8]) -> Option<usize> {
            let (number, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            usize::try_from(u32::from_le_bytes(*number)).ok()
        }
        let mut column = || {
            let mut column = Column::default();
            for _ in 0..number(&mut bytes)? {
                let length = number(&mut bytes)?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                column.push(value);
            }
            Some(column)
        };
        let material = Self { values: column()?, labels: column()? };
        let labels = &material.labels;
        let are_texts =
            (0..labels.len()).all(|place| labels.get(place).is_some_and(|one| std::str::from_utf8(one).is_ok()));
        let fit = labels.is_empty() || labels.len() == material.count();
        (bytes.is_empty() && are_texts && fit).then_some(material)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::model::{Reservoir, Split};
    use crate::pipeline::learn::Run;
    use crate::record::{RecordRef, Timestamp};
    use crate::units::ByteSize;

    fn samples() -> Samples {
        let mut reservoir = Reservoir::new(ByteSize::mib(1), ChaCha8Rng::seed_from_u64(1));
        for number in 0..100u8 {
            let mut run = Run::default();
            let (key, value) = ([b'a' + number % 3], [number; 10]);
            // Every fifth has no key.
            let key = (!number.is_multiple_of(5)).then_some(&key[..]);
            let timestamp = Timestamp::create(1);
            run.push_record(&RecordRef { key, value: Some(&value), headers: Default::default(), timestamp, offset: 0 });
            reservoir.offer(run);
        }
        Samples::of(&reservoir.snapshot(), Split::Time, 590)
    }

    #[test]
    fn the_newest_are_learned_from_and_with_classes_those_that_have_one() {
        let (samples, all) = (samples(), Bounds { bytes: 1 << 20, records: 1000 });
        let material = Material::of(&samples, None, all);
        assert_eq!(material.count(), 85);
        assert!(material.labelled().iter().all(|(_, class)| class.is_none()));
        let some = Material::of(&samples, None, Bounds { records: 7, ..all });
        assert_eq!(some.values(), material.values()[78..]);
        assert_eq!(Material::of(&samples, None, Bounds { bytes: 55, ..all }).count(), 5);
        let labelled = Material::of(&samples, Some(&LabelSource::Key), all);
        assert_eq!(labelled.count(), 68);
        for (value, class) in labelled.labelled() {
            assert_eq!(class.unwrap().as_bytes(), [b'a' + value[0] % 3]);
        }
    }

    #[test]
    fn it_comes_back_and_damage_is_seen() {
        for label in [None, Some(&LabelSource::Key)] {
            let material = Material::of(&samples(), label, Bounds { bytes: 1 << 20, records: 50 });
            let bytes = material.to_bytes();
            assert_eq!(Material::from_bytes(&bytes).unwrap(), material);
            assert!((0..bytes.len()).all(|length| Material::from_bytes(&bytes[..length]).is_none()));
            assert!(Material::from_bytes(&[&bytes[..], b"x"].concat()).is_none());
        }
        assert!(Material::from_bytes(&[255; 64]).is_none());
    }
}
