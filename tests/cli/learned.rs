//! The commands of learned codecs: train, generate, and what they do for compress, bench and the registry.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use latentd::codec::ModelId;
use latentd::model::{Family, Manifest, package};
use serde_json::Value;

use crate::{fails, flights, ok, tools};

/// Rows of a file of the data sets, whole lines of at most so many bytes, as a file of their own.
fn rows(folder: &Path, name: &str, bytes: usize) -> PathBuf {
    let mut text = fs::read(tools::data(name).unwrap()).unwrap();
    text.truncate(bytes);
    text.truncate(text.iter().rposition(|byte| *byte == b'\n').unwrap() + 1);
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

fn report(arguments: &[&str]) -> Value {
    serde_json::from_slice(&ok(&[arguments, &["--format", "json"]].concat(), None)).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn train_makes_a_model_of_a_file_that_compress_and_the_registry_take() {
    let folder = tempfile::tempdir().unwrap();
    for (name, payload, bytes, least) in [("flights.jsonl", "json", 1_000_000, 15), ("glucose.csv", "csv", 300_000, 8)]
    {
        let file = rows(folder.path(), name, bytes);
        let model = folder.path().join("model");
        let trained = report(&["train", "--payload", payload, text(&file), "-o", text(&model)]);
        assert_eq!(trained["wins"], true, "{trained}");
        assert!(trained["cpu_seconds"].as_f64().unwrap() > 0.0, "{trained}");
        assert!(
            trained["candidate_bytes"].as_u64().unwrap() * 2 < trained["plain_bytes"].as_u64().unwrap(),
            "{trained}"
        );
        let records = if payload == "csv" { "csv" } else { "lines" };
        let coded = ok(&["compress", "-c", "columns", "-m", text(&model), "--records", records, text(&file)], None);
        let input = fs::read(&file).unwrap();
        assert!(coded.len() * least < input.len(), "{name}: {} of {} bytes", coded.len(), input.len());
        assert_eq!(ok(&["decompress", "-m", text(&model)], Some(&coded)), input, "{name}");
        // The same file, the same model; and the registry takes it as it is.
        let again = report(&["train", text(&file)]);
        assert_eq!(again["manifest"]["model"], trained["manifest"]["model"]);
        let registry = format!("file://{}", folder.path().join("registry").display());
        let imported = report(&["models", "--registry", &registry, "import", text(&model)]);
        assert_eq!(imported["model"], trained["manifest"]["model"]);
        let id = imported["model"].as_str().unwrap();
        assert_eq!(ok(&["decompress", "--registry", &registry], Some(&coded)), input);
        let shown = report(&["models", "--registry", &registry, "show", &id[..8]]);
        assert_eq!(shown["manifest"]["config"]["line_ends"], true, "{shown}");
    }
}

#[test]
fn train_of_single_records_and_of_a_dictionary_serve_their_layouts() {
    let folder = tempfile::tempdir().unwrap();
    let file = rows(folder.path(), "flights.jsonl", 1_500_000);
    let input = fs::read(&file).unwrap();
    let size = |codec: &str, train: &[&str]| {
        let model = folder.path().join("model");
        ok(
            &[&["train", text(&file), "--layout", "record", "--codec", codec, "-o", text(&model)], train].concat(),
            None,
        );
        let coded = ok(
            &["compress", "-c", codec, "-m", text(&model), "--records", "lines", "--layout", "record", text(&file)],
            None,
        );
        assert_eq!(ok(&["decompress", "-m", text(&model)], Some(&coded)), input, "{codec}");
        coded.len()
    };
    let (columns, dictionary) = (size("columns", &[]), size("zstd-dict:19", &["--dictionary", "32KiB"]));
    assert!(columns * 12 < input.len(), "{columns} of {} bytes", input.len());
    assert!(dictionary * 2 < input.len() && columns < dictionary, "{dictionary} of {} bytes", input.len());
}

#[test]
fn train_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let file = rows(folder.path(), "flights.jsonl", 100_000);
    let nameless = folder.path().join("nameless");
    fs::write(&nameless, b"no record mode").unwrap();
    for (arguments, expected) in [
        (&["train"][..], "<FILE"),
        (&["train", text(&file), "--codec", "gzip"], "`gzip` learns nothing"),
        (&["train", text(&nameless)], "--records lines"),
        (&["train", text(&file), "--promote"], "--pipeline"),
        (&["train", "--pipeline", "flihgts", "-c", "config/latentd.toml"], "did you mean `flights`?"),
        (&["train", text(&file), "--limit", "0"], "--limit 0"),
    ] {
        let (code, told) = fails(arguments, None);
        assert!(code == 2 && told.contains(expected), "{arguments:?}: {told}");
    }
    let (code, told) = fails(&["train", "/nowhere.jsonl"], None);
    assert!(code == 1 && told.contains("/nowhere.jsonl"), "{told}");
}

#[test]
fn generate_draws_the_same_records_of_the_topic_s_syntax_from_a_seed() {
    let folder = tempfile::tempdir().unwrap();
    let file = rows(folder.path(), "flights.jsonl", 1_500_000);
    let model = folder.path().join("model");
    ok(&["train", text(&file), "--bare", "-o", text(&model)], None);
    let draw = |seed: &str| ok(&["generate", "-m", text(&model), "-n", "300", "--seed", seed], None);
    let drawn = draw("7");
    assert_eq!(drawn, draw("7"));
    assert_ne!(drawn, draw("8"));
    let records: Vec<Value> = serde_json::Deserializer::from_slice(&drawn).into_iter().map(Result::unwrap).collect();
    assert_eq!(records.len(), 300);
    let real: Value = serde_json::from_slice(flights(2_000).split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for record in &records {
        assert_eq!(keys(record), keys(&real));
        assert!((1..=12).contains(&record["month"].as_i64().unwrap()), "{record}");
    }
    let input = fs::read(&file).unwrap();
    let known: HashSet<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let copies = drawn.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && known.contains(line)).count();
    assert_eq!(copies, 0, "they are new");
    // Each is drawn again from its headers alone.
    let id = latentd::model::package::unpack(&fs::read(&model).unwrap()).unwrap().manifest.model;
    let line = |index: usize| {
        format!(
            "{{\"headers\":[{{\"name\":\"ce_latentdmodel\",\"value\":\"{id}\"}},{{\"name\":\"ce_latentdgenerator\",\"value\":\"columns\"}},\
             {{\"name\":\"ce_latentdseed\",\"value\":\"7\"}},{{\"name\":\"ce_latentdindex\",\"value\":\"{index}\"}}]}}\n"
        )
    };
    let headers = folder.path().join("headers.ndjson");
    fs::write(&headers, [0, 3, 100, 299].map(line).concat()).unwrap();
    let again = ok(&["generate", "-m", text(&model), "--from-headers", text(&headers)], None);
    let lines: Vec<&[u8]> = drawn.split(|byte| *byte == b'\n').collect();
    let expected: Vec<&[u8]> = [0, 3, 100, 299].map(|index| lines[index]).into();
    assert_eq!(again.trim_ascii_end().split(|byte| *byte == b'\n').collect::<Vec<_>>(), expected);
    fs::write(&headers, line(1).replace(&id.to_string(), &"0".repeat(64))).unwrap();
    let (code, told) = fails(&["generate", "-m", text(&model), "--from-headers", text(&headers)], None);
    assert!(code == 1 && told.contains("the record was drawn from model 0000"), "{told}");
    // A file's line ends are the records' own.
    let csv = rows(folder.path(), "glucose.csv", 300_000);
    ok(&["train", text(&csv), "-o", text(&model)], None);
    let out = folder.path().join("drawn.csv");
    ok(&["generate", "-m", text(&model), "-n", "50", "-o", text(&out)], None);
    let rows = fs::read_to_string(&out).unwrap();
    assert!(rows.lines().count() == 50 && rows.lines().all(|row| row.contains(',')), "{rows}");
}

#[test]
fn generate_judges_what_it_draws_by_real_records() {
    let folder = tempfile::tempdir().unwrap();
    let file = rows(folder.path(), "adult.jsonl", 1_000_000);
    let model = folder.path().join("model");
    ok(&["train", text(&file), "-o", text(&model)], None);
    let drawn = folder.path().join("drawn.jsonl");
    let all = ["generate", "-m", text(&model), "-n", "800", "--against", text(&file), "--target", "income"];
    let judged = report(&[&all[..], &["-o", text(&drawn)]].concat());
    assert_eq!(judged, report(&all), "the same seed is judged alike");
    assert_eq!(fs::read_to_string(&drawn).unwrap().lines().count(), 800);
    let names: Vec<&str> =
        judged["gates"].as_array().unwrap().iter().map(|gate| gate["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 11, "{names:?}");
    let value = |name: &str| {
        judged["gates"].as_array().unwrap().iter().find(|gate| gate["name"] == name).unwrap()["value"].as_f64().unwrap()
    };
    assert_eq!(value("valid_share"), 1.0);
    assert!((0.5..0.9).contains(&value("c2st_auc")) && value("column_shapes") > 0.9, "{judged}");
    let table = String::from_utf8(ok(&all, None)).unwrap();
    assert!(table.contains("c2st_auc") && table.contains("800 drawn records, 800 of them valid"), "{table}");
    // As a page that needs nothing beside it.
    let page = folder.path().join("page.html");
    assert_eq!(report(&[&all[..], &["--report", text(&page)]].concat()), judged);
    let page = fs::read_to_string(page).unwrap();
    let overlays = judged["overlays"].as_array().unwrap().len();
    assert!(overlays > 10 && page.matches("<svg").count() == overlays, "{overlays}: {page}");
    for part in ["column_pairs", "marital_status", "Bachelors", "&quot;education&quot;:"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<script") && !page.contains("<link"), "{page}");

    let (code, told) = fails(&["generate", "-m", text(&model), "--against", text(&file), "--target", "wealth"], None);
    assert!(code == 2 && told.contains("no column `wealth`"), "{told}");
    let (code, told) = fails(&["generate", "-m", text(&model), "-n", "20", "--against", text(&file)], None);
    assert!(code == 1 && told.contains("20 generated records are too few"), "{told}");
    let (code, told) = fails(&["generate", "-m", text(&model), "--holdout", text(&file)], None);
    assert!(code == 2 && told.contains("--against"), "{told}");
}

/// The first 1,200 digits of the test set, and their labels.
fn digits(folder: &Path) -> [PathBuf; 2] {
    [("t10k-images-idx3-ubyte", 16, 784), ("t10k-labels-idx1-ubyte", 8, 1)].map(|(name, header, item)| {
        let all = fs::read(tools::data(name).unwrap()).unwrap();
        let mut file = all[..header].to_vec();
        file[4..8].copy_from_slice(&1_200u32.to_be_bytes());
        file.extend_from_slice(&all[header..][..1_200 * item]);
        let path = folder.join(name);
        fs::write(&path, file).unwrap();
        path
    })
}

#[cfg(feature = "training")]
#[test]
fn generate_judges_images_by_what_a_classifier_sees() {
    let folder = tempfile::tempdir().unwrap();
    let [images, labels] = digits(folder.path());
    let model = folder.path().join("digits.model");
    let made = ["train", "--payload", "image", "--shape", "28x28", "--generator", "vae", "--cpu", "4s"];
    ok(&[&made[..], &["--labels", text(&labels), text(&images), "-o", text(&model)]].concat(), None);
    let page = folder.path().join("page.html");
    let drawn = ["generate", "-m", text(&model), "-n", "640", "--against", text(&images)];
    let judged = report(&[&drawn[..], &["--labels", text(&labels), "--report", text(&page)]].concat());
    let value = |report: &Value, name: &str| {
        report["gates"]
            .as_array()
            .unwrap()
            .iter()
            .find(|gate| gate["name"] == name)
            .and_then(|gate| gate["value"].as_f64())
    };
    let agreement = value(&judged, "label_agreement").unwrap();
    assert!((0.3..=1.0).contains(&agreement) && value(&judged, "frechet_ratio") > Some(1.0), "{judged}");
    assert_eq!([&judged["rows"]["train"], &judged["rows"]["generated"]], [600, 640], "{judged}");
    let page = fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("data:image/png;base64,").count(), 10, "a sheet for each digit");
    // Without labels by random features, which have nothing to agree with.
    let judged = report(&drawn);
    assert!(value(&judged, "coverage").is_some() && value(&judged, "label_agreement").is_none(), "{judged}");
    let wrong = [&drawn[..], &["--holdout", text(&images), "--labels", text(&labels)]].concat();
    let (code, told) = fails(&wrong, None);
    assert!(code == 2 && told.contains("labels of both"), "{told}");
    // Of one class: by real ones of it, and by a classifier that knows all of them.
    let ones = [&drawn[..], &["--where", "label=1"]].concat();
    let both = ["--labels", text(&labels), "--holdout", text(&images), "--holdout-labels", text(&labels)];
    let judged = report(&[&ones[..], &both].concat());
    let real = fs::read(&labels).unwrap()[8..].iter().filter(|label| **label == 1).count();
    assert_eq!([&judged["rows"]["train"], &judged["rows"]["holdout"]], [real, real], "{judged}");
    assert!(value(&judged, "label_agreement").is_some() && value(&judged, "cas_ratio").is_none(), "{judged}");
    let (code, told) = fails(&ones, None);
    assert!(code == 2 && told.contains("--where: name the labels"), "{told}");
    let (code, told) = fails(&[&ones[..], &["--labels", text(&labels)]].concat(), None);
    assert!(code == 2 && told.contains("--where: of the real records that meet it"), "{told}");
}

#[cfg(feature = "training")]
#[test]
fn a_gan_of_images_is_trained_drawn_from_and_drawn_again() {
    let folder = tempfile::tempdir().unwrap();
    // A bar of light along or across, of nine by eight samples.
    let (mut images, mut labels) =
        (vec![0, 0, 8, 3, 0, 0, 1, 44, 0, 0, 0, 9, 0, 0, 0, 8], vec![0, 0, 8, 1, 0, 0, 1, 44]);
    for number in 0..300usize {
        let lit = |at: usize| at == number / 2 % 8 || at + 1 == number / 2 % 8;
        images.extend((0..72).map(|at| if lit(if number % 2 == 0 { at % 8 } else { at / 8 }) { 240u8 } else { 10 }));
        labels.push((number % 2) as u8);
    }
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (images, labels) = (file("images-idx3-ubyte", &images), file("labels-idx1-ubyte", &labels));
    let model = folder.path().join("bars.model");
    let made = ["train", "--payload", "image", "--shape", "9x8", "--generator", "gan", "--cpu", "4s"];
    let trained = report(&[&made[..], &["--labels", text(&labels), text(&images), "-o", text(&model)]].concat());
    assert_eq!(
        (&trained["manifest"]["family"], &trained["trained_records"]),
        (&"gan".into(), &300.into()),
        "{trained}"
    );
    assert!(trained["manifest"]["metrics"]["kernel.distance"].is_f64(), "{trained}");
    let draw =
        |rest: &[&str]| ok(&[&["generate", "-m", text(&model), "-n", "200", "--seed", "3"], rest].concat(), None);
    let drawn = draw(&[]);
    assert_eq!(drawn.len(), 200 * 72);
    // What is asked for is what comes: light changes along a bar less than across it.
    for (label, along) in [("0", 8), ("1", 1)] {
        let drawn = draw(&["--where", &format!("label={label}")]);
        let right = drawn.chunks_exact(72).filter(|image| {
            let differ =
                |step: usize| -> u32 { image.iter().zip(&image[step..]).map(|(a, b)| u32::from(a.abs_diff(*b))).sum() };
            differ(along) < differ(9 - along)
        });
        assert!(right.count() > 160, "{label}");
    }
    assert!(draw(&["--balance", "label"]) != drawn);
    let sheet = folder.path().join("sheet.png");
    draw(&["-o", text(&sheet)]);
    assert!(fs::read(&sheet).unwrap().starts_with(b"\x89PNG"));
    // From their headers, one by one.
    let id = trained["manifest"]["model"].as_str().unwrap();
    let header = |index: usize| {
        format!(
            "{{\"ce_latentdmodel\":\"{id}\",\"ce_latentdgenerator\":\"gan\",\"ce_latentdseed\":\"3\",\"ce_latentdindex\":\"{index}\"}}\n"
        )
    };
    let headers = file("headers.ndjson", [0, 63, 64, 199].map(header).concat().as_bytes());
    let again = ok(&["generate", "-m", text(&model), "--from-headers", text(&headers)], None);
    let images: Vec<&[u8]> = drawn.chunks_exact(72).collect();
    assert_eq!(again, [0, 63, 64, 199].map(|index| images[index]).concat());
    // An artefact alone says what it is.
    let alone = file("artefact", package::unpack(&fs::read(&model).unwrap()).unwrap().artefact);
    assert_eq!(ok(&["generate", "-m", text(&alone), "-n", "200", "--seed", "3"], None), drawn);
    let (code, told) = fails(&["generate", "-m", text(&model), "--where", "label=7"], None);
    assert!(code == 2 && told.contains("0, 1"), "{told}");
}

#[test]
fn generate_refuses_what_it_cannot_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = rows(folder.path(), "flights.jsonl", 600_000);
    let model = folder.path().join("model");
    ok(&["train", text(&file), "--codec", "zstd-dict", "--dictionary", "16KiB", "-o", text(&model)], None);
    let (code, told) = fails(&["generate", "-m", text(&model)], None);
    assert!(code == 1 && told.contains("zstd dictionary"), "{told}");
    let (code, told) = fails(&["generate", "-m", text(&model), "--where", "carrier=UA"], None);
    assert!(code == 1 && told.contains("zstd dictionary"), "{told}");
    let (code, told) = fails(&["generate", "-m", text(&model), "--where", "carrier"], None);
    assert!(code == 2 && told.contains("--where carrier: write FIELD=VALUE"), "{told}");
    let (code, told) = fails(&["generate", "-m", text(&file)], None);
    assert!(code == 1 && told.contains("no model of fields"), "{told}");
}

#[test]
fn models_are_compared_on_records_and_show_where_they_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let registry = format!("file://{}", folder.path().join("registry").display());
    let all = rows(folder.path(), "flights.jsonl", 1_500_000);
    let early = folder.path().join("early.jsonl");
    let text_of_all = fs::read(&all).unwrap();
    let cut = text_of_all[..300_000].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(&early, &text_of_all[..cut]).unwrap();
    let (small, large) = (folder.path().join("small"), folder.path().join("large"));
    let small_id = report(&["train", text(&early), "--bare", "-o", text(&small)])["manifest"]["model"].clone();
    let large_id = report(&["train", text(&all), "--bare", "-o", text(&large)])["manifest"]["model"].clone();
    let alone = folder.path().join("alone");
    ok(&["train", text(&early), "--layout", "record", "-o", text(&alone)], None);
    // Files need no registry; models of other layouts and of line ends are each measured as they are used.
    let compared = report(&["models", "compare", text(&small), text(&large), text(&all), "--limit", "2000"]);
    let bytes = |side: &str| compared["measured"][side]["bytes"].as_u64().unwrap();
    assert!(bytes("b") < bytes("a"), "{compared}");
    assert!(bytes("b") * 5 < compared["measured"]["b"]["plain_bytes"].as_u64().unwrap(), "{compared}");
    assert_eq!([&compared["measured"]["a"]["model"], &compared["measured"]["b"]["model"]], [&small_id, &large_id]);
    let single = report(&["models", "compare", text(&small), text(&alone), text(&all), "--limit", "500"]);
    assert_eq!(single["measured"]["b"]["layout"], "record", "{single}");
    let table = String::from_utf8(ok(&["models", "compare", text(&small), text(&large), text(&all)], None)).unwrap();
    assert!(table.contains(&format!("{} needs", &large_id.as_str().unwrap()[..12])), "{table}");
    // The registry's own, and the lineage up to the first.
    let models = |rest: &[&str]| report(&[&["models", "--registry", &registry][..], rest].concat());
    models(&["import", text(&small)]);
    let mut child = latentd::model::package::unpack(&fs::read(&large).unwrap()).unwrap().manifest;
    child.parent = Some(small_id.as_str().unwrap().parse().unwrap());
    let artefact = latentd::model::package::unpack(&fs::read(&large).unwrap()).unwrap().artefact.to_vec();
    fs::write(&large, latentd::model::package::pack(&child.to_json().unwrap(), &artefact).unwrap()).unwrap();
    models(&["import", text(&large)]);
    let (a, b) = (&small_id.as_str().unwrap()[..10], &large_id.as_str().unwrap()[..10]);
    assert!(models(&["compare", a, b])["measured"].is_null());
    assert!(models(&["compare", a, b, text(&all), "--limit", "500"])["measured"]["a"]["bytes"].as_u64() > Some(0));
    let shown = models(&["show", b]);
    assert_eq!([&shown["lineage"][0]["model"], &shown["lineage"][1]["model"]], [&large_id, &small_id], "{shown}");
    assert!(shown["lineage"][1]["manifest"]["metrics"]["bytes_per_record.candidate"].as_f64() > Some(1.0), "{shown}");
    let shown = String::from_utf8(ok(&["models", "--registry", &registry, "show", b], None)).unwrap();
    assert!(shown.contains(&format!("└─ {a}")) && shown.contains(", raw 29"), "{shown}");
    let page = folder.path().join("page.html");
    assert_eq!(models(&["show", b, "--report", text(&page)])["model"], large_id);
    let page = fs::read_to_string(page).unwrap();
    for part in [large_id.as_str().unwrap(), a, "Lineage", "&quot;dep_time&quot;:"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // Promoted and rolled back.
    assert_eq!(models(&["promote", a, "--pipeline", "flights"])["model"], small_id);
    assert_eq!(models(&["promote", b, "--pipeline", "flights"])["model"], large_id);
    assert_eq!(models(&["rollback", "flights"])["model"], small_id);
    assert!(models(&["rollback", "flights"])["model"].is_null());
    let (code, told) = fails(&["models", "--registry", &registry, "rollback", "flights"], None);
    assert!(code == 1 && told.contains("nothing to roll back"), "{told}");
}

#[test]
fn the_newest_tenth_of_a_small_file_judges_and_the_report_says_in_what_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let all = fs::read(tools::data("nfl.csv").unwrap()).unwrap();
    let lines: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').take(1_500).collect();
    let file = folder.path().join("nfl.csv");
    fs::write(&file, lines.concat()).unwrap();
    for codec in ["columns", "zstd-dict"] {
        let trained = report(&["train", "--codec", codec, "--dictionary", "4KiB", text(&file)]);
        let count = |name: &str| trained[name].as_u64().unwrap();
        let (older, newer) = (count("trained_records"), count("held_out_records"));
        assert_eq!(older + newer, 1_500, "{codec}");
        assert!((120..=180).contains(&newer), "{codec}: {newer}");
        assert!(count("judged_block_bytes") * 16 <= count("raw_bytes"), "{trained}");
        assert_eq!(count("block_bytes"), 1 << 20);
        // What needs no model stands beside it: four codecs and Kafka.
        let log = &trained["on_log"];
        let rivals = log["rivals"].as_object().unwrap();
        assert!(rivals.len() == 5 && rivals.contains_key("kafka-zstd:3"), "{log}");
        let metrics = &trained["manifest"]["metrics"];
        let each = metrics["log_bytes_per_record.kafka-zstd:3"].as_f64().unwrap() * newer as f64;
        assert!((each - rivals["kafka-zstd:3"].as_f64().unwrap()).abs() < 1.0, "{metrics}");
        // Of all that a field's model is compared with nothing is smaller by more than it may be where it wins; a dictionary has no rivals.
        let candidate = log["candidate_bytes"].as_f64().unwrap();
        let is_barred = rivals.values().any(|bytes| bytes.as_f64().unwrap() < 0.98 * candidate);
        let bars = log["bars"].as_array().unwrap().len();
        assert!(trained["wins"] != is_barred && bars == 5 || codec != "columns" && bars == 0, "{trained}");
    }
    let said = String::from_utf8(ok(&["train", text(&file)], None)).unwrap();
    assert!(said.contains("in blocks of at most ") && said.contains("hold up to 1.00 MiB"), "{said}");
    assert!(said.contains("so that there are enough to judge by"), "{said}");
    assert!(said.contains("On the broker's log") && said.contains("kafka-zstd:3"), "{said}");
}

#[test]
fn a_missing_model_is_named_with_the_registry_that_lacks_it() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let url = |path: &Path| format!("file://{}", path.display());
    let file = rows(folder.path(), "flights.jsonl", 600_000);
    let (model, other) = (folder.path().join("model"), folder.path().join("other"));
    let id = report(&["train", text(&file), "-o", text(&model)])["manifest"]["model"].clone();
    ok(&["train", text(&file), "--limit", "1000", "-o", text(&other)], None);
    ok(&["models", "--registry", &url(&here), "import", text(&model)], None);
    ok(&["models", "--registry", &url(&there), "import", text(&other)], None);
    for layout in ["block", "record"] {
        let compress =
            ["compress", "-c", "columns", "-m", text(&model), "--records", "lines", "--layout", layout, text(&file)];
        let coded = ok(&compress, None);
        assert_eq!(ok(&["decompress", "--registry", &url(&here)], Some(&coded)), fs::read(&file).unwrap());
        for arguments in [
            &["decompress", "--registry", &url(&there)][..],
            &["decompress", "--registry", &url(&folder.path().join("none"))],
            &["decompress", "-m", text(&other)],
            &["decompress"],
        ] {
            let (code, told) = fails(arguments, Some(&coded));
            let place = arguments.last().filter(|place| place.contains("://")).copied().unwrap_or("");
            assert!(
                code == 1 && told.contains(&id.as_str().unwrap()[..8]) && told.contains(place),
                "{arguments:?}: {told}"
            );
        }
    }
}

