//! `[pipelines.*]`: from tables to [`Settings`], each for itself and then all together.

use std::time::Duration;

use regex::Regex;

use super::augment;
use super::node::{Node, Value};
use super::resolve::{NAME, is_name, lasting, sized, within};
use super::section::{Notes, Placed, Read, Section, Word, Words, nearest};
use crate::codec::{Algorithm, CodecSpec, ParseCodecSpecError};
use crate::model::Split;
use crate::payload::image::{Shape, ShapeError};
use crate::pipeline::{
    AugmentSettings, AutoSettings, BlockSettings, CodecChoice, DeadLetter, Delivery, EncodingHeader, GeneratorChoice,
    LabelSource, Layout, LearnSettings, MissingModelPolicy, Operation, Payload, Settings, SourceTopics, TopicTemplate,
};
use crate::units::ByteSize;

impl Words for Operation {
    const WORDS: &'static [(&'static str, Self)] =
        &[("compress", Self::Compress), ("restore", Self::Restore), ("generate", Self::Generate)];
}

impl Words for Payload {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("bytes", Self::Bytes),
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("text", Self::Text),
        ("image", Self::Image),
    ];
}

impl Words for Layout {
    const WORDS: &'static [(&'static str, Self)] = &[("block", Self::Block), ("record", Self::Record)];
}

impl Words for Delivery {
    const WORDS: &'static [(&'static str, Self)] =
        &[("exactly-once", Self::ExactlyOnce), ("at-least-once", Self::AtLeastOnce)];
}

impl Words for Split {
    const WORDS: &'static [(&'static str, Self)] = &[("time", Self::Time), ("key", Self::Key)];
}

impl Words for EncodingHeader {
    const WORDS: &'static [(&'static str, Self)] = &[("content-encoding", Self::ContentEncoding), ("none", Self::None)];
}

impl Words for MissingModelPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[("wait", Self::Wait), ("dead-letter", Self::DeadLetter)];
}

/// A codec of the plan that this release does not have.
const LATER: &str = "mixing";

/// A codec, or the word that leaves the choice to the pipeline.
#[derive(Clone, Copy)]
enum Wanted {
    Fixed(CodecSpec),
    Auto,
}

impl Read for Wanted {
    fn read(node: &Node) -> Result<Self, String> {
        let text = String::read(node)?;
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let name = text.split(':').next().unwrap_or_default();
        if name == LATER {
            return Err(format!("`{name}` is not in this release: take one of {}", names()));
        }
        text.parse().map(Self::Fixed).map_err(|error: ParseCodecSpecError| {
            let known = Algorithm::ALL.into_iter().chain(Algorithm::LEARNED).map(Algorithm::name).chain(["auto"]);
            match (&error, nearest(name, known)) {
                (ParseCodecSpecError::UnknownCodec { .. }, Some(near)) => format!("{error}; did you mean `{near}`?"),
                _ => error.to_string(),
            }
        })
    }
    fn placeholder() -> Self {
        Self::Fixed(CodecSpec::new(Algorithm::Identity))
    }
}

fn names() -> String {
    let names = Algorithm::ALL.into_iter().chain(Algorithm::LEARNED).map(Algorithm::name);
    let names: Vec<&str> = names.collect();
    format!("auto, {}", names.join(", "))
}

impl Read for Shape {
    fn read(node: &Node) -> Result<Self, String> {
        String::read(node)?.parse().map_err(|error: ShapeError| error.to_string())
    }
    fn placeholder() -> Self {
        Shape::SMALLEST
    }
}

impl Read for SourceTopics {
    fn read(node: &Node) -> Result<Self, String> {
        if let Value::Table(table) = &node.value {
            let what = "the table must be `{ pattern = \"^…\" }`";
            let entry = table.get("pattern").filter(|_| table.len() == 1).ok_or(what)?;
            let pattern = String::read(&entry.node)?;
            if !pattern.starts_with('^') {
                return Err(format!(
                    "the pattern `{pattern}` must begin with `^`: that is how Kafka knows it from a name"
                ));
            }
            Regex::new(&pattern).map_err(|error| format!("`{pattern}` is no regular expression: {error}"))?;
            return Ok(Self::Pattern(pattern));
        }
        let names = Vec::<String>::read(node)
            .map_err(|_| "this must be a topic, a list of topics, or `{ pattern = \"^…\" }`".to_owned())?;
        if names.is_empty() {
            return Err("the list is empty: write at least one topic".to_owned());
        }
        for (index, name) in names.iter().enumerate() {
            topic(name)?;
            if names[..index].contains(name) {
                return Err(format!("topic `{name}` is in the list twice"));
            }
        }
        Ok(Self::Names(names))
    }
    fn placeholder() -> Self {
        Self::Names(Vec::new())
    }
}

