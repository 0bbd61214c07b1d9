//! Code lengths: optimal under a limit, and canonical, so that the lengths are all that a decoder needs.

use super::MAX_CODE_BITS;

/// The length of each symbol's code in bits; zero for symbols that do not occur.
///
/// The lengths of two symbols or more fill the code space exactly: the sum of `2^-length` is 1. A record of text has some
/// forty symbols, so that everything here goes through a list of those that occur and not through all 256.
#[derive(Clone, Debug)]
pub(super) struct CodeLengths {
    bits: [u8; 256],
    /// The symbols with a code, rising, in the first `used` places.
    symbols: [u8; 256],
    used: usize,
}

impl PartialEq for CodeLengths {
    fn eq(&self, other: &Self) -> bool {
        self.bits == other.bits
    }
}

impl CodeLengths {
    /// The lengths with the fewest bits in total for these counts, of which two at least are not zero.
    pub fn optimal(counts: &[u32; 256]) -> Self {
        // Symbols by rising count; equal counts by symbol, so that the result is the same everywhere.
        let mut sorted = [0u64; 256];
        let mut symbols = [0; 256];
        let mut used = 0;
        for (eighth, eight) in counts.as_chunks::<8>().0.iter().enumerate() {
            // Symbols that occur lie close together.
            if *eight == [0; 8] {
                continue;
            }
            for (symbol, count) in (8 * eighth..).zip(eight) {
                // At most 255 symbols come before one, so that the place is there even if this one does not occur.
                sorted[used] = u64::from(*count) << 8 | symbol as u64;
                symbols[used] = symbol as u8;
                used += usize::from(*count > 0);
            }
        }
        let sorted = &mut sorted[..used];
        sorted.sort_unstable();
        let mut work = [0u64; 256];
        for (weight, entry) in work.iter_mut().zip(&*sorted) {
            *weight = *entry >> 8;
        }
        let mut depths = [0; 256];
        unlimited_depths(&mut work[..sorted.len()], &mut depths);
        if u32::from(depths[0]) > MAX_CODE_BITS {
            package_merge(sorted, &mut depths);
        }
        let mut bits = [0; 256];
        for (entry, depth) in sorted.iter().zip(depths) {
            bits[(*entry & 0xff) as usize] = depth;
        }
        Self { bits, symbols, used }
    }

    /// No symbol has a code yet.
    pub const fn none() -> Self {
        Self { bits: [0; 256], symbols: [0; 256], used: 0 }
    }

    /// Gives a code of 1 to [`MAX_CODE_BITS`] bits to a symbol above all that have one.
    pub fn add(&mut self, symbol: u8, length: u8) {
        debug_assert!((1..=MAX_CODE_BITS).contains(&u32::from(length)));
        self.bits[usize::from(symbol)] = length;
        self.symbols[self.used] = symbol;
        self.used += 1;
    }

    /// Whether the codes fill the code space.
    pub fn are_complete(&self) -> bool {
        self.used().map(|(_, length)| 1 << (MAX_CODE_BITS - length)).sum::<u32>() == 1 << MAX_CODE_BITS
    }

    /// The length of the longest code.
    pub fn longest(&self) -> u32 {
        self.used().map(|(_, length)| length).max().unwrap_or(0)
    }

    /// The length of a symbol's code.
    pub fn of(&self, symbol: u8) -> u32 {
        u32::from(self.bits[usize::from(symbol)])
    }

    /// Symbols that have a code, with its length, by rising symbol.
    pub fn used(&self) -> impl Iterator<Item = (u8, u32)> {
        self.symbols[..self.used].iter().map(|symbol| (*symbol, self.of(*symbol)))
    }

