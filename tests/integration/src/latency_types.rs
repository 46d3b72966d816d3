//! Functions and layers that feed one default latency family but ask for different types.

use metrics_core::{Kind, Problem, Registry, instrument};

/// The lines of the global registry that begin with this prefix.
fn lines(prefix: &str) -> Vec<String> {
    let text = Registry::global().to_text();
    text.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

/// The sum of the `_count` samples of a family.
fn count(family: &str) -> u64 {
    let lines = lines(&format!("{family}_count"));
    lines.iter().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn kind_of(family: &str) -> Option<Kind> {
    Registry::global().catalog().into_iter().find(|declared| declared.name == family).map(|declared| declared.kind)
}

fn problems(family: &str) -> Vec<Problem> {
    Registry::global().check().into_iter().filter(|problem| problem.family == family).collect()
}

fn only_problem(family: &str) -> String {
    let problems = problems(family);
    let [problem] = &problems[..] else { panic!("one problem: {problems:?}") };
    problem.to_string()
}

#[instrument(path, prefix = "union")]
fn plain(path: &str) {}

#[instrument(path, histogram, prefix = "union")]
fn histogram(path: &str) {}

#[instrument(path, quantiles(0.5), prefix = "union")]
fn quantiles(path: &str) {}

#[test]
fn one_function_that_asks_for_a_histogram_makes_the_family_one() {
    // The function that does not ask for it is called first.
    plain("/a");
    quantiles("/a");
    histogram("/a");
    histogram("/b");
    assert_eq!(kind_of("union_request_latency_seconds"), Some(Kind::Histogram));
    assert_eq!(count("union_request_latency_seconds"), 4);
    assert!(lines("union_request_latency_seconds_bucket").iter().any(|line| line.contains("le=\"7.5\"")));
    assert_eq!(problems("union_request_latency_seconds"), []);
}

#[instrument(path, quantiles(0.5, 0.9), prefix = "quantile_union")]
fn median(path: &str) {}

#[instrument(path, quantiles(0.99, 0.5), prefix = "quantile_union")]
fn percentile(path: &str) {}

#[test]
fn quantiles_are_united() {
    percentile("/a");
    median("/b");
    for series in ["path=\"/a\"", "path=\"/b\""] {
        for quantile in ["0.5", "0.9", "0.99"] {
            let line = format!("quantile_union_request_latency_seconds{{{series},quantile=\"{quantile}\"}}");
            assert!(lines(&line).len() == 1, "{line}: {:?}", lines("quantile_union_request_latency_seconds"));
        }
    }
    assert_eq!(problems("quantile_union_request_latency_seconds"), []);
}

#[instrument(path, buckets(0.1, 1), prefix = "bucket_conflict")]
fn few_buckets(path: &str) {}

#[instrument(path, buckets(0.1, 1, 10), prefix = "bucket_conflict")]
fn more_buckets(path: &str) {}

#[test]
fn different_buckets_are_reported_with_both_locations() {
    more_buckets("/a");
    few_buckets("/a");
    assert_eq!(count("bucket_conflict_request_latency_seconds"), 2);
    let text = only_problem("bucket_conflict_request_latency_seconds");
    assert!(text.contains("[0.1, 1.0]") && text.contains("[0.1, 1.0, 10.0]"), "{text}");
    assert_eq!(text.matches("tests/integration/src/latency_types.rs:").count(), 2, "{text}");
    assert!(text.contains("use the same options everywhere"), "{text}");
}

#[instrument(quantiles(0.5, 1))]
fn without_labels() {}

#[test]
fn a_function_without_labels_can_have_quantiles() {
    without_labels();
    let family = "integration_function_latency_seconds";
    assert_eq!(lines(&format!("{family}{{function=\"integration::latency_types::without_labels\",quantile")).len(), 2);
}

#[instrument(
    path,
    prefix = "many",
    quantiles(0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17)
)]
fn low(path: &str) {}

#[instrument(
    path,
    prefix = "many",
    quantiles(0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87, 0.88, 0.89, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97)
)]
fn high(path: &str) {}

#[test]
fn too_many_quantiles_in_total_are_reported_and_nothing_is_lost() {
    low("/a");
    high("/a");
    assert_eq!(count("many_request_latency_seconds"), 2);
    assert_eq!(lines("many_request_latency_seconds{").len(), 32);
    let text = only_problem("many_request_latency_seconds");
    assert!(text.contains("can have 32 quantiles in total"), "{text}");
}

#[instrument(path, zone, quantiles(0.5), prefix = "equal")]
fn zoned(path: &str, zone: &str) {}

#[instrument(path, prefix = "equal")]
fn unzoned(path: &str) {}

#[test]
fn a_quantile_of_equal_series_is_shown_only_if_one_has_all_observations() {
    let quantile = || {
        let lines = lines("equal_request_latency_seconds{path=\"/a\",");
        let [line] = &lines[..] else { panic!("one series: {lines:?}") };
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    // An empty label equals an absent one, so both functions feed the same series.
    unzoned("/a");
    assert!(quantile() > 0.0);
    zoned("/a", "");
    assert_eq!(count("equal_request_latency_seconds"), 2);
    assert!(quantile().is_nan());
}
