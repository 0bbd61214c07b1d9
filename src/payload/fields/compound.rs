//! Strings that are made of numbers: identifiers of hexadecimal groups (UUIDs, RFC 9562; trace and span ids; digests; MAC
//! addresses) and IPv6 addresses (RFC 5952). Each group becomes a value of its own, so that what counts up counts, what is
//! constant costs nothing, and what is random costs four bits a digit. And times with their distance from UTC (RFC 3339:
//! `2024-03-01T10:00:00+01:00`), which is one of few literals behind a time. For learning, as [`super::json`].

use core::net::Ipv6Addr;
use std::collections::HashMap;

use super::grammar::{HEX_DIGITS, Scan, TIME_BYTES};
use super::learn::{Part, Scalar};

/// Values that a shape is learned from at most, and at least.
const LOOKED_AT: usize = 1000;
const LEAST: usize = 16;

/// Fewest digits of all groups together: shorter strings are as well off as they are.
const LEAST_DIGITS: usize = 12;

/// Most groups and literals of a shape.
const MOST_PIECES: usize = 32;

/// What the strings at a place are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Digits and literals by turns, each of a length that does not vary.
    Groups { upper: bool, pieces: Vec<Piece> },
    /// IPv6 addresses as RFC 5952 writes them.
    Ipv6,
    /// Times of so many bytes, and how far the clock is from UTC.
    Zoned { time: usize },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Piece {
    Digits(usize),
    Literal(Vec<u8>),
}

impl Piece {
    /// Bytes that it has.
    fn len(&self) -> usize {
        match self {
            Self::Digits(digits) => *digits,
            Self::Literal(text) => text.len(),
        }
    }
}

/// Values at places, from which shapes are learned.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    values: HashMap<(usize, bool), Vec<&'a [u8]>>,
}

impl<'a> Gathered<'a> {
    pub fn note(&mut self, sample: &'a [u8], found: &[Scalar]) {
        for scalar in found {
            let values = self.values.entry((scalar.place, scalar.quoted)).or_default();
            if values.len() < LOOKED_AT {
                values.push(&sample[scalar.start..scalar.end]);
            }
        }
    }

    pub fn shapes(self) -> Shapes {
        let shape = |(place, values): (_, Vec<&[u8]>)| Some((place, Shape::learn(&values)?));
        Shapes { known: self.values.into_iter().filter_map(shape).collect() }
    }
}

/// The places whose strings have a shape.
pub(super) struct Shapes {
    known: HashMap<(usize, bool), Shape>,
}

impl Shapes {
    /// Puts the groups of a string where the string was.
    pub fn split(&self, sample: &[u8], found: &mut Vec<Scalar>) {
        if self.known.is_empty() {
            return;
        }
        let whole = std::mem::take(found);
        for scalar in whole {
            let shape = self.known.get(&(scalar.place, scalar.quoted));
            let groups = shape.and_then(|shape| Some((shape, shape.groups(&sample[scalar.start..scalar.end])?)));
            match groups {
                None => found.push(scalar),
                Some((shape, groups)) => {
                    found.extend(groups.into_iter().enumerate().map(|(part, (from, to))| Scalar {
                        part: Some((shape.part(part), shape.scan(to - from))),
                        start: scalar.start + from,
                        end: scalar.start + to,
                        ..scalar
                    }))
                }
            }
        }
    }
}

impl Shape {
    /// The shape of nearly all of these values, which are mostly different.
    fn learn(values: &[&[u8]]) -> Option<Self> {
        if values.len() < LEAST {
            return None;
        }
        let nearly_all = |count: usize| count * 10 >= values.len() * 9;
        if let Some(time) = common_time(values, nearly_all) {
            return Some(Self::Zoned { time });
        }
        let mut distinct: Vec<&[u8]> = values.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        // What comes back again and again is better known as a whole.
        if distinct.len() * 2 < values.len() {
            return None;
        }
        if nearly_all(values.iter().filter(|value| Self::Ipv6.groups(value).is_some()).count()) {
            return Some(Self::Ipv6);
        }
        let mut counts: HashMap<Vec<Piece>, usize> = HashMap::new();
        for pieces in values.iter().filter_map(|value| pieces(value)) {
            *counts.entry(pieces).or_insert(0) += 1;
        }
        let (common, count) = counts.into_iter().find(|(_, count)| nearly_all(*count))?;
        let mut shaped = Vec::with_capacity(count);
        shaped.extend(values.iter().copied().filter(|value| pieces(value).as_ref() == Some(&common)));
        let pieces = without_words(common, &shaped);
        let (mut digits, mut lower, mut upper, mut at) = (0, false, false, 0);
        for piece in &pieces {
            let range = at..at + piece.len();
            at = range.end;
            if let Piece::Digits(length) = piece {
                digits += length;
                let letters = || shaped.iter().flat_map(|value| &value[range.clone()]);
                lower |= letters().any(u8::is_ascii_lowercase);
                upper |= letters().any(u8::is_ascii_uppercase);
            }
        }
        // Decimal digits are numbers as they are.
        if digits < LEAST_DIGITS || lower == upper {
            return None;
        }
        Some(Self::Groups { upper, pieces })
    }

