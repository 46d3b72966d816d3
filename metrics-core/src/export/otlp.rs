//! The push target for OTLP, the protocol of OpenTelemetry: protobuf messages over HTTP.
//!
//! A push sends the data points in requests of limited size. If one of them fails, the push fails. The next push sends
//! all current totals, or their increases since the last request that succeeded, so a receiver that has accepted the
//! other requests counts nothing twice.

mod delta;
mod environment;
mod exponential;
mod fields;
mod message;
mod resource;
mod response;

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use log::Level;
use ureq::http::{Method, StatusCode};

use super::http_client::HttpEndpoint;
use super::http_client::client::{HttpClient, HttpRequest};
use super::http_client::options::http_methods;
use super::push::differences::Differences;
use super::push::options::{PushOptions, push_methods};
use super::push::state::PushState;
use super::push::{PushContext, PushTarget};
use crate::cell::varint;
use crate::encode::wire::{push_bytes, push_tag};
use crate::lock::lock;
use crate::logging::log;
use delta::{OwnedPoint, Temporality};
use environment::Environment;
use fields::{field_len, nanoseconds};
use message::{Batch, Metrics};
use resource::Resource;
use response::PartialSuccess;

/// The path for metrics, relative to the endpoint.
const PATH: &str = "/v1/metrics";
/// The size at which a request is sent, in bytes before compression. Many receivers reject requests above 4 MiB.
const LARGEST_REQUEST: usize = 1 << 20;
/// The compression level, the same as for scrapes over HTTP.
const GZIP_LEVEL: u32 = 2;
/// The maximum number of messages from receivers to remember so that each is logged only once.
const LOGGED_MESSAGES: usize = 16;

/// Pushes a registry's metrics with OTLP over HTTP, to an OpenTelemetry Collector or to a database that accepts OTLP.
///
/// | type | in OTLP |
/// |---|---|
/// | counter | sum, monotonic |
/// | gauge, info, state set, untyped | gauge |
/// | summary | summary |
/// | histogram with classic buckets | histogram |
/// | histogram with native buckets | exponential histogram, with at most 160 buckets for each sign |
///
/// - Names, help texts and labels are those of the exposition. The unit is a code such as `s`. Without a declared unit,
///   it is derived from the end of the name. Receivers that append units and `_total` to names therefore add nothing,
///   unless the name of a counter does not end in `_total`.
/// - Totals are cumulative and begin at the creation of the series; see [`Otlp::delta`] for the alternative.
/// - The labels `trace_id` and `span_id` of an exemplar become IDs, and its other labels become attributes.
/// - A push consists of requests of about 1 MiB before compression. Of the error statuses, only 429, 502, 503 and 504
///   cause a retry. Data points that a receiver rejects are counted in `metrics_core_push_samples_dropped_total`, and
///   each reason is logged once.
/// - Quantiles whose value is negative are skipped and counted, and so are inconsistent buckets, which only a custom
///   [`Collect`](crate::Collect) can report.
///
/// # Example: pushing once per minute and at shutdown
///
/// ```
/// use std::time::Duration;
///
/// use metrics_core::Otlp;
///
/// # let collector = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let endpoint = format!("http://{}", collector.local_addr()?);
/// # std::thread::spawn(move || {
/// #     use std::io::{Read, Write};
/// #     for mut connection in collector.incoming().flatten() {
/// #         connection.read(&mut [0; 1 << 20]).ok();
/// #         connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
/// #         connection.shutdown(std::net::Shutdown::Write).ok();
/// #         connection.read_to_end(&mut Vec::new()).ok();
/// #     }
/// # });
/// // For example "http://localhost:4318".
/// let otlp = Otlp::new(endpoint).resource("service.name", "shop");
/// let pusher = otlp.start(Duration::from_secs(60))?;
/// // .. the service runs until it receives a signal ..
/// pusher.shutdown()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until `start` or `push` is called"]
pub struct Otlp {
    target: Target,
    options: PushOptions,
}

