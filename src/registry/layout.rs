//! The names of the registry's objects. `mod.rs` has the picture.

use object_store::path::Path;

use crate::codec::{ModelId, ModelPrefix, ShortName};

/// Says that this is a registry. Without it "no such model" may only mean that a volume is not mounted.
pub(super) fn marker() -> Path {
    Path::from("registry.json")
}

/// The folder of all models.
pub(super) fn models() -> Path {
    Path::from("models")
}

/// The folder of the models whose ids begin with a frame's prefix, so that a frame finds its model with one listing.
pub(super) fn shard(prefix: ModelPrefix) -> Path {
    models().join(format!("{:08x}", u32::from_be_bytes(prefix)))
}

/// A model's folder.
pub(super) fn model(model: &ModelId) -> Path {
    shard(model.prefix()).join(model.to_string())
}

/// A report on what a model draws, by when it was made and by its id.
pub(super) fn report(model: &ModelId, at_ms: i64, id: &str) -> Path {
    self::model(model).join(format!("report-{:013}-{id}.json", at_ms.max(0)))
}

/// When a report was made, and its id.
pub(super) fn parse_report(path: &Path) -> Option<(i64, String)> {
    let (at_ms, id) = path.filename()?.strip_prefix("report-")?.strip_suffix(".json")?.split_once('-')?;
    let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let at_ms = Some(at_ms).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    is_id.then(|| Some((at_ms.parse().ok()?, id.to_owned())))?
}

/// A model's artefact.
pub(super) fn artefact(model: &ModelId) -> Path {
    shard(model.prefix()).join(model.to_string()).join(ARTEFACT)
}

/// A model's manifest.
pub(super) fn manifest(model: &ModelId) -> Path {
    shard(model.prefix()).join(model.to_string()).join(MANIFEST)
}

/// What a training begins with that starts from a model.
pub(super) fn state(model: &ModelId) -> Path {
    shard(model.prefix()).join(model.to_string()).join(STATE)
}

/// File name of an artefact.
pub(super) const ARTEFACT: &str = "artefact";

/// File name of a manifest.
pub(super) const MANIFEST: &str = "manifest.json";

/// File name of what a training begins with.
pub(super) const STATE: &str = "state";

/// The folder of all trainings that have not ended.
pub(super) fn trainings() -> Path {
    Path::from("trainings")
}

/// What a pipeline's training learns from.
pub(super) fn samples(pipeline: &str) -> Path {
    trainings().join(pipeline).join("samples")
}

/// How far a pipeline's training is.
pub(super) fn progress(pipeline: &str) -> Path {
    trainings().join(pipeline).join("progress")
}

/// The model and the file name that a path under [`models`] holds.
pub(super) fn parse_model_object(path: &Path) -> Option<(ModelId, String)> {
    let parts: Vec<String> = path.parts().map(|part| part.as_ref().to_owned()).collect();
    let [models, shard, id, file] = parts.as_slice() else { return None };
    let id: ModelId = id.parse().ok()?;
    let fits = models == "models" && *shard == id.to_string()[..8];
    fits.then(|| (id, file.clone()))
}

/// The folder of the dictionary numbers.
pub(super) fn dictionaries() -> Path {
    Path::from("dictionaries")
}

/// What a zstd dictionary number names.
pub(super) fn dictionary(id: u32) -> Path {
    dictionaries().join(format!("{id:010}.json"))
}

/// What the name in a frame of three bytes names.
pub(super) fn short_name([a, b, c]: ShortName) -> Path {
    Path::from("names").join(format!("{a:02x}{b:02x}{c:02x}.json"))
}

/// The folder of all active pointers.
pub(super) fn all_active() -> Path {
    Path::from("active")
}

/// The folder of a pipeline's active pointers. What a file system or a URL would misread in a name is percent-encoded.
pub(super) fn active(pipeline: &str) -> Path {
    all_active().join(pipeline)
}

/// A pipeline's active pointer.
pub(super) fn activation(pipeline: &str, sequence: u64) -> Path {
    active(pipeline).join(format!("{sequence:010}.json"))
}

