//! What every process of a pipeline published, in the registry: written there by each, and read by all.
//!
//! Workers only note digests in memory. The learning thread takes them from there to the registry, and brings what others wrote, every
//! few seconds, when it begins, and when it ends.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

use super::Augmentation;
use crate::augment::Emitted;
use crate::registry::{EmittedPage, EmittedPages, PAGE, Registry, RegistryError};
use crate::telemetry::{PipelineStatus, unix_millis};

/// What a ledger is made from.
pub struct LedgerParts {
    /// What the workers publish by, and the tap refuses by.
    pub augmentation: Augmentation,
    /// The pipeline.
    pub pipeline: String,
    /// This process, among those of the pipeline.
    pub instance: String,
    /// Where pages go.
    pub registry: Registry,
    /// What runs the registry's requests.
    pub runtime: Handle,
    /// What shows that the registry does not answer.
    pub status: Arc<PipelineStatus>,
}

/// The ledger of one pipeline in one process. Cheap to clone. Its calls ask the registry, and wait for the answer.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    parts: LedgerParts,
    state: Mutex<State>,
}

/// What was written and what was read.
#[derive(Default)]
struct State {
    pages: EmittedPages,
    /// The page that is written, once there is something to write.
    open: Option<EmittedPage>,
    /// When the last page was begun.
    begun_ms: i64,
    /// What is not in the registry yet.
    waiting: Vec<u64>,
}

impl Ledger {
    /// A ledger that has read nothing yet.
    pub fn new(parts: LedgerParts) -> Self {
        Self { shared: Arc::new(Shared { parts, state: Mutex::default() }) }
    }

    /// Writes what was published here, and reads what was published elsewhere: whether there was anything. What the registry
    /// does not do now is done the next time.
    pub fn look(&self) -> bool {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = self.shared.save(&mut state);
        let read = match &saved {
            // One that does not answer is not asked twice.
            Err(RegistryError::Unavailable { .. }) => Ok(false),
            _ => self.shared.read(&mut state),
        };
        for error in saved.err().iter().chain(read.as_ref().err()) {
            self.shared.parts.status.error("registry", error);
        }
        read.unwrap_or(false)
    }

    /// Writes what was published here.
    pub fn save(&self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.shared.save(&mut state) {
            self.shared.parts.status.error("registry", &error);
        }
    }

    /// The topic repeats these of itself, by digest: they are not taken for generated ones.
    pub fn repeats(&self, repeated: HashSet<u64>) {
        self.shared.parts.augmentation.repeats(repeated);
    }

    /// Whether a record was published not long ago, as far as this process knows.
    pub fn knows(&self, record: &[u8]) -> bool {
        self.shared.parts.augmentation.knows(record)
    }
}

impl Shared {
    fn save(&self, state: &mut State) -> Result<(), RegistryError> {
        let LedgerParts { augmentation, pipeline, instance, registry, runtime, .. } = &self.parts;
        let State { pages, open, begun_ms, waiting } = state;
        waiting.append(&mut augmentation.take_untold());
        waiting.drain(..waiting.len().saturating_sub(Emitted::MOST));
        while !waiting.is_empty() {
            let page = open.get_or_insert_with(|| {
                *begun_ms = unix_millis().max(*begun_ms + 1);
                EmittedPage { begun_ms: *begun_ms, instance: instance.clone(), digests: Vec::new() }
            });
            let (before, taken) = (page.digests.len(), waiting.len().min(PAGE - page.digests.len()));
            page.digests.extend(&waiting[..taken]);
            if let Err(error) = runtime.block_on(registry.keep_emitted(pipeline, page, pages)) {
                page.digests.truncate(before);
                return Err(error);
            }
            waiting.drain(..taken);
            if page.digests.len() >= PAGE {
                *open = None;
            }
        }
        Ok(())
    }

