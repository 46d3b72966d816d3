//! The rates of requests, and of those that fail or are slow.

use crate::encode::number::{push_canonical, push_float};
use crate::kind::Kind;
use crate::registry::DeclaredFamily;

/// Returns a rate by labels over a window.
type Rate<'a> = Box<dyn Fn(&str, &str) -> String + 'a>;

/// Requests of one kind, such as failed ones.
pub(super) struct Events<'a> {
    /// The name in recording rules, without the labels and the operation.
    pub(super) name: String,
    /// Returns the rate by these labels over a window.
    pub(super) rate: Rate<'a>,
}

impl<'a> Events<'a> {
    pub(super) fn of_counter(family: &'a str) -> Self {
        let rate = move |by: &str, window: &str| format!("sum by ({by}) (rate({family}[{window}]))");
        Self { name: stem(family).to_owned(), rate: Box::new(rate) }
    }
}

fn stem(counter: &str) -> &str {
    counter.strip_suffix("_total").unwrap_or(counter)
}

pub(super) fn has_bound(family: &DeclaredFamily, seconds: f64) -> bool {
    family.kind == Kind::Histogram && family.buckets.contains(&seconds)
}

/// Returns the rate of requests. Prometheus may store a native histogram without its classic series.
pub(super) fn request_rate(latency: &DeclaredFamily, by: &str, window: &str) -> String {
    let name = &latency.name;
    let classic = format!("rate({name}_count[{window}])");
    if !latency.native {
        return format!("sum by ({by}) ({classic})");
    }
    format!("sum by ({by}) ({})", larger(&classic, &format!("histogram_count(rate({name}[{window}]))")))
}

/// Returns the rate of requests that take longer than `seconds`. Buckets are subtracted series by series, so that
/// instances of an older version without this bound do not count as slow.
pub(super) fn slow_rate(latency: &DeclaredFamily, seconds: f64, by: &str, window: &str) -> String {
    let name = &latency.name;
    let bucket = |bound: &str| format!("rate({name}_bucket{{{bound}}}[{window}])");
    let classic = format!("{} - ignoring (le) {}", bucket("le=\"+Inf\""), bucket_at(seconds, bucket));
    if !latency.native {
        return format!("sum by ({by}) ({classic})");
    }
    let native = format!("rate({name}[{window}])");
    let count = format!("histogram_count({native})");
    // Without requests, the fraction is NaN, which would make the sum NaN. The comparison drops it, and the count is 0.
    let slow = format!("({count} * (1 - histogram_fraction(-Inf, {seconds}, {native})) > -Inf)");
    format!("sum by ({by}) ({})", larger(&format!("({classic})"), &format!("({slow} or {count})")))
}

/// Returns the larger rate of each series. An instance may have both, and while Prometheus changes from one to the
/// other, each covers only a part of the window.
fn larger(classic: &str, native: &str) -> String {
    format!("({classic} > {native}) or {native} or {classic}")
}

/// Returns the rate of the bucket with this bound. OpenMetrics and the text format write whole numbers differently, and
/// Prometheus may have scraped both.
fn bucket_at(bound: f64, bucket: impl Fn(&str) -> String) -> String {
    let text = |push: fn(&mut Vec<u8>, f64)| {
        let mut out = Vec::new();
        push(&mut out, bound);
        String::from_utf8_lossy(&out).into_owned()
    };
    let (plain, canonical) = (text(push_float), text(push_canonical));
    if plain == canonical {
        return bucket(&format!("le=\"{plain}\""));
    }
    let escaped = |text: String| text.replace('.', "\\\\.").replace('+', "\\\\+");
    format!("sum without (le) ({})", bucket(&format!("le=~\"{}|{}\"", escaped(plain), escaped(canonical))))
}
