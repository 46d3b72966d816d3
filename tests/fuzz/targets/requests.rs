//! Fuzzes the bytes of requests to the server.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::requests::run(data));
