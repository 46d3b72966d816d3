//! The expected metrics for each way a request can end, in every framework.

use std::io::Read;
use std::net::SocketAddr;

use metrics_core::{Exposition, Problem, ProblemKind, Registry, RequestMetrics, RequestMetricsBuilder};

use crate::client::{ask, ask_with, send, status};
use crate::wait_for;

/// The metrics of one service.
pub(crate) struct Measured {
    registry: Registry,
}

impl Measured {
    pub(crate) fn new() -> Self {
        Self { registry: Registry::new() }
    }

    pub(crate) fn build(&self, with: impl Fn(RequestMetricsBuilder) -> RequestMetricsBuilder) -> RequestMetrics {
        with(RequestMetrics::builder("web")).build_in(&self.registry).expect("nothing else is there")
    }

    pub(crate) fn exposition(&self) -> Exposition {
        Exposition::of(&self.registry)
    }

    /// Returns problems with the layer's placement or declaration.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let is_of_layers = [ProblemKind::Declaration, ProblemKind::RepeatedLayer, ProblemKind::LayerBeforeRoutes];
        self.registry.check().into_iter().filter(|problem| is_of_layers.contains(&problem.kind)).collect()
    }

    /// Returns all metrics as text.
    pub(crate) fn text(&self) -> String {
        self.registry.to_text()
    }

    /// Returns the value of a series, or `None` if the series does not exist.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        let text = self.text();
        let rest = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(rest.parse().expect("a number"))
    }

    /// Returns the number of requests to a route that ended with the given status.
    pub(crate) fn responses(&self, path: &str, method: &str, status: &str) -> f64 {
        let series = format!("web_responses_total{{path=\"{path}\",method=\"{method}\",status=\"{status}\"}}");
        self.value(&series).unwrap_or_default()
    }

    /// Returns the number of requests to a route that ended with any status.
    fn all_responses(&self, path: &str, method: &str) -> f64 {
        let series = format!("web_responses_total{{path=\"{path}\",method=\"{method}\",status=\"");
        let text = self.text();
        let of_route = text.lines().filter(|line| line.starts_with(&series));
        of_route
            .map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number"))
            .sum()
    }

    pub(crate) fn of_route(&self, family: &str, path: &str, method: &str) -> Option<f64> {
        self.value(&format!("web_{family}{{path=\"{path}\",method=\"{method}\"}}"))
    }

    /// Waits until `requests` requests to the route have ended with the given status, and until the route's counts of
    /// exceptions and cancellations equal `how`.
    pub(crate) fn recorded(&self, path: &str, method: &str, status: &str, requests: f64, how: [f64; 2]) {
        wait_for(&format!("{method} {path} with {status}\n{}", self.text()), || {
            (self.responses(path, method, status) >= requests).then_some(())
        });
        assert_eq!(self.responses(path, method, status), requests, "{method} {path} {status}");
        // Exceptions and cancellations are counted after the response.
        let [exceptions, cancelled] = how;
        wait_for(&format!("how {method} {path} ended: {how:?}\n{}", self.text()), || {
            let latencies = self.of_route("request_latency_seconds_count", path, method);
            (latencies == Some(self.all_responses(path, method))
                && self.of_route("request_exceptions_total", path, method) == Some(exceptions)
                && self.of_route("request_cancelled_total", path, method) == Some(cancelled)
                && self.of_route("requests_in_flight", path, method) == Some(0.0))
            .then_some(())
        });
    }
}

/// Sends requests to a service with `/metrics` and a route for each way a request can end, and checks the metrics.
///
/// `users` is the expected label value for requests to `/users/..`.
pub(crate) fn check(addr: SocketAddr, measured: &Measured, users: &str) {
    completed(addr, measured, users);
    failed(addr, measured);
    given_up(addr, measured);
    exposed(addr, measured);
}

