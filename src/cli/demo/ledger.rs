//! What was fed and has not come back yet. A restored record must be the next one of its partition, and equal.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::record::{Record, RecordRef};

/// One stream's account.
pub struct Ledger {
    account: Mutex<Account>,
}

/// Sums so far.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// Records fed.
    pub fed: u64,
    /// Bytes of their keys, values and headers.
    pub fed_bytes: u64,
    /// Records that came back as they were fed.
    pub restored: u64,
    /// Bytes fed and not yet restored.
    pub open_bytes: u64,
    /// The first record that came back otherwise.
    pub difference: Option<String>,
}

struct Account {
    sums: Sums,
    open: Vec<VecDeque<Record>>,
}

impl Ledger {
    /// An account of a topic with so many partitions.
    pub fn new(partitions: i32) -> Self {
        let open = (0..partitions).map(|_| VecDeque::new()).collect();
        Self { account: Mutex::new(Account { sums: Sums::default(), open }) }
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sums so far.
    pub fn sums(&self) -> Sums {
        self.lock().sums.clone()
    }

    /// A record is about to be fed to a partition.
    pub fn fed(&self, partition: i32, record: Record) {
        let mut account = self.lock();
        let bytes = record.as_ref().payload_len() as u64;
        account.sums.fed += 1;
        account.sums.fed_bytes += bytes;
        account.sums.open_bytes += bytes;
        account.open[partition as usize].push_back(record);
    }

    /// A record has come back on a partition.
    pub fn restored(&self, partition: i32, restored: &RecordRef<'_>) {
        let mut account = self.lock();
        let expected = account.open.get_mut(partition as usize).and_then(VecDeque::pop_front);
        let Some(expected) = expected else {
            account.sums.difference.get_or_insert_with(|| {
                format!("partition {partition} holds a record at offset {} that was never fed", restored.offset)
            });
            return;
        };
        let expected = expected.as_ref();
        account.sums.open_bytes -= expected.payload_len() as u64;
        let equal = expected.key == restored.key
            && expected.value == restored.value
            && expected.headers.iter().eq(restored.headers.iter())
            && expected.timestamp == restored.timestamp;
        if equal {
            account.sums.restored += 1;
        } else {
            account.sums.difference.get_or_insert_with(|| {
                format!("partition {partition}, offset {}: this record is not the one that was fed", restored.offset)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timestamp;

    fn record(value: &str) -> Record {
        let value = Some(bytes::Bytes::copy_from_slice(value.as_bytes()));
        Record { key: None, value, headers: Vec::new(), timestamp: Timestamp::create(7), offset: 0 }
    }

    #[test]
    fn records_that_come_back_in_order_and_equal_close_the_account() {
        let ledger = Ledger::new(2);
        ledger.fed(0, record("a"));
        ledger.fed(1, record("b"));
        ledger.fed(0, record("c"));
        for (partition, value) in [(0, "a"), (0, "c"), (1, "b")] {
            ledger.restored(partition, &record(value).as_ref());
        }
        let sums = ledger.sums();
        assert_eq!((sums.fed, sums.restored, sums.open_bytes, sums.difference), (3, 3, 0, None));
    }

    #[test]
    fn a_swapped_a_changed_and_a_doubled_record_are_noticed() {
        for back in [vec!["b", "a"], vec!["a", "x"], vec!["a", "b", "b"]] {
            let ledger = Ledger::new(1);
            ledger.fed(0, record("a"));
            ledger.fed(0, record("b"));
            back.iter().for_each(|value| ledger.restored(0, &record(value).as_ref()));
            assert!(ledger.sums().difference.is_some(), "{back:?}");
        }
    }
}
