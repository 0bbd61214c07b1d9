//! How samples stand in a record's value.

use super::Shape;
use super::png::Png;

/// The longest header of a file that is kept as it is.
pub const MAX_HEADER: usize = 256;

/// Forms among which those of most values are looked for.
const MAX_TRIED: usize = 64;

/// The form of a value that holds an image, apart from its samples.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wrapping {
    /// Samples alone, in the order row, column, channel, as in an idx file.
    Raw,
    /// A binary PGM or PPM file of 8 bits: this header, comments and all, then samples.
    Pnm {
        /// From the magic `P5` or `P6` to the byte of white space before the samples.
        header: Vec<u8>,
    },
    /// A PNG file, which is made again as zlib made it.
    Png(Png),
}

/// An image taken out of a value; reused from value to value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Samples in planar order.
    pub samples: Vec<u8>,
    /// The filter of each row, 0 to 4, where a PNG file has different ones.
    pub filters: Vec<u8>,
}

impl Wrapping {
    /// The form of a value that is an image of this shape; `None` when it is none that is known.
    pub fn of(value: &[u8], shape: Shape) -> Option<Self> {
        // A file may be as long as its samples are many.
        if let Some(png) = Png::of(value, shape) {
            return Some(Self::Png(png));
        }
        if let Some(header) = pnm_header(value, shape).filter(|header| value.len() == header + shape.samples()) {
            return Some(Self::Pnm { header: value[..header].to_vec() });
        }
        (value.len() == shape.samples()).then_some(Self::Raw)
    }

    /// The forms that values have, those of most values first, `most` at most.
    pub fn learn<'a>(values: impl IntoIterator<Item = &'a [u8]>, shape: Shape, most: usize) -> Vec<Self> {
        let mut opened = Opened::default();
        let mut found: Vec<(Self, usize)> = Vec::new();
        for value in values {
            match found.iter().position(|(known, _)| known.open(value, shape, &mut opened)) {
                Some(known) => found[known].1 += 1,
                None if found.len() < MAX_TRIED => found.extend(Self::of(value, shape).map(|wrapping| (wrapping, 1))),
                None => {}
            }
        }
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        found.into_iter().take(most).map(|(wrapping, _)| wrapping).collect()
    }

    /// Whether this is the wrapping of an image of this shape, as [`Wrapping::of`] finds it.
    pub fn fits(&self, shape: Shape) -> bool {
        match self {
            Self::Raw => true,
            Self::Pnm { header } => pnm_header(header, shape) == Some(header.len()),
            Self::Png(png) => png.fits(shape),
        }
    }

    /// How many rows say which filter they have.
    pub fn filters(&self, shape: Shape) -> usize {
        match self {
            Self::Png(Png { filter: None, .. }) => shape.height(),
            _ => 0,
        }
    }

    /// Takes an image out of a value: `false` when it is not wrapped so.
    pub fn open(&self, value: &[u8], shape: Shape, opened: &mut Opened) -> bool {
        opened.filters.clear();
        match self {
            Self::Png(png) => {
                let Some((samples, filters)) = png.open(value, shape) else { return false };
                opened.filters = filters;
                planar(&samples, shape, &mut opened.samples);
                true
            }
            Self::Raw | Self::Pnm { .. } => {
                let header: &[u8] = if let Self::Pnm { header } = self { header } else { &[] };
                let samples = value.strip_prefix(header).filter(|samples| samples.len() == shape.samples());
                samples.inspect(|samples| planar(samples, shape, &mut opened.samples)).is_some()
            }
        }
    }

    /// Appends the value of an image.
    ///
    /// # Panics
    ///
    /// If there are more or fewer samples than the shape has.
    pub fn wrap(&self, opened: &Opened, shape: Shape, value: &mut Vec<u8>) {
        assert_eq!(opened.samples.len(), shape.samples(), "an image has as many samples as its shape");
        match self {
            Self::Raw => interleaved(&opened.samples, shape, value),
            Self::Pnm { header } => {
                value.extend_from_slice(header);
                interleaved(&opened.samples, shape, value);
            }
            Self::Png(png) => {
                let mut samples = Vec::with_capacity(shape.samples());
                interleaved(&opened.samples, shape, &mut samples);
                png.write(&samples, &opened.filters, shape, value);
            }
        }
    }
}

/// From the order row, column, channel to planar order.
fn planar(samples: &[u8], shape: Shape, output: &mut Vec<u8>) {
    output.clear();
    if shape.channels() == 1 {
        return output.extend_from_slice(samples);
    }
    for channel in 0..shape.channels() {
        output.extend(samples[channel..].iter().step_by(shape.channels()));
    }
}

