//! Which model each pipeline uses: a log of changes per pipeline, of which the last one counts.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::models::{MAX_SMALL, to_json};
use super::{Registry, RegistryError, Result, layout};
use crate::codec::ModelId;
use crate::model::manifest::is_pipeline_name;
use crate::model::{Family, is_generative};

const VERSION: u32 = 1;

/// How many entries of a history are fetched at the same time.
const CONCURRENT: usize = 16;

/// How many others may get their change in before ours until it is given up.
const ATTEMPTS: usize = 32;

/// One change of a pipeline's model, and the state after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// Version of this format.
    pub version: u32,
    /// The pipeline.
    pub pipeline: String,
    /// 1 for the first change, then one more each time.
    pub sequence: u64,
    /// What the pipeline uses from here on; `None` after a rollback to before the first model.
    pub model: Option<ModelId>,
    /// The codec that it uses from here on, as the configuration would name it, where the pipeline chooses one itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// What it used before.
    pub previous: Option<ModelId>,
    /// What kind of change it was.
    pub change: Change,
    /// Who made it.
    pub by: String,
    /// When: RFC 3339, in UTC, by the clock of who made it.
    pub at: String,
    /// How long the pipeline's target kept its records at most when the pipeline started, in milliseconds (`retention.ms` and
    /// `segment.ms`), or what an earlier change says where whoever made this one did not know; -1 for ever. So long after its last use the model is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_ms: Option<i64>,
    /// Fields of newer versions, kept as they are.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// What a pipeline uses; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct InForce {
    model: Option<ModelId>,
    codec: Option<String>,
}

/// What follows a pipeline's name in that of the log of its generator. No pipeline has a name with a slash.
const GENERATOR: &str = "/generator";

/// The log that says which generator a pipeline draws from beside its codec: like that of a pipeline, with changes and rollbacks of
/// its own.
pub fn generator_of(pipeline: &str) -> String {
    format!("{pipeline}{GENERATOR}")
}

/// The log of a pipeline that a model of a family belongs to: what codes nothing and only draws is a generator.
pub fn log_of(pipeline: &str, family: &Family) -> String {
    let draws_only = is_generative(family) && family.algorithm().is_none();
    if draws_only && !pipeline.ends_with(GENERATOR) { generator_of(pipeline) } else { pipeline.to_owned() }
}

/// What kind of change it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A model was put to use.
    Promote,
    /// The last promotion that was still in force was taken back.
    Rollback,
}

/// Who changes something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// A person or a process.
    pub by: String,
    /// RFC 3339, in UTC.
    pub at: String,
    /// How long the pipeline's target keeps what is coded, in milliseconds, where whoever changes something knows it; -1 for ever.
    pub retention_ms: Option<i64>,
}

/// What a caller believes that the pipeline uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It does not matter.
    Anything,
    /// This; if it is something else by now, the change is refused.
    Model(Option<ModelId>),
}

impl Registry {
    /// The change that is in force; `None` when the pipeline never had a model.
    pub async fn active(&self, pipeline: &str) -> Result<Option<Activation>> {
        check_name(pipeline)?;
        let last = self.sequences(pipeline).await?.into_iter().max();
        let Some(sequence) = last else { return Ok(None) };
        match self.activation(pipeline, sequence).await? {
            Some(activation) => Ok(Some(activation)),
            None => Err(RegistryError::Corrupt {
                object: self.store.url_of(&layout::activation(pipeline, sequence)),
                detail: "it was listed and is not there".to_owned(),
            }),
        }
    }

    /// The change in force when it is newer than the one known. Asks for the next number only, so that looking often
    /// costs one small read and no listing.
    pub async fn newer(&self, known: &Activation) -> Result<Option<Activation>> {
        let mut newest = None;
        let mut sequence = known.sequence + 1;
        while let Some(activation) = self.activation(&known.pipeline, sequence).await? {
            newest = Some(activation);
            sequence += 1;
        }
        Ok(newest)
    }

