//! Runs the queries from `guide::promql` against a real Prometheus that scrapes every kind of function and layer.
//!
//! Prometheus scrapes all counters of a target together. If two counters are exported before the first scrape, the
//! ratio of their rates equals the ratio of their counts. A single rate is extrapolated and therefore only accurate to
//! within one scrape interval, so the tests compare the rates of several series with each other.

mod functions;
mod histogram;
mod layers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use metrics_core::start_http_server;

use crate::prometheus::Prometheus;
use crate::{get, wait_for};

const GUIDE: &str = include_str!("../../../metrics-core/src/guide/promql.md");
const TESTING: &str = include_str!("../../../metrics-core/src/guide/testing.md");
/// The range of the guide's rate queries, in seconds.
const RANGE: f64 = 300.0;

/// The requests to one path while Prometheus was scraping.
struct Traffic {
    /// The value of the label `path` or `function`.
    path: &'static str,
    /// The HTTP method. Empty for functions.
    method: &'static str,
    failed: u32,
    cancelled: u32,
    in_flight: u32,
    /// The number of requests by status, or by the label from the result. Includes all requests.
    by_status: Vec<(&'static str, u32)>,
    by_kind: Vec<(&'static str, u32)>,
}

impl Traffic {
    fn requests(&self) -> f64 {
        self.by_status.iter().map(|(_, requests)| f64::from(*requests)).sum()
    }
}

/// A function or a service whose metrics are scraped.
struct Measured {
    prefix: &'static str,
    /// The sections of the guide that apply, in addition to the shared ones.
    sections: &'static [&'static str],
    /// False for functions without labels, which have separate families and the `function` label.
    has_path: bool,
    traffic: Vec<Traffic>,
}

/// The labels of a result, by name.
type Labels = BTreeMap<String, String>;
type Values = BTreeMap<Labels, f64>;

/// Returns the questions and queries in a section of the guide.
fn rows(section: &str) -> Vec<(&'static str, &'static str)> {
    let (_, text) = GUIDE.split_once(&format!("\n# {section}\n")).unwrap_or_else(|| panic!("a section {section}"));
    let text = text.split("\n# ").next().expect("a section");
    text.lines().filter_map(row).collect()
}

fn row(line: &'static str) -> Option<(&'static str, &'static str)> {
    let (question, query) = line.strip_prefix("| ")?.strip_suffix("` |")?.split_once(" | `")?;
    Some((question, query))
}

const EVERY: &str = "Every function and every layer";
const SATURATION: &str = "Saturation";
const ALERTS: &str = "Alerts";

impl Measured {
    fn sections(&self) -> Vec<&'static str> {
        let shared = if self.has_path { [EVERY, SATURATION, ALERTS].as_slice() } else { &[] };
        [shared, self.sections].concat()
    }

    /// Returns the values that `split` yields for each path, keyed by path (in the `name` label) and yielded label.
    fn by<'a>(&'a self, name: &str, split: impl Fn(&'a Traffic) -> Vec<(Option<(&'a str, &'a str)>, f64)>) -> Values {
        let mut values = Values::new();
        for traffic in &self.traffic {
            for (label, value) in split(traffic) {
                let mut labels = Labels::from([(name.to_owned(), traffic.path.to_owned())]);
                labels.extend(label.map(|(name, value)| (name.to_owned(), value.to_owned())));
                *values.entry(labels).or_default() += value;
            }
        }
        values
    }

    fn by_path(&self, value: impl Fn(&Traffic) -> f64) -> Values {
        self.by(if self.has_path { "path" } else { "function" }, |traffic| vec![(None, value(traffic))])
    }

