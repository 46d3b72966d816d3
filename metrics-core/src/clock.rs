//! The clock for timers and calls: the processor's time-stamp counter if it is invariant, otherwise the system's
//! monotonic clock.
//!
//! `quanta` calibrates the counter once. Computing a duration takes one subtraction, clamped at 0, and one
//! multiplication. Reading the counter directly would require `unsafe` and is not measurably faster.

use std::hint;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A point in time on this clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(u64);

struct Clock {
    ticks: quanta::Clock,
    seconds_per_tick: f64,
}

/// Not a `lazy_static`, because each access to one stores the address of its initializer.
static CLOCK: OnceLock<Clock> = OnceLock::new();

impl Clock {
    #[inline]
    fn get() -> &'static Self {
        match CLOCK.get() {
            Some(clock) => clock,
            None => Self::first(),
        }
    }

    #[cold]
    #[inline(never)]
    fn first() -> &'static Self {
        CLOCK.get_or_init(Self::new)
    }

    fn new() -> Self {
        /// A number of ticks large enough that the error from rounding to whole nanoseconds is below the clock's
        /// resolution.
        const TICKS: u64 = 1 << 40;
        let ticks = quanta::Clock::new();
        let nanoseconds = ticks.delta_as_nanos(0, TICKS);
        let seconds_per_tick = checked(&ticks, nanoseconds as f64 / TICKS as f64 / 1e9);
        Self { ticks, seconds_per_tick }
    }
}

/// Returns this length of a tick if it agrees with the system clock, or else a measured one. This takes 1 ms, or up to
/// 9 ms if they disagree.
///
/// `quanta` calibrates for at most 200 ms and does not check the result. If the thread is suspended for longer between
/// the reads of the two clocks, the length is wrong by orders of magnitude, and all latencies of the process would be
/// wrong as well.
fn checked(ticks: &quanta::Clock, seconds_per_tick: f64) -> f64 {
    /// The maximum relative difference. A suspension between the reads of the two clocks causes a larger one.
    const TOLERANCE: f64 = 0.01;
    // On WebAssembly, the ticks are those of the system clock, and `Instant` may be missing.
    if cfg!(target_family = "wasm") {
        return seconds_per_tick;
    }
    let mut measured = [0.0; 9];
    for measured in &mut measured {
        let (start, first) = (Instant::now(), ticks.raw());
        while start.elapsed() < Duration::from_millis(1) {
            hint::spin_loop();
        }
        let (elapsed, last) = (start.elapsed(), ticks.raw());
        *measured = elapsed.as_secs_f64() / last.wrapping_sub(first) as f64;
        if (*measured / seconds_per_tick - 1.0).abs() < TOLERANCE {
            return seconds_per_tick;
        }
    }
    // The median, because the thread may have been suspended between the reads of the two clocks.
    measured.sort_by(f64::total_cmp);
    measured[measured.len() / 2]
}

/// Calibrates this clock against the system clock. This takes 2 ms, or up to 210 ms if the system clock is unsteady.
pub(crate) fn init() {
    Clock::get();
}

impl Moment {
    /// A value that is replaced before it is used.
    pub(crate) const PLACEHOLDER: Self = Self(0);

    // Not inlined, because the body would expand to two calls in each caller.
    pub(crate) fn now() -> Self {
        Self(Clock::get().ticks.raw())
    }

    /// Returns the current moment, and the seconds since this one, or 0 if the current core's counter lags slightly
    /// behind.
    #[inline]
    pub(crate) fn seconds_to_now(self) -> (f64, Self) {
        let clock = Clock::get();
        let now = clock.ticks.raw();
        let ticks = now.wrapping_sub(self.0).cast_signed();
        (ticks.max(0) as f64 * clock.seconds_per_tick, Self(now))
    }

    /// Returns the seconds since this moment.
    #[inline]
    pub(crate) fn seconds(self) -> f64 {
        self.seconds_to_now().0
    }

    /// The ticks of the clock at this moment.
    #[inline]
    pub(crate) fn ticks(self) -> u64 {
        self.0
    }

    /// Returns the moment after `seconds`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; `as` saturates")]
    pub(crate) fn after(self, seconds: f64) -> Self {
        Self(self.0.saturating_add((seconds / Clock::get().seconds_per_tick) as u64))
    }
}

/// Converts seconds measured by this clock to a duration in whole nanoseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they are not negative; `as` saturates")]
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::from_nanos((seconds * 1e9) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_system_clock() {
        let (outer, moment, inner) = (Instant::now(), Moment::now(), Instant::now());
        while inner.elapsed() < Duration::from_millis(20) {
            hint::spin_loop();
        }
        let least = inner.elapsed().as_secs_f64();
        let measured = moment.seconds();
        let most = outer.elapsed().as_secs_f64();
        // 1 in 1,000 is far more than any calibration error.
        assert!(least * 0.999 <= measured && measured <= most * 1.001, "{least} <= {measured} <= {most}");
    }

    #[test]
    fn a_wrong_calibration_is_replaced() {
        let Clock { ticks, seconds_per_tick } = Clock::get();
        assert_eq!(checked(ticks, *seconds_per_tick), *seconds_per_tick);
        for wrong in [0.0, 1e-9 / 3.0 * seconds_per_tick, 1.05 * seconds_per_tick, 1e6 * seconds_per_tick] {
            let replaced = checked(ticks, wrong) / seconds_per_tick;
            assert!((0.99..1.01).contains(&replaced), "{wrong}: {replaced} of the right length");
        }
    }

    #[test]
    fn it_never_goes_back() {
        let moments: Vec<Moment> = (0..100_000).map(|_| Moment::now()).collect();
        assert!(moments.iter().all(|moment| moment.seconds() >= 0.0));
        assert!(moments.is_sorted_by_key(|moment| moment.0));
    }
}
