//! Exposition formats. Each format has one file here and one variant of [`Format`].

mod lines;
pub(crate) mod number;
mod openmetrics;
#[cfg(feature = "protobuf")]
mod protobuf;
mod text;

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
    /// The names of samples are those of the other formats: a counter whose name does not end in `_total`, or is taken
    /// without it, which only those of collectors can be, is of type `unknown` here. What this format forbids is left
    /// out: sums and counters below 0, quantiles that are not from 0 to 1, buckets in no order, and families that have
    /// the name of a sample that it keeps for another one (`x_created` beside a summary `x`).
    OpenMetrics,
    /// Delimited protobuf messages, `io.prometheus.client.MetricFamily`. A family larger than 1 MiB is written as
    /// several messages of its name.
    #[cfg(feature = "protobuf")]
    Protobuf,
}

/// What a format's file tells about it.
struct About {
    name: &'static str,
    content_type: &'static str,
    /// An encoder for what these show.
    encoder: fn(&Sources) -> Box<dyn Encode>,
}

/// Writes what it visits to a buffer, from which it may be taken at any time.
trait Encode: Visitor + Send + Sync {
    fn out(&mut self) -> &mut Vec<u8>;

    /// Writes what stands behind everything.
    fn end(&mut self) {}
}

impl Format {
    /// The `Content-Type` of this format.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        self.about().content_type
    }

    /// All formats that are there.
    #[cfg_attr(not(feature = "exposition"), allow(dead_code, reason = "what exposes them is a feature"))]
    pub(crate) const ALL: &[Self] = &[
        Self::Text,
        Self::OpenMetrics,
        #[cfg(feature = "protobuf")]
        Self::Protobuf,
    ];

    /// Its name: `text`, `openmetrics` or `protobuf`.
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

/// Steps of up to 128 series that are encoded at once, about 300 microseconds. Steps that read totals early or look for
/// the families that are wanted give no bytes.
const STEPS: usize = 64;

/// A scrape that is being encoded, some series at a time.
pub(crate) struct Encoding {
    steps: Steps,
    encoder: Box<dyn Encode>,
    has_ended: bool,
}

impl Encoding {
    pub(crate) fn new(steps: Steps, format: Format) -> Self {
        Self { encoder: (format.about().encoder)(steps.sources()), steps, has_ended: false }
    }

    /// Encodes more, of families that are `wanted`, until there are so many bytes or nothing is left, in a limited
    /// number of steps. False if nothing is left.
    ///
    /// What there is by then ends with the line, or the message.
    pub(crate) fn fill(&mut self, bytes: usize, wanted: &dyn Fn(&str, Kind) -> bool) -> bool {
        for _ in 0..STEPS {
            if self.has_ended || self.encoder.out().len() >= bytes {
                break;
            }
            if !self.steps.step(wanted, &mut *self.encoder) {
                self.encoder.end();
                self.has_ended = true;
            }
        }
        !self.has_ended
    }

    /// What is encoded by now, to be taken.
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

    /// The scrape in the text format.
    #[must_use]
    pub fn to_text(self) -> String {
        let mut out = Vec::new();
        self.encode(Format::Text, &mut out);
        String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

impl Registry {
    /// Appends all that is registered to `out` in this format: families by name, their series in the order of their
    /// creation.
    pub fn encode(&self, format: Format, out: &mut Vec<u8>) {
        self.scrape().encode(format, out);
    }

    /// All that is registered in the text format.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.scrape().to_text()
    }
}
