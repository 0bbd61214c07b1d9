//! The daemon's metric registry: the families of the process, and one set of families per pipeline.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::families::{BUILD_INFO, MEMORY_BUDGET, MEMORY_USED};
use super::pipeline_metrics::PipelineMetrics;
use super::process::Process;

/// All metrics of one daemon. Cheap to clone.
///
/// The registry belongs to the daemon and is not the crate's global one: two daemons in one process (tests, an
/// embedding program) do not see each other.
#[derive(Clone)]
pub struct Metrics {
    /// Bytes of records in flight, all pipelines together.
    pub memory_used: IntGauge,
    /// The budget for them.
    pub memory_budget: IntGauge,
    registry: Registry,
    pipelines: Arc<Mutex<BTreeMap<String, PipelineMetrics>>>,
}

impl Metrics {
    /// The metrics of a daemon of this version.
    pub fn new(version: &str) -> Self {
        let gauge = |family: super::families::Family| {
            IntGauge::new(family.name, family.help).expect("the table of families holds valid names")
        };
        let build_info = IntGaugeVec::new(Opts::new(BUILD_INFO.name, BUILD_INFO.help), BUILD_INFO.labels)
            .expect("the table of families holds valid names");
        build_info.with_label_values(&[version]).set(1);
        let metrics = Self {
            memory_used: gauge(MEMORY_USED),
            memory_budget: gauge(MEMORY_BUDGET),
            registry: Registry::new(),
            pipelines: Arc::default(),
        };
        let collectors: [Box<dyn Collector>; 4] = [
            Box::new(build_info),
            Box::new(metrics.memory_used.clone()),
            Box::new(metrics.memory_budget.clone()),
            Box::new(Process::new()),
        ];
        for collector in collectors {
            metrics.registry.register(collector).expect("an empty registry takes each family once");
        }
        metrics
    }

    /// The metrics of a pipeline; made at the first call, the same ones after that.
    pub fn pipeline(&self, name: &str) -> PipelineMetrics {
        let mut pipelines = self.lock();
        if let Some(known) = pipelines.get(name) {
            return known.clone();
        }
        let made = PipelineMetrics::new(name);
        for collector in made.collectors() {
            self.registry.register(collector).expect("a pipeline's name is new, and its families agree with the table");
        }
        pipelines.insert(name.to_owned(), made.clone());
        made
    }

    /// Takes a pipeline's series away. Handles that are still held count into nothing.
    pub fn remove_pipeline(&self, name: &str) {
        if let Some(gone) = self.lock().remove(name) {
            for collector in gone.collectors() {
                self.registry.unregister(collector).expect("every family of a known pipeline is registered");
            }
        }
    }

    /// All series as they are now.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// All series in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.gather(), &mut text).expect("writing to a vector cannot fail");
        String::from_utf8(text).expect("the text format is made from strings")
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, PipelineMetrics>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::families::{FAMILIES, FamilyType};
    use super::super::{Direction, PipelineState, PublishedKind};
    use super::*;

    /// A daemon with every family in use.
    fn busy() -> (Metrics, PipelineMetrics, super::super::Lag) {
        let metrics = Metrics::new("1.2.3");
        let flights = metrics.pipeline("flights");
        flights.published(PublishedKind::Compressed).records.inc();
        flights.codec("zstd").seconds(Direction::Encode).observe(0.5);
        flights.dead_letter("undecodable").inc();
        flights.set_model(Some(("aa", "zstd-dict")));
        flights.training("kept");
        flights.misfits("latent", 3);
        flights.set_training(Some((0.5, 1.2)));
        flights.set_bytes_per_record("live", 5.0);
        flights.discarded("invalid").inc();
        flights.set_gates(false, [("c2st_auc", 0.6, Some(0.65))].into_iter());
        flights.set_choice("zstd:3", [("zstd:3", 0.02)].into_iter());
        let lag = flights.lag("0");
        (metrics, flights, lag)
    }

