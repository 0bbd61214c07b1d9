//! Images that are moved, so that a critic learns no single one.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use tch::Tensor;

use crate::payload::image::Shape;
use crate::training::TrainingError;

/// Images `[batch, D]`, each moved by chance, up or down by at most `shift[0]` samples and to either side by at most `shift[1]`; what comes in at the edges is 0.
/// Their gradient is that of the samples that are left.
pub(super) fn translated(
    images: &Tensor,
    shape: Shape,
    shift: [usize; 2],
    rng: &mut ChaCha8Rng,
) -> Result<Tensor, TrainingError> {
    if shift == [0, 0] {
        return Ok(images.shallow_clone());
    }
    let [height, width, channels, down, right] =
        [shape.height(), shape.width(), shape.channels(), shift[0], shift[1]].map(|number| number as i64);
    let batch = images.size()[0];
    let framed = images.f_view([batch, channels, height, width])?.f_constant_pad_nd([right, right, down, down])?;
    let across = width + 2 * right;
    let mut places = Vec::with_capacity((batch * height * width) as usize);
    for _ in 0..batch {
        let mut from = |most: i64| i64::from(rng.next_u32()) % (2 * most + 1);
        let (row, column) = (from(down), from(right));
        places.extend((0..height * width).map(|at| (row + at / width) * across + column + at % width));
    }
    let places = Tensor::f_from_slice(&places)?.f_view([batch, 1, height * width])?;
    let places = places.f_expand([batch, channels, height * width], false)?;
    let framed = framed.f_view([batch, channels, -1])?;
    Ok(framed.f_gather(2, &places, false)?.f_view([batch, -1])?)
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::training::affine::floats;
    use crate::training::images::batches::{Purpose, generator};

    #[test]
    fn each_image_is_moved_whole_and_its_gradient_is_of_what_is_left() {
        // Each sample says where it was: 1 + 100 channel + 10 row + column.
        let shape = Shape::new(8, 9, 3).unwrap();
        let image: Vec<f32> =
            (0..shape.samples()).map(|at| (1 + at / 72 * 100 + at / 9 % 8 * 10 + at % 9) as f32).collect();
        let images = Tensor::from_slice(&image.repeat(40)).view([40, 216]).set_requires_grad(true);
        let moved = translated(&images, shape, [2, 1], &mut generator(1, Purpose::Step(0))).unwrap();
        let gradient = Tensor::run_backward(&[moved.sum(Kind::Float)], &[&images], false, false);
        let (moved, gradient) = (floats(&moved).unwrap(), floats(&gradient[0]).unwrap());
        let mut shifts = std::collections::BTreeSet::new();
        for (moved, gradient) in moved.chunks_exact(216).zip(gradient.chunks_exact(216)) {
            // The middle is never lost.
            let middle = moved[4 * 9 + 4] as i64 - 1;
            let (row, column) = (middle / 10 - 4, middle % 10 - 4);
            shifts.insert((row, column));
            for at in 0..216i64 {
                let (from_row, from_column) = (at / 9 % 8 + row, at % 9 + column);
                let is_left = (0..8).contains(&from_row) && (0..9).contains(&from_column);
                let expected = if is_left { 1 + at / 72 * 100 + from_row * 10 + from_column } else { 0 };
                assert_eq!(moved[at as usize] as i64, expected, "{at}, moved by {row}, {column}");
                let (to_row, to_column) = (at / 9 % 8 - row, at % 9 - column);
                let stays = (0..8).contains(&to_row) && (0..9).contains(&to_column);
                assert_eq!(gradient[at as usize], f32::from(u8::from(stays)));
            }
        }
        assert!(
            shifts.len() >= 12 && shifts.iter().all(|(row, column)| row.abs() <= 2 && column.abs() <= 1),
            "{shifts:?}"
        );
        let same = translated(&images, shape, [0, 0], &mut generator(1, Purpose::Step(0))).unwrap();
        assert_eq!(floats(&same).unwrap()[..216], image);
    }
}
