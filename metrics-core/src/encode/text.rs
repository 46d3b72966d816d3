//! The Prometheus text format, version 0.0.4.

use super::lines::Lines;
use super::number::push_float;
use super::{About, Encode};
use crate::sample::{FamilyInfo, Labels, Value, Visitor};

pub(super) const ABOUT: About = About {
    name: "text",
    content_type: "text/plain; version=0.0.4; charset=utf-8",
    encoder: |_| Box::new(Encoder(Lines::new(push_float))),
};

struct Encoder(Lines);

impl Encode for Encoder {
    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.0.out
    }
}

impl Visitor for Encoder {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        self.0.begin(family.name, family.name);
        self.0.help(family.help, false);
        self.0.push(&["# TYPE ", family.name, " ", family.kind.as_str(), "\n"]);
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the loop over counters does not check the type of each value")]
    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        match *value {
            Value::Counter(total) => self.0.number(labels, total),
            _ => self.any(labels, value),
        }
    }
}

impl Encoder {
    /// Writes a series of any type.
    fn any(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        let lines = &mut self.0;
        match *value {
            Value::Counter(total) => lines.number(labels, total),
            Value::Gauge(value) | Value::Untyped(value) => lines.float("", labels, None, value),
            Value::Summary { count, sum, quantiles } => {
                for (at, (quantile, value)) in quantiles.iter().enumerate() {
                    lines.float("", labels, Some(("quantile", *quantile, at)), *value);
                }
                lines.float("_sum", labels, None, sum);
                lines.whole("_count", labels, None, count);
            }
            Value::Histogram { count, sum, buckets, .. } => {
                for (at, (bound, count)) in buckets.iter().enumerate() {
                    lines.whole("_bucket", labels, Some(("le", *bound, at)), *count);
                }
                lines.float("_sum", labels, None, sum);
                lines.whole("_count", labels, None, count);
            }
        }
    }
}
