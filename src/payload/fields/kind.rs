//! What a value's bytes stand for, when it is a number: read only where writing gives the same bytes again.

use std::collections::HashMap;

use crate::frame::{FrameError, Reader, put_varint};

use super::grammar::{HEX_DIGITS, is_hex};
use super::page::Page;

/// Most digits of a number.
const MAX_DIGITS: usize = 18;
/// Longest text around a number.
const MAX_AFFIX: usize = 255;

/// What the values of a slot are read as. Every value that [`Kind::parse`] takes, [`Kind::render`] writes back byte for
/// byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// No number.
    #[default]
    Text,
    /// `0`, `-17`: no leading zeros, at most 18 digits.
    Integer,
    /// A decimal number in units of its last place.
    Decimal {
        /// Digits after the point.
        scale: u8,
        /// How trailing zeros are written.
        zeros: Zeros,
    },
    /// A date, a time of day, or both (ISO 8601, RFC 3339), in units of its last place.
    Time(TimeFormat),
    /// `192.0.2.1`, as a number of 32 bits.
    Ipv4,
    /// Hexadecimal digits of one case.
    Hex {
        /// How many; 0 when there are as many as the number takes.
        digits: u8,
        /// Whether its letters are capital ones.
        upper: bool,
    },
    /// A natural number between texts that do not vary: `order-00042`.
    Affix {
        /// What stands before the number.
        before: Vec<u8>,
        /// What stands behind it.
        after: Vec<u8>,
        /// How many digits there are; 0 where there are no leading zeros.
        width: u8,
    },
}

/// How the zeros at the end of a decimal number are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeros {
    /// All of them: always `scale` digits.
    Kept,
    /// None, and no point behind a whole number.
    Dropped,
    /// None, but for one behind a whole number: `3.0`.
    OneKept,
}

/// The parts of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeFormat {
    /// Whether it begins with `YYYY-MM-DD`.
    pub date: bool,
    /// What stands between date and time, where there are both.
    pub between: u8,
    /// How much of the time of day there is.
    pub clock: Clock,
    /// Digits of the fraction of a second.
    pub fraction: u8,
    /// Whether it ends with `Z`.
    pub zulu: bool,
}

/// How much of the time of day a time has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Nothing.
    None,
    /// `HH:MM`.
    Minutes,
    /// `HH:MM:SS`.
    Seconds,
}

impl Kind {
    /// The number that these bytes stand for, if they are what [`Kind::render`] writes for it.
    #[inline]
    pub fn parse(&self, text: &[u8]) -> Option<i64> {
        match self {
            Self::Text => None,
            Self::Integer => integer(text),
            Self::Decimal { scale, zeros } => decimal(text, *scale, *zeros),
            Self::Time(format) => format.parse(text),
            Self::Ipv4 => ipv4(text),
            Self::Hex { digits, upper } => hex(text, *digits, *upper),
            Self::Affix { before, after, width } => {
                let digits = text.strip_prefix(before.as_slice())?.strip_suffix(after.as_slice())?;
                match *width {
                    0 => integer(digits).filter(|number| *number >= 0),
                    width => (digits.len() == usize::from(width)).then(|| natural(digits)).flatten(),
                }
            }
        }
    }

    /// Writes a number; `None` when the kind has no text for it, and nothing is written then.
    #[inline]
    pub fn render(&self, number: i64, page: &mut Page) -> Option<()> {
        match self {
            Self::Text => return None,
            Self::Integer => put_integer(number, page),
            Self::Decimal { scale, zeros } => put_decimal(number, *scale, *zeros, page),
            Self::Time(format) => return format.render(number, page),
            Self::Ipv4 => {
                let address = u32::try_from(number).ok()?;
                for (i, byte) in address.to_be_bytes().into_iter().enumerate() {
                    if i > 0 {
                        page.push(b'.');
                    }
                    put_integer(i64::from(byte), page);
                }
            }
            Self::Hex { digits, upper } => return put_hex(number, *digits, *upper, page),
            Self::Affix { before, after, width } => {
                let number = u64::try_from(number).ok()?;
                let limit = if *width == 0 { MAX_DIGITS } else { usize::from(*width) };
                if number >= 10u64.pow(limit as u32) {
                    return None;
                }
                page.extend(before);
                put_padded(number, usize::from(*width), page);
                page.extend(after);
            }
        }
        Some(())
    }

    /// [`Kind::render`] behind what a vector holds.
    pub fn append(&self, number: i64, output: &mut Vec<u8>) -> Option<()> {
        let mut page = Page::new(std::mem::take(output), usize::MAX);
        let rendered = self.render(number, &mut page);
        *output = page.into_bytes();
        rendered
    }

