//! Compares pushes over OTLP, remote write and StatsD with the samples that receivers find.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tests::pushes::run(data));
