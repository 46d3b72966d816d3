//! Exposition formats, each in one file of this module and with one variant of [`Format`]. The two formats of a live
//! page have no variant, because they are not negotiated.

#[cfg(feature = "pushgateway")]
mod inspected;
#[cfg(feature = "exposition")]
pub(crate) mod json;
mod lines;
pub(crate) mod number;
mod openmetrics;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(feature = "exposition")]
mod table;
mod text;
#[cfg(any(feature = "otlp", feature = "protobuf", feature = "remote-write"))]
pub(crate) mod wire;

use crate::kind::Kind;
use crate::registry::Registry;
use crate::registry::scrape::Scrape;
use crate::registry::scrape::sources::Sources;
use crate::registry::scrape::steps::Steps;
use crate::sample::Visitor;

/// A format in which a registry can be exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The Prometheus text format, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics, version 1.0.0.
    ///
    /// Samples have the same names as in the other formats. A counter therefore has type `unknown` if its name does not
    /// end in `_total`, or if its name without `_total` is taken. The latter happens only to counters from collectors.
    /// Likewise, an info metric has type `gauge` if its name without `_info` is taken.
    /// The encoder skips everything that this format forbids: negative sums, counters and quantile values; quantiles
    /// outside the range from 0 to 1; unsorted buckets; and families whose name is reserved for a sample of another
    /// family (such as `x_created` if there is a summary named `x`).
    OpenMetrics,
    /// Delimited protobuf messages of type `io.prometheus.client.MetricFamily`.
    ///
    /// A family larger than 1 MiB is split into several messages with the same name.
    #[cfg(feature = "protobuf")]
    Protobuf,
}

/// The properties of a format, defined in the format's file.
struct About {
    name: &'static str,
    content_type: &'static str,
    /// Creates an encoder for a scrape of these sources.
    encoder: fn(&Sources) -> Box<dyn Encode>,
}

/// A visitor that encodes into a buffer. The output may be taken from the buffer at any time.
trait Encode: Visitor + Send + Sync {
    fn out(&mut self) -> &mut Vec<u8>;

    /// Runs one step of a scrape; see [`Steps::step`]. Each encoder has its own compiled step, in which its methods are
    /// inlined.
    fn step(&mut self, steps: &mut Steps, wanted: &dyn Fn(&str, Kind) -> bool) -> bool {
        let mut this = self;
        steps.step(wanted, &mut this)
    }

    /// Ensures that each family has a single message, for a receiver that replaces a message by a later one of the same
    /// name.
    #[cfg_attr(not(feature = "pushgateway"), allow(dead_code, reason = "only the Pushgateway is such a receiver"))]
    fn keep_families_whole(&mut self) {}

    /// Writes the end of the exposition.
    fn end(&mut self) {}
}

/// Returns true if the name, without the suffix of its type, ends in this unit.
fn ends_in_unit(name: &str, unit: &str) -> bool {
    !unit.is_empty() && name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'))
}

impl Format {
    /// Returns the `Content-Type` of this format.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        self.about().content_type
    }

    /// All supported formats.
    #[cfg_attr(not(feature = "exposition"), allow(dead_code, reason = "only the feature `exposition` uses it"))]
    pub(crate) const ALL: &[Self] = &[
        Self::Text,
        Self::OpenMetrics,
        #[cfg(feature = "protobuf")]
        Self::Protobuf,
    ];

    /// Returns the name of this format: `text`, `openmetrics` or `protobuf`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.about().name
    }

    fn about(self) -> About {
        match self {
            Self::Text => text::ABOUT,
            Self::OpenMetrics => openmetrics::ABOUT,
            #[cfg(feature = "protobuf")]
            Self::Protobuf => protobuf::ABOUT,
        }
    }
}

/// The maximum number of steps per call to [`Encoding::fill`]. This many steps take about 300 microseconds.
///
/// A step encodes up to 128 series. Steps that read totals early or skip unwanted families produce no output.
const STEPS: usize = 64;

/// A scrape that is being encoded step by step.
pub(crate) struct Encoding {
    steps: Steps,
    encoder: Box<dyn Encode>,
    has_ended: bool,
}

impl Encoding {
    pub(crate) fn new(steps: Steps, format: Format) -> Self {
        Self { encoder: (format.about().encoder)(steps.sources()), steps, has_ended: false }
    }

    /// Encodes the members of a live page's snapshot; see [`json`].
    #[cfg(feature = "exposition")]
    pub(crate) fn json(steps: Steps) -> Self {
        Self { encoder: Box::new(json::Encoder::new()), steps, has_ended: false }
    }

    /// Encodes the rows of a live page's table; see [`table`].
    #[cfg(feature = "exposition")]
    pub(crate) fn table(steps: Steps) -> Self {
        Self { encoder: Box::new(table::Encoder::new()), steps, has_ended: false }
    }

    /// Encodes more of the `wanted` families, until the buffer holds at least `bytes` bytes, the scrape is complete, or
    /// [`STEPS`] steps have run. Returns false once the scrape is complete.
    ///
    /// The output always ends with a complete line or message.
    pub(crate) fn fill(&mut self, bytes: usize, wanted: &dyn Fn(&str, Kind) -> bool) -> bool {
        for _ in 0..STEPS {
            if self.has_ended || self.encoder.out().len() >= bytes {
                break;
            }
            if !self.encoder.step(&mut self.steps, wanted) {
                self.encoder.end();
                self.has_ended = true;
            }
        }
        !self.has_ended
    }

    /// Returns the buffer, from which the caller takes the output.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.encoder.out()
    }
}

impl Scrape<'_> {
    /// Appends the scrape to `out` in this format.
    pub fn encode(self, format: Format, out: &mut Vec<u8>) {
        let mut encoding = Encoding::new(self.begin(), format);
        std::mem::swap(encoding.out(), out);
        while encoding.fill(usize::MAX, &|_, _| true) {}
        std::mem::swap(encoding.out(), out);
    }

    /// Returns the scrape in the text format.
    #[must_use]
    pub fn to_text(self) -> String {
        let mut out = Vec::new();
        self.encode(Format::Text, &mut out);
        String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

impl Registry {
    /// Appends all families to `out` in this format.
    ///
    /// Families are sorted by name, and the series of each family are in creation order.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) {
        self.scrape().encode(format, out);
    }

    /// Returns all families in the text format.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.scrape().to_text()
    }
}
