//! Attacks with a structure: forged blocks under right checksums, honest ones, any bytes under any codec.

#![no_main]

#[path = "../../format/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|attack: hostile::Attack<'_>| attack.judge());
