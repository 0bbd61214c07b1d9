//! The registry against memory, a local folder, and a real S3 server: the same cases on each.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

#[path = "registry/faulty.rs"]
mod faulty;
#[path = "registry/moto.rs"]
mod moto;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use faulty::{Fault, Faulty};
use futures::future::join_all;
use latentd::codec::block::BlockBuilder;
use latentd::codec::{Content, ModelId, ModelRef, ModelSource, Restorer};
use latentd::model::columns::Options;
use latentd::model::{ColumnsCodec, ColumnsModel, Dictionary, Family, Manifest, Span};
use latentd::record::{HeaderRefs, RecordRef, Timestamp};
use latentd::registry::{
    CacheSettings, Change, EmittedPage, EmittedPages, Expect, GcPolicy, KeptWhy, ModelCache, Published, Registry,
    RegistryError, Signature, Unfinished, generator_of, log_of,
};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// Runs every case against every store.
macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $case() {
                super::$case(super::open("memory:///")).await;
            })*
        }
        mod in_a_folder {
            $(#[tokio::test]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                super::$case(super::open(&super::url(&folder))).await;
            })*
        }
        mod on_s3 {
            $(#[tokio::test]
            async fn $case() {
                let registry = tokio::task::spawn_blocking(|| super::moto::registry(stringify!($case))).await.unwrap();
                super::$case(registry).await;
            })*
        }
    };
}

suite! {
    a_published_model_is_listed_found_and_loaded,
    publishing_again_changes_nothing,
    a_damaged_artefact_is_an_error_that_names_the_object_and_both_hashes,
    publishing_again_repairs_a_damaged_model,
    a_model_without_a_manifest_does_not_exist_until_it_is_published_again,
    a_publisher_that_dies_at_any_put_leaves_no_model_and_no_obstacle,
    two_publishers_of_one_model_end_with_one_model,
    a_dictionary_number_that_is_taken_is_refused_and_another_salt_helps,
    a_model_goes_into_another_registry_as_a_file,
    the_active_pointer_moves_and_comes_back,
    a_codec_that_a_pipeline_chose_is_kept_beside_its_model_and_comes_back_with_it,
    an_odd_pipeline_name_is_kept_apart_from_all_others,
    a_change_that_loses_the_race_comes_after_the_one_that_won,
    a_change_whose_answer_was_lost_is_made_once,
    a_change_from_a_stale_belief_is_refused,
    what_nothing_needs_any_more_is_removed_and_nothing_else,
    a_short_name_stays_with_the_model_that_had_it_first,
    a_training_is_gone_on_with_by_whoever_comes_next_and_forgotten_when_it_has_ended,
    what_processes_published_is_known_to_all_of_them_and_is_no_model,
    a_model_of_fields_stays_as_long_as_its_topic_keeps_what_it_coded,
    a_cache_finds_models_as_frames_name_them,
    an_empty_store_is_told_from_a_missing_model,
}

fn open(url: &str) -> Registry {
    Registry::open(url, &BTreeMap::new()).unwrap()
}

fn url(folder: &tempfile::TempDir) -> String {
    url::Url::from_directory_path(folder.path().join("a registry, not made yet")).unwrap().to_string()
}