/// The push target: the URL and the resource.
#[derive(Clone, Debug)]
struct Target {
    name: String,
    endpoint: HttpEndpoint,
    /// The path to append to the URL.
    path: &'static str,
    resource: Resource,
    gzip: bool,
    temporality: Temporality,
    /// The totals that were sent as increases.
    differences: Arc<PushState<Differences<OwnedPoint>>>,
    /// The start time of series whose creation time is unknown.
    created: SystemTime,
    /// The logged messages about rejected data points, shared by all clones.
    logged: Arc<Mutex<BTreeSet<String>>>,
}

impl Otlp {
    /// Creates a target for the receiver at this base URL, such as `http://localhost:4318`. Requests are sent to its
    /// path `/v1/metrics`.
    ///
    /// The resource attributes come from the environment variables `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`;
    /// see [`Otlp::resource`]. For the other variables, see [`Otlp::from_env`].
    pub fn new(endpoint: impl AsRef<str>) -> Self {
        Self::at(endpoint.as_ref(), PATH, &Environment::of_process())
    }

    /// Like [`Otlp::new`], but sends requests to this URL, such as
    /// `http://victoria-metrics:8428/opentelemetry/v1/metrics`. Nothing is appended.
    pub fn with_url(url: impl AsRef<str>) -> Self {
        Self::at(url.as_ref(), "", &Environment::of_process())
    }

    fn at(url: &str, path: &'static str, environment: &Environment<'_>) -> Self {
        let target = Target {
            name: "otlp".to_owned(),
            endpoint: HttpEndpoint::new(url),
            path,
            resource: Resource::new(environment),
            gzip: true,
            temporality: Temporality::Cumulative,
            differences: Arc::default(),
            created: SystemTime::now(),
            logged: Arc::default(),
        };
        Self { target, options: PushOptions::default() }
    }

    /// Sets a resource attribute, such as `deployment.environment.name`. Receivers attach the resource to all series.
    ///
    /// | attribute | default |
    /// |---|---|
    /// | `service.name` | `OTEL_SERVICE_NAME`, or `unknown_service:` and the name of the executable |
    /// | `service.instance.id` | a random UUID for each process |
    /// | `telemetry.sdk.name`, `.language`, `.version` | this library |
    ///
    /// `OTEL_RESOURCE_ATTRIBUTES` can set these and other attributes (`key=value,key=value`, percent-encoded).
    pub fn resource(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.target.resource.set(key.into(), value.into());
        self.target.differences = Arc::default();
        self
    }

    /// Sends the increase since the last delivery (delta temporality) instead of the total, for counters and
    /// histograms. OTLP does not define delta summaries, so summaries remain cumulative.
    ///
    /// Use it only for receivers that require it; others, such as VictoriaMetrics 1.112, drop increases. If a receiver
    /// accepts a request but its response is lost, it counts the increases twice, and increases that it rejects are
    /// lost. Cumulative totals are correct in both cases.
    ///
    /// The target remembers each total that it has sent. Clones share this state, unless
    /// the registry, a resource attribute, a header or the credentials of a clone are set.
    pub fn delta(mut self) -> Self {
        self.target.temporality = Temporality::Delta;
        self
    }

    /// Enables or disables gzip compression of requests. It is enabled by default.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.target.gzip = gzip;
        self
    }
}

http_methods!(Otlp, state: differences);
push_methods!(Otlp, default name: "otlp", state: differences);

impl Target {
    fn check(&self) -> io::Result<()> {
        self.endpoint.check()
    }

    fn metrics<'p>(&self, push: &'p PushContext<'p>) -> Metrics<'p> {
        Metrics::new(nanoseconds(push.time()), nanoseconds(self.created), push)
    }

