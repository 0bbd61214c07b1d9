//! `latentd demo`: the main job on real records, with the broker inside unless one is named.
//!
//! A daemon runs in this process as `latentd run` would run it. Beside it stand three clients of our own per stream: one
//! feeds the topic, one weighs the compressed topic, one compares the restored topic with what was fed.

mod learned;
mod ledger;
mod recent;
mod screen;
mod stream;
mod summary;
mod threads;
mod weigh;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, channel};

use crate::cli::{Format, UsageError};
use crate::daemon::Daemon;
use crate::pipeline::Delivery;
use crate::pipeline::kafka_zstd::BATCH_BYTES;
use crate::registry::Registry;
use crate::sink::topics::TopicAdmin;
use crate::source::{EmbeddedBroker, KafkaSettings};
use learned::{Learned, Swap};
use ledger::Ledger;
use screen::Screen;
use stream::PARTITIONS;
use threads::Course;
use weigh::Scales;

/// See the main job at work: real records fed, compressed, restored, compared and weighed against Kafka's own zstd
///
/// Without --brokers the broker is librdkafka's mock cluster, inside this process. Ctrl-C ends with a summary.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// A real cluster's `host:port`, several with commas. Its topics are named `latentd-demo-…` and deleted at the end
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    brokers: Vec<String>,
    /// End by itself after this time, such as `60s`
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// `exactly-once` (default with --brokers) or `at-least-once` (all that the embedded broker can do)
    #[arg(long, value_name = "HOW", value_parser = ["exactly-once", "at-least-once"])]
    delivery: Option<String>,
    /// Folder with flights.jsonl and MNIST's files [default: what `make demo` fetched]
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Pace: 1 feeds 1,000 flights and 400 images a second
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    speed: f64,
    /// Where page, API and metrics are served
    #[arg(long, default_value = "127.0.0.1:9644", value_name = "ADDRESS")]
    listen: std::net::SocketAddr,
    /// How the summary is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How long what was fed may take to come back at the end.
const COME_BACK: Duration = Duration::from_secs(30);

/// How long one answer of a real cluster may take.
const ASK: Duration = Duration::from_secs(10);

/// Runs the demonstration. An error says that it could not run, or that something did not come back as it was.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    if !args.speed.is_finite() || args.speed <= 0.0 {
        return Err(UsageError::new(format!("--speed is {}: write a number above 0", args.speed)).into());
    }
    let delivery = delivery(args)?;
    let streams = stream::streams(&stream::data_folder(args.data.clone())?, args.speed)?;
    let broker = Broker::start(&args.brokers)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let prefix = if broker.is_embedded() { String::new() } else { format!("latentd-demo-{since}.") };
    let mut courses = Vec::new();
    for stream in streams {
        let topic = format!("{prefix}{}", stream.name);
        courses.push(Arc::new(Course {
            topic,
            ledger: Ledger::new(PARTITIONS),
            ours: Scales::plain(PARTITIONS),
            kafka: Scales::zstd(PARTITIONS, 16 << 10),
            kafka_large: Scales::zstd(PARTITIONS, BATCH_BYTES),
            learned: Learned::new(stream.name),
            enough: AtomicBool::new(false),
            over: AtomicBool::new(false),
            stream,
        }));
    }
    for topic in courses.iter().flat_map(|course| course.topics()) {
        broker.create(&topic)?;
    }
    let folder = tempfile::Builder::new().prefix("latentd-demo-").tempdir().context("no temporary folder")?;
    let config = folder.path().join("latentd.toml");
    let listen = free(args.listen)?;
    std::fs::write(&config, configuration(&courses, &broker.kafka, delivery, folder.path(), listen, since)?)
        .with_context(|| format!("cannot write `{}`", config.display()))?;
    let runtime = Runtime::new().context("no runtime")?;
    let daemon = Daemon::load(&config, &runtime)?;
    let mut screen = Screen::new(&courses, daemon.board());
    screen.introduce(&broker, delivery, daemon.addr(), &config);
    let outcome = watch(&courses, &broker.kafka, args.time, &runtime, &mut screen);
    screen.clear();
    // Whatever happened, the daemon ends as it would on a signal, and topics on a real cluster go.
    let stopped = daemon.stop();
    let removed = broker.remove(courses.iter().flat_map(|course| course.topics()));
    let seconds = outcome?;
    stopped?;
    removed?;
    let registry = Registry::open(&registry_url(folder.path()), &BTreeMap::new())?;
    let lineages: Vec<Vec<Swap>> = runtime.block_on(async {
        let mut lineages = Vec::new();
        for course in &courses {
            lineages.push(course.learned.lineage(&registry).await);
        }
        lineages
    });
    summary::print(&courses, &lineages, &screen.now(), seconds, args.format)?;
    verdict(&courses)
}

