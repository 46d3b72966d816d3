//! The totals that a target last delivered, for targets that send increases instead of totals.
//!
//! For each series, a push computes the increase since the last delivery and records in which batch (such as a
//! datagram) the new total is sent. At the end, it [commits](Differences::commit) the batches that were delivered. The
//! other totals are discarded, so the next push sends their increases again.
//!
//! A series that was removed and recreated begins at 0. It is recognized by its creation time or, if that is not known,
//! by a lower total. The state of a series is dropped once a complete push has not visited the series. A collector that
//! fails during one scrape must not reset its series. Series without a creation time, which come from collectors, are
//! therefore kept until a push visits other series of their family.

use std::time::SystemTime;

use hashbrown::HashMap;

type RandomState = foldhash::fast::RandomState;

/// A total that continues earlier totals of the same series.
pub(in crate::export) trait Total: Sized {
    /// Returns the increase since `earlier`, or `None` if the series must have been reset since then.
    fn since(&self, earlier: &Self) -> Option<Self>;
}

/// The state of all series of a target.
pub(in crate::export) struct Differences<T> {
    families: HashMap<String, FamilyTotals<T>, RandomState>,
    /// The number of the current push.
    push: u64,
}

struct FamilyTotals<T> {
    /// The last push that visited a series of the family.
    visited: u64,
    series: HashMap<Vec<u8>, SeriesTotal<T>, RandomState>,
}

/// The state of one series.
pub(in crate::export) struct SeriesTotal<T> {
    /// The last push that visited the series.
    visited: u64,
    delivered: Option<CreatedTotal<T>>,
    /// The total that the current push sends, and the number of its batch.
    sent: Option<(CreatedTotal<T>, u64)>,
}

/// A total and the creation time of its series.
struct CreatedTotal<T> {
    total: T,
    created: Option<SystemTime>,
}

impl<T> Default for Differences<T> {
    fn default() -> Self {
        Self { families: HashMap::default(), push: 0 }
    }
}

impl<T> Differences<T> {
    /// Begins a push.
    pub(in crate::export) fn begin(&mut self) {
        self.push += 1;
    }

    /// Visits a series. The key identifies it within its family.
    pub(in crate::export) fn series(&mut self, family: &str, key: &[u8]) -> &mut SeriesTotal<T> {
        let push = self.push;
        let new_family = || FamilyTotals { visited: push, series: HashMap::default() };
        let family = self.families.entry_ref(family).or_insert_with(new_family);
        family.visited = push;
        let new_series = || SeriesTotal { visited: push, delivered: None, sent: None };
        let series = family.series.entry_ref(key).or_insert_with(new_series);
        series.visited = push;
        series.sent = None;
        series
    }

    /// Ends the push. The totals in batches for which `is_delivered` returns true become the delivered totals.
    ///
    /// If `is_complete` is true, the push has visited all series, so the state of any other series is dropped.
    pub(in crate::export) fn commit(&mut self, is_delivered: impl Fn(u64) -> bool, is_complete: bool) {
        let push = self.push;
        self.families.retain(|_, family| {
            let is_visited = family.visited == push;
            family.series.retain(|_, series| {
                // A push that panicked may have left behind a total that it sent.
                let sent = series.sent.take().filter(|_| series.visited == push);
                if let Some((sent, _)) = sent.filter(|(_, batch)| is_delivered(*batch)) {
                    series.delivered = Some(sent);
                }
                let may_return = |total: &CreatedTotal<T>| !is_complete || total.created.is_none() && !is_visited;
                series.delivered.as_ref().is_some_and(|total| series.visited == push || may_return(total))
            });
            !family.series.is_empty()
        });
    }
}

impl<T: Total> SeriesTotal<T> {
    /// Returns the increase since the last delivery, or `None` if the whole total is new.
    pub(in crate::export) fn increase(&self, total: &T, created: Option<SystemTime>) -> Option<T> {
        let delivered = self.delivered.as_ref().filter(|delivered| delivered.created == created)?;
        total.since(&delivered.total)
    }