fn completed(addr: SocketAddr, measured: &Measured, users: &str) {
    for id in 0..3 {
        assert_eq!(status(&ask(addr, "GET", &format!("/users/{id}?q={id}"))), 200);
    }
    measured.recorded(users, "GET", "200", 3.0, [0.0, 0.0]);
    let sum = format!("web_request_latency_seconds_sum{{path=\"{users}\",method=\"GET\"}}");
    assert!(measured.value(&sum).is_some_and(|sum| sum > 0.0));
    assert_eq!(status(&ask(addr, "HEAD", "/users/1")), 200);
    measured.recorded(users, "HEAD", "200", 1.0, [0.0, 0.0]);
    for path in ["/nowhere", "/users/1/2", "/nowhere?path=/users/1", "/%00"] {
        assert_eq!(status(&ask(addr, "GET", path)), 404, "{path}");
    }
    measured.recorded("other", "GET", "404", 4.0, [0.0, 0.0]);
    ask(addr, "BREW", "/nowhere");
    measured.recorded("other", "other", "404", 1.0, [0.0, 0.0]);
    assert!(ask(addr, "GET", "/length").ends_with("twelve bytes"));
    measured.recorded("/length", "GET", "200", 1.0, [0.0, 0.0]);
    assert_eq!(status(&ask(addr, "GET", "/empty")), 204);
    measured.recorded("/empty", "GET", "204", 1.0, [0.0, 0.0]);
    let upgrade = send(addr, "GET", "/upgrade", "Connection: upgrade\r\nUpgrade: chat\r\n");
    measured.recorded("/upgrade", "GET", "101", 1.0, [0.0, 0.0]);
    drop(upgrade);
}

fn failed(addr: SocketAddr, measured: &Measured) {
    assert_eq!(status(&ask(addr, "GET", "/fail")), 500);
    measured.recorded("/fail", "GET", "500", 1.0, [1.0, 0.0]);
    assert_eq!(ask(addr, "GET", "/panic"), "");
    measured.recorded("/panic", "GET", "panic", 1.0, [1.0, 0.0]);
    for path in ["/panic-in-body", "/broken-body"] {
        assert_eq!(status(&ask(addr, "GET", path)), 200, "{path}");
        measured.recorded(path, "GET", "200", 1.0, [1.0, 0.0]);
    }
}

fn given_up(addr: SocketAddr, measured: &Measured) {
    let mut endless = send(addr, "GET", "/endless", "");
    endless.read_exact(&mut [0; 1_000]).expect("the beginning of a body");
    assert_eq!(measured.of_route("requests_in_flight", "/endless", "GET"), Some(1.0));
    drop(endless);
    measured.recorded("/endless", "GET", "200", 1.0, [0.0, 1.0]);
    let pending = send(addr, "GET", "/pending", "");
    wait_for("a pending request", || {
        (measured.of_route("requests_in_flight", "/pending", "GET") == Some(1.0)).then_some(())
    });
    drop(pending);
    measured.recorded("/pending", "GET", "cancelled", 1.0, [0.0, 1.0]);
}

fn exposed(addr: SocketAddr, measured: &Measured) {
    let text = ask(addr, "GET", "/metrics");
    assert!(text.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{text}");
    assert!(text.contains("web_requests_in_flight{path=\"/fail\",method=\"GET\"} 0\n"), "{text}");
    let open =
        ask_with(addr, "GET", "/metrics?name[]=web_requests_in_flight", "Accept: application/openmetrics-text\r\n");
    assert!(open.contains("application/openmetrics-text; version=1.0.0") && open.ends_with("# EOF\n"), "{open}");
    assert!(!open.contains("latency"), "{open}");
    let head = ask(addr, "HEAD", "/metrics");
    assert!(status(&head) == 200 && head.ends_with("\r\n\r\n") && head.contains("version=0.0.4"), "{head}");
    let zipped = ask_with(addr, "GET", "/metrics", "Accept-Encoding: gzip\r\n");
    assert!(zipped.contains("content-encoding: gzip"), "{zipped}");
    let post = ask(addr, "POST", "/metrics");
    assert!(status(&post) == 405 && post.to_ascii_lowercase().contains("allow: get, head"), "{post}");
    assert_eq!(measured.problems(), []);
    // Scrapes are not measured.
    let text = measured.text();
    assert!(!text.contains("/metrics") && !text.contains("path=\"other\",method=\"POST\""), "{text}");
}
