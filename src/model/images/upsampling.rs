//! Convolutions that make a grid larger, and the last one, whose outputs are samples.
//!
//! A transposed convolution of 4 by 4 with a stride of 2 (Dumoulin and Visin 2016, arXiv:1603.07285, section 4) is, for each of the 2 by 2 places that a place
//! becomes, a sum over 2 by 2 neighbours: rows `i - 1` and `i` for upper places, `i` and `i + 1` for lower ones, and columns alike. So
//! it is four products of matrices, and nothing is multiplied with zeros that were put between.
//!
//! Sums are in a stated order, so that they are the same on every machine; what lies outside a grid counts as zeros.

use crate::engine::{FLOAT_LANES, Kernel, add_products, padded};
use crate::model::perceptron::Linear;
use crate::payload::image::Shape;

/// What is not above 0 becomes 0, and so does what is no number.
fn rectified(value: f32) -> f32 {
    if value > 0.0 { value } else { 0.0 }
}

/// Grids of several images, `[images, height + 2, width + 2, channels]`: with a border of zeros, and with channels of zeros that fill up whole lanes.
#[derive(Debug)]
pub(super) struct Grids {
    height: usize,
    width: usize,
    channels: usize,
    values: Vec<f32>,
}

impl Grids {
    fn zeros(images: usize, height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels, values: vec![0.0; images * (height + 2) * (width + 2) * channels] }
    }

    /// Of what layers made, in the order row, column, channel for each image; rectified.
    pub fn of<'a>([height, width]: [usize; 2], images: impl ExactSizeIterator<Item = &'a [f32]>) -> Self {
        let mut images = images.peekable();
        let channels = images.peek().map_or(0, |image| image.len() / (height * width));
        let mut grids = Self::zeros(images.len(), height, width, padded(channels));
        for (number, image) in images.enumerate() {
            for (place, values) in image.chunks_exact(channels).enumerate() {
                let at = grids.at(number, place / width + 1, place % width + 1);
                let own = grids.values[at..][..channels].iter_mut();
                own.zip(values).for_each(|(own, value)| *own = rectified(*value));
            }
        }
        grids
    }

    fn images(&self) -> usize {
        self.values.len() / ((self.height + 2) * (self.width + 2) * self.channels).max(1)
    }

    /// Where a place begins; rows and columns are counted from the border's.
    fn at(&self, image: usize, row: usize, column: usize) -> usize {
        ((image * (self.height + 2) + row) * (self.width + 2) + column) * self.channels
    }
}

/// A transposed convolution of 4 by 4 with a stride of 2 and a border of 1, with `max(0, x)` behind it.
#[derive(Debug)]
pub(super) struct Upsampling {
    /// For each of the 2 by 2 places `[2, 2, inputs, outputs]`, by row and column of the neighbour, filled up to whole lanes.
    places: [Vec<f32>; 4],
    bias: Vec<f32>,
    inputs: usize,
    kernel: Kernel,
}

impl Upsampling {
    /// Of weights `[2, 2, 2, 2, inputs, outputs]`: by row and column of the place, by row and column of the neighbour.
    pub fn new(weights: &Linear, kernel: Kernel) -> Self {
        let (inputs, outputs) = (weights.inputs() / 16, weights.outputs());
        let (filled, wide) = (padded(inputs), padded(outputs));
        let place = |place: usize| {
            let mut own = vec![0.0; 4 * filled * wide];
            for (row, values) in
                weights.weights().chunks_exact(outputs).skip(place * 4 * inputs).take(4 * inputs).enumerate()
            {
                own[(row / inputs * filled + row % inputs) * wide..][..outputs].copy_from_slice(values);
            }
            own
        };
        let mut bias = weights.bias().to_vec();
        bias.resize(wide, 0.0);
        Self { places: std::array::from_fn(place), bias, inputs: filled, kernel }
    }

