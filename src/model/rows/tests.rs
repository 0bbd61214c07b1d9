use super::artefact::book;
use super::codebook::{Cells, Code};
use super::*;
use crate::engine::Kernel;
use crate::model::generator::{Condition, DrawError, Generator};
use crate::model::mixture::Mixture;
use crate::model::perceptron::Linear;
use crate::model::{Family, open_generator};

/// Records of a topic: a counter, an optional key, a value that is NULL where another is, rare values, an array, a time.
fn records() -> Vec<Vec<u8>> {
    let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let record = |n: u64| {
        let city = if n.is_multiple_of(97) {
            format!("secret-{n}")
        } else {
            ["Zagreb", "Split", "Pula"][mixed(n) as usize % 3].into()
        };
        let left = !n.is_multiple_of(5);
        let (out, back) = if left {
            (format!("{}", mixed(n) % 900), format!("{}", mixed(n + 7) % 50))
        } else {
            ("null".into(), "null".into())
        };
        let note = if n.is_multiple_of(2) { ",\"note\":\"a b\"" } else { "" };
        let tags = ["[]", "[\"x\"]", "[\"x\",\"y\"]"][mixed(n + 1) as usize % 3];
        let day = n % 28 + 1;
        format!(
            "{{\"id\":{n},\"city\":\"{city}\"{note},\"out\":{out},\"back\":{back},\"tags\":{tags},\"at\":\"2024-03-{day:02}T10:00:00Z\"}}"
        )
    };
    (0..3000).map(|n| record(n).into_bytes()).collect()
}

/// Small weights that nobody has trained.
fn weights(codes: usize) -> Weights {
    let mut state = 7u64;
    let mut numbers = |count: usize| -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.5
        };
        (0..count).map(|_| next()).collect()
    };
    let (width, inner) = (20, 12);
    Weights {
        width,
        inner,
        embedding: numbers(codes * width),
        bias: numbers(width),
        blocks: (0..2)
            .map(|_| BlockWeights { down: numbers(width * inner), bias: numbers(inner), up: numbers(inner * width) })
            .collect(),
        output: numbers(codes * width),
        output_bias: numbers(codes),
    }
}

fn model() -> RowsModel {
    let records = records();
    let coded = learn(&records.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    RowsModel::new(&coded, &weights(coded.book.codes())).unwrap()
}

/// Layers that nobody has trained, over a mixture and over normal numbers.
fn decoders() -> [RowsDecoder; 2] {
    let records = records();
    let coded = learn(&records.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    [mixture(), Prior::Normal].map(|prior| RowsDecoder::new(&coded, &parts(prior, coded.book.codes())).unwrap())
}

fn mixture() -> Prior {
    let factors = (0..2 * 15).map(|at| (at % 7) as f32 / 5.0).collect();
    Prior::Mixture(Mixture::new(vec![1, 3], (0..10).map(|at| at as f32 / 4.0 - 1.0).collect(), factors).unwrap())
}

fn parts(prior: Prior, codes: usize) -> DecoderParts {
    let numbers = weights(500).embedding;
    let layer = |inputs: usize, outputs: usize| {
        let of = |count: usize| numbers.iter().cycle().skip(inputs).take(count).copied().collect::<Vec<f32>>();
        Linear::new(of(inputs * outputs), of(outputs)).unwrap()
    };
    DecoderParts { prior, layers: vec![layer(5, 21), layer(21, 18), layer(18, codes)] }
}

fn condition(fields: &[(&str, &str)]) -> Condition {
    fields.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
}

fn drawn(model: &dyn Generator, condition: &Condition) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for run in 0..4 {
        model.draw(3, condition, run, model.run_length(), &mut records).unwrap();
    }
    assert_eq!(records.len(), 1024);
    records
}

fn parsed(record: &[u8]) -> serde_json::Value {
    serde_json::from_slice(record).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(record)))
}

