//! A judgement in words, for people and for the API.

use crate::quality::{Gate, Report, Verdict};
use crate::telemetry::GateReport;

/// Why a report says what it says.
pub fn reason(report: &Report) -> String {
    let blocking: Vec<String> =
        report.blocking().map(|gate| format!("`{}` is {:.3}: {}", gate.name, gate.value, gate.explanation)).collect();
    match report.verdict {
        Verdict::Block => blocking.join("; "),
        Verdict::Warn => {
            let warns: Vec<String> = report
                .gates
                .iter()
                .filter(|gate| gate.verdict == Verdict::Warn)
                .map(|gate| format!("`{}` is {:.3}", gate.name, gate.value))
                .collect();
            format!("no gate blocks; worse than it should be: {}", warns.join(", "))
        }
        Verdict::Pass => "all gates pass".to_owned(),
    }
}

/// A gate as the API shows it.
pub fn gate(gate: &Gate) -> GateReport {
    GateReport {
        gate: gate.name.to_string(),
        value: gate.value,
        threshold: gate.threshold(),
        verdict: gate.verdict.word().to_owned(),
        explanation: gate.explanation.clone(),
    }
}
