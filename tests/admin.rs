//! The admin server over TCP, as Prometheus, Kubernetes, scripts and browsers meet it.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latentd::admin::{
    ActionError, Actions, AdminHandle, AdminServer, AdminSettings, GenerateRequest, Generated, GeneratedRecord,
    ReloadSummary, Role, openapi,
};
use latentd::telemetry::{EventKind, PipelineInfo, PipelineState, StatusBoard, families};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A daemon that remembers what it was asked, and answers as each test needs.
#[derive(Default)]
struct Daemon {
    asked: Mutex<Vec<String>>,
}

impl Daemon {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

impl Actions for Daemon {
    fn reload(&self) -> Result<ReloadSummary, ActionError> {
        self.note("reload".to_owned());
        Ok(ReloadSummary { restarted: vec!["flights".to_owned()], ..ReloadSummary::default() })
    }
    fn pause(&self, pipeline: &str) -> Result<(), ActionError> {
        self.note(format!("pause {pipeline}"));
        match pipeline {
            "flights" => Ok(()),
            "panic" => panic!("as told"),
            _ => Err(ActionError::NotFound(format!("there is no pipeline `{pipeline}`"))),
        }
    }
    fn resume(&self, pipeline: &str) -> Result<(), ActionError> {
        self.note(format!("resume {pipeline}"));
        Ok(())
    }
    fn train(&self, pipeline: &str) -> Result<(), ActionError> {
        self.note(format!("train {pipeline}"));
        match pipeline {
            "flights" => Ok(()),
            _ => Err(ActionError::Conflict(format!("pipeline `{pipeline}` learns nothing"))),
        }
    }
    fn models(&self) -> Result<Vec<Value>, ActionError> {
        Err(ActionError::Unavailable("the registry does not answer".to_owned()))
    }
    fn model(&self, id: &str) -> Result<Value, ActionError> {
        Ok(json!({ "model": id }))
    }
    fn promote(&self, id: &str, pipeline: Option<&str>) -> Result<Value, ActionError> {
        self.note(format!("promote {id} in {pipeline:?}"));
        Ok(json!({ "model": id }))
    }
    fn generate(&self, pipeline: &str, request: &GenerateRequest) -> Result<Generated, ActionError> {
        self.note(format!("generate {} of {pipeline}", request.count));
        if request.count > 1_000 {
            return Err(ActionError::Invalid("write 1 to 1000".to_owned()));
        }
        let record = GeneratedRecord {
            index: 0,
            condition: BTreeMap::new(),
            value: Some("{}".to_owned()),
            value_base64: None,
            headers: Vec::new(),
        };
        Ok(Generated {
            left_out: 0,
            model: "m".to_owned(),
            generator: "columns".to_owned(),
            content_type: "application/json".to_owned(),
            report: None,
            usage: "training".to_owned(),
            seed: request.seed,
            records: vec![record],
        })
    }
    fn rollback(&self, pipeline: &str, of: Role) -> Result<Value, ActionError> {
        self.note(format!("rollback {pipeline} {of:?}"));
        match pipeline {
            "flights" => Ok(json!({ "model": null, "change": "rollback" })),
            _ => Err(ActionError::Invalid(format!("pipeline `{pipeline}` uses no model"))),
        }
    }
}

struct Server {
    board: StatusBoard,
    daemon: Arc<Daemon>,
    stop: CancellationToken,
    handle: Option<AdminHandle>,
    addr: String,
}

impl Server {
    fn start(token: Option<&str>) -> Self {
        let board = StatusBoard::new("1.2.3");
        let daemon = Arc::new(Daemon::default());
        let settings = AdminSettings::new("127.0.0.1:0".parse().unwrap(), token.map(str::to_owned));
        let server = AdminServer::bind(&settings).unwrap();
        let stop = CancellationToken::new();
        let handle = server.spawn(board.clone(), Arc::clone(&daemon) as _, stop.clone()).unwrap();
        let addr = handle.addr().to_string();
        Self { board, daemon, stop, handle: Some(handle), addr }
    }

