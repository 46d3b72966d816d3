//! A program without a logger prints problems to stderr.

use std::process::{Command, Output};

use metrics_core::{Counter, Gauge, Registry, Summary};

/// The environment variable that is set in the child process.
const IS_CHILD: &str = "METRICS_CORE_TEST_IS_CHILD";

/// Runs the named test in a process without a logger and returns its output.
fn run(name: &str) -> Output {
    let mut child = Command::new(std::env::current_exe().expect("known"));
    child.args(["--exact", name, "--nocapture"]).env(IS_CHILD, "1").env_remove("RUST_LOG");
    child.output().expect("it runs")
}

#[test]
fn problems_are_written_to_stderr_once() {
    if std::env::var_os(IS_CHILD).is_none() {
        let output = run("problems_are_written_to_stderr_once");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("metrics-core: ")).collect();
        let of = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
        assert_eq!(of("no_logger.rs:"), 3, "{stderr}");
        assert_eq!(of("unheard is registered with another type: counter at"), 1, "{stderr}");
        assert_eq!(of("an observation that is not finite was ignored (logged once)"), 1, "{stderr}");
        assert_eq!(of("a counter ignored an amount that is negative or not finite (logged once)"), 1, "{stderr}");
        assert_eq!(lines.len(), 3, "{stderr}");
        return;
    }
    let (counter, summary) = (Counter::builder("unheard", "").register(), Summary::builder("heard", "").register());
    for _ in 0..3 {
        let gauge = || Gauge::builder("unheard", "").register();
        gauge().inc();
        counter.inc_by(-1);
        summary.observe(f64::NAN);
        let _ = Registry::global().to_text();
    }
}
