//! Log lines: text or JSON on standard error, and not the same error a thousand times.
//!
//! Two limits keep a broken world from filling the disk: our own repeated errors go through [`ErrorLog`], per kind
//! and pipeline; what libraries log (librdkafka above all, bridged from the `log` crate) is limited by its origin.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::limiter::{Limiter, Verdict};

/// Lines of one error kind and pipeline in each [`INTERVAL`].
const BURST: u32 = 3;
/// Lines of one origin in a library in each [`INTERVAL`].
pub const LIBRARY_BURST: u32 = 10;
/// The interval of both limits.
pub const INTERVAL: Duration = Duration::from_secs(30);
/// The target of events that come from the `log` crate, until they are looked into.
const BRIDGED: &str = "log";
/// The field of such an event that holds its own target.
const LOG_TARGET: &str = "log.target";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines, in the language of `RUST_LOG`: `info`, `warn,latentd=debug`, ...
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("`{filter}` is no log filter: write a level (error, warn, info, debug, trace) or `target=level,...`")]
    Filter {
        /// What was written.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Somebody else has set logging up in this process.
    #[error("logging is set up already in this process")]
    Taken(#[source] tracing_subscriber::util::TryInitError),
}

/// Whether a text is a filter, as [`LogSettings::filter`] takes it.
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    parse_filter(filter).map(drop)
}

fn parse_filter(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

/// Sends log lines to standard error from here on, those of the `log` crate too. Once per process.
pub fn init(settings: &LogSettings, errors: &ErrorLog) -> Result<(), LogError> {
    let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    init_to(io::stderr, color, settings, errors)
}

/// [`init`] to somewhere else than standard error, with or without colour.
pub fn init_to<W>(writer: W, color: bool, settings: &LogSettings, errors: &ErrorLog) -> Result<(), LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    subscriber(settings, errors, color, writer)?.try_init().map_err(LogError::Taken)
}

fn subscriber<W>(
    settings: &LogSettings,
    errors: &ErrorLog,
    color: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = parse_filter(&settings.filter)?.and(LibraryLimit(Arc::clone(&errors.0)));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(color);
    let lines = match settings.format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed(),
    };
    Ok(tracing_subscriber::registry().with(lines))
}

/// Logs errors where they are handled, and the same one not too often. Cheap to clone.
#[derive(Clone)]
pub struct ErrorLog(Arc<Limits>);

struct Limits {
    own: Mutex<Limiter<(&'static str, String)>>,
    libraries: Mutex<Limiter<(Level, String)>>,
}

impl Default for ErrorLog {
    fn default() -> Self {
        Self(Arc::new(Limits {
            own: Mutex::new(Limiter::new(BURST, INTERVAL)),
            libraries: Mutex::new(Limiter::new(LIBRARY_BURST, INTERVAL)),
        }))
    }
}

impl fmt::Debug for ErrorLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorLog").finish_non_exhaustive()
    }
}

impl ErrorLog {
    /// Something that belongs to a pipeline's life. One that comes and goes all the time is not told every time.
    pub fn info(&self, pipeline: &str, kind: &'static str, what: &dyn fmt::Display) {
        if self.passes(pipeline, kind) {
            tracing::info!(target: "latentd", pipeline, "{what}");
        }
    }

    /// Something surprising, from which the pipeline recovers by itself. `kind` names what went wrong, from a closed set.
    pub fn warn(&self, pipeline: &str, kind: &'static str, error: &dyn fmt::Display) {
        if self.passes(pipeline, kind) {
            tracing::warn!(target: "latentd", pipeline, kind, "{error}");
        }
    }

    /// Data is at risk or a human must act.
    pub fn error(&self, pipeline: &str, kind: &'static str, error: &dyn fmt::Display) {
        if self.passes(pipeline, kind) {
            tracing::error!(target: "latentd", pipeline, kind, "{error}");
        }
    }

