//! The configuration: TOML text and the environment, resolved into one [`Config`], every value with its origin.
//!
//! [`load`] does the I/O; everything after it is pure. All errors of a file are found at once.

mod augment;
mod error;
pub mod keys;
mod node;
mod pipelines;
mod resolve;
mod secret;
mod section;
mod text;

pub use error::{ConfigErrors, Notice, Problem, Style};
pub use node::Origin;
pub use resolve::{NAME, is_name};
pub use secret::Secret;
pub use section::{Explained, nearest};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::cost::Prices;
use crate::pipeline::Settings;
use crate::source::KafkaSettings;
use crate::telemetry::log::LogSettings;
use crate::units::ByteSize;
use text::World;

/// Everything the daemon is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[daemon]`.
    pub daemon: DaemonConfig,
    /// `[kafka]`.
    pub kafka: KafkaSettings,
    /// `[registry]`.
    pub registry: RegistryConfig,
    /// `[admin]`.
    pub admin: AdminConfig,
    /// `[resources]`.
    pub resources: ResourcesConfig,
    /// `[log]`.
    pub log: LogSettings,
    /// `[shutdown]`.
    pub shutdown: ShutdownConfig,
    /// `[cost]`.
    pub cost: Prices,
    /// `[pipelines.*]`, by name.
    pub pipelines: Vec<Settings>,
    notices: Vec<Notice>,
    explained: Vec<Explained>,
}

/// Who this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonConfig {
    /// First part of groups and transactional ids.
    pub name: String,
    /// Stable over restarts, different for every running process.
    pub instance: String,
}

/// Where models are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// `file://`, `s3://`, `gs://` or `az://`.
    pub url: String,
    /// Options of the store.
    pub options: BTreeMap<String, Secret>,
}

/// The HTTP side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What callers must show.
    pub token: Option<Secret>,
}

/// What the process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourcesConfig {
    /// Bytes of records in flight, all pipelines together.
    pub memory: ByteSize,
    /// Trainings of minutes that may go on at the same time.
    pub training_threads: usize,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// Time for everything to finish.
    pub deadline: Duration,
}

/// What a new configuration asks of running pipelines, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New.
    pub start: Vec<String>,
    /// Gone.
    pub stop: Vec<String>,
    /// Told something else.
    pub restart: Vec<String>,
    /// As they were.
    pub keep: Vec<String>,
}

/// Reads a configuration from a file and this process's environment.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let failed = |message: String| ConfigErrors {
        path: path.to_owned(),
        text: String::new(),
        problems: vec![Problem { key: String::new(), message, origin: Origin::Default }],
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| failed(format!("cannot read the configuration: {error}")))?;
    // A variable that is not UTF-8 is none that a configuration can name.
    let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let variables = std::env::vars_os().filter_map(utf8).collect();
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    // A secret's file lies where its path says, seen from the configuration.
    let read = |file: &str| std::fs::read_to_string(folder.join(file));
    resolve(path, &text, &World { variables, read: &read })
}

/// Resolves text: no I/O but what `world` does.
fn resolve(path: &Path, text: &str, world: &World<'_>) -> Result<Config, ConfigErrors> {
    let failed = |problems| ConfigErrors { path: path.to_owned(), text: text.to_owned(), problems };
    let mut root = text::parse(text).map_err(failed)?;
    let mut problems = Vec::new();
    text::overlay(&mut root, world);
    text::interpolate(&mut root, "", world, &mut problems);
    text::read_secrets(&mut root, world, &mut problems);
    let mut notes = section::Notes { problems, variables: world.variables.clone(), ..section::Notes::default() };
    let mut config = resolve::resolve(&root, &mut notes);
    if !notes.problems.is_empty() {
        return Err(failed(notes.problems));
    }
    let notice = |problem| Notice { path: path.to_owned(), text: text.to_owned(), problem };
    config.notices = notes.notices.into_iter().map(notice).collect();
    config.explained = notes.explained;
    Ok(config)
}

impl Config {
    /// What is allowed and probably not meant.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Every value with its origin, secrets hidden.
    pub fn explain(&self) -> &[Explained] {
        &self.explained
    }

    /// Bytes that each worker may hold in flight.
    pub fn memory_per_worker(&self) -> ByteSize {
        let workers: usize = self.pipelines.iter().map(|settings| settings.workers).sum();
        ByteSize::new(self.resources.memory.bytes() / workers.max(1) as u64)
    }