/// Three dictionaries, trained once.
static DICTIONARIES: LazyLock<[Dictionary; 3]> = LazyLock::new(|| {
    ["alpha", "beta", "gamma"].map(|word| {
        let lines: Vec<String> = (0..1000u32)
            .map(|i| {
                format!(r#"{{"{word}":{},"state":"{word}-{}","at":"2026-11-{:02}"}}"#, i * 7919 % 997, i % 7, i % 30)
            })
            .collect();
        let samples: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        Dictionary::train(&samples, 1024).unwrap()
    })
});

fn manifest(dictionary: &Dictionary, created: &str) -> Manifest {
    let mut manifest = Manifest::new(dictionary.artefact(), Family::ZSTD_DICTIONARY, "flights", created);
    manifest.window = vec![Span { topic: "flights".to_owned(), partition: 0, first: 0, last: 999 }];
    manifest
}

/// Publishes the dictionary with this number; created in 2026.
async fn publish(registry: &Registry, index: usize) -> ModelId {
    let dictionary = &DICTIONARIES[index];
    let manifest = manifest(dictionary, &format!("2026-11-24T20:00:0{index}Z"));
    let published = registry.publish(&manifest, dictionary.artefact().to_vec()).await.unwrap();
    assert_eq!(published, Published::New);
    manifest.model
}

fn signature(minute: u32) -> Signature {
    Signature { by: "test".to_owned(), at: format!("2026-11-24T21:{minute:02}:00Z"), retention_ms: None }
}

fn artefact_path(model: &ModelId) -> Path {
    let id = model.to_string();
    Path::from(format!("models/{}/{id}/artefact", &id[..8]))
}

async fn a_published_model_is_listed_found_and_loaded(registry: Registry) {
    let (a, b) = (publish(&registry, 0).await, publish(&registry, 1).await);
    let listing = registry.list().await.unwrap();
    assert_eq!(listing.models.iter().map(|manifest| manifest.model).collect::<Vec<_>>(), [b, a]);
    assert!(listing.damaged.is_empty());

    let model = registry.load(&a).await.unwrap();
    assert_eq!(model.artefact, DICTIONARIES[0].artefact());
    assert_eq!(model.manifest, manifest(&DICTIONARIES[0], "2026-11-24T20:00:00Z"));
    assert_eq!(registry.manifest(&b).await.unwrap().model, b);

    for length in [4, 7, 8, 9, 20, 64] {
        assert_eq!(registry.resolve(&a.to_string()[..length]).await.unwrap(), a, "{length} digits");
    }
    assert_eq!(registry.resolve(&b.to_string().to_uppercase()).await.unwrap(), b);
    assert!(matches!(registry.resolve("abc").await, Err(RegistryError::Invalid { .. })));
    assert!(matches!(registry.resolve("../../..").await, Err(RegistryError::Invalid { .. })));
    assert!(matches!(registry.resolve("00000000").await, Err(RegistryError::NotFound { .. })));

    let by_prefix = registry.load_ref(ModelRef::Prefix(b.prefix())).await.unwrap();
    let by_number = registry.load_ref(ModelRef::ZstdDictionary(DICTIONARIES[1].id())).await.unwrap();
    assert_eq!((by_prefix.manifest.model, by_number.manifest.model), (b, b));
    let error = registry.load_ref(ModelRef::ZstdDictionary(99)).await.unwrap_err();
    assert!(error.to_string().contains("no model for zstd dictionary id 99 in registry"), "{error}");
}

async fn publishing_again_changes_nothing(registry: Registry) {
    let model = publish(&registry, 0).await;
    let later = manifest(&DICTIONARIES[0], "2027-01-01T00:00:00Z");
    let again = registry.publish(&later, DICTIONARIES[0].artefact().to_vec()).await.unwrap();
    assert_eq!(again, Published::Already);
    assert_eq!(registry.manifest(&model).await.unwrap().created, "2026-11-24T20:00:00Z");

    let error = registry.publish(&later, DICTIONARIES[1].artefact().to_vec()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error}");
}

async fn a_damaged_artefact_is_an_error_that_names_the_object_and_both_hashes(registry: Registry) {
    let model = publish(&registry, 0).await;
    let path = artefact_path(&model);
    let mut damaged = DICTIONARIES[0].artefact().to_vec();
    damaged[500] ^= 1;
    let found = ModelId::of(&damaged).to_string();
    registry.objects().put(&path, damaged.clone().into()).await.unwrap();
    let error = registry.load(&model).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RegistryError::Corrupt { .. }) && !error.is_retriable(), "{text}");
    assert!(text.contains(path.as_ref()) && text.contains(&model.to_string()) && text.contains(&found), "{text}");
    assert!(text.contains(registry.url()), "{text}");

    damaged.push(0);
    registry.objects().put(&path, damaged.into()).await.unwrap();
    assert!(matches!(registry.load(&model).await, Err(RegistryError::Corrupt { .. })));
    registry.objects().delete(&path).await.unwrap();
    assert!(matches!(registry.load(&model).await, Err(RegistryError::Corrupt { .. })));

    let manifest = Path::from(path.as_ref().replace("artefact", "manifest.json"));
    registry.objects().put(&manifest, "{}".into()).await.unwrap();
    let listing = registry.list().await.unwrap();
    assert_eq!((listing.models.len(), listing.damaged.len()), (0, 1));
    let policy = GcPolicy::new(SystemTime::now() + Duration::from_secs(1 << 30), Duration::from_secs(3600));
    registry.gc(&policy).await.unwrap();
    assert!(registry.objects().head(&manifest).await.is_ok(), "nobody removes what cannot be read");
}

async fn publishing_again_repairs_a_damaged_model(registry: Registry) {
    let model = publish(&registry, 0).await;
    let number = Path::from(format!("dictionaries/{:010}.json", DICTIONARIES[0].id()));
    for path in [artefact_path(&model), Path::from(artefact_path(&model).as_ref().replace("artefact", "manifest.json"))]
    {
        registry.objects().put(&path, "damaged".into()).await.unwrap();
        registry.objects().put(&number, "damaged".into()).await.unwrap();
        let manifest = manifest(&DICTIONARIES[0], "2026-11-24T20:00:00Z");
        let published = registry.publish(&manifest, DICTIONARIES[0].artefact().to_vec()).await.unwrap();
        assert_eq!(published, Published::Repaired);
        assert_eq!(registry.load(&model).await.unwrap().manifest, manifest);
        registry.load_ref(ModelRef::ZstdDictionary(DICTIONARIES[0].id())).await.unwrap();
    }
}

async fn a_model_without_a_manifest_does_not_exist_until_it_is_published_again(registry: Registry) {
    let other = publish(&registry, 1).await;
    let model = DICTIONARIES[0].model_id();
    // What a publisher leaves that was killed: one half-way through its bytes would leave nothing at all.
    registry.objects().put(&artefact_path(&model), DICTIONARIES[0].artefact().to_vec().into()).await.unwrap();
    assert!(matches!(registry.load(&model).await, Err(RegistryError::NotFound { .. })));
    assert!(matches!(registry.resolve(&model.to_string()).await, Err(RegistryError::NotFound { .. })));
    assert_eq!(registry.list().await.unwrap().models.len(), 1);
    assert!(registry.set_active("p", &model, Expect::Anything, &signature(0)).await.is_err());

    // Too young to be called abandoned, then old enough.
    let mut policy = GcPolicy::new(SystemTime::now(), Duration::from_secs(1 << 40));
    assert!(registry.gc(&policy).await.unwrap().debris.is_empty());
    policy.now += 2 * policy.half_written_after;
    policy.dry_run = true;
    for dry_run in [true, false] {
        policy.dry_run = dry_run;
        let report = registry.gc(&policy).await.unwrap();
        assert_eq!(report.debris.len(), 1, "{report:?}");
        assert!(report.debris[0].ends_with(artefact_path(&model).as_ref()));
        assert_eq!(report.freed_bytes, DICTIONARIES[0].artefact().len() as u64);
    }
    assert!(registry.gc(&policy).await.unwrap().debris.is_empty());
    registry.load(&other).await.unwrap();

    registry.objects().put(&artefact_path(&model), "a beginning".into()).await.unwrap();
    publish(&registry, 0).await;
    registry.load(&model).await.unwrap();
}

