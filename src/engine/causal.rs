//! The net that tells the distribution of a sample from the samples before it.

use super::error::check_length;
use super::{Dense, EngineError, Output, ZERO_LEVELS};

/// The most neighbours of a sample that a net looks at.
pub const MAX_NEIGHBOURS: usize = 64;

/// How far away a neighbour is at most, in rows and in columns.
pub const MAX_OFFSET: i8 = 8;

/// The most hidden units of a net.
pub const MAX_HIDDEN: usize = 256;

/// The most features of a sample that a net takes.
pub(super) const MAX_FEATURES: usize = 64;

/// Where a neighbour of a sample lies, counted from it. It comes before it in the order channel, row, column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Neighbour {
    /// Channels: 0 or less.
    pub channel: i8,
    /// Rows: 0 or less in the same channel.
    pub row: i8,
    /// Columns: less than 0 in the same channel and row.
    pub column: i8,
}

impl Neighbour {
    /// Whether it comes before the sample, and is near enough.
    fn is_causal(self) -> bool {
        let before = (self.channel, self.row, self.column) < (0, 0, 0);
        let near = -MAX_OFFSET..=MAX_OFFSET;
        before && (-2..=0).contains(&self.channel) && near.contains(&self.row) && near.contains(&self.column)
    }
}

/// How a sample is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub(super) u32);

impl Name {
    /// Its table and its level of zero.
    pub const fn new(table: u16, zero: u8) -> Self {
        Self((table as u32) << 8 | zero as u32)
    }

    /// The table that names its distribution if it is not 0: `position * scales + scale`.
    #[inline(always)]
    pub const fn table(self) -> u16 {
        (self.0 >> 8) as u16
    }

    /// How surely it is 0.
    #[inline(always)]
    pub const fn zero(self) -> u8 {
        self.0 as u8
    }
}

/// Two layers, the same for all samples of a channel: `n` neighbours and `F` features to `k` hidden units, and those to a
/// position, a scale and a level of zero, which name the distribution that the sample is coded with.
///
/// A neighbour outside of the image is 0. Hidden units are clamped to 0..=255, the position to `0..positions`, the scale
/// to `0..scales`, the level of zero to 0..=255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CausalNet {
    neighbours: Box<[Neighbour]>,
    hidden: Dense,
    output: Output,
}

impl CausalNet {
    /// A net from its layers: `hidden` has an input for each neighbour, in their order, and behind them one for each
    /// feature; `output` makes what the net says of its outputs.
    pub fn new(neighbours: Vec<Neighbour>, hidden: Dense, output: Output) -> Result<Self, EngineError> {
        if let Some(wrong) = neighbours.iter().find(|neighbour| !neighbour.is_causal()) {
            let accepted = "before the sample in the order channel, row, column, and 8 rows and columns away at most";
            let found = i64::from(wrong.column);
            return Err(EngineError::Range { what: "a neighbour's column", found, accepted });
        }
        let mut sorted = neighbours.clone();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let found = i64::from(twice[0].column);
            return Err(EngineError::Range { what: "a neighbour's column", found, accepted: "named once" });
        }
        let count = |what, found: usize, most: usize, accepted| match found <= most {
            true => Ok(()),
            false => Err(EngineError::Range { what, found: found as i64, accepted }),
        };
        count("the number of neighbours", neighbours.len(), MAX_NEIGHBOURS, "0 to 64")?;
        count("the number of neighbours", neighbours.len(), hidden.inputs(), "at most the number of inputs")?;
        let features = hidden.inputs() - neighbours.len();
        count("the number of features", features, MAX_FEATURES, "0 to 64")?;
        count("the number of hidden units", hidden.outputs(), MAX_HIDDEN, "0 to 256")?;
        check_length("a net's second layer", hidden.outputs(), output.inputs())?;
        Ok(Self { neighbours: neighbours.into(), hidden, output })
    }

    /// The neighbours that it looks at, in the order of its inputs.
    pub fn neighbours(&self) -> &[Neighbour] {
        &self.neighbours
    }

    /// Features of a sample that it takes beside its neighbours.
    pub fn features(&self) -> usize {
        self.hidden.inputs() - self.neighbours.len()
    }

    /// The first layer.
    pub fn hidden(&self) -> &Dense {
        &self.hidden
    }

    /// The second layer.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// The definition: what names a sample's distribution for these inputs, neighbours first.
    ///
    /// # Panics
    ///
    /// If there are more or fewer inputs than the net takes.
    pub fn evaluate(&self, inputs: &[u8], positions: u16, scales: u16) -> Name {
        let hidden = self.hidden.relu(inputs);
        let output = |at, many: u16| self.output.output(at, &hidden).clamp(0, i64::from(many) - 1) as u16;
        Name::new(output(0, positions) * scales + output(1, scales), output(2, ZERO_LEVELS) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(inputs: usize, outputs: usize) -> Dense {
        Dense::new(inputs, vec![1; inputs * outputs], vec![0; outputs], vec![0; outputs]).unwrap()
    }

    fn output(inputs: usize) -> Output {
        Output::new([vec![1; inputs], vec![1; inputs], vec![2; inputs]], [0; 3], [0; 3]).unwrap()
    }

    fn near(channel: i8, row: i8, column: i8) -> Neighbour {
        Neighbour { channel, row, column }
    }

    #[test]
    fn only_what_comes_before_a_sample_is_its_neighbour() {
        let net = |neighbour| CausalNet::new(vec![neighbour], layer(1, 2), output(2));
        for good in [near(0, 0, -1), near(0, -1, 8), near(-1, 8, 8), near(-2, 0, 0)] {
            assert!(net(good).is_ok(), "{good:?}");
        }
        let far = [near(0, -9, 0), near(0, -1, 9), near(-3, 0, 0), near(0, i8::MIN, 0)];
        for bad in [near(0, 0, 0), near(0, 0, 1), near(0, 1, -1), near(1, -1, -1)].into_iter().chain(far) {
            assert!(net(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn layers_must_fit_one_another() {
        let two = || vec![near(0, 0, -1), near(0, -1, 0)];
        assert_eq!(CausalNet::new(two(), layer(5, 4), output(4)).unwrap().features(), 3);
        assert!(CausalNet::new(two(), layer(1, 4), output(4)).is_err());
        assert!(CausalNet::new(two(), layer(5, 4), output(3)).is_err());
        assert!(CausalNet::new(vec![near(0, 0, -1); 2], layer(2, 4), output(4)).is_err());
        let many = |count: usize| (0..count).map(|at| near(0, -1 - (at / 8) as i8, (at % 8) as i8)).collect();
        assert!(CausalNet::new(many(64), layer(70, 4), output(4)).is_ok());
        assert!(CausalNet::new(many(65), layer(70, 4), output(4)).is_err());
        assert!(CausalNet::new(two(), layer(5, 257), output(257)).is_err());
    }

    #[test]
    fn outputs_are_clamped_to_their_tables() {
        let net = CausalNet::new(vec![near(0, 0, -1)], layer(2, 3), output(3)).unwrap();
        assert_eq!(net.evaluate(&[1, 2], 96, 32), Name::new(9 * 32 + 9, 18));
        assert_eq!(net.evaluate(&[10, 2], 96, 32), Name::new(36 * 32 + 31, 72));
        assert_eq!(net.evaluate(&[255, 255], 96, 32), Name::new(95 * 32 + 31, 255));
    }
}