    /// Sends all metrics, in as many requests as necessary. A request that the receiver rejects does not stop the
    /// others.
    fn send_all(&self, push: &PushContext<'_>, metrics: &mut Metrics<'_>) -> io::Result<Sent> {
        let (client, resource) = (self.endpoint.client(push)?, self.resource.encode());
        let mut sent = Sent { rejected: BTreeSet::new(), end: u64::MAX, error: None };
        let mut steps = push.scrape().begin();
        let mut has_more = true;
        while has_more {
            has_more = steps.step(&|_, _| true, metrics);
            // Without any metrics, an empty request reveals whether the receiver can be reached.
            let is_needed = metrics.len() > 0 || metrics.batch() == 0;
            if metrics.len() >= LARGEST_REQUEST || !has_more && is_needed {
                if let Err(error) = self.send(push, &client, &resource, &metrics.take()) {
                    sent.error.get_or_insert(error);
                    if !push.revoke_do_not_retry() {
                        sent.end = metrics.batch();
                        return Ok(sent);
                    }
                    sent.rejected.insert(metrics.batch());
                }
                metrics.begin_batch();
            }
        }
        if sent.error.is_some() {
            push.do_not_retry();
        }
        Ok(sent)
    }

    /// Sends a batch. Logs and counts the data points that the receiver rejects.
    fn send(&self, push: &PushContext<'_>, client: &HttpClient<'_>, resource: &[u8], batch: &Batch) -> io::Result<()> {
        let mut body = request(resource, &batch.metrics);
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
        let headers = if self.gzip { &headers[..] } else { &headers[..1] };
        if self.gzip {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
            gzip.write_all(&body)?;
            body = gzip.finish()?;
        }
        let request = HttpRequest { method: Method::POST, path: self.path, headers, body: &body, is_temporary };
        let reply = client.send(&request)?;
        let PartialSuccess { rejected, message } = PartialSuccess::read(&reply.body());
        let message = client.quote(&message);
        // A receiver cannot reject more than it was sent.
        let rejected = rejected.min(batch.points);
        push.dropped(rejected);
        if rejected > 0 || !message.is_empty() {
            let mut logged = lock(&self.logged);
            let is_new = logged.len() < LOGGED_MESSAGES && logged.insert(message.clone());
            drop(logged);
            if is_new {
                let what = if rejected > 0 { format!("rejected {rejected} data points") } else { "warns".to_owned() };
                let colon = if message.is_empty() { "" } else { ": " };
                log(Level::Warn, format_args!("{}: the receiver {what}{colon}{message} (logged once)", self.name));
            }
        }
        Ok(())
    }
}

impl PushTarget for Target {
    fn name(&self) -> &str {
        &self.name
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.check()?;
        if push.time() < UNIX_EPOCH {
            return Err("the system clock is set before 1970".into());
        }
        if self.temporality == Temporality::Cumulative {
            let sent = self.send_all(push, &mut self.metrics(push))?;
            return Ok(sent.error.map_or(Ok(()), Err)?);
        }
        let mut taken = self.differences.take(push)?;
        taken.begin();
        let mut metrics = self.metrics(push).with_differences(&mut taken, self.temporality);
        let sent = self.send_all(push, &mut metrics)?;
        let is_complete = sent.end == u64::MAX;
        taken.commit(|batch| batch < sent.end && !sent.rejected.contains(&batch), is_complete);
        Ok(sent.error.map_or(Ok(()), Err)?)
    }
}

/// The result of sending all batches.
struct Sent {
    /// The batches that the receiver rejected.
    rejected: BTreeSet<u64>,
    /// The number of the first batch that was not sent, because the receiver failed; `u64::MAX` if all were sent.
    end: u64,
    /// The first error.
    error: Option<io::Error>,
}

/// Returns an `ExportMetricsServiceRequest` with these fields of its `Resource` and `ScopeMetrics`.
fn request(resource: &[u8], metrics: &[u8]) -> Vec<u8> {
    let (mut scope, mut head) = (Vec::new(), Vec::new());
    push_bytes(&mut scope, 1, env!("CARGO_PKG_NAME").as_bytes());
    push_bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
    push_bytes(&mut head, 1, resource);
    push_tag(&mut head, 2, 2);
    varint::push(&mut head, field_len(scope.len() as u64) + metrics.len() as u64);
    push_bytes(&mut head, 1, &scope);
    let mut request = Vec::with_capacity(head.len() + metrics.len() + 16);
    push_tag(&mut request, 1, 2);
    varint::push(&mut request, (head.len() + metrics.len()) as u64);
    request.extend_from_slice(&head);
    request.extend_from_slice(metrics);
    request
}

/// Returns true for the statuses after which the specification of OTLP allows a retry.
fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}
