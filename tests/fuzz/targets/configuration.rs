//! Fuzzes the configuration of push targets.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::configuration::run(data));
