//! The series that a receiver holds. Those that end get a stale marker.
//!
//! If a push fails, the receiver may hold some of its series, so all of them are kept. A series that is absent from all
//! pushes of the last five minutes is forgotten, because queries no longer return it even without a marker. This bounds
//! the memory while a receiver is down. The five minutes have passed only if they have by the times of the samples and
//! by the monotonic clock: a step of the system clock may be undone, and after a step back, times hardly advance.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The time for which a query returns the last sample of a series without a stale marker.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);

/// The time of a push.
#[derive(Clone, Copy, Debug)]
struct PushTime {
    /// The time of its samples, in milliseconds.
    samples: i64,
    monotonic: Instant,
}

/// The series of a target, and the time of its last samples.
#[derive(Debug, Default)]
pub(super) struct SentSeries {
    /// The encoded labels of each series.
    series: HashMap<Box<[u8]>, Sent, foldhash::fast::RandomState>,
    /// The number of the current push.
    push: u64,
    /// The time of the current push.
    time: Option<PushTime>,
    /// The time of the newest samples that the receiver has accepted, in milliseconds.
    newest: Option<i64>,
    /// The time of the last successful push, in milliseconds.
    pub(super) last_success: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// The last push that contained the series.
    push: u64,
    /// The time of that push.
    time: Option<PushTime>,
    is_native: bool,
}

impl SentSeries {
    /// Begins a push at `now` by the system clock. Returns the time of its samples: `now`, or a later time if the clock
    /// was set back.
    ///
    /// Receivers reject a sample that is not newer than the previous one of the series.
    pub(super) fn begin(&mut self, now: i64, monotonic: Instant) -> i64 {
        self.push += 1;
        let samples = self.newest.map_or(now, |newest| now.max(newest.saturating_add(1)));
        self.time = Some(PushTime { samples, monotonic });
        samples
    }

    /// Adds a series to the push. Returns false if the push already contains it.
    pub(super) fn insert(&mut self, labels: &[u8], is_native: bool) -> bool {
        let sent = Sent { push: self.push, time: self.time, is_native };
        match self.series.get_mut(labels) {
            Some(earlier) if earlier.push == self.push => false,
            Some(earlier) => {
                *earlier = sent;
                true
            }
            None => self.series.insert(labels.into(), sent).is_none(),
        }
    }

    /// Records that the receiver has accepted samples of this time.
    pub(super) fn accepted(&mut self, time: i64) {
        self.newest = self.newest.max(Some(time));
    }

    /// Forgets native histograms, because the receiver does not support them.
    pub(super) fn forget_native(&mut self) {
        self.series.retain(|_, sent| !sent.is_native);
    }

    /// Returns the labels of the series that need a stale marker: those that the push does not contain, or all series
    /// at the end of the last push. The second value is true for native histograms.
    pub(super) fn ended(&self, is_last: bool) -> impl Iterator<Item = (&[u8], bool)> {
        let ended = move |sent: &Sent| (is_last || sent.push != self.push) && sent.is_recent(self.time);
        self.series.iter().filter(move |(_, sent)| ended(sent)).map(|(labels, sent)| (&**labels, sent.is_native))
    }

    /// Forgets the series that have ended, once their markers have been sent.
    pub(super) fn forget_ended(&mut self, is_last: bool) {
        let push = self.push;
        self.series.retain(|_, sent| !is_last && sent.push == push);
    }

    /// Forgets the series that no longer need a marker, after a push that failed.
    pub(super) fn forget_old(&mut self) {
        let now = self.time;
        self.series.retain(|_, sent| sent.is_recent(now));
    }
}

impl Sent {
    /// Returns true if a query may still return the series during the push that began at `now`.
    fn is_recent(&self, now: Option<PushTime>) -> bool {
        now.zip(self.time).is_none_or(|(now, sent)| {
            let milliseconds = u64::try_from(now.samples.saturating_sub(sent.samples)).unwrap_or(0);
            let age = now.monotonic.saturating_duration_since(sent.monotonic);
            age.min(Duration::from_millis(milliseconds)) <= LOOKBACK
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(sent: &SentSeries) -> Vec<(&[u8], bool)> {
        let mut ended: Vec<_> = sent.ended(false).collect();
        ended.sort_unstable();
        ended
    }

    #[test]
    fn times_increase_even_if_the_clock_is_set_back() {
        let (mut sent, begun) = (SentSeries::default(), Instant::now());
        assert_eq!(sent.begin(1_000, begun), 1_000);
        // The receiver has not accepted samples of this time, so the next time may be earlier.
        assert_eq!(sent.begin(500, begun), 500);
        sent.accepted(500);
        for (now, expected) in [(500, 501), (400, 501), (502, 502)] {
            assert_eq!(sent.begin(now, begun), expected);
        }
    }

    #[test]
    fn series_that_a_push_does_not_contain_have_ended() {
        let (mut sent, begun) = (SentSeries::default(), Instant::now());
        sent.begin(1_000, begun);
        assert!(sent.insert(b"a", false) && sent.insert(b"b", true) && !sent.insert(b"a", false));
        assert_eq!(ended(&sent), []);
        // The clock was set forward by an hour.
        sent.begin(3_602_000, begun + Duration::from_secs(1));
        assert!(sent.insert(b"a", false));
        sent.forget_old();
        assert_eq!(ended(&sent), [(&b"b"[..], true)]);
        sent.forget_ended(false);
        assert_eq!(ended(&sent), []);
        assert_eq!(sent.ended(true).count(), 1);
        sent.forget_ended(true);
        assert_eq!(sent.ended(true).count(), 0);
    }

    #[test]
    fn series_are_kept_for_five_minutes_while_pushes_fail() {
        let (mut sent, begun) = (SentSeries::default(), Instant::now());
        let second = Duration::from_secs(1);
        sent.begin(0, begun);
        sent.insert(b"old", false);
        sent.begin(1, begun + second);
        sent.insert(b"new", false);
        sent.begin(300_000, begun + LOOKBACK);
        sent.forget_old();
        assert_eq!(ended(&sent), [(&b"new"[..], false), (&b"old"[..], false)]);
        // By the system clock, which was set back, and then by the monotonic one, the five minutes have not passed.
        for (now, begun) in [(3, begun + LOOKBACK + second), (300_001, begun)] {
            sent.begin(now, begun);
            assert_eq!(ended(&sent).len(), 2);
        }
        sent.begin(300_001, begun + LOOKBACK + second);
        assert_eq!(ended(&sent), [(&b"new"[..], false)]);
        sent.forget_old();
        assert_eq!(sent.series.len(), 1);
    }
}
