//! Number formatting for the Prometheus exposition formats.

use std::time::SystemTime;

use crate::sample::Number;

/// Appends the shortest text that parses back to the same number: `3`, `0.25`, `+Inf`, `NaN`.
pub(crate) fn push_float(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if let Some(whole) = whole(value) {
        if whole < 0 {
            out.push(b'-');
        }
        push_whole(out, whole.unsigned_abs());
    } else {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
}

/// Appends a bound or quantile in OpenMetrics canonical form: formatted as in Go, but never as an integer.
pub(crate) fn push_canonical(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        return push_float(out, value);
    }
    // `{:e}` writes one digit before the decimal point, plus an exponent.
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let start = out.len();
    match exponent.parse::<i32>() {
        Ok(exponent @ (..-4 | 6..)) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            out.extend_from_slice(format!("{digits}e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
        }
        _ => out.extend_from_slice(format!("{value}").as_bytes()),
    }
    if !out[start..].iter().any(|byte| matches!(byte, b'.' | b'e')) {
        out.extend_from_slice(b".0");
    }
}

/// Converts `value` to an integer if the conversion is exact, so that it can be formatted without a decimal point.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(value: f64) -> Option<i64> {
    let exact = value.abs() < 9_007_199_254_740_992.0 && value.trunc() == value;
    (exact && !(value == 0.0 && value.is_sign_negative())).then_some(value as i64)
}

#[inline]
pub(super) fn push_whole(out: &mut Vec<u8>, value: u64) {
    if value < SHORT {
        let (text, len) = digits(value);
        let end = out.len() + len;
        out.extend_from_slice(&text.to_le_bytes());
        out.truncate(end);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

/// Numbers below this one have at most eight digits.
pub(super) const SHORT: u64 = 100_000_000;

/// Appends a number below [`SHORT`] with two bytes before and one after it.
#[inline]
pub(super) fn push_short(out: &mut Vec<u8>, before: [u8; 2], value: u64, after: u8) {
    let (text, len) = digits(value);
    let text = u128::from(u16::from_le_bytes(before)) | u128::from(text) << 16 | u128::from(after) << (16 + 8 * len);
    let end = out.len() + len + 3;
    out.extend_from_slice(&text.to_le_bytes());
    out.truncate(end);
}

/// Returns the digits of a number below [`SHORT`], with the first digit in the lowest byte, and the number of digits.
/// All digits are computed at once, because the processor would stall if it copied digits that had just been stored one
/// by one.
#[inline]
fn digits(value: u64) -> (u64, usize) {
    // The quotient and the remainder of a division are stored side by side, so the first digit ends up in the lowest
    // byte. The multiplications divide by 100 and by 10.
    let halves = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((halves * 5_243) >> 19) & 0x7f_0000_007f;
    let pairs = hundreds | ((halves - 100 * hundreds) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | ((pairs - 10 * tens) << 8);
    let leading_zeros = (digits.trailing_zeros() / 8).min(7);
    ((digits | 0x3030_3030_3030_3030) >> (8 * leading_zeros), 8 - leading_zeros as usize)
}

pub(crate) fn push_number(out: &mut Vec<u8>, value: Number) {
    match value {
        Number::Whole(whole) => push_whole(out, whole),
        Number::Float(float) => push_float(out, float),
    }
}

/// Appends a time as seconds since 1970, with milliseconds. Earlier times are written as 0.
pub(crate) fn push_timestamp(out: &mut Vec<u8>, time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    push_whole(out, since.as_secs());
    let milliseconds = since.subsec_millis();
    out.push(b'.');
    for digit in [milliseconds / 100, milliseconds / 10 % 10, milliseconds % 10] {
        out.push(b"0123456789"[digit as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_back_the_same() {
        for value in [0.0, -0.0, 1.0, -3.0, 0.1, 1e16, 1.5e300, 5e-324, f64::MAX, 9_007_199_254_740_993.0] {
            let mut out = Vec::new();
            push_float(&mut out, value);
            let text = String::from_utf8(out).unwrap_or_default();
            assert_eq!(text.parse().map(f64::to_bits), Ok(value.to_bits()), "{text}");
            assert!(text.len() < 26, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_written_without_leading_zeros() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        let others = (0..1_000_000).map(|n| n * 101).chain([u64::MAX, 12_345_678, 90_000_009]);
        for value in powers.flat_map(|power| [power - 1, power, power + 1]).chain(others) {
            let mut out = b"=".to_vec();
            push_whole(&mut out, value);
            assert_eq!(String::from_utf8(out), Ok(format!("={value}")));
            if value < SHORT {
                let mut out = b"=".to_vec();
                push_short(&mut out, *b"} ", value, b'\n');
                assert_eq!(String::from_utf8(out), Ok(format!("=}} {value}\n")));
            }
        }
    }

    #[test]
    fn special_values_are_written_as_prometheus_expects_them() {
        let text = |value| {
            let mut out = Vec::new();
            push_float(&mut out, value);
            String::from_utf8(out).unwrap_or_default()
        };
        assert_eq!(
            [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 3.0, 0.25].map(text),
            ["+Inf", "-Inf", "NaN", "3", "0.25"]
        );
    }

    #[test]
    fn timestamps_have_milliseconds() {
        use std::time::Duration;
        let text = |time| {
            let mut out = Vec::new();
            push_timestamp(&mut out, time);
            String::from_utf8(out).unwrap_or_default()
        };
        let epoch = SystemTime::UNIX_EPOCH;
        let times = [epoch, epoch + Duration::from_micros(1_520_879_607_789_999), epoch - Duration::from_secs(1)];
        assert_eq!(times.map(text), ["0.000", "1520879607.789", "0.000"]);
    }

    #[test]
    fn bounds_are_written_as_in_go() {
        let text = |value| {
            let mut out = Vec::new();
            push_canonical(&mut out, value);
            String::from_utf8(out).unwrap_or_default()
        };
        let values = [1.0, 0.005, 10.0, 100_000.0, 1e6, 1.5e7, 1e-4, 1e-5, 1.25e-9, 1e100, 0.0, -2.5, f64::INFINITY];
        let written = [
            "1.0", "0.005", "10.0", "100000.0", "1e+06", "1.5e+07", "0.0001", "1e-05", "1.25e-09", "1e+100", "0.0",
            "-2.5", "+Inf",
        ];
        assert_eq!(values.map(text), written);
    }
}
