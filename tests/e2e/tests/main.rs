//! Runs the examples as users do and scrapes them with a real Prometheus.
//!
//! `tests/run` installs the programs that these tests need.

mod batch;
mod browser;
mod carbon;
mod dashboard;
mod differential;
mod distributions;
mod everywhere;
mod example;
mod examples;
mod exemplars;
mod formats;
mod graphite;
mod hostile;
mod live;
mod mixed_labels;
mod odd_families;
mod otlp;
mod pasted;
mod prometheus;
mod promql;
mod readers;
mod readme;
mod remote_write;
mod router;
mod rules;
mod services;
mod statsd;
mod statsd_server;
mod style;
mod victoria;

use servers::{get, wait_for};
