//! Whether a new model replaces the one in use: both, codecs without one, and Kafka's own compression, on the same held-out
//! samples.

use std::collections::BTreeMap;

use crate::model::manifest::metric;

/// Share of the bytes that a candidate must save to replace what is in use.
///
/// A change is not free: every dictionary stays in the registry for as long as the longest retention of the topic,
/// every reader fetches and digests it, and records on both sides of the change no longer share a compressed batch
/// well. And a smaller saving is mostly the trainer's luck: five dictionaries from disjoint samples of one unchanged
/// stream differed by 0.3 to 0.7 % on flights as JSON (40,000 records each) and by 1.3 to 2.7 % on Adult rows (5,200
/// each), with 16 KiB and 110 KiB at levels 3 and 19. Drift, which is what retraining is for, costs far more.
pub const MIN_SAVING: f64 = 0.02;

/// Standard errors by which the mean saving per sample must stand clear of zero. Neighbouring records are alike, so the
/// standard error is too small by some factor; three leaves room for it.
const MIN_STANDARD_ERRORS: f64 = 3.0;

/// Fewest held-out samples that can decide.
pub const MIN_HOLDOUT: usize = 8;

/// Bytes of the holdout under each contender, and what follows.
///
/// A sample is what becomes one output record, and counts what that holds: a block with keys, headers, timestamps and offsets in
/// it, or a value with its frame (what is larger is sent as it is). The artefact itself is left out, which a reader fetches
/// once ([`Verdict::candidate_artefact_bytes`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Samples in the holdout.
    pub samples: usize,
    /// Bytes of the samples themselves.
    pub raw_bytes: u64,
    /// Under zstd without a model.
    pub plain_bytes: u64,
    /// With the model in use, when there is one.
    pub incumbent_bytes: Option<u64>,
    /// With the new model, when there is one.
    pub candidate_bytes: Option<u64>,
    /// Size of the new model.
    pub candidate_artefact_bytes: Option<usize>,
    /// What the candidate saves against the better of the others.
    pub saving: Option<Saving>,
    /// What lies on the broker's log, where that was measured.
    pub on_log: Option<OnLog>,
    /// What to do.
    pub decision: Decision,
}

/// Bytes of the whole holdout on the broker's log, everything in: what Kafka itself needs for each output record, and keys and
/// headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnLog {
    /// Most raw bytes of a block; 0 where each record is written alone.
    pub block_bytes: u64,
    /// With the new model.
    pub candidate: u64,
    /// Of what needs no model.
    pub rivals: Vec<Rival>,
    /// Codecs that take too long to be compared with.
    pub left_out: Vec<String>,
}

/// A way to write the holdout without a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// A codec with its level, or [`KAFKA`].
    pub name: String,
    /// What it takes.
    pub bytes: u64,
    /// Whether a first model that takes more is not put to use.
    pub bars: bool,
}

/// The name of the rival that is Kafka itself: batches of the records as they are, compressed as `compression.type=zstd` does.
pub const KAFKA: &str = "kafka-zstd:3";

impl OnLog {
    /// The smallest rival that counts.
    pub fn best_rival(&self) -> Option<&Rival> {
        self.rivals.iter().filter(|rival| rival.bars).min_by_key(|rival| rival.bytes)
    }

    /// Share of the bytes that the candidate saves against the smallest rival that counts.
    pub fn saving(&self) -> Option<f64> {
        self.best_rival().map(|rival| 1.0 - self.candidate as f64 / rival.bytes.max(1) as f64)
    }

    /// The smallest that bars the candidate, which is clearly larger ([`MIN_SAVING`]).
    pub fn barred_by(&self) -> Option<&Rival> {
        self.best_rival().filter(|rival| (rival.bytes as f64) < (1.0 - MIN_SAVING) * self.candidate as f64)
    }
}

