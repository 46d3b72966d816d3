//! Types accepted as amounts and observations: all primitive numeric types, and `Duration`, which is converted to
//! seconds.

use std::time::Duration;

/// A type that metrics accept as an amount: any primitive numeric type, or [`Duration`], which is converted to seconds.
///
/// This trait is sealed; it cannot be implemented outside this crate.
pub trait Amount: sealed::Sealed + Copy {
    /// The amount as a sample value.
    #[doc(hidden)]
    fn as_f64(self) -> f64;

    /// The amount as a non-negative whole number, if it is one and a counter can hold it exactly.
    #[doc(hidden)]
    fn as_whole(self) -> Option<u64>;
}

mod sealed {
    pub trait Sealed {}
}

/// The bound below which whole floats are exact. From 2^53 on, each float represents a range of whole numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

macro_rules! whole_amounts {
    ($($number:ty)*) => {$(
        impl sealed::Sealed for $number {}
        impl Amount for $number {
            #[inline]
            #[allow(clippy::cast_lossless, reason = "one macro for all widths")]
            fn as_f64(self) -> f64 {
                self as f64
            }

            #[inline]
            fn as_whole(self) -> Option<u64> {
                u64::try_from(self).ok()
            }
        }
    )*};
}
whole_amounts! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

impl sealed::Sealed for f64 {}
impl Amount for f64 {
    #[inline]
    fn as_f64(self) -> f64 {
        self
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    fn as_whole(self) -> Option<u64> {
        ((0.0..EXACT).contains(&self) && self.trunc() == self).then_some(self as u64)
    }
}

impl sealed::Sealed for f32 {}
impl Amount for f32 {
    #[inline]
    fn as_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline]
    fn as_whole(self) -> Option<u64> {
        f64::from(self).as_whole()
    }
}

impl sealed::Sealed for Duration {}
impl Amount for Duration {
    #[inline]
    fn as_f64(self) -> f64 {
        self.as_secs_f64()
    }

    #[inline]
    fn as_whole(self) -> Option<u64> {
        (self.subsec_nanos() == 0).then_some(self.as_secs())
    }
}
