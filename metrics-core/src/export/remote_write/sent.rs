//! The series that a receiver holds. Those that end get a stale marker.
//!
//! If a push fails, the receiver may hold some of its series, so all of them are kept. A series that is absent from all
//! pushes of the last five minutes is forgotten, because queries no longer return it even without a marker. This bounds
//! the memory while a receiver is down.

use std::collections::HashMap;

/// The time for which a query returns the last sample of a series without a stale marker, in milliseconds.
const LOOKBACK: i64 = 5 * 60 * 1_000;

/// The series of a target, and the time of its last samples.
#[derive(Debug, Default)]
pub(super) struct SentSeries {
    /// The encoded labels of each series.
    series: HashMap<Box<[u8]>, Sent, foldhash::fast::RandomState>,
    /// The number of the current push.
    push: u64,
    /// The time of the newest samples that the receiver has accepted, in milliseconds.
    newest: Option<i64>,
    /// The time of the last successful push, in milliseconds.
    pub(super) last_success: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// The last push that contained the series.
    push: u64,
    /// The time of that push, in milliseconds.
    time: i64,
    is_native: bool,
}

impl SentSeries {
    /// Begins a push. Returns the time of its samples: `now`, or a later time if the clock was set back.
    ///
    /// Receivers reject a sample that is not newer than the previous one of the series.
    pub(super) fn begin(&mut self, now: i64) -> i64 {
        self.push += 1;
        self.newest.map_or(now, |newest| now.max(newest.saturating_add(1)))
    }

    /// Adds a series to the push. Returns false if the push already contains it.
    pub(super) fn insert(&mut self, labels: &[u8], time: i64, is_native: bool) -> bool {
        let sent = Sent { push: self.push, time, is_native };
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

    /// Returns the labels of the series that need a stale marker at this time: those that the push does not contain, or
    /// all series at the end of the last push. The second value is true for native histograms.
    pub(super) fn ended(&self, time: i64, is_last: bool) -> impl Iterator<Item = (&[u8], bool)> {
        let ended = move |sent: &Sent| (is_last || sent.push != self.push) && time - sent.time <= LOOKBACK;
        self.series.iter().filter(move |(_, sent)| ended(sent)).map(|(labels, sent)| (&**labels, sent.is_native))
    }

    /// Forgets the series that have ended, once their markers have been sent.
    pub(super) fn forget_ended(&mut self, is_last: bool) {
        let push = self.push;
        self.series.retain(|_, sent| !is_last && sent.push == push);
    }

    /// Forgets the series that no longer need a marker, after a push that failed at this time.
    pub(super) fn forget_old(&mut self, time: i64) {
        self.series.retain(|_, sent| time - sent.time <= LOOKBACK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(sent: &SentSeries, time: i64) -> Vec<(&[u8], bool)> {
        let mut ended: Vec<_> = sent.ended(time, false).collect();
        ended.sort_unstable();
        ended
    }

    #[test]
    fn times_increase_even_if_the_clock_is_set_back() {
        let mut sent = SentSeries::default();
        assert_eq!(sent.begin(1_000), 1_000);
        // The receiver has not accepted samples of this time, so the next time may be earlier.
        assert_eq!(sent.begin(500), 500);
        sent.accepted(500);
        for (now, expected) in [(500, 501), (400, 501), (502, 502)] {
            assert_eq!(sent.begin(now), expected);
        }
    }

    #[test]
    fn series_that_a_push_does_not_contain_have_ended() {
        let mut sent = SentSeries::default();
        let time = sent.begin(1_000);
        assert!(sent.insert(b"a", time, false) && sent.insert(b"b", time, true) && !sent.insert(b"a", time, false));
        assert_eq!(ended(&sent, time), []);
        let time = sent.begin(2_000);
        assert!(sent.insert(b"a", time, false));
        assert_eq!(ended(&sent, time), [(&b"b"[..], true)]);
        sent.forget_ended(false);
        assert_eq!(ended(&sent, time), []);
        assert_eq!(sent.ended(time, true).count(), 1);
        sent.forget_ended(true);
        assert_eq!(sent.ended(time, true).count(), 0);
    }

    #[test]
    fn series_are_kept_for_five_minutes_while_pushes_fail() {
        let mut sent = SentSeries::default();
        let time = sent.begin(0);
        sent.insert(b"old", time, false);
        sent.begin(1);
        sent.insert(b"new", 1, false);
        sent.forget_old(LOOKBACK);
        sent.begin(2);
        assert_eq!(ended(&sent, LOOKBACK), [(&b"new"[..], false), (&b"old"[..], false)]);
        sent.forget_old(LOOKBACK + 1);
        assert_eq!(sent.series.len(), 1);
        assert_eq!(ended(&sent, LOOKBACK + 1), [(&b"new"[..], false)]);
    }
}
