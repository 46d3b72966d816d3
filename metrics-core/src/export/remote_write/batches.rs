//! The requests of a push. Each is sent as soon as its batch of series is full.
//!
//! A receiver that rejects one series may reject the whole request, and Prometheus does so for native histograms unless
//! they are enabled. Native histograms are therefore sent in separate requests.

use std::io;

use snap::raw::Encoder;
use ureq::http::Method;

use super::super::http_client::client::{HttpClient, HttpRequest, is_overloaded_or_broken};
use super::super::push::PushContext;
use crate::encode::wire::push_bytes;

/// The maximum size of a request, in bytes before compression. The limits of receivers are many times larger.
const LARGEST: usize = 512 * 1_024;

const HEADERS: [(&str, &str); 3] = [
    ("content-encoding", "snappy"),
    ("content-type", "application/x-protobuf"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

/// The message of a Prometheus server in which native histograms are not enabled.
const DISABLED: &str = "native histograms are disabled";
const NOT_ENABLED: &str = "the receiver has not enabled";

/// The requests of one push.
pub(super) struct Batches<'p> {
    push: &'p PushContext<'p>,
    client: HttpClient<'p>,
    /// The encoded series that have not been sent, except native histograms.
    floats: Vec<u8>,
    /// The encoded native histograms that have not been sent.
    natives: Vec<u8>,
    /// The names of the histograms in `natives`.
    native_names: Vec<String>,
    takes_natives: bool,
    has_accepted: bool,
    /// The first error.
    error: Option<io::Error>,
    /// True if all further requests are expected to fail as well.
    is_down: bool,
}

impl<'p> Batches<'p> {
    pub(super) fn new(push: &'p PushContext<'p>, client: HttpClient<'p>) -> Self {
        Self {
            push,
            client,
            floats: Vec::new(),
            natives: Vec::new(),
            native_names: Vec::new(),
            takes_natives: true,
            has_accepted: false,
            error: None,
            is_down: false,
        }
    }

    /// Returns true if nothing more can be sent.
    pub(super) fn is_down(&self) -> bool {
        self.is_down
    }

    /// Returns false if the receiver does not support native histograms.
    pub(super) fn takes_natives(&self) -> bool {
        self.takes_natives
    }

    /// Returns true if the receiver has accepted a request since the last call.
    pub(super) fn has_accepted(&mut self) -> bool {
        std::mem::take(&mut self.has_accepted)
    }

    /// Returns the first error.
    pub(super) fn result(self) -> io::Result<()> {
        let Some(error) = self.error else { return Ok(()) };
        if !self.is_down {
            self.push.do_not_retry();
        }
        Err(error)
    }

    /// Adds the metadata of a family.
    pub(super) fn add_metadata(&mut self, metadata: &[u8]) {
        self.add_float_field(3, metadata);
    }

    /// Adds a series without native histograms.
    pub(super) fn add(&mut self, series: &[u8]) {
        self.add_float_field(1, series);
    }

    fn add_float_field(&mut self, field: u8, message: &[u8]) {
        if is_full(&self.floats, message) {
            self.send_floats();
        }
        if !self.is_down {
            push_bytes(&mut self.floats, field, message);
        }
    }

    /// Adds a series of native histograms. Without a name, it is a stale marker.
    pub(super) fn add_native(&mut self, series: &[u8], name: Option<&str>) {
        if is_full(&self.natives, series) {
            self.send_natives();
        }
        if !self.takes_natives {
            if let Some(name) = name {
                self.skip_native(name);
            }
        } else if !self.is_down {
            push_bytes(&mut self.natives, 1, series);
            self.native_names.extend(name.map(str::to_owned));
        }
    }

    /// Adds the exemplars of the native histogram that was added last.
    pub(super) fn add_native_exemplars(&mut self, series: &[u8]) {
        if is_full(&self.natives, series) {
            self.send_natives();
        }
        if self.takes_natives && !self.is_down {
            push_bytes(&mut self.natives, 1, series);
        }
    }

    /// Sends everything that has been added.
    pub(super) fn send_all(&mut self) {
        self.send_floats();
        self.send_natives();
    }

    fn send_floats(&mut self) {
        match self.send(&self.floats) {
            None => {}
            Some(Ok(())) => self.has_accepted = true,
            Some(Err(failure)) => self.failed(failure),
        }
        self.floats.clear();
    }

    fn send_natives(&mut self) {
        match self.send(&self.natives) {
            None => {}
            Some(Ok(())) => self.has_accepted = true,
            Some(Err(failure)) if failure.error.to_string().contains(DISABLED) => {
                self.takes_natives = false;
                self.native_names.iter().for_each(|name| self.skip_native(name));
            }
            Some(Err(failure)) => self.failed(failure),
        }
        self.natives.clear();
        self.native_names.clear();
    }

    fn skip_native(&self, name: &str) {
        self.push.skip(NOT_ENABLED, &format!("the native buckets of {name}"));
    }

    /// Sends a request with this body. Returns `None` if the body is empty or the receiver is down.
    fn send(&self, body: &[u8]) -> Option<Result<(), Failure>> {
        if body.is_empty() || self.is_down {
            return None;
        }
        let send = || {
            let body = Encoder::new().compress_vec(body).map_err(io::Error::other)?;
            let method = Method::POST;
            let is_temporary = is_overloaded_or_broken;
            let request = HttpRequest { method, path: "", headers: &HEADERS, body: &body, is_temporary };
            self.client.send(&request).map(drop)
        };
        Some(send().map_err(|error| Failure { error, is_rejection: self.push.revoke_do_not_retry() }))
    }

    fn failed(&mut self, failure: Failure) {
        self.is_down = !failure.is_rejection;
        self.error.get_or_insert(failure.error);
    }
}

/// Returns true if a batch must be sent before this message is added.
fn is_full(batch: &[u8], message: &[u8]) -> bool {
    /// The maximum encoded size of a field's number and length, in bytes.
    const HEAD: usize = 4;
    batch.len() + HEAD + message.len() > LARGEST
}

/// The failure of one request.
struct Failure {
    error: io::Error,
    /// True if the receiver would reject this request again. It may accept others.
    is_rejection: bool,
}
