//! Amounts that can be counted and observed, and amounts that are ignored.

use std::time::Duration;

use metrics_core::{Counter, Gauge, Histogram, Registry, Summary};

use crate::internal_errors;

#[test]
fn all_numbers_and_durations_are_amounts() {
    let counter = Counter::builder("amounts_total", "").build();
    counter.inc_by(1_u8);
    counter.inc_by(2_i64);
    counter.inc_by(3_usize);
    counter.inc_by(0.5_f32);
    counter.inc_by(0.25);
    counter.inc_by(Duration::from_millis(250));
    assert_eq!(counter.value(), 7.0);
}

#[test]
fn a_counter_ignores_invalid_amounts() {
    let counter = Counter::builder("spoilt_total", "").build();
    counter.inc_by(2);
    let before = internal_errors("invalid_amount");
    for amount in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.5] {
        counter.inc_by(amount);
    }
    counter.inc_by(-1);
    assert_eq!(counter.value(), 2.0);
    assert!(internal_errors("invalid_amount") >= before + 6.0);
}

#[test]
fn a_counter_is_exact_beyond_2_to_the_53() {
    let registry = Registry::new();
    let counter = Counter::builder("big_total", "").register_in(&registry).expect("a valid name");
    counter.inc_by(1_u64 << 53);
    for _ in 0..3 {
        counter.inc();
    }
    assert!(registry.to_text().contains("\nbig_total 9007199254740995\n"), "{}", registry.to_text());
    counter.inc_by(0.5);
    assert!(registry.to_text().contains("\nbig_total 9007199254740995\n"), "{}", registry.to_text());
    counter.inc_by(u64::MAX);
    counter.inc();
    assert!(registry.to_text().contains("\nbig_total 18446744073709551615\n"), "{}", registry.to_text());
}

#[test]
fn a_counter_does_not_decrease_if_its_amounts_are_huge() {
    for amounts in [
        &[1e20, 2_f64.powi(53)][..],
        &[f64::MAX, f64::MAX, 2_f64.powi(53)],
        &[1.844_674_4e19, 0.5, 2_f64.powi(53), 2_f64.powi(62)],
    ] {
        let counter = Counter::builder("huge_total", "").build();
        let mut before = 0.0;
        for amount in amounts {
            counter.inc_by(*amount);
            counter.inc_by((1_u64 << 53) - 1);
            counter.inc();
            assert!(counter.value() >= before, "{} after {before}: {amounts:?}", counter.value());
            before = counter.value();
        }
    }
}

#[test]
fn observations_must_be_finite() {
    let summary = Summary::builder("finite_seconds", "").build();
    let histogram = Histogram::builder("finite_bytes", "").build();
    let before = internal_errors("invalid_observation");
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        summary.observe(value);
        histogram.observe(value);
    }
    assert_eq!((summary.count(), histogram.count()), (0, 0));
    assert!(internal_errors("invalid_observation") >= before + 6.0);
    summary.observe(-2.5);
    summary.observe(1);
    assert_eq!((summary.count(), summary.sum()), (2, -1.5));
}

#[test]
fn a_gauge_takes_any_value() {
    let gauge = Gauge::builder("any", "").build();
    gauge.set(5);
    gauge.add(2.5);
    gauge.sub(10_u64);
    gauge.inc();
    gauge.dec();
    assert_eq!(gauge.value(), -2.5);
    gauge.set(f64::NAN);
    assert!(gauge.value().is_nan());
    gauge.set(f64::NEG_INFINITY);
    assert_eq!(gauge.value(), f64::NEG_INFINITY);
    gauge.set_to_current_time();
    assert!(gauge.value() > 1.7e9);
}

#[test]
fn a_histogram_puts_a_bound_into_its_own_bucket() {
    let registry = Registry::new();
    let histogram = Histogram::builder("h", "Sizes.")
        .buckets([1.0, 2.5])
        .const_label("zone", "eu")
        .register_in(&registry)
        .expect("a valid histogram");
    for value in [0.5, 1.0, 1.0001, 2.5, 3.0] {
        histogram.observe(value);
    }
    let expected = "# HELP h Sizes.\n# TYPE h histogram\n\
        h_bucket{zone=\"eu\",le=\"1\"} 2\nh_bucket{zone=\"eu\",le=\"2.5\"} 4\nh_bucket{zone=\"eu\",le=\"+Inf\"} 5\n\
        h_sum{zone=\"eu\"} 8.0001\nh_count{zone=\"eu\"} 5\n";
    assert_eq!(registry.to_text(), expected);
}
