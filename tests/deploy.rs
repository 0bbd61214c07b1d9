//! What lies under `deploy/` is true: the programs that will read it accept it, and it agrees with the code.

#![cfg(feature = "daemon")]

mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use latentd::telemetry::families::{FAMILIES, FamilyType};
use tempfile::TempDir;
use tools::{Said, program, project, run};

const UNIT: &str = "deploy/systemd/latentd.service";
const DOCKERFILE: &str = "deploy/docker/Dockerfile";
const CONFIG: &str = "deploy/prometheus/prometheus.yml";
const RULES: &str = "deploy/prometheus/latentd.rules.yml";
const RULE_TESTS: &str = "deploy/prometheus/latentd.rules.test.yml";

fn read(file: &str) -> Result<String> {
    fs::read_to_string(project(file)).with_context(|| format!("`{file}` is not read"))
}

// --- systemd -------------------------------------------------------------------------------------------------------

/// The unit as it would lie on a machine where latentd is installed: systemd looks for the program that it starts.
struct Installed {
    _folder: TempDir,
    unit: PathBuf,
}

impl Installed {
    fn new(change: impl FnOnce(String) -> String) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let unit = folder.path().join("latentd.service");
        let text = read(UNIT)?.replace("/usr/bin/latentd", env!("CARGO_BIN_EXE_latentd"));
        fs::write(&unit, change(text))?;
        Ok(Self { _folder: folder, unit })
    }

    fn analyze(&self, arguments: &[&str]) -> Result<Said> {
        let unit = self.unit.to_str().context("the temporary path is UTF-8")?;
        run(&program("systemd-analyze")?, &[arguments, &[unit]].concat())
    }

    /// Only the unit itself is judged, not the units of this machine that it names.
    fn verify(&self) -> Result<Said> {
        self.analyze(&["verify", "--recursive-errors=no"])
    }
}

#[test]
fn systemd_accepts_the_unit_without_a_word() -> Result<()> {
    let said = Installed::new(|text| text)?.verify()?;
    assert!(said.success && said.text.trim().is_empty(), "{}", said.text);
    Ok(())
}

#[test]
fn systemd_would_have_a_word_for_a_misspelt_key() -> Result<()> {
    let said = Installed::new(|text| text.replace("RestartSec=", "RestartSecond="))?.verify()?;
    assert!(said.text.contains("RestartSecond"), "{}", said.text);
    Ok(())
}

#[test]
fn the_unit_confines_the_daemon() -> Result<()> {
    // Tenths of systemd's exposure level, where 10.0 is a service that may do anything.
    let threshold = |tenths: &str| format!("--threshold={tenths}");
    let unit = Installed::new(|text| text)?;
    let said = unit.analyze(&["security", "--offline=yes", &threshold("20")])?;
    assert!(said.success, "{}", said.text);
    let said = unit.analyze(&["security", "--offline=yes", &threshold("5")])?;
    assert!(!said.success, "the threshold is not heeded:\n{}", said.text);
    Ok(())
}

// --- Prometheus ----------------------------------------------------------------------------------------------------

fn promtool(arguments: &[&str], file: &str) -> Result<Said> {
    let file = project(file);
    let file = file.to_str().context("the project's path is UTF-8")?;
    run(&program("promtool")?, &[arguments, &[file]].concat())
}

#[test]
fn prometheus_accepts_the_configuration_and_the_rules_that_it_names() -> Result<()> {
    let said = promtool(&["check", "config"], CONFIG)?;
    assert!(said.success && said.text.contains("1 rule files found"), "{}", said.text);
    let said = promtool(&["check", "rules", "--lint=all", "--lint-fatal"], RULES)?;
    assert!(said.success, "{}", said.text);
    Ok(())
}

#[test]
fn every_alert_fires_when_it_should_and_is_silent_when_it_should() -> Result<()> {
    let said = promtool(&["test", "rules"], RULE_TESTS)?;
    assert!(said.success && said.text.contains("SUCCESS"), "{}", said.text);
    Ok(())
}

