//! | tensor | type and shape |
//! |---|---|
//! | `embedding`, `output` | F32 `[codes, width]` |
//! | `bias`, `output.bias` | F32 `[width]`, `[codes]` |
//! | `block.N.down`, `block.N.bias`, `block.N.up` | F32 `[width, inner]`, `[inner]`, `[inner, width]` |

use safetensors::Dtype;

use super::{Draft, File};
use crate::model::Family;
use crate::model::rows::network::{BlockWeights, Weights};
use crate::model::rows::scheme::Scheme;
use crate::model::rows::{MAX_BLOCKS, RowsError};

/// Writes an artefact.
pub fn write(scheme: &Scheme, weights: &Weights) -> Vec<u8> {
    let (width, inner, codes) = (weights.width, weights.inner, scheme.book.codes());
    let mut draft = Draft::new(scheme);
    draft.floats("embedding", &[codes, width], &weights.embedding);
    draft.floats("bias", &[width], &weights.bias);
    for (number, block) in weights.blocks.iter().enumerate() {
        draft.floats(format!("block.{number}.down"), &[width, inner], &block.down);
        draft.floats(format!("block.{number}.bias"), &[inner], &block.bias);
        draft.floats(format!("block.{number}.up"), &[inner, width], &block.up);
    }
    draft.floats("output", &[codes, width], &weights.output);
    draft.floats("output.bias", &[codes], &weights.output_bias);
    draft.finish(&Family::AUTOREGRESSIVE, None)
}

/// Reads an artefact.
pub fn read(artefact: &[u8]) -> Result<(Scheme, Weights), RowsError> {
    let file = File::open(artefact, &[Family::AUTOREGRESSIVE], None)?;
    let scheme = file.scheme()?;
    let width = file.get("embedding", Dtype::F32, 2)?.shape()[1];
    let mut blocks = Vec::new();
    let mut inner = 1;
    for number in 0..=MAX_BLOCKS {
        let name = format!("block.{number}.down");
        if !file.has(&name) {
            break;
        }
        inner = file.get(&name, Dtype::F32, 2)?.shape()[1];
        let [bias, up] =
            [("bias", 1), ("up", 2)].map(|(what, rank)| file.floats(&format!("block.{number}.{what}"), rank));
        blocks.push(BlockWeights { down: file.floats(&name, 2)?, bias: bias?, up: up? });
    }
    let weights = Weights {
        width,
        inner,
        embedding: file.floats("embedding", 2)?,
        bias: file.floats("bias", 1)?,
        blocks,
        output: file.floats("output", 2)?,
        output_bias: file.floats("output.bias", 1)?,
    };
    weights.check(scheme.book.codes())?;
    Ok((scheme, weights))
}
