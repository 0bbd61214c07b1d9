//! What operations do to the samples of an image. A part, a shift and a mirror image are never the image as it was, unless it is even; the
//! others can come to hardly a change.
//!
//! Samples are in planar order: channel, row, column.

use crate::model::chance::Chance;
use crate::payload::image::Shape;

/// A part is smaller than the whole by this share of a side at most.
const CROPPED: usize = 5;
/// Samples move by this share of a side at most.
const SHIFTED: usize = 8;
/// The standard deviation of noise.
const NOISE: f32 = 8.0;
/// Brightness and contrast change by this much at most, of 256.
const JITTERED: u64 = 51;

/// A part of an image, one to a fifth of each side smaller, drawn as large as the whole: each sample is the mean of the four around its place,
/// by their nearness (bilinear interpolation).
pub fn crop(shape: Shape, base: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut part = |side: usize| {
        let part = side - 1 - chance.below((side / CROPPED) as u64) as usize;
        (chance.below((side - part + 1) as u64) as usize, part)
    };
    let (top, height) = part(shape.height());
    let (left, width) = part(shape.width());
    let rows: Vec<Between> = (0..shape.height()).map(|row| between(row, shape.height(), height)).collect();
    let columns: Vec<Between> = (0..shape.width()).map(|column| between(column, shape.width(), width)).collect();
    let mut samples = Vec::with_capacity(base.len());
    for plane in base.chunks_exact(shape.plane()) {
        let at = |row: usize, column: usize| u64::from(plane[(top + row) * shape.width() + left + column]);
        for row in &rows {
            for column in &columns {
                let line = |row: usize| at(row, column.0[0]) * (ONE - column.1) + at(row, column.0[1]) * column.1;
                let sum = line(row.0[0]) * (ONE - row.1) + line(row.0[1]) * row.1;
                samples.push(((sum + ONE * ONE / 2) / (ONE * ONE)) as u8);
            }
        }
    }
    samples
}

/// Two neighbours, and how near the second is, of [`ONE`].
type Between = ([usize; 2], u64);

/// A whole, where shares are whole numbers.
const ONE: u64 = 1 << 16;

/// Where the middle of a sample of a side lies in a part of that side.
fn between(sample: usize, side: usize, part: usize) -> Between {
    let half = ONE / 2;
    let middle = (2 * sample as u64 + 1) * part as u64 * half / side as u64;
    let place = middle.saturating_sub(half).min((part as u64 - 1) * ONE);
    let first = (place / ONE) as usize;
    ([first, (first + 1).min(part - 1)], place % ONE)
}

/// An image moved by up to an eighth of each side, and by one sample at least; what comes in at an edge is the edge again.
pub fn shift(shape: Shape, base: &[u8], chance: &mut Chance) -> Vec<u8> {
    let (down, right) = (shape.height() / SHIFTED, shape.width() / SHIFTED);
    // All ways but that of not moving, which is in the middle of them.
    let across = 2 * right + 1;
    let ways = (2 * down + 1) * across - 1;
    let way = chance.below(ways as u64) as usize;
    let way = if way < ways / 2 { way } else { way + 1 };
    let (by_rows, by_columns) = (way / across, way % across);
    let moved = |at: usize, by: usize, most: usize, side: usize| (at + by).saturating_sub(most).min(side - 1);
    let mut samples = Vec::with_capacity(base.len());
    for plane in base.chunks_exact(shape.plane()) {
        for row in 0..shape.height() {
            let from = moved(row, by_rows, down, shape.height()) * shape.width();
            let place = |column| from + moved(column, by_columns, right, shape.width());
            samples.extend((0..shape.width()).map(|column| plane[place(column)]));
        }
    }
    samples
}

/// The mirror image: left is right.
pub fn flip(shape: Shape, base: &[u8]) -> Vec<u8> {
    base.chunks_exact(shape.width()).flat_map(|row| row.iter().rev()).copied().collect()
}

/// A normal number is added to each sample.
pub fn noise(base: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut samples = Vec::with_capacity(base.len());
    for pair in base.chunks(2) {
        let normals = chance.normals();
        // What is below 0 or above 255 becomes these.
        samples
            .extend(pair.iter().zip(normals).map(|(sample, normal)| (f32::from(*sample) + normal * NOISE + 0.5) as u8));
    }
    samples
}

/// Other brightness and contrast: `f (m + c (x - m))` with `m` the mean of the samples, and `f` and `c` from 0.8 to 1.2.
pub fn jitter(base: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut factor = || 256 - JITTERED as i64 + chance.below(2 * JITTERED + 1) as i64;
    let (brightness, contrast) = (factor(), factor());
    let count = base.len() as i64;
    let mean = (base.iter().map(|sample| i64::from(*sample)).sum::<i64>() + count / 2) / count.max(1);
    let changed = |sample: &u8| {
        let value = brightness * (256 * mean + contrast * (i64::from(*sample) - mean));
        ((value + (1 << 15)) >> 16).clamp(0, 255) as u8
    };
    base.iter().map(changed).collect()
}

