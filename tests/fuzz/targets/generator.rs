//! Generators that are not what they should be, golden ones with changes; and what is drawn from them.

#![no_main]

#[allow(dead_code, reason = "what memory a model may take is measured by the test")]
#[path = "../../format/generators.rs"]
mod generators;

libfuzzer_sys::fuzz_target!(|attack: generators::GeneratorAttack<'_>| {
    attack.judge();
});
