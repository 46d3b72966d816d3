//! Fuzzes the headers and queries of scrapes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::headers::run(data));