async fn a_publisher_that_dies_at_any_put_leaves_no_model_and_no_obstacle(registry: Registry) {
    publish(&registry, 1).await;
    let dictionary = &DICTIONARIES[0];
    let manifest = manifest(dictionary, "2026-11-24T20:00:00Z");
    let mut deaths = 0;
    for at in 0.. {
        let mut reached = false;
        for fault in [Fault::Before, Fault::After] {
            let lost_answer = matches!(fault, Fault::After);
            let faulty = Faulty::new(registry.objects(), at, fault);
            let dying = Registry::with_objects(Arc::clone(&faulty) as Arc<dyn ObjectStore>, "dying");
            let published = dying.publish(&manifest, dictionary.artefact().to_vec()).await;
            if !faulty.happened() {
                continue;
            }
            reached = true;
            deaths += 1;
            let error = published.unwrap_err();
            assert!(error.is_retriable(), "a full disk may be emptied: {error}");
            let exists = registry.load(&manifest.model).await.is_ok();
            // Only the last put, the manifest's, makes the model; its answer may be lost and the model is whole.
            assert!(!exists || lost_answer, "put {at}");
            assert_eq!(registry.list().await.unwrap().models.len(), 1 + usize::from(exists));
        }
        if !reached {
            break;
        }
    }
    assert!(deaths >= 4, "artefact and manifest at least, before and after: {deaths}");
    registry.publish(&manifest, dictionary.artefact().to_vec()).await.unwrap();
    registry.load_ref(ModelRef::ZstdDictionary(dictionary.id())).await.unwrap();
}

async fn two_publishers_of_one_model_end_with_one_model(registry: Registry) {
    let dictionary = &DICTIONARIES[0];
    let publishers = (0..8).map(|i| {
        let registry = registry.clone();
        let manifest = manifest(dictionary, &format!("2026-11-24T20:00:0{i}Z"));
        tokio::spawn(async move { registry.publish(&manifest, dictionary.artefact().to_vec()).await })
    });
    let published: Vec<Published> = join_all(publishers).await.into_iter().map(|done| done.unwrap().unwrap()).collect();
    assert!(published.contains(&Published::New));
    assert_eq!(registry.list().await.unwrap().models.len(), 1);
    registry.load_ref(ModelRef::ZstdDictionary(dictionary.id())).await.unwrap();
}

async fn a_dictionary_number_that_is_taken_is_refused_and_another_salt_helps(registry: Registry) {
    let owner = publish(&registry, 0).await;
    // Real collisions are too rare to wait for: the number of the second is given to the first.
    let number = Path::from(format!("dictionaries/{:010}.json", DICTIONARIES[1].id()));
    registry.objects().put(&number, format!(r#"{{"model":"{owner}"}}"#).into()).await.unwrap();
    let second = manifest(&DICTIONARIES[1], "2026-11-24T20:00:00Z");
    let error = registry.publish(&second, DICTIONARIES[1].artefact().to_vec()).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Taken { owner: by, .. } if *by == owner), "{error}");
    assert!(registry.manifest(&second.model).await.is_err());

    let salted = DICTIONARIES[1].clone().with_salt(1);
    let third = manifest(&salted, "2026-11-24T20:00:00Z");
    registry.publish(&third, salted.artefact().to_vec()).await.unwrap();
    let found = registry.load_ref(ModelRef::ZstdDictionary(salted.id())).await.unwrap();
    assert_eq!(found.manifest.model, third.model);

    // A number that names a model of another number is damage, and never a wrong dictionary.
    let error = registry.load_ref(ModelRef::ZstdDictionary(DICTIONARIES[1].id())).await.unwrap_err();
    assert!(matches!(error, RegistryError::Corrupt { .. }), "{error}");
}

async fn a_model_goes_into_another_registry_as_a_file(registry: Registry) {
    let model = publish(&registry, 0).await;
    let file = registry.export(&model).await.unwrap();
    let other = open("memory:///");
    let (manifest, published) = other.import(&file).await.unwrap();
    assert_eq!((manifest.model, published), (model, Published::New));
    assert_eq!(other.export(&model).await.unwrap(), file);
    assert_eq!(registry.import(&file).await.unwrap().1, Published::Already);

    let mut damaged = file.clone();
    damaged[200] ^= 1;
    assert!(matches!(other.import(&damaged).await, Err(RegistryError::Invalid { .. })));
    assert!(matches!(other.import(b"").await, Err(RegistryError::Invalid { .. })));
}

async fn a_codec_that_a_pipeline_chose_is_kept_beside_its_model_and_comes_back_with_it(registry: Registry) {
    let model = publish(&registry, 0).await;
    let plain = registry.choose("p", "zstd:19", None, Expect::Model(None), &signature(1)).await.unwrap();
    assert_eq!((plain.model, plain.codec.as_deref()), (None, Some("zstd:19")));
    let again = registry.choose("p", "zstd:19", None, Expect::Model(None), &signature(2)).await.unwrap();
    assert_eq!(again, plain);
    let learned = registry.choose("p", "zstd-dict:3", Some(&model), Expect::Model(None), &signature(3)).await.unwrap();
    assert_eq!((learned.model, learned.codec.as_deref()), (Some(model), Some("zstd-dict:3")));
    // The same model at another level is another choice.
    let higher = registry.choose("p", "zstd-dict:19", Some(&model), Expect::Anything, &signature(4)).await.unwrap();
    assert_eq!((higher.sequence, registry.active("p").await.unwrap()), (3, Some(higher.clone())));
    let error = registry.choose("p", "xz:6", None, Expect::Model(None), &signature(5)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Conflict { .. }), "{error}");
    for (codec, found) in [("zstd-dict:3", Some(model)), ("zstd:19", None)] {
        let back = registry.rollback("p", &signature(6)).await.unwrap();
        assert_eq!((back.codec.as_deref(), back.model, back.change), (Some(codec), found, Change::Rollback));
    }
    let nothing = registry.rollback("p", &signature(7)).await.unwrap();
    assert_eq!((nothing.codec, nothing.model), (None, None));
    assert!(matches!(registry.rollback("p", &signature(8)).await, Err(RegistryError::Invalid { .. })));
}

