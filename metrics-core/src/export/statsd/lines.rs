//! Lines of the StatsD and DogStatsD protocols: `name:value|type`, followed by `|#tag:value,..` in DogStatsD.
//!
//! Counters and the samples of summaries and histograms are sent as the increase since their last delivery. Several of
//! them can have the same name after invalid characters are replaced, because a server adds up everything that it
//! receives under a name. Gauges would overwrite each other, in an order that may change between pushes, so only the
//! first one with a name is sent. The others are detected with a set of name hashes, which is kept for one push.

use std::hash::BuildHasher;
use std::time::SystemTime;

use hashbrown::HashSet;

use super::super::push::PushContext;
use super::super::push::differences::{Differences, Total};
use super::super::push::path::{Pair, pairs, push_labels, push_valid};
use super::datagrams::Datagrams;
use crate::encode::number::{push_float, push_number};
use crate::sample::{FamilyInfo, Labels, Number, SeriesDetails, Value, Visitor};

const NOT_FINITE: &str = "is not a finite number";
const TOO_LARGE: &str = "is larger than a datagram";
const SAME_NAME: &str = "has the same name as another gauge after invalid characters are replaced";

/// The protocol that a server understands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dialect {
    /// Labels are part of the name.
    Plain,
    /// Labels are tags.
    Datadog,
}

/// A total whose increases are sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    Count(Number),
    /// A sum, which may decrease, and the number of observations, which does not.
    Sum(f64, u64),
}

/// A visitor that writes a line for each sample, or two for a negative gauge.
pub(super) struct StatsDLines<'p> {
    pub(super) datagrams: Datagrams,
    names: Names<'p>,
    differences: &'p mut Differences<Sent>,
    sample: SampleText,
    /// The hashes of the names of all gauges so far. If two names have the same hash, one gauge is skipped. With a
    /// million names, this happens in about one in 30 million pushes.
    gauges: HashSet<u64, foldhash::fast::RandomState>,
    push: &'p PushContext<'p>,
}

/// The parts of a sample's name that do not depend on the sample.
struct Names<'p> {
    dialect: Dialect,
    prefix: &'p str,
    /// The name of the current family.
    family: String,
    /// The same name, with invalid characters replaced.
    valid_family: Vec<u8>,
}

/// Reusable buffers for the text of a sample.
#[derive(Default)]
struct SampleText {
    /// Identifies the sample within its family. Unlike its name, the key has no replaced characters.
    key: Vec<u8>,
    name: Vec<u8>,
    /// The tags with their separators, or empty.
    tags: Vec<u8>,
    lines: Vec<u8>,
}

/// A sample's suffix, labels, and bound of a bucket or quantile.
#[derive(Clone, Copy)]
struct Identity<'a> {
    suffix: &'static str,
    labels: Labels<'a>,
    bound: Option<(&'static str, f64)>,
}

impl Total for Sent {
    fn since(&self, earlier: &Self) -> Option<Self> {
        match (*self, *earlier) {
            (Self::Count(Number::Whole(total)), Self::Count(Number::Whole(earlier))) => {
                total.checked_sub(earlier).map(|increase| Self::Count(Number::Whole(increase)))
            }
            (Self::Count(total), Self::Count(earlier)) => {
                let increase = total.as_f64() - earlier.as_f64();
                (increase >= 0.0).then_some(Self::Count(Number::Float(increase)))
            }
            (Self::Sum(sum, count), Self::Sum(earlier, earlier_count)) => {
                count.checked_sub(earlier_count).map(|count| Self::Sum(sum - earlier, count))
            }
            (Self::Count(_), Self::Sum(..)) | (Self::Sum(..), Self::Count(_)) => None,
        }
    }
}

impl Sent {
    fn number(self) -> Number {
        match self {
            Self::Count(number) => number,
            Self::Sum(sum, _) => Number::Float(sum),
        }
    }
}

