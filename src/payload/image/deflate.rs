//! Deflate (RFC 1951) as zlib makes it, bit by bit, of what is small enough for one block.
//!
//! Most PNG files were compressed by zlib. What it makes of filtered samples is made here anew, so that the file need not be
//! kept. The matches (`deflate_slow` and `deflate_fast` of zlib's `deflate.c`) and the codes (`trees.c`) are chosen step by
//! step as there, down to the order in which equal weights leave the heap. Another deflate, zlib's own next release too, may
//! choose otherwise; this one must not.

/// The most bytes: a block holds all symbols, and all are within the window.
pub(super) const MAX_INPUT: usize = 16_000;

const MIN_MATCH: usize = 3;
const MAX_MATCH: usize = 258;
/// Matches of three bytes are no farther than this.
const TOO_FAR: usize = 4096;

const END_OF_BLOCK: usize = 256;
const LENGTH_CODES: usize = 286;
const DISTANCE_CODES: usize = 30;
const BIT_LENGTH_CODES: usize = 19;

const LENGTH_EXTRA: [u8; 29] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_EXTRA: [u8; 30] =
    [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13];
/// In which order the lengths of the codes of code lengths are written.
const ORDER: [usize; BIT_LENGTH_CODES] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// How zlib was told to compress: the arguments of `deflateInit2` that change what it makes of a small input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// 1 to 9.
    pub level: u8,
    /// `memLevel`, 8 or 9: how long the hash of three bytes is.
    pub memory: u8,
    /// Whether the strategy is `Z_FILTERED`, which passes over short matches.
    pub filtered: bool,
}

impl Settings {
    /// Whether zlib takes them, and this does.
    pub fn are_valid(self) -> bool {
        (1..=9).contains(&self.level) && (8..=9).contains(&self.memory)
    }

    /// zlib's `configuration_table`: good, lazy, nice, chain.
    fn search(self) -> (usize, usize, usize, usize) {
        match self.level {
            1 => (4, 4, 8, 4),
            2 => (4, 5, 16, 8),
            3 => (4, 6, 32, 32),
            4 => (4, 4, 16, 16),
            5 => (8, 16, 32, 32),
            6 => (8, 16, 128, 128),
            7 => (8, 32, 128, 256),
            8 => (32, 128, 258, 1024),
            _ => (32, 258, 258, 4096),
        }
    }
}

/// A literal, or a match of so many bytes so far back.
#[derive(Clone, Copy)]
enum Symbol {
    Literal(u8),
    Match { length: usize, distance: usize },
}

/// One last block of `input`, which has up to [`MAX_INPUT`] bytes.
///
/// # Panics
///
/// If it has more.
pub(super) fn deflate(input: &[u8], settings: Settings) -> Vec<u8> {
    assert!(input.len() <= MAX_INPUT, "the input fits one block");
    let matcher = Matcher::new(input, settings);
    let symbols = if settings.level < 4 { matcher.fast() } else { matcher.slow() };
    block(input, &symbols)
}

// --- matches ----------------------------------------------------------------------------------------------------------

/// Strings of three bytes by their hash.
struct Matcher<'a> {
    input: &'a [u8],
    settings: Settings,
    /// The last position of each hash; 0 is none, so that nothing matches what is at 0.
    head: Vec<u16>,
    /// The position before with the same hash.
    previous: Vec<u16>,
    symbols: Vec<Symbol>,
}

impl<'a> Matcher<'a> {
    fn new(input: &'a [u8], settings: Settings) -> Self {
        let head = vec![0; 1 << (settings.memory + 7)];
        Self { input, settings, head, previous: vec![0; input.len()], symbols: Vec::new() }
    }