#[test]
fn every_alert_is_tested_firing_and_silent() -> Result<()> {
    let rules = read(RULES)?;
    let alerts: BTreeSet<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(!alerts.is_empty());

    // Each expectation names its alert first, and lists what fires only if something does.
    let tests = read(RULE_TESTS)?;
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for expectation in tests.split("- alertname: ").skip(1) {
        let alert = expectation.lines().next().unwrap_or_default();
        let fires = expectation.contains("exp_alerts:");
        if fires {
            firing.insert(alert)
        } else {
            silent.insert(alert)
        };
    }
    assert_eq!(firing, alerts);
    assert_eq!(silent, alerts);
    Ok(())
}

/// The metrics of latentd that a text names, without the names that the recording rules make.
fn metrics_named(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    code.flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')))
        .filter(|word| word.starts_with("latentd_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_rules_read_metrics_that_the_daemon_has() -> Result<()> {
    let mut known = BTreeSet::new();
    for family in FAMILIES {
        if matches!(family.ty, FamilyType::Histogram(_)) {
            known.extend(["_bucket", "_count", "_sum"].map(|suffix| format!("{}{suffix}", family.name)));
        } else {
            known.insert(family.name.to_owned());
        }
    }
    let named = metrics_named(&read(RULES)?);
    assert!(named.contains("latentd_dead_letters_total"), "{named:?}");
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    Ok(())
}

// --- the container -------------------------------------------------------------------------------------------------

#[test]
fn the_image_is_built_with_the_rust_that_the_project_asks_for() -> Result<()> {
    let image = format!("FROM rust:{}-bookworm AS build", env!("CARGO_PKG_RUST_VERSION"));
    assert!(read(DOCKERFILE)?.lines().any(|line| line == image), "`{image}` is not in {DOCKERFILE}");
    Ok(())
}

/// The Debian package of a shared library, where it is not part of every Debian image.
fn package_of(library: &str) -> Option<&str> {
    match library {
        "libssl.so.3" | "libcrypto.so.3" => Some("libssl3"),
        "libz.so.1" => Some("zlib1g"),
        "libstdc++.so.6" => Some("libstdc++6"),
        // glibc and GCC's runtime: `apt` itself needs both.
        "libc.so.6" | "libm.so.6" | "libdl.so.2" | "libpthread.so.0" | "librt.so.1" | "libutil.so.1"
        | "libgcc_s.so.1" => None,
        _ => Some("a package that this test does not know"),
    }
}

#[test]
fn the_image_holds_every_library_that_the_binary_needs() -> Result<()> {
    let said = run(&program("ldd")?, &[env!("CARGO_BIN_EXE_latentd")])?;
    assert!(said.success && said.text.contains("libc.so.6"), "{}", said.text);
    let dockerfile = read(DOCKERFILE)?;
    let (_, runtime) = dockerfile.split_once("FROM debian:bookworm-slim").context("the image is made from Debian's")?;
    let words: BTreeSet<_> = runtime.split_whitespace().collect();
    for library in said.text.lines().filter_map(|line| line.trim().split_once(" => ")) {
        if std::env::var("LIBTORCH").is_ok_and(|folder| library.1.starts_with(&folder)) {
            let copied = words.iter().any(|word| word.contains("libtorch") && word.ends_with("/lib"));
            assert!(copied, "`{}` is of libtorch, which {DOCKERFILE} does not copy", library.0);
            continue;
        }
        if let Some(package) = package_of(library.0) {
            assert!(words.contains(package), "`{}` needs {package}, which {DOCKERFILE} does not install", library.0);
        }
    }
    Ok(())
}

// --- the set-up ----------------------------------------------------------------------------------------------------

#[test]
fn the_set_up_left_the_programs_and_the_data_that_the_tests_use() -> Result<()> {
    let programs =
        ["gzip", "zstd", "brotli", "lz4", "xz", "bzip2", "python3", "kcat", "curl", "java", "prometheus", "promtool"];
    for name in programs {
        program(name)?;
    }
    for file in ["flights.jsonl", "weather.jsonl", "adult.jsonl", "adult-test.jsonl", "train-images-idx3-ubyte"] {
        tools::data(file)?;
    }
    Ok(())
}