#[test]
fn compress_takes_the_codec_from_a_model_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let artefact = fs::read(tools::project("tests/golden/v1/latent/digits.model")).unwrap();
    let manifest = Manifest::new(&artefact, Family::LATENT, "digits", "2026-01-01T00:00:00Z");
    let (bare, model) = (folder.path().join("bare"), folder.path().join("model"));
    fs::write(&bare, &artefact).unwrap();
    fs::write(&model, package::pack(&manifest.to_json().unwrap(), &artefact).unwrap()).unwrap();
    // Strokes of the kind that the model was counted on, in an idx file.
    let count = 300u32;
    let mut file = [&[0, 0, 8, 3][..], &count.to_be_bytes(), &8u32.to_be_bytes(), &8u32.to_be_bytes()].concat();
    for image in 0..count as i32 {
        let (down, across, shift) = (image % 5 - 2, image / 5 % 5 - 2, image % 13);
        let distance = |at: i32| ((at % 8 - shift % 8) * down - (at / 8 - shift / 2) * across).abs();
        file.extend((0..64).map(|at| (200 - 60 * distance(at)).clamp(0, 255) as u8));
    }
    let images = folder.path().join("images.idx");
    fs::write(&images, &file).unwrap();
    for layout in ["record", "block"] {
        let arguments = ["compress", "-m", text(&model), "--records", "idx", "--layout", layout, text(&images)];
        let coded = ok(&arguments, None);
        let name = ModelId::of(&fs::read(&bare).unwrap()).prefix();
        assert!(coded.windows(4).any(|bytes| bytes == name), "{layout}: no frame names the model");
        assert!(coded.len() * 3 < file.len() * 2, "{layout}: {} of {} bytes", coded.len(), file.len());
        assert_eq!(ok(&["decompress", "-m", text(&bare)], Some(&coded)), file, "{layout}");
        let named =
            ["compress", "-c", "latent", "-m", text(&bare), "--records", "idx", "--layout", layout, text(&images)];
        assert_eq!(ok(&named, None), coded, "{layout}");
    }
    let (_, error) = fails(&["compress", "-m", text(&bare), "--records", "idx", text(&images)], None);
    assert!(error.contains("does not say what it is for"), "{error}");
    let (_, error) = fails(&["compress", "-c", "columns", "-m", text(&model), "--records", "idx", text(&images)], None);
    assert!(error.contains("is of family `latent`"), "{error}");
}