    /// Remembers a position, behind which there are three bytes at least; gives the last one with the same hash.
    fn insert(&mut self, at: usize) -> usize {
        let bits = usize::from(self.settings.memory) + 7;
        let shift = bits.div_ceil(MIN_MATCH);
        let three = &self.input[at..at + MIN_MATCH];
        let hash = three.iter().fold(0, |hash, byte| (hash << shift ^ usize::from(*byte)) & ((1 << bits) - 1));
        let last = std::mem::replace(&mut self.head[hash], at as u16);
        self.previous[at] = last;
        usize::from(last)
    }

    /// The longest match at `at` that is longer than `best`: its length and place; `best` itself where there is none.
    fn longest(&self, at: usize, mut place: usize, mut best: usize) -> (usize, usize) {
        let (good, _, nice, mut chain) = self.settings.search();
        let left = self.input.len() - at;
        let nice = nice.min(left);
        if best >= good {
            chain >>= 2;
        }
        let mut found = 0;
        loop {
            let most = left.min(MAX_MATCH);
            let pairs = self.input[place..].iter().zip(&self.input[at..at + most]);
            let length = pairs.take_while(|(one, other)| one == other).count();
            if length > best {
                (best, found) = (length, place);
                if length >= nice {
                    break;
                }
            }
            place = usize::from(self.previous[place]);
            chain -= 1;
            if place == 0 || chain == 0 {
                break;
            }
        }
        (best.min(left), found)
    }

    /// Takes a match only when there is no longer one at the next byte.
    fn slow(mut self) -> Vec<Symbol> {
        let end = self.input.len();
        let (_, lazy, _, _) = self.settings.search();
        let (mut at, mut waits) = (0, false);
        let (mut length, mut place) = (MIN_MATCH - 1, 0);
        while at < end {
            let last = if end - at >= MIN_MATCH { self.insert(at) } else { 0 };
            let (before, before_place) = (length, place);
            length = MIN_MATCH - 1;
            if last != 0 && before < lazy {
                (length, place) = self.longest(at, last, before);
                if length <= 5 && (self.settings.filtered || (length == MIN_MATCH && at - place > TOO_FAR)) {
                    length = MIN_MATCH - 1;
                }
            }
            if before >= MIN_MATCH && length <= before {
                self.symbols.push(Symbol::Match { length: before, distance: at - 1 - before_place });
                for next in at + 1..at - 1 + before {
                    if next + MIN_MATCH <= end {
                        self.insert(next);
                    }
                }
                at += before - 1;
                (waits, length) = (false, MIN_MATCH - 1);
            } else {
                if waits {
                    self.symbols.push(Symbol::Literal(self.input[at - 1]));
                }
                waits = true;
                at += 1;
            }
        }
        if waits {
            self.symbols.push(Symbol::Literal(self.input[at - 1]));
        }
        self.symbols
    }

    /// Takes every match at once.
    fn fast(mut self) -> Vec<Symbol> {
        let end = self.input.len();
        let (_, longest_inserted, _, _) = self.settings.search();
        let mut at = 0;
        while at < end {
            let last = if end - at >= MIN_MATCH { self.insert(at) } else { 0 };
            let (length, place) = match last {
                0 => (0, 0),
                last => self.longest(at, last, MIN_MATCH - 1),
            };
            if length < MIN_MATCH {
                self.symbols.push(Symbol::Literal(self.input[at]));
                at += 1;
                continue;
            }
            self.symbols.push(Symbol::Match { length, distance: at - place });
            if length <= longest_inserted && end - at - length >= MIN_MATCH {
                for next in at + 1..at + length {
                    self.insert(next);
                }
            }
            at += length;
        }
        self.symbols
    }
}

// --- codes ------------------------------------------------------------------------------------------------------------

/// The code of a length, from 0, and the number that its extra bits hold.
fn length_code(length: usize) -> (usize, u32) {
    if length == MAX_MATCH {
        return (28, 0);
    }
    let mut base = MIN_MATCH;
    for (code, extra) in LENGTH_EXTRA.iter().enumerate() {
        if length < base + (1 << extra) {
            return (code, (length - base) as u32);
        }
        base += 1 << extra;
    }
    unreachable!("a match has 258 bytes at most")
}