    /// Where the groups of a value lie; `None` when it is not of this shape.
    fn groups(&self, value: &[u8]) -> Option<Vec<(usize, usize)>> {
        let mut groups = Vec::new();
        let mut at = 0;
        match self {
            Self::Groups { upper, pieces } => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => at += value[at..].starts_with(text).then_some(text.len())?,
                        Piece::Digits(digits) => {
                            let mut left = *digits;
                            while left > 0 {
                                let digits = left.min(HEX_DIGITS);
                                let end = Scan::Hex { digits: digits as u8, upper: *upper }.end(value, at)?;
                                groups.push((at, end));
                                (at, left) = (end, left - digits);
                            }
                        }
                    }
                }
            }
            Self::Ipv6 => {
                let text = std::str::from_utf8(value).ok()?;
                let address: Ipv6Addr = text.parse().ok()?;
                if text.contains('.') || address.to_string() != text {
                    return None;
                }
                while at < value.len() {
                    if value[at] == b':' {
                        at += 1;
                    } else {
                        let end = self.scan(0).end(value, at)?;
                        groups.push((at, end));
                        at = end;
                    }
                }
            }
            Self::Zoned { time } => {
                groups.push((0, zoned(value).filter(|found| found == time)?));
                at = value.len();
            }
        }
        (at == value.len() && !groups.is_empty()).then_some(groups)
    }

    /// How far a group of so many digits reaches.
    fn scan(&self, digits: usize) -> Scan {
        match self {
            Self::Groups { upper, .. } => Scan::Hex { digits: digits as u8, upper: *upper },
            Self::Ipv6 => Scan::Hex { digits: 0, upper: false },
            Self::Zoned { time } => Scan::Time { length: *time as u8 },
        }
    }

    /// Which part a group is.
    fn part(&self, number: usize) -> Part {
        match self {
            Self::Groups { .. } | Self::Ipv6 => Part::Of(number as u8),
            Self::Zoned { .. } => Part::Main,
        }
    }
}

/// How many bytes of a value are a time of day on a date, where all others say how far its clock is from UTC: `+01:00`, `-0330`,
/// ` +00`.
fn zoned(value: &[u8]) -> Option<usize> {
    fn pattern<'a>(text: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
        let (head, rest) = text.split_at_checked(pattern.len())?;
        let fits = |(byte, wanted): (&u8, &u8)| match wanted {
            b'0' => byte.is_ascii_digit(),
            b'T' => matches!(byte, b'T' | b' '),
            b'+' => matches!(byte, b'+' | b'-'),
            _ => byte == wanted,
        };
        head.iter().zip(pattern).all(fits).then_some(rest)
    }
    let mut rest = pattern(value, b"0000-00-00T00:00")?;
    if let Some(seconds) = pattern(rest, b":00") {
        let digits =
            seconds.strip_prefix(b".").map_or(0, |text| text.iter().take_while(|byte| byte.is_ascii_digit()).count());
        rest = if digits > 0 { &seconds[1 + digits..] } else { seconds };
    }
    let time = value.len() - rest.len();
    let hours = pattern(rest.strip_prefix(b" ").unwrap_or(rest), b"+00")?;
    let is_whole = hours.is_empty() || [&b":00"[..], b"00"].iter().any(|minutes| pattern(hours, minutes) == Some(b""));
    (is_whole && time <= TIME_BYTES).then_some(time)
}

/// The length that nearly all of these values have as times with their distance from UTC.
fn common_time(values: &[&[u8]], nearly_all: impl Fn(usize) -> bool) -> Option<usize> {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    values.iter().filter_map(|value| zoned(value)).for_each(|time| *counts.entry(time).or_insert(0) += 1);
    counts.into_iter().find(|(_, count)| nearly_all(*count)).map(|(time, _)| time)
}

/// A value as digits and literals by turns; `None` when it is too much of both.
fn pieces(value: &[u8]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for run in value.chunk_by(|a, b| a.is_ascii_hexdigit() == b.is_ascii_hexdigit()) {
        pieces.push(if run[0].is_ascii_hexdigit() { Piece::Digits(run.len()) } else { Piece::Literal(run.to_vec()) });
    }
    (pieces.len() <= MOST_PIECES).then_some(pieces)
}