    /// Tables that differ and change only with a restart of the process.
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let differ = [
            ("daemon", self.daemon != new.daemon),
            ("registry", self.registry != new.registry),
            ("admin", self.admin != new.admin),
            ("resources", self.resources != new.resources),
            ("log", self.log != new.log),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// What becomes of the running pipelines under a new configuration.
    ///
    /// A pipeline that is told the same runs on, unless the cluster is another one, its workers must do with less memory
    /// because there are more of them now, or it goes by prices that have changed.
    pub fn changed_pipelines(&self, new: &Self) -> Changes {
        let all = self.kafka != new.kafka || new.memory_per_worker() < self.memory_per_worker();
        let reprices = self.cost != new.cost;
        let mut changes = Changes::default();
        for settings in &new.pipelines {
            let list = match self.pipelines.iter().find(|old| old.name == settings.name) {
                None => &mut changes.start,
                Some(old) if all || old != settings || (reprices && settings.learn.is_some()) => &mut changes.restart,
                Some(_) => &mut changes.keep,
            };
            list.push(settings.name.clone());
        }
        let gone = self.pipelines.iter().filter(|old| new.pipelines.iter().all(|settings| settings.name != old.name));
        changes.stop = gone.map(|old| old.name.clone()).collect();
        changes
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::pipeline::CodecChoice;

    /// Resolves a text in an environment of its own.
    pub(crate) fn resolved(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        resolve(Path::new("latentd.toml"), text, &World { variables, read: &|_| Ok("hunter2-and-more\n".to_owned()) })
    }

    const TWO: &str = "[pipelines.a]\nfrom = \"a\"\nto = \"a.z\"\n[pipelines.b]\nfrom = \"b\"\nto = \"b.z\"\n";

    #[test]
    fn a_reload_touches_only_what_changed() {
        let old = resolved(TWO, &[]).unwrap();
        let same = old.changed_pipelines(&old);
        assert_eq!(same, Changes { keep: vec!["a".into(), "b".into()], ..Changes::default() });
        let text = TWO.replace("[pipelines.b]", "[pipelines.c]").replace("\"a.z\"", "\"a.y\"");
        let new = resolved(&text, &[]).unwrap();
        let changes = old.changed_pipelines(&new);
        let expected =
            Changes { start: vec!["c".into()], stop: vec!["b".into()], restart: vec!["a".into()], keep: vec![] };
        assert_eq!(changes, expected);
        let new = resolved(&format!("[kafka]\nbrokers = [\"c:1\"]\n{TWO}"), &[]).unwrap();
        assert_eq!(old.changed_pipelines(&new).restart, ["a", "b"]);
        let new = resolved(&TWO.replace("\"b.z\"", "\"b.z\"\nworkers = 2"), &[]).unwrap();
        assert_eq!(old.changed_pipelines(&new).restart, ["a", "b"], "each worker's share of the memory is smaller");
        let new = resolved(&format!("[resources]\nmemory = \"1GiB\"\n[log]\nlevel = \"warn\"\n{TWO}"), &[]).unwrap();
        assert_eq!(old.needs_restart(&new), ["resources", "log"]);
    }

    #[test]
    fn a_codec_that_is_chosen_looks_at_records_and_learns_only_where_it_is_told_to() {
        let auto = |more: &str| {
            let text = format!("[pipelines.p]\nfrom = \"a\"\nto = \"b\"\ncodec = \"auto\"\n{more}");
            let config = resolved(&text, &[]).unwrap();
            let notices = config.notices().len();
            let settings = config.pipelines[0].clone();
            assert_eq!(settings.codec.to_string(), "auto");
            let CodecChoice::Auto(auto) = settings.codec else { panic!("{:?}", settings.codec) };
            (auto, settings.learn, notices)
        };
        let (plain, learn, notices) = auto("");
        assert_eq!((plain.learns, plain.max_latency, plain.max_cpu, notices), (false, None, None, 1));
        assert_eq!(learn.unwrap().every, Duration::from_secs(6 * 3600));
        let (learning, _, notices) =
            auto("[pipelines.p.learn]\n[pipelines.p.auto]\nmax_latency = \"20ms\"\nmax_cpu = \"10s\"\n");
        assert_eq!((learning.learns, notices), (true, 0));
        assert_eq!(learning.max_latency, Some(Duration::from_millis(20)));
        assert_eq!(learning.max_cpu, Some(Duration::from_secs(10)));
    }

    #[test]
    fn new_prices_restart_what_goes_by_them() {
        let two = TWO.replacen("to = \"a.z\"\n", "to = \"a.z\"\ncodec = \"auto\"\n", 1);
        let (old, new) =
            (resolved(&two, &[]).unwrap(), resolved(&format!("[cost]\ncpu_hour = 1.0\n{two}"), &[]).unwrap());
        let changes = old.changed_pipelines(&new);
        assert_eq!((changes.restart, changes.keep), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }

    #[test]
    fn secrets_are_read_from_files_and_never_shown() {
        let text = format!(
            "[admin]\ntoken = {{ file = \"t\" }}\n[kafka.properties]\n\"sasl.password\" = \"swordfish\"\n{TWO}"
        );
        let config = resolved(&text, &[]).unwrap();
        assert_eq!(config.admin.token.as_ref().unwrap().expose(), "hunter2-and-more");
        assert_eq!(config.kafka.properties["sasl.password"], "swordfish");
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");
        let errors = resolved(&text.replace("{ file = \"t\" }", "\"short\""), &[]).unwrap_err();
        assert!(
            errors.to_string().contains("latentd.toml:2:9") && !errors.to_string().contains("\"short\""),
            "{errors}"
        );
        let explained = config.explain().iter().find(|value| value.key == "admin.token").unwrap();
        assert_eq!((explained.value.as_str(), explained.origin.as_str()), ("***", "line 2, column 9 from file t"));
    }
}
