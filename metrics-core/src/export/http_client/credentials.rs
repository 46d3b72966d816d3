//! Credentials that are sent with each request of a push target.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::http::{HeaderName, HeaderValue};

/// A function that returns a password or token. It is called for each request, so that the secret can rotate.
pub(crate) type Secret = Arc<dyn Fn() -> io::Result<String> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Credentials {
    Basic(String, Secret),
    Bearer(Secret),
}

impl Credentials {
    pub(crate) fn basic(user: &str, password: impl Fn() -> io::Result<String> + Send + Sync + 'static) -> Self {
        Self::Basic(user.to_owned(), Arc::new(password))
    }

    pub(crate) fn bearer(token: impl Fn() -> io::Result<String> + Send + Sync + 'static) -> Self {
        Self::Bearer(Arc::new(token))
    }

    /// Returns the value of the `Authorization` header.
    pub(super) fn header(&self) -> io::Result<HeaderValue> {
        let (what, value) = match self {
            Self::Basic(user, password) => {
                let password = read("password", password)?;
                ("password", format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
            }
            Self::Bearer(token) => ("token", format!("Bearer {}", read("token", token)?)),
        };
        let invalid = |_| {
            let message = format!("the {what} contains characters that are not allowed in a header");
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let mut header = HeaderValue::try_from(value).map_err(invalid)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Calls the function of a secret. Surrounding whitespace is removed, because files usually end with a line break.
fn read(what: &str, secret: &Secret) -> io::Result<String> {
    let text = secret().map_err(|error| io::Error::new(error.kind(), format!("cannot read the {what}: {error}")))?;
    let text = text.trim();
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the {what} is empty")));
    }
    Ok(text.to_owned())
}

/// Returns true if the values of this header are usually secret.
pub(super) fn is_secret(header: &HeaderName) -> bool {
    let name = header.as_str();
    name.contains("auth") || ["cookie", "key", "token", "secret"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_for_each_request_and_trimmed() {
        let number = std::sync::atomic::AtomicU64::new(0);
        let token = Credentials::bearer(move || {
            Ok(format!(" t{}\n", number.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
        });
        for expected in ["Bearer t0", "Bearer t1"] {
            let header = token.header().expect("valid");
            assert_eq!((header.to_str().expect("ASCII"), header.is_sensitive()), (expected, true));
        }
        // The example of RFC 7617.
        let basic = Credentials::basic("Aladdin", || Ok("open sesame".to_owned())).header().expect("valid");
        assert_eq!(basic.to_str().expect("ASCII"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn errors_do_not_contain_the_secret() {
        for (text, expected) in [
            ("a\u{0}b", "the token contains characters that are not allowed in a header"),
            ("\n", "the token is empty"),
        ] {
            let error = Credentials::bearer(move || Ok(text.to_owned())).header().expect_err("invalid");
            assert_eq!(error.to_string(), expected);
        }
        let error = Credentials::bearer(|| Err(io::Error::other("away"))).header().expect_err("it cannot be read");
        assert_eq!(error.to_string(), "cannot read the token: away");
    }

    #[test]
    fn secret_headers_are_recognized_by_name() {
        for (name, expected) in
            [("x-api-key", true), ("authorization", true), ("dd-token", true), ("x-scope-orgid", false)]
        {
            assert_eq!(is_secret(&HeaderName::from_static(name)), expected, "{name}");
        }
    }
}