/// Makes groups that never vary and touch a letter part of the literals around them: the `ace` of `trace-`. Others may only
/// have stood still so far, like the high digits of a time.
fn without_words(pieces: Vec<Piece>, shaped: &[&[u8]]) -> Vec<Piece> {
    let (mut merged, mut at): (Vec<Piece>, usize) = (Vec::new(), 0);
    for piece in pieces {
        let range = at..at + piece.len();
        at = range.end;
        let first = shaped[0];
        let around = [range.start.checked_sub(1).map(|before| first[before]), first.get(range.end).copied()];
        let is_word = around.into_iter().flatten().any(|byte| byte.is_ascii_alphabetic())
            && shaped.iter().all(|value| value[range.clone()] == first[range.clone()]);
        match (merged.last_mut(), if is_word { Piece::Literal(first[range].to_vec()) } else { piece }) {
            (Some(Piece::Literal(text)), Piece::Literal(more)) => text.extend(more),
            (_, piece) => merged.push(piece),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(values: &[String]) -> Option<Shape> {
        Shape::learn(&values.iter().map(String::as_bytes).collect::<Vec<_>>())
    }

    fn numbers(from: u64) -> impl Iterator<Item = u64> {
        (from..from + 40).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[test]
    fn identifiers_have_the_groups_that_vary() {
        let uuids: Vec<String> = numbers(1)
            .map(|n| {
                format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", n as u32, n as u16, n >> 52, n >> 40 & 0xfff, n >> 16)
            })
            .collect();
        let shape = learn(&uuids).unwrap();
        let groups = shape.groups(uuids[0].as_bytes()).unwrap();
        assert_eq!(groups, [(0, 8), (9, 13), (14, 18), (19, 23), (24, 36)]);
        let other_case = uuids[0].to_uppercase();
        assert_eq!(shape.groups(other_case.as_bytes()), None);
        assert_eq!(shape.groups(&uuids[0].as_bytes()[..35]), None);

        let traces: Vec<String> = numbers(9).map(|n| format!("trace-{n:016X}{n:016X}")).collect();
        let shape = learn(&traces).unwrap();
        assert_eq!(shape.groups(traces[3].as_bytes()).unwrap(), [(6, 18), (18, 30), (30, 38)]);
    }

    #[test]
    fn addresses_have_as_many_groups_as_are_written() {
        let addresses: Vec<String> = numbers(5)
            .map(|n| Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n & 0xffff_0fff)).to_string())
            .collect();
        assert_eq!(learn(&addresses), Some(Shape::Ipv6));
        let groups = |text: &str| Shape::Ipv6.groups(text.as_bytes());
        assert_eq!(groups("2001:db8::1:0").unwrap(), [(0, 4), (5, 8), (10, 11), (12, 13)]);
        assert_eq!(groups("::1").unwrap(), [(2, 3)]);
        for other in ["2001:0db8::1", "::ffff:192.0.2.1", "::", "1:2", "", "x"] {
            assert_eq!(groups(other), None, "{other}");
        }
    }

    #[test]
    fn times_end_where_their_distance_from_utc_begins() {
        for (text, time) in [
            ("2024-03-01T10:00:00+01:00", Some(19)),
            ("2024-03-01 10:00:00.123456-03:30", Some(26)),
            ("2024-03-01T10:00+0000", Some(16)),
            ("2024-03-01 10:00:00 +00", Some(19)),
            ("2024-03-01T10:00:00Z", None),
            ("2024-03-01T10:00:00", None),
            ("2024-03-01T10:00:00+01:00[Europe/Zagreb]", None),
            ("2024-03-01T10:00:00.+01:00", None),
            ("2024-03-01+01:00", None),
            ("+01:00", None),
            ("", None),
        ] {
            assert_eq!(zoned(text.as_bytes()), time, "{text}");
        }
        // Few different ones will do, and one in ten may be something else.
        let times = |n: u64| format!("2024-03-01T10:0{}:00+0{}:00", n % 2, 1 + n / 20);
        let mut values: Vec<String> = (0..40).map(times).collect();
        assert_eq!(learn(&values), Some(Shape::Zoned { time: 19 }));
        (0..5).for_each(|place| values[place] = "soon".to_owned());
        assert_eq!(learn(&values), None);
    }

    #[test]
    fn words_decimal_numbers_and_what_comes_back_have_no_shape() {
        let words = ["add", "bad", "face", "decade"].map(String::from);
        assert_eq!(learn(&words.iter().cycle().take(40).cloned().collect::<Vec<_>>()), None);
        assert_eq!(learn(&numbers(1).map(|n| format!("{:016}", n % 10_000_000_000_000_000)).collect::<Vec<_>>()), None);
        let few: Vec<String> = numbers(1).map(|n| format!("{:016x}", n % 3)).collect();
        assert_eq!(learn(&few), None);
        let ragged: Vec<String> = (0..40).map(|n| "abcdef0123456789"[..n % 16].to_owned()).collect();
        assert_eq!(learn(&ragged), None);
    }
}
