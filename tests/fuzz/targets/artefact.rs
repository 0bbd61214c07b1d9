//! A model's artefact as it is: golden ones are its corpus.

#![no_main]

use latentd::model::ColumnsModel;

libfuzzer_sys::fuzz_target!(|artefact: &[u8]| {
    let _ = ColumnsModel::parse(artefact);
});