    /// The kind that most of these values have; `Text` when none has a fair share. Values come as often as they occur.
    pub fn learn(values: &[&[u8]]) -> Self {
        let mut candidates = vec![Self::Integer, Self::Ipv4];
        candidates.extend(decimals(values));
        candidates.extend(values.iter().take(LOOKED_AT).find_map(|value| TimeFormat::of(value)).map(Self::Time));
        candidates.extend(affix(values));
        candidates.extend(hexadecimal(values));
        let hits = |kind: &Self| values.iter().filter(|value| kind.parse(value).is_some()).count();
        // The first of equals is the simplest.
        let mut best = (values.len() / 8, Self::Text);
        for kind in candidates {
            let count = hits(&kind);
            if count > best.0 {
                best = (count, kind);
            }
        }
        best.1
    }

    /// Appends the kind's bytes.
    pub fn write(&self, output: &mut Vec<u8>) {
        match self {
            Self::Text => output.push(0),
            Self::Integer => output.push(1),
            Self::Decimal { scale, zeros } => output.extend_from_slice(&[2, *scale, *zeros as u8]),
            Self::Time(format) => output.extend_from_slice(&[
                3,
                u8::from(format.date),
                format.between,
                format.clock as u8,
                format.fraction,
                u8::from(format.zulu),
            ]),
            Self::Ipv4 => output.push(4),
            Self::Hex { digits, upper } => output.extend_from_slice(&[6, *digits, u8::from(*upper)]),
            Self::Affix { before, after, width } => {
                output.extend_from_slice(&[5, *width]);
                for text in [before, after] {
                    put_varint(text.len() as u64, output);
                    output.extend_from_slice(text);
                }
            }
        }
    }

    /// Reads what [`Kind::write`] has written, from anywhere.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        let at = input.at();
        let corrupt = || FrameError::Corrupt { what: "there is no such kind of value", at };
        let flag = |byte: u8| match byte {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(corrupt()),
        };
        Ok(match input.byte()? {
            0 => Self::Text,
            1 => Self::Integer,
            2 => {
                let scale = input.byte()?;
                let zeros = match input.byte()? {
                    0 => Zeros::Kept,
                    1 => Zeros::Dropped,
                    2 => Zeros::OneKept,
                    _ => return Err(corrupt()),
                };
                if scale == 0 || usize::from(scale) > MAX_DIGITS {
                    return Err(corrupt());
                }
                Self::Decimal { scale, zeros }
            }
            3 => {
                let (date, between) = (flag(input.byte()?)?, input.byte()?);
                let clock = match input.byte()? {
                    0 => Clock::None,
                    1 => Clock::Minutes,
                    2 => Clock::Seconds,
                    _ => return Err(corrupt()),
                };
                let (fraction, zulu) = (input.byte()?, flag(input.byte()?)?);
                let format = TimeFormat { date, between, clock, fraction, zulu };
                if !format.is_valid() {
                    return Err(corrupt());
                }
                Self::Time(format)
            }
            4 => Self::Ipv4,
            5 => {
                let width = input.byte()?;
                let mut texts = [Vec::new(), Vec::new()];
                for text in &mut texts {
                    let length = input.varint()?;
                    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_AFFIX);
                    *text = input.take(length.ok_or_else(corrupt)?)?.to_vec();
                }
                if usize::from(width) > MAX_DIGITS {
                    return Err(corrupt());
                }
                let [before, after] = texts;
                Self::Affix { before, after, width }
            }
            6 => {
                let (digits, upper) = (input.byte()?, flag(input.byte()?)?);
                if usize::from(digits) > HEX_DIGITS {
                    return Err(corrupt());
                }
                Self::Hex { digits, upper }
            }
            _ => return Err(corrupt()),
        })
    }
}

/// Values that a format is looked for in.
const LOOKED_AT: usize = 256;

/// Digits as a number; `None` when there is anything else, nothing, or too much.
#[inline]
fn natural(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > MAX_DIGITS {
        return None;
    }
    let mut number = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + i64::from(digit);
    }
    Some(number)
}

#[inline]
fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let first = *digits.first()?;
    // One zero is a number, and neither "-0" nor "07" is.
    if first == b'0' && (digits.len() > 1 || negative) {
        return None;
    }
    let number = natural(digits)?;
    Some(if negative { -number } else { number })
}

#[inline]
fn put_integer(number: i64, page: &mut Page) {
    if number < 0 {
        page.push(b'-');
    }
    put_natural(number.unsigned_abs(), page);
}

/// A natural number.
#[inline]
fn put_natural(number: u64, page: &mut Page) {
    match usize::try_from(number).ok().and_then(|number| NATURALS.get(number)) {
        Some(Digits { text, count }) => page.piece(text, usize::from(*count)),
        None => put_padded(number, 0, page),
    }
}

