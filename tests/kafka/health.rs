//! What `/livez`, `/readyz` and the API say while the cluster is in trouble, and after it.

use std::time::Duration;

use serde_json::Value;

use crate::broker::Broker;
use crate::daemon::Daemon;
use crate::end_to_end::records;
use crate::node;

const PATIENCE: Duration = Duration::from_secs(240);

/// Changes who may do what on a topic.
fn acl(broker: &Broker, action: &str, topic: &str, rule: &[&str]) {
    let mut command = node::java("org.apache.kafka.tools.AclCommand");
    command.args(["--bootstrap-server", &broker.servers(), action, "--topic", topic]);
    let output = command.args(rule).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn without_a_broker_a_daemon_is_alive_and_not_ready_and_an_idle_one_comes_back_without_a_record() {
    let broker = Broker::start(&[]);
    broker.create("idle", 2, &[]);
    broker.produce("idle", &records(2, 500), false);
    let tables = "[pipelines.exact]\nfrom = \"idle\"\nto = \"idle.z\"\nworkers = 2\n\
                  [pipelines.often]\nfrom = \"idle\"\nto = \"idle.often\"\ndelivery = \"at-least-once\"\n";
    let daemon = Daemon::start(&broker, "idle", tables);
    daemon.ready(PATIENCE);
    daemon.until("everything committed, and commits of offsets counted too", PATIENCE, || {
        let commits = |pipeline| daemon.metric("latentd_transactions_total", &[pipeline, "committed"]);
        let all = daemon.metric("latentd_consumed_records_total", &[])? == 1000.0
            && daemon.metric("latentd_lag_records", &[])? == 0.0;
        (all && commits("\"exact\"")? >= 1.0 && commits("\"often\"")? >= 1.0).then_some(())
    });
    broker.node().kill();
    let late = Daemon::start(&broker, "late", "[pipelines.late]\nfrom = \"idle\"\nto = \"idle.late\"\n");
    for (daemon, pipelines) in [(&daemon, ["exact", "often"].as_slice()), (&late, ["late"].as_slice())] {
        daemon.until("reasons for all pipelines", PATIENCE, || {
            let (status, readiness) = daemon.json("/readyz")?;
            let reasons = readiness["reasons"].as_array()?.clone();
            let all = pipelines.iter().all(|name| {
                reasons.iter().any(|reason| {
                    reason["pipeline"] == **name
                        && reason["state"] == "waiting"
                        && reason["reason"].as_str().is_some_and(|text| text.contains("check `kafka.brokers`"))
                })
            });
            (status == 503 && all).then_some(())
        });
        assert_eq!(
            daemon.get("/livez").map(|(status, _)| status),
            Some(200),
            "a broker that is gone is no stuck thread"
        );
        assert_eq!(daemon.metric("latentd_pipeline_state", &["waiting"]), Some(pipelines.len() as f64));
    }
    broker.restart(broker.node());
    daemon.ready(PATIENCE);
    late.ready(PATIENCE);
    assert_eq!(daemon.metric("latentd_consumed_records_total", &[]), Some(1000.0), "nothing was read again");
    daemon.stop();
    late.stop();
}

#[test]
fn a_topic_that_may_not_be_read_keeps_a_daemon_from_being_ready_though_another_topic_flows() {
    let broker = Broker::start(&[
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("allow.everyone.if.no.acl.found", "true"),
    ]);
    for topic in ["open", "shut"] {
        broker.create(topic, 1, &[]);
    }
    let (allow, deny) = (["--allow-principal", "User:ANONYMOUS"], ["--deny-principal", "User:ANONYMOUS"]);
    acl(&broker, "--add", "shut", &[allow[0], allow[1], "--operation", "All"]);
    acl(&broker, "--add", "shut", &[deny[0], deny[1], "--operation", "Read"]);
    let tables = "[pipelines.both]\nfrom = [\"open\", \"shut\"]\nto = \"{topic}.z\"\n";
    let daemon = Daemon::start(&broker, "shut", tables);
    daemon.not_ready_because("Topic authorization failed", PATIENCE);
    let mut consumed = 0.0;
    // Records of the other topic are no sign that this one may be read.
    for _ in 0..3 {
        broker.produce("open", &records(1, 100), false);
        consumed += 100.0;
        daemon.until("records of the open topic", PATIENCE, || {
            (daemon.metric("latentd_consumed_records_total", &[])? == consumed).then_some(())
        });
        let (status, body) = daemon.get("/readyz").unwrap();
        assert!(status == 503 && body.contains("principal's ACLs"), "{status} {body}");
    }
    acl(&broker, "--remove", "shut", &["--force", deny[0], deny[1], "--operation", "Read"]);
    // There is nothing to read in it, and yet it is known that it can be read.
    daemon.ready(PATIENCE);
    let (_, pipeline) = daemon.json("/api/v1/pipelines/both").unwrap();
    assert_eq!(pipeline["workers"][0]["state"], Value::from("running"));
    daemon.stop();
}
