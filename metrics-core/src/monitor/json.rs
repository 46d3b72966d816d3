//! JSON values, written with one member per line so that changes are easy to review.

use std::borrow::Cow;

use crate::encode::json::{push_json_float, push_string};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'static, str>),
    List(Vec<Json>),
    Object(Vec<(Cow<'static, str>, Json)>),
}

/// Builds an object from names and values.
macro_rules! object {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::monitor::json::Json::Object(vec![$(($name.into(), $crate::monitor::json::Json::from($value))),*])
    };
}
pub(super) use object;

impl Json {
    /// Adds a member to an object. Does nothing to other values.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Self>) -> Self {
        if let Self::Object(members) = &mut self {
            members.push((name.into(), value.into()));
        }
        self
    }

    /// Appends the value. `indent` is the number of spaces before its members.
    pub(super) fn write(&self, out: &mut Vec<u8>, indent: usize) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Self::Number(number) => push_json_float(out, *number),
            Self::Text(text) => push_string(out, text),
            Self::List(list) => write_all(out, indent, *b"[]", list, |out, value| value.write(out, indent + 2)),
            Self::Object(members) => write_all(out, indent, *b"{}", members, |out, (name, value)| {
                push_string(out, name);
                out.extend_from_slice(b": ");
                value.write(out, indent + 2);
            }),
        }
    }
}

fn write_all<T>(out: &mut Vec<u8>, indent: usize, [open, close]: [u8; 2], all: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(open);
    for (at, one) in all.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b",\n" } else { b"\n" });
        out.resize(out.len() + indent + 2, b' ');
        write(out, one);
    }
    if !all.is_empty() {
        out.push(b'\n');
        out.resize(out.len() + indent, b' ');
    }
    out.push(close);
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Json {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Self::Number(value.into())
    }
}

impl From<&'static str> for Json {
    fn from(value: &'static str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(T::into).collect())
    }
}
