//! Fuzzes names, labels and bounds.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::names::run(data));
