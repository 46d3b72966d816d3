//! The back-off after failed pushes.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use crate::per_process;

/// The first delay after a failure.
pub(super) const FIRST: Duration = Duration::from_secs(1);
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(60);

/// Returns the delay after this number of consecutive failures.
///
/// The delay doubles with each failure, up to the interval or one minute, whichever is shorter. Up to half of the delay
/// is subtracted at random, so that processes that fail at the same time do not retry at the same time.
pub(super) fn delay(failures: u32, interval: Duration) -> Duration {
    let most = interval.min(LONGEST);
    let doubled = FIRST.min(most).saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(most);
    doubled / 2 + (doubled / 2).mul_f64(random())
}

/// Returns a random number from 0 to 1, derived from the random keys of the standard library's hash maps.
pub(super) fn random() -> f64 {
    // A forked child inherits the keys of its parent.
    RandomState::new().hash_one((per_process::id(), SystemTime::now())) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_interval() {
        for (failures, most) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10), (1_000, 10), (u32::MAX, 10)] {
            let delays: Vec<Duration> = (0..100).map(|_| delay(failures, Duration::from_secs(10))).collect();
            let most = Duration::from_secs(most);
            assert!(delays.iter().all(|delay| (most / 2..=most).contains(delay)), "{delays:?}");
            // The delays vary.
            assert!(delays.iter().max() > delays.iter().min(), "{delays:?}");
        }
    }

    #[test]
    fn delays_exceed_neither_a_short_interval_nor_a_minute() {
        assert!(delay(9, Duration::from_millis(20)) <= Duration::from_millis(20));
        assert!(delay(u32::MAX, Duration::MAX) <= LONGEST);
        assert!(delay(1, Duration::MAX) <= FIRST);
    }
}
