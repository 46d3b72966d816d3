//! A label value that is kept for the duration of a call, and stored inline if it is short.

use crate::label_value::Label;
use crate::labels::MAX_VALUE_LEN;

/// The length of the longest text that fits into a word together with its length, in bytes.
const MAX_SHORT: usize = 7;
/// The length of the longest value that is stored inline, in bytes. Longer values are stored on the heap.
const MAX_INLINE: usize = 62;

/// The text of a label value.
///
/// Text that was copied byte by byte should not be moved soon after: the wide loads of the move would wait until the
/// stores have completed. Short text is therefore a single word, and longer text is best stored with
/// [`LabelText::set`] where it is kept.
#[derive(Clone, Debug)]
pub struct LabelText(Repr);

#[derive(Clone, Debug)]
enum Repr {
    /// The last byte is the length.
    Short([u8; MAX_SHORT + 1]),
    Inline {
        len: u8,
        bytes: [u8; MAX_INLINE],
    },
    Heap(Box<str>),
}

impl LabelText {
    pub(crate) const EMPTY: Self = Self(Repr::Short([0; MAX_SHORT + 1]));

    /// Copies `text`. Text longer than [`MAX_VALUE_LEN`] is truncated to a length that still exceeds the limit.
    #[inline]
    pub(crate) fn new(text: &str) -> Self {
        let mut new = Self::EMPTY;
        new.set(text);
        new
    }

    #[inline]
    pub(crate) fn of(label: &Label<'_>) -> Self {
        Self::new(label.as_str())
    }

    /// Replaces the text, like [`LabelText::new`].
    #[inline]
    pub(crate) fn set(&mut self, text: &str) {
        if text.len() > MAX_SHORT {
            return self.set_long(text);
        }
        let mut word = (text.len() as u64) << (8 * MAX_SHORT);
        for (at, byte) in text.bytes().enumerate() {
            word |= u64::from(byte) << (8 * at);
        }
        self.0 = Repr::Short(word.to_le_bytes());
    }

    #[inline(never)]
    fn set_long(&mut self, text: &str) {
        let len = text.len();
        match u8::try_from(len) {
            Ok(short) if len <= MAX_INLINE => {
                self.0 = Repr::Inline { len: short, bytes: [0; MAX_INLINE] };
                if let Repr::Inline { bytes, .. } = &mut self.0 {
                    bytes[..len].copy_from_slice(text.as_bytes());
                }
            }
            _ => {
                let end = (len.min(MAX_VALUE_LEN + 1)..len).find(|at| text.is_char_boundary(*at)).unwrap_or(len);
                self.0 = Repr::Heap(text[..end].into());
            }
        }
    }

    /// The text, which is valid UTF-8.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(bytes) => &bytes[..usize::from(bytes[MAX_SHORT]).min(MAX_SHORT)],
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len).min(MAX_INLINE)],
            Repr::Heap(text) => text.as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_any_length_is_held() {
        for len in [0, 1, MAX_SHORT, MAX_SHORT + 1, MAX_INLINE, MAX_INLINE + 1, MAX_VALUE_LEN] {
            let text = "x".repeat(len);
            assert_eq!(LabelText::new(&text).as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn text_that_is_too_long_is_truncated_but_still_too_long() {
        for text in ["x".repeat(5_000), "\u{1F600}".repeat(5_000)] {
            let held = LabelText::new(&text);
            assert!((MAX_VALUE_LEN + 1..MAX_VALUE_LEN + 5).contains(&held.as_bytes().len()));
            assert!(text.as_bytes().starts_with(held.as_bytes()));
        }
    }
}
