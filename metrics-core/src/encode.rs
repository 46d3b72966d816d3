//! Expositions: a format is a file here, and a line in [`Format`].

pub(crate) mod number;
mod text;

use crate::registry::Registry;
use crate::registry::scrape::Scrape;

/// A format in which a registry can be exposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The Prometheus text format, version 0.0.4.
    #[default]
    Text,
}

impl Format {
    /// The `Content-Type` of this format.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Scrape<'_> {
    /// Appends the scrape to `out` in this format.
    pub fn encode(self, format: Format, out: &mut Vec<u8>) {
        match format {
            Format::Text => self.visit(&mut text::Encoder::new(out)),
        }
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
