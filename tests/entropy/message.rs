//! What is coded in the tests: symbols of several tables and raw bits, in one stream.

use std::sync::{Arc, LazyLock};

use latentd::entropy::{Decoder, Encoder, EntropyError, Table};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// One thing in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A symbol of the table at a place.
    Symbol(usize, u16),
    /// Bits as they are, and how many.
    Raw(u64, u32),
}

/// A stream's content, and the tables that it is coded with.
#[derive(Clone, Debug)]
pub struct Message {
    pub tables: Vec<Arc<Table>>,
    pub items: Vec<Item>,
}

/// A number below `limit`.
pub fn below(random: &mut ChaCha8Rng, limit: u32) -> u32 {
    ((u64::from(random.next_u32()) * u64::from(limit)) >> 32) as u32
}

impl Message {
    /// Items of these tables by turns in no order: symbols as probable as their tables say or, one in eight, any that can
    /// be coded; and, of `raw` in 256, raw bits.
    pub fn random(tables: &[Arc<Table>], len: usize, raw: u32, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let starts: Vec<Vec<(u32, u16)>> = tables
            .iter()
            .map(|table| {
                let intervals = (0..=u16::MAX).take(table.symbols()).map(|symbol| (table.interval(symbol), symbol));
                let mut starts: Vec<_> =
                    intervals.filter_map(|(interval, symbol)| Some((interval?.start(), symbol))).collect();
                starts.sort_unstable();
                starts
            })
            .collect();
        let items = (0..len).map(|_| {
            if below(&mut random, 256) < raw {
                let bits = below(&mut random, 65);
                let value = random.next_u64();
                return Item::Raw(if bits == 64 { value } else { value & ((1 << bits) - 1) }, bits);
            }
            let table = below(&mut random, tables.len() as u32) as usize;
            let starts = &starts[table];
            let place = match below(&mut random, 8) {
                0 => below(&mut random, starts.len() as u32) as usize,
                _ => {
                    let slot = below(&mut random, 1 << tables[table].bits());
                    starts.partition_point(|(start, _)| *start <= slot) - 1
                }
            };
            Item::Symbol(table, starts[place].1)
        });
        Self { items: items.collect(), tables: tables.to_vec() }
    }

    pub fn encode<const LANES: usize>(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        for item in &self.items {
            match *item {
                Item::Symbol(table, symbol) => self.tables[table].encode(symbol, &mut encoder),
                Item::Raw(value, bits) => encoder.push_raw(value, bits),
            }
        }
        let mut stream = Vec::new();
        encoder.finish::<LANES>(&mut stream);
        assert!(encoder.is_empty());
        stream
    }

    /// What a stream holds if it holds as many items of the same kinds, and whether it ends well.
    pub fn decode<const LANES: usize>(
        &self,
        stream: &[u8],
    ) -> Result<(Vec<Item>, Result<(), EntropyError>), EntropyError> {
        let mut decoder = Decoder::<LANES>::new(stream)?;
        let items = self.items.iter().map(|item| match *item {
            Item::Symbol(table, _) => Item::Symbol(table, self.tables[table].decode(&mut decoder)),
            Item::Raw(_, bits) => Item::Raw(decoder.raw(bits), bits),
        });
        let items = items.collect();
        Ok((items, decoder.finish()))
    }

    /// What its symbols carry, in bits.
    pub fn information(&self) -> f64 {
        let bits = self.items.iter().map(|item| match *item {
            Item::Raw(_, bits) => f64::from(bits),
            Item::Symbol(table, symbol) => {
                let interval = self.tables[table].interval(symbol).expect("messages hold symbols that can be coded");
                f64::from(interval.bits()) - f64::from(interval.frequency()).log2()
            }
        });
        bits.sum()
    }
}

/// Tables of every shape: one symbol, two, 256, 65,536; frequencies 1 and 65,535; 1 to 16 bits; alphabets with symbols
/// that cannot be coded.
pub fn shapes() -> &'static [Arc<Table>] {
    static SHAPES: LazyLock<Vec<Arc<Table>>> = LazyLock::new(|| all_shapes().into_iter().map(Arc::new).collect());
    &SHAPES
}

fn all_shapes() -> Vec<Table> {
    let table = |frequencies: &[u32], bits| Table::from_frequencies(frequencies, bits).expect("the shape is valid");
    let mut tables = vec![
        table(&[1, 65_535], 16),
        table(&[65_535, 1], 16),
        table(&[0, 0, 1 << 16], 16),
        table(&[1; 1 << 16], 16),
        table(&[1; 256], 8),
        table(&[4; 256], 10),
        table(&[1, 0, 1], 1),
        table(&[2], 1),
    ];
    for bits in 1..=16 {
        let geometric: Vec<u32> = (0..40u32).map(|i| if i % 5 == 3 { 0 } else { u32::MAX >> i.min(31) }).collect();
        let codable = if bits < 6 { 2 } else { 40 };
        tables.push(Table::from_counts(&geometric[..codable], bits).expect("the shape is valid"));
        tables.push(Table::from_counts(&vec![3; 1 << bits], bits).expect("the shape is valid"));
    }
    let mut sparse = vec![0; 1 << 16];
    sparse.iter_mut().step_by(997).zip(1..).for_each(|(count, i)| *count = i);
    tables.push(Table::from_counts(&sparse, 14).expect("the shape is valid"));
    tables
}