    /// All changes of a pipeline, oldest first.
    pub async fn history(&self, pipeline: &str) -> Result<Vec<Activation>> {
        check_name(pipeline)?;
        let mut sequences = self.sequences(pipeline).await?;
        sequences.sort_unstable();
        stream::iter(sequences)
            .map(|sequence| self.activation(pipeline, sequence))
            .buffered(CONCURRENT)
            .try_filter_map(|activation| async move { Ok(activation) })
            .try_collect()
            .await
    }

    /// The pipelines that ever had a model, with the change in force.
    pub async fn pipelines(&self) -> Result<Vec<Activation>> {
        let mut newest: BTreeMap<Path, (u64, Path)> = BTreeMap::new();
        for object in self.store.list(&layout::all_active()).await? {
            let path = object.location;
            let Some(sequence) = layout::parse_activation(&path) else { continue };
            let folder: Path = path.parts().take(2).collect();
            newest
                .entry(folder)
                .and_modify(|last| *last = (sequence, path.clone()).max(last.clone()))
                .or_insert((sequence, path));
        }
        let mut activations: Vec<Activation> = stream::iter(newest.into_values())
            .map(|(_, path)| async move { self.read_activation(&path).await })
            .buffered(CONCURRENT)
            .try_filter_map(|activation| async move { Ok(activation) })
            .try_collect()
            .await?;
        activations.sort_by(|a, b| a.pipeline.cmp(&b.pipeline));
        Ok(activations)
    }

    /// Puts a published model to use. Setting what is set already changes nothing.
    pub async fn set_active(
        &self,
        pipeline: &str,
        model: &ModelId,
        expect: Expect,
        signature: &Signature,
    ) -> Result<Activation> {
        self.put_to_use(pipeline, Some(*model), None, expect, signature).await
    }

    /// Puts a codec to use that a pipeline has chosen itself, with its model where it needs one. Setting what is set already
    /// changes nothing.
    pub async fn choose(
        &self,
        pipeline: &str,
        codec: &str,
        model: Option<&ModelId>,
        expect: Expect,
        signature: &Signature,
    ) -> Result<Activation> {
        self.put_to_use(pipeline, model.copied(), Some(codec), expect, signature).await
    }

    async fn put_to_use(
        &self,
        pipeline: &str,
        model: Option<ModelId>,
        codec: Option<&str>,
        expect: Expect,
        signature: &Signature,
    ) -> Result<Activation> {
        check_name(pipeline)?;
        if let Some(model) = &model {
            // Loads the manifest, so that a damaged or half-written model is not put to use.
            self.manifest(model).await?;
        }
        self.append(pipeline, signature, |current| {
            let used = current.and_then(|activation| activation.model);
            let same = used == model && current.and_then(|activation| activation.codec.as_deref()) == codec;
            if let Expect::Model(expected) = expect
                && used != expected
                && !same
            {
                return Err(RegistryError::Conflict {
                    pipeline: pipeline.to_owned(),
                    current: used,
                    by: current.map_or_else(|| "nobody".to_owned(), |activation| activation.by.clone()),
                });
            }
            let next = InForce { model, codec: codec.map(str::to_owned) };
            Ok((!same || current.is_none()).then_some((next, Change::Promote)))
        })
        .await
    }

    /// Takes the last promotion back that is still in force: the pipeline uses what it used before. A second rollback
    /// goes one further, and the one of the first promotion leaves the pipeline without a model.
    pub async fn rollback(&self, pipeline: &str, signature: &Signature) -> Result<Activation> {
        let history = self.history(pipeline).await?;
        let mut in_force: Vec<InForce> = Vec::new();
        for activation in &history {
            let next = InForce { model: activation.model, codec: activation.codec.clone() };
            match activation.change {
                Change::Promote if next == InForce::default() => {}
                Change::Promote => in_force.push(next),
                Change::Rollback => drop(in_force.pop()),
            }
        }
        if in_force.pop().is_none() {
            let detail = format!("pipeline `{pipeline}` uses no model, so there is nothing to roll back");
            return Err(RegistryError::Invalid { detail });
        }
        let target = in_force.pop().unwrap_or_default();
        if let Some(model) = &target.model {
            self.manifest(model).await?;
        }
        let seen = history.last().map_or(0, |activation| activation.sequence);
        self.append(pipeline, signature, |current| match current {
            // What to go back to was worked out from the history as it was; a change in between is not ours to undo.
            Some(current) if current.sequence != seen => Err(RegistryError::Conflict {
                pipeline: pipeline.to_owned(),
                current: current.model,
                by: current.by.clone(),
            }),
            _ => Ok(Some((target.clone(), Change::Rollback))),
        })
        .await
    }

