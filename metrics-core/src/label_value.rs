//! Types that can be used as label values.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

/// A type whose values can be label values: strings, integers, `bool`, `char`, and enums that derive this trait.
///
/// # Example: a custom type
///
/// Enums can derive the trait. Other types implement it by returning the text of the value:
///
/// ```
/// use metrics_core::{Label, LabelValue};
///
/// struct Shard(u8);
///
/// impl LabelValue for Shard {
///     fn label(&self) -> Label<'_> {
///         self.0.label()
///     }
/// }
///
/// assert_eq!(Shard(7).label().as_str(), "7");
/// assert_eq!("GET".label().as_str(), "GET");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a label value",
    label = "not a label value",
    note = "label values are strings, integers, `bool`, `char`, and types that implement `metrics_core::LabelValue`; an enum can derive it: `#[derive(LabelValue)]`",
    note = "for any other type, write an expression or a type that is one of these, such as `path = request.path()` or `labels(path: &str)`"
)]
pub trait LabelValue {
    /// All values of the type, or `None` if they do not form a closed set.
    const VALUES: Option<&'static [&'static str]> = None;

    /// Returns the value as text.
    fn label(&self) -> Label<'_>;
}

/// The text of a label value, either borrowed from a string or stored inline. Creating a label never allocates.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a>(Text<'a>);

#[derive(Clone, Copy, Debug)]
enum Text<'a> {
    Borrowed(&'a str),
    /// A value from a closed set.
    Closed {
        values: &'static [&'static str],
        position: usize,
    },
    Inline {
        bytes: [u8; MAX_INLINE],
        len: u8,
    },
}

/// The maximum length of inline text in bytes: the length of `i128::MIN`, the longest integer.
const MAX_INLINE: usize = 40;

impl Label<'_> {
    /// Returns the text.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Borrowed(text) => text,
            Text::Closed { values, position } => values.get(*position).copied().unwrap_or_default(),
            Text::Inline { bytes, len } => {
                std::str::from_utf8(&bytes[..usize::from(*len).min(MAX_INLINE)]).unwrap_or_default()
            }
        }
    }

    /// Returns the closed set of the value's type and the position of the value in that set, or `None` if the type has
    /// no closed set.
    #[inline]
    pub(crate) fn closed(&self) -> Option<(&'static [&'static str], usize)> {
        match self.0 {
            Text::Closed { values, position } => Some((values, position)),
            Text::Borrowed(_) | Text::Inline { .. } => None,
        }
    }

    /// Stores `text` inline. The text must not be longer than [`MAX_INLINE`].
    fn inline(text: &str) -> Self {
        let mut bytes = [0; MAX_INLINE];
        let len = text.len().min(MAX_INLINE);
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        let len = u8::try_from(len).unwrap_or_default();
        Self(Text::Inline { bytes, len })
    }
}

/// Returns the value at this position in a closed set.
///
/// The text is empty if the position is out of range. Derived code never passes such a position.
#[inline]
pub fn closed(values: &'static [&'static str], position: usize) -> Label<'static> {
    if position < values.len() { Label(Text::Closed { values, position }) } else { Label::from("") }
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
    const VALUES: Option<&'static [&'static str]> = Some(&["false", "true"]);

    #[inline]
    fn label(&self) -> Label<'_> {
        closed(&["false", "true"], usize::from(*self))
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
            const VALUES: Option<&'static [&'static str]> = T::VALUES;

            #[inline]
            fn label(&self) -> Label<'_> {
                T::label(self)
            }
        }
    )*};
}
pointers! { &T &mut T Box<T> Rc<T> Arc<T> }

impl<T: LabelValue + ToOwned + ?Sized> LabelValue for Cow<'_, T> {
    const VALUES: Option<&'static [&'static str]> = T::VALUES;

    #[inline]
    fn label(&self) -> Label<'_> {
        T::label(self)
    }
}
