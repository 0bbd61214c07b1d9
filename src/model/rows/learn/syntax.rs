//! What is learned of the syntax of records: the literals and paths that are frequent enough, and which literal stands where there are several.

use std::collections::{HashMap, HashSet};

use super::seen::Seen;
use crate::model::rows::RowsError;
use crate::model::rows::codebook::{Code, Codebook, Field, Fork, PARTS, Variable, is_null};
use crate::payload::fields::{Edge, Grammar, Kind, LEAST_COUNT, Nature, Scan, Slot, State, Step, Steps};

/// The slots that a literal stands between; `None` is the start, and the end.
type Between = (Option<u16>, Option<u16>);

/// A grammar without what fewer than five records have.
pub fn pruned(grammar: &Grammar, records: &[&[u8]]) -> Result<Grammar, RowsError> {
    let mut steps = Steps::default();
    let mut counts: HashMap<(Option<u16>, u16), u32> = HashMap::new();
    for record in records {
        steps.walk(grammar, record);
        if !steps.regular {
            continue;
        }
        let mut from = None;
        let mut passed = HashSet::new();
        for step in &steps.steps {
            if let Step::Edge { edge, slot, .. } = *step {
                if passed.insert((from, edge)) {
                    *counts.entry((from, edge)).or_insert(0) += 1;
                }
                from = slot;
            }
        }
    }
    let kept = |from: Option<u16>, edge: usize| counts.get(&(from, edge as u16)).is_some_and(|n| *n >= LEAST_COUNT);
    let slots = grammar.slots().len() as u16;
    let states = || std::iter::once(None).chain((0..slots).map(Some));
    let mut is_kept = vec![false; usize::from(slots)];
    for from in states() {
        for (number, edge) in grammar.state(from).edges.iter().enumerate() {
            if let Some(to) = edge.target.filter(|_| kept(from, number)) {
                is_kept[usize::from(to)] = true;
            }
        }
    }
    let mut renamed = vec![0u16; usize::from(slots)];
    let mut slots: Vec<Slot> = Vec::new();
    for (number, slot) in grammar.slots().iter().enumerate().filter(|(number, _)| is_kept[*number]) {
        renamed[number] = slots.len() as u16;
        slots.push(slot.clone());
    }
    let state = |from: Option<u16>| State {
        edges: (grammar.state(from).edges.iter().enumerate())
            .filter(|(number, _)| kept(from, *number))
            .map(|(_, edge)| Edge {
                literal: edge.literal.clone(),
                target: edge.target.map(|slot| renamed[usize::from(slot)]),
            })
            .collect(),
    };
    let states = states().filter(|from| from.is_none_or(|slot| is_kept[usize::from(slot)])).map(state).collect();
    Grammar::new(slots, states).map_err(|error| RowsError::Invalid(error.to_string()))
}

/// The paths of a grammar, and the one that each slot is of: slots of the same name hold the same, written in different ways.
pub fn columns(grammar: &Grammar) -> (Vec<String>, Vec<u16>) {
    let mut known: HashMap<&str, u16> = HashMap::new();
    let (mut names, mut of) = (Vec::new(), Vec::new());
    for slot in grammar.slots() {
        let column = *known.entry(&slot.name).or_insert_with(|| {
            names.push(if slot.name.is_empty() { "record".to_owned() } else { slot.name.clone() });
            (names.len() - 1) as u16
        });
        of.push(column);
    }
    (names, of)
}

/// Paths, and the slots of each.
pub struct Columns {
    pub names: Vec<String>,
    of: Vec<u16>,
    is_hex: Vec<bool>,
}

impl Columns {
    /// Those of a grammar.
    pub fn of(grammar: &Grammar) -> Self {
        let (names, of) = columns(grammar);
        let mut is_hex = vec![false; names.len()];
        for (slot, column) in grammar.slots().iter().zip(&of) {
            is_hex[usize::from(*column)] |= matches!(slot.scan, Scan::Hex { .. });
        }
        Self { names, of, is_hex }
    }

    /// Fields without variables: so many of each column, or of all.
    pub fn fields(&self, occurrences: &[u8]) -> Vec<Field> {
        let mut fields = Vec::new();
        for column in 0..self.names.len() {
            for occurrence in 0..*occurrences.get(column).unwrap_or(&occurrences[0]) {
                let kind = Kind::Text;
                let column = column as u16;
                fields.push(Field { column, occurrence, variable: 0, kind, epoch: None, parts: [None; PARTS] });
            }
        }
        fields
    }

