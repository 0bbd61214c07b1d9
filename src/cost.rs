//! Money: what CPU and bytes cost, at prices that the user names. Pure.

use std::time::Duration;

/// Prices, in any one currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// Of an hour of one core.
    pub cpu_hour: f64,
    /// Of moving 10⁹ bytes.
    pub gigabyte_moved: f64,
    /// Of keeping 10⁹ bytes on one broker for a month.
    pub gigabyte_month: f64,
    /// How long topics keep their records.
    pub retention: Duration,
    /// On how many brokers a record lies.
    pub replication: u64,
}

/// A month of 30 days, in seconds.
const MONTH: f64 = 30.0 * 86_400.0;

impl Default for Prices {
    fn default() -> Self {
        Self {
            cpu_hour: 0.04,
            gigabyte_moved: 0.05,
            gigabyte_month: 0.08,
            retention: Duration::from_secs(30 * 86_400),
            replication: 3,
        }
    }
}

/// What it takes to carry some records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Bytes of the records themselves: keys, values, headers.
    pub raw_bytes: f64,
    /// Bytes on one broker's log.
    pub log_bytes: f64,
    /// CPU to encode, once.
    pub encode_seconds: f64,
    /// CPU to decode, once.
    pub decode_seconds: f64,
}

/// What carrying some records costs, in the currency of the prices. Nothing is rounded: whoever shows a sum does that.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bill {
    /// CPU to encode once and to decode once.
    pub cpu: f64,
    /// Bytes moved to the leader, to its replicas and to one reader.
    pub moved: f64,
    /// Bytes kept on every replica for the retention.
    pub kept: f64,
}

impl Bill {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.cpu + self.moved + self.kept
    }

    /// The same for so many times as many records.
    pub fn times(&self, factor: f64) -> Self {
        Self { cpu: self.cpu * factor, moved: self.moved * factor, kept: self.kept * factor }
    }
}

impl Prices {
    /// The price of carrying these records.
    pub fn bill(&self, effort: &Effort) -> Bill {
        let gigabytes = effort.log_bytes / 1e9;
        let replication = self.replication as f64;
        Bill {
            cpu: self.cpu(effort.encode_seconds + effort.decode_seconds),
            moved: gigabytes * (replication + 1.0) * self.gigabyte_moved,
            kept: gigabytes * replication * self.gigabyte_month * self.months(),
        }
    }

    /// The price of 10¹² raw bytes of such records.
    pub fn per_terabyte(&self, effort: &Effort) -> f64 {
        self.bill(effort).total() * 1e12 / effort.raw_bytes
    }

    /// The price of 10⁶ such records, of which `effort` has carried so many.
    pub fn per_million(&self, effort: &Effort, records: f64) -> Bill {
        self.bill(effort).times(1e6 / records)
    }

    /// The price of so many seconds of one core.
    pub fn cpu(&self, seconds: f64) -> f64 {
        seconds / 3600.0 * self.cpu_hour
    }

    /// The price of so many bytes more on the log of every replica.
    pub fn log_bytes(&self, bytes: f64) -> f64 {
        self.bill(&Effort { raw_bytes: 0.0, log_bytes: bytes, encode_seconds: 0.0, decode_seconds: 0.0 }).total()
    }

    /// The price of a model of so many bytes beside its training: moved to the registry and to one reader, and kept once
    /// for as long as the topic keeps what was written with it.
    pub fn model(&self, bytes: f64) -> f64 {
        bytes / 1e9 * (2.0 * self.gigabyte_moved + self.gigabyte_month * self.months())
    }

    fn months(&self) -> f64 {
        self.retention.as_secs_f64() / MONTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs(), "{found} is not {expected}");
    }

    #[test]
    fn a_terabyte_costs_its_cpu_its_moves_and_its_keep() {
        let effort = Effort { raw_bytes: 1e9, log_bytes: 1e8, encode_seconds: 36.0, decode_seconds: 0.0 };
        // Per 10⁹ raw bytes: 0.01 h of CPU, 0.1 GB moved four times, 0.1 GB kept three times for a month.
        let expected = 1000.0 * (0.01 * 0.04 + 0.1 * 4.0 * 0.05 + 0.1 * 3.0 * 0.08);
        near(Prices::default().per_terabyte(&effort), expected);
    }

    #[test]
    fn a_million_records_cost_what_these_cost_times_their_number() {
        let prices = Prices {
            cpu_hour: 0.36,
            gigabyte_moved: 0.01,
            gigabyte_month: 0.1,
            retention: Duration::from_secs(15 * 86_400),
            replication: 2,
        };
        // 20,000 records of 50 bytes: a megabyte on the log, 2 s of CPU one way and 1 s the other.
        let effort = Effort { raw_bytes: 6e6, log_bytes: 1e6, encode_seconds: 2.0, decode_seconds: 1.0 };
        let bill = prices.per_million(&effort, 20_000.0);
        // Fifty times as many: 150 s at 0.0001 a second; 0.05 GB moved three times at 0.01; kept twice, half a month, at 0.1.
        near(bill.cpu, 0.015);
        near(bill.moved, 0.0015);
        near(bill.kept, 0.005);
        near(bill.total(), 0.0215);
        near(prices.log_bytes(5e7), 0.0015 + 0.005);
    }

    #[test]
    fn a_model_is_moved_twice_and_kept_once() {
        // 10⁶ bytes: 0.001 GB × (2 × 0.05 + 1 month × 0.08).
        near(Prices::default().model(1e6), 0.00018);
        // Ninety seconds of a core at 0.04 an hour.
        near(Prices::default().cpu(90.0), 0.001);
    }
}
