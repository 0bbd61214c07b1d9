//! Models that are not what they should be: golden ones with changes, and any bytes; and what is decoded with them.

#![no_main]

#[allow(dead_code, reason = "what memory a model may take is measured by the test")]
#[path = "../../format/models.rs"]
mod models;

libfuzzer_sys::fuzz_target!(|attack: models::ModelAttack<'_>| {
    attack.judge();
});
