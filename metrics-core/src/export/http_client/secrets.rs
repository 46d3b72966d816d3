//! Secrets of requests: header values and the query of the URL.
//!
//! The crates of the HTTP client log requests at level `trace`. They therefore get a placeholder of the same length for
//! each secret. The transport replaces the placeholders in its buffer, right before it sends the bytes.

use std::cmp::Reverse;
use std::fmt;
use std::sync::{Arc, Mutex};

use percent_encoding::percent_decode_str;
use ureq::Error;
use ureq::http::{HeaderName, HeaderValue, Uri};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use crate::lock::lock;

/// The maximum number of characters of a server's message to quote.
const LONGEST_QUOTE: usize = 200;
/// The length of a secret from which it is removed from messages. Shorter ones occur in other words.
const SHORTEST_REDACTED: usize = 4;
/// The character that placeholders consist of.
const PLACEHOLDER: &str = "x";

/// The secrets of the current request, shared by a client and its transport.
#[derive(Clone, Default)]
pub(super) struct Secrets(Arc<Mutex<Hidden>>);

#[derive(Default)]
struct Hidden {
    query: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Texts to remove from messages.
    redacted: Vec<String>,
    /// True until the placeholders have been replaced.
    is_pending: bool,
}

impl Hidden {
    /// Removes a text from messages. The text loses its control characters first, as messages already have.
    fn redact(&mut self, text: &str) {
        self.redacted.push(without_control(text));
    }
}

fn without_control(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

impl Secrets {
    /// Begins a request.
    pub(super) fn forget(&self) {
        *lock(&self.0) = Hidden { is_pending: true, ..Hidden::default() };
    }

    /// Returns a placeholder for the value of a header.
    pub(super) fn hide_header(&self, name: &HeaderName, value: &HeaderValue) -> HeaderValue {
        let Ok(placeholder) = HeaderValue::try_from(PLACEHOLDER.repeat(value.len())) else { return value.clone() };
        let mut hidden = lock(&self.0);
        let text = String::from_utf8_lossy(value.as_bytes());
        // A server may repeat the token without its scheme, as in `Bearer token`.
        if let Some((_, token)) = text.rsplit_once(' ') {
            hidden.redact(token);
        }
        hidden.redact(&text);
        hidden.headers.push((name.clone(), value.clone()));
        placeholder
    }

    /// Returns the URL with a placeholder for its query.
    pub(super) fn hide_query(&self, uri: Uri) -> Uri {
        let Some(query) = uri.query() else { return uri };
        let hidden = format!("{}?{}", uri.path(), PLACEHOLDER.repeat(query.len()));
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = hidden.parse().ok();
        let mut secrets = lock(&self.0);
        secrets.query = query.as_bytes().to_vec();
        for value in query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value)) {
            secrets.redact(value);
            secrets.redact(&percent_decode_str(value).decode_utf8_lossy());
        }
        Uri::from_parts(parts).unwrap_or(uri)
    }

    /// Removes another text from messages.
    pub(super) fn redact_also(&self, text: &str) {
        lock(&self.0).redact(text);
    }

    /// Returns the beginning of a message, without secrets and control characters.
    pub(super) fn quote(&self, message: &str) -> String {
        let mut text = without_control(message);
        let mut hidden = lock(&self.0);
        // A secret can be a part of another one.
        hidden.redacted.sort_unstable_by_key(|secret| Reverse(secret.len()));
        for secret in hidden.redacted.iter().filter(|secret| secret.len() >= SHORTEST_REDACTED) {
            text = text.replace(secret.as_str(), "***");
        }
        text.chars().take(LONGEST_QUOTE).collect()
    }

    /// Returns a connector that sends the secrets in place of their placeholders.
    pub(super) fn connector(&self) -> impl Connector<Box<dyn Transport>> + use<> {
        SecretConnector(self.clone())
    }

    /// Replaces the placeholders once the output contains the head of the request.
    fn reveal(&self, output: &mut [u8]) {
        let mut hidden = lock(&self.0);
        if !hidden.is_pending {
            return;
        }
        let end = output.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(head) = end.and_then(|end| output.get_mut(..end)) else { return };
        hidden.is_pending = false;
        if !hidden.query.is_empty() {
            overwrite_after(head, b"?", &hidden.query);
        }
        for (name, value) in &hidden.headers {
            overwrite_after(head, format!("\r\n{name}: ").as_bytes(), value.as_bytes());
        }
    }
}