/// The code of a distance, and the number that its extra bits hold.
fn distance_code(distance: usize) -> (usize, u32) {
    let mut base = 1;
    for (code, extra) in DISTANCE_EXTRA.iter().enumerate() {
        if distance < base + (1 << extra) {
            return (code, (distance - base) as u32);
        }
        base += 1 << extra;
    }
    unreachable!("a match is within the window")
}

/// Bits from the lowest of a byte to the highest.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("a byte was pushed before its first bit");
            *last |= ((value >> bit & 1) as u8) << self.used;
            self.used = (self.used + 1) % 8;
        }
    }

    /// A Huffman code: from its highest bit.
    fn code(&mut self, code: Code) {
        self.put(code.code.reverse_bits() >> (u32::BITS - code.length), code.length);
    }
}

/// A prefix code's word.
#[derive(Clone, Copy, Debug, Default)]
struct Code {
    code: u32,
    length: u32,
}

/// A prefix code as zlib builds it: the word of each symbol, and the last symbol that has one.
struct Tree {
    codes: Vec<Code>,
    last: usize,
    /// How often each symbol comes; 1 for those that were added so that there are two.
    frequencies: Vec<u32>,
    /// How many were added. zlib takes a bit off for each, whatever its word is.
    added: usize,
}

impl Tree {
    /// For these frequencies, with words of so many bits at most.
    fn new(frequencies: &[u32], most_bits: u32) -> Self {
        let symbols = frequencies.len();
        let mut frequencies = frequencies.to_vec();
        let mut heap: Vec<usize> = (0..symbols).filter(|symbol| frequencies[*symbol] > 0).collect();
        let mut last = heap.last().copied();
        let added = 2usize.saturating_sub(heap.len());
        while heap.len() < 2 {
            let node = match last {
                None => 0,
                Some(last) if last < 2 => last + 1,
                Some(_) => 0,
            };
            if last.is_none_or(|last| last < 2) {
                last = Some(node);
            }
            frequencies[node] = 1;
            heap.push(node);
        }
        let last = last.expect("there are two symbols now");
        let used = frequencies.clone();
        // Nodes above the symbols, each with its weight, depth and parent.
        let mut weights = frequencies;
        weights.resize(2 * symbols + 1, 0);
        let (mut depths, mut parents) = (vec![0u32; weights.len()], vec![0usize; weights.len()]);
        for from in (0..heap.len() / 2).rev() {
            sift(&mut heap, from, &weights, &depths);
        }
        let mut taken = Vec::new();
        let mut node = symbols;
        loop {
            let one = heap[0];
            let end = heap.pop().expect("there are two nodes at least");
            heap[0] = end;
            sift(&mut heap, 0, &weights, &depths);
            let other = heap[0];
            taken.extend([one, other]);
            weights[node] = weights[one] + weights[other];
            depths[node] = depths[one].max(depths[other]) + 1;
            (parents[one], parents[other]) = (node, node);
            heap[0] = node;
            node += 1;
            sift(&mut heap, 0, &weights, &depths);
            if heap.len() < 2 {
                break;
            }
        }
        let root = heap[0];
        let lengths = lengths(root, &taken, &parents, last, most_bits);
        Self { codes: words(&lengths[..symbols], most_bits), last, frequencies: used, added }
    }

    /// Bits of all symbols, with their extra bits, as zlib counts them.
    fn bits(&self, extra: impl Fn(usize) -> u32) -> usize {
        let each = self.codes.iter().zip(&self.frequencies).enumerate();
        let bits = each.map(|(symbol, (code, frequency))| *frequency as usize * (code.length + extra(symbol)) as usize);
        bits.sum::<usize>() - self.added
    }
}