    fn by_part(&self, name: &'static str, parts: impl Fn(&Traffic) -> &[(&'static str, u32)]) -> Values {
        self.by("path", |traffic| {
            parts(traffic).iter().map(|(value, count)| (Some((name, *value)), f64::from(*count))).collect()
        })
    }

    /// Returns the expected answer to a question from the guide, and true if the answer is a rate.
    fn expected(&self, question: &str, latencies: &Values) -> (Values, bool) {
        let requests = self.by_path(Traffic::requests);
        let failed = self.by_path(|traffic| f64::from(traffic.failed));
        let share = |of: &Values| divided(of, &requests);
        let by_method = |value: fn(&Traffic) -> f64| {
            self.by("path", |traffic| vec![(Some(("method", traffic.method)), value(traffic))])
        };
        let answer = match question {
            "requests per second" | "calls per second" => return (requests, true),
            "exceptions per second by kind" => return (self.by_part("kind", |traffic| &traffic.by_kind), true),
            "requests per second by result" | "responses per second by status" => {
                return (self.by_part("status", |traffic| &traffic.by_status), true);
            }
            "share of requests that fail" | "share of calls that fail" => share(&failed),
            "share of requests that are canceled" => share(&self.by_path(|traffic| f64::from(traffic.cancelled))),
            "mean latency in seconds" => latencies.clone(),
            "requests in flight" => self.by_path(|traffic| f64::from(traffic.in_flight)),
            "share of all requests that fail" => {
                Values::from([(Labels::new(), failed.values().sum::<f64>() / requests.values().sum::<f64>())])
            }
            "share of requests that fail, by kind" => share(&self.by_part("kind", |traffic| &traffic.by_kind)),
            "share of requests by result" | "share of responses by status" => {
                share(&self.by_part("status", |traffic| &traffic.by_status))
            }
            "share of responses with a 5xx status" => {
                let faults = |traffic: &Traffic| -> f64 {
                    let faults = traffic.by_status.iter().filter(|(status, _)| status.starts_with('5'));
                    faults.map(|(_, count)| f64::from(*count)).sum()
                };
                let mut faults = self.by_path(faults);
                faults.retain(|_, count| *count > 0.0);
                share(&faults)
            }
            "share of requests that fail, by method" => {
                divided(&by_method(|traffic| f64::from(traffic.failed)), &by_method(Traffic::requests))
            }
            "average number of requests in flight" => {
                let busy = requests.iter().filter_map(|(labels, count)| Some((labels, count, latencies.get(labels)?)));
                return (busy.map(|(labels, count, mean)| (labels.clone(), count * mean)).collect(), true);
            }
            // All observations are in the first bucket, from 0 to 30 seconds. Prometheus interpolates within it.
            "95th percentile of the latency in seconds" => self.by_path(|_| 0.95 * 30.0),
            "99th percentile over all paths in seconds" => Values::from([(Labels::new(), 0.99 * 30.0)]),
            "share of requests within 0.3 seconds" | "Apdex: satisfied within 0.3 seconds, tolerating 1.2" => {
                self.by_path(|_| 1.0)
            }
            "share of 8 cores or connections in use" => {
                let time: f64 =
                    requests.iter().filter_map(|(labels, count)| Some(count * latencies.get(labels)?)).sum();
                return (Values::from([(Labels::new(), time / 8.0)]), true);
            }
            "error budget (objective 99.9 %) burning 14.4 times too fast"
            | "error budget (objective 99.9 %) burning 6 times too fast" => {
                Values::from([(Labels::new(), failed.values().sum::<f64>() / requests.values().sum::<f64>())])
            }
            "missing metrics" => Values::new(),
            "paths on which more than 5 % of requests fail" => {
                let mut shares = share(&failed);
                shares.retain(|_, share| *share > 0.05);
                shares
            }
            _ => panic!("no answer to {question}"),
        };
        (answer, false)
    }

    /// Runs each applicable query from the guide and checks the answer.
    fn check(&self, prometheus: &Prometheus, latencies: &Values, asked: &mut BTreeSet<&'static str>) {
        for (question, query) in self.sections().into_iter().flat_map(rows) {
            // Annotated functions use larger buckets than the guide, because a busy machine may be slow.
            let query = query.replace("\"0.3\"", "\"30.0\"").replace("\"1.2\"", "\"60.0\"");
            if question == "missing metrics" {
                assert_eq!(prometheus.value(&query), 1.0, "nothing has this prefix");
            }
            let query = query.replace("shop_", &format!("{}_", self.prefix));
            let answer = answer(prometheus, &query);
            let (expected, is_rate) = self.expected(question, latencies);
            for (labels, value) in answer.iter().filter(|(labels, _)| !expected.contains_key(*labels)) {
                assert!(*value == 0.0 || value.is_nan(), "{query} has {labels:?} {value}, expected: {expected:?}");
            }
            let [sum, expected_sum] =
                [&answer, &expected].map(|values| values.values().filter(|value| !value.is_nan()).sum::<f64>());
            for (labels, expected) in &expected {
                let value = answer.get(labels).unwrap_or_else(|| panic!("{query} has no {labels:?}: {answer:?}"));
                let (value, expected) =
                    if is_rate { (value / sum, expected / expected_sum) } else { (*value, *expected) };
                // Requests from the first round may end between the reference exposition and the first scrape.
                let tolerance = if question == "average number of requests in flight" { 1e-3 } else { 1e-6 };
                assert!((value - expected).abs() < tolerance, "{query}: {labels:?} is {value}, expected {expected}");
            }
            if is_rate {
                let counted = sum * RANGE / expected_sum;
                assert!((0.99..1.6).contains(&counted), "{query}: {counted} times what was sent");
            }
            asked.insert(question);
        }
    }
}

/// Returns the result of a query, by labels.
fn answer(prometheus: &Prometheus, query: &str) -> Values {
    let labels = |labels: &serde_json::Value| {
        let labels = labels.as_object().expect("labels").iter();
        labels.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned())).collect()
    };
    prometheus.query(query).iter().map(|(series, value)| (labels(series), *value)).collect()
}

