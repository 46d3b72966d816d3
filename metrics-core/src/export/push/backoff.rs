//! The back-off after failed pushes.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first wait after a failure.
pub(super) const FIRST: Duration = Duration::from_secs(1);
/// The longest one.
const LONGEST: Duration = Duration::from_secs(60);

/// How long to wait after so many failures in a row: twice as long each time, up to the interval, less a random part of up
/// to a half, so that processes which have failed together do not try again together.
pub(super) fn delay(failures: u32, interval: Duration) -> Duration {
    let most = interval.min(LONGEST);
    let doubled = FIRST.min(most).saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(most);
    doubled / 2 + (doubled / 2).mul_f64(random())
}

/// A number from 0 to 1, by the keys that the standard library makes for its maps.
fn random() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_interval() {
        for (failures, most) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10), (1_000, 10), (u32::MAX, 10)] {
            let delays: Vec<Duration> = (0..100).map(|_| delay(failures, Duration::from_secs(10))).collect();
            let most = Duration::from_secs(most);
            assert!(delays.iter().all(|delay| (most / 2..=most).contains(delay)), "{delays:?}");
            // They are spread, not all the same.
            assert!(delays.iter().max() > delays.iter().min(), "{delays:?}");
        }
    }

    #[test]
    fn short_intervals_are_waited_for_at_most_and_long_ones_are_not() {
        assert!(delay(9, Duration::from_millis(20)) <= Duration::from_millis(20));
        assert!(delay(u32::MAX, Duration::MAX) <= LONGEST);
        assert!(delay(1, Duration::MAX) <= FIRST);
    }
}
