//! Reports on what a model draws, beside the model: what decided whether it was published, and when.

use bytes::Bytes;

use super::{Registry, Result, layout};
use crate::codec::ModelId;

/// Largest report that is read.
const MAX_REPORT: u64 = 1 << 20;

/// Reports that are kept of a model, the newest: records name the one that they were published on, and a judgement a minute
/// would fill a folder. The first of all is kept too.
const KEPT: usize = 1000;

impl Registry {
    /// Keeps a report on a model, and returns its id. It goes when the model goes.
    pub async fn keep_report(&self, model: &ModelId, at_ms: i64, report: Bytes) -> Result<String> {
        let id = blake3::hash(&report).to_hex()[..16].to_owned();
        self.store.put(&layout::report(model, at_ms, &id), report).await?;
        let mut known = self.reports(model).await?;
        if known.len() > KEPT + 1 {
            for (at_ms, id) in known.drain(1..known.len() - KEPT) {
                self.store.delete(&layout::report(model, at_ms, &id)).await?;
            }
        }
        Ok(id)
    }

    /// The reports on a model, the oldest first: when each was made, in milliseconds since the Unix epoch, and its id.
    pub async fn reports(&self, model: &ModelId) -> Result<Vec<(i64, String)>> {
        let objects = self.store.list(&layout::model(model)).await?;
        let mut reports: Vec<_> = objects.iter().filter_map(|object| layout::parse_report(&object.location)).collect();
        reports.sort();
        Ok(reports)
    }

    /// The newest report on a model, with its id.
    pub async fn newest_report(&self, model: &ModelId) -> Result<Option<(String, Bytes)>> {
        let Some((at_ms, id)) = self.reports(model).await?.pop() else { return Ok(None) };
        let object = self.store.get(&layout::report(model, at_ms, &id), MAX_REPORT).await?;
        Ok(object.map(|object| (id, object.bytes)))
    }

    /// A report on a model, by its id.
    pub async fn report(&self, model: &ModelId, id: &str) -> Result<Option<Bytes>> {
        let Some((at_ms, id)) = self.reports(model).await?.into_iter().find(|(_, known)| known == id) else {
            return Ok(None);
        };
        Ok(self.store.get(&layout::report(model, at_ms, &id), MAX_REPORT).await?.map(|object| object.bytes))
    }
}