/// Kafka's rules for a topic's name.
fn topic(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.bytes().all(allowed) {
        return Err(format!("`{name}` is no topic: a topic is 1 to 249 letters, digits, `.`, `_` and `-`"));
    }
    Ok(())
}

impl Read for TopicTemplate {
    fn read(node: &Node) -> Result<Self, String> {
        let text = String::read(node)?;
        topic(&text.replace("{topic}", "t"))?;
        Ok(Self::new(text))
    }
    fn placeholder() -> Self {
        Self::new("")
    }
}

struct Dead(DeadLetter);

impl Read for Dead {
    fn read(node: &Node) -> Result<Self, String> {
        if matches!(&node.value, Value::String(text) if text == "stop") {
            return Ok(Self(DeadLetter::Stop));
        }
        TopicTemplate::read(node).map(|template| Self(DeadLetter::Topic(template)))
    }
    fn placeholder() -> Self {
        Self(DeadLetter::Stop)
    }
}

/// A pipeline with the places of what is checked against others.
struct Resolved {
    settings: Settings,
    from: Placed<SourceTopics>,
    to: Placed<TopicTemplate>,
    dead: Placed<Dead>,
    augmented: Option<Placed<AugmentSettings>>,
}

/// Reads all pipelines.
pub fn resolve(node: Option<&Node>, notes: &mut Notes) -> Vec<Settings> {
    let section = Section::new("pipelines", node, notes);
    let mut resolved = Vec::new();
    for (name, entry) in section.names() {
        let path = format!("pipelines.{name}");
        if !is_name(name) {
            notes.problem(path.as_str(), &entry.key, format!("`{name}` is no name of a pipeline: a name is {NAME}"));
        }
        resolved.push(one(name, path, &entry.node, notes));
    }
    if resolved.is_empty() {
        let origin = section.origin();
        notes.problem("pipelines", &origin, "there is no pipeline: write `[pipelines.NAME]` with `from` and `to`");
    }
    check_targets(&resolved, notes);
    resolved.into_iter().map(|resolved| resolved.settings).collect()
}

