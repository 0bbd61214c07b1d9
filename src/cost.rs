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

impl Prices {
    /// The price of 10¹² raw bytes: encoded once and decoded once; moved to the leader, to its replicas and to one
    /// reader; kept on every replica for the retention.
    pub fn per_terabyte(&self, effort: &Effort) -> f64 {
        let gigabytes = effort.log_bytes / 1e9;
        let replication = self.replication as f64;
        let cpu = (effort.encode_seconds + effort.decode_seconds) / 3600.0 * self.cpu_hour;
        let moved = gigabytes * (replication + 1.0) * self.gigabyte_moved;
        let kept = gigabytes * replication * self.gigabyte_month * self.retention.as_secs_f64() / MONTH;
        (cpu + moved + kept) * 1e12 / effort.raw_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terabyte_costs_its_cpu_its_moves_and_its_keep() {
        let effort = Effort { raw_bytes: 1e9, log_bytes: 1e8, encode_seconds: 36.0, decode_seconds: 0.0 };
        // Per 10⁹ raw bytes: 0.01 h of CPU, 0.1 GB moved four times, 0.1 GB kept three times for a month.
        let expected = 1000.0 * (0.01 * 0.04 + 0.1 * 4.0 * 0.05 + 0.1 * 3.0 * 0.08);
        assert!((Prices::default().per_terabyte(&effort) - expected).abs() < 1e-9);
    }
}
