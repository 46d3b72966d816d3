//! The HTTP client of the push targets.
//!
//! The requests of one push share a connection, which ends with the push, because the server may close it before the
//! next one. Redirects are not followed, because they would send the credentials to another URL. Errors contain the URL
//! without its user name, password and query, any of which may be a credential.

pub(super) mod client;
pub(super) mod credentials;
mod failure;
pub(super) mod options;
mod secrets;
#[cfg(feature = "push-tls")]
mod tls;
mod url;

use std::fmt;
use std::io;

use ureq::http::HeaderMap;

use super::push::PushContext;
use client::HttpClient;
use credentials::Credentials;
use url::Url;

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

    /// Returns a client for the requests of a push.
    pub(super) fn client<'a>(&'a self, push: &'a PushContext<'a>) -> io::Result<HttpClient<'a>> {
        // A retry would find the same invalid option.
        self.checked().inspect_err(|_| push.do_not_retry()).map(|url| HttpClient::new(self, url, push))
    }
}

impl fmt::Debug for HttpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_ref().map_or_else(Clone::clone, ToString::to_string);
        f.debug_struct("HttpEndpoint").field("url", &url).finish_non_exhaustive()
    }
}
