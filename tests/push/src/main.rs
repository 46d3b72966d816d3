//! Tests for the push targets, with well-behaved and hostile receivers.

mod decode;
mod faults;
mod options;
mod pushgateway;
mod receiver;
mod targets;
mod tls;
