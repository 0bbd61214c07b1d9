//! The configuration as its users meet it: the files in `config/`, the reference in `docs/`, and what errors say.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use latentd::config::{self, Style, keys};

fn load(text: &str) -> Result<config::Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latentd.toml");
    fs::write(&path, text).unwrap();
    config::load(&path)
        .map_err(|errors| errors.rendered(Style::Plain).replace(&folder.path().display().to_string(), "DIR"))
}

/// What the errors of a text say.
fn errors(text: &str) -> String {
    load(text).map(|_| ()).unwrap_err()
}

const PIPELINE: &str = "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\n";

#[test]
fn every_example_is_a_valid_configuration() {
    let mut seen = 0;
    for folder in ["config", "config/examples"] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let config = config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
                assert!(!config.pipelines.is_empty());
                assert_eq!(config.notices(), [], "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "{seen} examples");
}

#[test]
fn the_full_example_shows_every_key_with_its_default() {
    let text = fs::read_to_string("config/latentd.toml").unwrap();
    // A key behind `# ` or not, in the table above it.
    let mut table = String::new();
    let mut shown = BTreeSet::new();
    for line in text.lines() {
        let line = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            table = name.to_owned();
        } else if let Some((name, value)) = line.split_once(" = ") {
            let path = format!("{table}.{}", name.trim_matches('"'));
            let Some(key) = keys::find(&path) else { panic!("`{path}` is no key: {line}") };
            shown.insert(key.path);
            let commented = text.contains(&format!("# {name} = {value}"));
            let value = value.split("  #").next().unwrap().trim();
            if let Some(default) = key.default.filter(|_| commented) {
                assert_eq!(value, default, "`{path}` shows another default");
            }
        }
    }
    let missing: Vec<&str> = keys::KEYS.iter().map(|key| key.path).filter(|path| !shown.contains(path)).collect();
    assert_eq!(missing, [""; 0], "keys that config/latentd.toml does not show");
}