/// What the pipelines promise; the embedded broker can keep only the smaller promise.
fn delivery(args: &DemoArgs) -> Result<Delivery, UsageError> {
    match (args.delivery.as_deref(), args.brokers.is_empty()) {
        (Some("exactly-once"), true) => Err(UsageError::new(
            "exactly-once is refused on the embedded broker: librdkafka's mock cluster shows readers what a transaction \
             aborted and lets a fenced producer write on, so the promise would be empty. Name a real cluster with --brokers",
        )),
        (Some("at-least-once"), _) | (None, true) => Ok(Delivery::AtLeastOnce),
        _ => Ok(Delivery::ExactlyOnce),
    }
}

/// The address asked for, or a free port when somebody has that one.
fn free(asked: std::net::SocketAddr) -> anyhow::Result<std::net::SocketAddr> {
    let listener = std::net::TcpListener::bind(asked)
        .or_else(|_| std::net::TcpListener::bind((asked.ip(), 0)))
        .with_context(|| format!("no port on {}", asked.ip()))?;
    Ok(listener.local_addr()?)
}

/// Where the records go.
pub struct Broker {
    kafka: KafkaSettings,
    embedded: Option<EmbeddedBroker>,
}

impl Broker {
    fn start(brokers: &[String]) -> anyhow::Result<Self> {
        if brokers.is_empty() {
            let broker = EmbeddedBroker::start()?;
            return Ok(Self { kafka: broker.settings(), embedded: Some(broker) });
        }
        Ok(Self { kafka: KafkaSettings { brokers: brokers.to_vec(), ..KafkaSettings::default() }, embedded: None })
    }

    fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    fn create(&self, topic: &str) -> anyhow::Result<()> {
        match &self.embedded {
            Some(broker) => broker.create_topic(topic, PARTITIONS)?,
            None => TopicAdmin::connect(&self.kafka)?.create(topic, PARTITIONS, &BTreeMap::new(), ASK)?,
        }
        Ok(())
    }

    /// Removes our topics from a real cluster.
    fn remove(&self, topics: impl Iterator<Item = String>) -> anyhow::Result<()> {
        if self.is_embedded() {
            return Ok(());
        }
        let admin = TopicAdmin::connect(&self.kafka)?;
        topics.into_iter().try_for_each(|topic| Ok(admin.delete(&topic, ASK)?))
    }
}

/// Where the demonstration's models lie, while it runs.
fn registry_url(folder: &std::path::Path) -> String {
    format!("file://{}/registry", folder.display())
}

/// The configuration that the daemon runs with: a compressing and a restoring pipeline per stream.
fn configuration(
    courses: &[Arc<Course>],
    kafka: &KafkaSettings,
    delivery: Delivery,
    folder: &std::path::Path,
    listen: std::net::SocketAddr,
    since: u64,
) -> anyhow::Result<String> {
    let mut text = String::new();
    let delivery = delivery.name();
    let registry = folder.join("registry");
    std::fs::create_dir(&registry).with_context(|| format!("cannot make `{}`", registry.display()))?;
    writeln!(text, "[daemon]\nname = \"latentd-demo-{since}\"\ninstance = \"demo\"\n")?;
    writeln!(text, "[kafka]\nbrokers = {:?}\n", kafka.brokers)?;
    writeln!(text, "[registry]\nurl = {:?}\n", registry_url(folder))?;
    writeln!(text, "[admin]\nlisten = \"{listen}\"\n")?;
    writeln!(text, "[log]\nlevel = \"warn\"\n")?;
    for course in courses {
        let (stream, topic, z) = (&course.stream, &course.topic, course.compressed());
        writeln!(text, "[pipelines.{}]\nfrom = \"{topic}\"\nto = \"{z}\"", stream.name)?;
        writeln!(text, "operation = \"compress\"\ncodec = {:?}\nlayout = {:?}", stream.codec, stream.layout)?;
        writeln!(text, "{}", stream.payload)?;
        writeln!(text, "delivery = \"{delivery}\"\ncreate_topics = false\nworkers = 1\n")?;
        if stream.layout == "block" {
            writeln!(text, "[pipelines.{}.block]\nlinger = \"500ms\"\n", stream.name)?;
        }
        writeln!(text, "[pipelines.{}.learn]\n{}\n", stream.name, stream.learn)?;
        writeln!(text, "[pipelines.{}-back]\nfrom = \"{z}\"\nto = \"{}\"", stream.name, course.restored())?;
        writeln!(text, "operation = \"restore\"\ndelivery = \"{delivery}\"\ncreate_topics = false\nworkers = 1\n")?;
    }
    Ok(text)
}

