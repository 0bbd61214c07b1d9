//! What is in use: taken from the registry, or put there.

use std::sync::Arc;
use std::time::Instant;

use super::{Lesson, LessonError, LessonParts};
use crate::codec::{Algorithm, CodecSpec, ModelId};
use crate::model::{Family, Manifest, Span};
use crate::pipeline::learn::choice::Choice;
use crate::pipeline::learn::{Better, Lecture, Publication, Setup};
use crate::registry::{Activation, Change, Expect};
use crate::telemetry::{CandidateReport, ChoiceReport, unix_millis};

impl Lesson {
    /// Takes what somebody else put to use.
    pub(super) fn follow(&mut self) -> Result<(), LessonError> {
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        let newest = runtime.block_on(async {
            match &self.known {
                Some(known) => registry.newer(known).await,
                None => registry.active(&settings.name).await,
            }
        })?;
        let Some(activation) = newest else { return Ok(()) };
        self.obey(&activation)?;
        if activation.change == Change::Rollback {
            self.trainer.held(self.now());
        }
        self.known = Some(activation);
        Ok(())
    }

    fn obey(&mut self, activation: &Activation) -> Result<(), LessonError> {
        let records = self.counts().records;
        let chooses = self.parts.curriculum.auto().is_some();
        let named = activation.codec.as_ref().filter(|_| chooses).and_then(|codec| codec.parse::<CodecSpec>().ok());
        let (setup, model, metrics) = match activation.model {
            Some(id) => {
                let LessonParts { registry, runtime, .. } = &self.parts;
                let model = runtime.block_on(registry.load(&id))?;
                let Some(spec) = self.spec_of(&model.manifest.family, named) else {
                    // The pipeline learned something else before its configuration was changed.
                    tracing::info!(
                        pipeline = self.parts.settings.name,
                        model = %id,
                        family = %model.manifest.family,
                        "the registry's active model is of another family and is not used"
                    );
                    return Ok(());
                };
                let setup = Setup::with_model(spec, model.artefact.as_ref().into());
                (setup, Some((id, model.manifest.family)), model.manifest.metrics)
            }
            None => match named.filter(|spec| !needs_model(*spec)) {
                Some(spec) => (Setup::plain(spec), None, Default::default()),
                None => {
                    if self.trainer.setup().is_some() {
                        self.trainer.gone(self.now(), records);
                        self.parts.learner.swap(None);
                        self.parts.status.set_model(None);
                    }
                    return Ok(());
                }
            },
        };
        // Whoever wrote it: what does not code is not put to use.
        drop(setup.alone()?);
        self.trainer.taken(self.now(), records, setup.clone(), &metrics);
        self.take(setup, model);
        if chooses {
            self.show_choice(None);
        }
        Ok(())
    }

    /// The codec that a model of this family is for here.
    fn spec_of(&self, family: &Family, named: Option<CodecSpec>) -> Option<CodecSpec> {
        if let Some(subject) = self.parts.curriculum.subject() {
            return (subject.family() == *family).then(|| subject.spec());
        }
        let algorithm = family.algorithm()?;
        Some(named.filter(|spec| spec.algorithm() == algorithm).unwrap_or(CodecSpec::new(algorithm)))
    }

    /// Workers code with it from here on.
    fn take(&self, setup: Setup, model: Option<(ModelId, Family)>) {
        self.parts.learner.swap(Some(setup));
        let model = model.map(|(id, family)| (id.to_string(), family));
        self.parts.status.set_model(model.as_ref().map(|(id, family)| (id.as_str(), family.as_str())));
    }

