//! Records that somebody asks for: drawn from the model that a pipeline publishes from, and held to what it publishes.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::admin::{ActionError, GenerateRequest, Generated, GeneratedHeader, GeneratedRecord};
use crate::augment::{Lineage, Usage};
use crate::model::DrawError;
use crate::pipeline::Licence;

/// Most records that one request draws, and most bytes of them.
const MOST: u32 = 1_000;
const MOST_BYTES: usize = 4 << 20;

/// So many are drawn for each that is asked for, and so many besides, before what is valid has to do.
const TRIES: u64 = 4;
const MORE_TRIES: u64 = 256;

/// Whether as many are asked for as a request may.
pub fn check(request: &GenerateRequest) -> Result<(), ActionError> {
    match (1..=MOST).contains(&request.count) {
        true => Ok(()),
        false => Err(ActionError::Invalid(format!("`count` is {}: write 1 to {MOST}", request.count))),
    }
}

/// Draws what is asked for. What the model was not judged under has no report, and is nothing to learn from.
pub fn drawn(licence: &Licence, request: &GenerateRequest) -> Result<Generated, ActionError> {
    if let Some(condition) = &request.condition {
        licence.generator.admits(condition).map_err(|error: DrawError| ActionError::Invalid(error.to_string()))?;
    }
    let lineage = match &request.condition {
        Some(condition) if *condition != licence.lineage.condition => Lineage {
            condition: condition.clone(),
            report: None,
            usage: Usage::NotForTraining,
            ..licence.lineage.clone()
        },
        _ => licence.lineage.clone(),
    };
    let mut headers = lineage.headers();
    let length = licence.generator.run_length().max(1);
    let (wanted, most) = (u64::from(request.count), u64::from(request.count) * TRIES + MORE_TRIES);
    let (mut batch, mut bytes, mut records, mut left_out) = (Vec::new(), 0, Vec::new(), 0);
    for run in 0u64.. {
        let seen = records.len() as u64 + left_out;
        if records.len() as u64 >= wanted || seen >= most {
            break;
        }
        // At most a run's length, which is a `u32`.
        let count = (wanted - records.len() as u64).min(u64::from(length)) as u32;
        let draw = match &request.condition {
            Some(condition) => licence.generator.draw(request.seed, condition, run, count, &mut batch),
            None => licence.draw(request.seed, run, count, &mut batch),
        };
        draw.map_err(|error| ActionError::Failed(error.to_string()))?;
        for (index, record) in (run * u64::from(length)..).zip(batch.drain(..)) {
            if !licence.admits(&record) {
                left_out += 1;
                continue;
            }
            bytes += record.len();
            if bytes > MOST_BYTES {
                let text = format!("they take more than {MOST_BYTES} bytes: ask for fewer");
                return Err(ActionError::Invalid(text));
            }
            let condition = match &request.condition {
                Some(condition) => condition,
                None => licence.condition(request.seed, index),
            };
            headers.under(condition);
            headers.by(licence.generator.made_by(request.seed, index));
            let named = headers.of(request.seed, index).into_iter().map(|header| GeneratedHeader {
                name: header.name.to_owned(),
                value: String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned(),
            });
            let named = named.collect();
            let (value, value_base64) = match String::from_utf8(record) {
                Ok(text) => (Some(text), None),
                Err(error) => (None, Some(BASE64.encode(error.as_bytes()))),
            };
            let condition = condition.clone();
            records.push(GeneratedRecord { index, condition, value, value_base64, headers: named });
        }
    }
    Ok(Generated {
        model: lineage.model.to_string(),
        generator: lineage.generator.to_owned(),
        content_type: lineage.content_type.to_owned(),
        report: lineage.report,
        usage: lineage.usage.name().to_owned(),
        seed: request.seed,
        left_out,
        records,
    })
}

