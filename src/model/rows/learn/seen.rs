//! What records have where, of those that are of a grammar.

use crate::model::rows::codebook::{Cell, Cells};

/// Values of records that are of the grammar.
#[derive(Default)]
pub struct Seen {
    /// Which records.
    pub numbers: Vec<usize>,
    /// By field: a cell for each record up to the last one that has it. A column has as many fields as a record may have values in it, and most
    /// of them are in none.
    cells: Vec<Vec<Option<Cell>>>,
    /// By field: in how many records it is, and the sum of its places there.
    pub filled: Vec<usize>,
    places: Vec<f64>,
}

impl Seen {
    /// A record with this number, and where its values lie.
    pub fn add(&mut self, number: usize, cells: &Cells) {
        let fields = cells.cells.len();
        self.filled.resize(fields, 0);
        self.places.resize(fields, 0.0);
        self.cells.resize(fields, Vec::new());
        for (field, cell) in cells.cells.iter().enumerate() {
            if let Some((_, start, _)) = cell {
                self.filled[field] += 1;
                let before = cells.cells.iter().flatten().filter(|(_, other, _)| other < start).count();
                self.places[field] += before as f64;
                self.cells[field].resize(self.numbers.len(), None);
                self.cells[field].push(*cell);
            }
        }
        self.numbers.push(number);
    }

    /// Where in a record a field mostly stands.
    pub fn place(&self, field: usize) -> f64 {
        self.places[field] / self.filled[field].max(1) as f64
    }

    /// Where a record has a field, if it does.
    pub fn cell(&self, row: usize, field: usize) -> Option<Cell> {
        self.cells.get(field).and_then(|cells| cells.get(row).copied().flatten())
    }

    /// A field's values: of which record each is, and where it lies.
    pub fn values(&self, field: usize) -> Vec<(usize, Option<Cell>)> {
        self.numbers.iter().enumerate().map(|(row, number)| (*number, self.cell(row, field))).collect()
    }
}
