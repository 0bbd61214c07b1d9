//! Every kernel against the definition.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;

/// Numbers that are often at the ends of their range.
struct Numbers(ChaCha8Rng);

impl Numbers {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.0.next_u32() % bound
    }

    fn input(&mut self) -> u8 {
        match self.below(4) {
            0 => 0,
            1 => 255,
            _ => self.below(256) as u8,
        }
    }

    fn weight(&mut self) -> i8 {
        match self.below(8) {
            0 => -128,
            1 => 127,
            _ => self.below(256) as u8 as i8,
        }
    }

    fn dense(&mut self, inputs: usize, outputs: usize) -> Dense {
        let most = (1i64 << 31) - (1 << 23) - 128 * 255 * inputs as i64 - 1;
        let bias = (0..outputs).map(|_| match self.below(6) {
            0 => most as i32,
            1 => -most as i32,
            _ => self.below(1 << 20) as i32 - (1 << 19),
        });
        let bias = bias.collect();
        let weights = (0..inputs * outputs).map(|_| self.weight()).collect();
        let exponent = (0..outputs).map(|_| self.below(25) as u8).collect();
        Dense::new(inputs, weights, bias, exponent).unwrap()
    }

    /// A layer whose outputs mostly lie within 0..=255.
    fn mild(&mut self, inputs: usize, outputs: usize) -> Dense {
        let weights = (0..inputs * outputs).map(|_| self.weight()).collect();
        let bias = (0..outputs).map(|_| self.below(1 << 15) as i32).collect();
        let exponent = (0..outputs).map(|_| 6 + self.below(3) as u8).collect();
        Dense::new(inputs, weights, bias, exponent).unwrap()
    }

    fn wide_weight(&mut self) -> i16 {
        match self.below(8) {
            0 => -4096,
            1 => 4095,
            _ => self.below(512) as i16 - 256,
        }
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.input()).collect()
    }

    fn neighbours(&mut self, count: usize, channels: usize) -> Vec<Neighbour> {
        let mut found = Vec::new();
        while found.len() < count {
            let mut offset = |least: i32, most: i32| (least + self.below((most - least + 1) as u32) as i32) as i8;
            let near = Neighbour { channel: offset(1 - channels as i32, 0), row: offset(-8, 8), column: offset(-8, 8) };
            if (near.channel, near.row, near.column) < (0, 0, 0) && !found.contains(&near) {
                found.push(near);
            }
        }
        found
    }
}

#[test]
fn kernels_give_what_the_definition_gives_for_every_shape() {
    let mut numbers = Numbers::new(1);
    let (mut scratch, mut output, mut signed) = (Scratch::default(), Vec::new(), Vec::new());
    for inputs in [0, 1, 2, 3, 4, 5, 14, 24, 63, 64, 65, 256, 784] {
        for outputs in [0, 1, 2, 15, 16, 17, 24, 33, 64, 100, 129, 256, 300] {
            let dense = numbers.dense(inputs, outputs);
            let layer = Layer::new(&dense);
            assert_eq!((layer.inputs(), layer.outputs()), (inputs, outputs));
            for input in [vec![0; inputs], vec![255; inputs], numbers.bytes(inputs)] {
                let (relu, limited) = (dense.relu(&input), dense.signed(&input, 127));
                for kernel in Kernel::here() {
                    layer.relu(kernel, &input, &mut scratch, &mut output);
                    assert_eq!(output, relu, "{kernel} {inputs} {outputs}");
                    layer.signed(kernel, &input, 127, &mut scratch, &mut signed);
                    assert_eq!(signed, limited, "{kernel} {inputs} {outputs}");
                }
            }
        }
    }
}

#[test]
fn nothing_saturates_where_all_products_are_as_large_as_they_can_be() {
    for (weight, sign) in [(-128, -1), (127, 1)] {
        for inputs in [4, 16, 12_288] {
            let dense = Dense::new(inputs, vec![weight; inputs * 40], vec![sign; 40], vec![16; 40]).unwrap();
            let layer = Layer::new(&dense);
            let (mut scratch, mut output) = (Scratch::default(), Vec::new());
            for kernel in Kernel::here() {
                layer.signed(kernel, &vec![255; inputs], i16::MAX, &mut scratch, &mut output);
                assert_eq!(output, dense.signed(&vec![255; inputs], i16::MAX), "{kernel}");
            }
        }
    }
}

