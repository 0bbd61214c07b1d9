//! Where the scalars of a JSON text lie. For learning: a record that is coded is walked by the grammar.

use std::collections::HashMap;
use std::rc::Rc;

use super::learn::Scalar;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 64;

/// Longest array whose elements get slots of their own, when all arrays at its path are as long.
const MAX_TUPLE: usize = 8;

/// Most paths that are told apart: many times the slots of a grammar.
const MAX_PATHS: usize = 1 << 16;

/// Longest name of a path, in bytes.
const MAX_NAME: usize = 512;

/// A path in records: a number, given at first sight.
type Path = usize;

/// All paths behind the [`MAX_PATHS`] first ones, as one. It has no name.
const BEYOND: Path = usize::MAX;

/// One step down: a key as it is written, or a place in an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Down {
    Key(Rc<[u8]>),
    /// Any element.
    Element,
    /// This element of an array that always has the same length.
    Place(usize),
}

/// All paths that were seen.
#[derive(Default)]
pub(super) struct Paths {
    known: HashMap<(Path, Down), Path>,
    /// Of each path but the first, the path above it and the step down from there.
    steps: Vec<(Path, Down)>,
    /// Shortest and longest array at a path; `None` once a record has had one too long for a tuple.
    lengths: HashMap<Path, (usize, usize)>,
    tuples: bool,
    /// Whether each element of each array has a path of its own.
    places: bool,
}

impl Paths {
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of which each element of an array is another.
    pub fn of_places() -> Self {
        Self { places: true, ..Self::new() }
    }

    /// From here on arrays whose length has not varied so far are tuples. Paths start anew.
    pub fn with_tuples(&mut self) {
        *self = Self { lengths: std::mem::take(&mut self.lengths), tuples: true, ..Self::new() };
    }

    /// The path for people: `user.tags[]`. Nothing when it is too long, or one too many.
    pub fn name(&self, path: Path) -> Option<String> {
        let (mut steps, mut at, mut length) = (Vec::new(), path, 0);
        while at != 0 {
            let (from, down) = self.steps.get(at.checked_sub(1)?)?;
            length += match down {
                Down::Key(key) => key.len(),
                Down::Element | Down::Place(_) => 2,
            };
            if length > MAX_NAME {
                return None;
            }
            steps.push((*from, down));
            at = *from;
        }
        let mut name = String::new();
        for (from, down) in steps.into_iter().rev() {
            match down {
                Down::Key(key) => {
                    name.push_str(if from == 0 { "" } else { "." });
                    name.push_str(&String::from_utf8_lossy(key));
                }
                Down::Element => name.push_str("[]"),
                Down::Place(place) => name.push_str(&format!("[{place}]")),
            }
        }
        Some(name).filter(|name| name.len() <= MAX_NAME)
    }

    fn down(&mut self, from: Path, down: Down) -> Path {
        if from == BEYOND {
            return BEYOND;
        }
        let step = (from, down);
        if let Some(path) = self.known.get(&step) {
            return *path;
        }
        if self.steps.len() == MAX_PATHS {
            return BEYOND;
        }
        self.steps.push(step.clone());
        self.known.insert(step, self.steps.len());
        self.steps.len()
    }

    fn element(&mut self, array: Path, place: usize) -> Path {
        // Array paths are numbered the same in both passes only above the first tuple; below it they are no tuples.
        let tuple = self.tuples
            && self.lengths.get(&array).is_some_and(|(least, most)| least == most && (2..=MAX_TUPLE).contains(most));
        self.down(array, if tuple || self.places { Down::Place(place) } else { Down::Element })
    }

    fn array(&mut self, path: Path, length: usize) {
        if !self.tuples && path != BEYOND {
            let (least, most) = self.lengths.entry(path).or_insert((length, length));
            (*least, *most) = ((*least).min(length), (*most).max(length));
        }
    }
}

/// The scalars of one JSON text, in order; `None` when it is no JSON that can be followed.
pub(super) fn scalars(text: &[u8], paths: &mut Paths, found: &mut Vec<Scalar>) -> Option<()> {
    found.clear();
    let mut parser = Parser { text, at: 0, paths, found };
    parser.space();
    parser.value(0, 0)?;
    parser.space();
    (parser.at == text.len()).then_some(())
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    paths: &'a mut Paths,
    found: &'a mut Vec<Scalar>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// The content of a string; `at` is on its opening quote, and ends behind its closing one.
    fn string(&mut self) -> Option<(usize, usize)> {
        self.eat(b'"')?;
        let start = self.at;
        let end = string_end(self.text, start)?;
        self.at = end + 1;
        Some((start, end))
    }

    fn value(&mut self, path: Path, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => {
                self.at += 1;
                self.space();
                if self.eat(b'}').is_some() {
                    return Some(());
                }
                loop {
                    let (start, end) = self.string()?;
                    let member = self.paths.down(path, Down::Key(self.text[start..end].into()));
                    self.space();
                    self.eat(b':')?;
                    self.space();
                    self.value(member, depth + 1)?;
                    self.space();
                    if self.eat(b'}').is_some() {
                        return Some(());
                    }
                    self.eat(b',')?;
                    self.space();
                }
            }
            b'[' => {
                self.at += 1;
                self.space();
                let mut length = 0;
                if self.eat(b']').is_some() {
                    self.paths.array(path, 0);
                    return Some(());
                }
                loop {
                    let element = self.paths.element(path, length);
                    self.value(element, depth + 1)?;
                    length += 1;
                    self.space();
                    if self.eat(b']').is_some() {
                        self.paths.array(path, length);
                        return Some(());
                    }
                    self.eat(b',')?;
                    self.space();
                }
            }
            b'"' => {
                let (start, end) = self.string()?;
                self.found.push(Scalar { place: path, quoted: true, part: None, start, end });
                Some(())
            }
            _ => {
                let start = self.at;
                self.at = bare_end(self.text, start)?;
                self.found.push(Scalar { place: path, quoted: false, part: None, start, end: self.at });
                Some(())
            }
        }
    }
}