#[test]
fn the_same_bytes_are_drawn_by_every_kernel_and_in_any_order() {
    let model = model();
    let all = drawn(&model, &Condition::new());
    for kernel in Kernel::here() {
        let other = RowsModel::with_kernel(model.artefact(), kernel).unwrap();
        assert_eq!(drawn(&other, &Condition::new()), all, "{kernel}");
    }
    let mut few = Vec::new();
    model.draw(3, &Condition::new(), 2, 5, &mut few).unwrap();
    assert_eq!(few, all[512..517]);
    let mut hash = blake3::Hasher::new();
    for record in &all {
        hash.update(record);
    }
    assert_eq!(&hash.finalize().to_hex()[..16], "52360c4f73b2572f");
}

#[test]
fn decoders_draw_the_same_bytes_with_every_kernel_and_in_any_order() {
    for model in &decoders() {
        let all = drawn(model, &Condition::new());
        for kernel in Kernel::here() {
            let other = RowsDecoder::with_kernel(model.artefact(), kernel).unwrap();
            assert_eq!(drawn(&other, &Condition::new()), all, "{kernel}");
        }
        let opened = open_generator(&model.family(), model.artefact()).unwrap();
        assert_eq!((opened.name(), opened.content_type()), (model.name(), "application/json"));
        let mut few = Vec::new();
        opened.draw(3, &Condition::new(), 2, 5, &mut few).unwrap();
        assert_eq!(few, all[512..517]);
        // Pinned: the same on every machine, in every release.
        let pinned = if model.name() == "vae" { "751aa280768b901d" } else { "14f34b6d78496038" };
        assert_eq!(&blake3::hash(&all.concat()).to_hex()[..16], pinned, "{}", model.name());
    }
}

#[test]
fn a_decoder_says_what_draws_under_a_condition() {
    for model in decoders() {
        let asked = condition(&[("city", "Split")]);
        let error = model.admits(&asked).unwrap_err();
        assert_eq!(model.draw(1, &asked, 0, 1, &mut Vec::new()), Err(error.clone()));
        assert!(error.to_string().contains("--generator autoregressive"), "{error}");
        assert!(matches!(error, DrawError::Unconditional { family, .. } if family == model.name()));
    }
}

#[test]
fn parts_of_decoders_that_do_not_fit_are_refused() {
    let fits = |change: fn(&mut DecoderParts)| {
        let mut parts = parts(mixture(), 40);
        change(&mut parts);
        parts.check(40).is_ok()
    };
    assert!(fits(|_| {}));
    let linear = |inputs: usize, outputs: usize, value: f32| {
        Linear::new(vec![value; inputs * outputs], vec![0.0; outputs]).unwrap()
    };
    assert!(!fits(|parts| parts.layers.clear()));
    assert!(!fits(|parts| drop(parts.layers.pop())));
    assert!(!fits(|parts| parts.layers.swap(0, 1)));
    assert!(!fits(|parts| parts.layers = vec![parts.layers[0].clone(); 7]));
    for layers in
        [vec![linear(5, 40, 1001.0)], vec![linear(4, 40, 0.0)], vec![linear(5, 1025, 0.0), linear(1025, 40, 0.0)]]
    {
        let mut parts = parts(mixture(), 40);
        parts.layers = layers;
        assert!(parts.check(40).is_err());
    }
    let far = Mixture::new(vec![1], vec![2e3; 5], vec![0.0; 15]).unwrap();
    assert!(parts(Prior::Mixture(far), 40).check(40).is_err());
    assert!(parts(Prior::Normal, 40).check(41).is_err());
}