    #[test]
    fn what_is_exposed_is_what_the_table_says() {
        let (metrics, _flights, _lag) = busy();
        let exposed = metrics.gather();
        let names: BTreeSet<_> = exposed.iter().map(|family| family.name()).collect();
        // A limit that the system does not set is not exposed.
        let promised: BTreeSet<_> =
            FAMILIES.iter().map(|f| f.name).filter(|name| *name != "process_max_fds" || names.contains(name)).collect();
        assert_eq!(names, promised);
        for family in &exposed {
            let promise = FAMILIES.iter().find(|promise| promise.name == family.name()).unwrap();
            assert_eq!(family.help(), promise.help);
            let mut labels: Vec<_> = promise.labels.to_vec();
            labels.extend(promise.per_pipeline.then_some("pipeline"));
            labels.sort_unstable();
            for metric in family.get_metric() {
                let mut found: Vec<_> = metric.get_label().iter().map(|label| label.name()).collect();
                found.sort_unstable();
                assert_eq!(found, labels, "{}", promise.name);
            }
            let ty = match promise.ty {
                FamilyType::Counter => prometheus::proto::MetricType::COUNTER,
                FamilyType::Gauge => prometheus::proto::MetricType::GAUGE,
                FamilyType::Histogram(_) => prometheus::proto::MetricType::HISTOGRAM,
            };
            assert_eq!(family.get_field_type(), ty, "{}", promise.name);
        }
    }

    #[test]
    fn a_removed_pipeline_leaves_no_series_and_may_come_back() {
        let (metrics, _flights, _lag) = busy();
        metrics.pipeline("trips").consumed_records.inc();
        metrics.remove_pipeline("flights");
        let text = metrics.render();
        assert!(!text.contains("flights"), "{text}");
        assert!(text.contains("latentd_consumed_records_total{pipeline=\"trips\"} 1"), "{text}");
        let again = metrics.pipeline("flights");
        assert_eq!(again.consumed_records.get(), 0);
        assert!(metrics.render().contains("latentd_consumed_records_total{pipeline=\"flights\"} 0"));
    }

    #[test]
    fn names_that_read_alike_when_joined_keep_their_own_series() {
        let metrics = Metrics::new("1");
        let (p, p1) = (metrics.pipeline("p"), metrics.pipeline("p1"));
        let (a, b) = (p.lag("11"), p1.lag("1"));
        a.set(3);
        b.set(4);
        let text = metrics.render();
        assert!(text.contains("latentd_lag_records{partition=\"11\",pipeline=\"p\"} 3"), "{text}");
        assert!(text.contains("latentd_lag_records{partition=\"1\",pipeline=\"p1\"} 4"), "{text}");
    }

    #[test]
    fn a_partition_s_lag_is_there_as_long_as_somebody_holds_it() {
        let metrics = Metrics::new("1");
        let pipeline = metrics.pipeline("p");
        let old = pipeline.lag("0");
        let new = pipeline.lag("0");
        drop(old);
        new.set(7);
        assert!(metrics.render().contains("latentd_lag_records{partition=\"0\",pipeline=\"p\"} 7"));
        drop(new);
        assert!(!metrics.render().contains("latentd_lag_records"));
    }

    #[test]
    fn exactly_one_state_and_at_most_one_model_is_shown() {
        let metrics = Metrics::new("1");
        let pipeline = metrics.pipeline("p");
        pipeline.set_model(Some(("aa", "zstd-dict")));
        pipeline.set_model(Some(("bb", "zstd-dict")));
        pipeline.set_state(PipelineState::Running);
        pipeline.set_state(PipelineState::Waiting);
        let text = metrics.render();
        let ones: Vec<_> =
            text.lines().filter(|l| l.starts_with("latentd_pipeline_state") && l.ends_with(" 1")).collect();
        assert_eq!(ones, ["latentd_pipeline_state{pipeline=\"p\",state=\"waiting\"} 1"]);
        assert_eq!(text.matches("latentd_model_info{").count(), 1);
        assert!(text.contains("model=\"bb\""));
    }
}
