//! What came of a training: who needs how many bytes, and what was done with the model.

use std::io::{self, Write as _};
use std::path::Path;

use comfy_table::{CellAlignment, Table};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Map, json};

use crate::cli::Format;
use crate::cli::show::{print_json, table};
use crate::codec::ModelId;
use crate::model::{Decision, Manifest, OnLog, Verdict};
use crate::pipeline::Pieces;
use crate::registry::Activation;
use crate::units::ByteSize;

/// All of it.
pub struct Report<'a> {
    /// The new model.
    pub manifest: &'a Manifest,
    /// How it did.
    pub verdict: &'a Verdict,
    /// Records that it was learned from.
    pub trained_records: u64,
    /// Records that it was measured on.
    pub held_out_records: u64,
    /// Generated records of the topic, from which nothing learns.
    pub refused_records: u64,
    /// Blocks that were judged, and most raw bytes of one where the model is used; nothing of single records.
    pub piece: Option<(Pieces, ByteSize)>,
    /// CPU of the training alone.
    pub cpu_seconds: f64,
    /// The model in use that it was compared with.
    pub incumbent: Option<ModelId>,
    /// Where it was written.
    pub output: Option<&'a Path>,
    /// How it was put to use.
    pub promoted: Option<&'a Activation>,
}

impl Report<'_> {
    /// Prints it.
    pub fn print(&self, format: Format) -> anyhow::Result<()> {
        if format == Format::Json {
            return print_json(&self.json());
        }
        let mut out = io::stdout().lock();
        let Self { manifest, verdict, .. } = self;
        writeln!(
            out,
            "{} {}, {}: learned from {} records in {:.1} s of CPU",
            manifest.family,
            manifest.model,
            HumanBytes(manifest.artefact_bytes),
            HumanCount(self.trained_records),
            self.cpu_seconds,
        )?;
        for span in &manifest.window {
            writeln!(out, "of {}/{}, offsets {} to {}", span.topic, span.partition, span.first, span.last)?;
        }
        if self.refused_records > 0 {
            let count = HumanCount(self.refused_records);
            writeln!(out, "generated records, which nothing learns from and nothing is judged by: {count} left out")?;
        }
        writeln!(out, "{}", self.table())?;
        let count = HumanCount(self.held_out_records);
        let told = written_as(self.piece);
        writeln!(out, "On {count} records, which no training has seen, written as the pipeline writes them: {told}")?;
        if let Some(log) = verdict.on_log.as_ref().filter(|_| self.held_out_records > 0) {
            let how = match log.block_bytes {
                0 => "each record alone".to_owned(),
                most => format!("in blocks, or batches, of at most {}", HumanBytes(most)),
            };
            writeln!(out, "On the broker's log, {how}, with all that Kafka itself needs:\n{}", self.on_log_table(log))?;
            if !log.left_out.is_empty() {
                writeln!(out, "Left out, since they take too long: {}.", log.left_out.join(", "))?;
            }
        }
        match verdict.reason() {
            None => {
                let share = 100.0 * verdict.saving.map_or(0.0, |saving| saving.share);
                let others = if self.incumbent.is_some() { "the better of zstd and the model in use" } else { "zstd" };
                write!(out, "It saves {share:.1} % against {others}")?;
                match verdict.on_log.as_ref().and_then(|log| Some((log.saving()?, log.best_rival()?))) {
                    Some((saving, rival)) => {
                        writeln!(out, ", and on the log {:.1} % against {}.", 100.0 * saving, rival.name)?;
                    }
                    None => writeln!(out, ".")?,
                }
            }
            Some(reason) => writeln!(out, "It would not be put to use: {reason}.")?,
        }
        if let Some(path) = self.output {
            writeln!(out, "written   {}", path.display())?;
        }
        if let Some(activation) = self.promoted {
            writeln!(out, "in use    pipeline {}, change {}", activation.pipeline, activation.sequence)?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = table(["", "bytes/record", "times smaller than raw"]);
        let verdict = self.verdict;
        let mut row = |name: String, bytes: u64| {
            let per_record = bytes as f64 / self.held_out_records.max(1) as f64;
            let ratio = verdict.raw_bytes as f64 / bytes.max(1) as f64;
            table.add_row([name, format!("{per_record:.2}"), format!("{ratio:.2}")]);
        };
        row("raw".to_owned(), verdict.raw_bytes);
        row("zstd, no model".to_owned(), verdict.plain_bytes);
        if let (Some(id), Some(bytes)) = (self.incumbent, verdict.incumbent_bytes) {
            row(format!("in use: {}…", &id.to_string()[..12]), bytes);
        }
        if let Some(bytes) = verdict.candidate_bytes {
            row(format!("new: {}…", &self.manifest.model.to_string()[..12]), bytes);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// What needs no model, beside the candidate.
    fn on_log_table(&self, log: &OnLog) -> Table {
        let mut table = table(["", "bytes/record", "times the new model"]);
        let mut row = |name: &str, bytes: u64| {
            let per_record = bytes as f64 / self.held_out_records.max(1) as f64;
            let times = bytes as f64 / log.candidate.max(1) as f64;
            table.add_row([name.to_owned(), format!("{per_record:.2}"), format!("{times:.2}")]);
        };
        row("new", log.candidate);
        for rival in &log.rivals {
            let name = if rival.bars { rival.name.clone() } else { format!("{} (bars nothing)", rival.name) };
            row(&name, rival.bytes);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    fn json(&self) -> serde_json::Value {
        let verdict = self.verdict;
        json!({
            "manifest": self.manifest,
            "trained_records": self.trained_records,
            "held_out_records": self.held_out_records,
            "refused_records": self.refused_records,
            "judged_block_bytes": self.piece.map(|(piece, _)| piece.most.bytes()),
            "block_bytes": self.piece.map(|(_, block)| block.bytes()),
            "cpu_seconds": self.cpu_seconds,
            "raw_bytes": verdict.raw_bytes,
            "plain_bytes": verdict.plain_bytes,
            "incumbent": self.incumbent,
            "incumbent_bytes": verdict.incumbent_bytes,
            "candidate_bytes": verdict.candidate_bytes,
            "saving": verdict.saving.map(|saving| saving.share),
            "wins": verdict.decision == Decision::Replace,
            "on_log": verdict.on_log.as_ref().map(|log| json!({
                "block_bytes": log.block_bytes,
                "candidate_bytes": log.candidate,
                "bars": log.rivals.iter().filter(|rival| rival.bars).map(|rival| rival.name.as_str()).collect::<Vec<_>>(),
                "left_out": log.left_out,
                "rivals": log.rivals.iter().map(|rival| (rival.name.clone(), rival.bytes.into())).collect::<Map<_, _>>(),
            })),
            "reason": verdict.reason(),
            "output": self.output,
            "promoted": self.promoted,
        })
    }
}

/// In what form records were judged.
fn written_as(piece: Option<(Pieces, ByteSize)>) -> String {
    match piece {
        Some((piece, block)) if piece.most < block => {
            let why = if piece.is_small_holdout {
                "so that there are enough to judge by"
            } else {
                "which is the most that is judged at once"
            };
            let [most, block] = [piece.most, block].map(|size| HumanBytes(size.bytes()));
            format!("in blocks of at most {most},\n{why}. Those of the pipeline hold up to {block}, and take less.")
        }
        Some(_) => "in blocks\nwith all that is in them.".to_owned(),
        None => "values\nwith their frames.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_holdout_is_the_reason_of_small_blocks_only_where_it_is() {
        let told = |most, is_small_holdout| {
            written_as(Some((Pieces { most: ByteSize::kib(most), is_small_holdout }, ByteSize::mib(1))))
        };
        assert!(told(20, true).contains("at most 20.00 KiB,\nso that there are enough"), "{}", told(20, true));
        assert!(told(128, false).contains("at most 128.00 KiB,\nwhich is the most"), "{}", told(128, false));
        assert!(!told(1024, false).contains("at most"));
    }
}