/// And back: appends.
fn interleaved(samples: &[u8], shape: Shape, output: &mut Vec<u8>) {
    match samples.chunks_exact(shape.plane()).collect::<smallvec::SmallVec<[_; 3]>>()[..] {
        [red, green, blue] => {
            output.extend(red.iter().zip(green).zip(blue).flat_map(|((red, green), blue)| [*red, *green, *blue]));
        }
        _ => output.extend_from_slice(samples),
    }
}

/// How long the header of a PGM or PPM file of this shape is: a magic, then width, height and 255, with white space and
/// comments between them, then one byte of white space (Netpbm, `pgm(5)` and `ppm(5)`).
fn pnm_header(value: &[u8], shape: Shape) -> Option<usize> {
    let magic = if shape.channels() == 1 { b"P5" } else { b"P6" };
    let value = &value[..value.len().min(MAX_HEADER)];
    let mut at = value.starts_with(magic).then_some(magic.len())?;
    for expected in [shape.width(), shape.height(), 255] {
        let begun = at;
        loop {
            match value.get(at)? {
                b'#' => at += value[at..].iter().position(|byte| *byte == b'\n')?,
                byte if byte.is_ascii_whitespace() => {}
                _ => break,
            }
            at += 1;
        }
        let digits = value[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&value[at..at + digits]).ok()?;
        if at == begun || number.parse() != Ok(expected) {
            return None;
        }
        at += digits;
    }
    value.get(at)?.is_ascii_whitespace().then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        text.parse().unwrap()
    }

    #[test]
    fn files_of_netpbm_come_back_with_their_headers() {
        for (header, size) in [
            (&b"P5\n28 28\n255\n"[..], "28x28"),
            (b"P5 # by hand\n#\n 9\t10 \n255\r", "10x9"),
            (b"P6\n08 9 255 ", "9x8x3"),
        ] {
            let shape = shape(size);
            let mut value = header.to_vec();
            value.extend((0..shape.samples()).map(|sample| (sample * 7 % 256) as u8));
            let wrapping = Wrapping::of(&value, shape).unwrap();
            assert_eq!(wrapping, Wrapping::Pnm { header: header.to_vec() });
            assert!(wrapping.fits(shape));
            let mut opened = Opened::default();
            assert!(wrapping.open(&value, shape, &mut opened));
            let mut again = Vec::new();
            wrapping.wrap(&opened, shape, &mut again);
            assert_eq!(again, value);
            assert!(!wrapping.open(&value[1..], shape, &mut opened));
            assert!(!Wrapping::Raw.open(&value, shape, &mut opened));
        }
    }

    #[test]
    fn the_forms_of_most_values_are_learned() {
        let shape = shape("8x8");
        let with = |header: &[u8]| [header, &[0; 64]].concat();
        let (raw, one, other) = (with(b""), with(b"P5 8 8 255\n"), with(b"P5\n8 8\n255\n"));
        let values = [&one[..], b"no image", &raw, &other, &raw, &other, &raw];
        let learned = Wrapping::learn(values, shape, 2);
        assert_eq!(learned, [Wrapping::Raw, Wrapping::Pnm { header: b"P5\n8 8\n255\n".to_vec() }]);
        assert!(Wrapping::learn([&b"no image"[..]], shape, 2).is_empty());
    }

    #[test]
    fn colours_are_taken_apart_into_planes() {
        let shape = shape("8x8x3");
        let value: Vec<u8> = (0..192).collect();
        let mut opened = Opened::default();
        assert!(Wrapping::Raw.open(&value, shape, &mut opened));
        let samples = opened.samples;
        assert_eq!((samples[0], samples[1], samples[64], samples[191]), (0, 3, 1, 191));
        assert_eq!(Wrapping::of(&value, shape), Some(Wrapping::Raw));
    }

    #[test]
    fn what_is_no_image_of_the_shape_has_no_wrapping() {
        let shape = shape("8x8");
        let with = |header: &[u8]| Wrapping::of(&[header, &[0; 64]].concat(), shape);
        assert!(with(b"P5 8 8 255\n").is_some());
        for header in [
            &b"P6 8 8 255\n"[..],
            b"P5 8 9 255\n",
            b"P5 8 8 65535\n",
            b"P5 8 8 255",
            b"P58 8 255\n",
            b"P5 8 8 255\n ",
            b"P5 # no end 8 8 255",
            b"P5 8 8",
            b"P5",
            b"x",
            b"P5 8 8 -255 ",
            b"P5 99999999999999999999999 8 255 ",
        ] {
            assert!(with(header).is_none(), "{}", String::from_utf8_lossy(header));
        }
        assert!(Wrapping::of(&[], shape).is_none());
        let long = [b"P5 #", &[b'x'; MAX_HEADER][..], b"\n8 8 255\n", &[0; 64]].concat();
        assert!(Wrapping::of(&long, shape).is_none());
        assert!(!Wrapping::Pnm { header: b"P5 8 8 255\nx".to_vec() }.fits(shape));
    }
}
