//! Keys and header values that are binary numbers, as the digits that a field of the value has.

use std::io::Write as _;

use crate::payload::fields::Page;

/// How the bytes of a column are made text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::model::columns) enum Form {
    /// They are.
    #[default]
    Plain = 0,
    /// A number of four bytes, the highest first, with a sign: what Kafka's `IntegerSerializer` writes.
    Four = 1,
    /// A number of eight bytes: what its `LongSerializer` writes.
    Eight = 2,
}

impl Form {
    pub const ALL: [Self; 3] = [Self::Plain, Self::Four, Self::Eight];

    /// The text of these bytes, made in `scratch` where it is another; nothing when they are not of this form.
    #[inline]
    pub fn text<'a>(self, bytes: &'a [u8], scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let number = match self {
            Self::Plain => return Some(bytes),
            Self::Four => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
            Self::Eight => i64::from_be_bytes(bytes.try_into().ok()?),
        };
        scratch.clear();
        put_number(number, scratch);
        Some(scratch)
    }

    /// Makes of a text that stands at `start` of a page, up to its end, the bytes that have it; nothing when there are
    /// none.
    #[inline]
    pub fn untext(self, page: &mut Page, start: usize) -> Option<()> {
        if self == Self::Plain {
            return Some(());
        }
        let number = number(page.since(start))?;
        let (bytes, skip) = match self {
            Self::Four => (i64::from(i32::try_from(number).ok()?).to_be_bytes(), 4),
            _ => (number.to_be_bytes(), 0),
        };
        page.truncate(start);
        page.extend(&bytes[skip..]);
        Some(())
    }
}

/// Appends a number's decimal digits.
#[inline]
pub(in crate::model::columns) fn put_number(number: i64, output: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = write!(output, "{number}");
}

/// The number that a text says, if it is one of an i64.
#[inline]
pub(in crate::model::columns) fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_come_back_from_their_text(number: i64, small: i32, any in prop::collection::vec(any::<u8>(), 0..12)) {
            for bytes in [&number.to_be_bytes()[..], &small.to_be_bytes(), &any] {
                for form in Form::ALL {
                    let mut scratch = Vec::new();
                    let Some(text) = form.text(bytes, &mut scratch) else { continue };
                    let mut page = Page::new([b"before", text].concat(), 0);
                    prop_assert_eq!(form.untext(&mut page, 6), Some(()));
                    prop_assert_eq!(page.since(6), bytes);
                }
            }
            for form in [Form::Four, Form::Eight] {
                prop_assert_eq!(form.untext(&mut Page::new(b"12x".to_vec(), 0), 0), None);
            }
        }
    }
}
