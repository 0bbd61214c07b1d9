//! Changing a daemon that runs, and stopping one that is being changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use latentd::record::{Record, Timestamp};
use serde_json::{Value, json};

use crate::broker::{Broker, shared};
use crate::daemon::Daemon;
use crate::end_to_end::records;

const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_pipeline_that_has_failed_says_why_and_a_reload_gives_it_another_try() {
    let broker = &shared();
    broker.create("mended", 1, &[]);
    let damaged = Bytes::from_static(&[0x91, 0x4c, 0x11, 0, 1, 2, 3, 4]);
    let timestamp = Timestamp::create(1_700_000_000_000);
    let record = Record { key: None, value: Some(damaged), headers: Vec::new(), timestamp, offset: 0 };
    broker.produce("mended", &BTreeMap::from([(0, vec![record])]), false);
    broker.create("sound", 1, &[]);
    let tables = "[pipelines.back]\nfrom = \"mended\"\nto = \"mended.back\"\noperation = \"restore\"\ndead_letter = \"stop\"\n\
                  [pipelines.sound]\nfrom = \"sound\"\nto = \"sound.z\"\n";
    let daemon = Daemon::start(broker, "mended", tables);
    let reason = daemon.until("the pipeline has failed", PATIENCE, || {
        let (_, pipeline) = daemon.json("/api/v1/pipelines/back")?;
        (pipeline["state"] == "failed").then(|| pipeline["reason"].as_str().unwrap_or_default().to_owned())
    });
    assert!(reason.contains("mended/0"), "{reason}");
    daemon.not_ready_because(&reason.replace('"', "\\\""), PATIENCE);
    assert_eq!(daemon.get("/livez").map(|(status, _)| status), Some(200), "a restart of the process would not help");
    let (status, body) = daemon.post("/api/v1/pipelines/back/pause");
    assert!(status == 409 && body.contains("a reload starts it again"), "{status} {body}");

    // A bad file changes nothing and says why.
    daemon.edit("from = \"sound\"", "form = \"sound\"");
    let (status, body) = daemon.post("/-/reload");
    assert!(status == 422 && body.contains("form"), "{status} {body}");
    daemon.edit("form = \"sound\"", "from = \"sound\"");

    broker.delete("mended");
    broker.until(|| broker.partitions("mended").is_none().then_some(()));
    broker.create("mended", 1, &[]);
    let (status, body) = daemon.post("/-/reload");
    let summary: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &summary["restarted"], &summary["unchanged"]), (200, &json!(["back"]), &json!(["sound"])));
    daemon.ready(PATIENCE);
    daemon.stop();
}

#[test]
fn a_daemon_that_is_told_to_stop_while_it_reloads_keeps_its_one_deadline() {
    let broker = Broker::start(&[]);
    broker.create("slow", 1, &[]);
    broker.produce("slow", &records(1, 2_000), false);
    let tables = "[shutdown]\ndeadline = \"10s\"\n[pipelines.slow]\nfrom = \"slow\"\nto = \"slow.z\"\n\
                  [pipelines.other]\nfrom = \"slow\"\nto = \"slow.other\"\n";
    let daemon = Daemon::start(&broker, "slow", tables);
    daemon.ready(PATIENCE);
    broker.produce("slow", &records(1, 2_000), false);
    broker.node().freeze();
    // The pipeline that changes cannot commit, so the reload waits for it.
    daemon.edit("to = \"slow.z\"", "to = \"slow.y\"");
    daemon.signal("HUP");
    daemon.until("the reload has begun", PATIENCE, || {
        let (_, pipeline) = daemon.json("/api/v1/pipelines/slow")?;
        (pipeline["state"] == "draining").then_some(())
    });
    let asked = Instant::now();
    daemon.signal("TERM");
    daemon.end(Duration::from_secs(18));
    assert!(asked.elapsed() < Duration::from_secs(16), "one deadline and not two: {:?}", asked.elapsed());
    assert!(!daemon.log().contains("slow.y"), "nothing starts once everything ends");
}
