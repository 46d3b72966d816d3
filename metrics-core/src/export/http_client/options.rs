//! The options of the targets that use HTTP, and the methods that set them.

use ureq::http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use ureq::http::{HeaderName, HeaderValue};

use super::HttpEndpoint;
use super::credentials::Credentials;

/// The headers that frame a request.
const FRAMING: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING];

impl HttpEndpoint {
    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        if let Err(error) = self.try_set_header(name, value) {
            self.reject(error);
        }
    }

    /// Sets a header, or returns an error if it is invalid.
    pub(crate) fn try_set_header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let header = HeaderName::try_from(name).map_err(|_| format!("{name:?} is not a valid header name"))?;
        if FRAMING.contains(&header) {
            return Err(format!("the header `{name}` is set by the HTTP client"));
        }
        // Other characters than ASCII would be valid, but servers disagree on their encoding.
        let value = Some(value).filter(|value| value.is_ascii()).and_then(|value| HeaderValue::try_from(value).ok());
        let mut value = value.ok_or_else(|| format!("the value of the header `{name}` is invalid"))?;
        value.set_sensitive(true);
        self.headers.insert(header, value);
        Ok(())
    }

    pub(crate) fn set_credentials(&mut self, credentials: Credentials) {
        self.credentials = Some(credentials);
    }

    pub(crate) fn allow_plain_text(&mut self) {
        self.allows_plain_text = true;
    }

    #[cfg(feature = "push-tls")]
    pub(crate) fn trust(&mut self, pem: &[u8]) {
        if let Err(error) = self.tls.trust(pem) {
            self.reject(error);
        }
    }

    #[cfg(feature = "push-tls")]
    pub(crate) fn authenticate(&mut self, certificate: &[u8], key: &[u8]) {
        if let Err(error) = self.tls.authenticate(certificate, key) {
            self.reject(error);
        }
    }

    /// Keeps the first error, which the push returns.
    fn reject(&mut self, error: String) {
        self.invalid.get_or_insert(error);
    }
}

/// Implements the methods that all HTTP targets share. Those that can change the tenant reset the `state`, if any; see
/// [`push_methods`](crate::export::push::options::push_methods). The type's `target` must have an `endpoint` field of
/// type [`HttpEndpoint`].
macro_rules! http_methods {
    ($target:ident $(, state: $state:ident)?) => {
        impl $target {
            /// Sets a header of each request, such as `X-Scope-OrgID`.
            ///
            /// A header whose name contains, for example, `auth`, `key`, `pass` or `token` is treated as a credential;
            #[doc = concat!("see [`", stringify!($target), "::allow_credentials_over_http`].")]
            pub fn header(mut self, name: &str, value: &str) -> Self {
                self.target.endpoint.set_header(name, value);
                $(self.target.$state = std::sync::Arc::default();)?
                self
            }

            /// Authenticates with a user name and password.
            ///
            /// The function is called for each request, so that the password can rotate. Surrounding whitespace is
            /// removed. A user name and password in the URL have the same effect.
            pub fn basic_auth(
                mut self,
                user: &str,
                password: impl Fn() -> std::io::Result<String> + Send + Sync + 'static,
            ) -> Self {
                let credentials = $crate::export::http_client::credentials::Credentials::basic(user, password);
                self.target.endpoint.set_credentials(credentials);
                $(self.target.$state = std::sync::Arc::default();)?
                self
            }

            /// Authenticates with a bearer token.
            ///
            /// The function is called for each request, so that the token can rotate: for example,
            /// `|| std::fs::read_to_string("/var/run/secrets/token")`. Surrounding whitespace is removed.
            pub fn bearer_token(mut self, token: impl Fn() -> std::io::Result<String> + Send + Sync + 'static) -> Self {
                let credentials = $crate::export::http_client::credentials::Credentials::bearer(token);
                self.target.endpoint.set_credentials(credentials);
                $(self.target.$state = std::sync::Arc::default();)?
                self
            }

            /// Allows credentials to be sent over plain HTTP to other machines.
            ///
            /// By default, a push with credentials fails unless the URL begins with `https` or its host is a loopback
            /// address.
            pub fn allow_credentials_over_http(mut self) -> Self {
                self.target.endpoint.allow_plain_text();
                self
            }

            /// Trusts the certificate authorities in this PEM text, instead of those of the operating system.
            #[cfg(feature = "push-tls")]
            pub fn root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
                self.target.endpoint.trust(pem.as_ref());
                self
            }

            /// Authenticates with a client certificate. Both arguments are in PEM format.
            #[cfg(feature = "push-tls")]
            pub fn client_certificate(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
                self.target.endpoint.authenticate(certificate.as_ref(), key.as_ref());
                $(self.target.$state = std::sync::Arc::default();)?
                self
            }
        }
    };
}
pub(crate) use http_methods;