async fn the_active_pointer_moves_and_comes_back(registry: Registry) {
    let (a, b, c) = (publish(&registry, 0).await, publish(&registry, 1).await, publish(&registry, 2).await);
    assert_eq!(registry.active("p").await.unwrap(), None);
    assert!(matches!(registry.rollback("p", &signature(0)).await, Err(RegistryError::Invalid { .. })));

    let first = registry.set_active("p", &a, Expect::Model(None), &signature(1)).await.unwrap();
    assert_eq!((first.sequence, first.model, first.previous), (1, Some(a), None));
    assert_eq!(registry.newer(&first).await.unwrap(), None);
    let again = registry.set_active("p", &a, Expect::Anything, &signature(2)).await.unwrap();
    assert_eq!(again, first);
    registry.set_active("p", &b, Expect::Model(Some(a)), &signature(3)).await.unwrap();
    let third = registry.set_active("p", &c, Expect::Anything, &signature(4)).await.unwrap();
    assert_eq!((third.model, third.previous, third.by.as_str()), (Some(c), Some(b), "test"));
    assert_eq!(registry.newer(&first).await.unwrap(), Some(third.clone()));
    assert_eq!(registry.active("p").await.unwrap(), Some(third));

    // Back from c to b, from b to a, then forward to c and back to a: not to b, which was taken back.
    assert_eq!(registry.rollback("p", &signature(5)).await.unwrap().model, Some(b));
    assert_eq!(registry.rollback("p", &signature(6)).await.unwrap().model, Some(a));
    registry.set_active("p", &c, Expect::Anything, &signature(7)).await.unwrap();
    assert_eq!(registry.rollback("p", &signature(8)).await.unwrap().model, Some(a));
    assert_eq!(registry.rollback("p", &signature(9)).await.unwrap().model, None);
    assert!(matches!(registry.rollback("p", &signature(10)).await, Err(RegistryError::Invalid { .. })));

    let history = registry.history("p").await.unwrap();
    assert_eq!(history.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert!(history.windows(2).all(|pair| pair[1].previous == pair[0].model));
    assert_eq!(history[7].change, Change::Rollback);
    assert_eq!(history[7].at, signature(9).at);

    let missing = ModelId::of(b"never published");
    let error = registry.set_active("p", &missing, Expect::Anything, &signature(11)).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

async fn an_odd_pipeline_name_is_kept_apart_from_all_others(registry: Registry) {
    let model = publish(&registry, 0).await;
    let names = ["a", "a/b", "a b", "..", "ä%2F", "0000000001.json", "A#1"];
    for name in names {
        registry.set_active(name, &model, Expect::Model(None), &signature(0)).await.unwrap();
    }
    let pipelines = registry.pipelines().await.unwrap();
    let mut expected = names.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(pipelines.iter().map(|active| active.pipeline.clone()).collect::<Vec<_>>(), expected);
    for name in names {
        assert_eq!(registry.history(name).await.unwrap().len(), 1, "{name}");
    }
    for name in ["", "a\nb"] {
        assert!(matches!(registry.active(name).await, Err(RegistryError::Invalid { .. })));
    }
}

/// A view of the registry in which somebody else moves the pointer just before this one's first put.
fn raced(registry: &Registry, other: ModelId) -> Registry {
    let somebody = registry.clone();
    let fault = Fault::Meanwhile(Box::new(move || {
        let somebody = somebody.clone();
        Box::pin(async move {
            somebody.set_active("p", &other, Expect::Anything, &signature(1)).await.unwrap();
        })
    }));
    Registry::with_objects(Faulty::new(registry.objects(), 0, fault), "raced")
}

async fn a_change_that_loses_the_race_comes_after_the_one_that_won(registry: Registry) {
    let (a, b) = (publish(&registry, 0).await, publish(&registry, 1).await);
    let ours = raced(&registry, b).set_active("p", &a, Expect::Anything, &signature(2)).await.unwrap();
    assert_eq!((ours.sequence, ours.model, ours.previous), (2, Some(a), Some(b)));
    assert_eq!(registry.history("p").await.unwrap().len(), 2);
    assert_eq!(registry.active("p").await.unwrap(), Some(ours));

    let error = raced(&registry, b).rollback("p", &signature(3)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Conflict { current: Some(current), .. } if current == b), "{error}");
}

async fn a_change_whose_answer_was_lost_is_made_once(registry: Registry) {
    let model = publish(&registry, 0).await;
    let faulty = Faulty::new(registry.objects(), 0, Fault::After);
    let dying = Registry::with_objects(faulty, "dying");
    assert!(dying.set_active("p", &model, Expect::Anything, &signature(0)).await.unwrap_err().is_retriable());
    let again = registry.set_active("p", &model, Expect::Model(None), &signature(0)).await.unwrap();
    assert_eq!((again.sequence, registry.history("p").await.unwrap().len()), (1, 1));

    // The same put again, as the store's client does by itself.
    let somebody = registry.clone();
    let other = publish(&registry, 1).await;
    let same = Fault::Meanwhile(Box::new(move || {
        let somebody = somebody.clone();
        Box::pin(async move {
            somebody.set_active("p", &other, Expect::Anything, &signature(5)).await.unwrap();
        })
    }));
    let retrying = Registry::with_objects(Faulty::new(registry.objects(), 0, same), "retrying");
    let change = retrying.set_active("p", &other, Expect::Model(Some(model)), &signature(5)).await.unwrap();
    assert_eq!((change.sequence, registry.history("p").await.unwrap().len()), (2, 2));
}

async fn a_change_from_a_stale_belief_is_refused(registry: Registry) {
    let (a, b, c) = (publish(&registry, 0).await, publish(&registry, 1).await, publish(&registry, 2).await);
    registry.set_active("p", &a, Expect::Model(None), &signature(0)).await.unwrap();
    let stale = raced(&registry, b).set_active("p", &c, Expect::Model(Some(a)), &signature(2)).await.unwrap_err();
    assert!(matches!(&stale, RegistryError::Conflict { current: Some(current), .. } if *current == b), "{stale}");
    assert!(stale.to_string().contains("by test"), "{stale}");
    assert_eq!(registry.active("p").await.unwrap().unwrap().model, Some(b));
}

async fn what_nothing_needs_any_more_is_removed_and_nothing_else(registry: Registry) {
    let (a, b, c) = (publish(&registry, 0).await, publish(&registry, 1).await, publish(&registry, 2).await);
    let at = |text: &str| humantime::parse_rfc3339(text).unwrap();
    for (minute, model) in [(0, &a), (10, &b), (20, &c)] {
        registry.set_active("p", model, Expect::Anything, &signature(minute)).await.unwrap();
    }
    let why = |report: &latentd::registry::GcReport, model| {
        report.kept.iter().find(|kept| kept.model == model).map(|kept| kept.why)
    };
    let hour = Duration::from_secs(3600);
    let mut policy = GcPolicy::new(at("2026-11-24T22:10:00Z"), hour);
    policy.keep_last = 3;
    let report = registry.gc(&policy).await.unwrap();
    assert!(report.removed.is_empty());
    assert_eq!(
        [why(&report, a), why(&report, b), why(&report, c)].map(Option::unwrap),
        [KeptWhy::Rollback, KeptWhy::Rollback, KeptWhy::Active]
    );

    // The first was in use until 21:10, so at 22:10 it has been out of use for an hour exactly: not longer.
    policy.keep_last = 1;
    let report = registry.gc(&policy).await.unwrap();
    assert_eq!((report.removed.len(), why(&report, a)), (0, Some(KeptWhy::Recent)));

    policy.now += Duration::from_secs(1);
    policy.keep.insert(a);
    assert_eq!(why(&registry.gc(&policy).await.unwrap(), a), Some(KeptWhy::Named));
    policy.keep.clear();
    for dry_run in [true, false] {
        policy.dry_run = dry_run;
        let report = registry.gc(&policy).await.unwrap();
        assert_eq!(report.removed.iter().map(|removed| removed.model).collect::<Vec<_>>(), [a]);
        assert_eq!(report.freed_bytes, DICTIONARIES[0].artefact().len() as u64);
        assert_eq!(report.removed[0].unused_since, at("2026-11-24T21:10:00Z"));
        assert_eq!(registry.load(&a).await.is_ok(), dry_run);
    }
    assert!(matches!(registry.load(&a).await, Err(RegistryError::NotFound { .. })));
    let error = registry.load_ref(ModelRef::ZstdDictionary(DICTIONARIES[0].id())).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert!(registry.objects().head(&artefact_path(&a)).await.is_err());
    registry.load(&b).await.unwrap();
    assert_eq!(registry.history("p").await.unwrap().len(), 3, "the history stays");

    // A model that is gone cannot be rolled back to, and the pointer stays where it is.
    registry.rollback("p", &signature(30)).await.unwrap();
    assert!(matches!(registry.rollback("p", &signature(31)).await, Err(RegistryError::NotFound { .. })));
    assert_eq!(registry.active("p").await.unwrap().unwrap().model, Some(b));

    policy.unused_for = Duration::from_secs(60);
    assert!(matches!(registry.gc(&policy).await, Err(RegistryError::Invalid { .. })));
    // Publishing what was removed is publishing a new model.
    publish(&registry, 0).await;
}

async fn a_short_name_stays_with_the_model_that_had_it_first(registry: Registry) {
    // Any bytes will do for an artefact: the registry looks at its id alone.
    let artefacts: Vec<(ModelId, Vec<u8>)> = (0u32..)
        .map(|at| at.to_le_bytes().to_vec())
        .map(|bytes| (ModelId::of(&bytes), bytes))
        .filter(|(id, _)| id.short_name().is_some())
        .take(2)
        .collect();
    let manifest = |bytes: &[u8]| Manifest::new(bytes, Family::LATENT, "images", "2026-11-24T20:00:00Z");
    let (first, bytes) = &artefacts[0];
    let name = first.short_name().unwrap();
    for expected in [Published::New, Published::Already] {
        assert_eq!(registry.publish(&manifest(bytes), bytes.clone()).await.unwrap(), expected);
        assert_eq!(registry.load_ref(ModelRef::Short(name)).await.unwrap().manifest.model, *first);
    }
    let now = humantime::parse_rfc3339("2027-11-24T20:00:00Z").unwrap();
    registry.gc(&GcPolicy::new(now, Duration::from_secs(3600))).await.unwrap();
    let error = registry.load_ref(ModelRef::Short(name)).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::NotFound { .. }) && error.to_string().contains(&first.to_string()),
        "{error}"
    );

    // Another model that had the name would be taken for the one that is gone.
    let (second, bytes) = &artefacts[1];
    let [a, b, c] = second.short_name().unwrap();
    let path = Path::from(format!("names/{a:02x}{b:02x}{c:02x}.json"));
    registry.objects().put(&path, format!("{{\"model\":\"{first}\"}}").into()).await.unwrap();
    let error = registry.publish(&manifest(bytes), bytes.clone()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Taken { owner, .. } if owner == *first), "{error}");
    assert!(matches!(registry.load(second).await, Err(RegistryError::NotFound { .. })));
    // Other families' frames carry four bytes.
    let columns = Manifest::new(bytes, Family::COLUMNS, "rows", "2026-11-24T20:00:00Z");
    registry.publish(&columns, bytes.clone()).await.unwrap();
}

