//! Fuzzes the responses of receivers.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::responses::run(data));
