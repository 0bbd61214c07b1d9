//! Gates on real data: Adult (UCI), whose rows have nothing to do with one another, and the numbers that SDMetrics has for it.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

mod tools;

use std::fs;

use latentd::quality::{GateName, Judge, Options, Report, Verdict};
use serde_json::Value;

const FIELDS: [&str; 15] = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
    "native_country",
    "income",
];

/// Rows of Adult, field by field.
fn adult(rows: usize) -> Vec<Vec<Value>> {
    let text = fs::read_to_string(tools::data("adult.jsonl").unwrap()).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        FIELDS.map(|field| row[field].clone()).to_vec()
    };
    text.lines().take(rows).map(row).collect()
}

fn json(rows: &[Vec<Value>]) -> Vec<Vec<u8>> {
    let member = |(field, value): (&&str, &Value)| format!("\"{field}\":{value}");
    let record = |row: &Vec<Value>| FIELDS.iter().zip(row).map(member).collect::<Vec<_>>().join(",");
    rows.iter().map(|row| format!("{{{}}}", record(row)).into_bytes()).collect()
}

fn refs(records: &[Vec<u8>]) -> Vec<&[u8]> {
    records.iter().map(Vec::as_slice).collect()
}

/// Rows in another order, column by column: the values of column `c` move by `c * step` rows.
fn moved(rows: &[Vec<Value>], columns: &[usize], steps: impl Fn(usize) -> usize) -> Vec<Vec<Value>> {
    let mut moved = rows.to_vec();
    for column in columns {
        for (place, row) in moved.iter_mut().enumerate() {
            row[*column] = rows[(place + steps(*column)) % rows.len()][*column].clone();
        }
    }
    moved
}

fn verdict(report: &Report, name: GateName) -> Verdict {
    report.gate(name).unwrap_or_else(|| panic!("{name} is skipped")).verdict
}

#[test]
fn shapes_and_pairs_are_those_of_sdmetrics() {
    let rows = adult(12_000);
    let mut generated = moved(&rows[9_000..], &[0, 6], |_| 1);
    for row in &mut generated {
        let hours = row[12].as_u64().unwrap() + row[0].as_u64().unwrap() / 30;
        row[12] = hours.into();
    }
    let judge =
        Judge::new(&refs(&json(&rows[..6_000])), &refs(&json(&rows[6_000..9_000])), Options::default()).unwrap();
    let report = judge.judge(&refs(&json(&generated))).unwrap();
    let reference = fs::read(tools::project("tests/quality/sdmetrics.json")).unwrap();
    let reference: Value = serde_json::from_slice(&reference).unwrap();
    for name in [GateName::ColumnShapes, GateName::ColumnPairs] {
        let (own, theirs) = (report.gate(name).unwrap().value, reference[name.name()].as_f64().unwrap());
        assert!((own - theirs).abs() < 1e-9, "{name}: {own}, and SDMetrics has {theirs}");
    }
}

#[test]
fn real_rows_pass_and_shuffled_columns_and_copies_do_not() {
    let rows = adult(30_000);
    let options = Options { target: Some("income".to_owned()), ..Options::default() };
    let judge = Judge::new(&refs(&json(&rows[..10_000])), &refs(&json(&rows[10_000..20_000])), options).unwrap();

    let report = judge.judge(&refs(&json(&rows[20_000..]))).unwrap();
    assert_eq!(report.verdict, Verdict::Pass, "{report:#?}");

    let all: Vec<usize> = (0..FIELDS.len()).collect();
    let shuffled = moved(&rows[20_000..], &all, |column| column * 617);
    let report = judge.judge(&refs(&json(&shuffled))).unwrap();
    assert_eq!(verdict(&report, GateName::ColumnShapes), Verdict::Pass, "{report:#?}");
    assert_eq!(verdict(&report, GateName::C2stAuc), Verdict::Block, "{report:#?}");

    let report = judge.judge(&refs(&json(&rows[..10_000]))).unwrap();
    for name in [GateName::C2stAuc, GateName::DcrShare, GateName::IdenticalShare] {
        assert_eq!(verdict(&report, name), Verdict::Block, "{report:#?}");
    }
}