async fn a_training_is_gone_on_with_by_whoever_comes_next_and_forgotten_when_it_has_ended(registry: Registry) {
    assert_eq!(registry.unfinished_training("p").await.unwrap(), None);
    let unfinished = |samples: &'static str, progress: &'static str| Unfinished {
        samples: Bytes::from_static(samples.as_bytes()),
        progress: Bytes::from_static(progress.as_bytes()),
    };
    registry.begin_training("p", &unfinished("samples", "begun")).await.unwrap();
    registry.save_training("p", Bytes::from_static(b"half of it")).await.unwrap();
    registry.begin_training("other", &unfinished("others", "begun")).await.unwrap();
    let found = registry.unfinished_training("p").await.unwrap();
    assert_eq!(found, Some(unfinished("samples", "half of it")));
    // One that goes on is left alone; one that nobody has touched for long is removed.
    let mut policy = GcPolicy::new(SystemTime::now(), Duration::from_secs(3600));
    assert_eq!(registry.gc(&policy).await.unwrap().debris, Vec::<String>::new());
    registry.end_training("p").await.unwrap();
    registry.end_training("p").await.unwrap();
    assert_eq!(registry.unfinished_training("p").await.unwrap(), None);
    policy.now += policy.half_written_after * 2;
    assert_eq!(registry.gc(&policy).await.unwrap().debris.len(), 2, "samples and progress");
    assert_eq!(registry.unfinished_training("other").await.unwrap(), None);

    // What the next one begins with lies beside its model, and goes with it.
    let model = publish(&registry, 0).await;
    assert_eq!(registry.state(&model).await.unwrap(), None);
    registry.keep_state(&model, Bytes::from_static(b"weights")).await.unwrap();
    assert_eq!(registry.state(&model).await.unwrap(), Some(Bytes::from_static(b"weights")));
    registry.load(&model).await.unwrap();
    assert_eq!(registry.gc(&policy).await.unwrap().removed.len(), 1);
    assert_eq!(registry.state(&model).await.unwrap(), None);
}