fn one(name: &str, path: String, node: &Node, notes: &mut Notes) -> Resolved {
    let mut section = Section::new(path, Some(node), notes);
    let from: Placed<SourceTopics> = section.required("from", notes);
    let to: Placed<TopicTemplate> = section.required("to", notes);
    let told: Placed<Word<Operation>> = section.get("operation", notes);
    let operation = told.value.0;
    let payload: Placed<Word<Payload>> = section.get("payload", notes);
    let shape: Option<Placed<Shape>> = section.optional("shape", false, notes);
    let codec: Placed<Wanted> = section.get("codec", notes);
    let layout: Placed<Word<Layout>> = section.get("layout", notes);
    let delivery: Placed<Word<Delivery>> = section.get("delivery", notes);
    let workers = within(section.get("workers", notes), 1, 64, notes);
    let create_topics: Placed<bool> = section.get("create_topics", notes);
    let most = Duration::from_secs(10);
    let commit_interval = lasting(section.get("commit_interval", notes), Duration::from_millis(1), most, notes);
    let overlap_commits: Placed<bool> = section.get("overlap_commits", notes);
    let dead: Placed<Dead> = section.get("dead_letter", notes);
    let max_decoded = sized(section.get("max_decoded", notes), ByteSize::kib(1), ByteSize::mib(2047), notes);
    let headers: Placed<Word<EncodingHeader>> = section.get("headers", notes);
    let verify: Placed<bool> = section.get("verify", notes);
    let missing_model: Placed<Word<MissingModelPolicy>> = section.get("missing_model", notes);
    let (block_node, learn_node) = (section.below("block"), section.below("learn"));
    let augment_node = section.below("augment");
    let images = payload.value.0 == Payload::Image;
    let augmented = (augment_node.is_some() || operation == Operation::Generate).then(|| {
        augment::resolve(format!("{}.augment", section.path()), augment_node, (operation, images), &to, notes)
    });
    let block = block(format!("{}.block", section.path()), block_node, notes);
    let is_auto = matches!(codec.value, Wanted::Auto) && operation == Operation::Compress;
    // What chooses looks at records as what learns does, though it may have nothing to learn.
    let learns_always = is_auto || operation == Operation::Generate;
    let learn =
        (learn_node.is_some() || learns_always).then(|| learn(format!("{}.learn", section.path()), learn_node, notes));
    let auto_node = section.below("auto");
    let auto = auto(format!("{}.auto", section.path()), auto_node, learn_node.is_some(), notes);
    if let Some(node) = auto_node.filter(|_| !is_auto) {
        let message = "this has no effect: only `codec = \"auto\"` chooses";
        notes.notice(format!("{}.auto", section.path()), &node.origin, message);
    }
    let choice = match codec.value {
        // No model that codes images draws some: what draws them is all that is learned.
        _ if operation == Operation::Generate && images => CodecChoice::Fixed(CodecSpec::new(Algorithm::Identity)),
        // What is generated is drawn from a model of fields, which is learned as if it were to code.
        _ if operation == Operation::Generate => CodecChoice::Fixed(CodecSpec::new(Algorithm::Columns)),
        Wanted::Fixed(spec) => CodecChoice::Fixed(spec),
        Wanted::Auto => CodecChoice::Auto(auto),
    };

    if let Some(node) = learn_node.filter(|_| operation == Operation::Restore) {
        let message = "a restore learns nothing: the models that its records name come from the registry";
        notes.problem(format!("{}.learn", section.path()), &node.origin, message);
    } else if let Some(node) = learn_node.filter(|_| operation == Operation::Compress && !learns(choice)) {
        let message = format!(
            "`{choice}` learns nothing: take `auto`, `columns`, `latent` or `zstd-dict`, or leave the table out"
        );
        notes.problem(format!("{}.learn", section.path()), &node.origin, message);
    }
    if learn_node.is_none() && operation == Operation::Compress && Algorithm::LEARNED.iter().any(|one| choice.is(*one))
    {
        let message = format!("`{choice}` needs a model: write `[{}.learn]`, even empty", section.path());
        notes.problem(codec.key.as_str(), &codec.origin, message);
    }
    if choice.is(Algorithm::Latent) && operation == Operation::Compress && !images {
        let message = "`latent` learns images: write `payload = \"image\"`";
        notes.problem(codec.key.as_str(), &codec.origin, message);
    }
    let by_key = learn.is_some_and(|learn| learn.split == Split::Key);
    if let Some(label) = augment_node.filter(|_| by_key && images).and_then(label_of)
        && matches!(LabelSource::read(label), Ok(LabelSource::Key))
    {
        let message = format!(
            "the key is the class of an image: with `{}.learn.split = \"key\"` whole classes would be left out of what is learned from",
            section.path()
        );
        notes.problem(format!("{}.augment.label", section.path()), &label.origin, message);
    }
    if operation == Operation::Generate && delivery.value.0 == Delivery::AtLeastOnce {
        let message =
            "what only generates writes nothing for each record by which an offset could move: take `exactly-once`";
        notes.problem(delivery.key.as_str(), &delivery.origin, message);
    }
    if let Some(node) = augment_node.filter(|_| operation == Operation::Compress) {
        let generator = augmented.as_ref().map(|augmented| augmented.value.generator);
        // What is learned beside the codec needs records that are kept to learn from, and no more.
        let beside = images || generator.is_some_and(GeneratorChoice::is_beside);
        let draws = (choice.is(Algorithm::Columns) && !images)
            || (is_auto && learn_node.is_some())
            || (beside && learns(choice) && learn_node.is_some());
        if !draws && images {
            let message = format!(
                "what draws images learns from records that a codec which learns has kept, and `{choice}` keeps none: write \
                 `codec = \"latent\"`, `auto` or `zstd-dict`, and `[{}.learn]`, even empty",
                section.path()
            );
            notes.problem(format!("{}.augment", section.path()), &node.origin, message);
        } else if !draws {
            let message = format!(
                "records are drawn from a model of fields, and `{choice}` makes none: write `codec = \"columns\"`, or `auto`, and \
                 `[{}.learn]`, even empty",
                section.path()
            );
            notes.problem(format!("{}.augment", section.path()), &node.origin, message);
        }
    }
    if images && choice.is(Algorithm::Columns) && operation != Operation::Generate {
        let message = "`columns` learns fields, of which images have none: take `auto`, `latent` or `zstd-dict`";
        notes.problem(codec.key.as_str(), &codec.origin, message);
    }
    match &shape {
        None if images && (is_auto || choice.is(Algorithm::Latent) || augmented.is_some()) => {
            let message = "images of which shape? Write `shape = \"HEIGHTxWIDTH\"`, such as \"28x28\" or \"64x64x3\"";
            notes.problem(payload.key.as_str(), &payload.origin, message);
        }
        Some(shape) if !images => {
            notes.notice(shape.key.as_str(), &shape.origin, "this has no effect: only images have a shape");
        }
        _ => {}
    }
    if learn_node.is_none() && is_auto {
        let message = format!(
            "only codecs that need no model are chosen among: `[{}.learn]`, even empty, adds the others",
            section.path()
        );
        notes.notice(codec.key.as_str(), &codec.origin, message);
    }
    if let Some(node) = block_node.filter(|_| layout.value.0 == Layout::Record && operation == Operation::Compress) {
        notes.notice(format!("{}.block", section.path()), &node.origin, "this has no effect: the layout is `record`");
    }
    if operation != Operation::Compress {
        for name in ["codec", "layout", "headers"] {
            if let Some(node) = section.below(name) {
                let message = match operation {
                    Operation::Generate => "this has no effect: generated records are written as they are",
                    _ => "this has no effect: a restore reads every codec and layout",
                };
                notes.notice(format!("{}.{name}", section.path()), &node.origin, message);
            }
        }
    }
    section.finish(notes);
    let settings = Settings {
        name: name.to_owned(),
        operation,
        from: from.value.clone(),
        to: to.value.clone(),
        payload: payload.value.0,
        shape: shape.map(|shape| shape.value).filter(|_| images),
        codec: choice,
        layout: layout.value.0,
        delivery: delivery.value.0,
        workers: usize::try_from(workers).unwrap_or(1),
        create_topics: create_topics.value,
        commit_interval,
        overlap_commits: overlap_commits.value,
        dead_letter: dead.value.0.clone(),
        block,
        max_decoded,
        headers: headers.value.0,
        verify: verify.value,
        missing_model: missing_model.value.0,
        learn,
        augment: augmented.as_ref().map(|augmented| augmented.value.clone()),
    };
    Resolved { settings, from, to, dead, augmented }
}

