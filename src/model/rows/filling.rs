//! A record whose missing values are drawn, one after the other.

use super::RowsModel;
use super::codebook::{Code, is_null};
use super::condition::Fixed;
use super::draw::Table;
use super::link::Link;
use super::network::Known;
use super::reading::Reading;
use super::scheme::Scheme;
use crate::model::chance::Chance;

/// How often a value is drawn that is to leave others some.
const TRIES: usize = 64;

/// A value that is drawn, and the slot that it is for.
pub(super) type Value = (u16, Vec<u8>);

/// What was drawn of a record.
#[derive(Clone, Debug, Default)]
pub(super) struct Filled {
    /// Fields that have a value.
    pub values: Vec<(usize, Value)>,
    /// How many came to no value, though beside the others there could be one.
    pub failed: usize,
    /// By link: by how much its number is off, where that was drawn.
    pub offs: Vec<Option<u16>>,
}

/// What is known of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not yet what it has.
    Open,
    /// All that it has, and its number, if that is one.
    Known(Option<i64>),
}

/// A number that others determine.
enum Made {
    /// This one.
    Number(u16, i64),
    /// Any.
    Any,
    /// There is none.
    Nothing,
}

/// A record under way.
#[derive(Clone)]
pub(super) struct Filling<'a> {
    model: &'a RowsModel,
    /// Its place in its file.
    number: u64,
    /// Its codes, in the only row.
    table: Table,
    known: Known,
    /// By field.
    states: Vec<State>,
    /// By link: whether its variable has a code.
    told: Vec<bool>,
    filled: Filled,
}

impl Scheme {
    /// What the network is told of a record that lacks some fields: nothing of how literals stand between values, which says where one is NULL.
    fn beside(&self, missing: &[usize], codes: &[Option<u16>]) -> Fixed {
        let mut fixed = Fixed::nothing(&self.book);
        fixed.codes.copy_from_slice(codes);
        let mut forget = |variable: usize| fixed.codes[variable] = None;
        self.book.forks.iter().for_each(|fork| forget(usize::from(fork.variable)));
        missing.iter().for_each(|field| self.variables_of(*field).into_iter().for_each(&mut forget));
        for link in &self.book.links {
            // By how much it is off is not known, or says what it is.
            let own = self.book.fields[usize::from(link.field)].variable;
            forget(usize::from(if link.touches(missing) { link.variable } else { own }));
        }
        fixed
    }

    /// Codes of a field with which it would have nothing, counted over all variables.
    fn nothing(&self, number: usize) -> Vec<usize> {
        let codes = |variable: usize| self.book.variables[variable].codes.iter().enumerate();
        let is_nothing = |code: &Code| matches!(code, Code::Null { .. } | Code::Absent);
        let variables = self.variables_of(number).into_iter();
        let nothing = variables.flat_map(|variable| {
            codes(variable).filter(|(_, code)| is_nothing(code)).map(move |(code, _)| self.first[variable] + code)
        });
        // Where it was never another number than others make, it is what they make.
        let own = usize::from(self.book.fields[number].variable);
        let never =
            self.book.guards[own].map(|(by, code)| self.first[usize::from(by)] + usize::from(code)).filter(|asked| {
                let is_value = |code: &Code| !is_nothing(code) && *code != Code::Rare;
                codes(own)
                    .filter(|(_, code)| is_value(code))
                    .all(|(code, _)| self.zeros.has(*asked, self.first[own] + code))
            });
        nothing.chain(never).collect()
    }
}

impl<'a> Filling<'a> {
    /// Of a record that lacks some fields, which is the one with this number.
    pub fn new(model: &'a RowsModel, reading: &Reading, missing: &[usize], number: u64) -> Self {
        let (scheme, book) = (&model.scheme, &model.scheme.book);
        let fixed = scheme.beside(missing, &reading.codes);
        let (mut table, mut known) = (Table::default(), Known::default());
        table.begin(scheme, &fixed, &[None]);
        missing.iter().for_each(|field| table.avoid(&scheme.nothing(*field)));
        model.network.begin(1, &mut known);
        for (variable, code) in fixed.codes.iter().enumerate() {
            model.network.tell(variable, std::iter::once(*code), &mut known);
        }
        let state = |field: usize| match missing.contains(&field) {
            true => State::Open,
            false => State::Known(book.number(field as u16, &reading.cells, &reading.text)),
        };
        let states = (0..book.fields.len()).map(state).collect();
        let told = book.links.iter().map(|link| fixed.codes[usize::from(link.variable)].is_some()).collect();
        let filled = Filled { offs: vec![None; book.links.len()], ..Filled::default() };
        Self { model, number, table, known, states, told, filled }
    }

