//! A record per CSV row.

use super::{Cutter, Flaw, Piece};

/// A byte order mark, which some programs write before UTF-8. A quote behind it still begins a field.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Rows as RFC 4180 has them. LF and CR alone end a row as well; empty lines are no rows and belong to the row before
/// them, those at the beginning to the first.
#[derive(Default)]
pub(super) struct Rows {
    begun: bool,
}

/// Where in a row a byte stands.
#[derive(Clone, Copy)]
enum Place {
    FieldStart,
    Field,
    Quoted,
    /// Behind a quote in a quoted field: it ends the field, or is half of a quote that is meant.
    AfterQuote,
}

impl Cutter for Rows {
    fn cut(&mut self, bytes: &[u8], ended: bool) -> Result<Option<Piece>, Flaw> {
        let mut start = 0;
        if !self.begun {
            if !ended && bytes.len() < MARK.len() {
                return Ok(None);
            }
            start = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
            start += breaks(&bytes[start..]);
        }
        let end = start + row(&bytes[start..]);
        let all = end + breaks(&bytes[end..]);
        if all == bytes.len() && !ended {
            return Ok(None);
        }
        self.begun = true;
        Ok(Some(Piece { all, content: start..end }))
    }
}

/// Length of the first row, without the line break that ends it.
fn row(bytes: &[u8]) -> usize {
    let mut place = Place::FieldStart;
    for (at, byte) in bytes.iter().enumerate() {
        place = match (place, byte) {
            (Place::Quoted, b'"') => Place::AfterQuote,
            (Place::Quoted, _) => Place::Quoted,
            (_, b'\n' | b'\r') => return at,
            (_, b',') => Place::FieldStart,
            (Place::FieldStart | Place::AfterQuote, b'"') => Place::Quoted,
            _ => Place::Field,
        };
    }
    bytes.len()
}

/// How many bytes of line breaks are in front.
fn breaks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Where the `csv` crate sees rows begin.
    fn starts(bytes: &[u8]) -> Vec<usize> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let mut record = csv::ByteRecord::new();
        let mut starts = Vec::new();
        loop {
            let at = usize::try_from(reader.position().byte()).unwrap();
            if !reader.read_byte_record(&mut record).unwrap() {
                return starts;
            }
            // It stops between the two bytes of a CRLF, and before empty lines.
            starts.push(if starts.is_empty() { 0 } else { at + breaks(&bytes[at..]) });
        }
    }

    proptest! {
        #[test]
        fn rows_begin_where_the_csv_crate_sees_them_begin(text in "(\u{feff}|)[\"\"\"\n\n\r,,ab]{0,40}") {
            let bytes = text.as_bytes();
            let (mut rows, mut found, mut at) = (Rows::default(), Vec::new(), 0);
            while at < bytes.len() {
                let piece = rows.cut(&bytes[at..], true).unwrap().unwrap();
                if !piece.content.is_empty() {
                    found.push(at);
                }
                at += piece.all;
            }
            prop_assert_eq!(found, starts(bytes), "{:?}", text);
        }
    }
}
