//! Internal errors of the instrumentation: counted by kind, logged once per kind and source, and never propagated.
//!
//! The counts are plain statics in the lowest layer, and the scrape itself exports them. Even the lowest layer can
//! therefore count an error without depending on a higher one.

use std::collections::HashSet;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use log::Level;

use crate::lock::lock;
use crate::logging::log;

/// The kinds of `metrics_core_internal_errors_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum InternalError {
    /// A counter was given NaN, an infinity or a negative amount; the amount is ignored.
    InvalidAmount,
    /// A summary or histogram was given NaN or an infinity; the observation is ignored.
    InvalidObservation,
    /// A label expression of an annotated function ended the call.
    LabelPanic,
    /// The list after `in` panicked, or was needed by the code that makes it.
    LabelList,
    /// An annotated function was given families that do not fit its labels.
    InstrumentConflict,
    /// A collector or callback panicked; its families are left out of that scrape.
    CollectorPanic,
    /// A collector has returned an error; its families are left out of that scrape.
    CollectorError,
    /// A collector was not done in time; its families are left out of that scrape.
    CollectorTimeout,
    /// A family that a collector showed does not go with the others, or is invalid; it is left out of that scrape.
    CollectorConflict,
    /// A thread could not be started; a collector it was for runs on the scraping thread.
    ThreadSpawnFailed,
    /// No slot was left for another series; it counts in its family's overflow series.
    SeriesSlotsExhausted,
}

impl InternalError {
    pub(crate) const ALL: [Self; 11] = [
        Self::CollectorConflict,
        Self::CollectorError,
        Self::CollectorPanic,
        Self::CollectorTimeout,
        Self::InstrumentConflict,
        Self::InvalidAmount,
        Self::InvalidObservation,
        Self::LabelList,
        Self::LabelPanic,
        Self::SeriesSlotsExhausted,
        Self::ThreadSpawnFailed,
    ];

    /// The value of label `kind`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidAmount => "invalid_amount",
            Self::InvalidObservation => "invalid_observation",
            Self::LabelPanic => "label_panic",
            Self::LabelList => "label_list",
            Self::InstrumentConflict => "instrument_conflict",
            Self::CollectorError => "collector_error",
            Self::CollectorPanic => "collector_panic",
            Self::CollectorTimeout => "collector_timeout",
            Self::CollectorConflict => "collector_conflict",
            Self::ThreadSpawnFailed => "thread_spawn_failed",
            Self::SeriesSlotsExhausted => "series_slots_exhausted",
        }
    }

    /// How often this kind has happened.
    pub(crate) fn count(self) -> u64 {
        COUNTS[self as usize].load(Ordering::Relaxed)
    }

    /// Counts one that the caller reports.
    #[cold]
    pub(crate) fn increment(self) {
        COUNTS[self as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one, and logs the first of this kind at `place`.
    #[cold]
    pub(crate) fn record(self, place: &dyn fmt::Display) {
        self.record_as(place, &self.describe());
    }

    /// As [`InternalError::record`]; the log names the cause too, which may be another each time.
    #[cold]
    pub(crate) fn record_cause(self, place: &dyn fmt::Display, cause: &dyn fmt::Display) {
        self.record_as(place, &format_args!("{}: {cause}", self.describe()));
    }

    fn record_as(self, place: &dyn fmt::Display, message: &dyn fmt::Display) {
        let before = COUNTS[self as usize].fetch_add(1, Ordering::Relaxed);
        // In a flood only some look whether their place is new, so that the others wait for nobody.
        let looks = !self.floods() || before < LOGGED_PLACES as u64 || before.is_power_of_two();
        if looks && first_at(self, place) {
            log(Level::Warn, format_args!("{place}: {message} (logged once)"));
        }
    }

    /// Whether calls can make it happen without end.
    fn floods(self) -> bool {
        matches!(self, Self::InvalidAmount | Self::InvalidObservation)
    }

    fn describe(self) -> &'static str {
        match self {
            Self::InvalidAmount => "a counter ignored an amount that is negative or not finite",
            Self::InvalidObservation => "an observation that is not finite was ignored",
            Self::LabelPanic => "a label expression ended the call; it counts under `__overflow__`",
            Self::LabelList => "the list after `in` could not be had; calls count as `other`",
            Self::InstrumentConflict => "the families do not fit the labels; nothing is exported from here",
            Self::CollectorError => "a collector failed; its families are left out",
            Self::CollectorPanic => "a collector panicked; its families are left out",
            Self::CollectorTimeout => "a collector was not done in time; its families are left out",
            Self::CollectorConflict => "a family that a collector shows is left out",
            Self::ThreadSpawnFailed => "a thread could not be started; what it was for is done here, or not at all",
            Self::SeriesSlotsExhausted => {
                "no slot is left for another series; it counts in the overflow series of its family"
            }
        }
    }
}

static COUNTS: [AtomicU64; InternalError::ALL.len()] = [const { AtomicU64::new(0) }; InternalError::ALL.len()];

/// Places already logged; at most this many are remembered, and later ones are not logged.
const LOGGED_PLACES: usize = 1_024;

fn first_at(kind: InternalError, place: &dyn fmt::Display) -> bool {
    static LOGGED: Mutex<Option<HashSet<(InternalError, String)>>> = Mutex::new(None);
    let key = (kind, place.to_string());
    let mut logged = lock(&LOGGED);
    let logged = logged.get_or_insert_default();
    logged.len() < LOGGED_PLACES && logged.insert(key)
}