/// What the table `augment` says of labels.
fn label_of(augment: &Node) -> Option<&Node> {
    match &augment.value {
        Value::Table(table) => table.get("label").map(|entry| &entry.node),
        _ => None,
    }
}

/// Whether a codec has something to learn.
fn learns(choice: CodecChoice) -> bool {
    match choice {
        CodecChoice::Fixed(spec) => spec.algorithm() == Algorithm::ZstdDict || spec.algorithm().is_learned(),
        CodecChoice::Auto(_) => true,
    }
}

fn auto(path: String, node: Option<&Node>, learns: bool, notes: &mut Notes) -> AutoSettings {
    let mut section = Section::new(path, node, notes);
    let mut bound = |name, most| {
        let placed: Option<Placed<Duration>> = section.optional(name, false, notes);
        placed.map(|placed| lasting(placed, Duration::from_micros(1), most, notes))
    };
    let settings = AutoSettings {
        learns,
        max_latency: bound("max_latency", Duration::from_secs(60)),
        max_cpu: bound("max_cpu", Duration::from_secs(86_400)),
    };
    section.finish(notes);
    settings
}

fn block(path: String, node: Option<&Node>, notes: &mut Notes) -> BlockSettings {
    let mut section = Section::new(path, node, notes);
    let max_records = within(section.get("max_records", notes), 1, 1 << 20, notes);
    let settings = BlockSettings {
        max_records: usize::try_from(max_records).unwrap_or(1),
        max_bytes: sized(section.get("max_bytes", notes), ByteSize::kib(1), ByteSize::mib(1024), notes),
        linger: lasting(section.get("linger", notes), Duration::ZERO, Duration::from_secs(3600), notes),
    };
    section.finish(notes);
    settings
}