    /// Grids with sides twice as long. A sum begins with the bias; products are added by row, column and channel of the neighbour.
    pub fn apply(&self, grids: &Grids) -> Grids {
        let Grids { height, width, .. } = *grids;
        let (images, outputs, span) = (grids.images(), self.bias.len(), 2 * self.inputs);
        let mut larger = Grids::zeros(images, 2 * height, 2 * width, outputs);
        let mut neighbours = vec![0.0; images * height * width * 2 * span];
        let places = || (0..images * height * width).map(|at| (at / (height * width), at / width % height, at % width));
        for (number, weights) in self.places.iter().enumerate() {
            let (down, right) = (number / 2, number % 2);
            // Neighbours in a row lie beside each other.
            for (own, (image, row, column)) in neighbours.chunks_exact_mut(2 * span).zip(places()) {
                let (above, below) = own.split_at_mut(span);
                above.copy_from_slice(&grids.values[grids.at(image, row + down, column + right)..][..span]);
                below.copy_from_slice(&grids.values[grids.at(image, row + down + 1, column + right)..][..span]);
            }
            let mut sums = self.bias.repeat(images * height * width);
            add_products(self.kernel, 2 * span, &neighbours, weights, outputs, &mut sums);
            for (sums, (image, row, column)) in sums.chunks_exact(outputs).zip(places()) {
                let at = larger.at(image, 2 * row + down + 1, 2 * column + right + 1);
                let own = larger.values[at..][..outputs].iter_mut();
                own.zip(sums).for_each(|(own, sum)| *own = rectified(*sum));
            }
        }
        larger
    }
}

/// A convolution of 3 by 3 with a border of 1, from a grid to the planes of an image.
#[derive(Debug)]
pub(super) struct Output {
    /// For each plane `[3, 3, inputs]`, filled up to whole lanes, and its bias.
    planes: Vec<(Vec<f32>, f32)>,
    shape: Shape,
}

impl Output {
    /// Of weights `[3, 3, inputs, planes]`.
    pub fn new(weights: &Linear, shape: Shape) -> Self {
        let (inputs, planes) = (weights.inputs() / 9, weights.outputs());
        let plane = |(plane, bias): (usize, &f32)| {
            let mut own = vec![0.0; 9 * padded(inputs)];
            for (input, values) in weights.weights().chunks_exact(planes).enumerate() {
                own[input / inputs * padded(inputs) + input % inputs] = values[plane];
            }
            (own, *bias)
        };
        Self { planes: weights.bias().iter().enumerate().map(plane).collect(), shape }
    }

    /// Samples of an image.
    pub fn samples(&self) -> usize {
        self.shape.samples()
    }

