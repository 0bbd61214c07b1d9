//! The code is as `ARCHITECTURE.md` says: who uses whom, and what appears where.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

/// A row of the table of modules.
#[derive(Debug)]
struct Module {
    level: u32,
    beside: Vec<String>,
}

/// The names between backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn table() -> BTreeMap<String, Module> {
    let text = fs::read_to_string("ARCHITECTURE.md").unwrap();
    let mut modules = BTreeMap::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        if let [level, name, _, beside] = cells[..]
            && let Ok(level) = level.parse()
        {
            let name = names(name).pop().unwrap();
            modules.insert(name, Module { level, beside: names(beside) });
        }
    }
    assert!(modules.len() >= 12, "the table of modules was not found");
    modules
}

/// All Rust files below `src`, with the module that each belongs to.
fn files() -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix("src").unwrap().iter().next().unwrap().to_str().unwrap();
                files.push((module.trim_end_matches(".rs").to_owned(), path));
            }
        }
    }
    files
}

/// The code of a file without its comments, and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut kept = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.starts_with("mod tests {") || next.contains(" mod tests {"))
        {
            break;
        }
        kept.push(line.split("//").next().unwrap_or_default());
    }
    kept.join("\n")
}

/// Files that are tests as a whole: declared under `#[cfg(test)]`.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let parent = path.parent().unwrap();
    let declares = |file: PathBuf| {
        fs::read_to_string(file).is_ok_and(|text| {
            ["", "pub(crate) ", "pub(super) "]
                .iter()
                .any(|vis| text.contains(&format!("#[cfg(test)]\n{vis}mod {name};")))
        })
    };
    declares(parent.join("mod.rs")) || declares(parent.join("lib.rs"))
}

#[test]
fn every_module_is_in_the_table_and_the_table_names_no_other() {
    let table = table();
    let mut modules: Vec<String> = files().into_iter().map(|(module, _)| module).collect();
    modules.sort();
    modules.dedup();
    modules.retain(|module| module != "lib" && module != "main");
    assert_eq!(modules, table.keys().cloned().collect::<Vec<_>>());
}

#[test]
fn a_module_uses_lower_levels_only() {
    let table = table();
    let path = Regex::new(r"\bcrate::([a-z_]+)").unwrap();
    let group = Regex::new(r"\buse crate::\{").unwrap();
    let mut wrong = Vec::new();
    for (module, file) in files() {
        let Some(own) = table.get(&module) else { continue };
        let text = code(&file);
        assert!(!group.is_match(&text), "{}: `use crate::{{…}}` hides who uses whom", file.display());
        for found in path.captures_iter(&text) {
            let used = &found[1];
            let Some(other) = table.get(used).filter(|_| used != module) else { continue };
            if other.level > own.level || (other.level == own.level && !own.beside.iter().any(|name| name == used)) {
                wrong.push(format!(
                    "{}: `{module}` (level {}) uses `{used}` (level {})",
                    file.display(),
                    own.level,
                    other.level
                ));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn libraries_and_liberties_stay_in_their_homes() {
    let only: [(&str, &str, &[&str]); 6] = [
        ("rdkafka", r"\brdkafka(_sys)?::", &["source", "sink"]),
        ("tch", r"\btch::", &["training"]),
        ("anyhow", r"\banyhow(::|!)", &["cli"]),
        ("axum", r"\baxum::", &["admin"]),
        ("unsafe", r"\bunsafe\b", &["engine"]),
        ("unwrap()", r"\.unwrap\(\)", &[]),
    ];
    let mut wrong = Vec::new();
    for (module, file) in files().into_iter().filter(|(_, file)| !is_test(file)) {
        let text = code(&file);
        for (what, pattern, homes) in only {
            if !homes.contains(&module.as_str()) && Regex::new(pattern).unwrap().is_match(&text) {
                wrong.push(format!("{}: {what}", file.display()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn unsafe_code_is_in_the_kernels_alone() {
    let pattern = Regex::new(r"\bunsafe\b").unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for (_, file) in files().into_iter().filter(|(_, file)| pattern.is_match(&code(file))) {
        seen += 1;
        if !file.starts_with("src/engine/kernels") {
            wrong.push(file);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(seen > 0, "the pattern finds the kernels");
}

#[test]
fn the_pure_core_does_no_io_and_reads_no_clock() {
    let impure =
        Regex::new(r"std::(fs|net|env|process|thread|io::stdin|io::stdout)|Instant::now|SystemTime::now|tokio::")
            .unwrap();
    let mut wrong = Vec::new();
    for (module, file) in files().into_iter().filter(|(_, file)| !is_test(file)) {
        if ["record", "units", "frame", "payload", "codec", "engine", "entropy", "model", "augment", "quality", "cost"]
            .contains(&module.as_str())
            && let Some(found) = impure.find(&code(&file))
        {
            wrong.push(format!("{}: {}", file.display(), found.as_str()));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_decoder_alone_needs_no_client_no_runtime_and_no_network() {
    let tree = |features: &str| -> Vec<String> {
        let arguments = ["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none", "--no-default-features"];
        let output = Command::new(env!("CARGO")).args(arguments).args(["--features", features]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    };
    let heavy = ["rdkafka", "rdkafka-sys", "tokio", "tch", "torch-sys", "object_store", "reqwest", "axum", "clap"];
    let alone = tree("decode");
    assert!(alone.contains(&"zstd".to_owned()), "{alone:?}");
    assert!(heavy.iter().all(|name| !alone.contains(&(*name).to_owned())), "{alone:?}");
    assert!(tree("daemon").contains(&"tokio".to_owned()), "the daemon has them");
}

#[test]
fn the_rules_would_notice() {
    // Each pattern finds what it is for in a line of its own making.
    assert!(Regex::new(r"\.unwrap\(\)").unwrap().is_match("let x = y.unwrap();"));
    assert!(Regex::new(r"\brdkafka(_sys)?::").unwrap().is_match("use rdkafka::Message;"));
    let levels = table();
    assert!(levels["pipeline"].level > levels["codec"].level);
    assert_eq!(levels["sink"].beside, ["source"]);
}
