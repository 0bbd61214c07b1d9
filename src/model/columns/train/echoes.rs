//! Which columns' texts are those of another column.

use std::collections::HashSet;

use super::contexts::thinned;
use super::trace::{FOREIGN, Trace};
use crate::model::columns::echo::{Case, Echo};
use crate::model::columns::registers::is_number;

/// Fewest new texts of a column that tell, and most that are asked.
const LEAST: usize = 32;
const MOST: usize = 4_000;

/// One in so many new texts must be an echo.
const SHARE: u32 = 4;

/// What a column is asked, text by text.
#[derive(Default)]
struct Asked<'a> {
    seen: HashSet<&'a [u8]>,
    texts: u32,
    /// By other column and case, how many of the texts it makes.
    hits: Vec<[u32; 4]>,
}

/// For each slot, the echo that makes most of the texts that were new when they came. Those that come again have symbols of
/// their own.
pub(super) fn search(slots: usize, trace: &Trace<'_>, registers: &[i64], alone: bool) -> Vec<Option<Echo>> {
    let mut asked: Vec<Asked<'_>> = (0..slots).map(|_| Asked::default()).collect();
    let mut last: Vec<&[u8]> = vec![b""; slots];
    // Each text is compared with all columns.
    let most = thinned(thinned(MOST, LEAST, slots), LEAST, slots) as u32;
    for (at, event) in trace.events.iter().enumerate() {
        if event.first && alone {
            last.fill(b"");
        }
        let Some(text) = trace.value(event).filter(|_| event.column != FOREIGN) else { continue };
        let slot = usize::from(event.column);
        let asked = &mut asked[slot];
        if !is_number(registers[at]) && !text.is_empty() && asked.texts < most && asked.seen.insert(text) {
            asked.texts += 1;
            asked.hits.resize(slots, [0; 4]);
            for (hits, other) in asked.hits.iter_mut().zip(&last) {
                for (hits, case) in hits.iter_mut().zip(Case::ALL) {
                    *hits += u32::from(case.makes(other, text));
                }
            }
            // A column is no echo of itself: what it was is remembered anyway.
            asked.hits[slot] = [0; 4];
        }
        last[slot] = text;
    }
    let best = |asked: Asked<'_>| {
        let all = asked.hits.iter().enumerate().flat_map(|(column, hits)| {
            hits.iter().zip(Case::ALL).map(move |(hits, case)| (*hits, Echo { column: column as u16, case }))
        });
        // The first of equals is the simplest.
        let (hits, echo) = all.rev().max_by_key(|(hits, _)| *hits)?;
        (asked.texts as usize >= LEAST && hits * SHARE >= asked.texts).then_some(echo)
    };
    asked.into_iter().map(best).collect()
}
