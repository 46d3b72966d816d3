//! Collectors export odd families that no client library would create. Third-party parsers can still read the scrape.

use std::error::Error;

use metrics_core::{Collect, FamilyInfo, Format, Kind, Labels, Number, Registry, Value, Visitor};

use crate::differential::Random;
use crate::readers;

const REGISTRIES: usize = 600;

/// Names whose samples clash with each other in at least one format.
const NAMES: [&str; 14] = [
    "a",
    "a_total",
    "a_total_total",
    "a_count",
    "a_count_total",
    "a_sum",
    "a_sum_total",
    "a_bucket",
    "a_created",
    "a_created_total",
    "a_bucket_total",
    "total",
    "a_info",
    "b:seconds",
];
const KINDS: [Kind; 5] = [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary, Kind::Untyped];
const NUMBERS: [f64; 12] =
    [0.0, -0.0, 1.0, -1.0, 0.5, 0.99, 2.0, 1e-7, 1e9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
const HELPS: [&str; 6] = ["", "Plain.", "a \"b\" \\ \n c", "\"", " ", "\\"];
const VALUES: [&str; 5] = ["", "x", "\"}", "\\", "two\nlines"];
const UNITS: [Option<&str>; 4] = [None, Some("seconds"), Some(""), Some("total")];

struct Series {
    labels: Vec<(&'static str, &'static str)>,
    number: f64,
    count: u64,
    pairs: Vec<(f64, f64)>,
}

struct Odd {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    unit: Option<&'static str>,
    series: Vec<Series>,
}

impl Odd {
    fn of(random: &mut Random, name: &'static str) -> Self {
        let number = |random: &mut Random| random.of(&NUMBERS);
        let series = |random: &mut Random, n: usize| {
            // Sort half of the lists, so that many families are valid.
            let mut pairs: Vec<_> = (0..random.next() % 4).map(|_| (number(random), number(random))).collect();
            if random.next().is_multiple_of(2) {
                pairs.sort_by(|one, other| one.0.total_cmp(&other.0));
            }
            let labels = vec![("n", VALUES[n]), ("m", random.of(&VALUES))];
            Series { labels, number: number(random), count: random.next() % 4, pairs }
        };
        Self {
            name,
            help: random.of(&HELPS),
            kind: random.of(&KINDS),
            unit: random.of(&UNITS),
            series: (0..3).map(|n| series(random, n)).collect(),
        }
    }
}

impl Collect for Odd {
    fn names(&self) -> Vec<String> {
        vec![self.name.to_owned()]
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any count will do")]
    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut family = FamilyInfo::new(self.name, self.help, self.kind);
        family.unit = self.unit;
        visitor.family(&family);
        for Series { labels, number, count, pairs } in &self.series {
            let buckets: Vec<_> = pairs.iter().map(|(bound, count)| (*bound, *count as u64)).collect();
            let value = match self.kind {
                Kind::Counter => Value::Counter(Number::Float(*number)),
                Kind::Gauge => Value::Gauge(*number),
                Kind::Histogram => Value::Histogram { count: *count, sum: *number, buckets: &buckets, native: None },
                Kind::Summary => Value::Summary { count: *count, sum: *number, quantiles: pairs },
                _ => Value::Untyped(*number),
            };
            visitor.series(Labels::of(labels).borrow(), &value);
        }
        Ok(())
    }
}

/// Reads expositions that are each followed by a line of dashes, and prints each error with the exposition's number.
const READER: &str = r"
import io, sys
from PARSER import text_string_to_metric_families
sys.stdin = io.TextIOWrapper(sys.stdin.buffer, newline='\n')
samples = 0
for number, text in enumerate(sys.stdin.read().split('-----\n')[:-1]):
    try:
        samples += sum(len(family.samples) for family in text_string_to_metric_families(text))
    except Exception as error:
        print(number, repr(error))
print(samples, 'samples')
";

fn is_read(format: Format, parser: &str, at_least: usize) {
    let mut random = Random(20_261_123);
    let texts: Vec<String> = (0..REGISTRIES)
        .map(|_| {
            let registry = Registry::new();
            for name in NAMES {
                let odd = Odd::of(&mut random, name);
                if random.next().is_multiple_of(4) {
                    registry.register_collector(odd).expect("a valid name");
                }
            }
            let mut out = Vec::new();
            registry.encode(format, &mut out);
            String::from_utf8(out).expect("UTF-8") + "-----\n"
        })
        .collect();
    let said = readers::python(&READER.replace("PARSER", parser), &texts.concat());
    let mut lines: Vec<&str> = said.lines().collect();
    let samples = lines.pop().and_then(|line| line.strip_suffix(" samples")?.parse::<usize>().ok());
    let first = lines.first().and_then(|line| texts.get(line.split(' ').next()?.parse::<usize>().ok()?));
    assert!(lines.is_empty(), "{}\n{}", lines.join("\n"), first.map_or("", String::as_str));
    assert!(samples.is_some_and(|samples| samples > at_least), "{samples:?}");
}

#[test]
fn the_python_client_reads_them_in_text() {
    is_read(Format::Text, "prometheus_client.parser", 5_000);
}

/// The OpenMetrics parser rejects the whole scrape if any line violates the format.
#[test]
fn the_python_client_reads_them_in_openmetrics() {
    is_read(Format::OpenMetrics, "prometheus_client.openmetrics.parser", 5_000);
}