    /// Status, content type and body.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String, String) {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.addr));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10)));
        let agent: ureq::Agent = config.allow_non_standard_methods(true).build().into();
        let mut response = agent.run(request.body(()).unwrap()).unwrap();
        let kind = response.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
        (response.status().as_u16(), kind, response.body_mut().read_to_string().unwrap())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.ask("GET", path, &[])
    }

    fn add(&self, name: &str) -> Arc<latentd::telemetry::PipelineStatus> {
        self.board.add(PipelineInfo {
            name: name.to_owned(),
            operation: "compress".to_owned(),
            from: vec!["flights".to_owned()],
            to: "flights.z".to_owned(),
            codec: Some("zstd".to_owned()),
            layout: Some("block".to_owned()),
            delivery: "exactly-once".to_owned(),
            several_topics: false,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(handle) = self.handle.take() {
            handle.join();
        }
    }
}

#[test]
fn health_tells_why_a_daemon_is_not_ready() {
    let server = Server::start(None);
    assert_eq!(server.get("/livez").0, 200);
    assert_eq!(server.get("/readyz").0, 200, "a daemon without pipelines has nothing to wait for");
    let flights = server.add("flights");
    flights.set_state(PipelineState::Waiting, "no topic `flights`");
    let (status, _, body) = server.get("/readyz");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 503);
    assert_eq!(
        body["reasons"][0],
        json!({ "pipeline": "flights", "state": "waiting", "reason": "no topic `flights`" })
    );
    flights.set_state(PipelineState::Running, "");
    assert_eq!(server.get("/readyz").0, 200);
    server.board.drain();
    assert_eq!(server.get("/readyz").0, 503);
    let _watched = server.board.liveness().watch("flights-0", Duration::from_secs(1), || Duration::from_secs(5));
    let (status, kind, body) = server.get("/livez");
    assert_eq!((status, kind.as_str()), (503, "application/problem+json"));
    assert!(body.contains("thread `flights-0` has not moved"), "{body}");
}

#[test]
fn metrics_are_prometheus_text_and_every_family_is_documented() {
    let server = Server::start(None);
    let flights = server.add("flights");
    flights.metrics().consumed_records.inc_by(7);
    let (status, kind, body) = server.get("/metrics");
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert!(body.contains("latentd_consumed_records_total{pipeline=\"flights\"} 7"), "{body}");
    for line in body.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(families::FAMILIES.iter().any(|family| family.name == name), "`{name}` is not in the table");
    }
    let path = Path::new("docs/metrics.md");
    let reference = families::reference();
    if std::env::var_os("LATENTD_BLESS").is_some() {
        fs::create_dir_all("docs").unwrap();
        fs::write(path, &reference).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(written, reference, "docs/metrics.md is old: LATENTD_BLESS=1 cargo test --test admin");
}

#[test]
fn the_api_shows_pipelines_and_models_and_acts() {
    let server = Server::start(None);
    server.add("flights").set_state(PipelineState::Running, "");
    let (_, _, body) = server.get("/api/v1/pipelines");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body[0]["name"], "flights");
    assert_eq!(server.get("/api/v1/pipelines/flights").0, 200);
    assert_eq!(server.get("/api/v1/models/abcd").0, 200);
    assert_eq!(server.ask("POST", "/api/v1/pipelines/flights/pause", &[]).0, 202);
    assert_eq!(server.ask("POST", "/api/v1/pipelines/flights/resume", &[]).0, 202);
    assert_eq!(server.ask("POST", "/api/v1/pipelines/flights/train", &[]).0, 202);
    let (status, _, body) = server.ask("POST", "/-/reload", &[]);
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["restarted"], json!(["flights"]));
    for (path, asked) in [
        ("/api/v1/models/abcd/promote", "promote abcd in None"),
        ("/api/v1/models/abcd/promote?pipeline=trips", "promote abcd in Some(\"trips\")"),
        ("/api/v1/pipelines/flights/rollback", "rollback flights Codec"),
        ("/api/v1/pipelines/flights/rollback?of=generator", "rollback flights Generator"),
        ("/api/v1/pipelines/flights/generate", "generate 10 of flights"),
    ] {
        let (status, _, body) = server.ask("POST", path, &[]);
        assert!(status == 200 && body.contains("model"), "{path}: {status} {body}");
        assert_eq!(server.daemon.asked.lock().unwrap().pop().unwrap(), asked);
    }
    assert_eq!(*server.daemon.asked.lock().unwrap(), ["pause flights", "resume flights", "train flights", "reload"]);
    let (_, kind, page) = server.get("/");
    assert!(kind.starts_with("text/html") && page.contains("flights.z"), "{page}");
}

