//! The push target for the Prometheus Pushgateway.
//!
//! The Pushgateway sets the labels of the grouping key on every series of a push. If a series already had one of these
//! labels, its value would be lost, and two series could become identical. The target therefore checks the labels
//! before it sends anything.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::io;
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use log::Level;
use ureq::http::Method;

use super::http_client::HttpEndpoint;
use super::http_client::client::{HttpRequest, is_overloaded_or_broken};
use super::http_client::options::http_methods;
use super::push::options::{PushOptions, push_methods};
use super::push::{PushContext, PushError, PushTarget};
use crate::encode::Format;
use crate::labels::is_label_name;
use crate::logging::{guarded, log};
use crate::registry::Registry;

/// The beginning of the names of this library's own families.
const OWN_PREFIX: &str = "metrics_core_";

/// Pushes a registry's metrics to a Prometheus Pushgateway, which holds them until Prometheus scrapes it.
///
/// The Pushgateway is for batch jobs, which may end before a scrape. It keeps the last values of a job until they are
/// deleted, so it is not suitable for services. With the feature `protobuf`, a push also contains native histograms,
/// exemplars and creation times.
///
/// # Example: a batch job
///
/// ```
/// use metrics_core::{Counter, Pushgateway};
///
/// # let gateway = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}", gateway.local_addr()?);
/// # std::thread::spawn(move || {
/// #     use std::io::{Read, Write};
/// #     for mut connection in gateway.incoming().flatten() {
/// #         connection.set_read_timeout(Some(std::time::Duration::from_millis(50))).ok();
/// #         let mut request = [0; 1 << 16];
/// #         while connection.read(&mut request).is_ok_and(|len| len > 0) {}
/// #         connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
/// #     }
/// # });
/// let rows = Counter::builder("import_rows_total", "Imported rows.").register();
/// // For example "http://pushgateway.example:9091".
/// let gateway = Pushgateway::new(url, "import").grouping("region", "eu/1");
/// let guard = gateway.push_at_end()?;
/// rows.inc_by(1_200_u64);
/// guard.push()?; // without this call, the guard pushes when it is dropped, even after a panic
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent until `start`, `push` or another method that pushes is called"]
pub struct Pushgateway {
    target: Gateway,
    options: PushOptions,
}

/// The push target: the URL and the grouping key.
#[derive(Clone, Debug)]
struct Gateway {
    name: String,
    endpoint: HttpEndpoint,
    job: String,
    grouping: BTreeMap<String, String>,
    /// `PUT` replaces the metrics of the group; `POST` replaces only families with the same names.
    method: Method,
}

impl Pushgateway {
    /// Creates a target for the Pushgateway at this URL, such as `http://localhost:9091`. Series get the label `job`.
    pub fn new(url: impl AsRef<str>, job: impl Into<String>) -> Self {
        let target = Gateway {
            name: "pushgateway".to_owned(),
            endpoint: HttpEndpoint::new(url.as_ref()),
            job: job.into(),
            grouping: BTreeMap::new(),
            method: Method::PUT,
        };
        Self { target, options: PushOptions::default() }
    }

    /// Adds a label to the grouping key, which identifies the group that a push replaces. All values are allowed,
    /// including empty ones.
    pub fn grouping(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.target.grouping.insert(name.into(), value.into());
        self
    }

    /// Pushes once, like [`Pushgateway::push`], but replaces only families with the same names. Other families of the
    /// group remain.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is invalid or if the push fails.
    pub fn push_add(&self) -> Result<(), PushError> {
        let target = Gateway { method: Method::POST, ..self.target.clone() };
        self.options.pusher(target).push()
    }

    /// Deletes the group from the Pushgateway.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is invalid or if the request fails.
    pub fn delete(&self) -> Result<(), PushError> {
        let registry = Registry::new();
        let push = self.options.context(&registry, &self.target.name);
        let deleted = self.target.send(&push, Method::DELETE, "", &[]);
        deleted.map_err(|source| PushError::Target { target: self.target.name.clone(), source: source.into() })
    }

    /// Returns a guard that pushes at the end of a batch job, even if the job returns early or panics.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is invalid. A Pushgateway that cannot be reached is not an error, because it may
    /// become reachable during the job.
    pub fn push_at_end(&self) -> io::Result<PushgatewayGuard> {
        self.target.check()?;
        Ok(PushgatewayGuard { gateway: Some(self.clone()) })
    }
}

http_methods!(Pushgateway);
push_methods!(Pushgateway, default name: "pushgateway");

/// A guard that pushes to a [`Pushgateway`] when it is dropped. [`Pushgateway::push_at_end`] creates it.
///
/// A failed push is retried within the timeout and then logged. If the process exits without dropping the guard, for
/// example through [`std::process::exit`] or because panics abort, nothing is pushed.
#[derive(Debug)]
#[must_use = "the metrics are pushed when the guard is dropped, so bind it to a variable for the duration of the job"]
pub struct PushgatewayGuard {
    /// `None` once the guard has pushed.
    gateway: Option<Pushgateway>,
}