/// A mean of two images, of which each has a 256th at least: mixup with weights of Beta(1, 1).
pub fn mixup(one: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let share = chance.below(255) + 1;
    let mean = |(a, b): (&u8, &u8)| ((u64::from(*a) * share + u64::from(*b) * (256 - share) + 128) >> 8) as u8;
    one.iter().zip(other).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape::new(8, 10, 3).unwrap()
    }

    /// Another value at each place, far from the ends of what a sample may be.
    fn image() -> Vec<u8> {
        (0..shape().samples()).map(|at| 60 + (at * 37 % 120) as u8).collect()
    }

    fn at(image: &[u8], channel: usize, row: usize, column: usize) -> u8 {
        image[channel * shape().plane() + row * shape().width() + column]
    }

    #[test]
    fn a_part_is_drawn_as_large_as_the_whole() {
        // A slope stays one of the same direction, less steep by what the part is smaller.
        let slope: Vec<u8> = (0..shape().samples()).map(|at| 20 * (at % shape().width()) as u8).collect();
        for number in 0..50 {
            let part = crop(shape(), &slope, &mut Chance::of(1, number));
            assert_eq!(part.len(), slope.len());
            let steps: Vec<u8> = (1..8).map(|column| at(&part, 1, 4, column + 1) - at(&part, 1, 4, column)).collect();
            assert!(steps.iter().all(|step| (15..=20).contains(step)), "{steps:?}");
            assert!((at(&part, 2, 0, 9) - at(&part, 2, 0, 0)) < 180, "it is no whole");
        }
        // Half a side: each two samples lie at quarters around one.
        assert_eq!(
            [0, 1, 2, 7].map(|sample| between(sample, 8, 4)),
            [([0, 1], 0), ([0, 1], ONE / 4), ([0, 1], 3 * ONE / 4), ([3, 3], 0)]
        );
        assert_eq!(between(3, 8, 8), ([3, 4], 0));
    }

    #[test]
    fn a_shift_moves_all_samples_alike_and_never_none() {
        let image = image();
        let mut ways = std::collections::BTreeSet::new();
        for number in 0..200 {
            let moved = shift(shape(), &image, &mut Chance::of(2, number));
            let way =
                (-1..=1i64).flat_map(|rows| (-1..=1i64).map(move |columns| (rows, columns))).find(|(rows, columns)| {
                    let near = |at: usize, by: i64, side: i64| (at as i64 + by).clamp(0, side - 1) as usize;
                    (0..3).all(|c| {
                        (0..8).all(|y| {
                            (0..10)
                                .all(|x| at(&moved, c, y, x) == at(&image, c, near(y, *rows, 8), near(x, *columns, 10)))
                        })
                    })
                });
            ways.insert(way.unwrap());
        }
        assert_eq!(ways.len(), 8, "{ways:?}");
        assert!(!ways.contains(&(0, 0)));
    }

    #[test]
    fn a_flip_changes_left_and_right() {
        let image = image();
        let flipped = flip(shape(), &image);
        assert_eq!(at(&flipped, 2, 3, 0), at(&image, 2, 3, 9));
        assert_eq!(flip(shape(), &flipped), image);
    }

    #[test]
    fn noise_has_its_deviation_and_stays_within_samples() {
        let grey = vec![128; 64 * 64 * 3];
        let noisy = noise(&grey, &mut Chance::of(3, 0));
        let difference = |sample: &u8| f64::from(*sample) - 128.0;
        let mean = noisy.iter().map(difference).sum::<f64>() / noisy.len() as f64;
        let variance = noisy.iter().map(|sample| difference(sample).powi(2)).sum::<f64>() / noisy.len() as f64;
        // 64, and a twelfth for rounding; standard errors are 0.07 and 0.8.
        assert!(mean.abs() < 0.3 && (variance - 64.1).abs() < 3.5, "{mean} {variance}");
        let black = noise(&[0; 100], &mut Chance::of(3, 1));
        let white = noise(&[255; 100], &mut Chance::of(3, 1));
        assert!(black.contains(&0) && black.iter().all(|sample| *sample < 60), "{black:?}");
        assert!(white.contains(&255) && white.iter().all(|sample| *sample > 195), "{white:?}");
        assert_eq!(noise(&[9; 7], &mut Chance::of(3, 2)).len(), 7);
    }

    #[test]
    fn brightness_and_contrast_change_within_a_fifth_and_black_stays_black() {
        let image = image();
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..100 {
            let changed = jitter(&image, &mut Chance::of(4, number));
            let mean = |image: &[u8]| image.iter().map(|sample| f64::from(*sample)).sum::<f64>() / image.len() as f64;
            let ratio = mean(&changed) / mean(&image);
            assert!((0.79..=1.21).contains(&ratio), "{ratio}");
            // The order of samples stays.
            let (low, high) =
                (image.iter().position(|x| *x == 60).unwrap(), image.iter().position(|x| *x == 179).unwrap());
            assert!(changed[low] < changed[high]);
            seen.insert((changed[low], changed[high]));
        }
        assert!(seen.len() > 80);
        assert_eq!(jitter(&[0; 64], &mut Chance::of(4, 0)), [0; 64]);
    }

    #[test]
    fn a_mixture_lies_between_the_two_and_is_neither() {
        let (one, other) = ([0, 100, 255, 7], [255, 200, 0, 7]);
        for number in 0..300 {
            let [a, b, c, d] = mixup(&one, &other, &mut Chance::of(5, number))[..] else { panic!("four samples") };
            assert!((1..=254).contains(&a) && (100..=200).contains(&b) && (1..=254).contains(&c) && d == 7);
            assert!((i32::from(a) + i32::from(c) - 255).abs() <= 1);
        }
    }
}
