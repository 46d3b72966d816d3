//! The text file: atomic replacement, and failures that leave the previous file in place.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use metrics_core::{Counter, Registry, TextFile};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Returns the names of all files in a directory, including hidden ones.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Returns a registry with this many counters, each with a value of 1.
fn large(series: u32) -> (Registry, metrics_core::Family<Counter, 1>) {
    let registry = Registry::new();
    let family = Counter::builder("events_total", "Events.").labels(["of"]).max_series(100_000);
    let family = family.register_in(&registry).expect("valid");
    for number in 0..series {
        family.labels([&number.to_string()]).inc();
    }
    (registry, family)
}

#[test]
fn a_reader_never_sees_a_part_of_a_file() {
    let directory = directory();
    let path = directory.path().join("events.prom");
    let (registry, _) = large(5_000);
    let file = TextFile::new(&path).registry(&registry);
    file.push().expect("written");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Two pushers write the same file.
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    file.push().expect("written");
                }
            });
        }
        for _ in 0..200 {
            let text = fs::read_to_string(&path).expect("it is always there");
            assert_eq!(text.lines().filter(|line| line.starts_with("events_total{")).count(), 5_000);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(files(directory.path()), ["events.prom"]);
}

#[test]
fn a_file_equals_the_text_format_and_everyone_can_read_it() {
    let directory = directory();
    let path = directory.path().join("events.prom");
    let (registry, _) = large(3);
    TextFile::new(&path).registry(&registry).push().expect("written");
    assert_eq!(fs::read_to_string(&path).expect("a file"), registry.to_text());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
    }
}

#[test]
fn errors_name_the_file_and_the_cause() {
    let directory = directory();
    let at = |path: &str| directory.path().join(path);
    let error = |file: TextFile| file.push().expect_err("it cannot be written").to_string();
    let shown = directory.path().display();
    assert_eq!(
        error(TextFile::new(at("missing/app.prom"))),
        format!("text_file: cannot write {shown}/missing/app.prom: the directory {shown}/missing does not exist")
    );
    fs::create_dir(at("app.prom")).expect("a directory");
    let message = error(TextFile::new(at("app.prom")).name("batch"));
    assert!(message.starts_with(&format!("batch: cannot write {shown}/app.prom: Is a directory")), "{message}");
    let invalid = "/ is not the path of a file; write a path such as /var/lib/metrics/app.prom";
    let start = TextFile::new("/").start(Duration::from_secs(1)).expect_err("it is a directory");
    assert_eq!(start.to_string(), invalid);
    assert_eq!(error(TextFile::new("/")), format!("text_file: {invalid}"));
    assert_eq!(files(directory.path()), ["app.prom"]);
}

#[test]
fn files_of_killed_processes_are_removed() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let old = SystemTime::now() - Duration::from_secs(7_200);
    for (name, is_old) in
        [(".app.prom.1-0.tmp", true), (".app.prom.2-0.tmp", false), (".other.prom.1-0.tmp", true), (".app.prom", true)]
    {
        let file = File::create(at(name)).expect("a file");
        if is_old {
            file.set_modified(old).expect("a time");
        }
    }
    TextFile::new(at("app.prom")).registry(&Registry::new()).push().expect("written");
    assert_eq!(files(directory.path()), [".app.prom", ".app.prom.2-0.tmp", ".other.prom.1-0.tmp", "app.prom"]);
}

#[test]
fn a_missing_directory_is_a_failure_until_it_exists() {
    let directory = directory();
    let path = directory.path().join("later/app.prom");
    let (registry, family) = large(1);
    let pusher = TextFile::new(&path).registry(&registry).name("later").start(Duration::from_millis(20));
    let pusher = pusher.expect("a thread");
    let failed = r#"metrics_core_push_total{target="later",outcome="error"}"#;
    while crate::sample(failed).is_none_or(|failed| failed < 1.0) {
        thread::yield_now();
    }
    fs::create_dir(directory.path().join("later")).expect("a directory");
    family.labels(["0"]).inc();
    pusher.shutdown().expect("written");
    assert!(fs::read_to_string(&path).expect("a file").contains("events_total{of=\"0\"} 2\n"));
}
