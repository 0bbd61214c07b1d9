//! Records that a model knows nothing of.

use std::path::Path;

use anyhow::bail;

use super::{RecordMode, shown};

/// How many there are, and the first.
#[derive(Debug, Default)]
pub struct Unlike {
    records: u64,
    unlike: u64,
    first: Option<(u64, String)>,
}

impl Unlike {
    /// Counts a record: its place in its file, and whether it is like what the model learned from.
    pub fn found(&mut self, number: u64, record: &[u8], is_like: bool) {
        self.records += 1;
        if !is_like {
            self.unlike += 1;
            self.first.get_or_insert_with(|| (number, shown(record)));
        }
    }

    /// Records that were counted.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Whether there is any that is like what the model learned from, if there are records at all.
    pub fn check(&self, file: &Path, mode: RecordMode) -> anyhow::Result<()> {
        if let Some((number, first)) = self.first.as_ref().filter(|_| self.unlike == self.records) {
            bail!(
                "none of the {} records of `{}` has the syntax of those that the model learned from; record {number} is `{first}`. \
                 They were cut as `{mode}`: if that is wrong, say how with --records",
                self.records,
                file.display()
            );
        }
        Ok(())
    }

    /// Says how many there are, if there are any.
    pub fn tell(&self, so: &str) {
        if let Some((number, first)) = &self.first {
            eprintln!(
                "{} of them have not the syntax of those that the model learned from, and {so}; the first is record {number}: {first}",
                self.unlike
            );
        }
    }
}