/// Moves a node down to where both below it are larger: by weight, then by depth.
fn sift(heap: &mut [usize], from: usize, weights: &[u32], depths: &[u32]) {
    let smaller = |one: usize, other: usize| (weights[one], depths[one]) <= (weights[other], depths[other]);
    let node = heap[from];
    let mut at = from;
    loop {
        let mut below = 2 * at + 1;
        if below >= heap.len() {
            break;
        }
        if below + 1 < heap.len() && smaller(heap[below + 1], heap[below]) {
            below += 1;
        }
        if smaller(node, heap[below]) {
            break;
        }
        heap[at] = heap[below];
        at = below;
    }
    heap[at] = node;
}

/// The length of each node's word. `taken` are all nodes but the root in the order in which they left the heap.
fn lengths(root: usize, taken: &[usize], parents: &[usize], last: usize, most_bits: u32) -> Vec<u32> {
    let mut lengths = vec![0; parents.len()];
    let mut counts = vec![0usize; most_bits as usize + 1];
    let mut overflow = 0i64;
    lengths[root] = 0;
    for node in taken.iter().rev().copied() {
        let mut bits = lengths[parents[node]] + 1;
        if bits > most_bits {
            bits = most_bits;
            overflow += 1;
        }
        lengths[node] = bits;
        if node <= last {
            counts[bits as usize] += 1;
        }
    }
    if overflow == 0 {
        return lengths;
    }
    let most = most_bits as usize;
    while overflow > 0 {
        let bits = (0..most).rev().find(|bits| counts[*bits] > 0).expect("some word is shorter than the longest");
        counts[bits] -= 1;
        counts[bits + 1] += 2;
        counts[most] -= 1;
        overflow -= 2;
    }
    // The lightest symbols get the longest words.
    let mut lightest = taken.iter().copied().filter(|node| *node <= last);
    for bits in (1..=most).rev() {
        for node in lightest.by_ref().take(counts[bits]) {
            lengths[node] = bits as u32;
        }
    }
    lengths
}

/// The words of these lengths (RFC 1951, 3.2.2).
fn words(lengths: &[u32], most_bits: u32) -> Vec<Code> {
    let mut next = vec![0u32; most_bits as usize + 2];
    for bits in 1..=most_bits as usize {
        let shorter = lengths.iter().filter(|length| **length as usize == bits - 1 && bits > 1).count() as u32;
        next[bits] = (next[bits - 1] + shorter) << 1;
    }
    let word = |length: &u32| {
        let place = &mut next[*length as usize];
        let code = Code { code: if *length > 0 { *place } else { 0 }, length: *length };
        *place += 1;
        code
    };
    lengths.iter().map(word).collect()
}

/// The fixed codes of literals and lengths, and of distances.
fn fixed() -> [Vec<Code>; 2] {
    let lengths = (0..288).map(|symbol| match symbol {
        0..144 => 8,
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    });
    [words(&lengths.collect::<Vec<u32>>(), 9), words(&[5; DISTANCE_CODES], 5)]
}

/// The lengths of a tree's words in runs: a length, 16 (repeats the one before), 17 or 18 (zeroes), with extra bits.
fn runs(tree: &Tree, mut put: impl FnMut(usize, u32, u32)) {
    let length = |symbol: usize| if symbol > tree.last { u32::MAX } else { tree.codes[symbol].length };
    let limits = |next: u32, same: bool| match (next, same) {
        (0, _) => (138, 3),
        (_, true) => (6, 3),
        _ => (7, 4),
    };
    let (mut before, mut count) = (u32::MAX, 0);
    let (mut most, mut least) = limits(length(0), false);
    for symbol in 0..=tree.last {
        let (current, next) = (length(symbol), length(symbol + 1));
        count += 1;
        if count < most && current == next {
            continue;
        }
        if count < least {
            (0..count).for_each(|_| put(current as usize, 0, 0));
        } else if current != 0 {
            if current != before {
                put(current as usize, 0, 0);
                count -= 1;
            }
            put(16, count - 3, 2);
        } else if count <= 10 {
            put(17, count - 3, 3);
        } else {
            put(18, count - 11, 7);
        }
        (before, count) = (current, 0);
        (most, least) = limits(next, current == next);
    }
}

