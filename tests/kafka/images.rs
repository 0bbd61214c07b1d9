//! A topic of images: a model is trained on it for a while, beside the stream; the daemon is killed and stopped in between and
//! goes on, swaps the model in under load, and takes it back. Nothing is lost, nothing is doubled.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::broker::shared;
use crate::daemon::Daemon;
use crate::feed::Feed;
use crate::fire::{SESSION, catch, files};
use crate::topics::assert_same;

const PATIENCE: Duration = Duration::from_secs(300);

const TABLES: &str = "[pipelines.images]\nfrom = \"images\"\nto = \"images.z\"\npayload = \"image\"\nshape = \"28x28\"\n\
                      codec = \"latent\"\nlayout = \"record\"\n\
                      [pipelines.images.learn]\nevery = \"1h\"\ncpu = \"15s\"\n\
                      [pipelines.images-back]\noperation = \"restore\"\nfrom = \"images.z\"\nto = \"images.back\"\n";

/// Bytes of the records that a codec has coded, before and after.
fn coded(daemon: &Daemon, codec: &str) -> (f64, f64) {
    let labels = ["pipeline=\"images\"".to_owned(), format!("codec=\"{codec}\"")];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let sum = |name: &str| daemon.metric(name, &labels).unwrap_or(0.0);
    (sum("latentd_codec_input_bytes_total"), sum("latentd_codec_output_bytes_total"))
}

#[test]
fn a_model_of_images_is_trained_on_through_kills_and_stops_swapped_in_and_taken_back() {
    let broker = &shared();
    broker.create("images", 2, &[]);
    let feed = Feed::images(broker, "images");
    let mut daemon = Daemon::with_kafka(broker, "images", SESSION, TABLES);
    let registry = daemon.registry();
    let progress = || files(&registry.join("trainings"), |name| name == "progress").pop();
    let went_on = |daemon: &Daemon| daemon.log().matches("goes on with one that was not ended").count();
    let learning = |daemon: &Daemon| {
        let (_, pipeline) = daemon.json("/api/v1/pipelines/images")?;
        Some(pipeline["learning"].clone())
    };

    // In a training, behind a place that it can go on from.
    let spent = || {
        let file = std::fs::read(progress()?).ok()?;
        let plan = serde_json::Deserializer::from_slice(&file).into_iter::<serde_json::Value>().next()?.ok()?;
        plan["spent_seconds"].as_f64()
    };
    catch(&daemon, "in a training of images", || spent().is_some_and(|seconds| seconds > 0.0));
    assert!(files(&registry.join("models"), |_| true).is_empty(), "the training was not over");
    daemon.restart();
    let training = daemon.until("the training goes on", PATIENCE, || {
        learning(&daemon)?.get("training").filter(|training| training["loss"].is_number()).cloned()
    });
    println!("{training}");
    assert_eq!(went_on(&daemon), 1);
    assert!(training["cpu_seconds"].as_f64().unwrap() > 2.0 && training["step"].as_u64().unwrap() > 500, "{training}");
    assert!(daemon.metric("latentd_training_progress_ratio", &[]).is_some_and(|ratio| ratio > 0.1 && ratio <= 1.0));
    assert!(daemon.metric("latentd_training_loss", &[]).is_some_and(|loss| loss > 0.5 && loss < 4.0));

    // It ends, and its model carries the stream.
    daemon.until("the model in use", PATIENCE, || (coded(&daemon, "latent").0 > 784.0 * 2000.0).then_some(()));
    let (raw, bytes) = coded(&daemon, "latent");
    let misfits =
        daemon.metric("latentd_codec_misfits_total", &["pipeline=\"images\"", "codec=\"latent\""]).unwrap_or(0.0);
    println!(
        "{:.1} bytes an image of 784, {misfits} of {} that the model does not fit",
        bytes / raw * 784.0,
        raw / 784.0
    );
    assert!(misfits < raw / 784.0 / 20.0, "{misfits} misfits");
    assert!(bytes / raw < 0.2, "{bytes} bytes of {raw}");
    assert!(progress().is_none(), "what has ended is not gone on with");
    assert_eq!(daemon.metric("latentd_training_progress_ratio", &[]), None);

    // Another one, warm; stopped and gone on with.
    assert_eq!(daemon.post("/api/v1/pipelines/images/train").0, 202);
    daemon.until("another training", PATIENCE, || learning(&daemon)?["training"]["step"].as_u64());
    assert!(daemon.log().contains("\"warm\":true"), "{}", daemon.log());
    let asked = Instant::now();
    daemon.stop();
    println!("stopped in {:?}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    daemon.restart();
    let last = daemon.until("its end", PATIENCE, || {
        let last = learning(&daemon)?["last"].clone();
        (last["cause"] == "asked").then_some(last)
    });
    println!("{last}");
    assert!(last["outcome"] == "replaced" || last["outcome"] == "kept", "{last}");
    assert_eq!(went_on(&daemon), 2);

    // All that was promoted is taken back.
    let url = format!("file://{}", registry.display());
    let rollback = || {
        let arguments = ["models", "--registry", url.as_str(), "rollback", "images"];
        Command::new(env!("CARGO_BIN_EXE_latentd")).args(arguments).status().unwrap().success()
    };
    assert!(rollback());
    while rollback() {}
    daemon.until("no model in use", PATIENCE, || {
        let (_, pipeline) = daemon.json("/api/v1/pipelines/images")?;
        pipeline["model"].is_null().then_some(())
    });
    let before = coded(&daemon, "zstd").0;
    daemon.until("records without a model", PATIENCE, || (coded(&daemon, "zstd").0 > before).then_some(()));

    let sent = feed.stop();
    let count = sent.values().map(Vec::len).sum();
    println!("{count} images");
    assert_same(&sent, &broker.consume("images.back", count, PATIENCE), "images");
    assert_eq!(daemon.metric("latentd_dead_letters_total", &[]), None);
    daemon.stop();
}
