//! Removes models that nothing can need any more, and what writers that died left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use object_store::path::Path as Location;

use super::models::MAX_SMALL;
use super::{Activation, Change, Registry, RegistryError, Result, layout};
use crate::codec::ModelId;
use crate::model::{Dictionary, Family, Manifest};

/// What may be removed.
///
/// A model is kept while any pipeline uses it, while it is among the last `keep_last` that a pipeline used (a rollback
/// may want it), while it is named in `keep`, and for `unused_for` after its last use. A frame that a model coded can
/// lie in its topic for the topic's whole retention after that: `unused_for` must be longer than the longest of them. Where a
/// pipeline's log says how long that is, its models are kept so long in any case.
#[derive(Clone, Debug)]
pub struct GcPolicy {
    /// The time now.
    pub now: SystemTime,
    /// How long after its last use (or, if it never was in use, its creation) a model is kept.
    pub unused_for: Duration,
    /// How many of the models that each pipeline used last are kept whatever their age.
    pub keep_last: usize,
    /// Whether models go that a retention still needs which their log names.
    pub despite_retention: bool,
    /// Models that are kept because something else refers to them.
    pub keep: BTreeSet<ModelId>,
    /// How old a model without a manifest must be to count as abandoned and not as being written.
    pub half_written_after: Duration,
    /// Whether to say only what would be removed.
    pub dry_run: bool,
}

impl GcPolicy {
    /// The shortest `unused_for` that is accepted: a model that was just published has not been put to use yet.
    pub const SHORTEST: Duration = Duration::from_secs(60 * 60);

    /// A policy with the usual care: three models per pipeline to roll back to, and a day to finish writing.
    pub fn new(now: SystemTime, unused_for: Duration) -> Self {
        Self {
            now,
            unused_for,
            keep_last: 3,
            despite_retention: false,
            keep: BTreeSet::new(),
            half_written_after: Duration::from_secs(24 * 60 * 60),
            dry_run: false,
        }
    }
}

/// What was removed and what was not.
#[derive(Clone, Debug, Default)]
pub struct GcReport {
    /// Whole models.
    pub removed: Vec<RemovedModel>,
    /// Models that stay, and why.
    pub kept: Vec<KeptModel>,
    /// Artefacts without a manifest, dictionary numbers of no model, trainings that nobody goes on with, and staged files of
    /// writers that died.
    pub debris: Vec<String>,
    /// Bytes of all of it.
    pub freed_bytes: u64,
    /// Whether nothing was done.
    pub dry_run: bool,
}

/// A model that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedModel {
    /// The model.
    pub model: ModelId,
    /// The pipeline that it was made for.
    pub pipeline: String,
    /// Size of its artefact.
    pub bytes: u64,
    /// When it was last in use, or made.
    pub unused_since: SystemTime,
}

/// A model that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptModel {
    /// The model.
    pub model: ModelId,
    /// Why.
    pub why: KeptWhy,
}

/// Why a model stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptWhy {
    /// A pipeline uses it.
    Active,
    /// A rollback may want it.
    Rollback,
    /// The policy names it.
    Named,
    /// It was in use, or made, too short a time ago.
    Recent,
    /// A topic still keeps records that it coded.
    Retention,
}

/// What the active pointers say about a model.
#[derive(Clone, Copy, Debug)]
struct Use {
    active: bool,
    rollback: bool,
    until: SystemTime,
    /// Until when what it coded is kept, as far as that is known; `None` for ever.
    kept: Option<SystemTime>,
}

/// How much later than a log and a retention say things may happen: workers take a change up at their next look, and brokers
/// remove what has had its time at theirs.
const LATE: Duration = GcPolicy::SHORTEST;

