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

/// The kinds of errors that `metrics_core_internal_errors_total` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum InternalError {
    /// A counter was given NaN, an infinity or a negative amount; the amount is ignored.
    InvalidAmount,
    /// A summary or histogram was given NaN or an infinity; the observation is ignored.
    InvalidObservation,
    /// An annotated function's label or family expression panicked or returned from the function.
    LabelPanic,
    /// The list after `in` panicked, or a call needed the list while it was being evaluated.
    LabelList,
    /// An annotated function cannot use a family, for example because the labels do not match or the family's
    /// expression panicked.
    InstrumentConflict,
    /// A collector or callback panicked; its families are skipped in that scrape. Panics in the declaration of a global
    /// struct are also counted here.
    CollectorPanic,
    /// A collector returned an error; its families are skipped in that scrape.
    CollectorError,
    /// A collector timed out; its families are skipped in that scrape.
    CollectorTimeout,
    /// A family from a collector is invalid or conflicts with another one; it is skipped in that scrape.
    CollectorConflict,
    /// A thread could not be spawned; its work runs on the current thread or is skipped.
    ThreadSpawnFailed,
    /// There was no slot or memory for a new series; its label set is counted in its family's overflow series.
    SeriesSlotsExhausted,
    /// The source of an exemplar's labels panicked; the exemplar is skipped.
    ExemplarPanic,
    /// The labels of an exemplar are invalid or too long; the exemplar is skipped.
    InvalidExemplar,
    /// The `exception_if` of a layer panicked; the request is counted as an exception.
    ExceptionRulePanic,
}

impl InternalError {
    pub(crate) const ALL: [Self; 14] = [
        Self::CollectorConflict,
        Self::CollectorError,
        Self::CollectorPanic,
        Self::CollectorTimeout,
        Self::ExceptionRulePanic,
        Self::ExemplarPanic,
        Self::InstrumentConflict,
        Self::InvalidAmount,
        Self::InvalidExemplar,
        Self::InvalidObservation,
        Self::LabelList,
        Self::LabelPanic,
        Self::SeriesSlotsExhausted,
        Self::ThreadSpawnFailed,
    ];

    /// The value of the `kind` label.
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
            Self::ExemplarPanic => "exemplar_panic",
            Self::InvalidExemplar => "invalid_exemplar",
            Self::ExceptionRulePanic => "exception_rule_panic",
        }
    }

    /// The number of errors of this kind.
    pub(crate) fn count(self) -> u64 {
        COUNTS[self as usize].load(Ordering::Relaxed)
    }

    /// Counts an error that the caller reports.
    #[cold]
    pub(crate) fn increment(self) {
        COUNTS[self as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an error, and logs it if it is the first of this kind at `place`.
    #[cold]
    pub(crate) fn record(self, place: &dyn fmt::Display) {
        self.record_as(place, &self.describe());
    }

    /// Like [`InternalError::record`], but the log message also contains the cause, which may differ each time.
    #[cold]
    pub(crate) fn record_cause(self, place: &dyn fmt::Display, cause: &dyn fmt::Display) {
        self.record_as(place, &format_args!("{}: {cause}", self.describe()));
    }

    fn record_as(self, place: &dyn fmt::Display, message: &dyn fmt::Display) {
        let before = COUNTS[self as usize].fetch_add(1, Ordering::Relaxed);
        // During a flood, the place is looked up for only some errors, so that the others do not take the lock.
        let looks = !self.floods() || before < LOGGED_PLACES as u64 || before.is_power_of_two();
        if looks && first_at(self, place) {
            log(Level::Warn, format_args!("{place}: {message} (logged once)"));
        }
    }

    /// Returns true if calls can cause this error at an unlimited rate.
    fn floods(self) -> bool {
        matches!(self, Self::InvalidAmount | Self::InvalidObservation)
    }

    fn describe(self) -> &'static str {
        match self {
            Self::InvalidAmount => "a counter ignored an amount that is negative or not finite",
            Self::InvalidObservation => "an observation that is not finite was ignored",
            Self::LabelPanic => "a label expression panicked or returned; the call is counted under `__overflow__`",
            Self::LabelList => "the list after `in` is not available; values of closed sets are recorded as `other`",
            Self::InstrumentConflict => "a family expression panicked or recursed; affected calls are not exported",
            Self::CollectorError => "a collector failed; its families are skipped",
            Self::CollectorPanic => "a collector panicked; its families are skipped",
            Self::CollectorTimeout => "a collector timed out; its families are skipped",
            Self::CollectorConflict => "skipped a family from a collector",
            Self::ThreadSpawnFailed => "could not spawn a thread; the work runs on this thread or is skipped",
            Self::SeriesSlotsExhausted => "no memory is left for a new series; it is counted in the overflow series",
            Self::ExemplarPanic => {
                "the function that returns the labels of an exemplar panicked; the exemplar is skipped"
            }
            Self::InvalidExemplar => "the labels of an exemplar are invalid; the exemplar is skipped",
            Self::ExceptionRulePanic => "`exception_if` panicked; the request is counted as an exception",
        }
    }
}

static COUNTS: [AtomicU64; InternalError::ALL.len()] = [const { AtomicU64::new(0) }; InternalError::ALL.len()];

/// The maximum number of (kind, place) pairs that are logged. Errors for any further pair are only counted.
const LOGGED_PLACES: usize = 1_024;

fn first_at(kind: InternalError, place: &dyn fmt::Display) -> bool {
    static LOGGED: Mutex<Option<HashSet<(InternalError, String)>>> = Mutex::new(None);
    let key = (kind, place.to_string());
    let mut logged = lock(&LOGGED);
    let logged = logged.get_or_insert_default();
    // This may report that no memory is left, so it must not abort the program.
    logged.len() < LOGGED_PLACES && logged.try_reserve(1).is_ok() && logged.insert(key)
}