fn divided(parts: &Values, wholes: &Values) -> Values {
    let share = |(labels, part): (&Labels, &f64)| {
        let whole = wholes.get(labels).or_else(|| {
            let path =
                labels.iter().filter(|(name, _)| *name == "path").map(|(name, path)| (name.clone(), path.clone()));
            wholes.get(&path.collect::<Labels>())
        });
        (labels.clone(), part / whole.expect("the whole of each part"))
    };
    parts.iter().map(share).collect()
}

/// Returns the latency sum and count for each path in an exposition.
fn sums(text: &str, prefix: &str) -> BTreeMap<Labels, [f64; 2]> {
    let mut sums = BTreeMap::<Labels, [f64; 2]>::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(&format!("{prefix}_request_latency_seconds_")) else { continue };
        let at = ["sum", "count"].iter().position(|part| rest.starts_with(&format!("{part}{{")));
        let (Some(at), Some((labels, value))) = (at, rest.rsplit_once(' ')) else { continue };
        let path = labels.split("path=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a path");
        let labels = Labels::from([("path".to_owned(), path.to_owned())]);
        sums.entry(labels).or_default()[at] += value.parse::<f64>().expect("a number");
    }
    sums
}

#[test]
fn the_queries_of_the_guide_are_right() {
    let server = start_http_server("127.0.0.1:0").expect("a free port");
    let metrics = server.local_addr();
    let text = || get(&format!("http://{metrics}/metrics")).expect("an exposition").1;
    let layers = layers::Services::start();
    // A status is exported only after the first response with that status, so one round of requests precedes the first
    // scrape.
    layers.end(layers.drive(&text).1, &text);
    let histogram = histogram::register();
    let before = text();
    let prometheus = Prometheus::scraping(&metrics.to_string());
    let scraped_twice = || {
        let scrapes = || prometheus.value("count_over_time(up[1h])");
        let until = scrapes() + 3.0;
        wait_for("two whole scrapes", || (scrapes() >= until).then_some(()));
    };
    scraped_twice();
    histogram::observe(&histogram);
    let (functions, _running) = functions::drive();
    let (layers, _open) = layers.drive(&text);
    let after = text();
    scraped_twice();
    let mut asked = BTreeSet::new();
    for measured in functions.iter().chain(&layers) {
        let before = sums(&before, measured.prefix);
        let means = sums(&after, measured.prefix).into_iter().map(|(labels, [sum, count])| {
            let [sum_before, count_before] = before.get(&labels).copied().unwrap_or_default();
            (labels, (sum - sum_before) / (count - count_before))
        });
        let means = means.filter(|(_, mean)| !mean.is_nan()).collect();
        measured.check(&prometheus, &means, &mut asked);
    }
    histogram::check(&prometheus);
    let all: BTreeSet<&str> = GUIDE.lines().filter_map(row).map(|(question, _)| question).collect();
    assert_eq!(asked, all);
}

#[test]
fn the_alerts_of_the_guide_fire_when_they_should() {
    let rules = GUIDE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("rules");
    let queries = rows(ALERTS);
    assert_eq!(queries.len(), rules.matches("expr: ").count());
    for (_, query) in queries {
        assert!(rules.contains(&format!("expr: {query}\n")), "{query} is missing in {rules}");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("alerts.yml"), rules).expect("written");
    let (_, own) = TESTING.split_once("```yaml\n").expect("tests of alerts");
    fs::write(dir.path().join("alerts_test.yml"), own.split("```").next().expect("tests of alerts")).expect("written");
    fs::write(dir.path().join("burns_test.yml"), include_str!("promql/burns_test.yml")).expect("written");
    let tests = ["test", "rules", "alerts_test.yml", "burns_test.yml"];
    for arguments in [["check", "rules", "alerts.yml"].as_slice(), &tests] {
        let output = Command::new("promtool").args(arguments).current_dir(dir.path()).output().expect("promtool");
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "{arguments:?}: {text}");
    }
}

#[test]
fn queries_elsewhere_are_those_of_the_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide: BTreeSet<&str> = GUIDE.lines().filter_map(row).map(|(_, query)| query).collect();
    for (file, at_least) in [("metrics-core/src/instrument.md", 2), ("metrics-core/src/integrate/requests.rs", 3)] {
        let text = fs::read_to_string(root.join(file)).expect("readable");
        let quoted = text.split('`').filter(|code| code.contains("(rate(") && !code.contains('\n'));
        let quoted: Vec<String> =
            quoted.map(|query| query.replace("my_router_", "shop_").replace("my_service_", "shop_")).collect();
        assert!(quoted.len() >= at_least, "{file} has {quoted:?}");
        assert!(!text.contains("`rate("), "{file} has a query without `sum`");
        for query in quoted {
            assert!(guide.contains(query.as_str()), "{file} has {query}, which is not in the guide");
        }
    }
}
