//! Fuzzes `#[derive(Metrics)]` and `#[derive(LabelValue)]`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::derives::run(data));
