//! Integers of variable length, as in protobuf: seven bits per byte, the lowest first.

/// Appends an integer.
#[allow(clippy::cast_possible_truncation, reason = "takes seven bits at a time")]
pub(crate) fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The number of bytes of an integer.
#[allow(dead_code, reason = "only protobuf uses it")]
pub(crate) fn len(number: u64) -> u64 {
    u64::from((number | 1).ilog2() / 7 + 1)
}

/// Removes an integer from the beginning. If the bytes end early, the missing bits are 0.
pub(crate) fn pop(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}