#[test]
fn a_model_of_rows_is_none_of_images_and_none_of_another_family() {
    let [vae, gan] = decoders();
    let autoregressive = model();
    assert!(is_of_rows(vae.artefact()) && is_of_rows(gan.artefact()));
    assert!(!is_of_rows(autoregressive.artefact()), "it draws nothing else, and does not say so");
    assert!(RowsModel::parse(vae.artefact()).is_err() && RowsDecoder::parse(autoregressive.artefact()).is_err());
    assert!(crate::model::ImagesModel::parse(vae.artefact()).is_err());
    for artefact in [vae.artefact(), gan.artefact(), autoregressive.artefact()] {
        assert!(open_generator(&Family::COLUMNS, artefact).is_err());
    }
}

#[test]
fn records_are_of_the_topics_syntax_and_what_is_null_together_stays_so() {
    let (one, [two, three], mut cells) = (model(), decoders(), Cells::default());
    for model in [&one as &dyn Generator, &two, &three] {
        let mut notes = 0;
        for record in drawn(model, &Condition::new()) {
            assert!(cells.find(&one.scheme.book, &record), "{}", String::from_utf8_lossy(&record));
            let value = parsed(&record);
            assert_eq!(value["out"].is_null(), value["back"].is_null(), "{}: {value}", model.name());
            assert!(value["id"].as_i64().unwrap() > 2990, "identifiers go on: {value}");
            notes += usize::from(value.get("note").is_some());
        }
        assert!((1..1024).contains(&notes), "{}", model.name());
    }
}

#[test]
fn what_was_seen_fewer_than_five_times_is_neither_kept_nor_drawn() {
    let model = model();
    let has_secret = |text: &[u8]| text.windows(6).any(|part| part == b"secret");
    for code in model.scheme.book.variables.iter().flat_map(|variable| &variable.codes) {
        match code {
            Code::Text { text, .. } => assert!(!has_secret(text)),
            Code::Texts { texts, .. } => assert!(texts.iter().all(|(text, count)| !has_secret(text) && *count >= 5)),
            _ => {}
        }
    }
    // What is packed into an artefact is this, and numbers of layers and mixtures beside it.
    for scheme in [&model.scheme, &decoders()[0].scheme, &decoders()[1].scheme] {
        assert!(!has_secret(&book::write(&scheme.book, &scheme.order)));
    }
    assert!(decoders().iter().all(|model| !drawn(model, &Condition::new()).iter().any(|record| has_secret(record))));
    let literals = model.scheme.book.grammar.states().iter().flat_map(|state| &state.edges);
    assert!(literals.into_iter().all(|edge| !has_secret(&edge.literal)));
    assert!(drawn(&model, &Condition::new()).iter().all(|record| !has_secret(record)));
}

#[test]
fn every_record_drawn_under_a_condition_meets_it() {
    let model = model();
    let asked = condition(&[("city", "Split"), ("out", "null"), ("at", "2024-03-07T10:00:00Z")]);
    for record in drawn(&model, &asked) {
        let value = parsed(&record);
        assert!(value["city"] == "Split" && value["out"].is_null() && value["back"].is_null(), "{value}");
        assert_eq!(value["at"], "2024-03-07T10:00:00Z");
    }
}

#[test]
fn the_real_records_that_meet_a_condition_are_found() {
    let (model, records) = (model(), records());
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    assert_eq!(model.matching(&Condition::new(), &records).unwrap(), records);
    let asked = condition(&[("city", "Split"), ("out", "null")]);
    let found = model.matching(&asked, &records).unwrap();
    let meets = |record: &&&[u8]| parsed(record)["city"] == "Split" && parsed(record)["out"].is_null();
    assert_eq!(found, records.iter().filter(meets).copied().collect::<Vec<_>>());
    assert!(found.len() > 100 && model.matching(&condition(&[("city", "Rijeka")]), &records).is_err());
}

