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

    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Self::Basic(user, _) => Some(user),
            Self::Bearer(_) => None,
        }
    }

    /// Returns the value of the `Authorization` header, and the password or token.
    pub(super) fn read(&self) -> io::Result<(HeaderValue, String)> {
        let (what, value, secret) = match self {
            Self::Basic(user, password) => {
                let password = read("password", password)?;
                let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
                ("password", value, password)
            }
            Self::Bearer(token) => {
                let token = read("token", token)?;
                if token.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the token is empty"));
                }
                ("token", format!("Bearer {token}"), token)
            }
        };
        let invalid = || {
            let message = format!("the {what} contains characters that are not allowed in a header");
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        // Other characters than ASCII would be valid in a header, but servers disagree on their encoding.
        let value = Some(value).filter(|value| value.is_ascii()).and_then(|value| HeaderValue::try_from(value).ok());
        Ok((value.ok_or_else(invalid)?, secret))
    }
}

/// Calls the function of a secret. Surrounding whitespace is removed, because files usually end with a line break.
fn read(what: &str, secret: &Secret) -> io::Result<String> {
    let text = secret().map_err(|error| io::Error::new(error.kind(), format!("cannot read the {what}: {error}")))?;
    Ok(text.trim().to_owned())
}

/// Returns true if the values of this header are usually secret.
pub(super) fn is_secret(header: &HeaderName) -> bool {
    let name = header.as_str();
    let words = ["auth", "cookie", "credential", "dsn", "key", "pass", "secret", "sign", "team", "token"];
    words.iter().any(|word| name.contains(word))
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
            let (header, secret) = token.read().expect("valid");
            assert_eq!(header.to_str().expect("ASCII"), expected);
            assert_eq!(expected.strip_prefix("Bearer "), Some(secret.as_str()));
        }
        // The example of RFC 7617.
        let basic = Credentials::basic("Aladdin", || Ok("open sesame".to_owned())).read().expect("valid").0;
        assert_eq!(basic.to_str().expect("ASCII"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn errors_do_not_contain_the_secret() {
        for (text, expected) in [
            ("a\u{0}b", "the token contains characters that are not allowed in a header"),
            ("\n", "the token is empty"),
        ] {
            let error = Credentials::bearer(move || Ok(text.to_owned())).read().expect_err("invalid");
            assert_eq!(error.to_string(), expected);
        }
        let error = Credentials::bearer(|| Err(io::Error::other("away"))).read().expect_err("it cannot be read");
        assert_eq!(error.to_string(), "cannot read the token: away");
    }

    #[test]
    fn secret_headers_are_recognized_by_name() {
        for (name, expected) in
            [("x-api-key", true), ("authorization", true), ("x-honeycomb-team", true), ("x-scope-orgid", false)]
        {
            assert_eq!(is_secret(&HeaderName::from_static(name)), expected, "{name}");
        }
    }
}
