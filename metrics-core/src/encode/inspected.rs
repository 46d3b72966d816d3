//! An encoder that also passes the labels of each series to a function, for targets that restrict labels.

use super::{Encode, Format};
use crate::registry::scrape::Scrape;
use crate::sample::{FamilyInfo, Labels, SeriesDetails, Value, Visitor};

/// Passes a scrape to an encoder, and the labels of each series to a function.
struct Inspected<'a> {
    encoder: &'a mut dyn Encode,
    inspect: &'a mut dyn FnMut(&str, Labels<'_>),
    /// The name of the current family.
    family: String,
}

impl Visitor for Inspected<'_> {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        family.name.clone_into(&mut self.family);
        self.encoder.family(family);
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        (self.inspect)(&self.family, labels);
        self.encoder.series(labels, value);
    }

    fn series_with_details(&mut self, labels: Labels<'_>, value: &Value<'_>, details: &SeriesDetails<'_>) {
        (self.inspect)(&self.family, labels);
        self.encoder.series_with_details(labels, value, details);
    }
}

impl Scrape<'_> {
    /// Returns the scrape in this format. Also calls `inspect` with the family's name and the labels of each series.
    pub(crate) fn encode_inspected(self, format: Format, inspect: &mut dyn FnMut(&str, Labels<'_>)) -> Vec<u8> {
        let steps = self.begin();
        let mut encoder = (format.about().encoder)(steps.sources());
        steps.show_all(&mut Inspected { encoder: &mut *encoder, inspect, family: String::new() });
        encoder.end();
        std::mem::take(encoder.out())
    }
}
