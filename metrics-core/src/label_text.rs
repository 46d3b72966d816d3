//! A label value that is kept for the duration of a call, and stored inline if it is short.

use crate::label_value::Label;
use crate::labels::MAX_VALUE_LEN;

/// The length of the longest value that is stored inline, in bytes. Longer values are stored on the heap.
const MAX_INLINE: usize = 62;

/// The text of a label value.
#[derive(Clone, Debug)]
pub struct LabelText(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Inline { len: u8, bytes: [u8; MAX_INLINE] },
    Heap(Box<str>),
}

impl LabelText {
    /// Copies `text`. Text longer than [`MAX_VALUE_LEN`] is truncated to a length that still exceeds the limit.
    #[inline]
    pub(crate) fn new(text: &str) -> Self {
        let len = text.len();
        match u8::try_from(len) {
            Ok(short) if len <= MAX_INLINE => {
                let mut bytes = [0; MAX_INLINE];
                bytes[..len].copy_from_slice(text.as_bytes());
                Self(Repr::Inline { len: short, bytes })
            }
            _ => {
                let end = (len.min(MAX_VALUE_LEN + 1)..len).find(|at| text.is_char_boundary(*at)).unwrap_or(len);
                Self(Repr::Heap(text[..end].into()))
            }
        }
    }

    #[inline]
    pub(crate) fn of(label: &Label<'_>) -> Self {
        Self::new(label.as_str())
    }

    /// The text, which is valid UTF-8.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
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
        for len in [0, 1, MAX_INLINE, MAX_INLINE + 1, MAX_VALUE_LEN] {
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
