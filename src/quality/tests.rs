//! Judging records of a small topic: people with an age, a city, a job that depends on both, pay, and notes that are mostly NULL.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use super::*;

struct Person {
    number: usize,
    age: u64,
    city: &'static str,
    job: &'static str,
    hours: u64,
    pay: f64,
    note: Option<u64>,
    rich: bool,
}

const CITIES: [&str; 5] = ["Zagreb", "Split", "Rijeka", "Osijek", "Zadar"];
const JOBS: [&str; 4] = ["clerk", "smith", "nurse", "pilot"];

fn people(from: usize, count: usize, seed: u64) -> Vec<Person> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |limit: u64| rng.next_u64() % limit;
    let mut person = |number| {
        let age = 18 + below(25) + below(25);
        let city = (below(5) * below(5) / 5) as usize;
        let job = ((age / 20 + city as u64 + below(2)) % 4) as usize;
        let hours = 20 + 5 * job as u64 + below(15);
        let pay = hours as f64 * (10 + age / 4 + 3 * job as u64) as f64 + below(10_000) as f64 / 100.0;
        let note = (below(10) == 0).then(|| below(30));
        let rich = pay + below(300) as f64 > 1_000.0;
        Person { number, age, city: CITIES[city], job: JOBS[job], hours, pay, note, rich }
    };
    (from..from + count).map(&mut person).collect()
}

impl Person {
    fn json(&self) -> Vec<u8> {
        let Self { number, age, city, job, hours, pay, rich, .. } = self;
        let note = self.note.map_or("null".to_owned(), |note| note.to_string());
        let id = (*number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            r#"{{"seq":{number},"id":"{id:016x}","age":{age},"city":"{city}","job":"{job}","hours":{hours},"pay":{pay:.2},"note":{note},"rich":{rich}}}"#
        )
        .into_bytes()
    }

    fn csv(&self) -> Vec<u8> {
        let Self { number, age, city, job, hours, pay, rich, .. } = self;
        let note = self.note.map_or(String::new(), |note| note.to_string());
        let id = (*number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{number},{id:016x},{age},{city},\"{job}\",{hours},{pay:.2},{note},{rich}").into_bytes()
    }
}

fn json(people: &[Person]) -> Vec<Vec<u8>> {
    people.iter().map(Person::json).collect()
}

fn refs(records: &[Vec<u8>]) -> Vec<&[u8]> {
    records.iter().map(Vec::as_slice).collect()
}

const ROWS: usize = 3_000;

fn train() -> Vec<Person> {
    people(0, ROWS, 1)
}

fn judge() -> Judge {
    let options = Options { target: Some("rich".to_owned()), ..Options::default() };
    Judge::new(&refs(&json(&train())), &refs(&json(&people(ROWS, ROWS, 2))), options).unwrap()
}

fn verdict(report: &Report, name: GateName) -> Verdict {
    report.gate(name).unwrap_or_else(|| panic!("{name} is skipped")).verdict
}

/// Each column as it is, its values in another order.
fn shuffled(people: &mut [Person], seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut swap = |exchange: &dyn Fn(&mut [Person], usize, usize)| {
        for place in (1..people.len()).rev() {
            exchange(people, place, (rng.next_u64() % (place as u64 + 1)) as usize);
        }
    };
    macro_rules! column {
        ($name:ident) => {
            swap(&|people, a, b| {
                let kept = people[a].$name.clone();
                people[a].$name = people[b].$name.clone();
                people[b].$name = kept;
            })
        };
    }
    column!(age);
    column!(city);
    column!(job);
    column!(hours);
    column!(pay);
    column!(note);
    column!(rich);
}

#[test]
fn real_records_pass_every_gate() {
    let judge = judge();
    for seed in 3..6 {
        let report = judge.judge(&refs(&json(&people(9_000, ROWS, seed)))).unwrap();
        assert_eq!(report.verdict, Verdict::Pass, "{report:#?}");
        assert!(report.for_training);
        assert_eq!(report.gates.iter().map(|gate| gate.name).collect::<Vec<_>>(), GateName::ROWS);
        assert_eq!(report.skipped, []);
    }
}