#[test]
fn a_field_of_few_values_has_classes_and_any_numbers_are_drawn_under_each() {
    let model = model();
    let classes = model.classes("city", &Condition::new()).unwrap();
    let names: std::collections::BTreeSet<&str> = classes.iter().map(|(class, _)| class.as_str()).collect();
    assert_eq!(names, ["Pula", "Split", "Zagreb"].into(), "what is rare is none");
    assert!((classes.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
    // As likely as the network says that they are where nothing is known, relative to one another.
    let variable = model.scheme.book.variables.iter().position(|variable| variable.name == "city").unwrap();
    let logits = model.logits(&vec![None; model.scheme.book.variables.len()], variable);
    let logit = |class: &str| {
        let is_class = |code: &Code| matches!(code, Code::Text { text, .. } if text == class.as_bytes());
        logits[model.scheme.book.variables[variable].codes.iter().position(is_class).unwrap()]
    };
    for (class, share) in &classes {
        let expected = f64::from(logit(class) - logit(&classes[0].0)).exp();
        assert!((share / classes[0].1 - expected).abs() < 1e-4 * expected, "{class}: {classes:?}");
    }
    for field in ["out", "id", "at", "town"] {
        let error = model.classes(field, &Condition::new()).unwrap_err();
        assert!(matches!(error, DrawError::NoClasses { .. } | DrawError::UnknownField { .. }), "{field}: {error}");
    }
    assert!(model.classes("city", &condition(&[("city", "Pula")])).is_err());
    let asked = condition(&[("city", "Pula")]);
    let of_pula = drawn(&model, &asked);
    let mut some = Vec::new();
    model.draw_numbers(3, &asked, &[700, 5, 1023], &mut some).unwrap();
    assert_eq!(some, [&of_pula[700], &of_pula[5], &of_pula[1023]].map(Vec::clone));
}

#[test]
fn what_cannot_be_says_why() {
    let model = model();
    let error = |fields: &[(&str, &str)]| model.admits(&condition(fields)).unwrap_err();
    assert!(matches!(error(&[("town", "Split")]), DrawError::UnknownField { .. }));
    for fields in [
        &[("city", "secret-97")][..],
        &[("city", "Rijeka")],
        &[("out", "100000")],
        &[("id", "17")],
        &[("at", "2024-04-07T10:00:00Z")],
        &[("out", "null"), ("back", "12")],
    ] {
        assert!(matches!(error(fields), DrawError::Impossible { .. }), "{fields:?}");
    }
}

#[test]
fn damaged_artefacts_are_refused_or_draw_and_never_panic() {
    let [vae, gan] = decoders();
    let artefacts = [(Family::AUTOREGRESSIVE, model().artefact().to_vec()), (Family::VAE, vae.artefact().to_vec())];
    let mut records = Vec::new();
    for (family, artefact) in artefacts.into_iter().chain([(Family::GAN, gan.artefact().to_vec())]) {
        for cut in (0..artefact.len()).step_by(artefact.len() / 200 + 1) {
            assert!(open_generator(&family, &artefact[..cut]).is_err(), "{family} cut at {cut}");
        }
        // Each byte of the header, where tensors are named and placed, and some of the others.
        let header = u64::from_le_bytes(*artefact.first_chunk().unwrap()) as usize + 8;
        for at in (0..header).chain((header..artefact.len()).step_by(artefact.len() / 400 + 1)) {
            for flip in [0x01, 0x55] {
                let mut damaged = artefact.clone();
                damaged[at] ^= flip;
                if let Ok(model) = open_generator(&family, &damaged) {
                    let _ = model.draw(1, &Condition::new(), 0, 4, &mut records);
                }
            }
        }
    }
    let not_finite = Weights { bias: vec![f32::NAN; 20], ..weights(100) };
    assert!(not_finite.check(100).is_err());
}

#[test]
fn any_bytes_of_a_codebook_are_read_without_harm() {
    let model = model();
    let bytes = book::write(&model.scheme.book, &model.scheme.order);
    assert!(book::read(&bytes).is_ok());
    for at in 0..bytes.len() {
        assert!(book::read(&bytes[..at]).is_err());
        for flip in [1u8, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let _ = book::read(&damaged);
        }
    }
}
