//! The requests of one push, and the responses.

use std::io::{self, Read};
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, RETRY_AFTER};
use ureq::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};

use super::super::push::PushContext;
use super::HttpEndpoint;
use super::failure::in_words;
use super::secrets::Secrets;
use super::url::Url;

/// The maximum number of bytes to read from the body of a response.
const LONGEST_BODY: u64 = 64 * 1_024;

/// A client for the requests of one push.
pub(in crate::export) struct HttpClient<'a> {
    endpoint: &'a HttpEndpoint,
    url: &'a Url,
    push: &'a PushContext<'a>,
    agent: Agent,
    secrets: Secrets,
}

/// A request without the options of its endpoint.
pub(in crate::export) struct HttpRequest<'a> {
    pub(in crate::export) method: Method,
    /// The path after that of the endpoint's URL, including the first slash; may be empty.
    pub(in crate::export) path: &'a str,
    pub(in crate::export) headers: &'a [(&'static str, &'static str)],
    pub(in crate::export) body: &'a [u8],
    /// Returns true if the server can be expected to accept the same request later.
    pub(in crate::export) is_temporary: fn(StatusCode) -> bool,
}

impl<'a> HttpClient<'a> {
    pub(super) fn new(endpoint: &'a HttpEndpoint, url: &'a Url, push: &'a PushContext<'a>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("metrics-core/", env!("CARGO_PKG_VERSION")));
        // Without this, a proxy that the environment defines would also receive requests to this host.
        let config = if url.is_loopback() { config.proxy(None) } else { config };
        #[cfg(feature = "push-tls")]
        let config = config.tls_config(endpoint.tls.config());
        let secrets = Secrets::default();
        let connector = DefaultConnector::new().chain(secrets.connector());
        let agent = Agent::with_parts(config.build(), connector, DefaultResolver::default());
        Self { endpoint, url, push, agent, secrets }
    }

    /// Sends a request within the time left for the push.
    ///
    /// Returns an error unless the response has a 2xx status. If a retry is pointless or should be delayed, the push
    /// context records it.
    pub(in crate::export) fn send(&self, request: &HttpRequest<'_>) -> io::Result<HttpReply> {
        let http = self.hidden(request)?;
        // The function of a credential may have taken time.
        let timeout = self.push.time_left()?;
        let http = self.agent.configure_request(http).timeout_global(Some(timeout)).build();
        let response = self.agent.run(http).map_err(|error| in_words(self.url, &self.secrets, error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(HttpReply { response });
        }
        if !(request.is_temporary)(status) {
            self.push.do_not_retry();
        } else if let Some(delay) = response.headers().get(RETRY_AFTER).and_then(delay) {
            self.push.retry_after(delay);
        }
        Err(self.failed(HttpReply { response }))
    }

    /// Returns the request with placeholders for its secrets.
    fn hidden<'r>(&self, request: &HttpRequest<'r>) -> io::Result<Request<&'r [u8]>> {
        let mut http = Request::new(request.body);
        *http.method_mut() = request.method.clone();
        self.secrets.forget();
        *http.uri_mut() = self.secrets.hide_query(self.url.with_path(request.path)?);
        let headers = http.headers_mut();
        for (name, value) in request.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Some(credentials) = &self.endpoint.credentials {
            let (value, secret) = credentials.read()?;
            headers.insert(AUTHORIZATION, self.secrets.hide_header(&AUTHORIZATION, &value));
            self.secrets.redact_also(&secret);
            credentials.user().iter().for_each(|user| self.secrets.redact_also(user));
        }
        for (name, value) in &self.endpoint.headers {
            // A header that was replaced later would leave its secret behind.
            if !headers.contains_key(name) {
                headers.insert(name, self.secrets.hide_header(name, value));
            }
        }
        Ok(http)
    }

    fn failed(&self, reply: HttpReply) -> io::Error {
        let (url, status) = (self.url, reply.response.status());
        if status.is_redirection() {
            let message = format!("{url} responded with a redirect (status {status}), which is not followed");
            return io::Error::other(message);
        }
        let body = reply.body();
        let text = String::from_utf8_lossy(&body);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let quote = self.quote(line);
        let colon = if quote.is_empty() { "" } else { ": " };
        io::Error::other(format!("{url} responded with status {status}{colon}{quote}"))
    }

    /// Returns the beginning of a server's message, without the secrets that the server may have repeated.
    pub(in crate::export) fn quote(&self, message: &str) -> String {
        self.secrets.quote(message)
    }
}

/// A response whose body has not been read.
pub(in crate::export) struct HttpReply {
    response: Response<ureq::Body>,
}

impl HttpReply {
    /// Reads the beginning of the body. Returns less if the connection fails.
    pub(in crate::export) fn body(self) -> Vec<u8> {
        let mut body = Vec::new();
        self.response.into_body().into_reader().take(LONGEST_BODY).read_to_end(&mut body).ok();
        body
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
pub(in crate::export) fn is_overloaded_or_broken(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}