#[test]
fn shuffled_columns_keep_their_shapes_and_are_found_out() {
    let mut people = people(9_000, ROWS, 3);
    shuffled(&mut people, 4);
    let report = judge().judge(&refs(&json(&people))).unwrap();
    assert_eq!(verdict(&report, GateName::ColumnShapes), Verdict::Pass, "{report:#?}");
    assert_eq!(verdict(&report, GateName::C2stAuc), Verdict::Block, "{report:#?}");
    assert_ne!(verdict(&report, GateName::ColumnPairs), Verdict::Pass, "{report:#?}");
    assert_eq!(verdict(&report, GateName::TstrRatio), Verdict::Block, "{report:#?}");
}

#[test]
fn copies_are_blocked_for_being_copies() {
    let judge = judge();
    let report = judge.judge(&refs(&json(&train()))).unwrap();
    for name in [GateName::C2stAuc, GateName::DcrShare, GateName::IdenticalShare] {
        assert_eq!(verdict(&report, name), Verdict::Block, "{report:#?}");
    }
    assert_eq!(verdict(&report, GateName::ColumnShapes), Verdict::Pass);
    // A new number and a new identifier make a copy no new record.
    let mut renumbered = train();
    renumbered.iter_mut().for_each(|person| person.number += 50_000);
    let report = judge.judge(&refs(&json(&renumbered))).unwrap();
    assert_eq!(verdict(&report, GateName::IdenticalShare), Verdict::Block, "{report:#?}");
    // One in ten is enough.
    let mut some = people(9_000, ROWS, 3);
    some.truncate(ROWS * 9 / 10);
    some.extend(train().into_iter().take(ROWS / 10));
    let report = judge.judge(&refs(&json(&some))).unwrap();
    assert_eq!(verdict(&report, GateName::IdenticalShare), Verdict::Block, "{report:#?}");
}

#[test]
fn doubled_nulls_are_seen() {
    let mut people = people(9_000, ROWS, 3);
    people.iter_mut().step_by(2).for_each(|person| person.note = person.note.or(Some(3)));
    let report = judge().judge(&refs(&json(&people))).unwrap();
    let gate = report.gate(GateName::NullRateError).unwrap();
    assert_eq!(gate.verdict, Verdict::Block, "{gate:?}");
    assert!(gate.explanation.contains("`note`"), "{gate:?}");
}

#[test]
fn texts_of_a_csv_that_may_not_be_said_are_no_nulls() {
    let rows = |from: u64, is_said: bool| -> Vec<Vec<u8>> {
        let word = |n: u64| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20);
        let row = |n: u64| {
            let note = if is_said { format!("{} {} {}", word(n), word(n + 1), word(n + 2)) } else { String::new() };
            let age = if n % 10 == 7 { String::new() } else { (word(n).len() as u64 + n % 50).to_string() };
            format!("{age},{},{note}", ["red", "green", "blue"][n as usize % 3]).into_bytes()
        };
        (from..from + 2000).map(row).collect()
    };
    let (train, holdout, drawn) = (rows(0, true), rows(2000, true), rows(4000, false));
    let judge = Judge::new(&refs(&train), &refs(&holdout), Options::default()).unwrap();
    let report = judge.judge(&refs(&drawn)).unwrap();
    let gate = report.gate(GateName::NullRateError).unwrap();
    assert!(gate.verdict == Verdict::Pass && report.columns.left_out.len() == 1, "{report:#?}");
    let ageless: Vec<Vec<u8>> = drawn.iter().map(|row| [b",green,".as_slice(), &row[row.len()..]].concat()).collect();
    let gate = judge.judge(&refs(&ageless)).unwrap().gate(GateName::NullRateError).cloned().unwrap();
    assert_eq!(gate.verdict, Verdict::Block, "{gate:?}");
}

#[test]
fn what_is_not_of_the_syntax_or_type_is_counted_and_not_judged() {
    let judge = judge();
    let good = json(&people(9_000, ROWS, 3));
    let clean = judge.judge(&refs(&good)).unwrap();
    let mut records = good.clone();
    records.push(b"{\"seq\":1".to_vec());
    records.push(String::from_utf8(good[0].clone()).unwrap().replace("\"age\":", "\"age\":1e999").into_bytes());
    assert!(judge.is_valid(&good[0]) && !judge.is_valid(&records[ROWS]) && !judge.is_valid(&records[ROWS + 1]));
    let report = judge.judge(&refs(&records)).unwrap();
    assert_eq!((report.rows.generated, report.rows.valid), (ROWS + 2, ROWS));
    assert_eq!(verdict(&report, GateName::ValidShare), Verdict::Warn);
    for name in [GateName::C2stAuc, GateName::Coverage, GateName::NullRateError] {
        assert_eq!(report.gate(name), clean.gate(name));
    }
    let report = judge.judge(&vec![&b"no record"[..]; 200]).unwrap();
    assert_eq!((report.verdict, report.gates.len(), report.skipped.len()), (Verdict::Block, 1, 10));
}

