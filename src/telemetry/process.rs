//! `process_*`: the crate's own collector, with a CPU time that is finer than whole seconds.

use std::sync::Mutex;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::{Counter, proto};
use rustix::time::{ClockId, clock_gettime};

use super::families::PROCESS_CPU;

/// The metrics of this process.
///
/// The collector of the `prometheus` crate counts CPU time in whole seconds, which hides the cost of anything that runs
/// for less than minutes; this one asks the kernel's CPU clock.
pub(super) struct Process {
    inner: ProcessCollector,
    cpu: Counter,
    counting: Mutex<()>,
}

impl Process {
    pub(super) fn new() -> Self {
        Self {
            inner: ProcessCollector::for_self(),
            cpu: Counter::new(PROCESS_CPU.name, PROCESS_CPU.help).expect("the table of families holds valid names"),
            counting: Mutex::new(()),
        }
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.inner.desc()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        // Two scrapes at once must not both add the same difference.
        let _counting = self.counting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut families = self.inner.collect();
        families.retain(|family| family.name() != PROCESS_CPU.name);
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = spent.tv_sec as f64 + spent.tv_nsec as f64 * 1e-9;
        self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        families.extend(self.cpu.collect());
        families
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_counted_in_fractions_of_a_second_and_once() {
        let process = Process::new();
        let cpu = |families: Vec<proto::MetricFamily>| {
            let mut found = families.into_iter().filter(|family| family.name() == PROCESS_CPU.name);
            let family = found.next().unwrap();
            assert!(found.next().is_none());
            family.get_metric()[0].get_counter().get_value()
        };
        let first = cpu(process.collect());
        let mut x = 1u64;
        let second = loop {
            x = std::hint::black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1));
            let now = cpu(process.collect());
            if now > first {
                break now;
            }
        };
        assert!(second - first < 1.0, "{first} {second}");
    }
}