fn learn(path: String, node: Option<&Node>, notes: &mut Notes) -> LearnSettings {
    let mut section = Section::new(path, node, notes);
    let long = Duration::from_secs(365 * 86_400);
    let split: Placed<Word<Split>> = section.get("split", notes);
    let settings = LearnSettings {
        every: lasting(section.get("every", notes), Duration::from_secs(1), long, notes),
        reservoir: sized(section.get("reservoir", notes), ByteSize::kib(64), ByteSize::mib(16 << 10), notes),
        dictionary: sized(section.get("dictionary", notes), ByteSize::kib(1), ByteSize::mib(1), notes),
        cpu: lasting(section.get("cpu", notes), Duration::from_secs(1), Duration::from_secs(86_400), notes),
        split: split.value.0,
    };
    section.finish(notes);
    settings
}

/// What pipelines write must not be what one of them reads by mistake, nor what two of them write.
fn check_targets(all: &[Resolved], notes: &mut Notes) {
    for (index, own) in all.iter().enumerate() {
        let name = &own.settings.name;
        let targets = targets(own);
        for (target, place) in &targets {
            if reads(&own.from.value, target) {
                let message = format!("the pipeline reads `{target}` itself: its output would be its input");
                notes.problem(place.0, place.1, message);
            }
            if let Some(other) = all[..index].iter().find(|other| self::targets(other).iter().any(|(t, _)| t == target))
            {
                // Dead letters of several pipelines may go to one topic: each says where it came from.
                if own.dead.key != place.0 {
                    let message =
                        format!("pipeline `{}` writes `{target}` too: give `{name}` another one", other.settings.name);
                    notes.problem(place.0, place.1, message);
                }
            }
        }
        if let Some(augmented) = &own.augmented
            && augmented.value.to == own.to.value
            && own.settings.operation == Operation::Compress
        {
            let message = "generated records go to a topic of their own: nobody could tell them from the others";
            notes.problem(augmented.key.as_str(), &augmented.origin, message);
        }
        let several = match &own.from.value {
            SourceTopics::Names(names) => names.len() > 1,
            SourceTopics::Pattern(_) => true,
        };
        if several && !own.to.value.as_str().contains("{topic}") {
            let message = format!(
                "several topics go to `{}`, and a restore cannot tell them apart again; `{{topic}}` in it stands for the \
                 source's name",
                own.to.value.as_str()
            );
            notes.notice(own.to.key.as_str(), &own.to.origin, message);
        }
    }
}

type Place<'a> = (&'a str, &'a super::node::Origin);

/// The topics that a pipeline writes, as far as they are known, with the key that says so.
fn targets<'a>(resolved: &'a Resolved) -> Vec<(String, Place<'a>)> {
    let to: Place<'a> = (&resolved.to.key, &resolved.to.origin);
    let dead: Place<'a> = (&resolved.dead.key, &resolved.dead.origin);
    let mut targets = Vec::new();
    let sources: Vec<&str> = match &resolved.from.value {
        SourceTopics::Names(names) => names.iter().map(String::as_str).collect(),
        SourceTopics::Pattern(_) => Vec::new(),
    };
    let mut add = |template: &TopicTemplate, place: Place<'a>| {
        if template.as_str().contains("{topic}") {
            sources.iter().for_each(|source| targets.push((template.resolve(source), place)));
        } else {
            targets.push((template.as_str().to_owned(), place));
        }
    };
    add(&resolved.to.value, to);
    if let Some(augmented) = resolved.augmented.as_ref().filter(|one| one.value.to != resolved.to.value) {
        add(&augmented.value.to, (&augmented.key, &augmented.origin));
    }
    if let DeadLetter::Topic(template) = &resolved.dead.value.0 {
        add(template, dead);
    }
    targets
}

fn reads(from: &SourceTopics, topic: &str) -> bool {
    match from {
        SourceTopics::Names(names) => names.iter().any(|name| name == topic),
        SourceTopics::Pattern(pattern) => Regex::new(pattern).is_ok_and(|regex| regex.is_match(topic)),
    }
}
