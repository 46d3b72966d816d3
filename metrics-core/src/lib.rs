//! Metrics for Rust services: annotate a handler and get its request rate, errors and latency in Prometheus.
//!
//! - [`macro@instrument`] records the latency of a function in a [`Summary`] and its exceptions in a [`Counter`].
//! - [`Counter`], [`Gauge`], [`Summary`], [`Histogram`], [`Info`] and [`StateSet`] can be declared directly, or with
//!   labels as a [`Family`].
//! - [`start_http_server`] exposes everything to Prometheus. [`guide::exposing`] shows how to use a web framework
//!   instead.
//! - `RemoteWrite`, `Otlp`, `Pushgateway`, `TextFile`, `StatsD` and `GraphiteBridge` push everything to other systems.
//!   [`guide::pushing`] helps you choose.
//! - With the feature `axum`, `actix` or `tower`, one layer measures all routes of a service.
//!
//! Series whose labels are known in advance are exported at 0 before their first use. The number of series is capped
//! regardless of caller input. Errors, panics and canceled futures are all counted. Once a thread has seen a series,
//! updating it takes no lock. Counters, summaries and histograms are stored per thread, so threads do not contend for
//! them.
//!
//! The README covers all of this on one page; [`guide`] explains how to choose types, names and labels.

#[doc(hidden)]
pub mod __private;
mod alarm;
mod amount;
mod buckets;
mod builder;
mod cache;
mod call;
mod cell;
mod clock;
mod counter;
mod declare;
mod encode;
mod error;
mod exemplars;
#[cfg(any(feature = "exposition", feature = "push"))]
mod export;
mod exposure;
mod family;
mod gauge;
pub mod guide;
mod histogram;
mod info;
#[cfg(any(feature = "tower", feature = "actix"))]
pub mod integrate;
mod internal;
mod kind;
mod label_text;
mod label_value;
mod labels;
mod lint;
mod lock;
mod logging;
mod metric;
#[cfg(feature = "exposition")]
mod monitor;
mod per_process;
#[cfg(feature = "process")]
mod process;
mod registry;
mod sample;
mod state_set;
mod summary;
#[cfg(feature = "testing")]
pub mod testing;
mod threads;
mod timer;
mod windows;

#[doc = include_str!("derive_label_value.md")]
#[cfg(feature = "macros")]
pub use metrics_macros::LabelValue;
#[doc = include_str!("derive_metrics.md")]
#[cfg(feature = "macros")]
pub use metrics_macros::Metrics;
#[doc = include_str!("instrument.md")]
#[cfg(feature = "macros")]
pub use metrics_macros::instrument;
pub use prometheus;
#[cfg(feature = "tls")]
pub use rustls;

pub use amount::Amount;
pub use buckets::{DEFAULT_BUCKETS, exponential_buckets, linear_buckets};
pub use builder::{BuildTarget, Builder};
pub use counter::Counter;
pub use declare::{FieldBuilder, LabeledField, MetricField, MetricGroup, Scope};
pub use encode::Format;
pub use error::{Error, Field, Owner};
#[cfg(feature = "tracing")]
pub use exemplars::tracing::ExemplarLayer;
pub use exemplars::{current_exemplar, set_exemplar_source};
#[cfg(feature = "push")]
pub use export::graphite::GraphiteBridge;
#[cfg(feature = "exposition")]
pub use export::http::exposition::Exposition;
#[cfg(feature = "exposition")]
pub use export::http::live::LivePage;
#[cfg(feature = "exposition")]
pub use export::http::response::{ExpositionBody, ExpositionFuture};
#[cfg(feature = "otlp")]
pub use export::otlp::Otlp;
#[cfg(feature = "push")]
pub use export::push::{PushContext, PushError, PushTarget, Pusher, PusherBuilder};
#[cfg(feature = "pushgateway")]
pub use export::pushgateway::{Pushgateway, PushgatewayGuard};
#[cfg(feature = "remote-write")]
pub use export::remote_write::RemoteWrite;
#[cfg(feature = "tls")]
pub use export::server::Tls;
#[cfg(feature = "http")]
pub use export::server::{HttpServer, HttpServerBuilder, InvalidCredentials, ServeError, TlsPart, start_http_server};
#[cfg(feature = "statsd")]
pub use export::statsd::StatsD;
#[cfg(feature = "push")]
pub use export::text_file::TextFile;
pub use family::Family;
pub use gauge::{Gauge, InFlight};
pub use histogram::Histogram;
pub use info::Info;
#[cfg(any(feature = "tower", feature = "actix"))]
pub use integrate::{RequestMetrics, RequestMetricsBuilder};
pub use kind::Kind;
pub use label_value::{Label, LabelValue};
pub use labels::{CANCELLED, OTHER, OVERFLOW, PANIC};
pub use lint::StyleRule;
pub use metric::Metric;
#[cfg(feature = "exposition")]
pub use monitor::dashboard::GrafanaDashboard;
#[cfg(feature = "exposition")]
pub use monitor::rules::{PrometheusRules, RulesError};
pub use registry::scrape::Scrape;
pub use registry::{Collect, CollectorId, DeclaredFamily, DeclaredLabel, Problem, ProblemKind, Registry, init};
pub use sample::{Exemplar, FamilyInfo, Labels, NativeHistogram, Number, OwnedLabels, SeriesDetails, Value, Visitor};
pub use state_set::StateSet;
pub use summary::Summary;
pub use threads::limit_thread_local_cells;
pub use timer::Timer;
