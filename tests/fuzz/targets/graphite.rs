//! Compares pushes to Graphite with the samples that carbon finds.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::graphite::run(data));