/// Digits that are ready to be written.
#[derive(Clone, Copy)]
struct Digits {
    text: [u8; 4],
    /// How many of these bytes count.
    count: u8,
}

/// The numbers below 1000 without leading zeros.
static NATURALS: [Digits; 1000] = {
    let mut naturals = [Digits { text: [0; 4], count: 0 }; 1000];
    let mut number = 0;
    while number < 1000 {
        let [a, b, c] = three_digits(number);
        naturals[number] = match number {
            0..10 => Digits { text: [c, 0, 0, 0], count: 1 },
            10..100 => Digits { text: [b, c, 0, 0], count: 2 },
            _ => Digits { text: [a, b, c, 0], count: 3 },
        };
        number += 1;
    }
    naturals
};

/// Thousandths behind their point, of which those count that are not zeros at the end.
static THOUSANDTHS: [Digits; 1000] = {
    let mut fractions = [Digits { text: [0; 4], count: 0 }; 1000];
    let mut number = 0;
    while number < 1000 {
        let [a, b, c] = three_digits(number);
        let digits = if !number.is_multiple_of(10) {
            3
        } else if !number.is_multiple_of(100) {
            2
        } else if number > 0 {
            1
        } else {
            0
        };
        fractions[number] = Digits { text: [b'.', a, b, c], count: digits };
        number += 1;
    }
    fractions
};

/// The digits of a number below 1000.
const fn three_digits(number: usize) -> [u8; 3] {
    [b'0' + (number / 100) as u8, b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]
}

/// Two digits of a number below 100, the first one in the lowest byte.
#[inline]
const fn two_digits(number: u64) -> u64 {
    let tens = (number * 103) >> 10;
    0x3030 + (tens | (number - 10 * tens) << 8)
}

/// The last eight digits of a number, the highest in the lowest byte: halves, then pairs, then digits, side by side.
#[inline]
const fn eight_digits(number: u32) -> u64 {
    let halves = (number / 10_000) as u64 | ((number % 10_000) as u64) << 32;
    // A hundredth of four digits, and a tenth of two, by multiplication.
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - 10 * tens) << 8
}

/// The digits of [`eight_digits`] as text.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The last eight digits of a number.
#[inline]
const fn ascii(number: u32) -> [u8; 8] {
    (eight_digits(number) | ZEROS).to_le_bytes()
}

/// What eight digits can say.
const EIGHT_DIGITS: u64 = 100_000_000;

/// A natural number with at least `width` digits.
#[inline]
fn put_padded(number: u64, width: usize, page: &mut Page) {
    if number >= EIGHT_DIGITS || width > 8 {
        return put_padded_long(number, width, page);
    }
    let digits = eight_digits(number as u32);
    let leading = (digits.trailing_zeros() as usize / 8).min(7).min(8 - width);
    page.piece(&((digits | ZEROS) >> (8 * leading)).to_le_bytes(), 8 - leading);
}

/// [`put_padded`] where there are more than eight digits.
#[cold]
#[inline(never)]
fn put_padded_long(number: u64, width: usize, page: &mut Page) {
    put_padded(number / EIGHT_DIGITS, width.saturating_sub(8), page);
    page.piece(&(eight_digits((number % EIGHT_DIGITS) as u32) | ZEROS).to_le_bytes(), 8);
}

fn decimal(text: &[u8], scale: u8, zeros: Zeros) -> Option<i64> {
    let scale = usize::from(scale);
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let point = rest.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (&rest[..point], &rest[point + 1..]),
        None => (rest, &rest[..0]),
    };
    if whole.is_empty() || (whole[0] == b'0' && whole.len() > 1) || whole.len() + scale > MAX_DIGITS {
        return None;
    }
    let last = fraction.last();
    let right = match zeros {
        Zeros::Kept => fraction.len() == scale,
        Zeros::Dropped => point.is_none() || (fraction.len() <= scale && last.is_some_and(|digit| *digit != b'0')),
        Zeros::OneKept => fraction == b"0" || (fraction.len() <= scale && last.is_some_and(|digit| *digit != b'0')),
    };
    if !right {
        return None;
    }
    let mut number = natural(whole)?;
    if !fraction.is_empty() {
        number = number * POWERS[fraction.len()] + natural(fraction)?;
    }
    number *= POWERS[scale - fraction.len()];
    match (negative, number) {
        (true, 0) => None,
        (true, number) => Some(-number),
        (false, number) => Some(number),
    }
}