    /// A codebook of these paths.
    pub fn codebook(
        &self,
        grammar: Grammar,
        fields: Vec<Field>,
        forks: Vec<Fork>,
        variables: Vec<Variable>,
    ) -> Codebook {
        // Fields that are not learned yet look at a variable that says nothing.
        let variables = if variables.is_empty() {
            vec![Variable { name: String::new(), codes: vec![Code::Absent] }]
        } else {
            variables
        };
        Codebook::new(grammar, (self.names.clone(), self.of.clone()), fields, forks, variables)
    }

    /// What the values of each column are, wherever in a record they stand.
    pub fn natures(&self, book: &Codebook, seen: &Seen, records: &[&[u8]]) -> Vec<Nature> {
        let nature = |column: usize| {
            let fields = book.fields_of(column as u16);
            let mut values = Vec::new();
            for (row, number) in seen.numbers.iter().enumerate() {
                for field in fields {
                    if let Some((slot, start, end)) = seen.cell(row, usize::from(*field)) {
                        let value = &records[*number][start as usize..end as usize];
                        if !is_null(book.grammar.scan(slot), value) {
                            values.push(value);
                        }
                    }
                }
            }
            Nature::of(&values, self.is_hex[column])
        };
        (0..self.names.len()).map(nature).collect()
    }

    /// For people, and for conditions: the path, and which of several it is.
    pub fn name(&self, field: &Field) -> String {
        let name = &self.names[usize::from(field.column)];
        if field.occurrence == 0 { name.clone() } else { format!("{name} #{}", field.occurrence + 1) }
    }
}

/// Variables for literals of which several lead from one slot to another.
pub fn forks(grammar: &Grammar, records: &[&[u8]], seen: &Seen, variables: &mut Vec<Variable>) -> Vec<Fork> {
    let mut forks: Vec<Between> = Vec::new();
    for from in std::iter::once(None).chain((0..grammar.slots().len() as u16).map(Some)) {
        let targets: Vec<Option<u16>> = grammar.state(from).edges.iter().map(|edge| edge.target).collect();
        let mut several: Vec<Option<u16>> = targets.clone();
        several.sort_unstable();
        forks.extend(several.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).map(|same| (from, same[0])));
    }
    if forks.is_empty() {
        return Vec::new();
    }
    let mut counts: Vec<HashMap<Option<u16>, u32>> = vec![HashMap::new(); forks.len()];
    let mut steps = Steps::default();
    for number in &seen.numbers {
        steps.walk(grammar, records[*number]);
        let mut taken = vec![None; forks.len()];
        let mut from = None;
        for step in &steps.steps {
            let Step::Edge { edge, slot, .. } = *step else { continue };
            if let Some(fork) = forks.iter().position(|fork| *fork == (from, slot)) {
                let before = &grammar.state(from).edges[..usize::from(edge)];
                let literal = before.iter().filter(|other| other.target == slot).count() as u16;
                taken[fork].get_or_insert(literal);
            }
            from = slot;
        }
        taken.into_iter().zip(&mut counts).for_each(|(literal, counts)| *counts.entry(literal).or_insert(0) += 1);
    }
    let name = |slot: Option<u16>| slot.map_or("", |slot| grammar.slots()[usize::from(slot)].name.as_str());
    let fork = |((from, to), counts): (Between, HashMap<Option<u16>, u32>)| {
        let all = counts.len();
        let mut known: Vec<Option<u16>> =
            counts.into_iter().filter(|(_, count)| *count >= LEAST_COUNT).map(|(literal, _)| literal).collect();
        known.sort_unstable();
        let is_all = known.len() == all;
        let mut codes: Vec<Code> =
            known.into_iter().map(|literal| literal.map_or(Code::Absent, Code::Literal)).collect();
        if !is_all {
            codes.push(Code::Rare);
        }
        if !codes.iter().any(|code| *code != Code::Rare) {
            codes.push(Code::Absent);
        }
        let variable = variables.len() as u16;
        variables.push(Variable { name: format!("between `{}` and `{}`", name(from), name(to)), codes });
        Fork { from, to, variable }
    };
    forks.into_iter().zip(counts).map(fork).collect()
}