/// Feeds, weighs and checks until it is time to end; how many seconds records were fed.
fn watch(
    courses: &[Arc<Course>],
    kafka: &KafkaSettings,
    time: Option<Duration>,
    runtime: &Runtime,
    screen: &mut Screen,
) -> anyhow::Result<f64> {
    let (failed, mut failures) = channel(16);
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    type Work = fn(&Arc<Course>, &KafkaSettings) -> anyhow::Result<()>;
    let works: [(&str, Work); 3] = [("check", threads::check), ("weigh", threads::weigh), ("feed", threads::feed)];
    for course in courses {
        for (name, work) in works {
            let (course, kafka, failed) = (Arc::clone(course), kafka.clone(), failed.clone());
            let thread = thread::Builder::new().name(format!("demo-{name}")).spawn(move || {
                if let Err(error) = work(&course, &kafka) {
                    // A full channel holds failures enough to end the demonstration.
                    let _ = failed.try_send(error.context(format!("the demonstration's own client ({name}) failed")));
                }
            })?;
            threads.push(thread);
        }
    }
    let started = Instant::now();
    let mut result = runtime.block_on(until_enough(time, &mut failures, screen));
    let seconds = started.elapsed().as_secs_f64();
    courses.iter().for_each(|course| course.enough.store(true, Ordering::Release));
    if result.is_ok() {
        result = runtime.block_on(until_restored(courses, &mut failures, screen));
    }
    courses.iter().for_each(|course| course.over.store(true, Ordering::Release));
    for thread in threads {
        thread.join().map_err(|_| anyhow!("the demonstration ended by a panic"))?;
    }
    // A thread may have failed after the last look.
    result.and_then(|()| failures.try_recv().map_or(Ok(seconds), Err))
}

/// Time between two pictures of the screen.
const PICTURE: Duration = Duration::from_millis(500);

async fn until_enough(
    time: Option<Duration>,
    failures: &mut Receiver<anyhow::Error>,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    let end = tokio::time::sleep(time.unwrap_or(Duration::MAX / 4));
    tokio::pin!(end);
    let mut pictures = tokio::time::interval(PICTURE);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = pictures.tick() => screen.draw(),
            Some(failure) = failures.recv() => return Err(failure),
            _ = tokio::signal::ctrl_c() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            () = &mut end => return Ok(()),
        }
    }
}

/// Waits for what was fed to come back.
async fn until_restored(
    courses: &[Arc<Course>],
    failures: &mut Receiver<anyhow::Error>,
    screen: &mut Screen,
) -> anyhow::Result<()> {
    screen.waiting();
    let end = tokio::time::sleep(COME_BACK);
    tokio::pin!(end);
    let mut pictures = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = pictures.tick() => {
                screen.draw();
                let home = |course: &Arc<Course>| {
                    let sums = course.ledger.sums();
                    sums.restored == sums.fed || sums.difference.is_some()
                };
                if courses.iter().all(home) {
                    return Ok(());
                }
            }
            Some(failure) = failures.recv() => return Err(failure),
            _ = tokio::signal::ctrl_c() => bail!("interrupted before everything had come back"),
            // What is missing then is said by the summary.
            () = &mut end => return Ok(()),
        }
    }
}

/// Whether everything came back as it was.
fn verdict(courses: &[Arc<Course>]) -> anyhow::Result<()> {
    for course in courses {
        let sums = course.ledger.sums();
        if let Some(difference) = sums.difference {
            bail!("`{}`: {difference}", course.restored());
        }
        if sums.restored != sums.fed {
            bail!("`{}`: {} of {} records came back", course.restored(), sums.restored, sums.fed);
        }
    }
    Ok(())
}