impl<'p> StatsDLines<'p> {
    /// Creates a visitor. The `prefix` argument must be a value returned by
    /// [`prefix`](super::super::push::path::prefix).
    pub(super) fn new(
        dialect: Dialect,
        prefix: &'p str,
        datagrams: Datagrams,
        differences: &'p mut Differences<Sent>,
        push: &'p PushContext<'p>,
    ) -> Self {
        let names = Names { dialect, prefix, family: String::new(), valid_family: Vec::new() };
        let (sample, gauges) = Default::default();
        Self { datagrams, names, differences, sample, gauges, push }
    }

    /// Sends the increase of a total, unless it is 0 and the server knows the series.
    fn total(&mut self, identity: Identity<'_>, created: Option<SystemTime>, total: Sent) {
        let Self { datagrams, names, differences, sample, push, .. } = self;
        sample.write_key(identity);
        let series = differences.series(&names.family, &sample.key);
        let increase = series.increase(&total, created);
        let number = increase.unwrap_or(total).number();
        if increase.is_some() && number.as_f64() == 0.0 {
            return series.send(total, created, datagrams.number());
        }
        sample.write_name(names, identity);
        let datagram = if number.as_f64().is_finite() {
            sample.write_line(number, b"|c");
            datagrams.add(&sample.lines).ok_or(TOO_LARGE)
        } else {
            Err(NOT_FINITE)
        };
        match datagram {
            Ok(datagram) => series.send(total, created, datagram),
            Err(reason) => push.skip(reason, &sample.full_name()),
        }
    }

    fn gauge(&mut self, identity: Identity<'_>, value: f64) {
        let Self { datagrams, names, sample, gauges, push, .. } = self;
        sample.write_name(names, identity);
        let hash = gauges.hasher().hash_one((&sample.name, &sample.tags));
        let sent = if !gauges.insert(hash) {
            Err(SAME_NAME)
        } else if !value.is_finite() {
            // The gauge still reserves its name. Otherwise, another gauge with that name would be sent only in pushes
            // in which this one is not finite.
            Err(NOT_FINITE)
        } else {
            if value < 0.0 {
                // Servers add a value with a sign to the gauge. The Datadog Agent does not, but other servers of its
                // dialect do.
                sample.write_line(Number::Whole(0), b"|g");
                sample.lines.push(b'\n');
            }
            sample.write_line(Number::Float(value), b"|g");
            datagrams.add(&sample.lines).ok_or(TOO_LARGE)
        };
        if let Err(reason) = sent {
            push.skip(reason, &sample.full_name());
        }
    }

    fn visit(&mut self, labels: Labels<'_>, value: &Value<'_>, created: Option<SystemTime>) {
        let of = |suffix| Identity { suffix, labels, bound: None };
        let bounded = |suffix, name, bound| Identity { suffix, labels, bound: Some((name, bound)) };
        match *value {
            Value::Counter(total) => self.total(of(""), created, Sent::Count(total)),
            Value::Gauge(value) | Value::Untyped(value) => self.gauge(of(""), value),
            Value::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    self.gauge(bounded("", "quantile", *quantile), *value);
                }
                self.total(of("_count"), created, Sent::Count(Number::Whole(count)));
                self.total(of("_sum"), created, Sent::Sum(sum, count));
            }
            Value::Histogram { count, sum, buckets, .. } => {
                for (bound, count) in buckets {
                    let bucket = Sent::Count(Number::Whole(*count));
                    self.total(bounded("_bucket", "le", *bound), created, bucket);
                }
                self.total(of("_count"), created, Sent::Count(Number::Whole(count)));
                self.total(of("_sum"), created, Sent::Sum(sum, count));
            }
        }
    }
}

impl SampleText {
    fn write_key(&mut self, Identity { suffix, labels, bound }: Identity<'_>) {
        self.key.clear();
        self.key.extend_from_slice(suffix.as_bytes());
        if let Some((_, bound)) = bound {
            self.key.extend_from_slice(&bound.to_bits().to_le_bytes());
        }
        for piece in labels.escaped() {
            self.key.push(b',');
            self.key.extend_from_slice(piece.as_bytes());
        }
    }