/// Powers of ten.
const POWERS: [i64; MAX_DIGITS + 1] = {
    let mut powers = [1; MAX_DIGITS + 1];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

#[inline]
fn put_decimal(number: i64, scale: u8, zeros: Zeros, page: &mut Page) {
    if number < 0 {
        page.push(b'-');
    }
    let magnitude = number.unsigned_abs();
    // Divisions by constants are multiplications.
    let (whole, thousandths) = match scale {
        1 => (magnitude / 10, magnitude % 10 * 100),
        2 => (magnitude / 100, magnitude % 100 * 10),
        3 => (magnitude / 1000, magnitude % 1000),
        _ => return put_fine_decimal(magnitude, usize::from(scale), zeros, page),
    };
    put_natural(whole, page);
    let Digits { text, count } = &THOUSANDTHS[thousandths as usize];
    match kept(zeros, usize::from(scale), usize::from(*count)) {
        0 => {}
        kept => page.piece(text, 1 + kept),
    }
}

/// How many digits of a fraction are written, of which so many are no zeros at the end.
#[inline]
fn kept(zeros: Zeros, scale: usize, count: usize) -> usize {
    match zeros {
        Zeros::Kept => scale,
        Zeros::Dropped => count,
        Zeros::OneKept => count.max(1),
    }
}

/// [`put_decimal`] where there are more than three digits behind the point, without a sign.
#[inline(never)]
fn put_fine_decimal(magnitude: u64, scale: usize, zeros: Zeros, page: &mut Page) {
    if scale > 8 {
        return put_finest_decimal(magnitude, scale, zeros, page);
    }
    let power = POWERS[scale] as u64;
    put_natural(magnitude / power, page);
    // As many digits as there are in eight, the last of them in the highest byte.
    let digits = eight_digits((magnitude % power * POWERS[8 - scale] as u64) as u32);
    match kept(zeros, scale, 8 - digits.leading_zeros() as usize / 8) {
        0 => {}
        kept => {
            page.push(b'.');
            page.piece(&(digits | ZEROS).to_le_bytes(), kept);
        }
    }
}

/// [`put_decimal`] where there are more than eight digits behind the point, without a sign.
#[cold]
#[inline(never)]
fn put_finest_decimal(magnitude: u64, scale: usize, zeros: Zeros, page: &mut Page) {
    let power = POWERS[scale] as u64;
    let (mut fraction, mut digits) = (magnitude % power, scale);
    put_padded(magnitude / power, 0, page);
    if zeros != Zeros::Kept {
        while digits > 0 && fraction.is_multiple_of(10) {
            (fraction, digits) = (fraction / 10, digits - 1);
        }
    }
    if digits > 0 {
        page.push(b'.');
        put_padded(fraction, digits, page);
    } else if zeros == Zeros::OneKept {
        page.extend(b".0");
    }
}

/// Decimals of the scales that these values have: the one that nearly all keep to, and the longest.
fn decimals(values: &[&[u8]]) -> Vec<Kind> {
    let mut counts = [0usize; MAX_DIGITS + 1];
    for value in values {
        if let Some(point) = value.iter().position(|byte| *byte == b'.') {
            let scale = value.len() - point - 1;
            if (1..=MAX_DIGITS - 1).contains(&scale) && value[point + 1..].iter().all(u8::is_ascii_digit) {
                counts[scale] += 1;
            }
        }
    }
    let total: usize = counts.iter().sum();
    if total == 0 {
        return Vec::new();
    }
    let mut covered = 0;
    let nearly_all = (1..counts.len()).find(|scale| {
        covered += counts[*scale];
        covered * 50 >= total * 49
    });
    let longest = (1..counts.len()).rev().find(|scale| counts[*scale] > 0);
    let mut kinds = Vec::new();
    for scale in [nearly_all, longest].into_iter().flatten() {
        for zeros in [Zeros::Kept, Zeros::Dropped, Zeros::OneKept] {
            kinds.push(Kind::Decimal { scale: scale as u8, zeros });
        }
    }
    kinds
}

fn ipv4(text: &[u8]) -> Option<i64> {
    let mut address = 0i64;
    let mut parts = 0;
    for part in text.split(|byte| *byte == b'.') {
        parts += 1;
        let byte = integer(part).filter(|byte| (0..256).contains(byte) && parts <= 4)?;
        address = address << 8 | byte;
    }
    (parts == 4).then_some(address)
}

#[inline]
fn hex(text: &[u8], digits: u8, upper: bool) -> Option<i64> {
    match digits {
        0 => (text == b"0" || (text.first() != Some(&b'0') && (1..=HEX_DIGITS).contains(&text.len()))).then_some(())?,
        digits => (text.len() == usize::from(digits)).then_some(())?,
    }
    text.iter().try_fold(0, |number, byte| {
        let digit = if is_hex(*byte, upper) { (*byte as char).to_digit(16)? } else { return None };
        Some(number << 4 | i64::from(digit))
    })
}

#[inline]
fn put_hex(number: i64, digits: u8, upper: bool, page: &mut Page) -> Option<()> {
    let most = if digits == 0 { HEX_DIGITS } else { usize::from(digits) };
    if !(0..1i64 << (4 * most)).contains(&number) {
        return None;
    }
    let letters: &[u8; 16] = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let written = if digits == 0 { (i64::BITS - (number | 1).leading_zeros()).div_ceil(4) as usize } else { most };
    let mut text = [0; HEX_DIGITS];
    for (place, letter) in (0..written).rev().zip(&mut text) {
        *letter = letters[(number >> (4 * place) & 15) as usize];
    }
    page.piece(&text, written);
    Some(())
}

/// Hexadecimal digits, where nearly all values are, and some have letters.
fn hexadecimal(values: &[&[u8]]) -> Option<Kind> {
    let letters = |of: std::ops::RangeInclusive<u8>| values.iter().any(|v| v.iter().any(|byte| of.contains(byte)));
    let upper = match (letters(b'a'..=b'f'), letters(b'A'..=b'F')) {
        (true, false) => false,
        (false, true) => true,
        _ => return None,
    };
    let length = values.first()?.len();
    let digits =
        if length <= HEX_DIGITS && values.iter().all(|value| value.len() == length) { length as u8 } else { 0 };
    let kind = Kind::Hex { digits, upper };
    let fits = values.iter().filter(|value| kind.parse(value).is_some()).count();
    (fits * 10 >= values.len() * 9).then_some(kind)
}

/// The texts around the last number of a value that most values share.
fn affix(values: &[&[u8]]) -> Option<Kind> {
    /// How often, and how many digits at least and at most.
    type Met = (usize, usize, usize);
    let mut found: HashMap<(&[u8], &[u8]), Met> = HashMap::new();
    for value in values {
        let Some(last) = value.iter().rposition(u8::is_ascii_digit) else { continue };
        let (number, after) = value.split_at(last + 1);
        let start = number.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |place| place + 1);
        let (before, digits) = number.split_at(start);
        if (before.is_empty() && after.is_empty()) || before.len() > MAX_AFFIX || after.len() > MAX_AFFIX {
            continue;
        }
        let (count, least, most) = found.entry((before, after)).or_insert((0, usize::MAX, 0));
        *count += 1;
        (*least, *most) = ((*least).min(digits.len()), (*most).max(digits.len()));
    }
    let best = found.into_iter().max_by(|a, b| a.1.0.cmp(&b.1.0).then_with(|| b.0.cmp(&a.0)));
    let ((before, after), (_, least, most)) = best.filter(|(_, (_, least, _))| *least <= MAX_DIGITS)?;
    let width = if least == most { most as u8 } else { 0 };
    Some(Kind::Affix { before: before.to_vec(), after: after.to_vec(), width })
}