async fn what_processes_published_is_known_to_all_of_them_and_is_no_model(registry: Registry) {
    let model = publish(&registry, 0).await;
    let page = |instance: &str, digests: std::ops::Range<u64>| EmittedPage {
        begun_ms: 1_800_000_000_000,
        instance: instance.to_owned(),
        digests: digests.collect(),
    };
    let (mut one, mut other) = (EmittedPages::default(), EmittedPages::default());
    for upto in [3, 5] {
        registry.keep_emitted("a/b", &page("host/1", 0..upto), &mut one).await.unwrap();
        registry.keep_emitted("a/b", &page("host/2", 10..10 + upto), &mut other).await.unwrap();
        let before = if upto == 3 { 0 } else { 3 };
        let news = registry.emitted("a/b", &mut one).await.unwrap();
        assert_eq!((news.digests, news.damaged.len()), ((10 + before..10 + upto).collect(), 0));
        assert_eq!(registry.emitted("a/b", &mut other).await.unwrap().digests, (before..upto).collect::<Vec<_>>());
    }
    assert!(registry.emitted("a", &mut EmittedPages::default()).await.unwrap().digests.is_empty());
    // What removes models looks past it, however old it is.
    let mut policy = GcPolicy::new(SystemTime::now(), Duration::from_secs(1 << 40));
    policy.now += 2 * policy.half_written_after;
    assert!(registry.gc(&policy).await.unwrap().debris.is_empty());
    assert_eq!(registry.emitted("a/b", &mut EmittedPages::default()).await.unwrap().digests.len(), 10);
    assert!(registry.pipelines().await.unwrap().is_empty());
    assert_eq!(registry.list().await.unwrap().models[0].model, model);
}

/// A model of the fields of some rows, and a block of them that it coded.
fn fields(word: &str) -> (ColumnsModel, Vec<u8>) {
    let rows: Vec<String> = (0..400).map(|i| format!("{{\"{word}\":{i},\"half\":{}}}", i / 2)).collect();
    let values: Vec<&[u8]> = rows.iter().map(|row| row.as_bytes()).collect();
    let model = ColumnsModel::train(&values, &Options { effort: 1_000_000, ..Options::default() });
    let mut builder = BlockBuilder::default();
    for (value, offset) in values.iter().zip(0..) {
        let (headers, timestamp) = (HeaderRefs::new(), Timestamp::create(1_700_000_000_000 + offset));
        builder.push(&RecordRef { key: None, value: Some(value), headers, timestamp, offset });
    }
    let mut block = Vec::new();
    let parsed = ColumnsModel::parse(model.artefact()).unwrap();
    builder.encode(&mut ColumnsCodec::new(Arc::new(parsed)), &mut block).unwrap();
    (model, block)
}

