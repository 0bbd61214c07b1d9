//! Texts that are those of another column, written alike or in other letters: `volokovoye`, `Volokovoye`.

use crate::frame::{FrameError, Reader, put_varint};

/// What becomes of the letters. Only those of ASCII change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Case {
    /// They stay.
    Same = 0,
    /// All small.
    Lower = 1,
    /// All capital.
    Upper = 2,
    /// The first of each word capital, the others small. A word does not begin behind a letter, a digit, an apostrophe, a
    /// backquote, or a byte that is not of ASCII.
    Title = 3,
}

/// The text of another column, in these letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Echo {
    pub column: u16,
    pub case: Case,
}

impl Case {
    pub const ALL: [Self; 4] = [Self::Same, Self::Lower, Self::Upper, Self::Title];

    /// A byte in these letters. `inside` says whether a word goes on, and becomes whether it does behind the byte.
    #[inline(always)]
    fn letter(self, byte: u8, inside: &mut bool) -> u8 {
        match self {
            Self::Same => byte,
            Self::Lower => byte.to_ascii_lowercase(),
            Self::Upper => byte.to_ascii_uppercase(),
            Self::Title => {
                let goes_on = byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b'\'' | b'`');
                let first = !std::mem::replace(inside, goes_on);
                if first { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() }
            }
        }
    }

    /// Writes a text in these letters.
    #[inline]
    pub fn write(self, text: &mut [u8]) {
        let mut inside = false;
        match self {
            Self::Same => {}
            Self::Title => text.iter_mut().for_each(|byte| *byte = Self::Title.letter(*byte, &mut inside)),
            case => text.iter_mut().for_each(|byte| *byte = case.letter(*byte, &mut inside)),
        }
    }

    /// Whether a text in these letters is another.
    #[inline]
    pub fn makes(self, text: &[u8], other: &[u8]) -> bool {
        text.len() == other.len()
            && match self {
                Self::Same => text == other,
                case => {
                    let mut inside = false;
                    text.iter().zip(other).all(|(byte, other)| case.letter(*byte, &mut inside) == *other)
                }
            }
    }
}

impl Echo {
    /// Appends the bytes of an echo, or of none.
    pub fn write(echo: Option<Self>, output: &mut Vec<u8>) {
        match echo {
            None => output.push(0),
            Some(Self { column, case }) => {
                output.push(1 + case as u8);
                put_varint(u64::from(column), output);
            }
        }
    }

    /// Reads what [`Echo::write`] has written, of one of `slots` columns of values.
    pub fn read(input: &mut Reader<'_>, slots: usize) -> Result<Option<Self>, FrameError> {
        let at = input.at();
        let corrupt = || FrameError::Corrupt { what: "there is no such echo", at };
        let Some(case) = input.byte()?.checked_sub(1) else { return Ok(None) };
        let case = *Case::ALL.get(usize::from(case)).ok_or_else(corrupt)?;
        let column = usize::try_from(input.varint()?).ok().filter(|column| *column < slots).ok_or_else(corrupt)?;
        Ok(Some(Self { column: column as u16, case }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_what_they_should() {
        let text = "o'neil-saint d\u{e9}nis 2ND".as_bytes();
        for (case, expected) in [
            (Case::Same, "o'neil-saint d\u{e9}nis 2ND"),
            (Case::Lower, "o'neil-saint d\u{e9}nis 2nd"),
            (Case::Upper, "O'NEIL-SAINT D\u{e9}NIS 2ND"),
            (Case::Title, "O'neil-Saint D\u{e9}nis 2nd"),
        ] {
            let mut written = text.to_vec();
            case.write(&mut written);
            assert_eq!(written, expected.as_bytes());
            assert!(case.makes(text, expected.as_bytes()));
            assert!(!case.makes(&text[1..], expected.as_bytes()));
        }
    }

    #[test]
    fn echoes_come_back_from_their_bytes() {
        let echoes = Case::ALL.map(|case| Some(Echo { column: 300, case }));
        for echo in echoes.into_iter().chain([None]) {
            let mut bytes = Vec::new();
            Echo::write(echo, &mut bytes);
            assert_eq!(Echo::read(&mut Reader::new(&bytes, 0), 301).unwrap(), echo);
            assert_eq!(Echo::read(&mut Reader::new(&bytes, 0), 300).is_err(), echo.is_some());
        }
        assert!(Echo::read(&mut Reader::new(&[5, 0], 0), 9).is_err());
    }
}