#[cfg(feature = "training")]
#[test]
fn train_learns_images_that_compress_then_makes_smaller_than_zstd_does() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    let images = tools::data("t10k-images-idx3-ubyte").unwrap();
    let train = ["train", "--payload", "image", "--cpu", "4s", "--limit", "3000", "--seed", "7", "--format", "json"];
    let report = ok(&[&train[..], &["--shape", "28x28", text(&images), "-o", text(&model)]].concat(), None);
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["manifest"]["family"], "latent", "{report}");
    assert!(report["candidate_bytes"].as_u64().unwrap() * 6 < report["plain_bytes"].as_u64().unwrap() * 5, "{report}");
    let curve = report["manifest"]["curve"].as_array().unwrap();
    assert!(curve.len() > 20 && curve[curve.len() - 1]["loss"].as_f64() < curve[0]["loss"].as_f64(), "{report}");
    let file: Vec<u8> = fs::read(&images).unwrap()[..16 + 784 * 200].to_vec();
    let file = [&file[..4], &200u32.to_be_bytes(), &file[8..]].concat();
    let coded = ok(&["compress", "--records", "idx", "--model", text(&model)], Some(&file));
    assert!(coded.len() * 4 < file.len(), "{} of {} bytes", coded.len(), file.len());
    assert_eq!(ok(&["decompress", "--model", text(&model)], Some(&coded)), file);
    // Beside Kafka's own zstd, which a first model of images beats too.
    let bench = ["bench", "--shape", "28x28", "--cpu", "4s", "--codecs", "latent", "--limit", "1500", "--time", "1ms"];
    let rows = ok(&[&bench[..], &["--format", "json", text(&images)]].concat(), None);
    let rows: serde_json::Value = serde_json::from_slice(&rows).unwrap();
    let each = |way: &str| -> f64 {
        let row = rows["rows"].as_array().unwrap().iter().find(|row| row["way"].as_str().unwrap().starts_with(way));
        row.unwrap_or_else(|| panic!("no row {way}: {rows}"))["bytes_per_record"].as_f64().unwrap()
    };
    assert!(each("latent, block 128KiB") * 10.0 < each("Kafka zstd-3, 128KiB") * 9.0, "{rows}");
    let (_, error) = fails(&["bench", "--codecs", "latent", text(&images)], None);
    assert!(error.contains("--shape"), "{error}");
    let shape = ["train", "--payload", "image", "--shape", "5x5", text(&images)];
    assert!(fails(&shape, None).1.contains("5x5"));
    let (_, error) = fails(&[&train[..], &["--shape", "32x32", text(&images)]].concat(), None);
    assert!(error.contains("0 of 2400 records are images of 32x32"), "{error}");
    let (_, error) = fails(&["train", "--codec", "latent", text(&images)], None);
    assert!(error.contains("--payload image"), "{error}");
}

