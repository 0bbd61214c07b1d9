//! Decoding: symbols in the order in which they were given to the encoder.

use super::{EntropyError, FRESH_LANE, LANE_LENGTH_BITS, LOWER_BOUND, MAX_BITS, MAX_LANES, RAW_PIECE, slots};

/// Reads a stream of `LANES` lanes.
///
/// Whatever the bytes are, it gives symbols and reads nothing behind their end; [`Decoder::finish`] says whether they
/// can be right.
#[derive(Clone, Debug)]
pub struct Decoder<'a, const LANES: usize> {
    states: [u64; LANES],
    /// The lane that has the next symbol.
    turn: usize,
    /// What is left of the words, each in little-endian order.
    words: &'a [[u8; 4]],
    /// Only the state at `turn` is left, because the stream was short or has come near its end. It has all symbols.
    single: bool,
    /// Words that a single state has yet to read, the next one last: what the other lanes were made of.
    spare: [u32; LANES],
    spares: usize,
    /// The lanes were not what they begin with when the words ran out.
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
            return Err(EntropyError::Corrupt { what: "its state begins with a byte of zeroes" });
        }
        let mut eight = [0; 8];
        eight[..state.len()].copy_from_slice(state);
        let mut states = [0; LANES];
        states[0] = u64::from_le_bytes(eight);
        let words = words.as_chunks().0;
        let mut decoder =
            Self { states, turn: 0, words, single: LANES == 1, spare: [0; LANES], spares: 0, astray: false };
        if LANES > 1 && bytes.len() <= 4 * LANES {
            decoder.single = true;
            decoder.spares = decoder.words.len();
            for (spare, word) in decoder.spare.iter_mut().zip(decoder.words.iter().rev()) {
                *spare = u32::from_le_bytes(*word);
            }
            decoder.words = &[];
        }
        decoder.refill();
        if !decoder.single {
            decoder.read_lanes()?;
        }
        Ok(decoder)
    }

    /// The states of the lanes beside the first, which stand in front of all symbols.
    fn read_lanes(&mut self) -> Result<(), EntropyError> {
        let mut first = Decoder::<1> {
            states: [self.states[0]],
            turn: 0,
            words: self.words,
            single: true,
            spare: [0],
            spares: 0,
            astray: false,
        };
        for state in &mut self.states[1..] {
            let below = LOWER_BOUND.ilog2() + first.raw(LANE_LENGTH_BITS) as u32;
            *state = 1 << below | first.raw(below);
        }
        self.states[0] = first.states[0];
        self.words = first.words;
        match self.states[0] < LOWER_BOUND {
            true => Err(EntropyError::Truncated),
            false => Ok(()),
        }
    }

    /// The slot of the next symbol among `2^bits`, `bits` being 0 to 16. [`Decoder::advance`] must follow.
    #[inline]
    pub fn slot(&self, bits: u32) -> u32 {
        debug_assert!(bits <= MAX_BITS);
        let state = self.states[self.turn];
        match state >> bits {
            0 => slots::slot_at(state as u32, bits),
            _ => state as u32 & ((1 << bits) - 1),
        }
    }

    /// Goes on behind the symbol that has `slot`: the one with the slots `start .. start + frequency` of `2^bits`.
    #[inline]
    pub fn advance(&mut self, slot: u32, start: u32, frequency: u32, bits: u32) {
        debug_assert!((start..start + frequency).contains(&slot));
        let state = &mut self.states[self.turn];
        *state = match *state >> bits {
            0 => u64::from(slots::rank(slot, start, frequency)),
            rest => rest * u64::from(frequency) + u64::from(slot - start),
        };
        self.refill();
        if !self.single {
            self.turn = (self.turn + 1) % LANES;
        }
    }

    /// Reads a word if the state needs one and there is one.
    fn refill(&mut self) {
        if self.states[self.turn] >= LOWER_BOUND {
            return;
        }
        if let Some((word, rest)) = self.words.split_first() {
            self.states[self.turn] = self.states[self.turn] << 32 | u64::from(u32::from_le_bytes(*word));
            self.words = rest;
            return;
        }
        if !self.single {
            self.collapse();
        }
        if let Some(spares) = self.spares.checked_sub(1) {
            self.spares = spares;
            self.states[self.turn] = self.states[self.turn] << 32 | u64::from(self.spare[spares]);
        }
    }

    /// The words have ended: the other lanes are now what they began with, and that is a word each.
    fn collapse(&mut self) {
        self.single = true;
        self.spares = LANES - 1;
        for (spare, lane) in self.spare[..LANES - 1].iter_mut().rev().zip(self.turn + 1..) {
            let state = self.states[lane % LANES];
            self.astray |= state >> 32 != FRESH_LANE >> 32;
            *spare = state as u32;
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
            let slot = self.slot(piece);
            self.advance(slot, slot, 1, piece);
            value |= u64::from(slot) << at;
            at += piece;
        }
        value
    }

    /// Ends the stream. It is an error if it was not read to its end, or if it ended before the last symbol.
    ///
    /// Every valid stream passes. Of damaged ones some do, above all short ones: this is no checksum.
    pub fn finish(self) -> Result<(), EntropyError> {
        let corrupt = |what| Err(EntropyError::Corrupt { what });
        if self.astray {
            return corrupt("its lanes do not end as they begin");
        }
        if !self.words.is_empty() || self.spares > 0 || !self.single || self.states[self.turn] != 0 {
            return corrupt("it does not end where its symbols do");
        }
        Ok(())
    }
}