impl PushgatewayGuard {
    /// Pushes now instead of when the guard is dropped. A failed push is retried within the timeout.
    ///
    /// # Errors
    ///
    /// Returns an error if an option is invalid, or if no push succeeds in time.
    pub fn push(mut self) -> Result<(), PushError> {
        self.gateway.take().map_or(Ok(()), |gateway| gateway.push_with_retries())
    }
}

impl Pushgateway {
    fn push_with_retries(&self) -> Result<(), PushError> {
        self.options.pusher(self.target.clone()).push_with_retries()
    }
}

impl Drop for PushgatewayGuard {
    fn drop(&mut self) {
        let Some(gateway) = self.gateway.take() else { return };
        let pushed = guarded(|| gateway.push_with_retries());
        if let Some(Err(error)) = pushed {
            let job = if thread::panicking() { "the batch job panicked, and its" } else { "the batch job's" };
            log(Level::Error, format_args!("{error}; {job} metrics are lost"));
        }
    }
}

impl Gateway {
    fn check(&self) -> io::Result<()> {
        self.endpoint.check()?;
        self.path().map(drop)
    }

    /// Returns the path of the group.
    fn path(&self) -> io::Result<String> {
        let invalid = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        if self.job.is_empty() {
            return invalid("the job of a Pushgateway must not be empty".to_owned());
        }
        let mut path = String::from("/metrics");
        push_segment(&mut path, "job", &self.job);
        for (name, value) in &self.grouping {
            if name == "job" || name.starts_with("__") || !is_label_name(name) {
                return invalid(format!(
                    "{name:?} is reserved or invalid as a label of a grouping key; use a different name"
                ));
            }
            push_segment(&mut path, name, value);
        }
        Ok(path)
    }

    /// Returns the format and the encoded metrics, or an error if a series has a label of the grouping key.
    fn encode(&self, push: &PushContext<'_>) -> io::Result<(Format, Vec<u8>)> {
        #[cfg(feature = "protobuf")]
        let format = Format::Protobuf;
        #[cfg(not(feature = "protobuf"))]
        let format = Format::Text;
        let mut clash = None;
        let body = push.scrape().encode_inspected(format, &mut |family, labels| {
            let mut names = labels.iter().map(|(name, _)| name);
            let Some(name) = names.find(|name| *name == "job" || self.grouping.contains_key(*name)) else {
                return true;
            };
            if family.starts_with(OWN_PREFIX) {
                // The user cannot rename this label.
                push.skip("has a label of the grouping key", family);
            } else if clash.is_none() {
                clash = Some(format!(
                    "a series of {family} has the label `{name}`, which the grouping key would replace; \
                     rename one of them"
                ));
            }
            false
        });
        match clash {
            Some(message) => {
                push.do_not_retry();
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
            None => Ok((format, body)),
        }
    }

    fn send(&self, push: &PushContext<'_>, method: Method, content_type: &'static str, body: &[u8]) -> io::Result<()> {
        let path = self.path()?;
        let headers = [("content-type", content_type)];
        let headers = if content_type.is_empty() { &[][..] } else { &headers };
        let request = HttpRequest { method, path: &path, headers, body, is_temporary: is_overloaded_or_broken };
        self.endpoint.client(push)?.send(&request).map(drop)
    }
}

impl PushTarget for Gateway {
    fn name(&self) -> &str {
        &self.name
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        // A retry would find the same invalid option.
        self.check().inspect_err(|_| push.do_not_retry())?;
        let (format, body) = self.encode(push)?;
        Ok(self.send(push, self.method.clone(), format.content_type(), &body)?)
    }
}

/// Appends a label of the grouping key to a path. Values that could be altered in transit are encoded in base64.
fn push_segment(path: &mut String, name: &str, value: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let written = if !value.is_empty() && value.bytes().all(is_plain) {
        write!(path, "/{name}/{value}")
    } else if value.is_empty() {
        // An empty segment would be removed; the padding character alone decodes to an empty value.
        write!(path, "/{name}@base64/=")
    } else {
        write!(path, "/{name}@base64/{}", BASE64_URL_SAFE.encode(value))
    };
    written.unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_represent_every_value() {
        let path = |job: &str, value: &str| {
            Pushgateway::new("http://h", job).grouping("b", value).grouping("a", "1").target.path()
        };
        for (job, value, expected) in [
            ("batch", "x", "/metrics/job/batch/a/1/b/x"),
            ("a/b/c", "", "/metrics/job@base64/YS9iL2M=/a/1/b@base64/="),
            ("..", "ü", "/metrics/job@base64/Li4=/a/1/b@base64/w7w="),
        ] {
            assert_eq!(path(job, value).expect("valid"), expected);
        }
        assert_eq!(path("", "x").expect_err("no job").to_string(), "the job of a Pushgateway must not be empty");
        for name in ["job", "__name__", "a-b", ""] {
            let error = Pushgateway::new("http://h", "j").grouping(name, "x").target.path().expect_err("not a label");
            assert_eq!(
                error.to_string(),
                format!("{name:?} is reserved or invalid as a label of a grouping key; use a different name")
            );
        }
    }
}
