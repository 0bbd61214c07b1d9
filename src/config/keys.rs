//! Every key there is, in one table: type, default and meaning. `docs/configuration.md` is made from it, defaults are
//! read from it, and a test holds `config/latentd.toml` to it.

use std::fmt::Write as _;

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path; `*` stands for a name that the user chooses.
    pub path: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// Its default as TOML; `None` where there is none: then the key must be given, or absence means something.
    pub default: Option<&'static str>,
    /// What it says.
    pub meaning: &'static str,
    /// Something to write there.
    pub example: &'static str,
}

const fn key(
    path: &'static str,
    takes: &'static str,
    default: Option<&'static str>,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { path, takes, default, meaning, example }
}

/// All keys, in the order of the documentation.
pub const KEYS: &[Key] = &[
    key(
        "daemon.name",
        "name",
        Some("\"latentd\""),
        "\"latentd\"",
        "First part of consumer groups and transactional ids: `NAME.PIPELINE` and `NAME-PIPELINE-INSTANCE-WORKER`.",
    ),
    key(
        "daemon.instance",
        "name",
        Some("\"${HOSTNAME:-0}\""),
        "\"host-1\"",
        "Stable over restarts, and different for every running process: with it a new process ends its predecessor's open transactions.",
    ),
    key(
        "kafka.brokers",
        "list of `host:port`",
        Some("[\"127.0.0.1:9092\"]"),
        "[\"a:9092\", \"b:9092\"]",
        "Some brokers of the cluster; the others are found through them.",
    ),
    key(
        "kafka.properties.*",
        "text, or `{ file = \"…\" }`",
        None,
        "\"sasl_ssl\"",
        "Any librdkafka property, passed on to consumers and producers. Those that delivery depends on are ours and refused here.",
    ),
    key(
        "registry.url",
        "URL",
        Some("\"file:///var/lib/latentd/registry\""),
        "\"s3://models/latentd\"",
        "Where models are kept: `file://`, `s3://`, `gs://` or `az://`.",
    ),
    key(
        "registry.options.*",
        "text, or `{ file = \"…\" }`",
        None,
        "\"eu-central-1\"",
        "Options of the store, as the `object_store` crate names them: `aws_region`, `aws_access_key_id`, `aws_endpoint`, …",
    ),
    key(
        "admin.listen",
        "`address:port`",
        Some("\"127.0.0.1:9644\""),
        "\"0.0.0.0:9644\"",
        "Where page, API, metrics and health are served. Anything but the loopback interface asks for `admin.token`.",
    ),
    key(
        "admin.token",
        "text, or `{ file = \"…\" }`",
        None,
        "{ file = \"/run/secrets/latentd\" }",
        "Bearer token that every POST must carry, and every GET but health and metrics.",
    ),
    key(
        "resources.memory",
        "size",
        Some("\"512MiB\""),
        "\"2GiB\"",
        "Bytes of records in flight, all pipelines together; shared out evenly among all workers.",
    ),
    key(
        "resources.training_threads",
        "whole number",
        Some("1"),
        "2",
        "Trainings of minutes that may go on at the same time, in all pipelines together; each takes one thread, which ranks below those that carry records. Trainings of seconds are not counted.",
    ),
    key(
        "log.level",
        "log filter",
        Some("\"info\""),
        "\"warn,latentd=debug\"",
        "Which lines are logged: a level, or `RUST_LOG`'s language.",
    ),
    key("log.format", "`text` or `json`", Some("\"text\""), "\"json\"", "How lines look."),
    key(
        "shutdown.deadline",
        "duration",
        Some("\"30s\""),
        "\"1m\"",
        "Time for everything to finish and commit after SIGTERM, and for a pipeline that a reload stops.",
    ),
    key("cost.cpu_hour", "number", Some("0.04"), "0.05", "Price of an hour of one CPU core, in any currency."),
    key(
        "cost.gigabyte_moved",
        "number",
        Some("0.05"),
        "0.02",
        "Price of moving 10⁹ bytes to or from the brokers, in that currency.",
    ),
    key("cost.gigabyte_month", "number", Some("0.08"), "0.1", "Price of keeping 10⁹ bytes on a broker for a month."),
    key("cost.retention", "duration", Some("\"30d\""), "\"7d\"", "How long topics keep their records."),
    key("cost.replication", "whole number", Some("3"), "2", "On how many brokers a record lies."),
    key(
        "pipelines.*.from",
        "topic, list of topics, or `{ pattern = \"^…\" }`",
        None,
        "\"flights\"",
        "Topics that are read. A pattern is a regular expression that begins with `^`; topics that match it later are taken too.",
    ),
    key(
        "pipelines.*.to",
        "topic",
        None,
        "\"flights.z\"",
        "Topic that is written; made when it is missing (`create_topics`). `{topic}` in it stands for the source topic's name.",
    ),
    key(
        "pipelines.*.operation",
        "`compress`, `restore` or `generate`",
        Some("\"compress\""),
        "\"restore\"",
        "`compress` writes records smaller; `restore` gives back what `compress` wrote, whatever codec and layout; `generate` learns from the records that it reads and writes new ones (`augment`), and nothing else.",
    ),
    key(
        "pipelines.*.payload",
        "`auto`, `bytes`, `json`, `csv`, `text` or `image`",
        Some("\"auto\""),
        "\"json\"",
        "What values are; `auto` looks at them. With `codec = \"auto\"`, `bytes`, `text` and `image` leave out the codecs that model fields, and `image` adds the one that models images.",
    ),
    key(
        "pipelines.*.shape",
        "height `x` width, and `x3` for RGB",
        None,
        "\"28x28\"",
        "The shape of images, 8x8 to 64x64. Values are their samples row by row, or PGM, PPM or PNG files of them; whatever else comes is coded by zstd.",
    ),
    key(
        "pipelines.*.codec",
        "codec, or `codec:level`",
        Some("\"zstd\""),
        "\"zstd:19\"",
        "auto, identity, huffman, lzw, zlib, gzip, deflate, brotli, zstd, lz4, xz, bzip2, zstd-dict, columns or latent. `auto` measures them on the topic's newest records and takes the cheapest at the prices in `[cost]`; zstd-3 until enough was seen.",
    ),
    key(
        "pipelines.*.layout",
        "`block` or `record`",
        Some("\"block\""),
        "\"record\"",
        "`block`: consecutive records of a partition become one, columnar, much smaller. `record`: each record stays one, for consumers that read single records and for compacted topics.",
    ),
    key(
        "pipelines.*.delivery",
        "`exactly-once` or `at-least-once`",
        Some("\"exactly-once\""),
        "\"at-least-once\"",
        "`exactly-once`: records and offsets in one Kafka transaction. `at-least-once`: offsets after records; a crash repeats some.",
    ),
    key(
        "pipelines.*.workers",
        "whole number, 1 to 64",
        Some("1"),
        "4",
        "Threads of the pipeline in this process, each a consumer of the group with a producer of its own. More than there are partitions are idle.",
    ),
    key(
        "pipelines.*.create_topics",
        "true or false",
        Some("true"),
        "false",
        "Whether missing target and dead-letter topics are created, with the source's partition count.",
    ),
    key(
        "pipelines.*.commit_interval",
        "duration, 1ms to 10s",
        Some("\"500ms\""),
        "\"100ms\"",
        "Time between commits: what a crash repeats (at-least-once), and how long readers wait for records (exactly-once).",
    ),
    key(
        "pipelines.*.overlap_commits",
        "true or false",
        Some("true"),
        "false",
        "Whether the next transaction's records are encoded while one commits.",
    ),
    key(
        "pipelines.*.dead_letter",
        "topic, or `stop`",
        Some("\"{topic}.dead\""),
        "\"stop\"",
        "Where records go that cannot be processed, with the reason in headers; `stop` stops the pipeline instead. `{topic}` stands for the source topic's name.",
    ),
    key(
        "pipelines.*.max_decoded",
        "size",
        Some("\"64MiB\""),
        "\"16MiB\"",
        "Most bytes that one record or block may decode to; larger ones are dead letters.",
    ),
    key(
        "pipelines.*.headers",
        "`content-encoding` or `none`",
        Some("\"content-encoding\""),
        "\"none\"",
        "Whether output records carry a header that names their coding. Without it, codecs whose streams have no magic travel in a frame of 8 bytes (`latent`: 4).",
    ),
    key(
        "pipelines.*.verify",
        "true or false",
        Some("false"),
        "true",
        "Whether everything is decoded and compared before it is sent. Learned codecs do so until a model has proved itself.",
    ),
    key(
        "pipelines.*.missing_model",
        "`wait` or `dead-letter`",
        Some("\"wait\""),
        "\"dead-letter\"",
        "What a restore does with a record whose model is not in the registry.",
    ),
    key("pipelines.*.block.max_records", "whole number", Some("4096"), "1000", "Most records in a block."),
    key(
        "pipelines.*.block.max_bytes",
        "size",
        Some("\"1MiB\""),
        "\"256KiB\"",
        "Most raw bytes (keys, values, headers) in a block.",
    ),
    key(
        "pipelines.*.block.linger",
        "duration",
        Some("\"100ms\""),
        "\"1s\"",
        "How long a block waits for more records. A commit closes it in any case.",
    ),
    key(
        "pipelines.*.auto.max_latency",
        "duration",
        None,
        "\"20ms\"",
        "Most CPU time that coding one output record may take, in one case of a hundred more. Slower codecs are not chosen.",
    ),
    key(
        "pipelines.*.auto.max_cpu",
        "duration",
        None,
        "\"10s\"",
        "Most CPU time that coding 10⁹ bytes of records may take. Codecs that would keep a pipeline's workers busy for more than half of the time at its present rate are not chosen in any case.",
    ),
    key(
        "pipelines.*.learn.every",
        "duration",
        Some("\"6h\""),
        "\"10m\"",
        "Longest time between two trainings: one comes sooner when the bytes that a new model saves pay for it, at the prices in `[cost]`. The table `learn`, even empty, switches learning on; for `auto`, `zstd-dict`, `columns` and `latent`.",
    ),
    key(
        "pipelines.*.learn.reservoir",
        "size",
        Some("\"64MiB\""),
        "\"16MiB\"",
        "Bytes of records kept to learn from: half uniform over the stream, half recent.",
    ),
    key(
        "pipelines.*.learn.dictionary",
        "size, 1KiB to 1MiB",
        Some("\"110KiB\""),
        "\"32KiB\"",
        "Size of a trained dictionary.",
    ),
    key(
        "pipelines.*.learn.cpu",
        "duration",
        Some("\"60s\""),
        "\"5m\"",
        "CPU time that a training on images takes. More of it makes a smaller topic, and less so each time.",
    ),
    key(
        "pipelines.*.learn.split",
        "`time` or `key`",
        Some("\"time\""),
        "\"key\"",
        "What records are divided by: eight tenths are learned from, one is what a training is tuned on, one judges. `time`: the newest judge, as they are what comes next. `key`: all records of a key fall on one side, for topics in which a key's records repeat each other; records without one are divided by time.",
    ),
    key(
        "pipelines.*.augment.to",
        "topic",
        None,
        "\"flights.augmented\"",
        "Topic of the generated records; made when it is missing (`create_topics`). `{topic}` in it stands for the source topic's name. With `operation = \"generate\"` it is the pipeline's `to`. The table `augment` switches generating on, for pipelines that learn: `columns` and `auto` draw from the codec's model of fields, which `columns` and `auto` have; `autoregressive`, `vae`, `gan` and `classical` need only records, and so do images.",
    ),
    key(
        "pipelines.*.augment.generator",
        "`auto`, `columns`, `autoregressive`, `vae`, `gan` or `classical`",
        Some("\"auto\""),
        "\"autoregressive\"",
        "What draws. `columns`: the model that the codec has. `autoregressive`, `vae`, `gan`: a network that is learned beside the codec, from 10,000 records on, and again when the stream has moved. `classical`: real records, changed; its model, made beside the codec as often, holds some of them (`bases`). What it draws of rows is mostly blocked by the gate that looks for copies; of images no gate does, and what is published can be near to a real one. `auto`: `autoregressive` once it is there and its records may be published, and `columns` until then. Of images (`payload = \"image\"`) `auto` is `vae`, and `columns` and `autoregressive` are refused.",
    ),
    key(
        "pipelines.*.augment.bases",
        "whole number, 10 to 65536",
        None,
        "10000",
        "Most records that a `classical` model holds. Of images, which it holds as they are, this has to be said; of rows, which it holds as coarse values, it is 20,000 where nothing is said.",
    ),
    key(
        "pipelines.*.augment.cpu",
        "duration",
        Some("\"2m\""),
        "\"30s\"",
        "Most CPU time of a training of a generator; `gan` takes all of it. Trainings take a tenth of the time at most, and go on after a restart.",
    ),
    key(
        "pipelines.*.augment.where",
        "table of fields with their values",
        None,
        "{ carrier = \"UA\" }",
        "Values that fields have in each generated record, exactly. `columns`, and `vae` and `gan` of rows, cannot; of images the field is `label`. A value that the generator never saw five times blocks, with the reason.",
    ),
    key(
        "pipelines.*.augment.balance",
        "field",
        None,
        "\"carrier\"",
        "A field of few values whose rare ones are filled up: each record is drawn as the value that real and generated records together have least of. `columns`, and `vae` and `gan` of rows, cannot; of images it is `label`.",
    ),
    key(
        "pipelines.*.augment.label",
        "`key`, or `{ header = \"NAME\" }`",
        None,
        "{ header = \"digit\" }",
        "Where a record says which class its image is of: a text of up to 64 bytes. Images without one are not learned from. Without this key they are learned as one class, and none can be asked for.",
    ),
    key(
        "pipelines.*.augment.rate",
        "number, or `{ every = \"1m\", records = 1000 }`",
        Some("0.1"),
        "{ every = \"1m\", records = 1000 }",
        "Records to generate: so many for each that is consumed, or so many in each such time by each process.",
    ),
    key(
        "pipelines.*.augment.share",
        "number, 0 to 10",
        Some("0.5"),
        "0.2",
        "Most generated records for each real one, whatever `rate` says.",
    ),
    key(
        "pipelines.*.augment.gates",
        "`default` or `off`",
        Some("\"default\""),
        "\"off\"",
        "What decides whether records are published: the gates of docs/generation.md, of every model and while it is published from. `off` publishes whatever is drawn, marked as not for training.",
    ),
    key(
        "pipelines.*.augment.target",
        "field",
        None,
        "\"income\"",
        "A field that models are trained to predict, to see what the records are worth to them: the gates `tstr_ratio` and `lift`.",
    ),
    key(
        "pipelines.*.augment.seed",
        "whole number",
        Some("0"),
        "7",
        "What all chance comes from. The same model, seed and number give the same record.",
    ),
];