impl TimeFormat {
    fn is_valid(&self) -> bool {
        (self.date || self.clock != Clock::None)
            && (self.clock == Clock::Seconds || self.fraction == 0)
            && self.fraction <= 9
            && (self.clock != Clock::None || !self.zulu)
    }

    /// The format of this value, if it is a time.
    fn of(value: &[u8]) -> Option<Self> {
        let date = value.len() >= 10 && value[4] == b'-' && value[7] == b'-';
        let mut rest = if date { &value[10..] } else { value };
        let mut between = 0;
        if date && !rest.is_empty() {
            between = rest[0];
            rest = &rest[1..];
        }
        let zulu = rest.ends_with(b"Z");
        if zulu {
            rest = &rest[..rest.len() - 1];
        }
        let (clock, fraction) = match rest.len() {
            0 => (Clock::None, 0),
            5 => (Clock::Minutes, 0),
            8 => (Clock::Seconds, 0),
            length @ 10..=18 => (Clock::Seconds, length as u8 - 9),
            _ => return None,
        };
        let format = Self { date, between, clock, fraction, zulu };
        (format.is_valid() && format.parse(value).is_some()).then_some(format)
    }

    /// Units of the last place in one second; nothing when it is longer than a second.
    pub fn units_a_second(&self) -> Option<i64> {
        (self.clock == Clock::Seconds).then(|| POWERS[usize::from(self.fraction)])
    }

    /// Units of the last place in one day; 1 when there is no time of day.
    pub fn units_a_day(&self) -> i64 {
        match self.clock {
            Clock::None => 1,
            Clock::Minutes => 1440,
            Clock::Seconds => 86_400 * POWERS[usize::from(self.fraction)],
        }
    }

