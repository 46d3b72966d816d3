//! The receivers of a fleet's metrics, and queries of their contents.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use servers::{Server, get, wait_for};

/// A Prometheus server that scrapes the targets in a file every second.
pub(crate) struct Prometheus {
    pub(crate) server: Server,
    targets: PathBuf,
}

impl Prometheus {
    pub(crate) fn start() -> Self {
        let server = Server::start("prometheus", |port, dir| {
            let config = dir.join("prometheus.yml");
            let text = format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
                 scrape_configs: [{{job_name: fleet, file_sd_configs: [{{files: ['{}'], refresh_interval: 1s}}]}}]\n",
                dir.join("targets.json").display()
            );
            fs::write(&config, text).expect("written");
            vec![
                format!("--config.file={}", config.display()),
                format!("--storage.tsdb.path={}", dir.join("data").display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--enable-feature=native-histograms".to_owned(),
            ]
        });
        let targets = server.dir().join("targets.json");
        Self { server, targets }
    }

    /// Sets the targets: the address and the instance of each replica.
    pub(crate) fn scrape(&self, replicas: &[(String, String)]) {
        let groups: Vec<Value> = replicas
            .iter()
            .map(|(address, instance)| serde_json::json!({"targets": [address], "labels": {"instance": instance}}))
            .collect();
        // Prometheus must not read an incomplete file.
        let temporary = self.targets.with_extension("tmp");
        fs::write(&temporary, Value::from(groups).to_string()).expect("written");
        fs::rename(temporary, &self.targets).expect("renamed");
    }

    /// Returns the result of an instant query by instance.
    pub(crate) fn query(&self, promql: &str) -> BTreeMap<String, f64> {
        query(self.server.url(), promql)
    }
}

/// A VictoriaMetrics server.
pub(crate) struct Victoria {
    pub(crate) server: Server,
}

impl Victoria {
    pub(crate) fn start() -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/victoria-metrics/victoria-metrics");
        let server = Server::start(program, |port, dir| {
            vec![
                format!("-storageDataPath={}", dir.display()),
                format!("-httpListenAddr=127.0.0.1:{port}"),
                "-search.latencyOffset=0s".to_owned(),
                "-retentionPeriod=1d".to_owned(),
                "-opentelemetry.usePrometheusNaming".to_owned(),
            ]
        });
        Self { server }
    }

    pub(crate) fn write_url(&self) -> String {
        format!("{}/api/v1/write", self.server.url())
    }

    pub(crate) fn otlp_url(&self) -> String {
        format!("{}/opentelemetry/v1/metrics", self.server.url())
    }

    /// Returns the sum of the last values of all matching series, by the value of a label.
    pub(crate) fn last(&self, selector: &str, by: &str) -> BTreeMap<String, f64> {
        self.flush();
        let (_, body) =
            get(&format!("{}/api/v1/export?match[]={}", self.server.url(), escape(selector))).expect("JSON");
        let mut sums = BTreeMap::new();
        for line in body.lines() {
            let series: Value = serde_json::from_str(line).expect("JSON");
            let instance = series["metric"][by].as_str().unwrap_or_default().to_owned();
            // A stale marker is `null`.
            let values = series["values"].as_array().expect("a list").iter();
            let last = values.filter_map(Value::as_f64).next_back().unwrap_or_default();
            *sums.entry(instance).or_default() += last;
        }
        sums
    }

    pub(crate) fn query(&self, promql: &str) -> BTreeMap<String, f64> {
        self.flush();
        query(self.server.url(), promql)
    }

    /// Makes samples visible to queries, and writes them to disk.
    pub(crate) fn flush(&self) {
        get(&format!("{}/internal/force_flush", self.server.url())).expect("a response");
    }
}

fn query(url: &str, promql: &str) -> BTreeMap<String, f64> {
    let body = wait_for("an answer", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let (status, body) = get(&format!("{url}/api/v1/query?nocache=1&time={now}&query={}", escape(promql))).ok()?;
        assert!(status == 200 || status == 503, "{promql}: {body}");
        (status == 200).then_some(body)
    });
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let result = answer["data"]["result"].as_array().expect("a list").iter();
    let instance = |series: &Value| series["metric"]["instance"].as_str().unwrap_or_default().to_owned();
    let value = |series: &Value| series["value"][1].as_str().expect("a value").parse().expect("a number");
    result.map(|series| (instance(series), value(series))).collect()
}

/// Encodes a query for a URL.
fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Sends a signal to a server.
pub(crate) fn signal(server: &Server, signal: &str) {
    let status = Command::new("kill").args([signal, &server.id().to_string()]).status();
    assert!(status.expect("kill").success());
}
