//! Records made of fields: JSON and CSV as values between literals.
//!
//! A topic's records are alike: the same keys, separators and brackets stand between values that vary. A [`Grammar`] is
//! what was learned of that from samples: *slots* (a value's place, named by its path) and, for each slot, the
//! *literals* that were seen to follow its value with the slot that each leads to. A record is a walk:
//!
//! ```text
//! {"id":            ,"city":"          ","tags":["      ","     "]}
//!       17                   Zagreb                a          b
//! start ──▶ id ──────────────▶ city ──────────────▶ tags[] ─▶ tags[] ──▶ end
//! ```
//!
//! So an optional key, the length of an array, another order of keys, a string where a number was: each is a choice
//! between the literals of one slot, and n optional keys make at most n² literals, never 2ⁿ templates. Where a record
//! goes its own way, its bytes are carried as they are (*foreign* text) up to a key that is known, or to its end.
//!
//! Everything is exact by construction: a record's [`Step`]s laid end to end, literals and all, are its bytes. The
//! grammar need not be right about JSON, it only pays to be. A value's bytes are typed by its [`Kind`] when they are
//! what the kind would write for that number, byte for byte; else they stay text.

mod clock;
mod compound;
mod csv;
mod grammar;
mod json;
mod kind;
mod learn;
mod nature;
mod null;
mod page;
mod walk;

pub use clock::TimeParts;
pub use grammar::{Edge, Grammar, GrammarError, HEX_DIGITS, Scan, Slot, State};
pub use kind::{Clock, Kind, TimeFormat, days_from_civil};
pub use nature::{LEAST_COUNT, Nature, is_sequence, kind, nearly_all, number};
pub use null::{Null, empty_cells, nulls};
pub use page::Page;
pub use walk::{Step, Steps};