    /// The canonical codes: shorter before longer, equal lengths by symbol, each the one before it plus one. Calls
    /// `each` with symbol, code and length, in that order of codes.
    pub fn for_each_code(&self, mut each: impl FnMut(u8, u32, u32)) {
        let mut ends = [0u16; MAX_CODE_BITS as usize + 2];
        for (_, length) in self.used() {
            ends[length as usize + 1] += 1;
        }
        for length in 1..ends.len() {
            ends[length] += ends[length - 1];
        }
        let mut order = [0u8; 256];
        for (symbol, length) in self.used() {
            let place = &mut ends[length as usize];
            order[usize::from(*place)] = symbol;
            *place += 1;
        }
        let (mut code, mut previous) = (0, 0);
        for symbol in &order[..self.used] {
            let length = self.of(*symbol);
            code <<= length - previous;
            previous = length;
            each(*symbol, code, length);
            code += 1;
        }
    }
}

/// Depths of a Huffman tree over rising weights, in place (Moffat and Katajainen, "In-place calculation of
/// minimum-redundancy codes", 1995). `weights` is destroyed.
fn unlimited_depths(weights: &mut [u64], depths: &mut [u8; 256]) {
    let n = weights.len();
    // Weights become parents: the inner node made in step `next` replaces what is no longer needed.
    weights[0] += weights[1];
    let (mut root, mut leaf) = (0, 2);
    for next in 1..n - 1 {
        let mut lighter = |weights: &mut [u64]| {
            if leaf >= n || (root < next && weights[root] < weights[leaf]) {
                let weight = weights[root];
                weights[root] = next as u64;
                root += 1;
                weight
            } else {
                leaf += 1;
                weights[leaf - 1]
            }
        };
        let first = lighter(weights);
        weights[next] = first + lighter(weights);
    }
    // Parents become depths of inner nodes.
    weights[n - 2] = 0;
    for next in (0..n - 2).rev() {
        weights[next] = weights[weights[next] as usize] + 1;
    }
    // Leaves take what the inner nodes of each depth leave free.
    let (mut free, mut inner, mut leaf, mut depth) = (1, n - 1, n, 0);
    while free > 0 {
        let mut used = 0;
        while inner > 0 && weights[inner - 1] == depth {
            used += 1;
            inner -= 1;
        }
        for _ in used..free {
            leaf -= 1;
            // A tree over 2^32 bytes is at most 46 deep.
            depths[leaf] = depth as u8;
        }
        free = 2 * used;
        depth += 1;
    }
}