    /// Appends the logits of images, in planar order. The products of each channel are added for themselves, by row and column of the neighbour; a
    /// logit begins with the bias, and the sums of channels are added to it in their order.
    pub fn apply(&self, grids: &Grids, logits: &mut Vec<f32>) {
        let inputs = grids.channels;
        for image in 0..grids.images() {
            for (weights, bias) in &self.planes {
                for row in 0..self.shape.height() {
                    for column in 0..self.shape.width() {
                        let mut logit = *bias;
                        for lane in (0..inputs).step_by(FLOAT_LANES) {
                            let mut sums = [0.0f32; FLOAT_LANES];
                            for (neighbour, weights) in weights.chunks_exact(inputs).enumerate() {
                                let at = grids.at(image, row + neighbour / 3, column + neighbour % 3) + lane;
                                let (values, weights) =
                                    (&grids.values[at..][..FLOAT_LANES], &weights[lane..][..FLOAT_LANES]);
                                sums.iter_mut().zip(values).zip(weights).for_each(|((sum, a), b)| *sum += a * b);
                            }
                            sums.iter().for_each(|sum| logit += sum);
                        }
                        logits.push(logit);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, from: f32) -> Vec<f32> {
        (0..count).map(|at| (at as f32 * 0.7 + from).sin()).collect()
    }

    /// As the definition has it: each place of the small grid adds to those of the large one that it reaches.
    fn transposed(grid: &[f64], [height, width, inputs, outputs]: [usize; 4], layer: &Linear) -> Vec<f64> {
        let mut large: Vec<f64> =
            layer.bias().iter().map(|bias| f64::from(*bias)).collect::<Vec<_>>().repeat(4 * height * width);
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            for (down, right) in (0..4).flat_map(|down| (0..4).map(move |right| (down, right))) {
                let (to_row, to_column) = (2 * row + down, 2 * column + right);
                if !(1..=2 * height).contains(&to_row) || !(1..=2 * width).contains(&to_column) {
                    continue;
                }
                let (to_row, to_column) = (to_row - 1, to_column - 1);
                // Which of a place's neighbours the small place is.
                let [place, neighbour] = [(to_row, row), (to_column, column)]
                    .map(|(to, from)| [to % 2, from + 1 - to / 2 - to % 2])
                    .into_iter()
                    .fold([0, 0], |sums, own| [sums[0] * 2 + own[0], sums[1] * 2 + own[1]]);
                for (input, output) in (0..inputs).flat_map(|input| (0..outputs).map(move |output| (input, output))) {
                    let weight = layer.weights()[((place * 4 + neighbour) * inputs + input) * outputs + output];
                    large[(to_row * 2 * width + to_column) * outputs + output] +=
                        grid[(row * width + column) * inputs + input] * f64::from(weight);
                }
            }
        }
        large.into_iter().map(|value| value.max(0.0)).collect()
    }

    #[test]
    fn upsampling_is_a_transposed_convolution_and_the_output_one_of_three_by_three() {
        for [height, width, inputs, middle, planes] in [[4, 5, 3, 18, 1], [5, 4, 32, 16, 3]] {
            let up = Linear::new(numbers(16 * inputs * middle, 0.3), numbers(middle, 0.1)).unwrap();
            let output = Linear::new(numbers(9 * middle * planes, 1.3), numbers(planes, 0.9)).unwrap();
            // Twice the sides, and a row and a column less: what sticks out is cut off.
            let shape = Shape::new(2 * height - 1, 2 * width, planes)
                .or_else(|_| Shape::new(2 * height, 2 * width, planes))
                .unwrap();
            let images = [numbers(height * width * inputs, 2.0), numbers(height * width * inputs, 5.0)];
            for kernel in Kernel::here() {
                let grids = Grids::of([height, width], images.iter().map(Vec::as_slice));
                let large = Upsampling::new(&up, kernel).apply(&grids);
                let mut logits = Vec::new();
                Output::new(&output, shape).apply(&large, &mut logits);
                assert_eq!(logits.len(), 2 * shape.samples());
                for (image, logits) in images.iter().zip(logits.chunks_exact(shape.samples())) {
                    let grid: Vec<f64> = image.iter().map(|value| f64::from(*value).max(0.0)).collect();
                    let expected = transposed(&grid, [height, width, inputs, middle], &up);
                    for (at, logit) in logits.iter().enumerate() {
                        let (plane, row, column) =
                            (at / shape.plane(), at / shape.width() % shape.height(), at % shape.width());
                        let mut sum = f64::from(output.bias()[plane]);
                        for (down, right) in (0..3).flat_map(|down| (0..3).map(move |right| (down, right))) {
                            let (from_row, from_column) = (row + down, column + right);
                            if !(1..=2 * height).contains(&from_row) || !(1..=2 * width).contains(&from_column) {
                                continue;
                            }
                            for channel in 0..middle {
                                let value = expected[((from_row - 1) * 2 * width + from_column - 1) * middle + channel];
                                let weight = output.weights()[((down * 3 + right) * middle + channel) * planes + plane];
                                sum += value * f64::from(weight);
                            }
                        }
                        assert!((f64::from(*logit) - sum).abs() < 1e-4 * (1.0 + sum.abs()), "{kernel}: {logit} {sum}");
                    }
                }
            }
        }
    }
}