/// The key at this path, where `*` stands for any name.
pub fn find(path: &str) -> Option<&'static Key> {
    // A pipeline's name may have dots: of several the one that leaves the shortest name is meant.
    KEYS.iter().filter(|key| matches(key.path, path)).max_by_key(|key| key.path.len())
}

/// Whether a path of the table is this path.
pub fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once(".*") {
        None => pattern == path,
        // A name that the user chooses may have dots in it: what follows it is compared from the end.
        Some((above, below)) => path
            .strip_prefix(above)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|rest| rest.strip_suffix(below))
            .is_some_and(|name| !name.is_empty()),
    }
}

/// The text of `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         TOML. `latentd check -c FILE` validates a file and prints every value with its origin; `config/latentd.toml` shows \
         every key with its default. This page is made from `src/config/keys.rs`; `LATENTD_BLESS=1 cargo test --test config` \
         writes it anew.\n\n\
         - **Durations** carry a unit: `\"500ms\"`, `\"10s\"`, `\"5m\"`, `\"6h\"`, `\"30d\"`. **Sizes** too: `\"16KiB\"`, \
         `\"64MiB\"`, `\"1GB\"` (10⁹); a bare number is bytes.\n\
         - **`${NAME}`** and **`${NAME:-default}`** in any text read the environment; `$${` is how to write `${`.\n\
         - **`LATENTD_KAFKA__BROKERS`** style variables override keys: two underscores between tables, one for any character \
         that a variable's name cannot have, commas in lists.\n\
         - **Secrets** come from files with `{ file = \"…\" }` in `kafka.properties`, `registry.options` and `admin.token`. They \
         are never printed.\n\
         - **Unknown keys are errors**, and all errors of a file are shown at once. SIGHUP and `POST /-/reload` read the file \
         again: a bad one changes nothing and says why, a good one restarts only the pipelines that changed. `daemon`, \
         `registry`, `admin`, `log` and `resources` change only with a restart of the process.\n",
    );
    let mut section = "";
    for key in KEYS {
        let own = key.path.rsplit_once('.').map_or("", |(above, _)| above);
        if own != section {
            section = own;
            let name = own.replace('*', "NAME");
            write!(text, "\n## `[{name}]`\n\n| key | takes | default | example | meaning |\n|---|---|---|---|---|\n")
                .expect("writing to a string cannot fail");
        }
        let name = key.path.rsplit('.').next().unwrap_or(key.path).replace('*', "NAME");
        let default = key.default.map_or_else(|| "-".to_owned(), |default| format!("`{default}`"));
        writeln!(text, "| `{name}` | {} | {default} | `{}` | {} |", key.takes, key.example, key.meaning)
            .expect("writing to a string cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_key_whatever_name_the_user_chose() {
        for (path, key) in [
            ("kafka.brokers", "kafka.brokers"),
            ("kafka.properties.security.protocol", "kafka.properties.*"),
            ("pipelines.a.b.block.linger", "pipelines.*.block.linger"),
            ("pipelines.block.linger", "none"),
            ("pipelines..codec", "none"),
        ] {
            assert_eq!(find(path).map_or("none", |key| key.path), key, "{path}");
        }
    }

    #[test]
    fn every_codec_that_is_accepted_is_in_the_reference() {
        use crate::codec::Algorithm;
        let meaning = find("pipelines.*.codec").map_or("", |key| key.meaning);
        let listed = meaning.split('.').next().unwrap_or_default().replace(" or ", ", ");
        let listed: Vec<&str> = listed.split(", ").collect();
        let accepted = Algorithm::ALL.into_iter().chain(Algorithm::LEARNED).map(Algorithm::name);
        assert_eq!(listed, ["auto"].into_iter().chain(accepted).collect::<Vec<_>>());
    }

    #[test]
    fn no_key_is_twice_in_the_table() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|other| other.path != key.path), "{}", key.path);
        }
    }
}
