//! The same metrics, and those of the process, over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::expect_samples;

/// Panics unless a scrape returns these samples, and process metrics if the platform has them.
pub(crate) fn check(samples: &[&str]) {
    metrics_core::process_metrics!();
    let server = metrics_core::start_http_server("127.0.0.1:0").expect("a free port");
    let mut stream = TcpStream::connect(server.local_addr()).expect("a server");
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("UTF-8");
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
    expect_samples(&text, samples);
    // A container may lack /proc. Its scrapes then contain everything else.
    let reported = text.contains("\nprocess_cpu_seconds_total ");
    assert_eq!(reported, cfg!(not(target_os = "linux")) || Path::new("/proc/self/stat").exists(), "{text}");
    server.shutdown();
}