/// Real records of which some lack a value, or have one that nobody has.
fn lacking_values_are_drawn_and_odd_ones_told(folder: &Path, rows: &Path, model: &Path) {
    let rows = fs::read_to_string(rows).unwrap();
    let real: Vec<&str> = rows.lines().take(200).collect();
    assert!(real.iter().filter(|row| row.contains("null")).count() > 5, "Adult has rows without a workclass");
    let lacking = folder.join("lacking.jsonl");
    let complete = |content: &[u8], more: &[&str]| {
        fs::write(&lacking, content).unwrap();
        ok(&[&["generate", "-m", text(model), "--complete", text(&lacking)], more].concat(), None)
    };
    let completed = complete(real.join("\n").as_bytes(), &[]);
    assert_eq!(completed, complete(real.join("\n").as_bytes(), &[]));
    let lines: Vec<String> = String::from_utf8(completed).unwrap().split('\n').map(str::to_owned).collect();
    assert_eq!(lines.len(), real.len(), "no end of a line more than there were");
    for (before, after) in real.iter().zip(&lines) {
        let [before, after]: [Value; 2] = [*before, after].map(|row| serde_json::from_str(row).unwrap());
        for (field, value) in before.as_object().unwrap() {
            assert!(
                if value.is_null() { after[field].is_string() } else { after[field] == *value },
                "{before} {after}"
            );
        }
    }
    // What is between records is nobody's to change, and neither is what is no record of the topic.
    let crlf = format!("{}\r\n\r\n{{\"no\":1}}\r\n", real.join("\r\n"));
    assert_eq!(complete(crlf.as_bytes(), &[]), format!("{}\r\n\r\n{{\"no\":1}}\r\n", lines.join("\r\n")).as_bytes());
    let prefixed = |records: &[&str]| -> Vec<u8> {
        let record = |record: &&str| [&(record.len() as u32).to_be_bytes(), record.as_bytes()].concat();
        records.iter().flat_map(record).collect()
    };
    let expected: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(complete(&prefixed(&real), &["--records", "length"]), prefixed(&expected));
    let spaced = complete(format!(" {}  \n\n", real.join("   ")).as_bytes(), &["--records", "json"]);
    assert_eq!(String::from_utf8(spaced).unwrap(), format!(" {}  \n\n", expected.join("   ")));
    fs::write(&lacking, "{\"no\":1}\n{\"no\":2}\n").unwrap();
    for command in [&["generate", "--complete"][..], &["score"]] {
        let output = folder.join("none");
        let (_, told) = fails(&[command, &[text(&lacking), "-m", text(model), "-o", text(&output)]].concat(), None);
        assert!(!output.exists());
        assert!(
            told.contains("none of the 2 records") && told.contains("{\"no\":1}") && told.contains("--records"),
            "{told}"
        );
    }

    let age = |age: &str| {
        let own = serde_json::from_str::<Value>(real[0]).unwrap()["age"].clone();
        real[0].replacen(&format!(":{own},"), &format!(":{age},"), 1)
    };
    let scored = folder.join("scored.jsonl");
    fs::write(&scored, format!("{}\n\n{}\n{{\"no\":1}}\n", real.join("\n"), age("990"))).unwrap();
    let scores = |more: &[&str]| -> Vec<Value> {
        let lines = ok(&[&["score", "-m", text(model), "--format", "json", text(&scored)], more].concat(), None);
        let lines = std::str::from_utf8(&lines).unwrap().lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = scores(&[]);
    assert_eq!(all.len(), real.len() + 2, "what is empty is no record");
    let odd = &all[real.len()];
    assert_eq!((&odd["unseen"], &odd["field"]), (&serde_json::json!(["age"]), &"age".into()), "{odd}");
    assert_eq!(
        (&odd["number"], odd["record"].as_str()),
        (&(real.len() + 1).into(), Some(age("990").as_str())),
        "{odd}"
    );
    assert!(odd["fields"]["age"].as_f64().unwrap() > 18.0, "{odd}");
    for score in &all[..=real.len()] {
        assert!(score["bits"].as_f64().unwrap() > 1.0 && score["excess"].as_f64() < score["bits"].as_f64(), "{score}");
        assert_eq!(score["fields"].as_object().unwrap().len(), 15, "{score}");
    }
    let most = scores(&["-n", "3"]);
    // What is no such record at all, then by what does not fit.
    assert_eq!((most.len(), &most[0]["bits"], &most[0]["record"]), (3, &Value::Null, &"{\"no\":1}".into()));
    let of = |score: &Value| score["field"].as_str().map(|field| score["fields"][field].as_f64().unwrap());
    let largest = all.iter().filter_map(of).fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(of(&most[1]), Some(largest));
    let table = ok(&["score", "-m", text(model), text(&scored)], None);
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("fits least") && table.contains("{\"no\":1}") && table.lines().count() < 60, "{table}");
}