    /// Draws what is missing.
    pub fn draw(mut self, missing: &[usize], chance: &mut Chance) -> Filled {
        let scheme = &self.model.scheme;
        let mut place = vec![0; scheme.book.variables.len()];
        (0..).zip(&scheme.order).for_each(|(number, variable)| place[usize::from(*variable)] = number);
        let mut fields = missing.to_vec();
        fields.sort_by_key(|field| place[usize::from(scheme.book.fields[*field].variable)]);
        loop {
            // What others determine comes before anything is drawn freely.
            while (0..self.told.len()).any(|link| self.follow(link, chance)) {}
            let is_open = |field: &&usize| self.states[**field] == State::Open;
            // What is made of others comes after them.
            let waits = |field: &usize| self.link_of(*field).is_some_and(|link| !self.told[link]);
            let next = fields.iter().filter(is_open).find(|field| !waits(field));
            let Some(next) = next.or_else(|| fields.iter().find(is_open)).copied() else { return self.filled };
            self.own_with_room(next, chance);
        }
    }

    /// Draws a value of a field's own codes that leaves another which has to make a known one together with it some: so many apples that the money
    /// buys them.
    fn own_with_room(&mut self, field: usize, chance: &mut Chance) {
        if !self.links().iter().any(|link| link.of.map(usize::from).contains(&field)) {
            return self.own(field, chance);
        }
        let scheme = &self.model.scheme;
        let variable = usize::from(scheme.book.fields[field].variable);
        let has_no_room = |code: &Code| match code {
            Code::Number { bin, .. } => {
                bin.edges.is_empty() && !bin.atoms.iter().any(|(atom, _)| self.leaves_room(field, *atom))
            }
            _ => false,
        };
        let codes = scheme.book.variables[variable].codes.iter().enumerate();
        let none: Vec<usize> =
            codes.filter(|(_, code)| has_no_room(code)).map(|(place, _)| scheme.first[variable] + place).collect();
        self.table.avoid(&none);
        // Of a number in a bin it is found out when it is drawn.
        let begun = self.clone();
        for _ in 0..TRIES {
            self.clone_from(&begun);
            self.own(field, chance);
            if !matches!(self.states[field], State::Known(Some(number)) if !self.leaves_room(field, number)) {
                return;
            }
        }
    }

    /// Whether there are numbers for all fields that have to make a known one together with this one, if it is this.
    fn leaves_room(&self, field: usize, number: i64) -> bool {
        self.links().iter().all(|link| {
            let of = link.of.map(usize::from);
            let (State::Known(Some(made)), Some(own)) =
                (self.states[usize::from(link.field)], of.iter().position(|of| *of == field))
            else {
                return true;
            };
            let (other, both) = (1 - own, [[number, 0], [0, number]][own]);
            let codes = &self.model.scheme.book.variables[usize::from(link.variable)].codes;
            let is_possible = |code: &Code| match code {
                Code::Off { by, .. } => !matches!(self.solved(link, (made, *by), both, other), Made::Nothing),
                _ => false,
            };
            self.states[of[other]] != State::Open || codes.iter().any(is_possible)
        })
    }