    /// Appends the change that `decide` makes of the current one, until nobody else was faster. `None` is no change.
    async fn append(
        &self,
        pipeline: &str,
        signature: &Signature,
        decide: impl Fn(Option<&Activation>) -> Result<Option<(InForce, Change)>>,
    ) -> Result<Activation> {
        let mut current = self.active(pipeline).await?;
        for _ in 0..ATTEMPTS {
            let Some((InForce { model, codec }, change)) = decide(current.as_ref())? else {
                return Ok(current.expect("only what is in use already is no change"));
            };
            let next = Activation {
                version: VERSION,
                pipeline: pipeline.to_owned(),
                sequence: current.as_ref().map_or(0, |activation| activation.sequence) + 1,
                model,
                codec,
                previous: current.as_ref().and_then(|activation| activation.model),
                change,
                by: signature.by.clone(),
                at: signature.at.clone(),
                retention_ms: signature
                    .retention_ms
                    .or_else(|| current.as_ref().and_then(|activation| activation.retention_ms)),
                other: BTreeMap::new(),
            };
            let path = layout::activation(pipeline, next.sequence);
            if self.store.put_new(&path, to_json(&next)).await? {
                return Ok(next);
            }
            current = self.activation(pipeline, next.sequence).await?;
            // The store took our first attempt, its answer was lost, and the second attempt met it.
            if current.as_ref() == Some(&next) {
                return Ok(next);
            }
        }
        let detail = format!("{ATTEMPTS} others changed the model of pipeline `{pipeline}` at the same time");
        Err(RegistryError::Unavailable { registry: self.url().to_owned(), detail })
    }

    async fn sequences(&self, pipeline: &str) -> Result<Vec<u64>> {
        let objects = self.store.list(&layout::active(pipeline)).await?;
        Ok(objects.iter().filter_map(|object| layout::parse_activation(&object.location)).collect())
    }

    async fn activation(&self, pipeline: &str, sequence: u64) -> Result<Option<Activation>> {
        let activation = self.read_activation(&layout::activation(pipeline, sequence)).await?;
        if let Some(activation) = &activation
            && (activation.pipeline != pipeline || activation.sequence != sequence)
        {
            return Err(RegistryError::Corrupt {
                object: self.store.url_of(&layout::activation(pipeline, sequence)),
                detail: format!("it is change {} of pipeline `{}`", activation.sequence, activation.pipeline),
            });
        }
        Ok(activation)
    }

    async fn read_activation(&self, path: &Path) -> Result<Option<Activation>> {
        let Some(object) = self.store.get(path, MAX_SMALL).await? else { return Ok(None) };
        let activation: Activation = self.read_json(path, &object.bytes)?;
        if activation.version > VERSION {
            let detail = format!(
                "`{}` has version {}, this program knows {VERSION}: use a newer latentd",
                self.store.url_of(path),
                activation.version
            );
            return Err(RegistryError::Invalid { detail });
        }
        Ok(Some(activation))
    }
}

fn check_name(pipeline: &str) -> Result<()> {
    match is_pipeline_name(pipeline) {
        true => Ok(()),
        false => Err(RegistryError::invalid(format!(
            "`{}` names no pipeline: a name is 1 to 128 bytes without control characters",
            pipeline.escape_debug()
        ))),
    }
}