#[cfg(feature = "training")]
#[test]
fn the_header_of_a_csv_is_none_of_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let [file, model] = ["visits.csv", "model"].map(|name| folder.path().join(name));
    // As data frames are written: the column of row numbers has no name.
    let row = |n: u64| {
        let city = ["Pula", "\"Split, HR\"", ""][(n * n + n / 7) as usize % 3];
        format!("{n},{city},{}\r\n", if n.is_multiple_of(4) { String::new() } else { (n * 31 % 97).to_string() })
    };
    let header = ",city,amount\r\n";
    let rows: Vec<String> = (0..2000).map(row).collect();
    fs::write(&file, header.to_owned() + &rows.concat()).unwrap();
    ok(&["train", "--generator", "autoregressive", "--cpu", "2s", text(&file), "-o", text(&model)], None);
    let completed = ok(&["generate", "-m", text(&model), "--complete", text(&file)], None);
    let completed = String::from_utf8(completed).unwrap();
    let lines: Vec<&str> = completed.split_inclusive("\r\n").collect();
    assert_eq!((lines.len(), lines[0]), (2001, header));
    let cells = |line: &str| {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect::<Vec<_>>()
    };
    for (before, after) in rows.iter().map(|row| cells(row)).zip(lines[1..].iter().map(|line| cells(line))) {
        assert!(["Pula", "Split, HR"].contains(&after[1].as_str()) && after[2].parse::<u64>().is_ok(), "{after:?}");
        assert!(before.iter().zip(&after).all(|(before, after)| before.is_empty() || before == after), "{after:?}");
    }
    let scores = ok(&["score", "-m", text(&model), "--format", "json", text(&file)], None);
    let scores = String::from_utf8(scores).unwrap();
    let numbers = scores.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].as_u64().unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), (1..=2000).collect::<Vec<_>>());
}

