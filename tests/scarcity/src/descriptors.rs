//! Services that have used up their file descriptors for a while.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;

use crate::service::{Service, receiver, scrape};

#[test]
fn servers_and_all_push_targets_recover_when_descriptors_are_free_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("service.prom");
    let (http, statsd) = (receiver(), UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    let url = format!("http://{http}");
    let targets = [
        ("graphite", receiver()),
        ("statsd", statsd.local_addr().expect("an address").to_string()),
        ("remote_write", url.clone()),
        ("otlp", url.clone()),
        ("pushgateway", url),
        ("text_file", file.display().to_string()),
    ];
    let mut service = Service::start(Command::new("env"));
    service.limit(Command::new("env"), "nofile", "64");
    let addr = service.succeeds("serve");
    assert!(scrape(&addr).contains("\nprocess_open_fds "));
    let outcome =
        |target: &str, outcome: &str| format!(r#"metrics_core_push_total{{target="{target}",outcome="{outcome}"}}"#);
    for (target, addr) in &targets {
        service.succeeds(&format!("push {target} {addr}"));
        service.wait_for_more(&outcome(target, "success"));
    }

    service.succeeds("use-files");
    let error = service.fails("serve");
    assert!(error.contains("Too many open files"), "{error}");
    for (target, _) in &targets {
        service.wait_for_more(&outcome(target, "error"));
    }
    // Only the statistics that need a descriptor are missing from a scrape.
    service.succeeds("count 7");
    let text = scrape(&addr);
    assert!(text.contains("\nevents_total 7\n") && !text.contains("\nprocess_open_fds "), "{text}");

    service.succeeds("free");
    for (target, _) in &targets {
        service.wait_for_more(&outcome(target, "success"));
    }
    let pushed = fs::read_to_string(file).expect("written");
    assert!(pushed.contains("\nevents_total 7\n") && pushed.contains("\nprocess_open_fds "), "{pushed}");
    let second = service.succeeds("serve");
    for addr in [addr, second] {
        let text = scrape(&addr);
        assert!(text.contains("\nevents_total 7\n") && text.contains("\nprocess_open_fds "), "{text}");
    }
}