/// Depths of at most [`MAX_CODE_BITS`] with the least total weight (Larmore and Hirschberg, "A fast algorithm for
/// optimal length-limited Huffman codes", 1990). `sorted` holds `weight << 8 | symbol`, rising.
fn package_merge(sorted: &[u64], depths: &mut [u8; 256]) {
    const LEVELS: usize = MAX_CODE_BITS as usize;
    let n = sorted.len();
    // Level 0 holds the coins of the smallest denomination, one for each symbol. Each further level holds the symbols
    // again, merged with the pairs of the level before.
    let mut is_leaf = [[true; 512]; LEVELS];
    let mut before: Vec<u64> = sorted.iter().map(|entry| entry >> 8).collect();
    let mut level = Vec::with_capacity(2 * n);
    for flags in &mut is_leaf[1..] {
        level.clear();
        let mut leaves = sorted.iter().map(|entry| entry >> 8).peekable();
        let mut packages = before.chunks_exact(2).map(|pair| pair[0] + pair[1]).peekable();
        loop {
            let take_leaf = match (leaves.peek(), packages.peek()) {
                (Some(leaf), Some(package)) => leaf <= package,
                (leaf, package) if leaf.is_none() && package.is_none() => break,
                (leaf, _) => leaf.is_some(),
            };
            flags[level.len()] = take_leaf;
            level.extend(if take_leaf { leaves.next() } else { packages.next() });
        }
        std::mem::swap(&mut before, &mut level);
    }
    // The cheapest 2n - 2 items of the last level are the solution; a symbol's depth is how often it is among them
    // and among the items that they are packed from.
    depths[..n].fill(0);
    let mut taken = 2 * n - 2;
    for flags in is_leaf.iter().rev() {
        let leaves = flags[..taken].iter().filter(|leaf| **leaf).count();
        for depth in &mut depths[..leaves] {
            *depth += 1;
        }
        taken = 2 * (taken - leaves);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(counts: &[u32; 256], lengths: &CodeLengths) -> u64 {
        (0..=255).map(|symbol| u64::from(counts[usize::from(symbol)]) * u64::from(lengths.of(symbol))).sum()
    }

    fn counts(of: impl Fn(usize) -> u32) -> [u32; 256] {
        std::array::from_fn(of)
    }

    /// Symbols in a row from a first one on.
    fn lengths_from(first: u8, bits: &[u8]) -> CodeLengths {
        let mut lengths = CodeLengths::none();
        (first..).zip(bits).for_each(|(symbol, length)| lengths.add(symbol, *length));
        lengths
    }

    /// The package-merge of the textbook, with explicit sets.
    fn reference(counts: &[u32; 256]) -> u64 {
        let mut leaves: Vec<(u64, Vec<u8>)> =
            (0..=255u8).map(|s| (u64::from(counts[usize::from(s)]), vec![s])).filter(|leaf| leaf.0 > 0).collect();
        leaves.sort();
        let mut level = leaves.clone();
        for _ in 1..MAX_CODE_BITS {
            let pairs = level.chunks_exact(2).map(|p| (p[0].0 + p[1].0, [&p[0].1[..], &p[1].1[..]].concat()));
            level = leaves.iter().cloned().chain(pairs).collect();
            level.sort_by_key(|item| item.0);
        }
        level[..2 * leaves.len() - 2].iter().map(|item| item.0).sum()
    }

    #[test]
    fn lengths_are_optimal_under_the_limit_and_fill_the_code_space() {
        let fibonacci = |n: usize| (0..n).fold((1u32, 1u32), |(a, b), _| (b, a.saturating_add(b))).0;
        let cases = [
            counts(|i| u32::from(i < 2)),
            counts(|i| [3, 1, 1][i % 3] * u32::from(i < 3)),
            counts(|i| if i < 30 { fibonacci(i) } else { 0 }),
            counts(|i| if i < 45 { fibonacci(i).min(1 << 24) } else { 1 }),
            counts(|i| 1 << (i % 23)),
            counts(|_| 7),
            counts(|i| (i as u32).pow(3) % 1009),
            counts(|i| if i % 3 == 0 { 1_000_000_000 / (i as u32 + 1).pow(2) } else { 0 }),
        ];
        for (case, counts) in cases.iter().enumerate() {
            let lengths = CodeLengths::optimal(counts);
            assert!(lengths.are_complete(), "case {case}");
            assert_eq!(Some(lengths.longest()), lengths.bits.iter().max().map(|bits| u32::from(*bits)), "case {case}");
            assert_eq!(cost(counts, &lengths), reference(counts), "case {case}");
            assert!((0..=255).all(|symbol| (lengths.of(symbol) > 0) == (counts[usize::from(symbol)] > 0)));
        }
    }

    #[test]
    fn lengths_that_do_not_fill_the_code_space_are_refused() {
        assert!(lengths_from(0, &[1, 2, 2]).are_complete());
        for bad in [&[][..], &[1], &[1, 2], &[1, 1, 1], &[1, 2, 11]] {
            assert!(!lengths_from(0, bad).are_complete(), "{bad:?}");
        }
    }

    #[test]
    fn canonical_codes_are_those_of_the_worked_example_in_rfc_1951() {
        // Section 3.2.2: symbols A to H with lengths 3, 3, 3, 3, 3, 2, 4, 4.
        let mut codes = Vec::new();
        lengths_from(b'A', &[3, 3, 3, 3, 3, 2, 4, 4]).for_each_code(|symbol, code, _| codes.push((symbol, code)));
        let expected = [(b'F', 0b00), (b'A', 0b010), (b'B', 0b011), (b'C', 0b100), (b'D', 0b101), (b'E', 0b110)];
        assert_eq!(codes, [&expected[..], &[(b'G', 0b1110), (b'H', 0b1111)]].concat());
    }
}
