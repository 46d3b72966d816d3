#![deny(warnings, missing_docs, unreachable_pub)]
#![forbid(unsafe_code)]
//! Enums whose variants have data, including errors with sources, generics, lifetimes and constants.

use std::fmt::Debug;
use std::io;
use std::num::ParseIntError;

use metrics_core::{LabelValue, instrument};

/// An error with other errors as sources.
#[derive(Debug, LabelValue)]
#[label(ignore_data, rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LoadError<'a, E: Debug, T = (), const N: usize = 4>
where
    T: Clone,
{
    /// An I/O error.
    Io(io::Error),
    /// The text is not a number.
    NotANumber {
        /// The parse error.
        source: ParseIntError,
        /// The text that was read.
        text: &'a str,
    },
    /// Another error.
    #[label(rename = "other")]
    Inner(E, T, [u8; N]),
    /// A variant without fields.
    Empty,
    /// A tuple variant without fields.
    EmptyTuple(),
    /// A struct variant without fields.
    EmptyStruct {},
}

/// An enum whose variants have no data.
#[derive(LabelValue)]
pub enum Method<const N: usize> {
    /// Reads a resource.
    Get,
    /// Writes a resource.
    Put(),
}

#[instrument("/load", kind)]
fn load(key: &str) -> Result<u32, LoadError<'_, String>> {
    key.parse().map_err(|source| LoadError::NotANumber { source, text: key })
}

#[instrument("/generic", kind)]
fn generic<E: Debug>(error: E) -> Result<(), LoadError<'static, E>> {
    Err(LoadError::Inner(error, (), [0; 4]))
}

fn main() {
    assert_eq!(load("x").unwrap_err().label().as_str(), "not-a-number");
    assert_eq!(generic(1).unwrap_err().label().as_str(), "other");
    let kinds = LoadError::<String>::VALUES;
    assert_eq!(kinds, ["io", "not-a-number", "other", "empty", "empty-tuple", "empty-struct"]);
    let error = LoadError::<()>::Io(io::ErrorKind::NotFound.into());
    assert_eq!(error.label().as_str(), "io");
    assert_eq!(<LoadError<'_, ()> as LabelValue>::VALUES, Some(&kinds[..]));
    assert_eq!(Method::<1>::Put().label().as_str(), "put");
    assert_eq!(Method::<1>::Get.label().as_str(), "get");
    let [LoadError::Empty, LoadError::EmptyTuple(), LoadError::EmptyStruct {}] =
        [LoadError::<()>::Empty, LoadError::EmptyTuple(), LoadError::EmptyStruct {}]
    else {
        unreachable!()
    };
}