/// Bytes saved per sample, from the differences sample by sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saving {
    /// Mean bytes saved per sample; negative when the candidate is worse.
    pub mean: f64,
    /// Standard error of the mean.
    pub standard_error: f64,
    /// Mean as a share of the better other's bytes.
    pub share: f64,
}

/// What to do with the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is put to use.
    Replace,
    /// What is in use stays.
    Keep(Keep),
}

/// Why what is in use stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// There is no candidate: the figures watch the dictionary in use.
    NoCandidate,
    /// The holdout has fewer than [`MIN_HOLDOUT`] samples.
    HoldoutTooSmall,
    /// The candidate saves less than [`MIN_SAVING`], or nothing.
    SavesTooLittle,
    /// The candidate saves enough on average, but the samples differ too much among themselves to be sure of it.
    Unsure,
    /// A codec that needs no model, or Kafka's own compression, takes less ([`OnLog::barred_by`]), and nothing was learned yet. A
    /// model in use gives way to a better one whatever else there is: it is what records are written with.
    RivalIsSmaller,
}

impl Verdict {
    /// Whether the codec without any dictionary codes the holdout smaller than the dictionary in use does.
    pub fn incumbent_hurts(&self) -> bool {
        self.incumbent_bytes.is_some_and(|bytes| bytes > self.plain_bytes)
    }

    /// The figures for the candidate's manifest. `records` is how many records the samples hold: in the `record` layout
    /// as many as there are samples, in the `block` layout more.
    pub fn metrics(&self, records: u64) -> BTreeMap<String, f64> {
        let per_record = |bytes: u64| bytes as f64 / records.max(1) as f64;
        let mut metrics = BTreeMap::from([
            (metric::HOLDOUT_RECORDS.to_owned(), records as f64),
            (metric::RAW.to_owned(), per_record(self.raw_bytes)),
            (metric::PLAIN.to_owned(), per_record(self.plain_bytes)),
        ]);
        let measured = [(metric::INCUMBENT, self.incumbent_bytes), (metric::CANDIDATE, self.candidate_bytes)];
        metrics.extend(measured.into_iter().filter_map(|(name, bytes)| Some((name.to_owned(), per_record(bytes?)))));
        if let Some(OnLog { candidate, rivals, .. }) = &self.on_log {
            metrics.insert(metric::on_log(metric::ON_LOG_CANDIDATE), per_record(*candidate));
            metrics.extend(rivals.iter().map(|rival| (metric::on_log(&rival.name), per_record(rival.bytes))));
        }
        metrics
    }

    /// Why what is in use stays; `None` where the candidate takes its place.
    pub fn reason(&self) -> Option<String> {
        let Decision::Keep(why) = self.decision else { return None };
        let share = 100.0 * self.saving.map_or(0.0, |saving| saving.share);
        Some(match why {
            Keep::NoCandidate => "there is no new model".to_owned(),
            Keep::HoldoutTooSmall => {
                format!("{} held-out pieces are too few to judge by, {MIN_HOLDOUT} at least", self.samples)
            }
            Keep::SavesTooLittle if share < 0.0 => {
                format!("it needs {:.1} % more than zstd, or the model in use", -share)
            }
            Keep::SavesTooLittle => {
                let least = 100.0 * MIN_SAVING;
                format!(
                    "it saves {share:.1} % against zstd, or the model in use, and a change is worth it from {least:.0} % on"
                )
            }
            Keep::Unsure => {
                format!(
                    "it saves {share:.1} % on average, and the pieces differ too much among themselves to be sure of it"
                )
            }
            Keep::RivalIsSmaller => match self.on_log.as_ref().and_then(|log| Some((log, log.barred_by()?))) {
                Some((log, rival)) if rival.name == KAFKA => format!(
                    "on the log it takes {} bytes, and Kafka's own zstd without any model {}: let the producer compress this topic",
                    log.candidate, rival.bytes
                ),
                Some((log, rival)) => format!(
                    "on the log it takes {} bytes, and {} without any model {}: `codec = \"auto\"` takes what is cheapest",
                    log.candidate, rival.name, rival.bytes
                ),
                None => "something without any model takes less".to_owned(),
            },
        })
    }
}