#[test]
fn what_goes_wrong_is_a_problem_document() {
    let server = Server::start(None);
    for (method, path, status, detail) in [
        ("GET", "/nowhere", 404, "there is nothing here"),
        ("DELETE", "/metrics", 405, "another method"),
        ("GET", "/api/v1/pipelines/nobody", 404, "no pipeline `nobody`"),
        ("POST", "/api/v1/pipelines/nobody/pause", 404, "no pipeline `nobody`"),
        ("POST", "/api/v1/pipelines/panic/pause", 500, "ended by a panic"),
        ("POST", "/api/v1/pipelines/new/rollback", 422, "uses no model"),
        ("POST", "/api/v1/pipelines/new/train", 409, "learns nothing"),
        ("GET", "/api/v1/models", 503, "the registry does not answer"),
    ] {
        let (found, kind, body) = server.ask(method, path, &[]);
        assert_eq!((found, kind.as_str()), (status, "application/problem+json"), "{method} {path}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((body["status"].as_u64(), body["instance"].as_str()), (Some(u64::from(status)), Some(path)));
        assert!(body["detail"].as_str().unwrap().contains(detail), "{body}");
    }
    assert_eq!(server.get("/livez").0, 200, "it goes on after a panic");
}

#[test]
fn a_token_guards_everything_but_health_and_metrics() {
    let server = Server::start(Some("a long token"));
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
    for (method, path) in [("GET", "/"), ("GET", "/api/v1/pipelines"), ("POST", "/-/reload")] {
        assert_eq!(server.ask(method, path, &[]).0, 401, "{path}");
        assert_eq!(server.ask(method, path, &[("authorization", "Bearer a wrong token")]).0, 401, "{path}");
        assert_eq!(server.ask(method, path, &[("authorization", "Bearer a long token")]).0, 200, "{path}");
    }
}

#[test]
fn no_page_of_another_site_makes_it_act() {
    let server = Server::start(None);
    assert_eq!(server.ask("POST", "/-/reload", &[("origin", "http://evil.example")]).0, 403);
    assert_eq!(server.ask("POST", "/-/reload", &[("sec-fetch-site", "cross-site")]).0, 403);
    assert_eq!(server.ask("GET", "/", &[("host", "evil.example")]).0, 421);
    assert_eq!(server.daemon.asked.lock().unwrap().len(), 0);
    let own = format!("http://{}", server.addr);
    assert_eq!(server.ask("POST", "/-/reload", &[("origin", &own)]).0, 200);
}

/// Reads server-sent events until one whose data contains a text; returns the lines of that event.
fn listen(stream: &mut impl BufRead, text: &str) -> Vec<String> {
    let mut event = Vec::new();
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream has ended before `{text}`");
        let line = line.trim_end();
        if line.is_empty() || line.chars().all(|c| c.is_ascii_hexdigit()) {
            if event.iter().any(|line: &String| line.contains(text)) {
                return event;
            }
            event.clear();
        } else {
            event.push(line.to_owned());
        }
    }
}