    fn read(&self, state: &mut State) -> Result<bool, RegistryError> {
        let LedgerParts { augmentation, pipeline, registry, runtime, .. } = &self.parts;
        let news = runtime.block_on(registry.emitted(pipeline, &mut state.pages))?;
        for damaged in news.damaged {
            tracing::warn!(target: "latentd", pipeline, "{damaged}");
        }
        if let Some(error) = &news.untidy {
            self.parts.status.error("registry", error);
        }
        Ok(augmentation.published_elsewhere(&news.digests) > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use tokio::runtime::Runtime;

    use super::*;
    use crate::pipeline::testing::{augment, info};
    use crate::telemetry::StatusBoard;

    fn augmentation() -> Augmentation {
        Augmentation::new(augment(), "/latentd/test/p".to_owned())
    }

    fn ledger(augmentation: &Augmentation, instance: &str, registry: &Registry, runtime: &Runtime) -> Ledger {
        Ledger::new(LedgerParts {
            augmentation: augmentation.clone(),
            pipeline: "p".to_owned(),
            instance: instance.to_owned(),
            registry: registry.clone(),
            runtime: runtime.handle().clone(),
            status: StatusBoard::new("test").add(info()),
        })
    }

    fn emit(augmentation: &Augmentation, numbers: std::ops::Range<usize>) {
        let records: Vec<Vec<u8>> = numbers.map(|number| number.to_string().into_bytes()).collect();
        augmentation.emitted(records.iter().map(Vec::as_slice));
    }

    #[test]
    fn what_one_process_publishes_the_others_know_after_a_look_and_the_next_one_from_its_beginning() {
        let (runtime, registry) = (Runtime::new().unwrap(), Registry::open("memory:///", &BTreeMap::new()).unwrap());
        let (a, b) = (augmentation(), augmentation());
        let (of_a, of_b) = (ledger(&a, "a", &registry, &runtime), ledger(&b, "b", &registry, &runtime));
        emit(&a, 0..PAGE * 2 + 5);
        assert!(!of_b.look() && !b.knows(b"0"));
        assert!(!of_a.look(), "its own is no news");
        assert!(of_b.look() && b.knows(b"0") && b.knows((PAGE * 2 + 4).to_string().as_bytes()) && !of_b.look());
        emit(&a, PAGE * 2 + 5..PAGE * 2 + 9);
        emit(&b, 100_000..100_001);
        of_b.look();
        // What it does not save in a look it saves in the end.
        of_a.save();
        assert!(of_b.look() && of_a.look() && a.knows(b"100000"));
        let all = runtime.block_on(registry.emitted("p", &mut EmittedPages::default())).unwrap().digests;
        assert_eq!(all.len(), PAGE * 2 + 10, "each once");
        // Another one under the same name.
        let again = augmentation();
        assert!(ledger(&again, "a", &registry, &runtime).look());
        assert!(again.knows(b"0") && again.knows(b"100000") && again.knows((PAGE * 2 + 8).to_string().as_bytes()));
        // Other pipelines know nothing of it.
        assert!(runtime.block_on(registry.emitted("q", &mut EmittedPages::default())).unwrap().digests.is_empty());
    }

    #[test]
    fn what_the_registry_does_not_take_it_is_given_the_next_time() {
        let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let path = folder.path().join("registry");
        fs::write(&path, "no folder").unwrap();
        let registry = Registry::open(&format!("file://{}", path.display()), &BTreeMap::new()).unwrap();
        let (a, b) = (augmentation(), augmentation());
        let of_a = ledger(&a, "a", &registry, &runtime);
        emit(&a, 0..10);
        assert!(!of_a.look() && a.knows(b"0"));
        emit(&a, 10..20);
        of_a.save();
        fs::remove_file(&path).unwrap();
        of_a.look();
        assert!(ledger(&b, "b", &registry, &runtime).look());
        assert!((0..20usize).all(|number| b.knows(number.to_string().as_bytes())));
    }
}