/// Overwrites the bytes after the first occurrence of `mark`.
fn overwrite_after(head: &mut [u8], mark: &[u8], secret: &[u8]) {
    let start = head.windows(mark.len()).position(|found| found.eq_ignore_ascii_case(mark)).map(|at| at + mark.len());
    if let Some(placeholder) = start.and_then(|start| head.get_mut(start..start + secret.len())) {
        placeholder.copy_from_slice(secret);
    }
}

/// Wraps each connection in a [`SecretTransport`].
#[derive(Debug)]
struct SecretConnector(Secrets);

impl<T: Transport> Connector<T> for SecretConnector {
    type Out = SecretTransport<T>;

    fn connect(&self, _: &ConnectionDetails<'_>, connection: Option<T>) -> Result<Option<Self::Out>, Error> {
        Ok(connection.map(|inner| SecretTransport { inner, secrets: self.0.clone() }))
    }
}

/// A connection that replaces the placeholders in the requests that it sends.
#[derive(Debug)]
struct SecretTransport<T> {
    inner: T,
    secrets: Secrets,
}

impl<T: Transport> Transport for SecretTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if let Some(output) = self.inner.buffers().output().get_mut(..amount) {
            self.secrets.reveal(output);
        }
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once_in_the_head() {
        let secrets = Secrets::default();
        secrets.forget();
        let uri = secrets.hide_query("http://h/path?token=s%3Dcret".parse().expect("valid"));
        let value = |name: &'static str, text: &'static str| {
            secrets.hide_header(&HeaderName::from_static(name), &HeaderValue::from_static(text))
        };
        let (a, b, c) = (value("a", "Bearer secret"), value("b", "other secret"), value("c", ""));
        assert!(!format!("{uri} {a:?} {b:?}").contains("cret"));
        let path = uri.path_and_query().expect("a path");
        let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
        let head = format!("PUT {path} HTTP/1.1\r\na: {}\r\nB: {}\r\nc: {}\r\n\r\n", text(&a), text(&b), text(&c));
        let mut output = format!("{head}?\r\na: xxx").into_bytes();
        secrets.reveal(&mut output);
        let expected = "PUT /path?token=s%3Dcret HTTP/1.1\r\na: Bearer secret\r\nB: other secret\r\nc: \r\n\r\n";
        assert_eq!(String::from_utf8(output), Ok(format!("{expected}?\r\na: xxx")));
        // The bytes after the head belong to the body.
        let mut body = head.clone().into_bytes();
        secrets.reveal(&mut body);
        assert_eq!(String::from_utf8(body), Ok(head));
    }

    #[test]
    fn quotes_do_not_repeat_secrets() {
        let secrets = Secrets::default();
        secrets.forget();
        secrets.hide_query("http://h/?a=b&token=s%3Dcret".parse().expect("valid"));
        secrets.hide_header(&HeaderName::from_static("a"), &HeaderValue::from_static("top secret"));
        secrets.redact_also("hunter2");
        secrets.redact_also("tab\tbed");
        let quote = secrets.quote("no s%3Dcret, s=cret, top secret, secret,\x07 hunter2, tab\tbed or b");
        assert_eq!(quote, "no ***, ***, ***, ***, ***, *** or b");
        assert_eq!(secrets.quote(&"é".repeat(1_000)).chars().count(), LONGEST_QUOTE);
    }
}