async fn a_model_of_fields_stays_as_long_as_its_topic_keeps_what_it_coded(registry: Registry) {
    let at = |text: &str| humantime::parse_rfc3339(text).unwrap();
    let day = Duration::from_secs(86_400);
    let ((first, block), (second, _)) = (fields("first"), fields("second"));
    // Made on the 1st of September, in use until the 1st of October: its last block goes with the 31st.
    // Who makes the second change does not know how long the topic keeps its records; what was known goes on.
    let kept_ms = 40 * 86_400_000;
    for (model, time, retention_ms) in
        [(&first, "2026-09-01T00:00:00Z", Some(kept_ms)), (&second, "2026-10-01T00:00:00Z", None)]
    {
        let mut manifest = Manifest::new(model.artefact(), Family::COLUMNS, "orders", time);
        manifest.parent = (model.id() == second.id()).then(|| first.id());
        registry.publish(&manifest, model.artefact().to_vec()).await.unwrap();
        let signature = Signature { by: "test".to_owned(), at: time.to_owned(), retention_ms };
        let set = registry.set_active("orders", &model.id(), Expect::Anything, &signature).await.unwrap();
        assert_eq!(set.retention_ms, Some(kept_ms));
    }
    let runtime = tokio::runtime::Handle::current();
    let reads = || {
        let cache = ModelCache::new(registry.clone(), runtime.clone(), CacheSettings::default());
        let (models, block): (Arc<dyn ModelSource>, Vec<u8>) = (Arc::new(cache), block.clone());
        // The cache is for threads that may wait.
        tokio::task::spawn_blocking(move || {
            let (headers, timestamp) = (HeaderRefs::new(), Timestamp::create(-1));
            let record = RecordRef { key: None, value: Some(&block), headers, timestamp, offset: 0 };
            match Restorer::new(&models, 1 << 20, 1000).restore(&record).map(|restored| restored.content) {
                Ok(Content::Block(block)) => Ok(block.len()),
                Ok(Content::Record(_)) => panic!("it is a block"),
                Err(error) => Err(error.to_string()),
            }
        })
    };
    let mut policy = GcPolicy::new(at("2026-10-30T00:00:00Z"), 30 * day);
    policy.keep_last = 0;
    let report = registry.gc(&policy).await.unwrap();
    assert_eq!(report.removed, []);
    let why = report.kept.iter().find(|kept| kept.model == first.id()).map(|kept| kept.why);
    assert_eq!(why, Some(KeptWhy::Recent), "59 days old, and in use 29 days ago");
    assert_eq!(reads().await.unwrap(), Ok(400));
    policy.now = at("2026-11-01T00:00:00Z");
    let report = registry.gc(&policy).await.unwrap();
    let why = report.kept.iter().find(|kept| kept.model == first.id()).map(|kept| kept.why);
    assert_eq!((report.removed.len(), why), (0, Some(KeptWhy::Retention)), "the topic keeps its records for 40 days");
    let forced = GcPolicy { despite_retention: true, dry_run: true, ..policy.clone() };
    assert_eq!(registry.gc(&forced).await.unwrap().removed.len(), 1);
    policy.now = at("2026-11-10T00:59:59Z");
    assert_eq!(registry.gc(&policy).await.unwrap().removed, [], "brokers and workers may be a little late");
    policy.now = at("2026-11-10T01:00:01Z");
    let report = registry.gc(&policy).await.unwrap();
    assert_eq!(report.removed.iter().map(|removed| removed.model).collect::<Vec<_>>(), [first.id()]);
    let error = reads().await.unwrap().unwrap_err();
    assert!(error.contains(&first.id().to_string()[..8]) && error.contains(registry.url()), "{error}");
    assert_eq!(registry.manifest(&second.id()).await.unwrap().parent, Some(first.id()), "the lineage is still told");
}

async fn a_cache_finds_models_as_frames_name_them(registry: Registry) {
    let model = publish(&registry, 0).await;
    let runtime = tokio::runtime::Handle::current();
    let cache = Arc::new(ModelCache::new(registry.clone(), runtime, CacheSettings::default()));
    let workers = (0..4).map(|_| {
        let cache = Arc::clone(&cache);
        tokio::task::spawn_blocking(move || {
            let by_prefix = cache.artefact(ModelRef::Prefix(model.prefix())).unwrap();
            let by_number = cache.artefact(ModelRef::ZstdDictionary(DICTIONARIES[0].id())).unwrap();
            assert_eq!(&by_prefix[..], DICTIONARIES[0].artefact());
            assert_eq!(by_prefix, by_number);
            cache.artefact(ModelRef::Prefix([1, 2, 3, 4])).unwrap_err()
        })
    });
    for error in join_all(workers).await {
        let error = error.unwrap();
        assert!(!error.retriable);
        assert!(error.to_string().contains("`01020304…`") && error.to_string().contains(registry.url()), "{error}");
    }
    // What is held needs no registry any more.
    registry.objects().delete(&artefact_path(&model)).await.unwrap();
    let held = tokio::task::spawn_blocking(move || cache.artefact(ModelRef::Prefix(model.prefix()))).await.unwrap();
    assert_eq!(&held.unwrap()[..], DICTIONARIES[0].artefact());
}

async fn an_empty_store_is_told_from_a_missing_model(registry: Registry) {
    assert!(!registry.exists().await.unwrap());
    assert!(registry.list().await.unwrap().models.is_empty());
    assert!(registry.pipelines().await.unwrap().is_empty());
    let error = registry.load(&DICTIONARIES[0].model_id()).await.unwrap_err();
    assert!(matches!(error, RegistryError::NoRegistry { .. }) && error.is_retriable(), "{error}");
    let policy = GcPolicy::new(SystemTime::now(), Duration::from_secs(3600));
    assert!(matches!(registry.gc(&policy).await, Err(RegistryError::NoRegistry { .. })));
    publish(&registry, 1).await;
    let error = registry.load(&DICTIONARIES[0].model_id()).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }) && !error.is_retriable(), "{error}");

    let newer = r#"{"format":"latentd-registry","version":2}"#;
    registry.objects().put(&Path::from("registry.json"), newer.into()).await.unwrap();
    let error = registry.load(&DICTIONARIES[0].model_id()).await.unwrap_err();
    assert!(error.to_string().contains("use a newer latentd"), "{error}");
}

/// Memory and folders decide between writers that really come at the same time. (moto looks first and writes then, so
/// on it the race is staged in `a_change_that_loses_the_race_comes_after_the_one_that_won`.)
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_changes_in_the_same_moment_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    for registry in [open("memory:///"), open(&url(&folder))] {
        let models = [publish(&registry, 0).await, publish(&registry, 1).await, publish(&registry, 2).await];
        let changes = (0..16).map(|i| {
            let registry = registry.clone();
            let by = Signature { by: format!("writer {i}"), at: "2026-11-24T21:00:00Z".to_owned(), retention_ms: None };
            tokio::spawn(async move { registry.set_active("p", &models[i % 3], Expect::Anything, &by).await })
        });
        let made: Vec<_> = join_all(changes).await.into_iter().map(|done| done.unwrap().unwrap()).collect();
        let history = registry.history("p").await.unwrap();
        assert_eq!(
            history.iter().map(|entry| entry.sequence).collect::<Vec<_>>(),
            (1..=history.len() as u64).collect::<Vec<_>>()
        );
        assert!(history.windows(2).all(|pair| pair[1].previous == pair[0].model && pair[1].model != pair[0].model));
        assert!(made.iter().all(|change| history.contains(change)));
    }
}

