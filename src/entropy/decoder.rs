//! Decoding: symbols in the order in which they were given to the encoder.

use std::hint::select_unpredictable;

use super::{EntropyError, FRESH_LANE, LANE_LENGTH_BITS, LOWER_BOUND, MAX_BITS, MAX_LANES, RAW_PIECE, slots};

/// Reads a stream of `LANES` lanes.
///
/// Whatever the bytes are, it gives symbols and reads nothing behind their end; [`Decoder::finish`] says whether they
/// can be right. It is fastest as a local variable: then its states stay in registers.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a, const LANES: usize> {
    /// The lanes. Up to two are kept in the order of their turns, so that they can live in registers.
    states: [u64; LANES],
    /// With more than two, the lane that has the next symbol.
    next: usize,
    /// The words, each in little-endian order, and how many were read.
    words: &'a [[u8; 4]],
    read: usize,
    end: End<LANES>,
}

/// What goes on when the words have ended, or when they are too few for all lanes.
#[derive(Clone, Copy, Debug)]
struct End<const LANES: usize> {
    /// The first state is the only one. It takes all turns.
    single: bool,
    /// Words that it has yet to read, the next one last, and how many: what the other lanes began with.
    words: [u32; LANES],
    left: usize,
    /// The lanes were not as they begin when the words had ended.
    astray: bool,
}

impl<'a, const LANES: usize> Decoder<'a, LANES> {
    /// Begins with a stream, which is all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Result<Self, EntropyError> {
        const { assert!(1 <= LANES && LANES <= MAX_LANES) };
        let (state, words) = match bytes.len() {
            ..8 => (bytes, &[][..]),
            len => bytes.split_at(4 + len % 4),
        };
        if state.last() == Some(&0) {
            return Err(EntropyError::Corrupt { what: "the state has a leading byte of zeroes" });
        }
        let mut eight = [0; 8];
        eight[..state.len()].copy_from_slice(state);
        let state = u64::from_le_bytes(eight);
        let words = words.as_chunks().0;
        if bytes.len() <= 4 * LANES {
            return Self::short(state, words);
        }
        let mut states = [0; LANES];
        let mut first = Decoder::<1> { states: [state], next: 0, words, read: 0, end: End::new(true) };
        first.states[0] = first.refilled(state);
        for state in &mut states[1..] {
            let below = LOWER_BOUND.ilog2() + first.raw(LANE_LENGTH_BITS) as u32;
            *state = 1 << below | first.raw(below);
        }
        states[0] = first.states[0];
        match states[0] < LOWER_BOUND && LANES > 1 {
            true => Err(EntropyError::Truncated),
            false => Ok(Self { states, next: 0, words, read: first.read, end: End::new(LANES == 1) }),
        }
    }

    /// A stream that is too short for more than one lane.
    fn short(state: u64, words: &[[u8; 4]]) -> Result<Self, EntropyError> {
        let mut end = End::new(true);
        for (word, bytes) in end.words.iter_mut().zip(words.iter().rev()) {
            *word = u32::from_le_bytes(*bytes);
        }
        end.left = words.len();
        let mut states = [0; LANES];
        states[0] = end.refilled(state);
        // With a word for each lane beside the first, an encoder takes all lanes.
        match LANES > 1 && end.left >= LANES - 1 {
            true => Err(EntropyError::Corrupt { what: "the stream is too short for its lanes and too long for one" }),
            false => Ok(Self { states, next: 0, words: &[], read: 0, end }),
        }
    }

    /// Decodes one symbol. `find` is given a slot below `2^bits` and says whose it is: the symbol, the first slot and
    /// the number of slots of the interval that it lies in. `bits` is 0 to 16.
    #[inline(always)]
    pub fn decode<S>(&mut self, bits: u32, find: impl FnOnce(u32) -> (S, u32, u32)) -> S {
        debug_assert!(bits <= MAX_BITS);
        let state = self.states[self.current()];
        let word = self.words.get(self.read);
        // `find` stands here once, so that it becomes part of the caller however large it is.
        let slot = match (word, state >> bits) {
            (None, 0) => slots::slot_at(state as u32, bits),
            _ => state as u32 & ((1 << bits) - 1),
        };
        let (symbol, start, frequency) = find(slot);
        match word {
            Some(word) => {
                let (state, taken) = step(state, bits, *word, slot, start, frequency);
                self.read += usize::from(taken);
                self.turn(state);
            }
            // With one lane there is nothing to fill up any more, and a short record has many symbols in its last state.
            None if LANES == 1 && self.end.left == 0 && state >> bits != 0 => {
                self.states[0] = behind(state, bits, slot, start, frequency);
            }
            // By value: a decoder whose address is given away cannot live in registers.
            None => *self = self.step_at_the_end(bits, slot, start, frequency),
        }
        symbol
    }

    /// Fills `output` with symbols of one table, as [`Decoder::decode`] would one by one.
    pub fn decode_all<S>(&mut self, bits: u32, output: &mut [S], find: impl Fn(u32) -> (S, u32, u32)) {
        debug_assert!(bits <= MAX_BITS);
        let mut states = self.by_turns();
        let mut words = &self.words[self.read..];
        let mut done = 0;
        // Whole rounds, while there is a word for each lane: every lane has its place, and states stay in registers.
        for round in output.as_chunks_mut::<LANES>().0 {
            let Some(next) = words.first_chunk::<LANES>() else { break };
            let mut read = 0;
            for (state, symbol) in states.iter_mut().zip(round) {
                let slot = *state as u32 & ((1 << bits) - 1);
                let (found, start, frequency) = find(slot);
                let taken;
                (*state, taken) = step(*state, bits, next[read], slot, start, frequency);
                *symbol = found;
                read += usize::from(taken);
            }
            words = &words[read..];
            done += LANES;
        }
        self.states = states;
        self.next = 0;
        self.read = self.words.len() - words.len();
        for symbol in &mut output[done..] {
            *symbol = self.decode(bits, &find);
        }
    }

    /// Takes the symbol of a slot when all words were read.
    #[cold]
    #[inline(never)]
    fn step_at_the_end(mut self, bits: u32, slot: u32, start: u32, frequency: u32) -> Self {
        let state = match self.states[self.current()] >> bits {
            0 => u64::from(slots::rank(slot, start, frequency)),
            rest => rest * u64::from(frequency) + u64::from(slot - start),
        };
        if !self.end.single && state < LOWER_BOUND {
            self.end = End::of_lanes(&self.by_turns());
        }
        let state = self.end.refilled(state);
        match self.end.single {
            true => self.states[self.current()] = state,
            false => self.turn(state),
        }
        self
    }

    /// Ends the turn of the first lane.
    #[inline(always)]
    fn turn(&mut self, state: u64) {
        match LANES {
            1 => self.states[0] = state,
            2 => self.states = std::array::from_fn(|lane| if lane == 0 { self.states[1] } else { state }),
            _ => {
                self.states[self.next] = state;
                self.next = (self.next + 1) % LANES;
            }
        }
    }

    /// The lane whose turn it is.
    #[inline(always)]
    const fn current(&self) -> usize {
        if LANES > 2 { self.next } else { 0 }
    }

    /// The states in the order of their turns.
    fn by_turns(&self) -> [u64; LANES] {
        std::array::from_fn(|lane| self.states[(self.current() + lane) % LANES])
    }

    /// The state with a word, if it needs one and there is one.
    fn refilled(&mut self, state: u64) -> u64 {
        match self.words.get(self.read) {
            Some(word) if state < LOWER_BOUND => {
                self.read += 1;
                state << 32 | u64::from(u32::from_le_bytes(*word))
            }
            _ => state,
        }
    }

    /// The next `bits` raw bits, 64 at most.
    #[inline]
    pub fn raw(&mut self, bits: u32) -> u64 {
        debug_assert!(bits <= u64::BITS);
        let mut value = 0;
        let mut at = 0;
        while at < bits {
            let piece = RAW_PIECE.min(bits - at);
            value |= self.decode(piece, |slot| (u64::from(slot), slot, 1)) << at;
            at += piece;
        }
        value
    }

    /// Ends the stream. It is an error if it was not read to its end, or if it ended before the last symbol.
    ///
    /// Every valid stream passes. Of damaged ones some do, above all short ones: this is no checksum.
    pub fn finish(self) -> Result<(), EntropyError> {
        if self.end.astray {
            return Err(EntropyError::Corrupt { what: "the lanes do not end as they begin" });
        }
        if self.read < self.words.len() || self.end.left > 0 || !self.end.single || self.states[self.current()] != 0 {
            return Err(EntropyError::Corrupt { what: "the stream does not end where its symbols do" });
        }
        Ok(())
    }
}

