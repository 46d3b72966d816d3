//! Functions that trigger compiler lints, and functions that do not.

#![allow(unused_attributes)]
#![warn(unused, unreachable_code, deprecated, nonstandard_style, unused_qualifications, elided_lifetimes_in_paths)]

use std::future::Future;
use std::pin::Pin;

#[must_use]
pub struct Important;

#[deprecated]
fn old() {}

pub struct Borrowed<'a>(&'a str);

/// Triggers `dead_code`.
#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
fn dead() {}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
async fn dead_later() {}

struct Private;

impl Private {
    #[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
    fn dead_method(&self) {}
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn variables(unused: u32, used: u32, _silent: u32, also_unused: String) -> u32 {
    let local = 1;
    let mut not_mutated = 2;
    used + not_mutated
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub async fn variables_later(unused: u32, used: u32, owned: String, other: String) -> u32 {
    let local = 1;
    std::future::ready(()).await;
    let mut not_mutated = owned;
    drop(other);
    used + not_mutated.len() as u32
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn two_owned(first: String, unused: String, second: String) -> usize {
    first.len() + second.len()
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument(path))]
pub fn used_by_a_label(path: &str) -> usize {
    #[cfg(not(feature = "instrumented"))]
    let _ = path;
    1
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn mutable(mut mutated: String, mut not_mutated: String) -> String {
    mutated.push_str(&not_mutated);
    mutated
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub async fn mutable_later(mut mutated: String, mut not_mutated: String) -> String {
    mutated.push_str(&not_mutated);
    mutated
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn assigned(mut number: u32, mut text: String) {
    number = 1;
    text = String::new();
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn assigned_and_read(mut number: u32) -> u32 {
    number += 1;
    number
}

pub struct Fields {
    pub number: u32,
    pub text: String,
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn field_assigned(mut fields: Fields, other: Fields) -> u32 {
    fields.number = 1;
    other.number
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn destructured((first, second): (u32, u32), Fields { number, text }: Fields) -> u32 {
    first + number
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn unreachable() -> u32 {
    return 1;
    2
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub async fn unreachable_later() -> u32 {
    std::future::ready(()).await;
    panic!("here");
    2
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn diverges() -> u32 {
    panic!("here")
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn never() -> ! {
    panic!("here");
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub async fn never_later() -> ! {
    std::future::ready(()).await;
    panic!("here")
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn must_use() {
    make();
    Err::<(), ()>(());
    std::future::ready(());
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
#[must_use]
pub fn make() -> Important {
    Important
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
#[must_use = "it matters"]
pub async fn make_later() -> u32 {
    1
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub async fn must_use_later() {
    make();
    make_later();
    make_later().await;
    returns_future();
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn returns_future() -> impl Future<Output = u32> {
    let unused = 1;
    async move {
        let also_unused = 2;
        make();
        3
    }
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn returns_boxed(unused: u32, mut text: String) -> Pin<Box<dyn Future<Output = usize>>> {
    Box::pin(async move {
        let mut not_mutated = 1;
        text.len() + not_mutated
    })
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn braces() -> u32 {
    { 1 }
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn one_expression() -> u32 {
    1
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn parentheses(number: u32) -> u32 {
    if (number == 1) { (2) } else { 3 }
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn imports_and_items() {
    use std::collections::HashMap;
    fn inner() {}
    const LOCAL: u32 = 1;
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn deprecated() {
    old();
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn notSnakeCase(CamelCase: u32) -> u32 {
    let AlsoCamel = CamelCase;
    AlsoCamel
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn elided(text: &str) -> Borrowed {
    Borrowed(text)
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn condition() {
    while true {
        return;
    }
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn recurses_for_ever() -> u32 {
    recurses_for_ever() + 1
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn allowed(#[allow(unused_variables)] one: u32) {
    #![allow(unused_mut)]
    let mut two = 2;
    let _ = two;
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
#[expect(unused_variables, unused_mut, reason = "both fire")]
pub fn expected(one: u32) {
    let mut two = 2;
    let _ = two;
}

pub struct Api(u32);

#[cfg_attr(feature = "instrumented", metrics_core::instrument)]
impl Api {
    fn dead_in_block(&self) {}

    pub fn live(&self, unused: u32) -> u32 {
        self.0
    }
}

#[derive(PartialEq, Eq)]
pub struct Canonical(u32);

impl Copy for Canonical {}

impl Clone for Canonical {
    #[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
    fn clone(&self) -> Self {
        *self
    }
}

impl PartialOrd for Canonical {
    #[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(PartialEq, Eq)]
pub struct NotCanonical(u32);

impl Copy for NotCanonical {}

impl Clone for NotCanonical {
    #[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl PartialOrd for NotCanonical {
    #[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(&other.0)
    }
}

pub trait Complex {
    type Item;
    fn complex(&self) -> Option<Result<Vec<Box<dyn Fn(Self::Item) -> Result<(), Self::Item>>>, Box<dyn Send + Sync>>>;
}

impl Complex for Api {
    type Item = u32;

    #[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
    fn complex(&self) -> Option<Result<Vec<Box<dyn Fn(Self::Item) -> Result<(), Self::Item>>>, Box<dyn Send + Sync>>> {
        None
    }
}

impl Api {
    #[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
    pub fn complex_itself(&self) -> Option<Result<Vec<Box<dyn Fn(u32) -> Result<(), String>>>, Box<dyn Send + Sync>>> {
        None
    }
}

fn unit() {}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn without_semicolon() {
    unit();
    unit()
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub async fn without_semicolon_later() {
    std::future::ready(()).await;
    unit()
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub async fn rebound(mut not_mutated: &str, mut unused: &str, mut assigned: &str) -> usize {
    std::future::ready(()).await;
    let local = String::new();
    assigned = &local;
    not_mutated.len()
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn rebound_pattern((mut not_mutated, mut unused): (&str, &str), (mut assigned, _): (&str, u8)) -> usize {
    let local = String::new();
    assigned = &local;
    not_mutated.len()
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn needless_value(text: String) -> usize {
    text.len()
}

#[cfg_attr(feature = "instrumented", metrics_core::instrument("/x"))]
pub fn returns_closure(of: &[u32], unused: u32) -> impl Fn(&usize) -> u32 + '_ {
    let mut not_mutated = 1;
    move |&at| of[at]
}

impl Ord for Canonical {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl Ord for NotCanonical {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
