//! Quantiles and native histograms: accuracy, exactness with concurrent threads and scrapes, limits and invalid
//! options.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{iter, thread};

use metrics_core::{
    Builder, Error, FamilyInfo, Format, Histogram, Labels, NativeHistogram, Registry, Summary, Value, Visitor,
};

const QUANTILES: [f64; 7] = [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0];

/// The number of observations of a stream.
const OBSERVATIONS: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

/// Reproducible numbers that look random.
struct Random(u64);

impl Random {
    const fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    /// A number between 0 and 1; all are equally likely.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A normally distributed number with mean 0 and standard deviation 1.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// A stream: its name, and its value at a position.
type Stream = (&'static str, fn(f64, &mut Random) -> f64);

const N: f64 = OBSERVATIONS as f64;

const STREAMS: [Stream; 12] = [
    ("uniform", |_, random| random.uniform()),
    ("normal", |_, random| 10.0 + random.normal()),
    ("log-normal", |_, random| (-5.0 + random.normal()).exp()),
    ("Pareto", |_, random| random.uniform().powf(-1.0 / 1.1)),
    ("constant", |_, _| 0.25),
    ("near-constant", |_, random| 1.0 + random.uniform() * 1e-12),
    ("ascending", |at, _| at / N),
    ("descending", |at, _| (N - at) / N),
    ("zigzag", |at, _| if at % 2.0 == 0.0 { at + 1.0 } else { N - at }),
    ("bimodal", |_, random| if random.uniform() < 0.7 { 0.01 + random.normal().abs() * 1e-4 } else { 3.0 }),
    ("1e-9 to 1e9", |_, random| 10_f64.powf(18.0 * random.uniform() - 9.0)),
    ("zeros and negatives", |at, random| if at % 3.0 == 0.0 { 0.0 } else { random.normal() * 100.0 }),
];

/// The quantiles of the only series, by a scrape.
fn scraped(registry: &Registry) -> Vec<(f64, f64)> {
    struct Quantiles(Vec<(f64, f64)>);
    impl Visitor for Quantiles {
        fn family(&mut self, _: &FamilyInfo<'_>) {}
        fn series(&mut self, _: Labels<'_>, value: &Value<'_>) {
            if let Value::Summary { quantiles, .. } = value {
                self.0.extend_from_slice(quantiles);
            }
        }
    }
    let mut quantiles = Quantiles(Vec::new());
    registry.scrape().visit(&mut quantiles);
    quantiles.0
}

#[test]
fn quantiles_of_a_million_observations_keep_the_error() {
    let mut results = Vec::new();
    for (name, stream) in STREAMS {
        let mut random = Random::new();
        let registry = Registry::new();
        let builder = Summary::builder("q", "").quantiles(QUANTILES);
        let summary = builder.register_in(&registry).expect("valid");
        let mut exact: Vec<f64> = (0..OBSERVATIONS).map(|at| stream(at as f64, &mut random)).collect();
        exact.iter().for_each(|value| summary.observe(*value));
        exact.sort_unstable_by(f64::total_cmp);
        let mut worst = 0.0_f64;
        for (quantile, value) in scraped(&registry) {
            let rank = (quantile * N).ceil().max(1.0) as usize;
            let exact = exact[rank - 1];
            let error = if exact == 0.0 { value.abs() } else { ((value - exact) / exact).abs() };
            assert!(error <= 0.01, "{name}, {quantile}: {value} instead of {exact}");
            worst = worst.max(error);
        }
        results.push(format!("{name}: {:.3} %", 100.0 * worst));
    }
    println!("worst relative error of {OBSERVATIONS} observations: {}", results.join(", "));
}

#[test]
fn a_smaller_error_is_kept_as_well() {
    let registry = Registry::new();
    let builder = Summary::builder("q", "").quantiles(QUANTILES).relative_error(0.002);
    let summary = builder.register_in(&registry).expect("valid");
    let values: Vec<f64> = (1..=10_000).map(|n| f64::from(n) / 77.0).collect();
    values.iter().for_each(|value| summary.observe(*value));
    for (quantile, value) in scraped(&registry) {
        let exact = values[((quantile * 10_000.0).ceil() as usize).max(1) - 1];
        assert!(((value - exact) / exact).abs() <= 0.002, "{quantile}: {value} instead of {exact}");
    }
}

#[test]
fn quantiles_without_observations_are_nan() {
    let registry = Registry::new();
    let _summary = Summary::builder("q", "Q.").quantiles([0.9, 0.5]).register_in(&registry).expect("valid");
    let expected =
        "# HELP q Q.\n# TYPE q summary\nq{quantile=\"0.5\"} NaN\nq{quantile=\"0.9\"} NaN\nq_sum 0\nq_count 0\n";
    assert_eq!(registry.to_text(), expected);
}

#[test]
fn every_format_and_the_bridge_show_the_quantiles() {
    let registry = Registry::new();
    let family = Summary::builder("q_seconds", "Q.").quantiles([0.5]).labels(["a"]).register_in(&registry);
    let family = family.expect("valid");
    family.labels(["1"]).observe(2.0);
    family.labels(["empty"]);
    let exported = |format: Format| {
        let mut out = Vec::new();
        registry.encode(format, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    for format in [Format::Text, Format::OpenMetrics] {
        let text = exported(format);
        assert!(text.contains("\nq_seconds{a=\"1\",quantile=\"0.5\"} 2.015"), "{text}");
        assert!(text.contains("\nq_seconds{a=\"empty\",quantile=\"0.5\"} NaN\n"), "{text}");
    }
    // Another registry of the `prometheus` crate sees them through the collector.
    let theirs = metrics_core::prometheus::Registry::new();
    theirs.register(Box::new(registry.clone())).expect("free");
    let families = theirs.gather();
    let summary = families.iter().find(|family| family.name() == "q_seconds").expect("the family");
    let quantiles: Vec<f64> =
        summary.get_metric().iter().map(|metric| metric.get_summary().get_quantile()[0].value()).collect();
    assert!((quantiles[0] - 2.0).abs() < 0.02 && quantiles[1].is_nan(), "{quantiles:?}");
}

/// A histogram as seen by a scrape.
#[derive(Clone, Debug, Default)]
struct Scraped {
    count: u64,
    sum: f64,
    classic: Vec<(f64, u64)>,
    schema: i32,
    zero_threshold: f64,
    zero_count: u64,
    positive: Vec<(i32, u64)>,
    negative: Vec<(i32, u64)>,
}

/// Scrapes the series that has this label value, or the only series.
fn scrape_histogram(registry: &Registry, label: Option<&str>) -> Scraped {
    struct Only<'a>(Option<&'a str>, Option<Scraped>);
    impl Visitor for Only<'_> {
        fn family(&mut self, _: &FamilyInfo<'_>) {}
        fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
            if self.0.is_none_or(|wanted| labels.iter().any(|(_, value)| value == wanted))
                && let Value::Histogram { count, sum, buckets, native: Some(native) } = *value
            {
                let NativeHistogram { schema, zero_threshold, zero_count, positive, negative } = native;
                let (positive, negative, classic) = (positive.to_vec(), negative.to_vec(), buckets.to_vec());
                self.1 = Some(Scraped { count, sum, classic, schema, zero_threshold, zero_count, positive, negative });
            }
        }
    }
    let mut only = Only(label, None);
    registry.scrape().visit(&mut only);
    only.1.expect("the native histogram")
}

/// The upper bound of a bucket.
fn bound(index: i32, schema: i32) -> f64 {
    (f64::from(index) * f64::from(-schema).exp2()).exp2()
}

impl Scraped {
    fn total(&self) -> u64 {
        self.zero_count + self.positive.iter().chain(&self.negative).map(|(_, count)| count).sum::<u64>()
    }

    /// The number of buckets, without the zero bucket.
    fn len(&self) -> usize {
        self.positive.len() + self.negative.len()
    }

    /// The number of observations up to this bound, which must be the bound of a bucket.
    fn up_to(&self, limit: f64) -> u64 {
        let within = |index: i32| bound(index, self.schema) <= limit * 1.000_001;
        let positive: u64 = self.positive.iter().filter(|(index, _)| within(*index)).map(|(_, count)| count).sum();
        positive + self.zero_count + self.negative.iter().map(|(_, count)| count).sum::<u64>()
    }

    /// Checks that this scrape may follow `earlier`.
    fn assert_follows(&self, earlier: &Self) {
        assert!(self.count >= earlier.count && self.sum >= earlier.sum, "{earlier:?} -> {self:?}");
        assert!(self.schema <= earlier.schema && self.zero_threshold >= earlier.zero_threshold);
        for ((bound, now), (_, before)) in self.classic.iter().zip(&earlier.classic) {
            assert!(now >= before, "le {bound}: {before} -> {now}");
        }
        let bounds = self.positive.iter().map(|(index, _)| bound(*index, self.schema)).chain([self.zero_threshold]);
        for bound in bounds {
            assert!(self.up_to(bound) >= earlier.up_to(bound), "up to {bound}: {earlier:?} -> {self:?}");
        }
    }
}

#[test]
fn native_buckets_are_those_of_the_specification() {
    let registry = Registry::new();
    let builder = Histogram::builder("h", "").buckets([1.0]).native_factor(2.0);
    let histogram = builder.register_in(&registry).expect("valid");
    for value in [0.25, 0.3, 0.5, 1.0, 4.0, 4.1, -1.0, -3.0, 0.0, 1e-300] {
        histogram.observe(value);
    }
    let scraped = scrape_histogram(&registry, None);
    assert_eq!((scraped.schema, scraped.zero_count, scraped.zero_threshold), (0, 2, 128_f64.exp2().recip()));
    assert_eq!(scraped.positive, [(-2, 1), (-1, 2), (0, 1), (2, 1), (3, 1)]);
    assert_eq!(scraped.negative, [(0, 1), (2, 1)]);
    assert_eq!(scraped.classic, [(1.0, 8), (f64::INFINITY, 10)]);
    assert_eq!(histogram.count(), 10);
}

#[test]
fn totals_are_exact_and_nothing_decreases() {
    const EACH: u64 = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let registry = Registry::new();
    // A limit that is exceeded while the threads run.
    let builder = Histogram::builder("h", "").buckets([1e-3, 1.0, 1e3]).max_native_buckets(40);
    let family = builder.labels(["n"]).register_in(&registry).expect("valid");
    let histogram = family.labels(["kept"]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|n| {
                let (family, histogram) = (&family, histogram.clone());
                scope.spawn(move || {
                    let mut random = Random::new();
                    for i in 0..EACH {
                        // The values of each thread spread over more and more buckets.
                        let spread = f64::from(n + 1) * i as f64 / EACH as f64;
                        histogram.observe((random.normal() * spread).exp());
                        if i % 1_000 == 0 {
                            // Other series come and go, and threads end.
                            let other = [format!("{n} {i}"), String::from("other")];
                            for name in &other {
                                family.labels([name]).observe(i as f64);
                                family.remove([name]);
                            }
                            let histogram = histogram.clone();
                            thread::spawn(move || histogram.observe(2.0)).join().expect("no panic");
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut last = Scraped { schema: 8, ..Scraped::default() };
            while !done.load(Ordering::Relaxed) {
                let kept = scrape_histogram(&registry, Some("kept"));
                assert_eq!(kept.total(), kept.count);
                assert_eq!(kept.classic.last().map(|(_, count)| *count), Some(kept.count));
                kept.assert_follows(&last);
                last = kept;
            }
        });
        for writer in writers {
            writer.join().expect("no panic");
        }
        done.store(true, Ordering::Relaxed);
    });
    let end = scrape_histogram(&registry, Some("kept"));
    assert_eq!((end.count, end.total()), (8 * (EACH + EACH.div_ceil(1_000)), end.count));
    assert!(end.len() <= 40 && end.schema < 3, "{end:?}");
}

#[test]
fn the_limit_widens_the_zero_bucket_then_halves_the_resolution() {
    let registry = Registry::new();
    let builder = Histogram::builder("h", "").max_native_buckets(10);
    let histogram = builder.register_in(&registry).expect("valid");
    // 8 buckets of schema 3, and 20 in the range that the zero bucket may cover.
    (0..8).for_each(|i| histogram.observe((f64::from(i) / 8.0 + 0.01).exp2()));
    (0..20).for_each(|i| histogram.observe(f64::from(-40 - i).exp2()));
    let widened = scrape_histogram(&registry, None);
    assert_eq!((widened.schema, widened.count), (3, 28));
    assert!(widened.len() <= 10 && widened.zero_count >= 18, "{widened:?}");
    assert!(widened.zero_threshold <= 30_f64.exp2().recip());
    // More buckets, all of them above the range of the zero bucket.
    (0..8).for_each(|i| histogram.observe((f64::from(i) / 8.0 + 5.01).exp2()));
    let halved = scrape_histogram(&registry, None);
    assert_eq!(halved.count, 36);
    assert!(halved.schema < 3 && halved.len() <= 10, "{halved:?}");
    halved.assert_follows(&widened);
    // The resolution is not restored.
    assert_eq!(scrape_histogram(&registry, None).schema, halved.schema);
}

#[test]
fn values_over_the_whole_range_are_counted() {
    let registry = Registry::new();
    let histogram = Histogram::builder("h", "").native().register_in(&registry).expect("valid");
    let summary = Summary::builder("q", "").quantiles(QUANTILES).build();
    let values = |sign: f64| (-1_074..1_024).map(move |exponent| sign * f64::from(exponent).exp2());
    let all: Vec<f64> = values(1.0).chain(values(-1.0)).chain([f64::MAX, f64::MIN, 0.0, -0.0]).collect();
    for value in &all {
        histogram.observe(*value);
        summary.observe(*value);
    }
    assert_eq!(summary.count(), all.len() as u64);
    let scraped = scrape_histogram(&registry, None);
    assert_eq!((scraped.count, scraped.total()), (all.len() as u64, all.len() as u64));
    assert!(scraped.len() <= 160 && scraped.schema <= 0, "{}", scraped.schema);
}

#[test]
fn counts_beyond_16_bits_are_exact() {
    let registry = Registry::new();
    let histogram = Histogram::builder("h", "").native().register_in(&registry).expect("valid");
    let expected: u64 = 3 * 32_768 + 5;
    let mut last = Scraped { schema: 8, ..Scraped::default() };
    for n in 0..expected {
        histogram.observe(1.5);
        if n % 4_096 == 0 {
            let next = scrape_histogram(&registry, None);
            assert_eq!(next.count, n + 1);
            next.assert_follows(&last);
            last = next;
        }
    }
    let end = scrape_histogram(&registry, None);
    assert_eq!(
        (end.count, end.positive.iter().map(|(_, count)| *count).collect::<Vec<_>>()),
        (expected, vec![expected])
    );
}

#[test]
fn each_bucket_has_its_own_count() {
    let registry = Registry::new();
    let histogram = Histogram::builder("h", "").native().register_in(&registry).expect("valid");
    // Each fourth count wraps, so some groups of buckets are read in another way than others.
    let count = |index: i32| {
        index.unsigned_abs() + 100 * u32::from(index < 0) + 40_000 * u32::from(index % 4 == 0 && index > 0)
    };
    let expected: Vec<(i32, u64)> =
        (-60..60).filter(|index| count(*index) > 0).map(|index| (index, u64::from(count(index)))).collect();
    for (index, count) in &expected {
        let value = ((f64::from(*index) - 0.5) / 8.0).exp2();
        (0..*count).for_each(|_| histogram.observe(value));
    }
    let scraped = scrape_histogram(&registry, None);
    assert_eq!((scraped.schema, scraped.positive), (3, expected));
}

#[test]
fn a_scrape_of_different_types_mixes_up_nothing() {
    let registry = Registry::new();
    let native =
        |name| Histogram::builder(name, "").native().buckets([1.0, 4.0]).register_in(&registry).expect("valid");
    let quantiles = |name| Summary::builder(name, "").quantiles([0.5]).register_in(&registry).expect("valid");
    native("a").observe(2.0);
    quantiles("b").observe(1.0);
    native("c");
    let classic = Histogram::builder("d", "").buckets([1.0]).register_in(&registry).expect("valid");
    classic.observe(0.5);
    quantiles("e");
    Summary::builder("f", "").register_in(&registry).expect("valid").observe(3.0);
    native("g").observe(8.0);
    let family = Summary::builder("h", "").quantiles([0.5]).labels(["n"]).register_in(&registry).expect("valid");
    family.labels(["1"]).observe(1.0);
    family.labels(["2"]);
    let samples = || {
        let text = registry.to_text();
        text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    };
    let of_first = "a_bucket{le=\"1\"} 0\na_bucket{le=\"4\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum 2\na_count 1\n\
        b{quantile=\"0.5\"} 1.0077519379844961\nb_sum 1\nb_count 1\n\
        c_bucket{le=\"1\"} 0\nc_bucket{le=\"4\"} 0\nc_bucket{le=\"+Inf\"} 0\nc_sum 0\nc_count 0\n\
        d_bucket{le=\"1\"} 1\nd_bucket{le=\"+Inf\"} 1\nd_sum 0.5\nd_count 1\n\
        e{quantile=\"0.5\"} NaN\ne_sum 0\ne_count 0\nf_sum 3\nf_count 1\n\
        g_bucket{le=\"1\"} 0\ng_bucket{le=\"4\"} 0\ng_bucket{le=\"+Inf\"} 1\ng_sum 8\ng_count 1\n";
    let of_last = "h{n=\"2\",quantile=\"0.5\"} NaN\nh_sum{n=\"2\"} 0\nh_count{n=\"2\"} 0";
    let of_removed = "h{n=\"1\",quantile=\"0.5\"} 1.0077519379844961\nh_sum{n=\"1\"} 1\nh_count{n=\"1\"} 1\n";
    assert_eq!(samples(), format!("{of_first}{of_removed}{of_last}"));
    family.remove(["1"]);
    assert_eq!(samples(), format!("{of_first}{of_last}"));
}

#[test]
fn invalid_options_are_errors() {
    let summary = || Summary::builder("q", "Help.");
    let histogram = || Histogram::builder("h", "Help.");
    let rejected = |builder: Builder<Summary>| match builder.clone().register_in(&Registry::new()) {
        Err(error) => {
            // The metric still works.
            let metric = builder.build();
            metric.observe(1.0);
            assert_eq!(metric.count(), 1);
            error.to_string()
        }
        Ok(_) => String::from("accepted"),
    };
    let numbers = "write 1 to 32 distinct numbers from 0 to 1";
    assert_eq!(
        rejected(summary().quantiles([1.5])),
        format!("`quantiles` of q has the invalid value [1.5]: {numbers}")
    );
    for invalid in [vec![], vec![0.5, 0.5], vec![f64::NAN], vec![-0.1], vec![f64::INFINITY, 0.5]] {
        assert!(rejected(summary().quantiles(invalid)).ends_with(numbers));
    }
    let error = "write a number from 0.002 up to, but not including, 0.5";
    for invalid in [0.0, -0.1, 0.5, 1.0, 1e-9, f64::NAN, f64::INFINITY] {
        assert!(rejected(summary().quantiles([0.5]).relative_error(invalid)).ends_with(error), "{invalid}");
    }
    for invalid in [Duration::ZERO, Duration::MAX] {
        assert!(rejected(summary().quantiles([0.5]).max_age(invalid)).ends_with("from one second to one year"));
    }
    assert!(rejected(summary().relative_error(0.1)).ends_with("add `quantiles`, or remove this option"));
    assert!(rejected(summary().max_age(Duration::from_secs(60))).contains("`max_age` of q has the invalid value 60s"));
    for invalid in [1.0, 0.5, f64::NAN, f64::INFINITY] {
        let result = histogram().native_factor(invalid).register_in(&Registry::new());
        assert!(matches!(result, Err(Error::InvalidOption { option: "native_factor", .. })), "{result:?}");
    }
    let result = histogram().max_native_buckets(0).register_in(&Registry::new());
    assert!(matches!(result, Err(Error::InvalidOption { option: "max_native_buckets", .. })), "{result:?}");
    // Invalid bounds, too, leave a metric that works.
    let without_bounds = histogram().buckets(iter::empty()).native().build();
    without_bounds.observe(1.0);
    assert_eq!(without_bounds.count(), 1);
}