/// Writes the block in the shortest of three ways.
fn block(input: &[u8], symbols: &[Symbol]) -> Vec<u8> {
    let (mut literals, mut distances) = ([0; LENGTH_CODES], [0; DISTANCE_CODES]);
    literals[END_OF_BLOCK] = 1;
    for symbol in symbols {
        match *symbol {
            Symbol::Literal(byte) => literals[usize::from(byte)] += 1,
            Symbol::Match { length, distance } => {
                literals[END_OF_BLOCK + 1 + length_code(length).0] += 1;
                distances[distance_code(distance).0] += 1;
            }
        }
    }
    let trees = [Tree::new(&literals, 15), Tree::new(&distances, 15)];
    let mut lengths = [0; BIT_LENGTH_CODES];
    trees.iter().for_each(|tree| runs(tree, |symbol, _, _| lengths[symbol] += 1));
    let lengths = Tree::new(&lengths, 7);
    let written =
        (4..=BIT_LENGTH_CODES).rev().find(|count| lengths.codes[ORDER[count - 1]].length > 0).unwrap_or(4).max(4);

    let length_extra = |symbol: usize| match symbol.checked_sub(END_OF_BLOCK + 1) {
        Some(code) => u32::from(LENGTH_EXTRA[code]),
        None => 0,
    };
    let distance_extra = |symbol: usize| u32::from(DISTANCE_EXTRA[symbol]);
    let run_extra = |symbol: usize| [2, 3, 7].get(symbol.wrapping_sub(16)).copied().unwrap_or(0);
    let dynamic =
        trees[0].bits(length_extra) + trees[1].bits(distance_extra) + lengths.bits(run_extra) + 3 * written + 14;
    let fixed = fixed();
    let fixed_bits: usize = symbols
        .iter()
        .map(|symbol| match *symbol {
            Symbol::Literal(byte) => fixed[0][usize::from(byte)].length,
            Symbol::Match { length, distance } => {
                let symbol = END_OF_BLOCK + 1 + length_code(length).0;
                fixed[0][symbol].length + length_extra(symbol) + 5 + distance_extra(distance_code(distance).0)
            }
        } as usize)
        .sum::<usize>()
        + 7;
    let bytes = |bits: usize| (bits + 3).div_ceil(8);
    let shortest = bytes(dynamic).min(bytes(fixed_bits));
    let mut bits = Bits::default();
    if input.len() + 4 <= shortest {
        bits.put(1, 8);
        let length = input.len() as u16;
        bits.bytes.extend(length.to_le_bytes().into_iter().chain((!length).to_le_bytes()));
        bits.bytes.extend_from_slice(input);
        return bits.bytes;
    }
    let codes = if bytes(fixed_bits) == shortest {
        // The last block, with the fixed codes.
        bits.put(0b011, 3);
        fixed
    } else {
        // The last block, with codes of its own.
        bits.put(0b101, 3);
        bits.put(trees[0].last as u32 - 256, 5);
        bits.put(trees[1].last as u32, 5);
        bits.put(written as u32 - 4, 4);
        ORDER[..written].iter().for_each(|symbol| bits.put(lengths.codes[*symbol].length, 3));
        for tree in &trees {
            runs(tree, |symbol, extra, count| {
                bits.code(lengths.codes[symbol]);
                bits.put(extra, count);
            });
        }
        trees.map(|tree| tree.codes)
    };
    for symbol in symbols {
        match *symbol {
            Symbol::Literal(byte) => bits.code(codes[0][usize::from(byte)]),
            Symbol::Match { length, distance } => {
                let (code, extra) = length_code(length);
                bits.code(codes[0][END_OF_BLOCK + 1 + code]);
                bits.put(extra, u32::from(LENGTH_EXTRA[code]));
                let (code, extra) = distance_code(distance);
                bits.code(codes[1][code]);
                bits.put(extra, u32::from(DISTANCE_EXTRA[code]));
            }
        }
    }
    bits.code(codes[0][END_OF_BLOCK]);
    bits.bytes
}

