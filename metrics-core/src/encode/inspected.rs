//! An encoder for targets that restrict labels: a function decides about each series.

use super::{Encode, Format};
use crate::registry::scrape::Scrape;
use crate::sample::{FamilyInfo, Labels, SeriesDetails, Value, Visitor};

/// Passes the series of a scrape to an encoder if a function wants them.
struct Inspected<'a> {
    encoder: &'a mut dyn Encode,
    is_wanted: &'a mut dyn FnMut(&str, Labels<'_>) -> bool,
    /// The name of the current family.
    family: String,
}

impl Visitor for Inspected<'_> {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        family.name.clone_into(&mut self.family);
        self.encoder.family(family);
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        if (self.is_wanted)(&self.family, labels) {
            self.encoder.series(labels, value);
        }
    }

    fn series_with_details(&mut self, labels: Labels<'_>, value: &Value<'_>, details: &SeriesDetails<'_>) {
        if (self.is_wanted)(&self.family, labels) {
            self.encoder.series_with_details(labels, value, details);
        }
    }
}

impl Scrape<'_> {
    /// Returns the scrape in this format, with the series for which `is_wanted` returns true. It is called with the
    /// family's name and the labels.
    pub(crate) fn encode_inspected(
        self,
        format: Format,
        is_wanted: &mut dyn FnMut(&str, Labels<'_>) -> bool,
    ) -> Vec<u8> {
        let steps = self.begin();
        let mut encoder = (format.about().encoder)(steps.sources());
        // The Pushgateway keeps only the last message of a family.
        encoder.keep_families_whole();
        steps.show_all(&mut Inspected { encoder: &mut *encoder, is_wanted, family: String::new() });
        encoder.end();
        std::mem::take(encoder.out())
    }
}