    fn parse(&self, text: &[u8]) -> Option<i64> {
        let mut rest = text;
        let mut take = |length: usize| -> Option<&[u8]> {
            let (taken, left) = rest.split_at_checked(length)?;
            rest = left;
            Some(taken)
        };
        let mut number = 0;
        if self.date {
            let date = take(10)?;
            if date[4] != b'-' || date[7] != b'-' {
                return None;
            }
            let (year, month, day) = (natural(&date[..4])?, natural(&date[5..7])?, natural(&date[8..])?);
            if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
                return None;
            }
            number = days_from_civil(year, month, day);
            if self.clock != Clock::None && take(1)?[0] != self.between {
                return None;
            }
        }
        let mut clock = 0;
        if self.clock != Clock::None {
            let hm = take(5)?;
            let (hour, minute) = (natural(&hm[..2])?, natural(&hm[3..])?);
            // Timetables count on after midnight.
            if hm[2] != b':' || minute > 59 || (self.date && hour > 23) {
                return None;
            }
            clock = hour * 60 + minute;
        }
        if self.clock == Clock::Seconds {
            let seconds = take(3)?;
            let second = natural(&seconds[1..])?;
            if seconds[0] != b':' || second > 59 {
                return None;
            }
            clock = clock * 60 + second;
            if self.fraction > 0 {
                let fraction = take(1 + usize::from(self.fraction))?;
                if fraction[0] != b'.' {
                    return None;
                }
                clock = clock * POWERS[usize::from(self.fraction)] + natural(&fraction[1..])?;
            }
        }
        if self.zulu && take(1)?[0] != b'Z' {
            return None;
        }
        // The years 0 to 9999 in units of 10⁻⁹ s would not fit; those of a year 1678 to 2261 do.
        rest.is_empty().then(|| number.checked_mul(self.units_a_day())?.checked_add(clock))?
    }

    #[inline]
    fn render(&self, number: i64, page: &mut Page) -> Option<()> {
        let power = POWERS[usize::from(self.fraction)];
        let (whole, fraction) =
            if self.fraction > 0 { (number.div_euclid(power), number.rem_euclid(power)) } else { (number, 0) };
        // Divisions by constants are multiplications, those of natural numbers the shortest ones.
        let natural = |start: i64| u64::try_from(whole.checked_add(start)?).ok();
        let (days, clock) = match (self.date, self.clock) {
            (false, _) => (0, natural(0)?),
            (true, Clock::None) => (natural(FIRST_DAY)?, 0),
            (true, Clock::Minutes) => {
                let minutes = natural(FIRST_DAY * 1440)?;
                (minutes / 1440, minutes % 1440)
            }
            (true, Clock::Seconds) => {
                let seconds = natural(FIRST_DAY * 86_400)?;
                (seconds / 86_400, seconds % 86_400)
            }
        };
        let (minutes, second) = if self.clock == Clock::Seconds { (clock / 60, clock % 60) } else { (clock, 0) };
        if minutes >= 6000 {
            return None;
        }
        // From the last part to the first, each as a number in which the lowest byte is the first one.
        let mut text = 0u128;
        let mut length = 0;
        if self.zulu && self.fraction == 0 {
            text = u128::from(b'Z');
            length = 1;
        }
        if self.clock != Clock::None {
            let of_day = two_digits(minutes / 60) | u64::from(b':') << 16 | two_digits(minutes % 60) << 24;
            (text, length) = match self.clock {
                Clock::Minutes => (text << 40 | u128::from(of_day), length + 5),
                _ => {
                    let of_day = of_day | u64::from(b':') << 40 | two_digits(second) << 48;
                    (text << 64 | u128::from(of_day), length + 8)
                }
            };
        }
        if self.date {
            let date = page.date(days, civil_date)?;
            page.piece(&date, DATE);
            if self.clock != Clock::None {
                (text, length) = (text << 8 | u128::from(self.between), length + 1);
            }
        }
        page.piece(&text.to_le_bytes(), length);
        if self.fraction > 0 {
            page.push(b'.');
            put_padded(fraction as u64, usize::from(self.fraction), page);
            if self.zulu {
                page.push(b'Z');
            }
        }
        Some(())
    }
}

pub(super) fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Days from 0000-01-01 to 1970-01-01.
const FIRST_DAY: i64 = 719_528;

/// Year, month and day so many days behind 0000-01-01, up to 9999-12-31 (Neri, Schneider 2022, *Euclidean affine functions and
/// their application to calendar algorithms*, Proposition 6.3: years that begin with March, and divisions as multiplications).
#[inline]
pub(super) fn civil_from_days(days: u64) -> Option<(u32, u32, u32)> {
    if days > 3_652_424 {
        return None;
    }
    // The 400 years before it, from March on, make all of it positive.
    let quarters = 4 * (days as u32 + 146_097 - 60) + 3;
    let (century, of_century) = (quarters / 146_097, quarters % 146_097 / 4);
    let years = 2_939_745 * u64::from(4 * of_century + 3);
    let (year, of_year) = ((years >> 32) as u32, years as u32 / 2_939_745 / 4);
    let months = 2_141 * of_year + 197_913;
    let (month, day) = (months >> 16, (months & 0xffff) / 2_141);
    let is_next = of_year >= 306;
    let year = 100 * century + year + u32::from(is_next) - 400;
    Some((year, if is_next { month - 12 } else { month }, day + 1))
}