    /// Records that the push sends this total in the batch with this number.
    pub(in crate::export) fn send(&mut self, total: T, created: Option<SystemTime>, batch: u64) {
        self.sent = Some((CreatedTotal { total, created }, batch));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    impl Total for u64 {
        fn since(&self, earlier: &Self) -> Option<Self> {
            self.checked_sub(*earlier)
        }
    }

    const BORN: Option<SystemTime> = Some(SystemTime::UNIX_EPOCH);

    fn begin(differences: &mut Differences<u64>) {
        differences.begin();
    }

    /// Sends the total of the series `key`, and returns its increase.
    fn send(
        differences: &mut Differences<u64>,
        key: &str,
        total: u64,
        created: Option<SystemTime>,
        batch: u64,
    ) -> Option<u64> {
        let series = differences.series("family", key.as_bytes());
        let increase = series.increase(&total, created);
        series.send(total, created, batch);
        increase
    }

    #[test]
    fn only_delivered_batches_advance_the_totals() {
        let mut differences = Differences::default();
        begin(&mut differences);
        assert_eq!(send(&mut differences, "a", 5, BORN, 0), None);
        assert_eq!(send(&mut differences, "b", 7, BORN, 1), None);
        differences.commit(|batch| batch == 0, true);
        for total in [9, 10] {
            begin(&mut differences);
            assert_eq!(send(&mut differences, "a", 6, BORN, 0), Some(1));
            assert_eq!(send(&mut differences, "b", total, BORN, 1), None);
            differences.commit(|_| false, true);
        }
        begin(&mut differences);
        assert_eq!(send(&mut differences, "a", 6, BORN, 0), Some(1));
        assert_eq!(send(&mut differences, "b", 11, BORN, 0), None);
        differences.commit(|_| true, true);
        begin(&mut differences);
        assert_eq!(send(&mut differences, "a", 6, BORN, 0), Some(0));
        assert_eq!(send(&mut differences, "b", u64::MAX, BORN, 0), Some(u64::MAX - 11));
    }

    #[test]
    fn a_series_that_began_again_has_no_earlier_total() {
        let later = BORN.map(|born| born + Duration::from_secs(1));
        for (total, created, expected) in [(9, BORN, Some(4)), (4, BORN, None), (9, later, None), (9, None, None)] {
            let mut differences = Differences::default();
            begin(&mut differences);
            send(&mut differences, "a", 5, BORN, 0);
            differences.commit(|_| true, true);
            begin(&mut differences);
            assert_eq!(send(&mut differences, "a", total, created, 0), expected, "{total} {created:?}");
        }
    }

    #[test]
    fn series_that_ended_are_dropped_after_a_complete_push() {
        let mut differences = Differences::default();
        begin(&mut differences);
        for key in ["a", "b"] {
            send(&mut differences, key, 5, BORN, 0);
        }
        differences.commit(|_| true, true);
        // The push failed before it visited both series, so `b` may still exist.
        begin(&mut differences);
        send(&mut differences, "a", 5, BORN, 0);
        differences.commit(|_| false, false);
        assert_eq!(differences.families["family"].series.len(), 2);
        begin(&mut differences);
        send(&mut differences, "a", 5, BORN, 0);
        differences.commit(|_| true, true);
        assert_eq!(differences.families["family"].series.len(), 1);
        begin(&mut differences);
        differences.commit(|_| true, true);
        assert!(differences.families.is_empty());
    }

    #[test]
    fn series_that_were_never_delivered_use_no_memory() {
        let mut differences = Differences::default();
        for key in ["a", "b", "c"] {
            begin(&mut differences);
            send(&mut differences, key, 5, BORN, 0);
            differences.commit(|_| false, false);
            assert!(differences.families.is_empty());
        }
    }

    #[test]
    fn series_of_a_collector_that_fails_once_continue() {
        let mut differences = Differences::default();
        begin(&mut differences);
        for key in ["a", "b"] {
            send(&mut differences, key, 5, None, 0);
        }
        differences.commit(|_| true, true);
        begin(&mut differences);
        differences.commit(|_| true, true);
        begin(&mut differences);
        assert_eq!(send(&mut differences, "a", 6, None, 0), Some(1));
        differences.commit(|_| true, true);
        // The collector reported other series of the family, so this one had ended.
        begin(&mut differences);
        assert_eq!(send(&mut differences, "b", 6, None, 0), None);
    }

    #[test]
    fn a_push_that_panics_delivers_nothing() {
        let mut differences = Differences::default();
        begin(&mut differences);
        send(&mut differences, "a", 5, BORN, 0);
        send(&mut differences, "b", 5, BORN, 0);
        // The push panics instead of committing. The next one visits only one of the series, and sends neither.
        begin(&mut differences);
        differences.series("family", b"a");
        differences.commit(|_| true, false);
        assert!(differences.families.is_empty());
    }
}
