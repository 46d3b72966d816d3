#![deny(warnings)]

use metrics_core::instrument;

#[instrument("/foo")]
fn never_called(unused: u8) -> u8 {
    let mut number = 1;
    return number;
    number
}

fn main() {}