/// `YYYY-MM-DD`, and room behind it, of so many days behind 0000-01-01.
fn civil_date(days: u64) -> Option<[u8; 16]> {
    let (year, month, day) = civil_from_days(days)?;
    let [a, b, c, d, e, f, g, h] = ascii(year * 10_000 + month * 100 + day);
    let mut text = [0; 16];
    text[..DATE].copy_from_slice(&[a, b, c, d, b'-', e, f, b'-', g, h]);
    Some(text)
}

/// Bytes of a date.
const DATE: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(date: bool, between: u8, clock: Clock, fraction: u8, zulu: bool) -> Kind {
        Kind::Time(TimeFormat { date, between, clock, fraction, zulu })
    }

    fn kinds() -> Vec<Kind> {
        let affix =
            |before: &[u8], after: &[u8], width| Kind::Affix { before: before.into(), after: after.into(), width };
        let mut kinds = vec![
            Kind::Text,
            Kind::Integer,
            Kind::Ipv4,
            time(true, b'T', Clock::Seconds, 0, true),
            time(true, b' ', Clock::Seconds, 9, false),
            time(true, 0, Clock::None, 0, false),
            time(false, 0, Clock::Seconds, 3, false),
            time(false, 0, Clock::Minutes, 0, false),
            affix(b"N", b"", 0),
            affix(b"order-", b"/x", 5),
            Kind::Hex { digits: 0, upper: false },
            Kind::Hex { digits: 4, upper: true },
            Kind::Hex { digits: 12, upper: false },
        ];
        for scale in [1, 2, 15, 18] {
            for zeros in [Zeros::Kept, Zeros::Dropped, Zeros::OneKept] {
                kinds.push(Kind::Decimal { scale, zeros });
            }
        }
        kinds
    }

    #[test]
    fn values_are_read_as_what_they_are_and_refused_when_they_would_not_come_back() {
        let decimal = |scale, zeros| Kind::Decimal { scale, zeros };
        for (kind, text, number) in [
            (Kind::Integer, "0", Some(0)),
            (Kind::Integer, "-17", Some(-17)),
            (Kind::Integer, "-0", None),
            (Kind::Integer, "007", None),
            (Kind::Integer, "1.0", None),
            (Kind::Integer, "1e5", None),
            (Kind::Integer, "1234567890123456789", None),
            (decimal(2, Zeros::Kept), "12.50", Some(1250)),
            (decimal(2, Zeros::Kept), "12.5", None),
            (decimal(2, Zeros::Dropped), "12.5", Some(1250)),
            (decimal(2, Zeros::Dropped), "12", Some(1200)),
            (decimal(2, Zeros::Dropped), "12.50", None),
            (decimal(2, Zeros::OneKept), "12.0", Some(1200)),
            (decimal(2, Zeros::OneKept), "12", None),
            (decimal(2, Zeros::Kept), "-0.05", Some(-5)),
            (decimal(2, Zeros::Kept), "-0.00", None),
            (time(true, b'T', Clock::Seconds, 0, true), "2013-01-01T10:00:00Z", Some(1_357_034_400)),
            (time(true, b'T', Clock::Seconds, 0, true), "2013-02-29T10:00:00Z", None),
            (time(true, 0, Clock::None, 0, false), "1970-01-02", Some(1)),
            (time(false, 0, Clock::Seconds, 0, false), "25:00:01", Some(90_001)),
            (Kind::Hex { digits: 4, upper: false }, "00ff", Some(255)),
            (Kind::Hex { digits: 4, upper: false }, "00fF", None),
            (Kind::Hex { digits: 4, upper: false }, "0ff", None),
            (Kind::Hex { digits: 0, upper: true }, "FF", Some(255)),
            (Kind::Hex { digits: 0, upper: true }, "0FF", None),
            (Kind::Hex { digits: 0, upper: true }, "", None),
            (Kind::Ipv4, "192.0.2.1", Some(0xc000_0201)),
            (Kind::Ipv4, "192.0.2.01", None),
            (Kind::Ipv4, "192.0.2", None),
        ] {
            assert_eq!(kind.parse(text.as_bytes()), number, "{kind:?} {text}");
        }
    }

    #[test]
    fn the_kind_of_most_values_is_learned() {
        let learn = |texts: &[&str]| Kind::learn(&texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
        assert_eq!(learn(&["1", "-20", "null", "3"]), Kind::Integer);
        assert_eq!(learn(&["1.5", "2", "3.25"]), Kind::Decimal { scale: 2, zeros: Zeros::Dropped });
        assert_eq!(learn(&["1.50", "2.00", "3.25"]), Kind::Decimal { scale: 2, zeros: Zeros::Kept });
        assert_eq!(learn(&["1.5", "2.0", "3.25"]), Kind::Decimal { scale: 2, zeros: Zeros::OneKept });
        assert_eq!(learn(&["2013-01-01T10:00:00Z", "2014-01-01T10:00:00Z"]), time(true, b'T', Clock::Seconds, 0, true));
        assert_eq!(learn(&["2013-01-01 10:00:00.123", "x"]), time(true, b' ', Clock::Seconds, 3, false));
        assert_eq!(learn(&["10.0.0.1", "10.0.0.2"]), Kind::Ipv4);
        assert_eq!(learn(&["00ff", "1234", "beef"]), Kind::Hex { digits: 4, upper: false });
        assert_eq!(learn(&["FF", "1234", "BEEF0"]), Kind::Hex { digits: 0, upper: true });
        assert_eq!(learn(&["bad", "good", "bad", "good"]), Kind::Text);
        let expected = Kind::Affix { before: b"order-".to_vec(), after: Vec::new(), width: 5 };
        assert_eq!(learn(&["order-00017", "order-00202"]), expected);
        assert_eq!(learn(&["a", "b", "c", "1", "d", "e", "f", "g", "h", "i"]), Kind::Text);
        assert_eq!(learn(&[]), Kind::Text);
    }

    #[test]
    fn every_day_of_ten_thousand_years_has_one_date() {
        for days in 0..=3_652_424 {
            let (year, month, day) = civil_from_days(days).unwrap();
            assert!((1..=12).contains(&month) && (1..=days_in(year.into(), month.into())).contains(&day.into()));
            assert_eq!(days_from_civil(year.into(), month.into(), day.into()), days as i64 - FIRST_DAY);
        }
        assert_eq!((civil_from_days(0), civil_from_days(3_652_424)), (Some((0, 1, 1)), Some((9999, 12, 31))));
        assert_eq!(civil_from_days(3_652_425), None);
    }

    #[test]
    fn kinds_come_back_from_their_bytes() {
        for kind in kinds() {
            let mut bytes = Vec::new();
            kind.write(&mut bytes);
            assert_eq!(Kind::read(&mut Reader::new(&bytes, 0)).unwrap(), kind);
        }
    }

    #[test]
    fn natural_numbers_are_written_as_the_standard_library_writes_them() {
        let powers = (0..20).map(|power| 10u64.pow(power));
        let near =
            powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX, 99, 12_345_678, 1_0000_0001]);
        for number in near.chain((0..200_000).map(|i| i * 7919)).chain(0..10_000) {
            for width in [0, 1, 2, 4, 8, 9, 18] {
                let mut page = Page::new(b"x".to_vec(), 0);
                put_padded(number, width, &mut page);
                assert_eq!(page.since(0), format!("x{number:0width$}").as_bytes());
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_rendered_to_the_same_bytes(text in "-?[0-9]{0,12}[.:T -]?[0-9]{0,8}([.:]?[0-9]{0,3})Z?|N[0-9]{0,5}|[0-9a-f]{1,13}|[0-9A-F]{4}|order-[0-9]{4,6}/x") {
            for kind in kinds() {
                if let Some(number) = kind.parse(text.as_bytes()) {
                    let mut back = Page::default();
                    kind.render(number, &mut back).unwrap();
                    prop_assert_eq!(back.since(0), text.as_bytes(), "{:?}", kind);
                }
            }
        }

        #[test]
        fn any_number_is_rendered_or_refused(number: i64, small in -100_000i64..100_000_000) {
            for kind in kinds() {
                for number in [number, small] {
                    let mut page = Page::default();
                    if kind.render(number, &mut page).is_some()
                        && number.unsigned_abs() < 10u64.pow(15)
                        && let Some(back) = kind.parse(page.since(0))
                    {
                        prop_assert_eq!(back, number, "{:?} {}", kind, String::from_utf8_lossy(page.since(0)));
                    }
                }
            }
        }

        #[test]
        fn any_bytes_are_a_kind_or_an_error(bytes in prop::collection::vec(0u8..8, 0..12), number: i64) {
            if let Ok(kind) = Kind::read(&mut Reader::new(&bytes, 0)) {
                let _ = kind.render(number, &mut Page::default());
            }
        }
    }
}
