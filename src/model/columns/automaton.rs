//! The contexts of tokens as an automaton: which distribution the next token has is known by the entry of the last one.
//!
//! A text's contexts are found by hashes of the two tokens before, of the one before, and of the column. What follows a token
//! in one context is almost always the same context, so that is looked up once, when the model is made.

use std::collections::VecDeque;

use super::chain::{ChainCounts, ESCAPE, entries};
use super::coding::{Source, TOTAL};
use super::dense::Dense;
use super::index::Index;
use super::sieve::Sieve;
use super::sparse::{Line, Table};
use super::tokens::{Before, LEVELS};

/// Where to go on: a node, or a distribution of one symbol, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(u32);

impl State {
    /// Nobody has looked.
    pub const UNKNOWN: Self = Self(1 << 31);
    /// No context is known: the last resort.
    const DENSE: Self = Self(1 << 31 | 1);
    /// Added where the context of two tokens has to be asked first: only the last token was known.
    const ASK: u32 = 1 << 30;
    /// Added to the number of a distribution of one symbol.
    const SINGLE: u32 = 1 << 29;

    /// Whether it is a distribution.
    const fn is_known(self) -> bool {
        self.0 < Self::ASK
    }
}

/// Symbols of a line, which is a cache line with where they lead.
const SYMBOLS: usize = 7;

/// A line of a distribution, and where each of its symbols leads. The escape leads to the next level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
struct Node {
    line: Line<SYMBOLS>,
    next: [State; SYMBOLS],
}

/// A distribution of one symbol, as most are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(16))]
struct Single {
    symbol: u16,
    /// Where the slots of the escape begin.
    escape: u16,
    /// Where the symbol leads, and the escape.
    next: [State; 2],
}

/// What a distribution is that of: its column, and as many of the tokens before as its level looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Context {
    level: u8,
    column: u16,
    before: Before,
}

/// Distributions that know where each token leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Automaton {
    /// By level and key, the state of a distribution.
    levels: Vec<Index>,
    /// Of two symbols and more.
    nodes: Vec<Node>,
    singles: Vec<Single>,
    /// What codes a token that no context knows.
    dense: Dense,
    /// For the first line of a distribution, how many lines it has, and what it is that of, as far as that is known.
    contexts: Vec<(u32, Option<Context>)>,
    /// The latter for those of one symbol.
    single_contexts: Vec<Option<Context>>,
    /// By column, where a text begins.
    starts: Vec<State>,
    /// Keys of two tokens for which there is a distribution.
    pairs: Sieve,
}

impl Automaton {
    /// From what was learned, for texts of so many columns whose end is this symbol.
    pub fn new(counts: &ChainCounts, columns: usize, end: u16) -> Self {
        let (mut lines, mut singles, mut extents) = (Vec::new(), Vec::new(), Vec::new());
        let mut levels = Vec::with_capacity(counts.levels.len());
        for level in &counts.levels {
            levels.push(Index::new(level.sparse.iter().map(|sparse| {
                let entries = entries(&sparse.counts, &level.escapes);
                let state = match entries[..] {
                    // An escape has a slot at least and leaves one.
                    [(symbol, _), (_, escape)] => {
                        singles.push(Single { symbol, escape: escape as u16, next: [State::UNKNOWN; 2] });
                        State::SINGLE | (singles.len() - 1) as u32
                    }
                    _ => {
                        let first = lines.len();
                        let table = Table::write(&entries, &mut lines);
                        extents.push((first, lines.len() - first));
                        table.0
                    }
                };
                (sparse.key, state)
            })));
        }
        let nodes: Vec<Node> = lines.iter().map(|line| Node { line: *line, next: [State::UNKNOWN; SYMBOLS] }).collect();
        let mut contexts = vec![(0, None); nodes.len()];
        extents.iter().for_each(|(first, count)| contexts[*first].0 = *count as u32);
        let mut automaton = Self {
            levels,
            contexts,
            single_contexts: vec![None; singles.len()],
            nodes,
            singles,
            dense: Dense::from_counts(&counts.dense),
            starts: Vec::new(),
            pairs: Sieve::new(
                counts.levels.first().map_or(&[][..], |level| &level.sparse).iter().map(|sparse| sparse.key),
            ),
        };
        let mut new = VecDeque::new();
        for column in 0..columns as u16 {
            let state = automaton.reach(Context { level: 0, column, before: Before::START }, &mut new);
            automaton.starts.push(state);
        }
        // Each distribution comes once, so that this ends soon however an artefact chose its keys.
        while let Some(state) = new.pop_front() {
            let Some(context) = automaton.context(state).copied().flatten() else { continue };
            if let Some(at) = automaton.single(state) {
                let symbol = automaton.singles[at].symbol;
                automaton.singles[at].next =
                    [symbol, ESCAPE].map(|symbol| automaton.lead(context, symbol, end, &mut new));
                continue;
            }
            let first = Table(state.0).first();
            for node in first..first + automaton.contexts[first].0 as usize {
                for (place, symbol) in (*automaton.nodes[node].line.symbols()).into_iter().enumerate() {
                    automaton.nodes[node].next[place] = automaton.lead(context, symbol, end, &mut new);
                }
            }
        }
        automaton
    }