/// What the samples of a holdout take under each contender, sample by sample.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Bytes of the samples themselves, together.
    pub raw_bytes: u64,
    /// Under the best codec that needs no model.
    pub plain: Vec<u64>,
    /// Under the model in use.
    pub incumbent: Option<Vec<u64>>,
    /// Under the new model.
    pub candidate: Option<Vec<u64>>,
    /// Size of the new model.
    pub candidate_artefact_bytes: Option<usize>,
    /// What lies on the broker's log, where that was measured.
    pub on_log: Option<OnLog>,
}

/// Compares the contenders.
pub fn judge(sizes: Sizes) -> Verdict {
    let total = |sizes: &Vec<u64>| sizes.iter().sum::<u64>();
    let best_other = match &sizes.incumbent {
        Some(incumbent) if total(incumbent) <= total(&sizes.plain) => incumbent,
        _ => &sizes.plain,
    };
    let saving = sizes.candidate.as_ref().and_then(|candidate| saving(candidate, best_other));
    let samples = sizes.plain.len();
    let decision = match saving {
        None if sizes.candidate.is_none() => Decision::Keep(Keep::NoCandidate),
        _ if samples < MIN_HOLDOUT => Decision::Keep(Keep::HoldoutTooSmall),
        None => Decision::Keep(Keep::HoldoutTooSmall),
        Some(saving) if saving.share < MIN_SAVING => Decision::Keep(Keep::SavesTooLittle),
        Some(saving) if saving.mean < MIN_STANDARD_ERRORS * saving.standard_error => Decision::Keep(Keep::Unsure),
        _ if sizes.incumbent.is_none() && sizes.on_log.as_ref().is_some_and(|log| log.barred_by().is_some()) => {
            Decision::Keep(Keep::RivalIsSmaller)
        }
        Some(_) => Decision::Replace,
    };
    Verdict {
        samples,
        raw_bytes: sizes.raw_bytes,
        plain_bytes: total(&sizes.plain),
        incumbent_bytes: sizes.incumbent.as_ref().map(total),
        candidate_bytes: sizes.candidate.as_ref().map(total),
        candidate_artefact_bytes: sizes.candidate_artefact_bytes,
        saving,
        on_log: sizes.on_log,
        decision,
    }
}

