//! Services that cannot spawn threads for a while.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::service::{LONG, Service, get, is_root, scrape};

/// Returns a command that runs its arguments as a user to whom a limit on threads applies.
///
/// It does not apply to root. The limit counts all threads of a user, so root chooses a user without other processes.
fn as_user() -> Command {
    if !is_root() {
        return Command::new("env");
    }
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid=61234", "--clear-groups"]);
    setpriv
}

/// Returns a limit that permits a few more threads than all processes of the user have.
fn enough_threads() -> String {
    let user = fs::metadata("/proc/self").expect("mounted").uid();
    let processes = fs::read_dir("/proc").expect("mounted").flatten().map(|entry| entry.path());
    let of_user = processes.filter(|path| fs::metadata(path).is_ok_and(|process| process.uid() == user));
    let threads: usize = of_user.filter_map(|path| Some(fs::read_dir(path.join("task")).ok()?.count())).sum();
    (threads + 4_096).to_string()
}

/// Copies this program to a directory, because other users may not have access to its own.
fn copy_program(directory: &Path) -> PathBuf {
    let copy = directory.join("service");
    fs::copy(env::current_exe().expect("known"), &copy).expect("written");
    fs::set_permissions(&copy, Permissions::from_mode(0o755)).expect("changed");
    copy
}

#[test]
fn prometheus_gathers_the_families_of_a_service_that_started_without_threads() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).expect("changed");
    let mut limited = as_user();
    limited.args(["prlimit", "--nproc=1:"]);
    let mut service = Service::start_program(limited, copy_program(directory.path()));
    service.fails("spawn");
    service.fails("gather events_total");
    service.limit(as_user(), "nproc", &enough_threads());
    // The library does not try to spawn the thread each time.
    let begin = Instant::now();
    while service.ask("gather events_total") != "ok" {
        assert!(begin.elapsed() < LONG, "not gathered");
    }
}

#[test]
fn a_service_without_threads_still_serves_and_recovers() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).expect("changed");
    let mut service = Service::start_program(as_user(), copy_program(directory.path()));
    let addr = service.succeeds("serve");
    let file = directory.path().join("service.prom");
    service.succeeds(&format!("push text_file {}", file.display()));
    service.succeeds("count 1");
    service.wait_for_more(r#"metrics_core_push_total{target="text_file",outcome="success"}"#);

    service.limit(as_user(), "nproc", "1");
    service.fails("spawn");
    // The running server runs collectors on its own thread.
    service.succeeds("count 10");
    let text = scrape(&addr);
    assert!(text.contains("\nevents_total 11\n") && text.contains("\ncollected 1\n"), "{text}");
    get(&addr, "/?snapshot");
    let error = service.fails("serve");
    assert!(error.contains("cannot start the metrics server"), "{error}");
    service.fails("push text_file unused.prom");
    // The running pusher tries again at each tick.
    service.wait_for_more(r#"metrics_core_internal_errors_total{kind="thread_spawn_failed"}"#);
    service.succeeds("count 100");

    service.limit(as_user(), "nproc", &enough_threads());
    service.succeeds("spawn");
    service.wait_for_more(r#"metrics_core_push_total{target="text_file",outcome="success"}"#);
    let pushed = fs::read_to_string(file).expect("written");
    assert!(pushed.contains("\nevents_total 111\n") && pushed.contains("\ncollected 1\n"), "{pushed}");
    let second = service.succeeds("serve");
    for addr in [addr, second] {
        assert!(scrape(&addr).contains("\nevents_total 111\n"));
    }
}
