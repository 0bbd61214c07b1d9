//! A record per item of an idx file, the format that MNIST is published in.

use super::{Cutter, Flaw, Piece};

/// The header, then items of equal length; the last one may be cut.
#[derive(Default)]
pub(super) struct Items {
    /// Bytes of an item, once the header was seen.
    item: Option<usize>,
}

impl Cutter for Items {
    fn cut(&mut self, bytes: &[u8], ended: bool) -> Result<Option<Piece>, Flaw> {
        let all = match self.item {
            Some(item) => item,
            None if !ended && bytes.len() < LONGEST_HEADER => return Ok(None),
            None => {
                let (header, item) = shape(bytes).ok_or_else(|| Flaw {
                    mode: "idx",
                    detail: "an idx file begins with two zeros, a type, a number of dimensions and their sizes"
                        .to_owned(),
                    at: 0,
                })?;
                self.item = Some(item);
                header
            }
        };
        if all > bytes.len() && !ended {
            return Ok(None);
        }
        let all = all.min(bytes.len());
        Ok(Some(Piece { all, content: 0..all }))
    }
}

/// A header with 255 dimensions.
const LONGEST_HEADER: usize = 4 + 4 * 255;

/// The lengths of an idx file's header and of one item.
pub(super) fn shape(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.first_chunk::<4>()?;
    let width = match head[2] {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => return None,
    };
    let dimensions = usize::from(head[3]);
    if head[..2] != [0, 0] || dimensions == 0 {
        return None;
    }
    let header = 4 + 4 * dimensions;
    let sizes =
        bytes.get(4..header)?.chunks_exact(4).map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]));
    let item = sizes.skip(1).try_fold(width, |product: usize, size| product.checked_mul(size as usize))?;
    (item > 0).then_some((header, item))
}