    fn links(&self) -> &'a [Link] {
        &self.model.scheme.book.links
    }

    /// The link that makes a field.
    fn link_of(&self, field: usize) -> Option<usize> {
        self.links().iter().position(|link| usize::from(link.field) == field)
    }

    /// Does what a link says of the only field of it that is open; whether it said anything new.
    fn follow(&mut self, number: usize, chance: &mut Chance) -> bool {
        let link = &self.links()[number];
        let (field, of) = (usize::from(link.field), link.of.map(usize::from));
        let mut open: Vec<usize> =
            [field, of[0], of[1]].into_iter().filter(|field| self.states[*field] == State::Open).collect();
        open.dedup();
        let &[open] = open.as_slice() else { return false };
        if std::mem::replace(&mut self.told[number], true) {
            return false;
        }
        let known = |field: usize| match self.states[field] {
            State::Known(number) => number,
            State::Open => Some(0),
        };
        let [Some(made), Some(a), Some(b)] = [field, of[0], of[1]].map(known) else {
            // What is not there makes nothing, and nothing makes it.
            let last = self.model.scheme.book.variables[usize::from(link.variable)].codes.len() - 1;
            self.table.put(&self.model.scheme, (0, usize::from(link.variable)), last as u16);
            self.tell(usize::from(link.variable));
            return true;
        };
        self.pick(usize::from(link.variable), chance);
        let code = self.table.row(0)[usize::from(link.variable)];
        self.filled.offs[number] = Some(code);
        let Code::Off { slot, by } = *self.model.scheme.code(link.variable, self.table.row(0)) else { return true };
        let made = match open == field {
            true => link.relation.apply([a, b], by).map_or(Made::Nothing, |number| Made::Number(slot, number)),
            false => self.solved(link, (made, by), [a, b], usize::from(of[0] != open)),
        };
        match made {
            Made::Number(slot, number) => self.written(open, slot, number),
            Made::Any => self.own(open, chance),
            Made::Nothing => self.fail(open),
        }
        true
    }

    /// The first or second of two numbers that make one which is so much off.
    fn solved(&self, link: &Link, (made, by): (i64, i64), of: [i64; 2], which: usize) -> Made {
        let book = &self.model.scheme.book;
        let own = &book.variables[usize::from(book.fields[usize::from(link.of[which])].variable)];
        let is_possible = |number: &i64| own.reach().is_some_and(|(low, high)| (low..=high).contains(number));
        // Of minutes the nearest to none.
        let solved = link.relation.wanted(made, by).and_then(|wanted| link.relation.solved(wanted, of, which));
        if let (Some(number), Some(slot)) = (solved.filter(is_possible), own.number_slot()) {
            return Made::Number(slot, number);
        }
        let makes = |number: i64| {
            let mut of = of;
            of[which] = number;
            link.relation.apply(of, by) == Some(made)
        };
        if makes(0) && makes(1) { Made::Any } else { Made::Nothing }
    }

    /// Draws a variable, if it is to be drawn, and tells it.
    fn pick(&mut self, variable: usize, chance: &mut Chance) {
        let (network, scheme) = (&self.model.network, &self.model.scheme);
        if !self.table.is_open(scheme, variable, 0) {
            return;
        }
        if scheme.size(variable) > 1 {
            network.ask(variable, &mut self.known);
            scheme.pick(variable, &mut self.known.logits, 0, chance, &mut self.table);
        }
        self.tell(variable);
    }

    /// Tells what a variable is, but for those that are told by a condition alone.
    fn tell(&mut self, variable: usize) {
        self.model.tell(variable, Some(self.table.row(0)[variable]), &mut self.known);
    }

    /// A field has a number that others determine.
    fn written(&mut self, field: usize, slot: u16, number: i64) {
        let (scheme, mut text) = (&self.model.scheme, Vec::new());
        let own = &scheme.book.fields[field];
        if own.kind.append(number, &mut text).is_none() {
            return self.fail(field);
        }
        let variable = usize::from(own.variable);
        if let Some(code) = scheme.book.code_of(field, number)
            && scheme.book.guards[variable].is_none()
        {
            self.table.put(scheme, (0, variable), code);
            self.tell(variable);
        }
        self.states[field] = State::Known(Some(number));
        self.filled.values.push((field, (slot, text)));
    }

    /// A field comes to no value.
    fn fail(&mut self, field: usize) {
        self.states[field] = State::Known(None);
        self.filled.failed += 1;
    }

    /// Draws a value of a field's own codes, if it is not NULL beside the others. What goes on from record to record nobody can know.
    fn own(&mut self, number: usize, chance: &mut Chance) {
        let scheme = &self.model.scheme;
        let field = &scheme.book.fields[number];
        self.pick(usize::from(field.variable), chance);
        let code = scheme.code(field.variable, self.table.row(0));
        if matches!(code, Code::Time { .. }) {
            field.parts.iter().flatten().for_each(|part| self.pick(usize::from(*part), chance));
        }
        self.states[number] = State::Known(None);
        if matches!(code, Code::Sequence { .. }) {
            return;
        }
        let mut text = Vec::new();
        let Some(drawn) = scheme.value(field, code, (self.number, None), self.table.row(0), chance, &mut text) else {
            return self.fail(number);
        };
        if let Some(slot) = code.slot().filter(|slot| !is_null(scheme.book.grammar.scan(*slot), &text)) {
            self.states[number] = State::Known(drawn);
            self.filled.values.push((number, (slot, text)));
        }
    }
}
