//! Encoding: symbols are gathered in the order of decoding and coded backwards.

use super::{FRESH_LANE, Interval, LANE_LENGTH_BITS, LOWER_BOUND, MAX_LANES, RAW_PIECE, Slots, slots};

/// Takes what a decoder shall give, in its order, and writes the stream at the end.
///
/// It is reused from stream to stream and keeps its memory: 20 bytes for each symbol of the longest one, or 10 where symbols are
/// [`Share`](super::Share)s.
#[derive(Clone, Debug)]
pub struct Encoder<S = Interval> {
    symbols: Vec<S>,
    /// Words in the order in which the states gave them away, the last one in the order of decoding first.
    words: Vec<u32>,
}

impl<S> Default for Encoder<S> {
    fn default() -> Self {
        Self { symbols: Vec::new(), words: Vec::new() }
    }
}

impl<S: Slots> Encoder<S> {
    /// Adds a symbol.
    #[inline]
    pub fn push(&mut self, interval: S) {
        self.symbols.push(interval);
    }

    /// Adds symbols.
    #[inline]
    pub fn extend(&mut self, intervals: impl IntoIterator<Item = S>) {
        self.symbols.extend(intervals);
    }

    /// Adds the low `bits` bits of `value`, 64 at most. They take so many bits of the stream.
    #[inline]
    pub fn push_raw(&mut self, value: u64, bits: u32) {
        debug_assert!(bits <= u64::BITS);
        let (mut value, mut left) = (value, bits);
        while left > 0 {
            let piece = left.min(RAW_PIECE);
            self.symbols.push(raw(value, piece));
            value >>= piece;
            left -= piece;
        }
    }

    /// How many symbols wait, pieces of raw bits included.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Forgets what waits behind the first `len` symbols.
    pub fn truncate(&mut self, len: usize) {
        self.symbols.truncate(len);
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.symbols.clear();
    }

    /// Appends the stream of all that waits to `output`, and forgets it. The stream does not say how long it is.
    pub fn finish<const LANES: usize>(&mut self, output: &mut Vec<u8>) {
        const { assert!(1 <= LANES && LANES <= MAX_LANES) };
        self.words.clear();
        let mut backwards = self.symbols.iter().rev();
        let mut state = 0;
        // One state takes all until it is full, and what it gave away fills the other lanes.
        while state < LOWER_BOUND || self.words.len() < LANES - 1 {
            let Some(interval) = backwards.next() else { break };
            state = push(state, *interval, &mut self.words);
        }
        let left = backwards.len();
        if state >= LOWER_BOUND && self.words.len() == LANES - 1 {
            let mut states = [0; LANES];
            let turn = left % LANES;
            states[turn] = state;
            for lane in (turn + 1..turn + LANES).rev() {
                // The last word goes to the lane whose turn is next.
                states[lane % LANES] = FRESH_LANE | u64::from(self.words[turn + LANES - 1 - lane]);
            }
            self.words.clear();
            push_all(&mut states, &self.symbols[..left], &mut self.words);
            state = states[0];
            for other in states[1..].iter().rev() {
                state = self.push_lane(state, *other);
            }
        }
        self.symbols.clear();
        self.write(state, output);
    }

    /// Puts the state of another lane into that of the first: its length, then its bits below the leading one.
    fn push_lane(&mut self, state: u64, other: u64) -> u64 {
        let below = other.ilog2();
        let mut state = state;
        let pieces = (0..below).step_by(RAW_PIECE as usize);
        for at in pieces.rev() {
            state = push(state, raw::<S>(other >> at, RAW_PIECE.min(below - at)), &mut self.words);
        }
        let length = below - LOWER_BOUND.ilog2();
        push(state, raw::<S>(u64::from(length), LANE_LENGTH_BITS), &mut self.words)
    }

    /// Writes the state in as few bytes as it has, and the words in the order of reading.
    fn write(&mut self, mut state: u64, output: &mut Vec<u8>) {
        // With words there are four to seven bytes of it, so that the length of the stream tells how many.
        if state >> 56 != 0 {
            self.words.push(state as u32);
            state >>= 32;
        }
        let bytes = u64::BITS.div_ceil(8) - state.leading_zeros() / 8;
        output.extend_from_slice(&state.to_le_bytes()[..bytes as usize]);
        output.extend(self.words.iter().rev().flat_map(|word| word.to_le_bytes()));
    }
}

/// Raw bits are a symbol of one slot.
fn raw<S: Slots>(value: u64, bits: u32) -> S {
    S::new(value as u32 & ((1 << bits) - 1), 1, bits)
}

/// Takes all symbols, the last one first, in states that are full: `LOWER_BOUND` or more. The symbol at a place goes to
/// the lane of that number, modulo `LANES`.
fn push_all<S: Slots, const LANES: usize>(states: &mut [u64; LANES], symbols: &[S], words: &mut Vec<u32>) {
    // A symbol gives away a word at most. One is written for each, and the next overwrites it if it was not given.
    let before = words.len();
    words.resize(before + symbols.len(), 0);
    let room = &mut words[before..];
    let mut given = 0;
    let mut lanes = *states;
    let mut take = |state: &mut u64, interval: &S| {
        let full = interval.overflows(*state);
        room[given] = *state as u32;
        given += usize::from(full);
        *state = interval.push(if full { *state >> 32 } else { *state });
    };
    let (rounds, rest) = symbols.as_chunks::<LANES>();
    for (state, interval) in lanes.iter_mut().zip(rest).rev() {
        take(state, interval);
    }
    for round in rounds.iter().rev() {
        for (state, interval) in lanes.iter_mut().zip(round).rev() {
            take(state, interval);
        }
    }
    words.truncate(before + given);
    *states = lanes;
}

/// The state after a symbol, with the word that it gave away for it.
fn push<S: Slots>(mut state: u64, interval: S, words: &mut Vec<u32>) -> u64 {
    if state < u64::from(interval.frequency()) {
        let position = slots::position(state as u32, interval.start(), interval.frequency(), interval.bits());
        return u64::from(position);
    }
    if interval.overflows(state) {
        words.push(state as u32);
        state >>= 32;
    }
    interval.push(state)
}