    /// Where a symbol of a context leads, or its escape.
    fn lead(&mut self, context: Context, symbol: u16, end: u16, new: &mut VecDeque<State>) -> State {
        let Context { level, column, mut before } = context;
        if symbol == ESCAPE {
            return self.reach(Context { level: level + 1, ..context }, new);
        }
        if symbol == end {
            return State::UNKNOWN;
        }
        before.push(symbol);
        if usize::from(level) + 1 < LEVELS {
            return self.reach(Context { level: 0, column, before }, new);
        }
        // By the column alone it is not known what stood before the symbol.
        match self.reach(Context { level: 1, column, before: before.seen(1) }, new) {
            State::UNKNOWN => State::UNKNOWN,
            State(state) => State(state | State::ASK),
        }
    }

    /// The state of a context: its distribution, or that of the next level that has one.
    fn reach(&mut self, context: Context, new: &mut VecDeque<State>) -> State {
        for level in usize::from(context.level)..LEVELS {
            let Some(state) = self.find(level, context.before, context.column) else { continue };
            let context = Context { level: level as u8, before: context.before.seen(level), ..context };
            let known = match self.single(state) {
                Some(at) => &mut self.single_contexts[at],
                None => &mut self.contexts[Table(state.0).first()].1,
            };
            match known {
                None => {
                    *known = Some(context);
                    new.push_back(state);
                }
                // Two contexts of one hash: the chain has to be asked each time.
                Some(known) if *known != context => return State::UNKNOWN,
                Some(_) => {}
            }
            return state;
        }
        State::DENSE
    }

    /// The number of a distribution of one symbol.
    #[inline]
    fn single(&self, state: State) -> Option<usize> {
        let at = (state.0 ^ State::SINGLE) as usize;
        (at < self.singles.len()).then_some(at)
    }

    /// What a distribution is that of.
    fn context(&self, state: State) -> Option<&Option<Context>> {
        match self.single(state) {
            Some(at) => self.single_contexts.get(at),
            None => self.contexts.get(Table(state.0).first()).map(|(_, context)| context),
        }
    }

    /// Where a text of a column begins.
    #[inline]
    pub fn start(&self, column: usize) -> State {
        self.starts.get(column).copied().unwrap_or(State::UNKNOWN)
    }

    /// The state behind some tokens, where the chain has to be asked for the levels below `levels`. Where these know nothing, it is
    /// `otherwise`.
    #[inline(never)]
    fn look_up(&self, column: u16, before: Before, levels: usize, otherwise: State) -> State {
        for level in 0..levels {
            let Some(state) = self.find(level, before, column) else { continue };
            let context = Context { level: level as u8, column, before: before.seen(level) };
            return if self.context(state) == Some(&Some(context)) { state } else { State::UNKNOWN };
        }
        otherwise
    }

    /// Decodes a token of a column behind others, for which `state` is where they led; gives where it leads.
    #[inline]
    pub fn decode(&self, state: State, column: u16, before: Before, source: &mut impl Source) -> (u16, State) {
        let mut from = None;
        let mut state = match state {
            state if state.is_known() => state,
            State::UNKNOWN => self.look_up(column, before, LEVELS, State::DENSE),
            State(state) if !self.pairs.may_have(before.key(0, usize::from(column))) => State(state & !State::ASK),
            State(state) => self.look_up(column, before, 1, State(state & !State::ASK)),
        };
        loop {
            if let Some(Single { symbol, escape, next }) = self.single(state).map(|at| &self.singles[at]) {
                let split = u32::from(*escape);
                let is_escape = source.symbol(|slot| match slot < split {
                    true => (false, 0, split),
                    false => (true, split, TOTAL - split),
                });
                if !is_escape {
                    return (*symbol, next[0]);
                }
                from = Some(state);
                state = next[1];
                continue;
            }
            if !state.is_known() {
                break;
            }
            let found = source.symbol(|slot| {
                let found = Table(state.0).by_slot(|at| &self.nodes[at].line, slot);
                (found, found.start, found.frequency)
            });
            from = Some(state);
            state = self.nodes[found.line].next[found.place];
            if found.symbol != ESCAPE {
                return (found.symbol, state);
            }
        }
        (self.decode_below(from, state, column, before, source), State::UNKNOWN)
    }

    /// Decodes a token of which the automaton has no more to say than where the chain goes on.
    #[inline(never)]
    fn decode_below(
        &self,
        from: Option<State>,
        state: State,
        column: u16,
        before: Before,
        source: &mut impl Source,
    ) -> u16 {
        for level in self.level(from, state)..LEVELS {
            let Some(state) = self.find(level, before, column) else { continue };
            let symbol = match self.single(state) {
                Some(at) => {
                    let Single { symbol, escape, .. } = self.singles[at];
                    let split = u32::from(escape);
                    source.symbol(|slot| match slot < split {
                        true => (symbol, 0, split),
                        false => (ESCAPE, split, TOTAL - split),
                    })
                }
                None => source.symbol(|slot| {
                    let found = Table(state.0).by_slot(|at| &self.nodes[at].line, slot);
                    (found.symbol, found.start, found.frequency)
                }),
            };
            if symbol != ESCAPE {
                return symbol;
            }
        }
        self.dense.decode(source)
    }

    /// The distribution of a context on a level.
    fn find(&self, level: usize, before: Before, column: u16) -> Option<State> {
        self.levels.get(level)?.find(before.key(level, usize::from(column))).map(State)
    }

    /// The level at which the chain goes on behind an escape from a distribution, or begins.
    fn level(&self, from: Option<State>, state: State) -> usize {
        match from {
            _ if state == State::DENSE => LEVELS,
            None => 0,
            Some(from) => match self.context(from) {
                Some(Some(context)) => usize::from(context.level) + 1,
                _ => LEVELS,
            },
        }
    }
}
