//! A sliding window over counts that only increase, kept by a reader as differences of totals.
//!
//! A window has [`SLICES`] slices: those that are complete, and the current one. Writers are not involved.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::counts::{CompactCounts, Counts};

/// The number of slices in a window. As a slice ends, the oldest one expires.
pub(crate) const SLICES: u32 = 5;

/// The counts of a window.
#[derive(Debug)]
pub(crate) struct Window {
    /// The totals when the oldest slice began.
    baseline: CompactCounts,
    /// The counts of each complete slice, oldest first.
    slices: VecDeque<CompactCounts>,
    /// The time at which the current slice began.
    began: Instant,
    slice: Duration,
}

impl Window {
    /// Begins a window with totals of 0.
    pub(crate) fn new(max_age: Duration, now: Instant) -> Self {
        let slice = (max_age / SLICES).max(Duration::from_millis(1));
        Self { baseline: CompactCounts::default(), slices: VecDeque::new(), began: now, slice }
    }

    /// Like [`Window::new`], but the slices of all windows with this duration end at the same times, so that one pass
    /// over the series ends them. The first slice is shorter.
    pub(crate) fn aligned(max_age: Duration, now: Instant) -> Self {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        let mut window = Self::new(max_age, now);
        let since_epoch = now.saturating_duration_since(*EPOCH.get_or_init(|| now)).as_nanos();
        let into_slice = u64::try_from(since_epoch % window.slice.as_nanos()).unwrap_or_default();
        window.began = now.checked_sub(Duration::from_nanos(into_slice)).unwrap_or(now);
        window
    }

    /// The time at which the current slice ends.
    pub(crate) fn end(&self) -> Instant {
        self.began + self.slice
    }

    /// Ends the current slice if its time is over. `totals` are the current totals.
    ///
    /// If this is called late, the observations since the slice began belong to the newest complete slice: they may
    /// stay in the window for too long, but none leaves it too early.
    pub(crate) fn advance(&mut self, totals: &Counts, now: Instant) {
        let elapsed = now.saturating_duration_since(self.began);
        let ended = elapsed.as_nanos() / self.slice.as_nanos();
        if ended == 0 {
            return;
        }
        let mut current = totals.clone();
        current.subtract(&self.baseline);
        for slice in &self.slices {
            current.subtract(slice);
        }
        for _ in 0..u32::try_from(ended - 1).unwrap_or(u32::MAX).min(SLICES) {
            self.slices.push_back(CompactCounts::default());
        }
        self.slices.push_back(CompactCounts::of(&current));
        let expired = self.slices.len().saturating_sub(SLICES as usize - 1);
        if expired > 0 {
            let mut baseline = Counts::default();
            baseline.add(&self.baseline);
            for slice in self.slices.drain(..expired) {
                baseline.add(&slice);
            }
            self.baseline = CompactCounts::of(&baseline);
        }
        // Without a thread, a scrape may end a slice long after its time. The observations since then are in the same
        // counts, so the next slice begins now.
        let lateness = Duration::from_nanos(u64::try_from(elapsed.as_nanos() % self.slice.as_nanos()).unwrap_or(0));
        let began = now.checked_sub(lateness).unwrap_or(now);
        self.began = if lateness > self.slice / 16 { now } else { began };
    }

    /// Turns totals into the counts of the window.
    pub(crate) fn restrict(&self, totals: &mut Counts) {
        totals.subtract(&self.baseline);
    }
}

#[cfg(test)]
mod tests {
    use super::super::buckets::{Buckets, Exponential};
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const LAYOUT: Exponential = Exponential { schema: 6, native: None, quantiles: None };

    fn buckets() -> Buckets {
        Buckets::new(Vec::new(), Some(LAYOUT), |_, _, _, _| {})
    }

    /// A window of ten minutes over totals that the test increases, at times that the test chooses.
    struct Test {
        begin: Instant,
        window: Window,
        totals: Counts,
    }

    impl Test {
        fn new() -> Self {
            let begin = Instant::now();
            Self { begin, window: Window::new(10 * MINUTE, begin), totals: Counts::default() }
        }

        fn observe(&mut self, value: f64) {
            match buckets().place(value) {
                Some(place) => self.totals.chunk(place.key)[place.bucket] += 1,
                None => self.totals.zero += 1,
            }
        }

        fn advance(&mut self, minutes: f64) {
            self.window.advance(&self.totals, self.begin + MINUTE.mul_f64(minutes));
        }

        /// The number of observations in the window, and the median, after this many minutes.
        fn scrape(&mut self, minutes: f64) -> (u64, f64) {
            self.advance(minutes);
            let mut counts = self.totals.clone();
            self.window.restrict(&mut counts);
            let mut values = Vec::new();
            counts.quantiles(&LAYOUT, &[0.5], &mut values);
            (counts.total(), values[0].1)
        }
    }