#[test]
fn generators_of_rows_are_trained_drawn_from_and_drawn_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = rows(folder.path(), "adult.jsonl", 400_000);
    let model = folder.path().join("model");
    for kind in ["autoregressive", "vae", "gan"] {
        let trained = report(&[
            "train",
            "--payload",
            "json",
            "--generator",
            kind,
            "--cpu",
            "3s",
            text(&file),
            "-o",
            text(&model),
        ]);
        assert_eq!(trained["manifest"]["family"], kind, "{trained}");
        assert!(trained["trained_records"].as_u64().unwrap() > 1000, "{trained}");
        let drawn = ok(&["generate", "-m", text(&model), "-n", "300", "--seed", "7"], None);
        let lines: Vec<&[u8]> = drawn.trim_ascii_end().split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 300);
        for line in &lines {
            let record: Value = serde_json::from_slice(line).unwrap();
            assert!((17..=90).contains(&record["age"].as_i64().unwrap()), "{record}");
        }
        let id = trained["manifest"]["model"].as_str().unwrap();
        let headers = folder.path().join("headers.ndjson");
        let header = |index: usize| {
            format!(
                "{{\"ce_latentdmodel\":\"{id}\",\"ce_latentdgenerator\":\"{kind}\",\"ce_latentdseed\":\"7\",\"ce_latentdindex\":\"{index}\"}}\n"
            )
        };
        fs::write(&headers, [0, 255, 256, 299].map(header).concat()).unwrap();
        let again = ok(&["generate", "-m", text(&model), "--from-headers", text(&headers)], None);
        let expected: Vec<&[u8]> = [0, 255, 256, 299].map(|index| lines[index]).into();
        assert_eq!(again.trim_ascii_end().split(|byte| *byte == b'\n').collect::<Vec<_>>(), expected);
        // An artefact alone says what it is.
        let alone = folder.path().join("artefact");
        fs::write(&alone, package::unpack(&fs::read(&model).unwrap()).unwrap().artefact).unwrap();
        assert_eq!(ok(&["generate", "-m", text(&alone), "-n", "300", "--seed", "7"], None), drawn);
        let asked = ["generate", "-m", text(&model), "-n", "200", "--where", "sex=Female"];
        if kind == "autoregressive" {
            let drawn = String::from_utf8(ok(&asked, None)).unwrap();
            assert!(drawn.lines().all(|line| line.contains("\"Female\"")), "{drawn}");
            // Judged by real records that meet it: those of either half of the file.
            let judged = report(&[&asked[..], &["--against", text(&file)]].concat());
            let women = fs::read_to_string(&file).unwrap().matches("\"Female\"").count() as u64;
            let [real, held] = ["train", "holdout"].map(|part| judged["rows"][part].as_u64().unwrap());
            assert_eq!((real + held, real.abs_diff(held)), (women, women % 2), "{judged}");
            let few = ["generate", "-m", text(&model), "--where", "native_country=Germany", "--against", text(&file)];
            let (code, told) = fails(&few, None);
            assert!(code == 2 && told.contains("--where: of the real records that meet it"), "{told}");
            lacking_values_are_drawn_and_odd_ones_told(folder.path(), &file, &model);
        } else {
            for asked in [
                &asked[..],
                &["generate", "-m", text(&model), "--complete", text(&file)],
                &["score", "-m", text(&model), text(&file)],
            ] {
                let (code, told) = fails(asked, None);
                assert!(code == 2 && told.contains("--generator autoregressive"), "{told}");
            }
        }
    }
    for (arguments, expected) in [
        (&["train", "--payload", "image", "--shape", "28x28", "--generator", "autoregressive", "x"][..], "learns rows"),
        (&["train", "--generator", "vae", "--labels", "y", "x.jsonl"], "--labels are of images"),
    ] {
        let (code, told) = fails(arguments, None);
        assert!(code == 2 && told.contains(expected), "{arguments:?}: {told}");
    }
}

