//! A causal net laid out for kernels, and the images that it looks at.

use super::kernels::{Block, LANES, Lanes, STRIP, Span};
use super::layer::{shift, start};
use super::{CausalNet, Name, Neighbour, OUTPUTS, ZERO_LEVELS};

/// A net with its inputs in groups of four that lie side by side in a row of the image, so that one load takes them. Columns
/// between that are no neighbours have weights of 0.
#[derive(Clone, Debug)]
pub(super) struct NetLayout {
    /// All neighbours, by rows.
    pub spans: Vec<Span>,
    /// Where each group of neighbours begins, counted from the sample among the padded planes, modulo 2^32.
    pub neighbours: Vec<u32>,
    /// Where each group of features begins, counted from the sample's first.
    pub features: Vec<u32>,
    /// Hidden units, 32 at a time.
    pub strips: Vec<Strip>,
    /// Bias and half a unit of each output, and a place that is always 0.
    pub output_start: [i32; OUTPUTS + 1],
    pub output_shift: [i32; OUTPUTS + 1],
    /// The most that an output is clamped to.
    pub output_most: [i32; OUTPUTS + 1],
    /// What an output counts for in a name.
    pub output_factor: [i32; OUTPUTS + 1],
}

/// 32 hidden units.
#[derive(Clone, Debug)]
pub(super) struct Strip {
    /// By group of inputs.
    pub weights: Vec<[Block; 2]>,
    /// The same in 16 bits, by halves of a group: weight `2 * unit + i` is of hidden unit `unit` and input `i`.
    pub wide: Vec<[[i16; 2 * STRIP]; 2]>,
    pub start: [Lanes; 2],
    pub shift: [Lanes; 2],
    /// Of each output.
    pub output: [[i16; STRIP]; OUTPUTS],
    /// The same, in the order that AVX2 packs hidden units in.
    pub output_packed: [[[i16; 16]; 2]; OUTPUTS],
}

impl NetLayout {
    /// Lays out a net, for planes of this form.
    pub fn new(net: &CausalNet, frame: &Frame, positions: u16, scales: u16) -> Self {
        let dense = net.hidden();
        let mut sorted: Vec<(Neighbour, usize)> = net.neighbours().iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let mut spans: Vec<(Neighbour, Span)> = Vec::new();
        for (near, _) in &sorted {
            let last = spans.last_mut().filter(|(first, _)| (first.channel, first.row) == (near.channel, near.row));
            match last.filter(|(first, _)| near.column - first.column < 8) {
                Some((first, span)) => span.mask |= 0xff << (8 * (near.column - first.column)),
                None => spans.push((*near, Span { offset: frame.offset(*near), mask: 0xff })),
            }
        }
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
        let (bias, exponent) = (net.output().bias(), net.output().exponent());
        let padded = |[position, scale, zero]: [i32; OUTPUTS]| [position, scale, zero, 0];
        Self {
            spans: spans.into_iter().map(|(_, span)| span).collect(),
            neighbours: groups.iter().map(|(first, _)| frame.offset(*first)).collect(),
            features: features.iter().map(|first| *first as u32).collect(),
            strips: strips.collect(),
            output_start: padded([0, 1, 2].map(|row| bias[row] + ((1 << exponent[row]) >> 1))),
            output_shift: padded(exponent.map(i32::from)),
            output_most: padded([positions, scales, ZERO_LEVELS].map(|many| i32::from(many) - 1)),
            output_factor: padded([i32::from(scales) << 8, 1 << 8, 1]),
        }
    }

    /// What sums of the output layer name.
    #[inline(always)]
    pub fn name(&self, sums: [i32; OUTPUTS]) -> Name {
        let part =
            |at: usize| (sums[at] >> self.output_shift[at]).clamp(0, self.output_most[at]) * self.output_factor[at];
        Name((part(0) + part(1) + part(2)) as u32)
    }
}

impl Strip {
    fn new(net: &CausalNet, first: usize, inputs: &[[Option<usize>; 4]]) -> Self {
        let (hidden, output) = (net.hidden(), net.output());
        let weights: Vec<[Block; 2]> =
            inputs.iter().map(|inputs| [0, LANES].map(|add| Block::of(hidden, first + add, inputs))).collect();
        let wide = weights.iter().map(|blocks| {
            let weight = |half: usize, at: usize| {
                let (unit, input) = (at / 2, 2 * half + at % 2);
                i16::from(blocks[unit / LANES].0[4 * (unit % LANES) + input])
            };
            [0, 1].map(|half| std::array::from_fn(|at| weight(half, at)))
        });
        let lanes = |value: fn(&super::Dense, usize) -> i32| {
            [0, LANES].map(|add| Lanes(std::array::from_fn(|lane| value(hidden, first + add + lane))))
        };
        let row = |row: usize| -> [i16; STRIP] {
            std::array::from_fn(|at| output.weights()[row].get(first + at).copied().unwrap_or(0))
        };
        // Two vectors of eight numbers are packed by quarters: the first half of each, then the second.
        let packed = |row: [i16; STRIP]| {
            [0, 16].map(|half| std::array::from_fn(|at| row[half + [0, 8, 4, 12][at / 4] + at % 4]))
        };
        Self {
            wide: wide.collect(),
            weights,
            start: lanes(start),
            shift: lanes(shift),
            output: [0, 1, 2].map(row),
            output_packed: [0, 1, 2].map(|at| packed(row(at))),
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

    /// From one row to the next.
    pub fn stride(&self) -> usize {
        self.width + self.side
    }

    fn plane(&self) -> usize {
        (self.above + self.height + self.below) * self.stride()
    }

    /// Bytes of all planes.
    pub fn bytes(&self) -> usize {
        self.channels * self.plane() + 2 * self.side + size_of::<u64>()
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