/// The paired differences of two codings of the same samples; `None` without samples.
fn saving(candidate: &[u64], other: &[u64]) -> Option<Saving> {
    let count = candidate.len() as f64;
    let other_bytes: u64 = other.iter().sum();
    if candidate.is_empty() || other_bytes == 0 {
        return None;
    }
    let differences = || candidate.iter().zip(other).map(|(&candidate, &other)| other as f64 - candidate as f64);
    let mean = differences().sum::<f64>() / count;
    let squares: f64 = differences().map(|difference| (difference - mean).powi(2)).sum();
    let standard_error = (squares / (count - 1.0).max(1.0) / count).sqrt();
    Some(Saving { mean, standard_error, share: mean * count / other_bytes as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::dictionary::tests::{lines, refs};
    use crate::model::dictionary::{Dictionary, DictionaryError};

    /// Codes the holdout with each contender at `level` and compares.
    fn challenge(
        candidate: Option<&Dictionary>,
        incumbent: Option<&Dictionary>,
        holdout: &[&[u8]],
        level: i32,
    ) -> Result<Verdict, DictionaryError> {
        Ok(judge(Sizes {
            raw_bytes: holdout.iter().map(|sample| sample.len() as u64).sum(),
            plain: coded_sizes(None, holdout, level)?,
            incumbent: incumbent.map(|dictionary| coded_sizes(Some(dictionary), holdout, level)).transpose()?,
            candidate: candidate.map(|dictionary| coded_sizes(Some(dictionary), holdout, level)).transpose()?,
            candidate_artefact_bytes: candidate.map(|dictionary| dictionary.artefact().len()),
            on_log: None,
        }))
    }

    /// What each sample takes: its frame, or itself where the frame is larger.
    fn coded_sizes(
        dictionary: Option<&Dictionary>,
        samples: &[&[u8]],
        level: i32,
    ) -> Result<Vec<u64>, DictionaryError> {
        let coder = |error: std::io::Error| DictionaryError::Coder { level, detail: error.to_string() };
        let prepared = dictionary.map(|dictionary| dictionary.encoder(level)).transpose()?;
        let mut compressor = match &prepared {
            Some(prepared) => zstd::bulk::Compressor::with_prepared_dictionary(prepared),
            None => zstd::bulk::Compressor::new(level),
        }
        .map_err(coder)?;
        let mut frame = Vec::new();
        samples
            .iter()
            .map(|sample| {
                frame.clear();
                frame.reserve(zstd::zstd_safe::compress_bound(sample.len()));
                let coded = compressor.compress_to_buffer(sample, &mut frame).map_err(coder)?;
                Ok(coded.min(sample.len()) as u64)
            })
            .collect()
    }

    fn trained(offset: usize, count: usize) -> Dictionary {
        Dictionary::train(&refs(&lines(offset, count)), 4096).unwrap()
    }

    #[test]
    fn a_first_dictionary_replaces_nothing_when_it_saves_bytes() {
        let (candidate, lines) = (trained(0, 2000), lines(2000, 500));
        let verdict = challenge(Some(&candidate), None, &refs(&lines), 3).unwrap();
        assert_eq!(verdict.decision, Decision::Replace);
        assert!(verdict.candidate_bytes.unwrap() * 2 < verdict.plain_bytes);
        assert_eq!(verdict.raw_bytes, lines.iter().map(|line| line.len() as u64).sum::<u64>());
        let metrics = verdict.metrics(500);
        assert_eq!(metrics[metric::CANDIDATE], verdict.candidate_bytes.unwrap() as f64 / 500.0);
        assert!(!metrics.contains_key(metric::INCUMBENT));
    }

    #[test]
    fn the_same_dictionary_again_does_not_replace_itself() {
        let (dictionary, lines) = (trained(0, 2000), lines(2000, 500));
        let verdict = challenge(Some(&dictionary), Some(&dictionary), &refs(&lines), 3).unwrap();
        assert_eq!(verdict.decision, Decision::Keep(Keep::SavesTooLittle));
        assert_eq!(verdict.saving, Some(Saving { mean: 0.0, standard_error: 0.0, share: 0.0 }));
    }

    #[test]
    fn a_dictionary_of_another_stream_gives_way_and_counts_as_a_burden() {
        let words: Vec<Vec<u8>> = (0..2000u64)
            .map(|i| format!("{:x}{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i * i * i).into_bytes())
            .collect();
        let stranger = Dictionary::train(&refs(&words), 4096).unwrap();
        let (candidate, lines) = (trained(0, 2000), lines(2000, 500));
        let verdict = challenge(Some(&candidate), Some(&stranger), &refs(&lines), 3).unwrap();
        assert_eq!(verdict.decision, Decision::Replace);
        let back = challenge(Some(&stranger), Some(&candidate), &refs(&lines), 3).unwrap();
        assert_eq!(back.decision, Decision::Keep(Keep::SavesTooLittle));
        assert!(back.saving.unwrap().mean < 0.0);
        assert!(!back.incumbent_hurts());
        assert!(verdict.incumbent_hurts() == (verdict.incumbent_bytes.unwrap() > verdict.plain_bytes));
    }

    #[test]
    fn a_handful_of_samples_decides_nothing() {
        let (candidate, lines) = (trained(0, 2000), lines(2000, MIN_HOLDOUT - 1));
        let verdict = challenge(Some(&candidate), None, &refs(&lines), 3).unwrap();
        assert_eq!(verdict.decision, Decision::Keep(Keep::HoldoutTooSmall));
        let verdict = challenge(Some(&candidate), None, &[], 3).unwrap();
        assert_eq!((verdict.samples, verdict.decision), (0, Decision::Keep(Keep::HoldoutTooSmall)));
        let empty: Vec<&[u8]> = vec![b""; 100];
        let verdict = challenge(Some(&candidate), None, &empty, 3).unwrap();
        assert_eq!((verdict.candidate_bytes, verdict.saving), (Some(0), None));
    }

    #[test]
    fn without_a_candidate_the_verdict_watches_what_is_in_use() {
        let (dictionary, lines) = (trained(0, 2000), lines(2000, 500));
        let verdict = challenge(None, Some(&dictionary), &refs(&lines), 3).unwrap();
        assert_eq!(verdict.decision, Decision::Keep(Keep::NoCandidate));
        assert!(verdict.incumbent_bytes.unwrap() < verdict.plain_bytes);
        assert_eq!(verdict.candidate_bytes, None);
    }

    #[test]
    fn a_rival_that_is_clearly_smaller_keeps_a_first_model_out_and_no_later_one() {
        let rival = |name: &str, bytes, bars| Rival { name: name.to_owned(), bytes, bars };
        let verdict = |rivals, incumbent| {
            judge(Sizes {
                raw_bytes: 10_000,
                plain: vec![200; 10],
                incumbent,
                candidate: Some(vec![100; 10]),
                candidate_artefact_bytes: None,
                on_log: Some(OnLog { block_bytes: 100, candidate: 1_100, rivals, left_out: Vec::new() }),
            })
        };
        let better = verdict(vec![rival("xz:6", 1_090, true), rival(KAFKA, 900, false)], None);
        assert_eq!((better.decision, better.reason()), (Decision::Replace, None));
        let log = better.on_log.as_ref().unwrap();
        assert!((log.saving().unwrap() - (1.0 - 1_100.0 / 1_090.0)).abs() < 1e-9);
        let metrics = better.metrics(100);
        assert_eq!(metrics[&metric::on_log(metric::ON_LOG_CANDIDATE)], 11.0);
        assert_eq!((metrics["log_bytes_per_record.xz:6"], metrics[&metric::on_log(KAFKA)]), (10.9, 9.0));
        let rivals = vec![rival("brotli:11", 1_070, true), rival("xz:6", 1_050, true)];
        let worse = verdict(rivals.clone(), None);
        assert_eq!(worse.decision, Decision::Keep(Keep::RivalIsSmaller));
        assert!(worse.reason().unwrap().contains("xz:6 without any model 1050"), "{:?}", worse.reason());
        assert_eq!(verdict(rivals, Some(vec![150; 10])).decision, Decision::Replace);
    }

    #[test]
    fn a_saving_that_one_sample_makes_alone_is_unsure() {
        let mut other = vec![100; 50];
        other[7] = 1000;
        let saving = saving(&[100; 50], &other).unwrap();
        assert!(saving.share > MIN_SAVING);
        assert!(saving.mean < MIN_STANDARD_ERRORS * saving.standard_error);
        // Mean 18, deviations 49 of -18 and one of 882: variance 16,200 over n - 1, standard error 18.
        assert!((saving.mean - 18.0).abs() < 1e-9 && (saving.standard_error - 18.0).abs() < 1e-9, "{saving:?}");
    }

    #[test]
    fn a_sample_that_coding_enlarges_counts_as_itself() {
        let sizes = coded_sizes(None, &[b"", b"x", b"xyz"], 3).unwrap();
        assert_eq!(sizes, [0, 1, 3]);
    }
}