/// A file of the headers of drawn records, and what was drawn.
fn described(drawn: &[u8]) -> Vec<(String, String)> {
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let headers = line["headers"].as_array().unwrap();
        let by = headers.iter().find(|header| header["name"] == "ce_latentdgenerator").unwrap();
        let value = line.get("value").or(line.get("value_base64")).unwrap();
        (by["value"].as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned())
    };
    std::str::from_utf8(drawn).unwrap().lines().map(read).collect()
}

#[test]
fn classical_rows_are_made_of_real_ones_balanced_and_drawn_again_from_their_headers() {
    let folder = tempfile::tempdir().unwrap();
    let file = rows(folder.path(), "adult.jsonl", 400_000);
    let model = folder.path().join("model");
    let made = ["train", "--payload", "json", "--generator", "classical", "--bare", text(&file), "-o", text(&model)];
    let trained = report(&[&made[..], &["--bases", "900", "--neighbours", "4"]].concat());
    assert_eq!(trained["manifest"]["family"], "classical", "{trained}");
    assert_eq!(trained["manifest"]["metrics"]["bases"], 900.0, "{trained}");
    let config = &trained["manifest"]["config"];
    assert_eq!((&config["operations"][0], &config["neighbours"]), (&"smote-nc".into(), &4.into()), "{trained}");
    let registry = format!("file://{}", folder.path().join("registry").display());
    let id = report(&["models", "--registry", &registry, "import", text(&model)])["model"].clone();
    let shown =
        String::from_utf8(ok(&["models", "--registry", &registry, "show", id.as_str().unwrap()], None)).unwrap();
    assert!(
        shown.contains("family    classical") && shown.contains("holds     900 training records, coarsened"),
        "{shown}"
    );

    let draw = ["generate", "-m", text(&model), "-n", "300", "--seed", "7"];
    let drawn = ok(&draw, None);
    let lines: Vec<&[u8]> = drawn.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 300);
    assert!(lines.iter().all(|line| serde_json::from_slice::<Value>(line).unwrap()["age"].as_i64() >= Some(17)));
    let alone = folder.path().join("artefact");
    fs::write(&alone, package::unpack(&fs::read(&model).unwrap()).unwrap().artefact).unwrap();
    assert_eq!(ok(&["generate", "-m", text(&alone), "-n", "300", "--seed", "7"], None), drawn);
    // Each says which operation made it, and is drawn again from what it says.
    let headers = folder.path().join("headers.ndjson");
    for (asked, women) in [(&[][..], None), (&["--balance", "income"], None), (&["--where", "sex=Female"], Some(300))] {
        let told = ok(&[&draw[..], asked, &["--headers"]].concat(), None);
        let described = described(&told);
        let by = |operation: &str| described.iter().filter(|(by, _)| by == operation).count();
        assert!(by("classical/smote-nc") > 100 && by("classical/smote-nc") + by("classical/jitter") == 300);
        let plain = ok(&[&draw[..], asked].concat(), None);
        let values: Vec<&str> = described.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(std::str::from_utf8(plain.trim_ascii_end()).unwrap().lines().collect::<Vec<_>>(), values);
        fs::write(&headers, &told).unwrap();
        assert_eq!(ok(&["generate", "-m", text(&model), "--from-headers", text(&headers)], None), plain, "{asked:?}");
        let count = |part: &str| values.iter().filter(|value| value.contains(part)).count();
        assert!(women.is_none_or(|women| count("\"Female\"") == women));
        assert!(!asked.contains(&"income") || count("\">50K\"").abs_diff(150) < 5, "{}", count("\">50K\""));
        // What another operation made is not this.
        let forged = std::str::from_utf8(&told).unwrap().replace("classical/smote-nc", "classical/jitter");
        fs::write(&headers, forged).unwrap();
        let (code, told) = fails(&["generate", "-m", text(&model), "--from-headers", text(&headers)], None);
        assert!(code == 1 && told.contains("the model draws it by `classical/smote-nc`"), "{told}");
    }
    // Balanced records are judged as they are drawn.
    let judged =
        report(&[&draw[..5], &["--balance", "income", "--against", text(&file), "--target", "income"]].concat());
    assert!(judged["gates"].as_array().unwrap().iter().any(|gate| gate["name"] == "lift"), "{judged}");
    for (arguments, expected) in [
        (&["--where", "sex=Neither"][..], "`sex` is never `Neither`"),
        (&["--where", "age=17", "--where", "income=>50K"], "`income` is never `>50K`: 0 of the 900 records"),
        (&["--balance", "age"], "nothing is balanced over `age`"),
    ] {
        let (code, told) = fails(&[&draw[..], arguments].concat(), None);
        assert!(code == 2 && told.contains(expected), "{arguments:?}: {told}");
    }
    for (arguments, expected) in [
        (&["--operations", "crop"][..], "of rows there are smote-nc, jitter"),
        (&["--operations", "smote"], "there is no operation `smote`"),
        (&["--neighbours", "40"], "1 to 32 neighbours"),
    ] {
        let (_, told) = fails(&[&made[..], arguments].concat(), None);
        assert!(told.contains(expected), "{arguments:?}: {told}");
    }
    let (code, told) = fails(&["train", "--generator", "vae", "--bases", "7", text(&file)], None);
    assert!(code == 2 && told.contains("are of --generator classical"), "{told}");
}

