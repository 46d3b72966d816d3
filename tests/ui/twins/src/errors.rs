//! Functions that do not compile.

use std::error::Error;

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn wrong_tail() -> u32 {
    "text"
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn wrong_return(n: u32) -> u32 {
    if n == 0 {
        return "text";
    }
    n
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn missing_tail() -> u32 {
    let _ = 1;
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn semicolon_too_many(n: u32) -> u32 {
    n + 1;
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
async fn wrong_tail_later() -> u32 {
    std::future::ready(()).await;
    "text"
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
async fn wrong_return_later(n: u32) -> u32 {
    if n == 0 {
        return "text";
    }
    n
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
async fn missing_tail_later() -> u32 {
    let _ = 1;
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn wrong_question_mark(text: &str) -> Result<u32, std::fmt::Error> {
    Ok(text.parse::<u32>()?)
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
async fn wrong_question_mark_later(text: &str) -> Result<u32, std::fmt::Error> {
    Ok(text.parse::<u32>()?)
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn no_question_mark(text: &str) -> u32 {
    text.parse::<u32>()?
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn unknown_name() -> u32 {
    unknown + 1
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn unknown_method(text: &str) -> usize {
    text.length()
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn unknown_type(text: Unknown) -> usize {
    1
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn not_mutable(text: String) {
    text.push('x');
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn boxed_error() -> Result<(), Box<dyn Error>> {
    Err(1)
}

fn main() {}