/// A net as its definition says, sample by sample in the order of rows.
fn plain(nets: &[CausalNet], height: usize, width: usize, image: &[u8], features: &[u8]) -> Vec<Name> {
    let mut numbers = Vec::new();
    for (channel, net) in nets.iter().enumerate() {
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let sample = (channel * height + row) * width + column;
            let mut inputs: Vec<u8> = net
                .neighbours()
                .iter()
                .map(|near| {
                    let plane = channel as i64 + i64::from(near.channel);
                    let (y, x) = (row as i64 + i64::from(near.row), column as i64 + i64::from(near.column));
                    let inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
                    if inside { image[((plane * height as i64 + y) * width as i64 + x) as usize] } else { 0 }
                })
                .collect();
            inputs.extend_from_slice(&features[sample * net.features()..][..net.features()]);
            numbers.push(net.evaluate(&inputs, 96, 32));
        }
    }
    numbers
}

/// The numbers of the samples in the order of coding, from two images that together number them.
fn order(nets: &CausalNets, plane: usize, channels: usize, features: usize) -> Vec<usize> {
    let samples = plane * channels;
    let mut planes = Planes::default();
    planes.features.resize(samples * features, 0);
    let mut digits = |digit: fn(usize) -> usize| {
        let image: Vec<u8> = (0..samples).map(|sample| digit(sample) as u8).collect();
        let mut seen = Vec::new();
        nets.encode(Kernel::Portable, &mut planes, &image, |_, sample, _| seen.push(usize::from(sample)));
        seen
    };
    let (low, high) = (digits(|sample| sample % 256), digits(|sample| sample / 256));
    let order: Vec<usize> = low.iter().zip(high).map(|(low, high)| low + 256 * high).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..samples), "each sample is coded once");
    order
}

#[test]
fn nets_give_what_their_definition_gives_at_once_and_front_by_front() {
    let mut numbers = Numbers::new(2);
    for (height, width, channels, hidden, features, neighbours) in [
        (28, 28, 1, 32, 2, 12),
        (8, 64, 1, 1, 0, 1),
        (9, 8, 3, 40, 3, 20),
        (16, 11, 3, 64, 8, 6),
        (8, 8, 1, 33, 5, 64),
        (10, 10, 1, 100, 1, 0),
        (64, 64, 3, 32, 0, 16),
    ] {
        let nets: Vec<CausalNet> = (1..=channels)
            .map(|before| {
                let near = numbers.neighbours(neighbours, before);
                let hidden_layer = numbers.mild(neighbours + features, hidden);
                let weights = [(); 3].map(|()| (0..hidden).map(|_| numbers.wide_weight()).collect());
                let output = Output::new(weights, [50_000, 60_000, 40_000], [11, 12, 10]).unwrap();
                CausalNet::new(near, hidden_layer, output).unwrap()
            })
            .collect();
        let all = CausalNets::new(height, width, &nets, 96, 32);
        let mut image = numbers.bytes(height * width * channels);
        // A background: many samples have no neighbour that is not 0.
        image.iter_mut().enumerate().for_each(|(at, sample)| *sample *= u8::from(at / width % 12 < 5));
        let bytes = numbers.bytes(image.len() * features);
        let expected = plain(&nets, height, width, &image, &bytes);
        assert!(expected.iter().any(|name| *name != expected[0]));
        let mut planes = Planes::default();
        // In which order samples are coded shows when each is another number.
        let order = order(&all, height * width, channels, features);
        let expected: Vec<Name> = order.iter().map(|sample| expected[*sample]).collect();
        let known = all.clone().with_features(&bytes);
        for (all, kernel) in [&all, &known].into_iter().flat_map(|all| Kernel::here().map(move |kernel| (all, kernel)))
        {
            planes.features.clone_from(&bytes);
            let mut put = Vec::new();
            all.encode(kernel, &mut planes, &image, |table, sample, _| put.push((table, sample)));
            let samples = order.iter().map(|sample| image[*sample]);
            assert!(put.into_iter().eq(expected.iter().copied().zip(samples)), "{kernel} {height}x{width}x{channels}");
            // What is in memory of an image before must not matter.
            let mut decoded = vec![0; image.len()];
            let mut asked = Vec::new();
            all.decode(kernel, &mut planes, &mut decoded, |table, _| {
                asked.push(table);
                image[order[asked.len() - 1]]
            });
            assert_eq!(decoded, image);
            assert_eq!(asked, expected, "{kernel} {height}x{width}x{channels}");
        }
    }
}
