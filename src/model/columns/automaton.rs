//! The contexts of tokens as an automaton: which distribution the next token has is known by the entry of the last one.
//!
//! A text's contexts are found by hashes of the two tokens before, of the one before, and of the column. What follows a token
//! in one context is almost always the same context, so that is looked up once, when the model is made.

use std::collections::VecDeque;

use super::chain::{ChainCounts, ESCAPE, entries};
use super::coding::Source;
use super::dense::Dense;
use super::index::Index;
use super::sparse::{Line, WIDTH, by_slot};
use super::tokens::{Before, LEVELS};

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(u32);

impl State {
    /// Nobody has looked.
    pub const UNKNOWN: Self = Self(u32::MAX);
    /// No context is known: the last resort.
    const DENSE: Self = Self(u32::MAX - 1);
}

/// A line of a distribution, and for each of its entries where its symbol leads. That of the escape leads to the next level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
struct Node {
    entries: Line,
    next: [State; WIDTH],
}

/// What a distribution is that of: its column, and as many of the tokens before as its level looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Context {
    level: usize,
    column: usize,
    before: Before,
}

/// Distributions that know where each token leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Automaton {
    /// By level and key, the first node of a distribution.
    levels: Vec<Index>,
    nodes: Vec<Node>,
    /// What codes a token that no context knows.
    dense: Dense,
    /// For the first line of a distribution, what it is that of, as far as that is known.
    contexts: Vec<Option<Context>>,
    /// By column, where a text begins.
    starts: Vec<State>,
}

impl Automaton {
    /// From what was learned, for texts of so many columns whose end is this symbol.
    pub fn new(counts: &ChainCounts, columns: usize, end: u16) -> Self {
        let mut lines = Vec::new();
        let mut levels = Vec::with_capacity(counts.levels.len());
        for level in &counts.levels {
            levels.push(Index::new(level.sparse.iter().map(|sparse| {
                let first = lines.len();
                Line::write(&entries(&sparse.counts, &level.escapes), &mut lines);
                (sparse.key, first)
            })));
        }
        let nodes: Vec<Node> =
            lines.iter().map(|line| Node { entries: *line, next: [State::UNKNOWN; WIDTH] }).collect();
        let dense = Dense::from_counts(&counts.dense);
        let mut automaton = Self { levels, contexts: vec![None; nodes.len()], nodes, dense, starts: Vec::new() };
        let mut new = VecDeque::new();
        for column in 0..columns {
            let state = automaton.reach(Context { level: 0, column, before: Before::START }, &mut new);
            automaton.starts.push(state);
        }
        // Each distribution comes once, so that this ends soon however an artefact chose its keys.
        while let Some(first) = new.pop_front() {
            let Some(context) = automaton.contexts[first] else { continue };
            let head = automaton.nodes[first].entries;
            for place in 1..=head.count() {
                let (node, lane) = (first + head.line(place), place % WIDTH);
                let symbol = automaton.nodes[node].entries.symbol(lane);
                let state = match symbol {
                    ESCAPE => {
                        let next = Context { level: context.level + 1, ..context };
                        automaton.reach(next, &mut new)
                    }
                    symbol if symbol == end => State::UNKNOWN,
                    // By the column alone it is not known what stood before.
                    _ if context.level + 1 == LEVELS => State::UNKNOWN,
                    symbol => {
                        let mut before = context.before;
                        before.push(symbol);
                        automaton.reach(Context { level: 0, before, ..context }, &mut new)
                    }
                };
                automaton.nodes[node].next[lane] = state;
            }
        }
        automaton
    }

    /// The state of a context: its distribution, or that of the next level that has one.
    fn reach(&mut self, context: Context, new: &mut VecDeque<usize>) -> State {
        for level in context.level..LEVELS {
            let Some(first) = self.find(level, context.before, context.column) else { continue };
            let context = Context { level, before: context.before.seen(level), ..context };
            match self.contexts[first] {
                None => {
                    self.contexts[first] = Some(context);
                    new.push_back(first);
                }
                // Two contexts of one hash: the chain has to be asked each time.
                Some(known) if known != context => return State::UNKNOWN,
                Some(_) => {}
            }
            return State(first as u32);
        }
        State::DENSE
    }

    /// Where a text of a column begins.
    #[inline]
    pub fn start(&self, column: usize) -> State {
        self.starts.get(column).copied().unwrap_or(State::UNKNOWN)
    }

    /// The state behind some tokens, where the chain has to be asked.
    #[inline(never)]
    fn look_up(&self, column: usize, before: Before) -> State {
        for level in 0..LEVELS {
            let Some(first) = self.find(level, before, column) else { continue };
            let context = Context { level, column, before: before.seen(level) };
            return if self.contexts[first] == Some(context) { State(first as u32) } else { State::UNKNOWN };
        }
        State::DENSE
    }

    /// Decodes a token of a column behind others, for which `state` is where they led; gives where it leads.
    #[inline]
    pub fn decode(&self, state: State, column: usize, before: Before, source: &mut impl Source) -> (u16, State) {
        let mut from = None;
        let mut state = if state == State::UNKNOWN { self.look_up(column, before) } else { state };
        while let Some(nodes) = self.nodes.get(state.0 as usize..) {
            let found = source.symbol(|slot| {
                let found = by_slot(|at| &nodes[at].entries, slot);
                (found, found.start, found.frequency)
            });
            from = Some(state.0 as usize);
            state = nodes[nodes[0].entries.line(found.entry)].next[found.entry % WIDTH];
            if found.symbol != ESCAPE {
                return (found.symbol, state);
            }
        }
        let level = self.level(from, state);
        for level in level..LEVELS {
            let Some(first) = self.find(level, before, column) else { continue };
            let symbol = source.symbol(|slot| {
                let found = by_slot(|at| &self.nodes[first + at].entries, slot);
                (found.symbol, found.start, found.frequency)
            });
            if symbol != ESCAPE {
                return (symbol, State::UNKNOWN);
            }
        }
        (self.dense.decode(source), State::UNKNOWN)
    }

    /// The first node of a context's distribution on a level.
    fn find(&self, level: usize, before: Before, column: usize) -> Option<usize> {
        self.levels.get(level)?.find(before.key(level, column))
    }

    /// The level at which the chain goes on behind an escape from a distribution, or begins.
    fn level(&self, from: Option<usize>, state: State) -> usize {
        match from {
            _ if state == State::DENSE => LEVELS,
            None => 0,
            Some(first) => self.contexts[first].map_or(LEVELS, |context| context.level + 1),
        }
    }
}
