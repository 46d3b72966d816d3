//! Fuzzes `#[instrument(..)]`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::attribute::run(data));