fn subscribe(server: &Server, headers: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(&server.addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", server.addr).unwrap();
    BufReader::new(stream)
}

#[test]
fn events_are_heard_as_they_happen_and_a_listener_goes_on_where_it_was() {
    let server = Server::start(None);
    let publish = |reason: &str| {
        server
            .board
            .events()
            .publish(Some("flights"), EventKind::Aborted { worker: 0, reason: reason.to_owned(), count: 1 });
    };
    let mut stream = subscribe(&server, "");
    // The head of the answer says that the listener is there.
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
    }
    publish("first");
    let first = listen(&mut stream, "first");
    let id = first.iter().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    assert!(first.contains(&"event: aborted".to_owned()), "{first:?}");
    drop(stream);
    publish("second");
    let mut stream = subscribe(&server, &format!("last-event-id: {id}\r\n"));
    let second = listen(&mut stream, "second");
    assert!(second.iter().all(|line| !line.contains("first")));
    // A listener does not keep the server from its end.
    let started = Instant::now();
    drop(server);
    assert!(started.elapsed() < Duration::from_secs(5));
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

#[test]
fn a_client_that_sends_half_a_request_keeps_nobody_from_being_served() {
    let server = Server::start(None);
    let mut slow: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(&server.addr).unwrap()).collect();
    slow.iter_mut().for_each(|stream| stream.write_all(b"GET /livez HTTP/1.1\r\nho").unwrap());
    assert_eq!(server.get("/livez").0, 200);
}

#[test]
fn the_description_names_every_route_and_no_other() {
    let server = Server::start(None);
    let (status, _, body) = server.get("/api/v1/openapi.json");
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(document, serde_json::to_value(openapi()).unwrap());
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let real = path.replace("{name}", "flights").replace("{id}", "abcd");
            if path != "/api/v1/events" {
                let (status, _, body) = server.ask(&method.to_uppercase(), &real, &[]);
                let unknown = body.contains("there is nothing here") || status == 405;
                assert!(!unknown, "{method} {path} is described and not there");
            }
            described.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let routes = fs::read_to_string("src/admin/routes.rs").unwrap();
    for (path, handler) in routes.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once("\", ")) {
        let method = if handler.starts_with("post") { "POST" } else { "GET" };
        assert!(described.contains(&format!("{method} {path}")), "{method} {path} is there and not described");
    }
    let path = Path::new("docs/http.md");
    let reference = reference(&document);
    if std::env::var_os("LATENTD_BLESS").is_some() {
        fs::write(path, &reference).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(written, reference, "docs/http.md is old: LATENTD_BLESS=1 cargo test --test admin");
}

/// The text of `docs/http.md`, from the description.
fn reference(document: &Value) -> String {
    let mut text = "# HTTP\n\nOne port, `admin.listen`. `/api/v1/openapi.json` describes it for machines; this page is made from that \
                    description (`LATENTD_BLESS=1 cargo test --test admin`).\n\n\
                    - Errors are problem documents (RFC 9457).\n\
                    - With `admin.token` set, everything but health and metrics asks for `authorization: Bearer TOKEN`.\n\
                    - A POST never acts on a cross-site request. On a loopback address only loopback host names are answered.\n\
                    - At most 256 connections and 32 listeners to events at a time; a connection that is silent for 60 s is closed.\n\n\
                    | method | path | what it does | answers |\n|---|---|---|---|\n"
        .to_owned();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let statuses: Vec<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
            let summary = operation["summary"].as_str().or(operation["description"].as_str()).unwrap_or_default();
            text.push_str(&format!(
                "| {} | `{path}` | {} | {} |\n",
                method.to_uppercase(),
                summary.lines().next().unwrap_or_default(),
                statuses.join(", ")
            ));
        }
    }
    text
}