#[test]
fn the_reference_is_made_from_the_code() {
    let path = Path::new("docs/configuration.md");
    let reference = keys::reference();
    if std::env::var_os("LATENTD_BLESS").is_some() {
        fs::create_dir_all("docs").unwrap();
        fs::write(path, &reference).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(written, reference, "docs/configuration.md is old: LATENTD_BLESS=1 cargo test --test config");
}

#[test]
fn every_key_of_the_reference_is_read_and_takes_its_example() {
    for key in keys::KEYS {
        let (above, name) = key.path.rsplit_once('.').unwrap();
        let name = if name == "*" { "some.name" } else { name };
        let mut text = String::new();
        // An address beyond loopback asks for a token.
        let needs = if key.path == "admin.listen" { "token = \"a long token\"\n" } else { "" };
        let example = key.example.replace("/run/secrets/latentd", "secret");
        let table = above.replace('*', "p");
        if table.starts_with("pipelines") {
            for (own, line) in [("from", "from = \"a\"\n"), ("to", "to = \"b\"\n")] {
                if name != own || table != "pipelines.p" {
                    text.push_str(line);
                }
            }
            text.insert_str(0, "[pipelines.p]\n");
            if table.ends_with(".augment") {
                text.push_str("codec = \"columns\"\n[pipelines.p.learn]\n");
            }
            if table.ends_with(".learn") {
                text.push_str("codec = \"zstd-dict\"\n");
            }
            if table != "pipelines.p" {
                text.push_str(&format!("[{table}]\n"));
            }
            if table.ends_with(".augment") && name != "to" {
                text.push_str("to = \"c\"\n");
            }
            text.push_str(&format!("{name} = {example}\n"));
        } else {
            text = format!("[{table}]\n{needs}\"{name}\" = {example}\n{PIPELINE}");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "a long token").unwrap();
        let path = folder.path().join("latentd.toml");
        fs::write(&path, &text).unwrap();
        let config = config::load(&path).unwrap_or_else(|errors| panic!("{}:\n{text}\n{errors}", key.path));
        let read =
            config.explain().iter().any(|value| keys::matches(key.path, &value.key) && value.origin != "default");
        assert!(read, "`{}` was not read:\n{text}", key.path);
    }
}

#[test]
fn a_typo_shows_its_place_and_the_nearest_key() {
    let text = "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\ncodek = \"zstd\"\n";
    assert_eq!(
        errors(text),
        "error: `pipelines.p.codek`: there is no such key; did you mean `codec`?\n\x20 --> DIR/latentd.toml:4:1\n  |\n4 | codek = \"zstd\"\n  | ^^^^^"
    );
}

#[test]
fn all_errors_of_a_file_are_shown_at_once() {
    let text = "[daemon]\nname = \"a b\"\n[resources]\nmemory = 5.5\n[shutdown]\ndeadline = 30\n\
                [pipelines.p]\nfrom = []\nto = \"b/c\"\ncodec = \"zsdt:3\"\nlayout = \"blok\"\nworkers = \"two\"\n\
                commit_interval = \"1m\"\n[pipelines.p.learn]\n[piplines.q]\n";
    let errors = errors(text);
    for expected in [
        "`daemon.name`: `a b` is no name",
        "`resources.memory`: this must be a size, such as \"64MiB\", and is a number: 5.5",
        "`shutdown.deadline`: a duration needs a unit: write \"30s\" for seconds or \"30ms\" for milliseconds",
        "`pipelines.p.from`: the list is empty",
        "`pipelines.p.to`: `b/c` is no topic",
        "`pipelines.p.codec`: no codec `zsdt`",
        "did you mean `zstd`?",
        "`blok` is none of `block`, `record`; did you mean `block`?",
        "`pipelines.p.workers`: this must be a whole number, without quotes, and is a text: \"two\"",
        "`pipelines.p.commit_interval`: 1m is out of bounds: write a duration from \"1ms\" to \"10s\"",
        "`piplines`: there is no such key; did you mean `pipelines`?",
        "errors in `DIR/latentd.toml`; nothing was changed",
    ] {
        assert!(errors.contains(expected), "not there: {expected}\n{errors}");
    }
}

#[test]
fn what_is_no_toml_says_where() {
    let errors = errors("[kafka]\nbrokers = [\"a:1\"\n\n[admin]\n");
    assert!(errors.contains("latentd.toml:"), "{errors}");
    let missing = config::load(Path::new("/nowhere/latentd.toml")).unwrap_err().to_string();
    assert!(missing.contains("cannot read the configuration: No such file"), "{missing}");
}

#[test]
fn options_that_limit_each_other_are_checked_together() {
    for (text, expected) in [
        ("", "there is no pipeline"),
        ("[pipelines.p]\nto = \"b\"\n", "`pipelines.p.from`: this key is missing: write `from = \"flights\"`"),
        ("[pipelines.p]\nfrom = \"a\"\nto = \"a\"\n", "its output would be its input"),
        ("[pipelines.p]\nfrom = { pattern = \"^a.*\" }\nto = \"a.z\"\n", "its output would be its input"),
        ("[pipelines.p]\nfrom = { pattern = \"a.*\" }\nto = \"b\"\n", "must begin with `^`"),
        ("[pipelines.p]\nfrom = \"a\"\nto = \"c\"\n[pipelines.q]\nfrom = \"b\"\nto = \"c\"\n", "writes `c` too"),
        ("[pipelines.p]\nfrom = \"a\"\nto = \"b\"\ncodec = \"mixing\"\n", "`mixing` is not in this release"),
        ("[pipelines.p]\nfrom = \"a\"\nto = \"b\"\ncodec = \"zstd:40\"\n", "levels are 1 to 22"),
        ("[pipelines.p]\nfrom = \"a\"\nto = \"b\"\n[pipelines.p.augment]\nto = \"c\"\n", "`zstd` makes none"),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\ncodec = \"columns\"\n[pipelines.p.learn]\n[pipelines.p.augment]\n",
            "`pipelines.p.augment.to`: this key is missing",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\ncodec = \"columns\"\n[pipelines.p.learn]\n[pipelines.p.augment]\nto = \"a\"\n",
            "its output would be its input",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\ncodec = \"columns\"\n[pipelines.p.learn]\n[pipelines.p.augment]\nto = \"b\"\n",
            "a topic of their own",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\n[pipelines.p.augment]\ngenerator = \"gan\"\nbalance = \"carrier\"\n",
            "`pipelines.p.augment.balance`: the generator `gan` draws all fields of a row at once, from noise, and under no condition: take `auto`, `autoregressive` or `classical`",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\npayload = \"image\"\nshape = \"28x28\"\n[pipelines.p.augment]\ngenerator = \"autoregressive\"\n",
            "learns fields, of which images have none: take `auto`, `vae`, `gan` or `classical`",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\npayload = \"image\"\nshape = \"28x28\"\n[pipelines.p.augment]\ngenerator = \"classical\"\n",
            "holds images of the topic as they are, in the registry, and what it draws is near to one of them: say with `bases = 10000`",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\n[pipelines.p.augment]\ngenerator = \"classical\"\nbases = 70000\n",
            "`pipelines.p.augment.bases`: 70000 is out of bounds: write a number from 10 to 65536",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\npayload = \"image\"\nshape = \"28x28\"\n[pipelines.p.augment]\nlabel = \"key\"\nwhere = { digit = 3 }\n",
            "images have no `digit`: what is asked of them is `label`, their class",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\npayload = \"image\"\nshape = \"28x28\"\n[pipelines.p.augment]\nbalance = \"label\"\n",
            "write `label = \"key\"` or `label = { header = \"NAME\" }`",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\npayload = \"image\"\nshape = \"28x28\"\n[pipelines.p.augment]\nlabel = { headr = \"x\" }\n",
            "the place where a record says its image's class",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\npayload = \"image\"\n[pipelines.p.augment]\n",
            "images of which shape?",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\npayload = \"image\"\nshape = \"28x28\"\ncodec = \"xz\"\n[pipelines.p.augment]\nto = \"c\"\n",
            "what draws images learns from records that a codec which learns has kept, and `xz` keeps none",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\n[pipelines.p.augment]\ngenerator = \"columns\"\nwhere = { carrier = \"UA\" }\n",
            "draws under no condition",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\n[pipelines.p.augment]\nwhere = { carrier = [1] }\n",
            "a table of fields with a text, a number or a boolean each",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\n[pipelines.p.augment]\nwhere = { a = true }\nbalance = \"a\"\n",
            "there is nothing to balance",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\ndelivery = \"at-least-once\"\n",
            "take `exactly-once`",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"restore\"\n[pipelines.p.augment]\nto = \"c\"\n",
            "nothing to draw from",
        ),
        ("[pipelines.p]\nfrom = \"a\"\nto = \"b\"\n[pipelines.p.learn]\n", "`zstd` learns nothing"),
        (
            "[resources]\nmemory = \"64MiB\"\n[pipelines.p]\nfrom = \"a\"\nto = \"b\"\nworkers = 8\n",
            "write at least \"128MiB\"",
        ),
        ("[admin]\nlisten = \"0.0.0.0:9644\"\n[pipelines.p]\nfrom = \"a\"\nto = \"b\"\n", "`admin.token` must be set"),
        (
            "[kafka.properties]\n\"group.id\" = \"x\"\n[pipelines.p]\nfrom = \"a\"\nto = \"b\"\n",
            "not the user's to set",
        ),
        ("[kafka]\nbrokers = [\"localhost\"]\n[pipelines.p]\nfrom = \"a\"\nto = \"b\"\n", "`localhost` is no broker"),
        ("[daemon]\ninstance = \"${LATENTD_TEST_NOT_SET}\"\n[pipelines.p]\nfrom = \"a\"\nto = \"b\"\n", "is not set"),
        ("[log]\nlevel = \"lots=of=noise\"\n[pipelines.p]\nfrom = \"a\"\nto = \"b\"\n", "is no log filter"),
    ] {
        let errors = errors(text);
        assert!(errors.contains(expected), "not there: {expected}\n{errors}");
    }
}

#[test]
fn what_is_probably_not_meant_is_noticed() {
    for (text, expected) in [
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\nlayout = \"record\"\n[pipelines.p.block]\nlinger = \"1s\"\n",
            "layout is `record`",
        ),
        ("[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"restore\"\ncodec = \"xz\"\n", "reads every codec"),
        ("[pipelines.p]\nfrom = [\"a\", \"c\"]\nto = \"b\"\n", "cannot tell them apart"),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\n[pipelines.p.augment]\nlabel = \"key\"\n",
            "only images have a label",
        ),
        (
            "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\noperation = \"generate\"\n[pipelines.p.augment]\ngenerator = \"classical\"\n\
             cpu = \"1m\"\n",
            "takes no training of its own",
        ),
    ] {
        let config = load(text).unwrap();
        let notices: Vec<String> = config.notices().iter().map(|notice| notice.rendered(Style::Plain)).collect();
        assert!(notices.len() == 1 && notices[0].contains(expected), "not there: {expected}\n{notices:?}");
    }
}
