//! A grammar from samples.

use std::collections::HashMap;

use super::compound::Gathered;
use super::grammar::{Edge, Grammar, MAX_ALL_EDGES, MAX_EDGES, MAX_LITERAL_BYTES, MAX_SLOTS, Scan, Slot, State};
use super::{csv, json};

/// A value that was found in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scalar {
    /// Its path or column, as a number.
    pub place: usize,
    /// Whether it stands between quotes, which are not among its bytes.
    pub quoted: bool,
    /// Which part of the value at the place it is, and how far that reaches, where values there are made of parts.
    pub part: Option<(Part, Scan)>,
    pub start: usize,
    pub end: usize,
}

/// Which part of a value that is made of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// One of several, by its number.
    Of(u8),
    /// The one that says all there is to say: what stands around it goes by the name of syntax.
    Main,
}

/// What the samples are written in.
enum Format {
    Json,
    Csv(u8),
    Unknown,
}

/// Most samples that are looked at to tell the format.
const LOOKED_AT: usize = 1000;

/// Samples from which on a literal must have been seen twice.
const MANY: usize = 64;

impl Grammar {
    /// Learns a grammar from samples. Samples that are written in another format than most are passed over; where most
    /// have none that is known, a record is one value.
    pub fn learn(samples: &[&[u8]]) -> Self {
        let mut learner = Learner::default();
        match format(samples) {
            Format::Json => {
                let mut paths = json::Paths::new();
                let mut found = Vec::new();
                for sample in samples {
                    let _ = json::scalars(sample, &mut paths, &mut found);
                }
                paths.with_tuples();
                let mut gathered = Gathered::default();
                for sample in samples {
                    if json::scalars(sample, &mut paths, &mut found).is_some() {
                        gathered.note(sample, &found);
                    }
                }
                let shapes = gathered.shapes();
                for sample in samples {
                    if json::scalars(sample, &mut paths, &mut found).is_some() {
                        shapes.split(sample, &mut found);
                        let scan = |quoted| if quoted { Scan::JsonString } else { Scan::JsonBare };
                        learner.walk(sample, &found, scan);
                    }
                }
                learner.finish(|place| paths.name(place))
            }
            Format::Csv(delimiter) => {
                let mut found = Vec::new();
                let mut gathered = Gathered::default();
                for sample in samples {
                    if csv::scalars(sample, delimiter, &mut found).is_some() {
                        gathered.note(sample, &found);
                    }
                }
                let shapes = gathered.shapes();
                for sample in samples {
                    if csv::scalars(sample, delimiter, &mut found).is_some() {
                        shapes.split(sample, &mut found);
                        let scan = |quoted| if quoted { Scan::CsvQuoted } else { Scan::CsvPlain(delimiter) };
                        learner.walk(sample, &found, scan);
                    }
                }
                learner.finish(|place| Some(csv::name(place)))
            }
            Format::Unknown => {
                let slots = vec![Slot { name: String::new(), scan: Scan::Rest }];
                let edge = |target| State { edges: vec![Edge { literal: Vec::new(), target }] };
                Self::new(slots, vec![edge(Some(0)), edge(None)]).expect("one slot and two literals are a grammar")
            }
        }
    }
}

/// What most samples are written in.
fn format(samples: &[&[u8]]) -> Format {
    let step = samples.len().div_ceil(LOOKED_AT).max(1);
    let some: Vec<&[u8]> = samples.iter().copied().step_by(step).collect();
    let (mut paths, mut found) = (json::Paths::new(), Vec::new());
    let json = |sample: &&&[u8]| {
        matches!(sample.trim_ascii_start().first(), Some(b'{' | b'['))
            && json::scalars(sample, &mut paths, &mut found).is_some()
    };
    if some.iter().filter(json).count() * 2 >= some.len().max(1) {
        return Format::Json;
    }
    // The delimiter that cuts most samples into the same number of cells, more than one.
    let mut best = (0, 0, 0);
    for delimiter in csv::DELIMITERS {
        let mut widths = HashMap::new();
        let mut found = Vec::new();
        for sample in &some {
            if csv::scalars(sample, delimiter, &mut found).is_some() {
                *widths.entry(found.len()).or_insert(0usize) += 1;
            }
        }
        let common = widths.into_iter().filter(|(width, _)| *width > 1).max_by_key(|(width, count)| (*count, *width));
        if let Some((width, count)) = common
            && (count, width) > (best.0, best.1)
        {
            best = (count, width, delimiter);
        }
    }
    if best.0 * 5 >= some.len() * 3 && best.0 > 0 { Format::Csv(best.2) } else { Format::Unknown }
}

