//! A real VictoriaMetrics server on free ports, with temporary storage.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::{get, wait_for};

pub(crate) struct Victoria {
    command: Command,
    child: Child,
    url: String,
    _dir: TempDir,
}

/// One series: its labels, and the time in milliseconds and the value of each sample. A stale marker is NaN.
pub(crate) type Series = (Value, Vec<(i64, f64)>);

impl Victoria {
    /// Starts a server and waits until it responds.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let mut command =
            Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/victoria-metrics/victoria-metrics"));
        command
            .arg(format!("-storageDataPath={}", dir.path().display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            // Without this, queries ignore the last 30 seconds.
            .args(["-search.latencyOffset=0s", "-retentionPeriod=1d", "-opentelemetry.usePrometheusNaming"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("VictoriaMetrics is there: run ./tests/run");
        let this = Self { command, child, url: format!("http://127.0.0.1:{port}"), _dir: dir };
        this.wait_until_ready();
        this
    }

    fn wait_until_ready(&self) {
        let url = format!("{}/health", self.url);
        wait_for("VictoriaMetrics", || get(&url).is_ok_and(|(status, _)| status == 200).then_some(()));
    }

    /// Returns the URL for OTLP.
    pub(crate) fn otlp_url(&self) -> String {
        format!("{}/opentelemetry/v1/metrics", self.url)
    }

    /// Returns the URL for remote write.
    pub(crate) fn write_url(&self) -> String {
        format!("{}/api/v1/write", self.url)
    }

    /// Returns all samples of the series that a selector matches.
    pub(crate) fn series(&self, selector: &str) -> Vec<Series> {
        // Samples become visible to queries within a second, or now.
        get(&format!("{}/internal/force_flush", self.url)).expect("an answer");
        let query = crate::prometheus::escape(selector);
        let url = format!("{}/api/v1/export?match[]={query}&end={}", self.url, now());
        let (status, body) = get(&url).expect("an answer");
        assert_eq!(status, 200, "{selector}: {body}");
        let lines = body.lines().map(|line| {
            let series: Value = serde_json::from_str(line).expect("JSON");
            let list = |name: &str| series[name].as_array().expect("a list").clone();
            let times = list("timestamps").into_iter().map(|time| time.as_i64().expect("milliseconds"));
            let values = list("values").into_iter().map(|value| number(&value));
            (series["metric"].clone(), times.zip(values).collect())
        });
        lines.collect()
    }

    /// Returns the result of an instant query: the labels and value of each series.
    pub(crate) fn query(&self, promql: &str) -> Vec<(Value, f64)> {
        get(&format!("{}/internal/force_flush", self.url)).expect("an answer");
        let query = crate::prometheus::escape(promql);
        let url = format!("{}/api/v1/query?nocache=1&time={}&query={query}", self.url, now());
        let (status, body) = get(&url).expect("an answer");
        assert_eq!(status, 200, "{promql}: {body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let result = answer["data"]["result"].as_array().expect("a list");
        result.iter().map(|series| (series["metric"].clone(), number(&series["value"][1]))).collect()
    }

    /// Kills the server. Samples that it has received within the last seconds may be lost.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts the server again after [`Victoria::kill`], with the same address and data.
    pub(crate) fn start_again(&mut self) {
        self.child = self.command.spawn().expect("it started before");
        self.wait_until_ready();
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The current time, in seconds since 1970. Without it, requests end at the beginning of the current second.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// Reads a number, which is text if JSON cannot represent it, or `null` if it is not a number.
fn number(value: &Value) -> f64 {
    match value {
        Value::Null => f64::NAN,
        Value::String(text) => text.replace("Infinity", "inf").parse().expect("a number"),
        value => value.as_f64().expect("a number"),
    }
}