/// The state behind a symbol of its slot.
#[inline(always)]
fn behind(state: u64, bits: u32, slot: u32, start: u32, frequency: u32) -> u64 {
    (state >> bits) * u64::from(frequency) + u64::from(slot - start)
}

/// Takes the symbol of its slot out of a state of 2^31 or more: the state after it, and whether that took the word.
#[inline(always)]
fn step(state: u64, bits: u32, word: [u8; 4], slot: u32, start: u32, frequency: u32) -> (u64, bool) {
    let state = behind(state, bits, slot, start, frequency);
    // It is 2^15 at least, so that one word is enough. Whether it takes one is as good as random.
    let low = state < LOWER_BOUND;
    let refilled = state << 32 | u64::from(u32::from_le_bytes(word));
    (select_unpredictable(low, refilled, state), low)
}

impl<const LANES: usize> End<LANES> {
    fn new(single: bool) -> Self {
        Self { single, words: [0; LANES], left: 0, astray: false }
    }

    /// The first lane needs a word, and all were read: the other lanes are now as they began, with a word in each.
    fn of_lanes(states: &[u64; LANES]) -> Self {
        let mut end = Self { left: LANES - 1, ..Self::new(true) };
        for (word, state) in end.words.iter_mut().zip(states[1..].iter().rev()) {
            *word = *state as u32;
            end.astray |= state >> 32 != FRESH_LANE >> 32;
        }
        end
    }

    /// The state with a word, if it needs one and there is one.
    fn refilled(&mut self, state: u64) -> u64 {
        match self.left.checked_sub(1) {
            Some(left) if state < LOWER_BOUND => {
                self.left = left;
                state << 32 | u64::from(self.words[left])
            }
            _ => state,
        }
    }
}
