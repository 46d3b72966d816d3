//! Compares expositions with the samples that parsers of other projects find.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::exposition::run(data));
