//! Log lines of libraries arrive in ours, and not too many of them. One test: logging is set up once per process.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use latentd::telemetry::ErrorLog;
use latentd::telemetry::log::{INTERVAL, LIBRARY_BURST, LogError, LogFormat, LogSettings, init_to};

/// Keeps what is written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_library_that_repeats_itself_is_heard_and_then_cut_short() {
    let paper = Paper::default();
    let own = paper.clone();
    let errors = ErrorLog::default();
    let settings = LogSettings { format: LogFormat::Json, filter: "info".to_owned() };
    init_to(move || own.clone(), false, &settings, &errors).unwrap();
    assert!(matches!(init_to(io::sink, false, &settings, &errors), Err(LogError::Taken(_))));

    for _ in 0..50 {
        // As rdkafka does with librdkafka's lines.
        log::warn!(target: "librdkafka", "librdkafka: FAIL connection refused");
        log::debug!(target: "librdkafka", "below the filter");
        tracing::warn!("ours");
    }
    errors.tick(Instant::now() + INTERVAL);

    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |what: &str| lines.iter().filter(|line| line["message"].as_str().unwrap().contains(what)).count();
    assert_eq!(count("connection refused"), LIBRARY_BURST as usize);
    assert_eq!(count("below"), 0);
    assert_eq!(count("ours"), 50);
    assert_eq!(count("suppressed 40 more WARN lines of `librdkafka`"), 1);
    let theirs = lines.iter().find(|line| line["message"].as_str().unwrap().contains("refused")).unwrap();
    assert_eq!(theirs["target"], "librdkafka");
    assert_eq!(theirs["level"], "WARN");
}
