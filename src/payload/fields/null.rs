//! Where a record has nothing: `null` in JSON, a cell without quotes in CSV that is empty.

use super::{csv, json};

/// A place without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Null {
    /// What a grammar may call it: elements of arrays have a slot each or one together.
    pub names: Vec<String>,
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// The places of a JSON text that are `null`.
pub fn nulls(text: &[u8]) -> Vec<Null> {
    let named = |paths: json::Paths| {
        let (mut paths, mut found) = (paths, Vec::new());
        json::scalars(text, &mut paths, &mut found)?;
        let nulls = found.iter().filter(|scalar| !scalar.quoted && &text[scalar.start..scalar.end] == b"null");
        Some(nulls.map(|scalar| (paths.name(scalar.place), scalar.start, scalar.end)).collect::<Vec<_>>())
    };
    let together = named(json::Paths::new()).unwrap_or_default();
    let each = named(json::Paths::of_places()).unwrap_or_default();
    let both = together.into_iter().zip(each);
    both.map(|((name, start, end), (other, ..))| Null {
        names: [name, other].into_iter().flatten().collect(),
        start,
        end,
    })
    .collect()
}

/// The places of a CSV text that are empty.
pub fn empty_cells(text: &[u8], delimiter: u8) -> Vec<Null> {
    let mut found = Vec::new();
    if csv::scalars(text, delimiter, &mut found).is_none() {
        return Vec::new();
    }
    let empty = found.iter().filter(|cell| !cell.quoted && cell.start == cell.end);
    empty.map(|cell| Null { names: vec![csv::name(cell.place)], start: cell.start, end: cell.end }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(nulls: Vec<Null>) -> Vec<(String, usize, usize)> {
        nulls.into_iter().map(|null| (null.names.join(" "), null.start, null.end)).collect()
    }

    #[test]
    fn nulls_are_found_and_texts_that_look_like_them_are_not() {
        let text = br#"{"a":null,"b":{"c":["null",null]}} "#;
        assert_eq!(found(nulls(text)), [("a a".to_owned(), 5, 9), ("b.c[] b.c[1]".to_owned(), 27, 31)]);
        assert_eq!(found(nulls(b"null")), [(" ".to_owned(), 0, 4)]);
        assert_eq!(nulls(b"{\"a\":null"), []);
    }

    #[test]
    fn cells_are_empty_that_have_no_quotes() {
        assert_eq!(
            found(empty_cells(b"a,,\"\",", b',')),
            [("column 2".to_owned(), 2, 2), ("column 4".to_owned(), 6, 6)]
        );
        assert_eq!(empty_cells(b"a,\"", b','), []);
    }
}
