//! The push target for receivers of Prometheus remote write 1.0.
//!
//! Each push sends all samples in batches, then a stale marker for each series that has ended. The last push ends all
//! series, so that a query for current values does not return those of a process that has exited.

mod batches;
mod message;
mod sent;
mod writer;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use super::http_client::HttpEndpoint;
use super::http_client::options::http_methods;
use super::push::options::{PushOptions, push_methods};
use super::push::state::PushState;
use super::push::{PushContext, PushTarget};
use crate::labels::is_label_name;
use batches::Batches;
use sent::SentSeries;
use writer::Writer;

/// Pushes a registry's metrics with Prometheus remote write 1.0: to Prometheus, VictoriaMetrics, Grafana Mimir, or
/// another server that supports it.
///
/// - Samples have the same names and labels as after a scrape by Prometheus, including its form of bounds (`le="1.0"`
///   instead of `le="1"`). All samples of a push have the same timestamp.
/// - Histograms with native buckets are sent in both forms, native and classic. If native histograms are not enabled in
///   Prometheus, they are skipped and counted, and the first one is logged. See [`RemoteWrite::native_histograms`].
/// - Each exemplar is sent once.
/// - A series that ends gets a stale marker, so that queries no longer return its last value.
///   [`Pusher::shutdown`](crate::Pusher::shutdown) ends all series; [`RemoteWrite::push`] does not.
/// - Labels with an empty value are omitted. If two series have the same labels, only the first one is sent.
/// - Help texts, types and units are sent as metadata.
///
/// Each instance of a service needs different labels, usually `job` and `instance`. A scrape adds them automatically; a
/// push does not, so set them with [`RemoteWrite::label`].
///
/// A push consists of requests of at most 512 KiB before compression. It succeeds once the receiver has accepted all of
/// them. The target keeps the labels of all series in memory. Clones share them, unless the registry, a label, a header
/// or the credentials of a clone are set.
///
/// # Example: pushing every ten seconds and at shutdown
///
/// ```
/// use std::time::Duration;
///
/// use metrics_core::RemoteWrite;
///
/// # let receiver = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}/api/v1/write", receiver.local_addr()?);
/// # std::thread::spawn(move || {
/// #     use std::io::{Read, Write};
/// #     for mut connection in receiver.incoming().flatten() {
/// #         connection.set_read_timeout(Some(Duration::from_millis(50))).ok();
/// #         let mut request = [0; 1 << 16];
/// #         while connection.read(&mut request).is_ok_and(|len| len > 0) {}
/// #         connection.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").ok();
/// #     }
/// # });
/// // For example "https://prometheus.example/api/v1/write".
/// let target = RemoteWrite::new(url).label("job", "shop").label("instance", "shop-1");
/// let pusher = target.start(Duration::from_secs(10))?;
/// // .. the service runs until it receives a signal ..
/// pusher.shutdown()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until `start` or `push` is called"]
pub struct RemoteWrite {
    target: Receiver,
    options: PushOptions,
}

/// The push target: the URL, the options and the series that the receiver holds.
#[derive(Clone, Debug)]
struct Receiver {
    name: String,
    endpoint: HttpEndpoint,
    external: BTreeMap<String, String>,
    sends_natives: bool,
    /// The series that the receiver holds.
    sent: Arc<PushState<SentSeries>>,
}

impl RemoteWrite {
    /// Creates a target for this URL, which includes the path, as in `http://localhost:9090/api/v1/write`.
    ///
    /// A Prometheus server accepts remote write if it runs with `--web.enable-remote-write-receiver`.
    pub fn new(url: impl AsRef<str>) -> Self {
        let target = Receiver {
            name: "remote_write".to_owned(),
            endpoint: HttpEndpoint::new(url.as_ref()),
            external: BTreeMap::new(),
            sends_natives: true,
            sent: Arc::default(),
        };
        Self { target, options: PushOptions::default() }
    }

    /// Adds a label, such as `job` or `instance`, to every series that does not have a label of this name.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.target.external.insert(name.into(), value.into());
        self.target.sent = Arc::default();
        self
    }

    /// Enables or disables native histograms. They are enabled by default.
    ///
    /// Classic buckets are always sent. Disable native histograms if the receiver rejects them, or to save one request
    /// per push if it ignores them.
    pub fn native_histograms(mut self, enabled: bool) -> Self {
        self.target.sends_natives = enabled;
        self
    }
}

http_methods!(RemoteWrite, state: sent);
push_methods!(RemoteWrite, default name: "remote_write", state: sent);

impl Receiver {
    fn check(&self) -> io::Result<()> {
        self.endpoint.check()?;
        for name in self.external.keys() {
            // The last two distinguish samples of a histogram or summary.
            if name.starts_with("__") || !is_label_name(name) || matches!(name.as_str(), "le" | "quantile") {
                let message = format!("{name:?} is reserved or invalid as a label of all series; use a different name");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
        Ok(())
    }

    fn send(&self, push: &PushContext<'_>, sent: &mut SentSeries, now: i64) -> io::Result<()> {
        let time = sent.begin(now, Instant::now());
        let mut batches = Batches::new(push, self.endpoint.client(push)?);
        let mut writer = Writer::new(push, &self.external, self.sends_natives, &mut batches, sent, time);
        let mut steps = push.scrape().begin();
        while !writer.is_down() && steps.step(&|_, _| true, &mut writer) {}
        batches.send_all();
        if batches.has_accepted() {
            sent.accepted(time);
        }
        if !batches.takes_natives() {
            sent.forget_native();
        }
        if !batches.is_down() {
            end_series(push, sent, &mut batches, time);
        }
        if batches.is_down() {
            sent.forget_old();
        }
        batches.result().inspect(|()| sent.last_success = Some(now))
    }
}

impl PushTarget for Receiver {
    fn name(&self) -> &str {
        &self.name
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.check()?;
        push.time().duration_since(UNIX_EPOCH).map_err(|_| "the system clock is set before 1970")?;
        let mut sent = self.sent.take(push)?;
        Ok(self.send(push, &mut sent, message::milliseconds(push.time()))?)
    }
}

/// Sends a stale marker for each series that the push does not contain; at the end of the last push, for all series.
fn end_series(push: &PushContext<'_>, sent: &mut SentSeries, batches: &mut Batches<'_>, time: i64) {
    // A series can have only one sample per timestamp.
    let time = if push.is_last() { time.saturating_add(1) } else { time };
    let mut series = Vec::new();
    for (labels, is_native) in sent.ended(push.is_last()) {
        series.clear();
        series.extend_from_slice(labels);
        if is_native {
            message::push_stale_histogram(&mut series, time);
            batches.add_native(&series, None);
        } else {
            message::push_sample(&mut series, message::STALE, time);
            batches.add(&series);
        }
    }
    batches.send_all();
    if batches.has_accepted() {
        sent.accepted(time);
    }
    if !batches.is_down() {
        sent.forget_ended(push.is_last());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_are_checked() {
        let check = |name: &str| RemoteWrite::new("http://h/write").label(name, "x").target.check();
        for name in ["job", "A", "_a"] {
            check(name).expect("valid");
        }
        for name in ["", "a-b", "__name__", "__a", "le", "quantile"] {
            let error = check(name).expect_err("reserved or invalid");
            assert_eq!(
                error.to_string(),
                format!("{name:?} is reserved or invalid as a label of all series; use a different name")
            );
        }
    }
}
