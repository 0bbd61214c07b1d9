//! A cluster that asks who is there.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::broker::Broker;
use crate::daemon::Daemon;
use crate::end_to_end::records;
use crate::node::folder;
use crate::ports::Port;

const PATIENCE: Duration = Duration::from_secs(90);

const RIGHT: &str = "open sesame";
const WRONG: &str = "open barley";

/// A broker that lets the tests in as they are and everybody else with SCRAM.
fn broker(secured: &Port) -> Broker {
    let listeners = format!(
        "PLAINTEXT://127.0.0.1:{{port}},SASL_PLAINTEXT://127.0.0.1:{secured},CONTROLLER://127.0.0.1:{{controller}}"
    );
    let advertised = format!("PLAINTEXT://127.0.0.1:{{port}},SASL_PLAINTEXT://127.0.0.1:{secured}");
    let properties = [
        ("listeners", listeners.as_str()),
        ("advertised.listeners", &advertised),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("sasl.enabled.mechanisms", "SCRAM-SHA-256"),
        (
            "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config",
            "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        ),
    ];
    let user = format!("SCRAM-SHA-256=[name=latentd,password=\"{RIGHT}\"]");
    Broker::formatted(&properties, &["--add-scram", &user])
}

#[test]
fn a_wrong_password_is_one_clear_error_and_the_right_one_is_taken_with_a_reload() {
    let secured = Port::reserve();
    let broker = broker(&secured);
    broker.create("guarded", 2, &[]);
    broker.produce("guarded", &records(2, 500), false);
    let folder = folder("latentd-daemon-");
    let registry = folder.path().join("registry");
    fs::create_dir(&registry).unwrap();
    let secret = folder.path().join("password");
    fs::write(&secret, format!("{WRONG}\n")).unwrap();
    let properties = format!(
        "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"SCRAM-SHA-256\"\n\
         \"sasl.username\" = \"latentd\"\n\"sasl.password\" = {{ file = \"{}\" }}\n",
        secret.display()
    );
    let tables = "[pipelines.exact]\nfrom = \"guarded\"\nto = \"guarded.z\"\n";
    let servers = format!("127.0.0.1:{secured}");
    let registry = registry.display().to_string();
    let daemon = Daemon::with_registry(&servers, "guarded", &properties, tables, folder, &registry);

    daemon.not_ready_because("check `sasl.username`, `sasl.password`", PATIENCE);
    assert_eq!(daemon.get("/livez").map(|(status, _)| status), Some(200), "a restart would not help");
    let config = daemon.path("latentd.toml");
    let check = Command::new(env!("CARGO_BIN_EXE_latentd")).args(["check", "--online", "-c"]).arg(&config).output();
    let check = check.unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    assert_eq!(check.status.code(), Some(1), "{told}");
    assert!(told.contains("check `sasl.username`, `sasl.password`"), "{told}");
    // It goes on trying, and does not fill the log.
    std::thread::sleep(Duration::from_secs(15));
    let log = daemon.log();
    let complaints = log.lines().filter(|line| line.contains("uthentication fail")).count();
    assert_eq!(complaints, 1, "in the log:\n{log}");
    for text in [log, told] {
        assert!(!text.contains(WRONG) && !text.contains(RIGHT), "the password is in\n{text}");
    }

    fs::write(&secret, format!("{RIGHT}\n")).unwrap();
    daemon.signal("HUP");
    daemon.ready(PATIENCE);
    daemon.until("everything is compressed", PATIENCE, || {
        (daemon.metric("latentd_published_records_total", &["compressed"])? > 0.0
            && daemon.metric("latentd_consumed_records_total", &[])? == 500.0
            && daemon.metric("latentd_lag_records", &[])? == 0.0)
            .then_some(())
    });
    daemon.stop();
}