    /// Replaces the name and the tags, and removes all lines.
    fn write_name(&mut self, names: &Names<'_>, Identity { suffix, labels, bound }: Identity<'_>) {
        let Self { name, tags, lines, .. } = self;
        for text in [&mut *name, &mut *tags, lines] {
            text.clear();
        }
        for part in [names.prefix.as_bytes(), &names.valid_family, suffix.as_bytes()] {
            name.extend_from_slice(part);
        }
        let mut pairs = pairs(labels, bound);
        match names.dialect {
            Dialect::Plain => push_labels(name, &mut pairs),
            Dialect::Datadog => push_tags(tags, &mut pairs),
        }
    }

    fn write_line(&mut self, value: Number, kind: &[u8]) {
        let Self { name, tags, lines, .. } = self;
        lines.extend_from_slice(name);
        lines.push(b':');
        match value {
            Number::Whole(_) => push_number(lines, value),
            // A plain server would add -0 to a gauge. The sum of -0 and 0 is 0.
            Number::Float(value) => push_float(lines, value + 0.0),
        }
        lines.extend_from_slice(kind);
        lines.extend_from_slice(tags);
    }

    /// Returns the sample's name and tags.
    fn full_name(&self) -> String {
        String::from_utf8_lossy(&[self.name.as_slice(), &self.tags].concat()).into_owned()
    }
}

impl Visitor for StatsDLines<'_> {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        let Names { family: name, valid_family, .. } = &mut self.names;
        name.clear();
        name.push_str(family.name);
        valid_family.clear();
        push_valid(valid_family, family.name);
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        self.visit(labels, value, None);
    }

    fn series_with_details(&mut self, labels: Labels<'_>, value: &Value<'_>, details: &SeriesDetails<'_>) {
        self.visit(labels, value, details.created);
    }
}

/// Sorts the labels by name, and appends them as tags. Tags with empty values are omitted.
fn push_tags(out: &mut Vec<u8>, pairs: &mut [Pair<'_>]) {
    pairs.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        out.extend_from_slice(if out.is_empty() { b"|#" } else { b"," });
        push_tag(out, name, |c| c == ':');
        out.push(b':');
        push_tag(out, value, |_| false);
    }
}

/// Appends `text`, with `_` in place of each character that separates tags, fields or lines, or that is invalid.
fn push_tag(out: &mut Vec<u8>, text: &str, is_invalid: impl Fn(char) -> bool) {
    for c in text.chars() {
        let is_separator = matches!(c, '|' | ',' | '#') || c.is_control();
        let valid = if is_separator || is_invalid(c) { '_' } else { c };
        out.extend_from_slice(valid.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(total: u64) -> Sent {
        Sent::Count(Number::Whole(total))
    }

    fn float(total: f64) -> Sent {
        Sent::Count(Number::Float(total))
    }

    #[test]
    fn increases_of_whole_numbers_are_exact() {
        let increase = whole(u64::MAX).since(&whole(1 << 60)).map(Sent::number);
        assert_eq!(increase, Some(Number::Whole(u64::MAX - (1 << 60))));
        assert_eq!(whole(5).since(&whole(5)).map(Sent::number), Some(Number::Whole(0)));
        assert_eq!(float(5.5).since(&whole(5)).map(Sent::number), Some(Number::Float(0.5)));
        assert_eq!(whole(6).since(&float(5.5)).map(Sent::number), Some(Number::Float(0.5)));
    }

    #[test]
    fn a_count_that_fell_began_again() {
        for (total, earlier) in [(whole(4), whole(5)), (float(4.5), float(5.0)), (whole(4), float(4.5))] {
            assert!(total.since(&earlier).is_none(), "{total:?} {earlier:?}");
        }
    }

    #[test]
    fn a_sum_began_again_if_its_count_fell() {
        assert_eq!(Sent::Sum(1.5, 4).since(&Sent::Sum(2.0, 4)).map(Sent::number), Some(Number::Float(-0.5)));
        assert_eq!(Sent::Sum(-3.0, 5).since(&Sent::Sum(2.0, 4)).map(Sent::number), Some(Number::Float(-5.0)));
        assert!(Sent::Sum(9.0, 3).since(&Sent::Sum(2.0, 4)).is_none());
        // The family has a different type than before.
        assert!(Sent::Sum(9.0, 3).since(&whole(2)).is_none() && whole(3).since(&Sent::Sum(9.0, 2)).is_none());
    }
}
