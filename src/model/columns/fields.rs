//! Where values of some slots stand in a column of records: what Kafka's framing is predicted from.

use crate::codec::CodecError;
use crate::payload::fields::{Step, Steps};

use super::model::Watch;

/// A value that a record does not have.
const ABSENT: (u32, u32) = (u32::MAX, u32::MAX);

/// For each record of a column and each slot that is wanted, where the slot's last value stands in the column's bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    /// By slot: its place among those that are wanted, plus one; 0 when nobody wants it. Empty when nothing is wanted.
    places: Vec<u16>,
    /// How many are wanted.
    wanted: usize,
    /// Row by row.
    spans: Vec<(u32, u32)>,
}

impl Fields {
    /// Of these slots, in this order, each of which is one of `slots` and occurs once.
    pub fn of(wanted: &[u16], slots: usize) -> Self {
        let mut places = vec![0; if wanted.is_empty() { 0 } else { slots }];
        for (slot, place) in wanted.iter().zip(1..) {
            if let Some(entry) = places.get_mut(usize::from(*slot)) {
                *entry = place;
            }
        }
        Self { places, wanted: wanted.len(), spans: Vec::new() }
    }

    /// Whether so many rows take no more than `limit` bytes.
    pub fn afford(&self, rows: usize, limit: usize) -> Result<(), CodecError> {
        let bytes = rows.saturating_mul(self.wanted * size_of::<(u32, u32)>());
        if bytes > limit { Err(CodecError::LimitExceeded { limit }) } else { Ok(()) }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.spans.clear();
    }

    /// Another record begins.
    #[inline]
    pub fn begin(&mut self) {
        if self.wanted == 0 {
            return;
        }
        self.spans.resize(self.spans.len() + self.wanted, ABSENT);
    }

    /// Another record, which begins at `from` in the column.
    #[inline]
    pub fn walked(&mut self, steps: &Steps, from: usize) {
        self.begin();
        if self.places.is_empty() {
            return;
        }
        for step in &steps.steps {
            match *step {
                Step::Edge { slot: Some(slot), start, end, .. } => {
                    self.saw(slot, from + start as usize, from + end as usize);
                }
                Step::Foreign { end, slot: Some(slot), value_end, .. } => {
                    self.saw(slot, from + end as usize, from + value_end as usize);
                }
                _ => {}
            }
        }
    }

    /// The text of the `place`th wanted slot in a record, if it has one. `bytes` are those of the column.
    #[inline]
    pub fn text<'a>(&self, row: usize, place: usize, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (start, end) = *self.spans.get(row * self.wanted + place)?;
        bytes.get(start as usize..end as usize)
    }
}

impl Watch for Fields {
    #[inline]
    fn saw(&mut self, slot: u16, start: usize, end: usize) {
        let Some(place) = self.places.get(usize::from(slot)) else { return };
        if let Some(place) = usize::from(*place).checked_sub(1) {
            // A column is shorter than 4 GiB.
            let last = self.spans.len() - self.wanted + place;
            self.spans[last] = (start as u32, end as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::fields::Grammar;

    #[test]
    fn the_last_value_of_a_slot_is_kept_record_by_record() {
        let samples =
            [&br#"{"id":1,"tags":["x","y"],"at":5}"#[..], br#"{"id":2,"at":6}"#, br#"{"id":3,"tags":["z"],"at":7}"#];
        let grammar = Grammar::learn(&samples.repeat(20));
        let slot = |name: &str| grammar.slots().iter().position(|slot| slot.name == name).unwrap() as u16;
        let mut fields = Fields::of(&[slot("tags[]"), slot("id")], grammar.slots().len());
        let bytes = samples.concat();
        let mut steps = Steps::default();
        let mut start = 0;
        for sample in samples {
            steps.walk(&grammar, sample);
            fields.walked(&steps, start);
            start += sample.len();
        }
        assert_eq!(fields.text(0, 0, &bytes), Some(&b"y"[..]));
        assert_eq!(fields.text(0, 1, &bytes), Some(&b"1"[..]));
        assert_eq!(fields.text(1, 0, &bytes), None);
        assert_eq!(fields.text(1, 1, &bytes), Some(&b"2"[..]));
        assert_eq!(fields.text(2, 0, &bytes), Some(&b"z"[..]));
        assert_eq!(fields.text(3, 0, &bytes), None);
        fields.clear();
        assert_eq!(fields.text(0, 1, &bytes), None);
        assert_eq!(Fields::of(&[], 7).text(0, 0, &bytes), None);
    }
}