#[cfg(test)]
mod tests {
    use flate2::{Crc, Decompress, FlushDecompress, Status};
    use proptest::prelude::*;

    use super::*;

    /// What zlib 1.2.13 makes of [`inputs`]: the CRC-32 of all outputs, for memory 8 and 9, unfiltered and filtered, levels 1 to 9.
    const ZLIB: [(u8, bool, [u32; 9]); 4] = [
        (
            8,
            false,
            [
                0xb1a1c552, 0x9f32ea74, 0xc2acf623, 0x120d09c4, 0x0c36c729, 0x8787dd3a, 0x8787dd3a, 0xef12c1e9,
                0xef12c1e9,
            ],
        ),
        (
            8,
            true,
            [
                0xb1a1c552, 0x9f32ea74, 0xc2acf623, 0x78b100b7, 0xac97429c, 0xfd7a00e7, 0xfd7a00e7, 0x89c105fe,
                0x89c105fe,
            ],
        ),
        (
            9,
            false,
            [
                0xb1a1c552, 0x9f32ea74, 0xc2acf623, 0x120d09c4, 0x0c36c729, 0x8787dd3a, 0x8787dd3a, 0xef12c1e9,
                0xef12c1e9,
            ],
        ),
        (
            9,
            true,
            [
                0xb1a1c552, 0x9f32ea74, 0xc2acf623, 0x78b100b7, 0xac97429c, 0xfd7a00e7, 0xfd7a00e7, 0x89c105fe,
                0x89c105fe,
            ],
        ),
    ];

    /// Curves, few letters, noise, nothing, repetitions, very little.
    fn inputs() -> Vec<Vec<u8>> {
        let random = |count: usize, mask: u8| {
            let mut state = 12_345u32;
            let mut next = || {
                state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
                (state >> 16) as u8 & mask
            };
            (0..count).map(|_| next()).collect::<Vec<u8>>()
        };
        let part = random(300, 255);
        let back: Vec<u8> = part.iter().rev().copied().collect();
        vec![
            (0..3000usize).map(|x| (x * x / 7 + x) as u8).collect(),
            random(5000, 3),
            random(700, 255),
            vec![0; 2000],
            [&part[..], &[0; 50], &back, &part].concat().repeat(8),
            random(12, 7),
        ]
    }

    #[test]
    fn every_level_writes_what_zlib_writes() {
        for (memory, filtered, expected) in ZLIB {
            for (level, expected) in (1..).zip(expected) {
                let mut crc = Crc::new();
                let settings = Settings { level, memory, filtered };
                assert!(settings.are_valid());
                inputs().iter().for_each(|input| crc.update(&deflate(input, settings)));
                assert_eq!(crc.sum(), expected, "{settings:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_input_comes_back_from_another_inflate(
            pieces in prop::collection::vec((prop::collection::vec(0..5u8, 1..40), 1..50usize), 0..20),
            level in 1..=9u8, memory in 8..=9u8, filtered: bool,
        ) {
            let input: Vec<u8> = pieces.iter().flat_map(|(piece, times)| piece.repeat(*times)).collect();
            let input = &input[..input.len().min(MAX_INPUT)];
            let stream = deflate(input, Settings { level, memory, filtered });
            let mut output = vec![0; input.len() + 1];
            let mut reader = Decompress::new(false);
            let status = reader.decompress(&stream, &mut output, FlushDecompress::Finish).unwrap();
            prop_assert_eq!(status, Status::StreamEnd);
            prop_assert_eq!(reader.total_in(), stream.len() as u64);
            prop_assert_eq!(&output[..reader.total_out() as usize], input);
        }
    }
}
