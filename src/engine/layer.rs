//! A dense layer laid out for kernels.

use super::kernels::{self, Active, Block, LANES, Lanes, MAX_TILE};
use super::{Dense, Kernel};

/// Evaluates a [`Dense`] layer.
///
/// Weights lie in blocks of 16 outputs by 4 inputs. A kernel keeps the sums of up to 128 outputs in registers and goes through
/// the inputs, four at a time; where all four are 0 it passes over them, which is the case for most of an image's
/// background and for many hidden units.
#[derive(Clone, Debug)]
pub struct Layer {
    inputs: usize,
    outputs: usize,
    tiles: Vec<Tile>,
}

/// Some blocks of outputs that are evaluated together.
#[derive(Clone, Debug)]
struct Tile {
    /// `[inputs / 4, blocks]`
    weights: Box<[Block]>,
    /// Bias and half a unit, by which a shift rounds half up.
    start: Box<[Lanes]>,
    shift: Box<[Lanes]>,
}

/// Memory that evaluations reuse.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    active: Vec<Active>,
}

impl Layer {
    /// Lays out a layer.
    pub fn new(dense: &Dense) -> Self {
        let groups = dense.inputs().div_ceil(4);
        let blocks = dense.outputs().div_ceil(LANES);
        let mut tiles = Vec::new();
        let mut first = 0;
        while first < blocks {
            // Tiles have a power of two of blocks, each size with a kernel of its own.
            let size = MAX_TILE.min(1 << (blocks - first).ilog2());
            let mut weights = Vec::with_capacity(groups * size);
            for group in 0..groups {
                weights.extend(
                    (first..first + size).map(|block| Block::of(dense, block * LANES, &inputs_of(dense, group))),
                );
            }
            let lanes = |value: &dyn Fn(usize) -> i32| -> Box<[Lanes]> {
                (first..first + size)
                    .map(|block| Lanes(std::array::from_fn(|lane| value(block * LANES + lane))))
                    .collect()
            };
            tiles.push(Tile {
                weights: weights.into(),
                start: lanes(&|output| start(dense, output)),
                shift: lanes(&|output| shift(dense, output)),
            });
            first += size;
        }
        Self { inputs: dense.inputs(), outputs: dense.outputs(), tiles }
    }

    /// Numbers that go in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Numbers that come out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The outputs, each clamped to 0..=255.
    ///
    /// # Panics
    ///
    /// If there are more or fewer inputs than the layer takes, or the processor does not have the kernel.
    pub fn relu(&self, kernel: Kernel, input: &[u8], scratch: &mut Scratch, output: &mut Vec<u8>) {
        output.clear();
        self.evaluate(kernel, input, scratch, |outputs| {
            output.extend_from_slice(&outputs.0.map(|y| y.clamp(0, 255) as u8));
        });
        output.truncate(self.outputs);
    }

    /// The outputs, each clamped to `-limit..=limit`.
    ///
    /// # Panics
    ///
    /// If there are more or fewer inputs than the layer takes, or the processor does not have the kernel.
    pub fn signed(&self, kernel: Kernel, input: &[u8], limit: i16, scratch: &mut Scratch, output: &mut Vec<i16>) {
        output.clear();
        let limit = i32::from(limit);
        self.evaluate(kernel, input, scratch, |outputs| {
            output.extend(outputs.0.map(|y| y.clamp(-limit, limit) as i16));
        });
        output.truncate(self.outputs);
    }

    fn evaluate(&self, kernel: Kernel, input: &[u8], scratch: &mut Scratch, mut take: impl FnMut(&Lanes)) {
        assert_eq!(input.len(), self.inputs, "a layer takes as many numbers as it has inputs");
        let active = &mut scratch.active;
        active.clear();
        let (fours, rest) = input.as_chunks::<4>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        for (group, four) in (0..).zip(fours.iter().chain(std::iter::once(&last))) {
            if *four != [0; 4] {
                active.push(Active { group, inputs: *four });
            }
        }
        for tile in &self.tiles {
            let mut outputs = [Lanes([0; LANES]); MAX_TILE];
            let outputs = &mut outputs[..tile.start.len()];
            outputs.copy_from_slice(&tile.start);
            kernels::outputs(kernel, &tile.weights, active, &tile.shift, outputs);
            outputs.iter().for_each(&mut take);
        }
    }
}

/// The inputs of a group of four; `None` behind the last.
pub(super) fn inputs_of(dense: &Dense, group: usize) -> [Option<usize>; 4] {
    std::array::from_fn(|at| Some(group * 4 + at).filter(|input| *input < dense.inputs()))
}

/// What a sum begins with: the bias, and half a unit.
pub(super) fn start(dense: &Dense, output: usize) -> i32 {
    let half = dense.exponent().get(output).map_or(0, |exponent| (1 << exponent) >> 1);
    dense.bias().get(output).map_or(0, |bias| bias + half)
}

/// By how much a sum is shifted.
pub(super) fn shift(dense: &Dense, output: usize) -> i32 {
    dense.exponent().get(output).map_or(0, |exponent| i32::from(*exponent))
}