    /// Says what was held back and has not come again since. To be called about once a second.
    pub fn tick(&self, now: Instant) {
        let own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner).take_expired(now);
        for ((kind, pipeline), count) in own {
            suppressed(&pipeline, kind, count);
        }
        let libraries = self.0.libraries.lock().unwrap_or_else(PoisonError::into_inner).take_expired(now);
        for ((level, origin), count) in libraries {
            tracing::info!(target: "latentd", "suppressed {count} more {level} lines of `{origin}`");
        }
    }

    fn passes(&self, pipeline: &str, kind: &'static str) -> bool {
        let key = (kind, pipeline.to_owned());
        let verdict = self.0.own.lock().unwrap_or_else(PoisonError::into_inner).check(key, Instant::now());
        match verdict {
            Verdict::Emit { suppressed: 0 } => true,
            Verdict::Emit { suppressed: count } => {
                suppressed(pipeline, kind, count);
                true
            }
            Verdict::Suppress => false,
        }
    }
}

fn suppressed(pipeline: &str, kind: &'static str, count: u64) {
    tracing::warn!(target: "latentd", pipeline, kind, "suppressed {count} times");
}

/// Holds back what a library repeats. Only events of the `log` crate: none of ours, and librdkafka's are among them.
struct LibraryLimit(Arc<Limits>);

impl<S> Filter<S> for LibraryLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        if event.metadata().target() != BRIDGED {
            return true;
        }
        let mut origin = Origin::default();
        event.record(&mut origin);
        let key = (*event.metadata().level(), origin.0);
        // What was held back before is told by the next tick's line or stays in the count; a filter must not log.
        let mut limiter = self.0.libraries.lock().unwrap_or_else(PoisonError::into_inner);
        limiter.check(key, Instant::now()) != Verdict::Suppress
    }

    /// Says nothing about levels. Without a word here the limit of the filter beside this one would be lost, and every line
    /// that a library might write at `trace` would be put together and thrown away, several per record.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// The target that a bridged event had.
#[derive(Default)]
struct Origin(String);

impl Visit for Origin {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == LOG_TARGET {
            value.clone_into(&mut self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_nobody_wants_are_not_even_put_together() {
        let settings = LogSettings { format: LogFormat::Text, filter: "warn,latentd=info".to_owned() };
        let subscriber = subscriber(&settings, &ErrorLog::default(), false, io::sink).unwrap();
        assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::INFO));
    }

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(settings: &LogSettings, errors: &ErrorLog, act: impl FnOnce()) -> Vec<String> {
        let paper = Paper::default();
        let own = paper.clone();
        let subscriber = subscriber(settings, errors, false, move || own.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_error_that_repeats_is_logged_a_few_times_and_then_counted() {
        let errors = ErrorLog::default();
        let lines = lines(&LogSettings::default(), &errors, || {
            for _ in 0..100 {
                errors.warn("flights", "unreachable", &"no broker answers");
            }
            errors.warn("trips", "unreachable", &"no broker answers");
            errors.tick(Instant::now() + INTERVAL);
        });
        assert_eq!(
            lines.iter().filter(|line| line.contains("flights") && line.contains("no broker answers")).count(),
            3
        );
        assert_eq!(lines.iter().filter(|line| line.contains("trips")).count(), 1);
        assert!(lines.last().unwrap().contains("suppressed 97 times"), "{lines:?}");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn json_lines_are_objects_with_the_fields_at_the_top() {
        let errors = ErrorLog::default();
        let settings = LogSettings { format: LogFormat::Json, ..LogSettings::default() };
        let lines = lines(&settings, &errors, || errors.error("flights", "fenced", &"another process has our id"));
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["level"], "ERROR");
        assert_eq!(line["pipeline"], "flights");
        assert_eq!(line["kind"], "fenced");
        assert_eq!(line["message"], "another process has our id");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn the_filter_decides_by_target_and_a_wrong_one_is_an_error() {
        let errors = ErrorLog::default();
        let settings = LogSettings { filter: "warn,latentd=debug".to_owned(), ..LogSettings::default() };
        let lines = lines(&settings, &errors, || {
            tracing::debug!(target: "latentd", "ours");
            tracing::info!(target: "other", "theirs");
        });
        assert_eq!(lines.len(), 1);
        let wrong = LogSettings { filter: "latentd=loud".to_owned(), ..LogSettings::default() };
        let Err(error) = subscriber(&wrong, &errors, false, io::sink) else { panic!("`loud` is no level") };
        assert!(error.to_string().starts_with("`latentd=loud` is no log filter"), "{error}");
    }
}
