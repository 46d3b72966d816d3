//! The HTTP client of the push targets.
//!
//! The requests of one push share a connection. A push does not reuse the connection of an earlier one, because the
//! server may have closed it since then. Redirects are not followed, because they would send the credentials to another
//! URL. Errors contain the URL without its user name, password and query, any of which may be a credential.

pub(super) mod credentials;
mod failure;
pub(super) mod options;
#[cfg(feature = "push-tls")]
mod tls;
mod url;

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::push::PushContext;
use crate::per_process::PerProcess;
use credentials::Credentials;
use failure::in_words;
use url::Url;

/// The idle time after which a connection is no longer used.
const LONGEST_IDLE: Duration = Duration::from_secs(1);
/// The maximum number of bytes to read from the body of a response.
const LONGEST_BODY: u64 = 64 * 1_024;
/// The maximum number of characters of a response to quote in an error.
const LONGEST_QUOTE: usize = 200;

/// A server, and the options of requests to it.
#[derive(Clone)]
pub(super) struct HttpEndpoint {
    url: Result<Url, String>,
    headers: HeaderMap,
    credentials: Option<Credentials>,
    /// True if credentials may be sent over plain HTTP.
    allows_plain_text: bool,
    #[cfg(feature = "push-tls")]
    tls: tls::TlsOptions,
    /// The first option that was invalid.
    invalid: Option<String>,
    /// Created by the first request of a process. A forked child must not use its parent's connections.
    agent: Arc<PerProcess<OnceLock<Agent>>>,
}

/// A request without the options of its endpoint.
pub(super) struct HttpRequest<'a> {
    pub(super) method: Method,
    /// The path after that of the endpoint's URL, including the first slash; may be empty.
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'static str, &'static str)],
    pub(super) body: &'a [u8],
    /// Returns true if the server can be expected to accept the same request later.
    pub(super) is_temporary: fn(StatusCode) -> bool,
}

impl HttpEndpoint {
    pub(super) fn new(url: &str) -> Self {
        let (url, credentials) = match Url::parse(url) {
            Ok((url, credentials)) => (Ok(url), credentials),
            Err(error) => (Err(error), None),
        };
        Self {
            url,
            headers: HeaderMap::new(),
            credentials,
            allows_plain_text: false,
            #[cfg(feature = "push-tls")]
            tls: tls::TlsOptions::default(),
            invalid: None,
            agent: Arc::new(PerProcess::new()),
        }
    }

    /// Returns an error if the URL or another option is invalid.
    pub(super) fn check(&self) -> io::Result<()> {
        self.checked().map(drop)
    }

    fn checked(&self) -> io::Result<&Url> {
        let invalid = |message: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        let url = match &self.url {
            Ok(url) => url,
            Err(error) => return invalid(error),
        };
        if let Some(error) = &self.invalid {
            return invalid(error);
        }
        if url.is_encrypted() && !cfg!(feature = "push-tls") {
            return invalid(&format!("{url} needs TLS; enable the feature `push-tls` of metrics-core"));
        }
        let has_secrets = self.credentials.is_some() || self.headers.keys().any(credentials::is_secret);
        if has_secrets && !url.is_encrypted() && !url.is_loopback() && !self.allows_plain_text {
            return invalid(&format!(
                "{url} would receive credentials unencrypted; use https, or call `allow_credentials_over_http`"
            ));
        }
        Ok(url)
    }

    /// Sends a request within the time left for the push.
    ///
    /// Returns an error unless the response has a 2xx status. If a retry is pointless or should be delayed, the push
    /// context records it.
    pub(super) fn send(&self, push: &PushContext<'_>, request: &HttpRequest<'_>) -> io::Result<HttpReply> {
        let url = self.checked()?;
        let timeout = push.time_left()?;
        let mut http = Request::new(request.body);
        *http.method_mut() = request.method.clone();
        *http.uri_mut() = url.with_path(request.path)?;
        *http.headers_mut() = self.headers.clone();
        for (name, value) in request.headers {
            http.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Some(credentials) = &self.credentials {
            http.headers_mut().insert(AUTHORIZATION, credentials.header()?);
        }
        let agent = self.agent(url);
        let http = agent.configure_request(http).timeout_global(Some(timeout)).build();
        let response = agent.run(http).map_err(|error| in_words(url, error))?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(delay);
        let reply = HttpReply { response };
        if status.is_success() {
            return Ok(reply);
        }
        if !(request.is_temporary)(status) {
            push.do_not_retry();
        } else if let Some(delay) = retry_after {
            push.retry_after(delay);
        }
        Err(reply.failed(url))
    }

    /// Makes the next request use the current TLS options.
    #[cfg(feature = "push-tls")]
    fn forget_agent(&mut self) {
        self.agent = Arc::new(PerProcess::new());
    }

    fn agent(&self, url: &Url) -> Agent {
        let slot = self.agent.get();
        if let Some(agent) = slot.get() {
            return agent.clone();
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_age(LONGEST_IDLE)
            .user_agent(concat!("metrics-core/", env!("CARGO_PKG_VERSION")));
        // Without this, a proxy that the environment defines would also receive requests to this host.
        let config = if url.is_loopback() { config.proxy(None) } else { config };
        #[cfg(feature = "push-tls")]
        let config = config.tls_config(self.tls.config());
        slot.get_or_init(|| config.build().new_agent()).clone()
    }
}

impl fmt::Debug for HttpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_ref().map_or_else(Clone::clone, ToString::to_string);
        f.debug_struct("HttpEndpoint").field("url", &url).finish_non_exhaustive()
    }
}

/// A response whose body has not been read.
pub(super) struct HttpReply {
    response: Response<ureq::Body>,
}

impl HttpReply {
    /// Reads the beginning of the body. Returns fewer bytes if the connection fails.
    pub(super) fn body(self) -> Vec<u8> {
        let mut body = Vec::new();
        self.response.into_body().into_reader().take(LONGEST_BODY).read_to_end(&mut body).ok();
        body
    }

    fn failed(self, url: &Url) -> io::Error {
        let status = self.response.status();
        if status.is_redirection() {
            let message = format!("{url} responded with a redirect (status {status}), which is not followed");
            return io::Error::other(message);
        }
        let body = self.body();
        let text = String::from_utf8_lossy(&body);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let quote: String = line.chars().filter(|c| !c.is_control()).take(LONGEST_QUOTE).collect();
        let colon = if quote.is_empty() { "" } else { ": " };
        io::Error::other(format!("{url} responded with status {status}{colon}{quote}"))
    }
}

/// Returns the delay that a `Retry-After` header requests, either in seconds or as a date.
fn delay(header: &HeaderValue) -> Option<Duration> {
    let text = header.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            Some(httpdate::parse_http_date(text).ok()?.duration_since(std::time::SystemTime::now()).unwrap_or_default())
        }
    }
}

/// Returns true for the statuses after which Prometheus itself retries: 429 and 5xx.
#[allow(dead_code, reason = "OTLP defines its own list")]
pub(super) fn is_overloaded_or_broken(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}
