//! A causal net laid out for kernels, and the images that it looks at.

use super::kernels::{Block, LANES, Lanes, STRIP};
use super::layer::{shift, start};
use super::{CausalNet, Neighbour};

/// A net with its inputs in groups of four that lie side by side in a row of the image, so that one load takes them. Columns
/// between that are no neighbours have weights of 0.
#[derive(Clone, Debug)]
pub(super) struct NetLayout {
    /// Where each group of neighbours begins, counted from the sample among the padded planes, modulo 2^32.
    pub neighbours: Vec<u32>,
    /// Where each group of features begins, counted from the sample's first.
    pub features: Vec<u32>,
    /// Hidden units, 32 at a time.
    pub strips: Vec<Strip>,
    /// Bias and half a unit of position and scale.
    pub output_start: [i32; 2],
    pub output_shift: [i32; 2],
    /// How many positions and scales there are.
    pub limits: [u16; 2],
}

/// 32 hidden units.
#[derive(Clone, Debug)]
pub(super) struct Strip {
    /// By group of inputs.
    pub weights: Vec<[Block; 2]>,
    /// The same in 16 bits.
    pub wide: Vec<[i16; 4 * STRIP]>,
    pub start: [Lanes; 2],
    pub shift: [Lanes; 2],
    /// Of position and scale.
    pub output: [[i8; STRIP]; 2],
    /// The same in 16 bits, and in the order that AVX2 packs hidden units in.
    pub output_wide: [[[i16; 16]; 2]; 2],
}

impl NetLayout {
    /// Lays out a net, for planes of this form.
    pub fn new(net: &CausalNet, frame: &Frame, positions: u16, scales: u16) -> Self {
        let dense = net.hidden();
        let mut sorted: Vec<(Neighbour, usize)> = net.neighbours().iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        // Where each group begins, and which inputs it has.
        let mut groups: Vec<(Neighbour, [Option<usize>; 4])> = Vec::new();
        for (near, input) in sorted {
            let last = groups.last_mut().filter(|(first, _)| (first.channel, first.row) == (near.channel, near.row));
            match last.filter(|(first, _)| near.column - first.column < 4) {
                Some((first, inputs)) => inputs[(near.column - first.column) as usize] = Some(input),
                None => groups.push((near, [Some(input), None, None, None])),
            }
        }
        let own = net.neighbours().len();
        let features: Vec<usize> = (0..net.features()).step_by(4).collect();
        let inputs = groups.iter().map(|(_, inputs)| *inputs).chain(
            features
                .iter()
                .map(|first| std::array::from_fn(|at| Some(own + first + at).filter(|input| *input < dense.inputs()))),
        );
        let inputs: Vec<[Option<usize>; 4]> = inputs.collect();
        let strips = (0..dense.outputs().div_ceil(STRIP)).map(|strip| Strip::new(net, strip * STRIP, &inputs));
        Self {
            neighbours: groups.iter().map(|(first, _)| frame.offset(*first)).collect(),
            features: features.iter().map(|first| *first as u32).collect(),
            strips: strips.collect(),
            output_start: [0, 1].map(|output| start(net.output(), output)),
            output_shift: [0, 1].map(|output| shift(net.output(), output)),
            limits: [positions, scales],
        }
    }

    /// The table that sums of the output layer name.
    #[inline(always)]
    pub fn table(&self, sums: [i32; 2]) -> u16 {
        let clamp = |at: usize| (sums[at] >> self.output_shift[at]).clamp(0, i32::from(self.limits[at]) - 1) as u16;
        clamp(0) * self.limits[1] + clamp(1)
    }
}

impl Strip {
    fn new(net: &CausalNet, first: usize, inputs: &[[Option<usize>; 4]]) -> Self {
        let (hidden, output) = (net.hidden(), net.output());
        let weights: Vec<[Block; 2]> =
            inputs.iter().map(|inputs| [0, LANES].map(|add| Block::of(hidden, first + add, inputs))).collect();
        let wide = weights.iter().map(|[low, high]| {
            std::array::from_fn(|at| i16::from(if at < 4 * LANES { low.0[at] } else { high.0[at - 4 * LANES] }))
        });
        let lanes = |value: fn(&super::Dense, usize) -> i32| {
            [0, LANES].map(|add| Lanes(std::array::from_fn(|lane| value(hidden, first + add + lane))))
        };
        let row = |row: usize| -> [i8; STRIP] {
            std::array::from_fn(|at| match first + at < output.inputs() {
                true => output.weights()[row * output.inputs() + first + at],
                false => 0,
            })
        };
        // Two vectors of eight numbers are packed by quarters: the first half of each, then the second.
        let packed = |row: [i8; STRIP]| {
            [0, 16].map(|half| std::array::from_fn(|at| i16::from(row[half + [0, 8, 4, 12][at / 4] + at % 4])))
        };
        Self {
            wide: wide.collect(),
            weights,
            start: lanes(start),
            shift: lanes(shift),
            output: [row(0), row(1)],
            output_wide: [packed(row(0)), packed(row(1))],
        }
    }
}

/// How planes lie in memory: rows with a margin of zeroes around each plane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Rows above and below each plane.
    above: usize,
    below: usize,
    /// Columns on each side: right of a row come those left of the next one.
    side: usize,
}

impl Frame {
    /// Of planes that these nets look at.
    pub fn new(height: usize, width: usize, nets: &[CausalNet]) -> Self {
        let neighbours = || nets.iter().flat_map(CausalNet::neighbours);
        let reach = |of: fn(&Neighbour) -> i8| neighbours().map(of).max().unwrap_or(0).max(0) as usize;
        // A group reads up to three columns behind its first.
        let side = reach(|near| near.column.abs()) + 3;
        let (above, below) = (reach(|near| -near.row), reach(|near| near.row));
        Self { height, width, channels: nets.len(), above, below, side }
    }

    fn stride(&self) -> usize {
        self.width + self.side
    }

    fn plane(&self) -> usize {
        (self.above + self.height + self.below) * self.stride()
    }

    /// Bytes of all planes.
    pub fn bytes(&self) -> usize {
        self.channels * self.plane() + 2 * self.side
    }

    /// Where a sample stands.
    pub fn at(&self, channel: usize, row: usize, column: usize) -> usize {
        channel * self.plane() + (self.above + row) * self.stride() + self.side + column
    }

    /// How far a neighbour is from its sample, modulo 2^32.
    fn offset(&self, near: Neighbour) -> u32 {
        let rows = i64::from(near.channel) * self.plane() as i64 + i64::from(near.row) * self.stride() as i64;
        (rows + i64::from(near.column)) as u32
    }
}
