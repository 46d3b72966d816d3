//! Handlers that return responses with a status, as in axum. Requests are counted by status class, and 5xx responses
//! are counted as exceptions.
//!
//! `cargo run --release --example statuses`

use std::panic::catch_unwind;

use metrics_core::{LabelValue, Registry, instrument};

/// A response in the style of a web framework, where errors are responses too.
struct Response {
    status: u16,
}

trait IntoResponse {
    fn into_response(self) -> Response;
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response { status: 200 }
    }
}

#[derive(Clone, Copy, Debug, LabelValue)]
enum OrderError {
    NotFound,
    OutOfStock,
    Database,
}

impl IntoResponse for OrderError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotFound => 404,
            Self::OutOfStock => 409,
            Self::Database => 503,
        };
        Response { status }
    }
}

impl<T: IntoResponse> IntoResponse for Result<T, OrderError> {
    fn into_response(self) -> Response {
        self.map_or_else(OrderError::into_response, T::into_response)
    }
}

impl Response {
    fn class(&self) -> &'static str {
        match self.status / 100 {
            2 => "2xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        }
    }
}

/// Measures each request by path and status class. A 503 is an exception; a 404 is not.
#[instrument(
    path in ["/order", "/panic"],
    status = |out: &Response| out.class() in ["2xx", "4xx", "5xx"],
    exception_if = |out: &Response| out.status >= 500,
    prefix = "shop"
)]
fn route(path: &str, order: u32) -> Response {
    match path {
        "/order" => take(order).into_response(),
        // A bug: the index is out of bounds for most order numbers.
        "/panic" => Response { status: [200, 404][order as usize] },
        _ => Response { status: 404 },
    }
}

/// Takes an order, and counts exceptions by error kind.
#[instrument("take", kind, prefix = "orders")]
fn take(order: u32) -> Result<&'static str, OrderError> {
    match order {
        0 => Err(OrderError::NotFound),
        1 => Err(OrderError::OutOfStock),
        2 => Err(OrderError::Database),
        _ => Ok("taken"),
    }
}

fn main() {
    for order in 0..10 {
        route("/order", order);
    }
    route("/nowhere", 0);
    catch_unwind(|| route("/panic", 7)).ok();
    for line in Registry::global().to_text().lines() {
        if !line.contains("metrics_core_") && !line.contains("_sum{") {
            println!("{line}");
        }
    }
}
