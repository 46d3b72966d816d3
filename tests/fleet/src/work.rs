//! The simulated durations of a replica, which the test computes as well.

/// Returns a duration between 1 millisecond and about 10 seconds. It looks random, and differs between replicas.
pub(crate) fn seconds(replica: u64, call: u64) -> f64 {
    let mixed = (replica << 32 | call).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let share = (mixed ^ mixed >> 31) % 10_007;
    0.001 * 10_f64.powf(4.0 * share as f64 / 10_007.0)
}
