//! Services in containers without `/proc`, name resolution or free ports.

use std::process::Command;
use std::{env, fs};

use crate::service::{Service, is_root, receiver, scrape};

/// Runs the rest of the command line in new namespaces, as root there.
const UNSHARE: [&str; 3] = ["--map-root-user", "--mount", "--net"];

/// Returns true if this machine permits namespaces. Users other than root often cannot create them, and in containers,
/// root often cannot either. In the latter case, `SCARCITY_SKIP_NAMESPACES` must be set, so that CI cannot skip tests
/// unnoticed.
fn has_namespaces() -> bool {
    if env::var_os("SCARCITY_SKIP_NAMESPACES").is_some() {
        println!("skipped, because SCARCITY_SKIP_NAMESPACES is set");
        return false;
    }
    let unshared = Command::new("unshare").args(UNSHARE).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let error = match unshared {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(!is_root(), "set SCARCITY_SKIP_NAMESPACES if root cannot create namespaces here: {error}");
    println!("skipped, because this user cannot create namespaces: {error}");
    false
}

#[test]
fn without_proc_only_the_statistics_of_the_process_are_missing() {
    if !has_namespaces() {
        return;
    }
    let mut service = Service::start_by("unshare", &UNSHARE[..2], "mount -t tmpfs tmpfs /proc &&");
    let addr = service.succeeds("serve");
    service.succeeds("count 3");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("service.prom");
    service.succeeds(&format!("push text_file {}", file.display()));
    service.succeeds(&format!("push remote_write http://{}", receiver()));
    for target in ["text_file", "remote_write"] {
        service.wait_for_more(&format!(r#"metrics_core_push_total{{target="{target}",outcome="success"}}"#));
    }
    for text in [scrape(&addr), fs::read_to_string(file).expect("written")] {
        for line in ["\nevents_total 3\n", "\ncollected 1\n", "_build_info{revision=\"test\""] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("\nprocess_"), "{text}");
    }
    let errors = r#"metrics_core_internal_errors_total{kind="collector_error"}"#;
    let before = service.value(errors).expect("exported");
    scrape(&addr);
    assert!(service.value(errors).expect("exported") > before);
    service.in_namespace("umount /proc");
    let text = scrape(&addr);
    for name in ["process_cpu_seconds_total", "process_open_fds", "process_threads"] {
        assert!(text.contains(&format!("\n{name} ")), "{text}");
    }
}

#[test]
fn names_that_cannot_be_resolved_are_resolved_once_they_can_be() {
    if !has_namespaces() {
        return;
    }
    let mut service = Service::start_by("unshare", &UNSHARE[..2], "mount -t tmpfs tmpfs /etc &&");
    let targets = ["graphite", "remote_write"];
    let addr = receiver().replace("127.0.0.1", "metrics-receiver");
    service.succeeds(&format!("push graphite {addr}"));
    service.succeeds(&format!("push remote_write http://{addr}"));
    for target in targets {
        service.wait_for_more(&format!(r#"metrics_core_push_total{{target="{target}",outcome="error"}}"#));
    }
    service.in_namespace("echo 127.0.0.1 metrics-receiver >/etc/hosts");
    for target in targets {
        service.wait_for_more(&format!(r#"metrics_core_push_total{{target="{target}",outcome="success"}}"#));
    }
}

#[test]
fn a_push_without_a_free_port_succeeds_once_ports_are_free() {
    if !has_namespaces() {
        return;
    }
    // Each connection takes a port. Pushes open a few, and closed ones are free again after a second.
    let ports = "ip link set lo up && echo 40000 40063 >/proc/sys/net/ipv4/ip_local_port_range &&";
    let mut service = Service::start_by("unshare", &UNSHARE, ports);
    let addr = service.succeeds("receive");
    service.succeeds(&format!("push graphite {addr}"));
    service.succeeds(&format!("push remote_write http://{addr}"));
    service.succeeds("serve");
    let error = service.succeeds(&format!("use-ports {addr}"));
    assert!(error.contains("Cannot assign requested address"), "{error}");
    for target in ["graphite", "remote_write"] {
        service.wait_for_more(&format!(r#"metrics_core_push_total{{target="{target}",outcome="error"}}"#));
    }
    service.succeeds("free");
    for target in ["graphite", "remote_write"] {
        service.wait_for_more(&format!(r#"metrics_core_push_total{{target="{target}",outcome="success"}}"#));
    }
}