/// Where the string ends whose content begins at `start`: the place of its closing quote.
#[inline]
pub(super) fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Whether these bytes are the content of a string (RFC 8259, 7).
pub(super) fn is_content(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' | ..0x20 => return false,
            b'\\' => match after {
                [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', after @ ..] => after,
                [b'u', a, b, c, d, after @ ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => after,
                _ => return false,
            },
            _ => after,
        };
    }
    std::str::from_utf8(text).is_ok()
}

/// Where the number or word ends that begins at `start`; `None` when none begins there.
#[inline]
pub(super) fn bare_end(text: &[u8], start: usize) -> Option<usize> {
    const ENDS: [bool; 256] = {
        let mut ends = [false; 256];
        let mut i = 0;
        let all = b" \t\r\n,:]}[{\"";
        while i < all.len() {
            ends[all[i] as usize] = true;
            i += 1;
        }
        ends
    };
    let rest = text.get(start..)?;
    let length = rest.iter().position(|byte| ENDS[usize::from(*byte)]).unwrap_or(rest.len());
    (length > 0).then_some(start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<Vec<(String, &str)>> {
        let (mut paths, mut scalars_found) = (Paths::new(), Vec::new());
        scalars(text.as_bytes(), &mut paths, &mut scalars_found)?;
        Some(scalars_found.iter().map(|s| (paths.name(s.place).unwrap(), &text[s.start..s.end])).collect())
    }

    #[test]
    fn scalars_are_found_with_their_paths() {
        let text = r#" { "a" : 1 , "b" : {"c":[true,"x\"y",{"d":null}]}, "e":[], "f":{} } "#;
        let expected = [("a", "1"), ("b.c[]", "true"), ("b.c[]", r#"x\"y"#), ("b.c[].d", "null")];
        assert_eq!(found(text).unwrap(), expected.map(|(path, value)| (path.to_owned(), value)));
        assert_eq!(found("-0.0e5").unwrap(), [(String::new(), "-0.0e5")]);
        assert_eq!(found("{}").unwrap(), []);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "{", "[1,", r#"{"a"}"#, r#"{"a":}"#, r#""open"#, "1 2", r#"{"a":1,}"#, "]"] {
            assert_eq!(found(text), None, "{text}");
        }
        assert_eq!(found(&"[".repeat(100_000)), None);
    }

    #[test]
    fn arrays_of_one_length_become_tuples_in_the_second_pass() {
        let (mut paths, mut found) = (Paths::new(), Vec::new());
        for _ in 0..2 {
            for text in [r#"{"at":[1,2],"tags":[3]}"#, r#"{"at":[4,5],"tags":[6,7]}"#] {
                scalars(text.as_bytes(), &mut paths, &mut found).unwrap();
            }
            if !paths.tuples {
                paths.with_tuples();
            }
        }
        let names: Vec<String> = found.iter().map(|s| paths.name(s.place).unwrap()).collect();
        assert_eq!(names, ["at[0]", "at[1]", "tags[]", "tags[]"]);
    }

    #[test]
    fn paths_take_memory_in_proportion_to_the_text_and_are_not_without_end() {
        // Each of the inner keys alone would be a name of 10 KB.
        let inner: Vec<String> = (0..MAX_PATHS + 10).map(|i| format!("\"{i}\":{{\"a\":1}}")).collect();
        let text = format!("{{\"{}\":{{{}}},\"late\":[2]}}", "k".repeat(10_000), inner.join(","));
        let (mut paths, mut found) = (Paths::new(), Vec::new());
        scalars(text.as_bytes(), &mut paths, &mut found).unwrap();
        let held = |(_, down): &(Path, Down)| match down {
            Down::Key(key) => key.len(),
            _ => 0,
        };
        assert_eq!(paths.steps.len(), MAX_PATHS);
        assert!(paths.steps.iter().map(held).sum::<usize>() <= text.len());
        assert_eq!(found.len(), inner.len() + 1);
        assert!(found.iter().all(|scalar| paths.name(scalar.place).is_none()));
        assert_eq!(found.last().unwrap().place, BEYOND);
        // What was known before is known still.
        assert_eq!(paths.name(0).as_deref(), Some(""));
        let before = paths.steps.len();
        scalars(text.as_bytes(), &mut paths, &mut found).unwrap();
        assert_eq!(paths.steps.len(), before);
    }
}
