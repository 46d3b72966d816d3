//! What can be the value of a label.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

/// A type whose values can be values of a label: strings, integers, `bool` and `char`.
///
/// # Example: a type of one's own
///
/// ```
/// use metrics_core::{Label, LabelValue};
///
/// enum Method {
///     Get,
///     Post,
/// }
///
/// impl LabelValue for Method {
///     fn label(&self) -> Label<'_> {
///         Label::from(match self {
///             Self::Get => "GET",
///             Self::Post => "POST",
///         })
///     }
/// }
///
/// assert_eq!(Method::Get.label().as_str(), "GET");
/// assert_eq!(404_u16.label().as_str(), "404");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a label",
    label = "not a label value",
    note = "label values are strings, integers, `bool`, `char`, and types that implement `metrics_core::LabelValue`",
    note = "write `name = expr` with an expression that gives one of these: `path = request.path()`"
)]
pub trait LabelValue {
    /// The value as text.
    fn label(&self) -> Label<'_>;
}

/// The text of a label's value: borrowed where there is a string, else held inside, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a>(Text<'a>);

#[derive(Clone, Copy, Debug)]
enum Text<'a> {
    Borrowed(&'a str),
    Inline { bytes: [u8; MAX_INLINE], len: u8 },
}

/// Digits and sign of the longest integer.
const MAX_INLINE: usize = 40;

impl Label<'_> {
    /// The text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Borrowed(text) => text,
            Text::Inline { bytes, len } => {
                std::str::from_utf8(&bytes[..usize::from(*len).min(MAX_INLINE)]).unwrap_or_default()
            }
        }
    }

    /// `text` must not be longer than an integer can be.
    fn inline(text: &str) -> Self {
        let mut bytes = [0; MAX_INLINE];
        let len = text.len().min(MAX_INLINE);
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        Self(Text::Inline { bytes, len: u8::try_from(len).unwrap_or_default() })
    }
}

impl<'a> From<&'a str> for Label<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self(Text::Borrowed(text))
    }
}

impl LabelValue for str {
    #[inline]
    fn label(&self) -> Label<'_> {
        Label::from(self)
    }
}

impl LabelValue for String {
    #[inline]
    fn label(&self) -> Label<'_> {
        Label::from(self.as_str())
    }
}

impl LabelValue for bool {
    fn label(&self) -> Label<'_> {
        Label::from(if *self { "true" } else { "false" })
    }
}

impl LabelValue for char {
    fn label(&self) -> Label<'_> {
        Label::inline(self.encode_utf8(&mut [0; 4]))
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl LabelValue for $integer {
            fn label(&self) -> Label<'_> {
                Label::inline(itoa::Buffer::new().format(*self))
            }
        }
    )*};
}
integers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

macro_rules! pointers {
    ($($pointer:ty)*) => {$(
        impl<T: LabelValue + ?Sized> LabelValue for $pointer {
            #[inline]
            fn label(&self) -> Label<'_> {
                T::label(self)
            }
        }
    )*};
}
pointers! { &T &mut T Box<T> Rc<T> Arc<T> }

impl<T: LabelValue + ToOwned + ?Sized> LabelValue for Cow<'_, T> {
    #[inline]
    fn label(&self) -> Label<'_> {
        T::label(self)
    }
}
