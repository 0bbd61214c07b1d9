//! How unusual a record is, and what of it.

use super::RowsModel;
use super::codebook::{Cells, Code};
use super::network::Known;

/// What a model thinks of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Surprise {
    /// The bits that its codes take, drawn in the model's order: minus the binary logarithm of how likely it is among records as codes.
    pub bits: f64,
    /// By field: its name, and the bits that it takes where all others are known.
    pub fields: Vec<(String, f64)>,
    /// Fields whose value is none that was learned: a text that was seen too rarely, a number beyond all that were seen.
    pub unseen: Vec<String>,
}

impl Surprise {
    /// The field that takes the most bits where all others are known.
    pub fn most(&self) -> Option<&(String, f64)> {
        self.fields.iter().max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

impl RowsModel {
    /// How unusual a record is; `None` where it has what the model has no code for.
    pub fn surprise(&self, record: &[u8]) -> Option<Surprise> {
        let book = &self.scheme.book;
        u32::try_from(record.len()).ok()?;
        let (mut cells, mut codes) = (Cells::default(), Vec::new());
        book.read(record, &mut cells, &mut codes)?;
        let mut state = Known::default();
        self.network.begin(1, &mut state);
        let all: Vec<usize> = self.scheme.order.iter().map(|variable| usize::from(*variable)).collect();
        let bits = self.bits(&codes, &all, &mut state);
        let mut surprise = Surprise { bits, fields: Vec::new(), unseen: Vec::new() };
        for (number, (field, cell)) in book.fields.iter().zip(&cells.cells).enumerate() {
            let own = self.scheme.variables_of(number);
            let mine: Vec<usize> = all.iter().copied().filter(|variable| own.contains(variable)).collect();
            self.network.begin(1, &mut state);
            for variable in all.iter().copied().filter(|variable| !own.contains(variable)) {
                self.tell(&codes, variable, &mut state);
            }
            let name = &book.variables[usize::from(field.variable)].name;
            surprise.fields.push((name.clone(), self.bits(&codes, &mine, &mut state)));
            let code =
                |variable: u16| &book.variables[usize::from(variable)].codes[usize::from(codes[usize::from(variable)])];
            let is_new = match (code(field.variable), cell) {
                (Code::Rare, _) => true,
                (Code::Number { .. }, Some((_, start, end))) => {
                    let value = field.kind.parse(&record[*start as usize..*end as usize]);
                    let range = book.variables[usize::from(field.variable)].range();
                    value.zip(range).is_some_and(|(value, (low, high))| value < low || high < value)
                }
                _ => false,
            };
            if is_new || field.parts.iter().flatten().any(|part| *code(*part) == Code::Rare) {
                surprise.unseen.push(name.clone());
            }
        }
        Some(surprise)
    }

    /// The bits that some variables take one after the other, beside what is known.
    fn bits(&self, codes: &[u16], variables: &[usize], state: &mut Known) -> f64 {
        let mut nats = 0.0;
        for variable in variables.iter().copied() {
            let guard = self.scheme.book.guards[variable];
            if guard.is_some_and(|(by, code)| codes[usize::from(by)] != code) {
                continue;
            }
            self.network.ask(variable, state);
            let logits = state.logits[..self.scheme.size(variable)].iter().map(|logit| f64::from(*logit));
            let most = logits.clone().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.map(|logit| (logit - most).exp()).sum();
            nats += most + sum.ln() - f64::from(state.logits[usize::from(codes[variable])]);
            self.tell(codes, variable, state);
        }
        nats / std::f64::consts::LN_2
    }

    /// Tells a variable, but for those that are told by a condition alone.
    fn tell(&self, codes: &[u16], variable: usize, state: &mut Known) {
        if self.scheme.book.guards[variable].is_none() {
            self.network.tell(variable, std::iter::once(Some(codes[variable])), state);
        }
    }
}