impl Registry {
    /// Removes what the policy lets go: the manifest first, so that a model that is half removed is one that does not
    /// exist, and is finished by the next run. Names of frames of three bytes stay: what a removed model coded must not be
    /// taken for another's.
    pub async fn gc(&self, policy: &GcPolicy) -> Result<GcReport> {
        if policy.unused_for < GcPolicy::SHORTEST {
            let detail = "models younger than an hour are never removed: they may be on their way into use".to_owned();
            return Err(RegistryError::Invalid { detail });
        }
        if !self.exists().await? {
            return Err(RegistryError::NoRegistry { registry: self.url().to_owned() });
        }
        let mut report = GcReport { dry_run: policy.dry_run, ..GcReport::default() };
        let listing = self.list().await?;
        let uses = self.uses(policy).await?;
        let mut doomed: Vec<(&Manifest, SystemTime)> = Vec::new();
        for manifest in &listing.models {
            match judge(manifest, uses.get(&manifest.model), policy) {
                Ok(unused_since) => doomed.push((manifest, unused_since)),
                Err(why) => report.kept.push(KeptModel { model: manifest.model, why }),
            }
        }
        // Asked again just before anything goes: a model may have been put to use while the rest was looked at.
        let uses = self.uses(policy).await?;
        for (manifest, unused_since) in doomed {
            if let Err(why) = judge(manifest, uses.get(&manifest.model), policy) {
                report.kept.push(KeptModel { model: manifest.model, why });
                continue;
            }
            if !policy.dry_run {
                self.remove(manifest).await?;
            }
            report.freed_bytes += manifest.artefact_bytes;
            report.removed.push(RemovedModel {
                model: manifest.model,
                pipeline: manifest.pipeline.clone(),
                bytes: manifest.artefact_bytes,
                unused_since,
            });
        }
        self.remove_debris(policy, &mut report).await?;
        Ok(report)
    }

    /// How each model is used, by the histories of all pipelines.
    async fn uses(&self, policy: &GcPolicy) -> Result<BTreeMap<ModelId, Use>> {
        let mut uses = BTreeMap::new();
        for pipeline in self.pipelines().await? {
            let history = self.history(&pipeline.pipeline).await?;
            note_uses(&history, policy, &mut uses);
        }
        Ok(uses)
    }

    async fn remove(&self, manifest: &Manifest) -> Result<()> {
        let number = match manifest.family == Family::ZSTD_DICTIONARY {
            // Its number is in the artefact; a damaged one has none that is sure, and the debris is found another time.
            true => self.load(&manifest.model).await.ok().and_then(|model| Dictionary::parse(&model.artefact).ok()),
            false => None,
        };
        self.store.delete(&layout::manifest(&manifest.model)).await?;
        if let Some(dictionary) = number {
            self.store.delete(&layout::dictionary(dictionary.id())).await?;
        }
        self.store.delete(&layout::state(&manifest.model)).await?;
        for (at_ms, id) in self.reports(&manifest.model).await? {
            self.store.delete(&layout::report(&manifest.model, at_ms, &id)).await?;
        }
        self.store.delete(&layout::artefact(&manifest.model)).await
    }

    /// Removes what belongs to no model and is old enough not to be on its way to one.
    async fn remove_debris(&self, policy: &GcPolicy, report: &mut GcReport) -> Result<()> {
        let Some(before) = policy.now.checked_sub(policy.half_written_after) else { return Ok(()) };
        let mut models: BTreeMap<ModelId, (bool, Vec<object_store::ObjectMeta>)> = BTreeMap::new();
        for object in self.store.list(&layout::models()).await? {
            let Some((model, file)) = layout::parse_model_object(&object.location) else { continue };
            let entry = models.entry(model).or_default();
            entry.0 |= file == layout::MANIFEST;
            entry.1.push(object);
        }
        for (_, objects) in models.values().filter(|(whole, _)| !whole) {
            for object in objects.iter().filter(|object| SystemTime::from(object.last_modified) < before) {
                self.discard(&object.location, object.size, policy, report).await?;
            }
        }
        // A training that goes on writes its progress all the time.
        for folder in self.store.folders(&layout::trainings()).await? {
            let objects = self.store.list(&folder).await?;
            if objects.iter().any(|object| SystemTime::from(object.last_modified) >= before) {
                continue;
            }
            for object in objects {
                self.discard(&object.location, object.size, policy, report).await?;
            }
        }
        // Who publishes writes pages all the time, and nobody asks what was published so long ago.
        let unread = policy.now.checked_sub(policy.unused_for.max(policy.half_written_after));
        for object in self.store.list(&layout::all_emitted()).await? {
            let is_old = unread.is_some_and(|unread| SystemTime::from(object.last_modified) < unread);
            if is_old && layout::is_emitted_page(&object.location) {
                self.discard(&object.location, object.size, policy, report).await?;
            }
        }
        for object in self.store.list(&layout::dictionaries()).await? {
            let path = &object.location;
            if SystemTime::from(object.last_modified) >= before {
                continue;
            }
            let Some(content) = self.store.get(path, MAX_SMALL).await? else { continue };
            let Some(model) = super::models::numbered_model(&content.bytes) else { continue };
            if models.get(&model).is_some_and(|(whole, _)| *whole) || content.modified >= before {
                continue;
            }
            self.discard(path, 0, policy, report).await?;
        }
        if let Some(folder) = self.store.folder.clone() {
            let dry_run = policy.dry_run;
            let sweep = move || {
                let mut swept = Vec::new();
                for part in ["models", "dictionaries", "names", "active", "emitted"] {
                    sweep_folder(&folder.join(part), before, dry_run, &mut swept);
                }
                swept
            };
            for (path, bytes) in tokio::task::spawn_blocking(sweep).await.unwrap_or_default() {
                report.debris.push(path.display().to_string());
                report.freed_bytes += bytes;
            }
        }
        Ok(())
    }

