//! Where a number stands among eight: what a decoder asks for each symbol, with a comparison of all at once and no branch.
//!
//! Written with vectors because a compiler that may not count bits by an instruction, as for the first x86-64, counts those of the
//! comparison by multiplying.

/// How many of eight numbers, none of which is less than the one before it, are less than this one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(unsafe_code, reason = "vectors are loaded through pointers made of references")]
pub fn rank(numbers: &[i16; 8], of: i16) -> usize {
    use std::arch::x86_64::*;
    // SAFETY: SSE2 is part of x86-64, and eight numbers of two bytes are 16 bytes.
    let less = unsafe {
        let numbers = _mm_loadu_si128(numbers.as_ptr().cast());
        _mm_movemask_epi8(_mm_cmpgt_epi16(_mm_set1_epi16(of), numbers))
    };
    // Two bits a number, the first one lowest.
    (!less | 1 << 16).trailing_zeros() as usize / 2
}

/// How many of eight numbers, none of which is less than the one before it, are less than this one.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn rank(numbers: &[i16; 8], of: i16) -> usize {
    plain(numbers, of)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
fn plain(numbers: &[i16; 8], of: i16) -> usize {
    numbers.iter().map(|number| u16::from(*number < of)).sum::<u16>() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_has_the_rank_that_counting_gives(mut numbers: [i16; 8], other: i16, alike in 0usize..8) {
            numbers.sort_unstable();
            for of in [other, numbers[alike], numbers[alike].wrapping_add(1), i16::MIN, i16::MAX] {
                prop_assert_eq!(rank(&numbers, of), plain(&numbers, of));
            }
            // As those are that are filled up, and none or all that are less.
            numbers[alike..].fill(i16::MAX);
            prop_assert_eq!(rank(&numbers, i16::MAX), plain(&numbers, i16::MAX));
            prop_assert_eq!((rank(&[other; 8], other), rank(&[i16::MIN; 8], i16::MAX)), (0, 8));
        }
    }
}
