//! A record's value as it is, named as a frame and named by nothing: golden files are its corpus.

#![no_main]

#[allow(dead_code, reason = "this target uses the decoding half only")]
#[path = "../../format/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|value: &[u8]| {
    for token in [Some("latentd"), None] {
        hostile::Target::new().decode(token, value);
    }
});