#[tokio::test]
async fn a_folder_keeps_nothing_of_a_writer_that_was_killed_half_way() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&url(&folder));
    let model = publish(&registry, 0).await;
    let root = folder.path().join("a registry, not made yet");
    // What a kill -9 between open and rename leaves: a staged file beside the object, unseen by the store.
    let lost = DICTIONARIES[1].model_id().to_string();
    let unfinished = root.join("models").join(&lost[..8]).join(&lost);
    std::fs::create_dir_all(&unfinished).unwrap();
    std::fs::write(unfinished.join("artefact#1"), b"half").unwrap();
    std::fs::create_dir_all(root.join("emitted/p")).unwrap();
    std::fs::write(root.join("emitted/p/1800000000000-host.bin#7"), b"half a page").unwrap();
    std::fs::write(root.join("active.json#1"), b"not ours to remove: not in our folders").unwrap();
    assert_eq!(registry.list().await.unwrap().models.len(), 1);

    let mut policy = GcPolicy::new(SystemTime::now(), Duration::from_secs(1 << 40));
    assert!(registry.gc(&policy).await.unwrap().debris.is_empty(), "too young");
    policy.now += 2 * policy.half_written_after;
    let report = registry.gc(&policy).await.unwrap();
    assert_eq!((report.debris.len(), report.freed_bytes), (2, 4 + 11));
    assert!(!unfinished.exists() && !root.join("emitted/p").exists());
    assert!(root.join("active.json#1").exists());
    registry.load(&model).await.unwrap();

    // A publisher that finds such a file goes round it.
    std::fs::create_dir_all(&unfinished).unwrap();
    std::fs::write(unfinished.join("artefact#1"), b"half").unwrap();
    let second = publish(&registry, 1).await;
    registry.load(&second).await.unwrap();
}

/// What a pipeline draws from beside its codec has changes and rollbacks of its own.
#[tokio::test]
async fn a_generator_is_in_use_by_a_log_of_its_own() {
    let registry = open("memory:///");
    let codec = publish(&registry, 0).await;
    registry.set_active("p", &codec, Expect::Anything, &signature(1)).await.unwrap();
    let mut manifest = Manifest::new(b"rows", Family::AUTOREGRESSIVE, "p", "2026-11-24T20:17:45Z");
    manifest.seed = 1;
    registry.publish(&manifest, Bytes::from_static(b"rows")).await.unwrap();
    let log = log_of("p", &manifest.family);
    assert_eq!((log.as_str(), log_of(&log, &manifest.family)), ("p/generator", log.clone()));
    assert_eq!(
        (log_of("p", &Family::COLUMNS), log_of("p", &Family::ZSTD_DICTIONARY)),
        ("p".to_owned(), "p".to_owned())
    );
    let drawn = registry.set_active(&log, &manifest.model, Expect::Model(None), &signature(2)).await.unwrap();
    assert_eq!((drawn.sequence, drawn.previous), (1, None));
    assert_eq!(registry.active("p").await.unwrap().unwrap().model, Some(codec));
    let in_use: Vec<String> = registry.pipelines().await.unwrap().into_iter().map(|active| active.pipeline).collect();
    assert_eq!(in_use, ["p", "p/generator"]);
    // Neither is removed while it is in use, and a rollback of one is none of the other.
    let policy = GcPolicy::new(SystemTime::now() + Duration::from_secs(365 * 86_400), GcPolicy::SHORTEST);
    assert!(registry.gc(&policy).await.unwrap().removed.is_empty());
    assert_eq!(registry.rollback(&generator_of("p"), &signature(3)).await.unwrap().model, None);
    assert_eq!(registry.active("p").await.unwrap().unwrap().model, Some(codec));
}

/// Other programs read the folder: the dictionary lies in it as `zstd -D` takes it.
#[tokio::test]
async fn a_folder_holds_plain_files() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(&url(&folder));
    let model = publish(&registry, 0).await;
    let file = folder.path().join("a registry, not made yet").join(artefact_path(&model).as_ref());
    assert_eq!(std::fs::read(file).unwrap(), DICTIONARIES[0].artefact());
}

/// A store that stops answering is waited for no longer than the caller wants, and is not taken for an empty one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_gone_is_no_answer() {
    let (moto, registry) = tokio::task::spawn_blocking(|| {
        let moto = moto::Moto::start();
        let registry = moto.registry("gone");
        (moto, registry)
    })
    .await
    .unwrap();
    let model = publish(&registry, 0).await;
    let no_bucket = moto.open("never-made");
    let error = no_bucket.load(&model).await.unwrap_err();
    assert!(error.to_string().contains("its bucket does not exist") && error.is_retriable(), "{error}");
    let error = no_bucket.list().await.unwrap_err();
    assert!(error.to_string().contains("its bucket does not exist"), "{error}");

    let settings = CacheSettings { timeout: Duration::from_millis(500), ..CacheSettings::default() };
    let cache = Arc::new(ModelCache::new(registry, tokio::runtime::Handle::current(), settings));
    let error = tokio::task::spawn_blocking(move || {
        drop(moto);
        cache.artefact(ModelRef::Prefix(model.prefix())).unwrap_err()
    })
    .await
    .unwrap();
    assert!(error.retriable, "{error}");
    assert!(error.to_string().contains("s3://gone/some/models"), "{error}");
}