#[test]
fn classical_images_are_made_of_those_that_one_says_may_be_held() {
    let folder = tempfile::tempdir().unwrap();
    let [images, labels] = digits(folder.path());
    let model = folder.path().join("model");
    let made =
        ["train", "--payload", "image", "--shape", "28x28", "--generator", "classical", "--labels", text(&labels)];
    let (code, told) = fails(&[&made[..], &[text(&images)]].concat(), None);
    assert!(code == 2 && told.contains("near to one of them") && told.contains("--bases N"), "{told}");
    let bases = ["--bases", "600", text(&images), "-o", text(&model)];
    let trained = report(&[&made[..], &bases].concat());
    assert_eq!(trained["manifest"]["config"]["holds"], "600 training images, as they are", "{trained}");
    let told = String::from_utf8(ok(&[&made[..], &bases].concat(), None)).unwrap();
    assert!(told.contains("who has the model has these images"), "{told}");
    let draw = ["generate", "-m", text(&model), "-n", "100", "--seed", "2"];
    let drawn = ok(&draw, None);
    assert_eq!(drawn.len(), 100 * 784);
    let sheet = folder.path().join("sheet.png");
    ok(&[&draw[..], &["--where", "label=3", "-o", text(&sheet)]].concat(), None);
    assert!(fs::read(&sheet).unwrap().starts_with(b"\x89PNG"));
    // Headers say what made each, and make it again.
    let told = ok(&[&draw[..], &["--headers"]].concat(), None);
    let described = described(&told);
    let kinds: HashSet<&str> = described.iter().map(|(by, _)| by.as_str()).collect();
    let expected = ["crop", "shift", "noise", "jitter", "mixup"].map(|name| format!("classical/{name}"));
    assert_eq!(kinds, expected.iter().map(String::as_str).collect());
    let headers = folder.path().join("headers.ndjson");
    for place in [0, 63, 64, 99] {
        fs::write(&headers, std::str::from_utf8(&told).unwrap().lines().nth(place).unwrap()).unwrap();
        let again = ok(&["generate", "-m", text(&model), "--from-headers", text(&headers)], None);
        assert_eq!(again[..784], drawn[place * 784..][..784], "{place}");
    }
    let (code, told) = fails(&[&draw[..], &["--headers", "-o", text(&sheet)]].concat(), None);
    assert!(code == 2 && told.contains("a sheet has no headers"), "{told}");
    let flips = [&made[..], &["--operations", "flip,smote-nc"], &bases].concat();
    let (code, told) = fails(&flips, None);
    assert!(code == 2 && told.contains("--operations smote-nc: of images there are crop"), "{told}");
}

#[cfg(feature = "training")]
#[test]
fn balanced_images_are_judged_by_the_classes_that_they_were_drawn_in() {
    let folder = tempfile::tempdir().unwrap();
    let [images, labels] = digits(folder.path());
    let model = folder.path().join("model");
    let made = ["train", "--payload", "image", "--shape", "28x28", "--generator", "classical", "--bases", "1200"];
    let given = ["--operations", "noise", "--labels", text(&labels), text(&images), "-o", text(&model)];
    ok(&[&made[..], &given].concat(), None);
    let judged = ["generate", "-m", text(&model), "-n", "640", "--against", text(&images), "--labels", text(&labels)];
    let agreement = |asked: &[&str]| {
        let judged = report(&[&judged[..], asked].concat());
        let gate = judged["gates"].as_array().unwrap().iter().find(|gate| gate["name"] == "label_agreement").cloned();
        gate.unwrap()["value"].as_f64().unwrap()
    };
    // Classes that are drawn evenly are others than those that the numbers alone would have drawn.
    let (plain, balanced) = (agreement(&[]), agreement(&["--balance", "label"]));
    assert!(plain > 0.4 && (balanced - plain).abs() < 0.2, "{plain} {balanced}: by chance it would be a tenth");
}
