//! Learning under fire: the daemon is killed while it trains, publishes, promotes, swaps and goes back, and records flow all
//! the time. Nothing is lost, nothing is doubled, and everything comes back as it was.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::broker::shared;
use crate::daemon::Daemon;
use crate::feed::Feed;
use crate::topics::assert_same;

const PATIENCE: Duration = Duration::from_secs(240);

/// A member that was killed is noticed soon.
pub const SESSION: &str = "\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"1000\"\n";

const TABLES: &str = "[pipelines.fire]\nfrom = \"fire\"\nto = \"fire.z\"\ncodec = \"columns\"\ncommit_interval = \"100ms\"\n\
                      [pipelines.fire.learn]\nevery = \"3s\"\nreservoir = \"12MiB\"\n\
                      [pipelines.fire-back]\noperation = \"restore\"\nfrom = \"fire.z\"\nto = \"fire.back\"\n";

/// Files of this name below a folder.
pub fn files(folder: &Path, name: impl Fn(&str) -> bool + Copy) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            found.extend(files(&path, name));
        } else if path.file_name().and_then(|name| name.to_str()).is_some_and(name) {
            found.push(path);
        }
    }
    found
}

/// Waits for something that lasts a moment only.
pub fn catch(daemon: &Daemon, what: &str, mut happens: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happens() {
        assert!(Instant::now() < deadline, "not in {PATIENCE:?}: {what}\n{}", daemon.log());
        std::thread::sleep(Duration::from_millis(2));
    }
    println!("killed: {what}");
    daemon.kill();
}

fn coded(daemon: &Daemon) -> f64 {
    daemon.metric("latentd_codec_output_bytes_total", &["pipeline=\"fire\"", "codec=\"columns\""]).unwrap_or(0.0)
}

#[test]
fn a_daemon_that_is_killed_while_it_trains_promotes_swaps_and_goes_back_loses_and_doubles_nothing() {
    let broker = &shared();
    broker.create("fire", 2, &[]);
    let feed = Feed::flights(broker, "fire");
    let mut daemon = Daemon::with_kafka(broker, "fire", SESSION, TABLES);
    let registry = daemon.registry();
    let models = || files(&registry.join("models"), |name| name == "manifest.json").len();
    let changes = || files(&registry.join("active"), |name| name.ends_with(".json")).len();
    let trainings = |daemon: &Daemon| daemon.log().matches("\"training: ").count();

    // In the middle of a training: its first line is in the log, the last one is not.
    catch(&daemon, "in a training", || trainings(&daemon) == 1);
    assert_eq!((models(), changes()), (0, 0), "the training was not over");
    daemon.restart();
    // Between publication and promotion, or in the promotion: whichever the disk was at.
    catch(&daemon, "in a promotion", || models() == 1);
    daemon.restart();
    // In the swap: the registry says so, and the workers come to their next transaction.
    catch(&daemon, "in a swap", || changes() >= 1);
    daemon.restart();
    // What is in force is used from the first record on, and killed in the middle of it.
    daemon.until("the model in use", PATIENCE, || (coded(&daemon) > 0.0).then_some(()));
    println!("killed: with the model in use");
    daemon.kill();
    daemon.restart();
    // In a training while a model is in use.
    let before = trainings(&daemon);
    catch(&daemon, "in another training", || trainings(&daemon) > before);
    daemon.restart();
    // Going back: the registry says so, and the workers come to their next transaction.
    daemon.until("the model in use again", PATIENCE, || (coded(&daemon) > 0.0).then_some(()));
    let steps = changes();
    for _ in 0..files(&registry.join("active"), |name| name.ends_with(".json")).len() {
        // Every promotion that is still in force.
        let url = format!("file://{}", registry.display());
        let arguments = ["models", "--registry", url.as_str(), "rollback", "fire"];
        if !Command::new(env!("CARGO_BIN_EXE_latentd")).args(arguments).status().unwrap().success() {
            break;
        }
    }
    assert!(changes() > steps, "nothing was taken back");
    catch(&daemon, "while it goes back", || {
        let (_, pipeline) = daemon.json("/api/v1/pipelines/fire").unwrap();
        pipeline["model"].is_null()
    });
    daemon.restart();
    daemon.until("records coded without a model", PATIENCE, || {
        let zstd = daemon.metric("latentd_codec_output_bytes_total", &["pipeline=\"fire\"", "codec=\"zstd\""])?;
        (zstd > 0.0).then_some(())
    });
    assert_eq!(coded(&daemon), 0.0, "a model that was taken back is not used after a restart");

    let sent = feed.stop();
    let count = sent.values().map(Vec::len).sum();
    println!("{count} records, {} models, {} changes", models(), changes());
    let back = broker.consume("fire.back", count, PATIENCE);
    assert_same(&sent, &back, "under fire");
    assert_eq!(daemon.metric("latentd_dead_letters_total", &[]), None);
    daemon.stop();
}

const AUTO: &str = "[pipelines.auto]\nfrom = \"auto\"\nto = \"auto.z\"\ncodec = \"auto\"\npayload = \"json\"\n\
                    [pipelines.auto.learn]\nevery = \"1h\"\n\
                    [pipelines.auto-back]\noperation = \"restore\"\nfrom = \"auto.z\"\nto = \"auto.back\"\n";

#[test]
fn a_codec_is_chosen_told_used_and_found_again_after_a_restart() {
    let broker = &shared();
    broker.create("auto", 2, &[]);
    let feed = Feed::flights(broker, "auto");
    let mut daemon = Daemon::with_kafka(broker, "auto", SESSION, AUTO);
    let choice = |daemon: &Daemon| {
        let (_, pipeline) = daemon.json("/api/v1/pipelines/auto")?;
        Some(pipeline["choice"].clone()).filter(|choice| choice.is_object())
    };
    let chosen = daemon.until("a choice", PATIENCE, || choice(&daemon));
    assert_eq!(chosen["codec"], "columns", "{chosen}");
    let (_, pipeline) = daemon.json("/api/v1/pipelines/auto").unwrap();
    println!("{}", pipeline["learning"]);
    let candidates = chosen["candidates"].as_array().unwrap();
    let names: Vec<&str> = candidates.iter().map(|one| one["codec"].as_str().unwrap()).collect();
    assert!(["zstd:3", "zstd-dict:3", "identity", "columns"].iter().all(|name| names.contains(name)), "{names:?}");
    for one in candidates {
        println!(
            "{:<12} {:>8.2} bytes {:>9.5} {}",
            one["codec"].as_str().unwrap(),
            one["bytes_per_record"].as_f64().unwrap(),
            one["price_per_million"].as_f64().unwrap(),
            one["excluded"]
        );
    }
    let price = daemon.metric("latentd_codec_price", &["codec=\"columns\""]).unwrap();
    assert!(price < daemon.metric("latentd_codec_price", &["codec=\"zstd:3\""]).unwrap());
    assert_eq!(daemon.metric("latentd_codec_chosen", &["codec=\"columns\""]), Some(1.0));
    assert!(daemon.log().contains("codec in use; the price of 10⁶ records with each"), "{}", daemon.log());
    daemon.kill();
    daemon.restart();
    daemon.until("the choice again", PATIENCE, || {
        let codec = daemon.metric("latentd_codec_output_bytes_total", &["pipeline=\"auto\"", "codec=\"columns\""])?;
        (codec > 0.0).then_some(())
    });
    let sent = feed.stop();
    let count = sent.values().map(Vec::len).sum();
    assert_same(&sent, &broker.consume("auto.back", count, PATIENCE), "chosen");
    daemon.stop();
}
