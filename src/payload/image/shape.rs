//! How many samples an image has, and where.

use std::fmt;
use std::str::FromStr;

/// The smallest and the largest side of an image that is modelled.
pub const SIDES: std::ops::RangeInclusive<usize> = 8..=64;

/// Height, width and channels of an image of 8-bit samples.
///
/// Samples are in planar order: channel, row, column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    height: u8,
    width: u8,
    channels: u8,
}

/// Why there is no such shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// It is not written as one.
    #[error("`{text}` is no shape: write HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS, such as 28x28 or 64x64x3")]
    Syntax {
        /// What was written.
        text: String,
    },
    /// It is out of range.
    #[error("{height}x{width}x{channels} is out of range: sides are 8 to 64, channels 1 (grey) or 3 (RGB)")]
    Range {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Channels.
        channels: usize,
    },
}

impl Shape {
    /// The one with the fewest samples.
    pub const SMALLEST: Self = Self { height: *SIDES.start() as u8, width: *SIDES.start() as u8, channels: 1 };

    /// A shape; sides are 8 to 64, channels 1 (grey) or 3 (red, green, blue).
    pub fn new(height: usize, width: usize, channels: usize) -> Result<Self, ShapeError> {
        let fits = SIDES.contains(&height) && SIDES.contains(&width) && matches!(channels, 1 | 3);
        match fits {
            true => Ok(Self { height: height as u8, width: width as u8, channels: channels as u8 }),
            false => Err(ShapeError::Range { height, width, channels }),
        }
    }

    /// Rows.
    pub const fn height(self) -> usize {
        self.height as usize
    }

    /// Columns.
    pub const fn width(self) -> usize {
        self.width as usize
    }

    /// Channels.
    pub const fn channels(self) -> usize {
        self.channels as usize
    }

    /// Samples of one channel.
    pub const fn plane(self) -> usize {
        self.height() * self.width()
    }

    /// Samples of all channels.
    pub const fn samples(self) -> usize {
        self.plane() * self.channels()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)?;
        if self.channels > 1 { write!(f, "x{}", self.channels) } else { Ok(()) }
    }
}

impl FromStr for Shape {
    type Err = ShapeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sides: Option<Vec<usize>> = text.split('x').map(|side| side.parse().ok()).collect();
        match sides.as_deref() {
            Some(&[height, width]) => Self::new(height, width, 1),
            Some(&[height, width, channels]) => Self::new(height, width, channels),
            _ => Err(ShapeError::Syntax { text: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_they_are_written() {
        for text in ["28x28", "8x64", "64x64x3"] {
            assert_eq!(text.parse::<Shape>().unwrap().to_string(), text);
        }
        assert_eq!("28x28x1".parse::<Shape>().unwrap().to_string(), "28x28");
        assert_eq!("9x10x3".parse::<Shape>().unwrap().samples(), 270);
    }

    #[test]
    fn shapes_out_of_range_and_other_texts_are_refused() {
        for text in ["7x28", "28x65", "28x28x2", "28x28x0"] {
            assert!(matches!(text.parse::<Shape>(), Err(ShapeError::Range { .. })), "{text}");
        }
        for text in ["", "28", "28x", "x", "28x28x1x1", "28 x 28", "-8x8"] {
            assert!(matches!(text.parse::<Shape>(), Err(ShapeError::Syntax { .. })), "{text}");
        }
    }
}
