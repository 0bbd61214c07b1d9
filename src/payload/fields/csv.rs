//! Where the cells of a CSV text lie (RFC 4180, any delimiter). For learning, as [`super::json`].

use super::learn::Scalar;

/// Delimiters that are tried.
pub(super) const DELIMITERS: [u8; 4] = *b",;\t|";

/// The cells of a text of one or several rows, in order; the place of a cell is its column. `None` when a quoted cell
/// does not end as one should.
pub(super) fn scalars(text: &[u8], delimiter: u8, found: &mut Vec<Scalar>) -> Option<()> {
    found.clear();
    let (mut at, mut column) = (0, 0);
    loop {
        let quoted = text.get(at) == Some(&b'"');
        let start = at + usize::from(quoted);
        let end = if quoted { quoted_end(text, start)? } else { plain_end(text, start, delimiter) };
        found.push(Scalar { place: column, quoted, part: None, start, end });
        at = end + usize::from(quoted);
        match text.get(at) {
            None => return Some(()),
            Some(byte) if *byte == delimiter => (at, column) = (at + 1, column + 1),
            Some(b'\r' | b'\n') => {
                while matches!(text.get(at), Some(b'\r' | b'\n')) {
                    at += 1;
                }
                if at == text.len() {
                    return Some(());
                }
                column = 0;
            }
            Some(_) => return None,
        }
    }
}

/// A column for people.
pub(super) fn name(place: usize) -> String {
    format!("column {}", place + 1)
}

/// Where a plain cell ends.
#[inline]
pub(super) fn plain_end(text: &[u8], start: usize, delimiter: u8) -> usize {
    let rest = &text[start.min(text.len())..];
    let ends = |byte: &u8| *byte == delimiter || *byte == b'\n' || *byte == b'\r';
    start + rest.iter().position(ends).unwrap_or(rest.len())
}

/// Where a quoted cell's content ends: the place of its closing quote. Quotes within are doubled.
#[inline]
pub(super) fn quoted_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match text.get(at)? {
            b'"' if text.get(at + 1) == Some(&b'"') => at += 2,
            b'"' => return Some(at),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<Vec<(usize, &str)>> {
        let mut cells = Vec::new();
        scalars(text.as_bytes(), b',', &mut cells)?;
        Some(cells.iter().map(|cell| (cell.place, &text[cell.start..cell.end])).collect())
    }

    #[test]
    fn cells_are_found_with_their_columns() {
        assert_eq!(found("a,,\"b\"\"c,\",d").unwrap(), [(0, "a"), (1, ""), (2, "b\"\"c,"), (3, "d")]);
        assert_eq!(found("a,b\r\nc\r\n").unwrap(), [(0, "a"), (1, "b"), (0, "c")]);
        assert_eq!(found("").unwrap(), [(0, "")]);
        assert_eq!(found("a\"b").unwrap(), [(0, "a\"b")]);
    }

    #[test]
    fn a_quoted_cell_that_does_not_end_is_refused() {
        assert_eq!(found("\"a"), None);
        assert_eq!(found("\"a\"b"), None);
    }
}