/// The bytes of a record that was drawn.
pub fn bytes(record: &GeneratedRecord) -> Cow<'_, [u8]> {
    match (&record.value, &record.value_base64) {
        (Some(text), _) => Cow::Borrowed(text.as_bytes()),
        (None, coded) => BASE64.decode(coded.as_deref().unwrap_or_default()).unwrap_or_default().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::ModelId;
    use crate::model::{Condition, Generator};
    use crate::quality::Validator;

    /// Draws numbers, of which every third is no JSON; nobody is 200 years old.
    struct Numbers;

    impl Generator for Numbers {
        fn name(&self) -> &'static str {
            "columns"
        }
        fn content_type(&self) -> &'static str {
            "application/json"
        }
        fn run_length(&self) -> u32 {
            8
        }
        fn admits(&self, condition: &Condition) -> Result<(), DrawError> {
            match condition.get("age").map(String::as_str) {
                Some("200") => Err(DrawError::NoClasses { field: "age".to_owned(), detail: "nobody is".to_owned() }),
                _ => Ok(()),
            }
        }
        fn draw_numbers(
            &self,
            _: u64,
            condition: &Condition,
            numbers: &[u64],
            records: &mut Vec<Vec<u8>>,
        ) -> Result<(), DrawError> {
            let age = condition.get("age").map_or("1", String::as_str);
            let text = |number: &u64| format!("{{\"n\":{number},\"age\":{age}{}", ["", "}", "}"][*number as usize % 3]);
            records.extend(numbers.iter().map(|number| text(number).into_bytes()));
            Ok(())
        }
    }

    fn licence() -> Licence {
        let real: Vec<String> = (0..500).map(|n| format!("{{\"n\":{n},\"age\":{}}}", n % 90)).collect();
        let real: Vec<&[u8]> = real.iter().map(String::as_bytes).collect();
        Licence {
            generator: Arc::new(Numbers),
            lineage: Lineage {
                source: "/latentd/test/p".to_owned(),
                model: ModelId::of(b"model"),
                generator: "columns",
                condition: Condition::new(),
                trained_on: Vec::new(),
                report: Some("r".to_owned()),
                usage: Usage::Training,
                content_type: "application/json",
            },
            balance: None,
            validator: Some(Validator::learn(&real, 0).unwrap()),
        }
    }

    fn ask(body: &str) -> Result<Generated, ActionError> {
        drawn(&licence(), &serde_json::from_str(body).unwrap())
    }

    fn header<'a>(record: &'a GeneratedRecord, name: &str) -> Option<&'a str> {
        record.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
    }

    #[test]
    fn records_that_are_not_valid_are_left_out_and_others_drawn() {
        let generated = ask("{\"count\":10,\"seed\":7}").unwrap();
        let indexes: Vec<u64> = generated.records.iter().map(|record| record.index).collect();
        assert_eq!((indexes, generated.left_out), (vec![1, 2, 4, 5, 7, 8, 10, 11, 16, 17], 5));
        for record in &generated.records {
            let value: serde_json::Value = serde_json::from_str(record.value.as_deref().unwrap()).unwrap();
            assert_eq!(value["n"], record.index);
            assert_eq!(header(record, "ce_latentdindex"), Some(record.index.to_string().as_str()));
            assert_eq!(
                (header(record, "ce_latentdseed"), header(record, "ce_type")),
                (Some("7"), Some("latentd.generated.v1"))
            );
            assert_eq!(
                (header(record, "ce_latentdreport"), header(record, "ce_latentduse")),
                (Some("r"), Some("training"))
            );
        }
        assert_eq!(bytes(&generated.records[0]), &b"{\"n\":1,\"age\":1}"[..]);
        let coded =
            GeneratedRecord { value: None, value_base64: Some("/wA=".to_owned()), ..generated.records[0].clone() };
        assert_eq!(bytes(&coded), &[255, 0][..]);
        // Where nothing is valid it comes to an end.
        let none = ask("{\"where\":{\"age\":\"x\"}}").unwrap();
        assert!(none.records.is_empty() && none.left_out >= 256, "{}", none.left_out);
    }

    #[test]
    fn a_report_is_named_only_under_the_condition_that_was_judged() {
        let other = ask("{\"where\":{\"age\":39}}").unwrap();
        assert_eq!((other.report.as_deref(), other.usage.as_str()), (None, "not-for-training"));
        let first = &other.records[0];
        assert_eq!(
            (header(first, "ce_latentdreport"), header(first, "ce_latentduse")),
            (None, Some("not-for-training"))
        );
        assert_eq!(header(first, "ce_latentdcondition"), Some("{\"age\":\"39\"}"));
        assert!(first.condition["age"] == "39" && first.value.as_deref().unwrap().contains("\"age\":39"));
        let same = ask("{\"where\":{}}").unwrap();
        assert_eq!((same.report.as_deref(), same.usage.as_str()), (Some("r"), "training"));
        assert!(matches!(ask("{\"where\":{\"age\":200}}"), Err(ActionError::Invalid(_))));
        assert!(check(&serde_json::from_str("{\"count\":1001}").unwrap()).is_err());
    }
}