    /// Removes an object that belongs to nothing, unless only to say so.
    async fn discard(&self, object: &Location, bytes: u64, policy: &GcPolicy, report: &mut GcReport) -> Result<()> {
        report.debris.push(self.store.url_of(object));
        report.freed_bytes += bytes;
        if policy.dry_run { Ok(()) } else { self.store.delete(object).await }
    }
}

/// Since when a model may go, or why it stays.
fn judge(manifest: &Manifest, used: Option<&Use>, policy: &GcPolicy) -> Result<SystemTime, KeptWhy> {
    if policy.keep.contains(&manifest.model) {
        return Err(KeptWhy::Named);
    }
    // A time that cannot be read is as good as now: nothing goes for lack of knowledge.
    let made = humantime::parse_rfc3339(&manifest.created).unwrap_or(policy.now);
    let unused_since = match used {
        Some(Use { active: true, .. }) => return Err(KeptWhy::Active),
        Some(Use { rollback: true, .. }) => return Err(KeptWhy::Rollback),
        Some(Use { until, .. }) => made.max(*until),
        None => made,
    };
    if policy.now.duration_since(unused_since).map_or(true, |unused| unused <= policy.unused_for) {
        return Err(KeptWhy::Recent);
    }
    let is_over = used.is_none_or(|used| used.kept.is_some_and(|kept| is_past(kept, policy.now)));
    if is_over || policy.despite_retention { Ok(unused_since) } else { Err(KeptWhy::Retention) }
}

/// Whether a time is so long ago that what was to happen then has happened.
fn is_past(time: SystemTime, now: SystemTime) -> bool {
    now.duration_since(time).is_ok_and(|late| late > LATE)
}

/// Until when what was coded last at a time is kept, by what a pipeline's log knows from then on: the retention at that time
/// first, which each later change replaces as long as something is there that it can hold for. `None` for ever.
fn kept(until: SystemTime, known: impl Iterator<Item = (SystemTime, Option<i64>)>) -> Option<SystemTime> {
    // Where nothing is known, nothing says that what was coded has gone before something is.
    let (mut end, mut is_known) = (Some(until), false);
    for (time, retention_ms) in known {
        if is_known && end.is_some_and(|end| is_past(end, time)) {
            break;
        }
        if let Some(retention_ms) = retention_ms {
            is_known = true;
            end = u64::try_from(retention_ms).ok().and_then(|ms| until.checked_add(Duration::from_millis(ms)));
        }
    }
    end
}

/// Adds what one pipeline's history says: what is in use, what a rollback may want, and until when the rest was used.
fn note_uses(history: &[Activation], policy: &GcPolicy, uses: &mut BTreeMap<ModelId, Use>) {
    let time = |activation: &Activation| humantime::parse_rfc3339(&activation.at).unwrap_or(policy.now);
    let mut note = |model, active, rollback, until, kept: Option<SystemTime>| {
        let start = SystemTime::UNIX_EPOCH;
        let entry =
            uses.entry(model).or_insert(Use { active: false, rollback: false, until: start, kept: Some(start) });
        entry.active |= active;
        entry.rollback |= rollback;
        entry.until = entry.until.max(until);
        entry.kept = entry.kept.zip(kept).map(|(one, other)| one.max(other));
    };
    // Each model was in use until the change after it; workers take a change up a little later, which the hour that a
    // policy lasts at least covers.
    for (at, (activation, next)) in history.iter().zip(history.iter().skip(1)).enumerate() {
        if let Some(model) = activation.model {
            let until = time(next).max(time(activation));
            let known = history[at..].iter().map(|change| (time(change), change.retention_ms));
            note(model, false, false, until, kept(until, known));
        }
    }
    let Some(last) = history.last() else { return };
    if let Some(model) = last.model {
        note(model, true, false, policy.now, Some(policy.now));
    }
    let mut latest = BTreeSet::new();
    for activation in history.iter().rev().filter(|activation| activation.change == Change::Promote) {
        if latest.len() >= policy.keep_last {
            break;
        }
        let Some(model) = activation.model else { continue };
        if latest.insert(model) {
            note(model, false, true, SystemTime::UNIX_EPOCH, Some(SystemTime::UNIX_EPOCH));
        }
    }
}

