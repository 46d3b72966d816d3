//! A real Prometheus server on a free port, with temporary storage.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{get, wait_for};

pub(crate) struct Prometheus {
    command: Command,
    child: Child,
    url: String,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts a server that scrapes `target` five times a second, and waits for the first scrape.
    pub(crate) fn scraping(target: &str) -> Self {
        Self::start(target, "", &[])
    }

    /// Like [`Prometheus::scraping`], but with extra scrape configuration (such as `, scheme: https`) and arguments.
    pub(crate) fn start(target: &str, configuration: &str, arguments: &[&str]) -> Self {
        Self::start_version("prometheus", target, configuration, arguments)
    }

    /// The programs of two versions: 2.42, and 2.53 or newer.
    pub(crate) const VERSIONS: [&str; 2] =
        ["prometheus", concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/newer-prometheus/prometheus")];

    /// The arguments for a server that scrapes protobuf, and stores the native buckets instead of the classic ones.
    pub(crate) const NATIVE: [&str; 1] = ["--enable-feature=native-histograms"];

    /// Like [`Prometheus::scraping`], for one of [`Prometheus::VERSIONS`], with a file of rules and extra arguments.
    pub(crate) fn with_rules(program: &str, target: &str, rules: &Path, arguments: &[&str]) -> Self {
        Self::start_all(program, target, "", &format!("rule_files: ['{}']\n", rules.display()), arguments)
    }

    /// Like [`Prometheus::start`], for one of [`Prometheus::VERSIONS`].
    pub(crate) fn start_version(program: &str, target: &str, configuration: &str, arguments: &[&str]) -> Self {
        Self::start_all(program, target, configuration, "", arguments)
    }

    /// Starts one of [`Prometheus::VERSIONS`] as a receiver of remote write, with extra arguments.
    pub(crate) fn receiving(program: &str, arguments: &[&str]) -> Self {
        let arguments = [&["--web.enable-remote-write-receiver"], arguments].concat();
        let this = Self::start_configured(program, "", &arguments);
        this.wait_until_ready();
        this
    }

    fn start_all(program: &str, target: &str, configuration: &str, more: &str, arguments: &[&str]) -> Self {
        let text = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
             {more}\
             scrape_configs: [{{job_name: router, static_configs: [{{targets: ['{target}']}}]{configuration}}}]\n"
        );
        let this = Self::start_configured(program, &text, arguments);
        wait_for("the first scrape", || (this.try_value("up{job=\"router\"}") == Some(1.0)).then_some(()));
        this
    }

    fn start_configured(program: &str, config: &str, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).expect("written");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("Prometheus is installed: run ./tests/run");
        Self { command, child, url: format!("http://127.0.0.1:{port}"), _dir: dir }
    }

    fn wait_until_ready(&self) {
        let url = format!("{}/-/ready", self.url);
        wait_for("Prometheus", || get(&url).is_ok_and(|(status, _)| status == 200).then_some(()));
    }

    /// Returns the URL for remote write.
    pub(crate) fn write_url(&self) -> String {
        format!("{}/api/v1/write", self.url)
    }

    /// Kills the server. Its data remain on disk.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts the server again after [`Prometheus::kill`], with the same address and data.
    pub(crate) fn start_again(&mut self) {
        self.child = self.command.spawn().expect("it started before");
        self.wait_until_ready();
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
    }

    /// Returns the result of a query: the labels and value of each series.
    pub(crate) fn query(&self, promql: &str) -> Vec<(Value, f64)> {
        self.try_query(promql).unwrap_or_else(|| panic!("no answer to {promql}"))
    }

    /// Returns the value of the only series in a query's result.
    pub(crate) fn value(&self, promql: &str) -> f64 {
        let result = self.query(promql);
        let [(_, value)] = &result[..] else { panic!("{promql} returns {result:?}") };
        *value
    }

    /// Returns the exemplars of the series that a selector matches: the labels of the series, the labels of the
    /// exemplar, and its value.
    pub(crate) fn exemplars(&self, selector: &str) -> Vec<(Value, Value, f64)> {
        // All of the time since 1970.
        let url = format!("{}/api/v1/query_exemplars?start=0&end=9999999999&query={}", self.url, escape(selector));
        let (status, body) = get(&url).expect("an answer");
        assert_eq!(status, 200, "{selector}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let series = answer["data"].as_array().expect("a list");
        let exemplars = series.iter().flat_map(|series| {
            let exemplars = series["exemplars"].as_array().expect("a list").iter();
            exemplars.map(|exemplar| {
                let value = exemplar["value"].as_str().and_then(|value| value.parse().ok()).expect("a number");
                (series["seriesLabels"].clone(), exemplar["labels"].clone(), value)
            })
        });
        exemplars.collect()
    }

    fn try_value(&self, promql: &str) -> Option<f64> {
        self.try_query(promql)?.first().map(|(_, value)| *value)
    }

    fn try_query(&self, promql: &str) -> Option<Vec<(Value, f64)>> {
        let (status, body) = get(&format!("{}/api/v1/query?query={}", self.url, escape(promql))).ok()?;
        assert!(status == 200 || status == 503, "{promql}: {body}");
        let answer: Value = serde_json::from_str(&body).ok()?;
        let result = answer["data"]["result"].as_array()?;
        let series = result.iter().map(|series| {
            let value = series["value"][1].as_str().and_then(|value| value.parse().ok());
            Some((series["metric"].clone(), value?))
        });
        series.collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Stop the server when the test ends, even if the test fails.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Percent-encodes a query for a URL.
pub(crate) fn escape(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    escaped.collect()
}