    /// Publishes what has a model, tells the registry what is in use from here on, and lets the workers code with it.
    pub(super) fn put_to_use(
        &mut self,
        better: &Better,
        made: Option<(&Lecture, &[Span])>,
    ) -> Result<Setup, LessonError> {
        let parent = self.known.as_ref().and_then(|known| known.model);
        let mut setup = better.setup.clone();
        let mut model = None;
        if let Some((artefact, family)) = better.setup.artefact.clone().zip(better.setup.family()) {
            let artefact = self.publish(artefact, &family, parent, |manifest| {
                manifest.config = better.config.clone();
                if let Some((lecture, window)) = made {
                    manifest.window = window.to_vec();
                    manifest.metrics = lecture.metrics.clone();
                    manifest.curve = lecture.curve.clone();
                }
            })?;
            if let Some(state) = better.state.clone() {
                let id = ModelId::of(&artefact);
                self.note(|registry, _| async move { registry.keep_state(&id, state.into()).await });
            }
            model = Some((ModelId::of(&artefact), family));
            setup.artefact = Some(artefact);
        }
        let LessonParts { registry, runtime, settings, curriculum, .. } = &self.parts;
        let id = model.as_ref().map(|(id, _)| *id);
        let signature = self.signature();
        let activation = runtime.block_on(async {
            match id.filter(|_| curriculum.auto().is_none()) {
                Some(id) => registry.set_active(&settings.name, &id, Expect::Model(parent), &signature).await,
                None => {
                    let codec = setup.spec.to_string();
                    registry.choose(&settings.name, &codec, id.as_ref(), Expect::Model(parent), &signature).await
                }
            }
        })?;
        self.take(setup.clone(), model);
        self.known = Some(activation);
        self.switched = Some(Instant::now());
        Ok(setup)
    }

    /// Publishes a model. When a dictionary's number is taken by another one, under the next number.
    fn publish(
        &self,
        candidate: Arc<[u8]>,
        family: &Family,
        parent: Option<ModelId>,
        describe: impl Fn(&mut Manifest),
    ) -> Result<Arc<[u8]>, LessonError> {
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        let created = self.signature().at;
        let mut manifest = Manifest::new(&candidate, family.clone(), settings.name.as_str(), created);
        manifest.parent = parent;
        describe(&mut manifest);
        let publication = Publication { manifest, artefact: candidate };
        Ok(runtime.block_on(publication.publish(registry))?.artefact)
    }

    /// Says what was chosen, and among what.
    pub(super) fn show_choice(&self, choice: Option<&Choice>) {
        let Some(setup) = self.trainer.setup() else { return };
        let mut candidates: Vec<CandidateReport> = Vec::new();
        for one in choice.into_iter().flat_map(|choice| &choice.candidates) {
            candidates.push(CandidateReport {
                codec: one.tried.spec.to_string(),
                bytes_per_record: one.bytes_per_record(),
                encode_mb_per_second: one.encode_speed(),
                decode_mb_per_second: one.decode_speed(),
                price_per_million: one.price(),
                cpu: one.bill.cpu,
                moved: one.bill.moved,
                kept: one.bill.kept,
                model: one.model,
                excluded: one.bar.map(|bar| bar.to_string()),
            });
        }
        candidates.sort_by(|a, b| a.price_per_million.total_cmp(&b.price_per_million));
        let codec = setup.spec.to_string();
        let table: Vec<String> = candidates
            .iter()
            .map(|one| {
                let excluded = one.excluded.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                format!("{} {:.4} at {:.1} bytes{excluded}", one.codec, one.price_per_million, one.bytes_per_record)
            })
            .collect();
        tracing::info!(
            target: "latentd",
            pipeline = self.parts.settings.name,
            codec,
            "codec in use; the price of 10⁶ records with each that was tried: {}",
            if table.is_empty() { "not known here".to_owned() } else { table.join(", ") }
        );
        self.parts.status.set_choice(ChoiceReport { codec, at_ms: unix_millis(), candidates });
    }
}

/// Whether a codec is nothing without its model.
fn needs_model(spec: CodecSpec) -> bool {
    spec.algorithm().is_learned() || spec.algorithm() == Algorithm::ZstdDict
}