/// Removes the staged files (`artefact#1`) of writers that were killed, which are not among a folder's objects, and
/// folders that are empty. What is young, or cannot be removed, is left for the next time.
fn sweep_folder(folder: &Path, before: SystemTime, dry_run: bool, swept: &mut Vec<(PathBuf, u64)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        // Of the entry itself: a link is neither followed nor removed.
        let Ok(metadata) = entry.metadata() else { continue };
        let old = metadata.modified().is_ok_and(|modified| modified < before);
        let path = entry.path();
        if metadata.is_dir() {
            sweep_folder(&path, before, dry_run, swept);
            if old && !dry_run {
                // Fails, as it should, when something is in it.
                let _ = std::fs::remove_dir(&path);
            }
        } else if metadata.is_file()
            && old
            && is_staged(&entry.file_name().to_string_lossy())
            && (dry_run || std::fs::remove_file(&path).is_ok())
        {
            swept.push((path, metadata.len()));
        }
    }
}

/// Whether a file name is that of a write under way: the object's name, `#`, a number.
fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(object, number)| {
        let ours = object == layout::ARTEFACT || object.ends_with(".json") || object.ends_with(".bin");
        ours && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(number: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * u32::try_from(number).unwrap()
    }

    /// Until which day that is kept which was coded until `until`, if changes on these days found these days of retention.
    fn kept_until(until: u64, known: &[(u64, Option<i64>)]) -> Option<u64> {
        let known =
            known.iter().map(|(at, days)| (day(*at), days.map(|days| if days < 0 { -1 } else { days * 86_400_000 })));
        kept(day(until), known).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 86_400)
    }

    #[test]
    fn the_retention_that_is_known_last_holds_for_all_that_still_lies_there_then() {
        // The first of three models, in use from day 10 to day 20.
        for (changes, is) in [
            ([(10, Some(7)), (20, Some(7)), (25, Some(365))], Some(385)),
            ([(10, Some(7)), (20, Some(7)), (30, Some(365))], Some(27)),
            ([(10, Some(7)), (20, Some(7)), (25, Some(-1))], None),
            ([(10, Some(7)), (20, Some(365)), (30, Some(365))], Some(385)),
            ([(10, Some(-1)), (20, Some(-1)), (90, Some(7))], Some(27)),
            ([(10, Some(365)), (20, Some(365)), (30, Some(7))], Some(27)),
            ([(10, None), (20, None), (90, None)], Some(20)),
            ([(10, None), (20, None), (90, Some(365))], Some(385)),
        ] {
            assert_eq!(kept_until(20, &changes), is, "{changes:?}");
        }
    }

    #[test]
    fn a_model_stays_for_as_long_as_the_longest_of_its_uses_needs_it() {
        let id = |number: u8| ModelId::of(&[number]);
        let changes = |retention: [i64; 3]| -> Vec<Activation> {
            let change = |(sequence, days): (u64, i64)| Activation {
                version: 1,
                pipeline: "orders".to_owned(),
                sequence,
                model: Some(id(sequence as u8)),
                codec: None,
                previous: None,
                change: Change::Promote,
                by: "test".to_owned(),
                at: humantime::format_rfc3339_seconds(day(10 + 5 * sequence)).to_string(),
                retention_ms: Some(if days < 0 { -1 } else { days * 86_400_000 }),
                other: BTreeMap::new(),
            };
            (0..).zip(retention).map(change).collect()
        };
        let policy = GcPolicy { keep_last: 0, ..GcPolicy::new(day(60), DAY) };
        let mut uses = BTreeMap::new();
        note_uses(&changes([7, 7, 365]), &policy, &mut uses);
        assert_eq!(uses[&id(0)].kept, Some(day(15 + 365)));
        assert_eq!(uses[&id(1)].kept, Some(day(20 + 365)));
        assert!(uses[&id(2)].active);
        let mut uses = BTreeMap::new();
        note_uses(&changes([-1, -1, 7]), &policy, &mut uses);
        assert_eq!(uses[&id(0)].kept, Some(day(15 + 7)));
        // Another pipeline's topic keeps the first one's records for ever.
        note_uses(&changes([-1, -1, -1]), &policy, &mut uses);
        assert_eq!((uses[&id(0)].kept, uses[&id(0)].until), (None, day(15)));
    }
}