#[test]
fn csv_is_judged_as_json_is() {
    let csv = |people: Vec<Person>| people.iter().map(Person::csv).collect::<Vec<_>>();
    let options = Options { target: Some("column 9".to_owned()), ..Options::default() };
    let judge_csv = Judge::new(&refs(&csv(train())), &refs(&csv(people(ROWS, ROWS, 2))), options).unwrap();
    let (a, b) =
        (judge_csv.judge(&refs(&csv(people(9_000, ROWS, 3)))), judge().judge(&refs(&json(&people(9_000, ROWS, 3)))));
    for (a, b) in a.unwrap().gates.iter().zip(&b.unwrap().gates) {
        assert_eq!((a.name, a.value, a.verdict), (b.name, b.value, b.verdict));
    }
}

#[test]
fn the_same_records_and_seed_give_the_same_report_whose_words_hold_no_value_of_theirs() {
    let generated = json(&people(9_000, ROWS, 3));
    let mut report = judge().judge(&refs(&generated)).unwrap();
    assert_eq!(report, judge().judge(&refs(&generated)).unwrap());
    // Overlays have frequent ones, and a test of their own.
    assert!(!report.overlays.is_empty());
    report.overlays.clear();
    let text = serde_json::to_string(&report).unwrap();
    for value in CITIES.iter().chain(&JOBS) {
        assert!(!text.contains(value), "{text}");
    }
    assert!(text.contains(r#""name":"c2st_auc""#) && text.contains(r#""verdict":"pass""#), "{text}");
}

#[test]
fn counters_and_identifiers_are_left_out_and_that_is_said() {
    let report = judge().judge(&refs(&json(&people(9_000, ROWS, 3)))).unwrap();
    let reason = |name: &str| {
        report
            .columns
            .left_out
            .iter()
            .filter(|column| column.name.starts_with(name))
            .map(|column| column.reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(reason("seq"), [LeftOut::Sequence]);
    assert!(reason("id").contains(&LeftOut::Identifier));
    assert_eq!(report.columns.compared, 7);
}

#[test]
fn what_cannot_be_judged_is_an_error_that_says_why() {
    let records = json(&train());
    let records = refs(&records);
    let new = |train, holdout, target: Option<&str>| {
        let options = Options { target: target.map(str::to_owned), ..Options::default() };
        Judge::new(train, holdout, options).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        new(&records[..99], &records, None),
        "99 training records are too few to judge by: at least 100 are needed"
    );
    assert!(new(&records, &records[..3], None).starts_with("3 held-out"));
    let told = new(&records, &records, Some("wealth"));
    assert!(told.starts_with("no column `wealth` to predict: there are `seq`") && told.ends_with("`rich`"), "{told}");
    assert_eq!(new(&records, &records, Some("seq")), "column `seq` cannot be predicted: its values are not compared");
    assert_eq!(judge().judge(&records[..7]), Err(QualityError::TooFew { what: "generated", found: 7 }));
}

#[test]
fn any_bytes_are_judged_or_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut noise = |count: usize| -> Vec<Vec<u8>> {
        (0..count)
            .map(|_| {
                let length = rng.next_u64() % 40;
                (0..length).map(|_| b"{}[]\":,a1-. \xff\n"[(rng.next_u64() % 14) as usize]).collect()
            })
            .collect()
    };
    let real = json(&people(0, 200, 1));
    for records in
        [noise(300), real.clone(), vec![b"{}".to_vec(); 150], vec![b"1".to_vec(); 150], vec![Vec::new(); 150]]
    {
        let judge = Judge::new(&refs(&records), &refs(&records), Options::default()).unwrap();
        for generated in [noise(300), real.clone(), records.clone()] {
            judge.judge(&refs(&generated)).unwrap();
        }
    }
}