/// The sequence number of an active pointer's path.
pub(super) fn parse_activation(path: &Path) -> Option<u64> {
    let digits = path.filename()?.strip_suffix(".json")?;
    (digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The folder of what all pipelines emitted.
pub(super) fn all_emitted() -> Path {
    Path::from("emitted")
}

/// The folder of what a pipeline's processes emitted.
pub(super) fn emitted(pipeline: &str) -> Path {
    all_emitted().join(pipeline)
}

/// A page of what one process of a pipeline emitted, by when it was begun.
pub(super) fn emitted_page(pipeline: &str, begun_ms: i64, instance: &str) -> Path {
    emitted(pipeline).join(format!("{:013}-{instance}.bin", begun_ms.max(0)))
}

/// Whether a path is that of such a page.
pub(super) fn is_emitted_page(path: &Path) -> bool {
    let name = path.filename().and_then(|name| name.strip_suffix(".bin")?.split_once('-'));
    name.is_some_and(|(begun, _)| begun.len() >= 13 && begun.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_objects_are_a_promise() {
        let id = ModelId::from_bytes([0xab; 32]);
        let hex = "ab".repeat(32);
        assert_eq!(artefact(&id).as_ref(), format!("models/abababab/{hex}/artefact"));
        assert_eq!(manifest(&id).as_ref(), format!("models/abababab/{hex}/manifest.json"));
        assert_eq!(shard(id.prefix()).as_ref(), "models/abababab");
        assert_eq!(shard([0, 0, 0, 7]).as_ref(), "models/00000007");
        assert_eq!(dictionary(32768).as_ref(), "dictionaries/0000032768.json");
        assert_eq!(short_name([0xfc, 0, 0x1b]).as_ref(), "names/fc001b.json");
        assert_eq!(activation("flights", 7).as_ref(), "active/flights/0000000007.json");
        assert_eq!(activation("../a/b", 7).as_ref(), "active/..%2Fa%2Fb/0000000007.json");
        assert_eq!(active("..").as_ref(), "active/%2E%2E");
        assert_eq!(state(&id).as_ref(), format!("models/abababab/{hex}/state"));
        let report = report(&id, 1_700_000_000_000, "0123456789abcdef");
        assert_eq!(report.as_ref(), format!("models/abababab/{hex}/report-1700000000000-0123456789abcdef.json"));
        assert_eq!(parse_report(&report), Some((1_700_000_000_000, "0123456789abcdef".to_owned())));
        assert_eq!(parse_report(&Path::from("report-1-x.json")), None);
        assert_eq!(progress("images").as_ref(), "trainings/images/progress");
        let page = emitted_page("a/b", 1_700_000_000_000, "host/7");
        assert_eq!(page.as_ref(), "emitted/a%2Fb/1700000000000-host%2F7.bin");
        assert!(is_emitted_page(&page) && is_emitted_page(&emitted_page("p", 7, "a-b.c")));
        assert!(["README.md", "7-x.bin", "0000000000007.bin", "0000000000007-x.bin#1"].iter().all(|name| {
            let stranger = Path::from(format!("emitted/p/{name}"));
            !is_emitted_page(&stranger)
        }));
    }

    #[test]
    fn names_are_read_back_and_strangers_are_not() {
        let id = ModelId::of(b"model");
        assert_eq!(parse_model_object(&manifest(&id)), Some((id, MANIFEST.to_owned())));
        for stranger in ["models/x", "models/00000000/y/artefact", "other/a/b/c"] {
            assert_eq!(parse_model_object(&Path::from(stranger)), None);
        }
        let misplaced = models().join("00000000").join(id.to_string()).join(ARTEFACT);
        assert_eq!(parse_model_object(&misplaced), None);
        assert_eq!(parse_activation(&activation("p", 12)), Some(12));
        assert_eq!(parse_activation(&activation("p", 12_345_678_901)), Some(12_345_678_901));
        assert_eq!(parse_activation(&Path::from("active/p/README.json")), None);
    }
}
