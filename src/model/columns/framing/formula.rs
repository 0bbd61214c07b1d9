//! What a key or a header's value is made of: fields of the value, and what stands between them.

use crate::frame::{FrameError, Reader, put_varint};
use crate::payload::fields::Page;

/// Most parts of a formula.
pub(in crate::model::columns) const MAX_PARTS: usize = 16;

/// A piece of a formula.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::model::columns) enum Part {
    /// Bytes that do not vary.
    Literal(Vec<u8>),
    /// The text of a source.
    Source(u16),
}

/// Parts, laid end to end. At least one of them is a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::model::columns) struct Formula {
    pub parts: Vec<Part>,
}

impl Formula {
    /// Whether a text is what the formula makes of these sources. Without one of them it makes nothing.
    #[inline]
    pub fn makes<'a>(&self, text: &[u8], source: impl Fn(u16) -> Option<&'a [u8]>) -> bool {
        let mut rest = text;
        for part in &self.parts {
            let part = match part {
                Part::Literal(literal) => Some(literal.as_slice()),
                Part::Source(number) => source(*number),
            };
            match part.and_then(|part| rest.strip_prefix(part)) {
                Some(left) => rest = left,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// Bytes of what the formula makes; nothing without one of its sources.
    pub fn len<'a>(&self, source: impl Fn(u16) -> Option<&'a [u8]>) -> Option<usize> {
        self.parts.iter().try_fold(0usize, |sum, part| match part {
            Part::Literal(literal) => sum.checked_add(literal.len()),
            Part::Source(number) => sum.checked_add(source(*number)?.len()),
        })
    }

    /// Appends what the formula makes, whose [`Formula::len`] is known.
    pub fn write_text<'a>(&self, source: impl Fn(u16) -> Option<&'a [u8]>, page: &mut Page) {
        for part in &self.parts {
            match part {
                Part::Literal(literal) => page.extend(literal),
                Part::Source(number) => page.extend(source(*number).unwrap_or_default()),
            }
        }
    }

    /// The sources.
    pub fn sources(&self) -> impl Iterator<Item = u16> {
        self.parts.iter().filter_map(|part| match part {
            Part::Source(number) => Some(*number),
            Part::Literal(_) => None,
        })
    }

    /// Appends the formula's bytes.
    pub fn write(&self, output: &mut Vec<u8>) {
        output.push(self.parts.len() as u8);
        for part in &self.parts {
            match part {
                Part::Source(number) => put_varint(u64::from(*number) + 1, output),
                Part::Literal(literal) => {
                    output.push(0);
                    put_varint(literal.len() as u64, output);
                    output.extend_from_slice(literal);
                }
            }
        }
    }

    /// Reads what [`Formula::write`] has written; sources are fewer than `sources`.
    pub fn read(input: &mut Reader<'_>, sources: usize) -> Result<Self, FrameError> {
        let at = input.at();
        let corrupt = |what| FrameError::Corrupt { what, at };
        let count = usize::from(input.byte()?);
        if count > MAX_PARTS {
            return Err(corrupt("a formula has too many parts"));
        }
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            parts.push(match input.varint()? {
                0 => {
                    let length = usize::try_from(input.varint()?).unwrap_or(usize::MAX);
                    Part::Literal(input.take(length)?.to_vec())
                }
                number if number <= sources as u64 => Part::Source((number - 1) as u16),
                _ => return Err(corrupt("a formula has a source that is not there")),
            });
        }
        let formula = Self { parts };
        // So that it makes something of every record's own.
        if formula.sources().next().is_none() {
            return Err(corrupt("a formula has no source"));
        }
        Ok(formula)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_makes_what_it_says_and_comes_back_from_its_bytes() {
        let sources: [Option<&[u8]>; 3] = [Some(b"UA"), Some(b"1545"), None];
        let source = |number: u16| sources[usize::from(number)];
        let formula = |parts: &[Part]| Formula { parts: parts.to_vec() };
        let joined = formula(&[Part::Source(0), Part::Literal(b"-".to_vec()), Part::Source(1)]);
        let mut page = Page::default();
        joined.write_text(source, &mut page);
        assert_eq!(page.since(0), b"UA-1545");
        assert_eq!(joined.len(source), Some(7));
        assert!(joined.makes(b"UA-1545", source));
        for other in [&b"UA-154"[..], b"UA-15455", b"", b"UA1545"] {
            assert!(!joined.makes(other, source));
        }
        let absent = formula(&[Part::Source(2)]);
        assert!(!absent.makes(b"", source));
        assert_eq!(absent.len(source), None);
        let mut bytes = Vec::new();
        joined.write(&mut bytes);
        assert_eq!(Formula::read(&mut Reader::new(&bytes, 0), 2).unwrap(), joined);
        assert!(Formula::read(&mut Reader::new(&bytes, 0), 1).is_err());
        let mut bytes = Vec::new();
        formula(&[Part::Literal(b"all alike".to_vec())]).write(&mut bytes);
        assert!(Formula::read(&mut Reader::new(&bytes, 0), 2).is_err());
    }
}
