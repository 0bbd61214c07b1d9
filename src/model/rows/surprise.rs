//! How unusual a record is, and what of it.
//!
//! A network tells each code `x` with a probability `p(x)`. It takes `-log2 p(x)` bits, and codes of that distribution take its entropy on
//! average, `-sum p log2 p`. Bits alone name whatever varies most, a time of day in each record; the *excess* of the bits over the entropy
//! is 0 on average where `p` is right, so that what is left is what does not fit.

use std::f64::consts::LN_2;

use super::RowsModel;
use super::codebook::Code;
use super::network::Known;
use super::reading::Reading;

/// Bits that a value takes which nothing that was learned stands for, and more bits of a number beyond all that were learned: of a million such
/// values one is expected.
const UNSEEN_BITS: f64 = 20.0;

/// Bits from which on a value that was seen too rarely to be learned counts as none that was: less than one in a hundred is.
const RARE_BITS: f64 = 6.64;

/// What a model thinks of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Surprise {
    /// The bits that its codes take, told one after the other in the model's order: minus the binary logarithm of how likely it is among
    /// records as codes.
    pub bits: f64,
    /// How many of them are more than the model expects of records.
    pub excess: f64,
    /// Its fields.
    pub fields: Vec<FieldSurprise>,
    /// Fields whose value is none that was learned: a text that was seen too rarely where few are, a number far beyond all that were seen, a NULL
    /// where there was none.
    pub unseen: Vec<String>,
}

/// What a model thinks of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldSurprise {
    /// Its path.
    pub name: String,
    /// The bits that it takes where all other fields are known.
    pub bits: f64,
    /// How many of them are more than the model expects of it beside these.
    pub excess: f64,
}

impl Surprise {
    /// The field that fits the others least.
    pub fn most(&self) -> Option<&FieldSurprise> {
        self.fields.iter().max_by(|a, b| a.excess.total_cmp(&b.excess))
    }
}

/// What a variable takes that has a code.
struct Weight {
    bits: f64,
    entropy: f64,
    is_rare: bool,
}

impl RowsModel {
    /// Whether a record has any value that was learned: the header of a CSV file has none.
    pub fn knows(&self, record: &[u8]) -> bool {
        let (book, reading) = (&self.scheme.book, self.scheme.reading(record));
        let is_value = |code: &Code| !matches!(code, Code::Rare | Code::Null { .. } | Code::Absent);
        let is_known = |own: usize, codes: &[Option<u16>]| {
            codes[own].is_some_and(|code| is_value(&book.variables[own].codes[usize::from(code)]))
        };
        reading.is_some_and(|reading| {
            book.fields.iter().any(|field| is_known(usize::from(field.variable), &reading.codes))
        })
    }

    /// How unusual a record is, with or without the end of its line; `None` where it is not one of the topic's syntax.
    pub fn surprise(&self, record: &[u8]) -> Option<Surprise> {
        let (scheme, book) = (&self.scheme, &self.scheme.book);
        let reading = scheme.reading(record)?;
        let (codes, mut state) = (&reading.codes, Known::default());
        let sum = |weights: &[Weight]| {
            let bits = weights.iter().map(|weight| weight.bits).sum::<f64>();
            (bits, bits - weights.iter().map(|weight| weight.entropy).sum::<f64>())
        };
        let order: Vec<usize> = scheme.order.iter().map(|variable| usize::from(*variable)).collect();
        self.network.begin(1, &mut state);
        let (bits, excess) = sum(&self.weigh(codes, &order, &mut state));
        // Which literals stand between values says where one is NULL.
        book.forks.iter().for_each(|fork| self.forget(codes, usize::from(fork.variable), &mut state));
        let all = state.clone();
        let mut surprise = Surprise { bits, excess, fields: Vec::new(), unseen: Vec::new() };
        for (number, field) in book.fields.iter().enumerate() {
            let own = scheme.variables_of(number);
            let mine: Vec<usize> = order.iter().copied().filter(|variable| own.contains(variable)).collect();
            state.clone_from(&all);
            own.iter().for_each(|variable| self.forget(codes, *variable, &mut state));
            let weights = self.weigh(codes, &mine, &mut state);
            let name = &book.variables[usize::from(field.variable)].name;
            let (mut bits, mut excess) = sum(&weights);
            let is_new = mine.iter().any(|variable| codes[*variable].is_none()) || self.is_beyond(number, &reading);
            if is_new {
                for sum in [&mut bits, &mut excess, &mut surprise.bits, &mut surprise.excess] {
                    *sum += UNSEEN_BITS;
                }
            }
            surprise.fields.push(FieldSurprise { name: name.clone(), bits, excess });
            if is_new || weights.iter().any(|weight| weight.is_rare && weight.bits >= RARE_BITS) {
                surprise.unseen.push(name.clone());
            }
        }
        Some(surprise)
    }

    /// Whether a field has a number far beyond all that were learned, which others do not make.
    fn is_beyond(&self, number: usize, reading: &Reading) -> bool {
        let (book, codes) = (&self.scheme.book, &reading.codes);
        let own = usize::from(book.fields[number].variable);
        let is_own = book.is_asked(own, |by| codes[by]);
        let is_number =
            codes[own].is_some_and(|code| matches!(book.variables[own].codes[usize::from(code)], Code::Number { .. }));
        let found = book.number(number as u16, &reading.cells, &reading.text).filter(|_| is_own && is_number);
        let reach = book.variables[own].reach();
        found.zip(reach).is_some_and(|(found, (low, high))| found < low || high < found)
    }

    /// What some variables take that are told one after the other, beside what is known: those that have a code, and that another asks for where
    /// one must.
    fn weigh(&self, codes: &[Option<u16>], variables: &[usize], state: &mut Known) -> Vec<Weight> {
        let book = &self.scheme.book;
        let is_asked = |variable: usize| book.is_asked(variable, |by| codes[by]);
        let mut weights = Vec::new();
        for variable in variables.iter().copied().filter(|variable| is_asked(*variable)) {
            let Some(code) = codes[variable].map(usize::from) else { continue };
            self.network.ask(variable, state);
            let logits = state.logits[..self.scheme.size(variable)].iter().map(|logit| f64::from(*logit));
            let most = logits.clone().fold(f64::NEG_INFINITY, f64::max);
            let total = most + logits.clone().map(|logit| (logit - most).exp()).sum::<f64>().ln();
            let bits = (total - f64::from(state.logits[code])) / LN_2;
            let entropy = logits.map(|logit| (logit - total).exp() * (total - logit)).sum::<f64>() / LN_2;
            weights.push(Weight { bits, entropy, is_rare: book.variables[variable].codes[code] == Code::Rare });
            self.tell(variable, codes[variable], state);
        }
        weights
    }

    /// Tells a variable that has a code, but for those that are told by a condition alone.
    pub(super) fn tell(&self, variable: usize, code: Option<u16>, state: &mut Known) {
        if self.scheme.book.guards[variable].is_none() {
            self.network.tell(variable, std::iter::once(code), state);
        }
    }

    /// Takes off again what [`Self::tell`] has told.
    fn forget(&self, codes: &[Option<u16>], variable: usize, state: &mut Known) {
        if let Some(code) = codes[variable].filter(|_| self.scheme.book.guards[variable].is_none()) {
            self.network.forget(variable, code, state);
        }
    }
}
