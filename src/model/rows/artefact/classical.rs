//! | tensor | type and shape |
//! |---|---|
//! | `bases` | U8: a zstd frame of codes of 16 bits, little-endian, `[variables, rows]` |
//!
//! Operations and the number of neighbours stand in the metadata.

use super::{Draft, File, MAX_BOOK_BYTES, PAYLOAD};
use crate::model::Family;
use crate::model::rows::RowsError;
use crate::model::rows::bases::Bases;
use crate::model::rows::classical::ClassicalParts;
use crate::model::rows::scheme::Scheme;
use crate::model::tensors::numbers;

/// Most bytes of bases.
const MAX_BASES_BYTES: usize = MAX_BOOK_BYTES;

/// How many rows of so many variables an artefact has at most.
pub fn most_rows(variables: usize) -> usize {
    MAX_BASES_BYTES / 2 / variables.max(1)
}

/// Writes an artefact.
pub fn write(scheme: &Scheme, parts: &ClassicalParts) -> Vec<u8> {
    let mut draft = Draft::new(scheme);
    let column = |variable: usize| parts.bases.rows().flat_map(move |row| row[variable].to_le_bytes());
    draft.tensors.packed("bases", &(0..scheme.book.variables.len()).flat_map(column).collect::<Vec<u8>>());
    draft.outline.operations.clone_from(&parts.operations);
    draft.outline.neighbours = Some(parts.neighbours);
    draft.finish(&Family::CLASSICAL, Some(PAYLOAD))
}

/// Reads an artefact.
pub fn read(artefact: &[u8]) -> Result<(Scheme, ClassicalParts), RowsError> {
    let mut file = File::open(artefact, &[Family::CLASSICAL], Some(PAYLOAD))?;
    let scheme = file.scheme()?;
    let variables = scheme.book.variables.len();
    let bytes = file.unpacked("bases", MAX_BASES_BYTES)?;
    if variables == 0 || !bytes.len().is_multiple_of(2 * variables) {
        return Err(super::invalid("its bases are no whole rows"));
    }
    let columns = numbers(&bytes, u16::from_le_bytes);
    let rows = columns.len() / variables;
    let mut codes = Vec::with_capacity(columns.len());
    for row in 0..rows {
        codes.extend((0..variables).map(|variable| columns[variable * rows + row]));
    }
    let parts = ClassicalParts {
        operations: std::mem::take(&mut file.outline.operations),
        neighbours: file.outline.neighbours.unwrap_or(0),
        bases: Bases::new(variables, codes),
    };
    parts.check(&scheme)?;
    Ok((scheme, parts))
}