/// Counts slots and literals.
#[derive(Default)]
struct Learner {
    slots: HashMap<(usize, Option<Part>, Scan), usize>,
    /// Place, part, scan and how often it was met.
    seen: Vec<(usize, Option<Part>, Scan, usize)>,
    /// By slot + 1 (0 is the start), the literal and the slot + 1 that it leads to (0 is the end).
    edges: HashMap<(usize, Vec<u8>, usize), usize>,
    samples: usize,
}

impl Learner {
    fn walk(&mut self, sample: &[u8], found: &[Scalar], scan: impl Fn(bool) -> Scan) {
        self.samples += 1;
        let (mut from, mut at) = (0, 0);
        for scalar in found {
            let place = match scalar.part {
                None => (scalar.place, None, scan(scalar.quoted)),
                Some((part, scan)) => (scalar.place, Some(part), scan),
            };
            let slot = *self.slots.entry(place).or_insert_with(|| {
                self.seen.push((place.0, place.1, place.2, 0));
                self.seen.len() - 1
            });
            self.seen[slot].3 += 1;
            self.edge(from, &sample[at..scalar.start], slot + 1);
            (from, at) = (slot + 1, scalar.end);
        }
        self.edge(from, &sample[at..], 0);
    }

    fn edge(&mut self, from: usize, literal: &[u8], to: usize) {
        // Keys that are data make new literals all the time; what was seen so far is enough to see that.
        if self.edges.len() < 8 * MAX_ALL_EDGES || self.edges.contains_key(&(from, literal.to_vec(), to)) {
            *self.edges.entry((from, literal.to_vec(), to)).or_insert(0) += 1;
        }
    }

    /// The grammar of places that have a name.
    fn finish(self, name: impl Fn(usize) -> Option<String>) -> Grammar {
        let least = if self.samples >= MANY { 2 } else { 1 };
        // The slots that were met most, in the order of their first appearance.
        let mut met: Vec<usize> = (0..self.seen.len()).filter(|slot| self.seen[*slot].3 >= least).collect();
        met.sort_by_key(|slot| (std::cmp::Reverse(self.seen[*slot].3), *slot));
        let mut kept: Vec<(usize, Slot)> = met
            .into_iter()
            .filter_map(|slot| {
                let (place, part, scan, _) = self.seen[slot];
                let name = name(place)?;
                let name = match part {
                    Some(Part::Of(number)) => format!("{name}({number})"),
                    Some(Part::Main) | None => name,
                };
                Some((slot, Slot { name, scan }))
            })
            .take(MAX_SLOTS)
            .collect();
        kept.sort_unstable_by_key(|(slot, _)| *slot);
        let mut numbers = vec![None; self.seen.len() + 1];
        numbers[0] = Some(0);
        kept.iter().enumerate().for_each(|(number, (slot, _))| numbers[slot + 1] = Some(number + 1));

        let mut edges: Vec<_> = self.edges.into_iter().filter(|(_, count)| *count >= least).collect();
        edges.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        let slots: Vec<Slot> = kept.into_iter().map(|(_, slot)| slot).collect();
        let mut states = vec![State::default(); slots.len() + 1];
        let (mut count, mut bytes) = (0, 0);
        for ((from, literal, to), _) in edges {
            let (Some(from), Some(to)) = (numbers[from], numbers[to]) else { continue };
            let state = &mut states[from];
            if state.edges.len() == MAX_EDGES || count == MAX_ALL_EDGES || bytes + literal.len() > MAX_LITERAL_BYTES {
                continue;
            }
            (count, bytes) = (count + 1, bytes + literal.len());
            let target = (to > 0).then(|| (to - 1) as u16);
            state.edges.push(Edge { literal, target });
        }
        Grammar::new(slots, states)
            .expect("its caps were kept, and between two scalars stands a delimiter, or they are digits")
    }
}
