//! How samples stand in a record's value.

use super::Shape;

/// The longest header of a file that is kept as it is.
pub const MAX_HEADER: usize = 256;

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
}

impl Wrapping {
    /// The form of a value that is an image of this shape; `None` when it is none that is known.
    pub fn of(value: &[u8], shape: Shape) -> Option<Self> {
        if value.len() == shape.samples() {
            return Some(Self::Raw);
        }
        let header = pnm_header(value, shape)?;
        let wrapping = Self::Pnm { header: value[..header].to_vec() };
        (value.len() == header + shape.samples()).then_some(wrapping)
    }

    /// Whether this is the wrapping of an image of this shape, as [`Wrapping::of`] finds it.
    pub fn fits(&self, shape: Shape) -> bool {
        match self {
            Self::Raw => true,
            Self::Pnm { header } => pnm_header(header, shape) == Some(header.len()),
        }
    }

    /// Bytes before the samples.
    fn header(&self) -> &[u8] {
        match self {
            Self::Raw => &[],
            Self::Pnm { header } => header,
        }
    }

    /// How long a value is.
    pub fn length(&self, shape: Shape) -> usize {
        self.header().len() + shape.samples()
    }

    /// Puts the samples of a value into planar order: `false`, and nothing is done, when it is not wrapped so.
    pub fn open(&self, value: &[u8], shape: Shape, samples: &mut Vec<u8>) -> bool {
        let header = self.header();
        if value.len() != self.length(shape) || !value.starts_with(header) {
            return false;
        }
        let value = &value[header.len()..];
        samples.clear();
        for channel in 0..shape.channels() {
            samples.extend(value[channel..].iter().step_by(shape.channels()));
        }
        true
    }

    /// Appends the value of these samples, which are in planar order.
    ///
    /// # Panics
    ///
    /// If there are more or fewer samples than the shape has.
    pub fn wrap(&self, samples: &[u8], shape: Shape, value: &mut Vec<u8>) {
        assert_eq!(samples.len(), shape.samples(), "an image has as many samples as its shape");
        value.extend_from_slice(self.header());
        match samples.chunks_exact(shape.plane()).collect::<Vec<_>>()[..] {
            [red, green, blue] => {
                value.extend(red.iter().zip(green).zip(blue).flat_map(|((red, green), blue)| [*red, *green, *blue]));
            }
            _ => value.extend_from_slice(samples),
        }
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
            let mut samples = Vec::new();
            assert!(wrapping.open(&value, shape, &mut samples));
            let mut again = Vec::new();
            wrapping.wrap(&samples, shape, &mut again);
            assert_eq!(again, value);
            assert!(!wrapping.open(&value[1..], shape, &mut samples));
            assert!(!Wrapping::Raw.open(&value, shape, &mut samples));
        }
    }

    #[test]
    fn colours_are_taken_apart_into_planes() {
        let shape = shape("8x8x3");
        let value: Vec<u8> = (0..192).collect();
        let mut samples = Vec::new();
        assert!(Wrapping::Raw.open(&value, shape, &mut samples));
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
