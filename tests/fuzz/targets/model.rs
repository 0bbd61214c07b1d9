//! Models that are not what they should be: golden ones with changes, and any bytes; and what is decoded with them.

#![no_main]

#[path = "../../format/models.rs"]
mod models;

libfuzzer_sys::fuzz_target!(|attack: models::ModelAttack<'_>| {
    attack.judge();
});