    #[test]
    fn observations_leave_the_window_after_eight_to_ten_minutes() {
        let mut test = Test::new();
        test.observe(1.0);
        test.observe(0.0);
        test.observe(-1.0);
        // The slices end on time, whether there are scrapes or not.
        (1..=4).for_each(|slice| test.advance(f64::from(slice) * 2.0));
        assert_eq!(test.scrape(9.9).0, 3);
        let (count, median) = test.scrape(10.0);
        assert_eq!(count, 0);
        assert!(median.is_nan());
        test.observe(5.0);
        let (count, median) = test.scrape(10.5);
        assert_eq!(count, 1);
        assert!((median - 5.0).abs() < 0.05, "{median}");
    }

    #[test]
    fn frequent_scrapes_see_the_same_window_as_rare_ones() {
        let (mut frequent, mut rare) = (Test::new(), Test::new());
        for second in 0..3_600_u32 {
            let minutes = f64::from(second) / 60.0;
            for test in [&mut frequent, &mut rare] {
                test.observe(f64::from(second));
                // The alarm thread ends the slices of both.
                if second % 120 == 0 {
                    test.advance(minutes);
                }
            }
            let (count, median) = frequent.scrape(minutes);
            assert!((480..=600).contains(&count) || second < 600, "{second}: {count}");
            if second % 900 == 899 {
                assert_eq!(rare.scrape(minutes), (count, median));
                let oldest = f64::from(second) - count as f64 + 1.0;
                assert!((median / f64::midpoint(oldest, f64::from(second)) - 1.0).abs() < 0.02, "{second}: {median}");
            }
        }
    }

    #[test]
    fn late_slices_keep_too_much_rather_than_too_little() {
        let mut test = Test::new();
        test.observe(1.0);
        assert_eq!(test.scrape(1.0).0, 1);
        test.observe(2.0);
        // Nothing has ended slices for half an hour. The observations may have been made just now.
        assert_eq!(test.scrape(30.0).0, 2);
        test.observe(3.0);
        assert_eq!(test.scrape(31.0).0, 3);
        // Eight minutes later, they have left the window.
        (16..=19).for_each(|slice| test.advance(f64::from(slice) * 2.0));
        assert_eq!(test.scrape(38.5).0, 1);
        assert_eq!(test.scrape(40.0).0, 0);
        // A year later.
        test.observe(4.0);
        assert_eq!(test.scrape(500_000.0).0, 1);
        assert_eq!(test.scrape(500_011.0).0, 0);
    }

    #[test]
    fn a_slice_that_ends_between_two_scrapes_keeps_its_observations_long_enough() {
        let mut test = Test::new();
        test.observe(1.0);
        // Nothing ended the slice when it was two minutes old. The second observation was made just now.
        test.advance(3.8);
        test.observe(2.0);
        test.advance(3.9);
        (3..=5).for_each(|slice| test.advance(f64::from(slice) * 2.0));
        assert_eq!(test.scrape(11.9).0, 2);
        (6..=8).for_each(|slice| test.advance(f64::from(slice) * 2.0));
        assert_eq!(test.scrape(16.1).0, 0);
        // Scrapes that are always late still end slices.
        let mut test = Test::new();
        for scrape in 0..100 {
            test.observe(1.0);
            let (count, _) = test.scrape(f64::from(scrape) * 3.1);
            assert!(count <= 5, "{scrape}: {count}");
        }
    }

    #[test]
    fn windows_of_the_same_duration_are_aligned() {
        let begin = Instant::now();
        let ends = [0, 1, 59, 119, 121, 700].map(|seconds| {
            let now = begin + Duration::from_secs(seconds);
            let end = Window::aligned(10 * MINUTE, now).end();
            assert!(end > now && end <= now + 2 * MINUTE);
            end
        });
        for end in ends {
            let apart = end.max(ends[0]) - end.min(ends[0]);
            assert_eq!(apart.as_nanos() % (2 * MINUTE).as_nanos(), 0, "{apart:?}");
        }
    }

    #[test]
    fn a_clock_that_goes_backward_changes_nothing() {
        let mut test = Test::new();
        test.observe(1.0);
        assert_eq!(test.scrape(3.0).0, 1);
        let began = test.window.end();
        test.window.advance(&test.totals, test.begin);
        assert_eq!((test.window.end(), test.scrape(3.5).0), (began, 1));
    }

    #[test]
    fn counts_are_compact() {
        let mut test = Test::new();
        (1..=1_000).for_each(|n| test.observe(f64::from(n) / 100.0));
        let compact = CompactCounts::of(&test.totals);
        // About 500 buckets with observations.
        assert!(compact.len() < 900, "{}", compact.len());
        let mut same = Counts::default();
        same.add(&compact);
        assert_eq!(same, test.totals);
        same.subtract(&compact);
        assert_eq!(same.total(), 0);
    }
}
