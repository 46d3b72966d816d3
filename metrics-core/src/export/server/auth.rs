//! Scraper credentials, compared in constant time.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use super::HttpServerBuilder;
use super::error::{InvalidCredentials, ServeError};
use super::serve::Admission;

impl HttpServerBuilder {
    /// Requires this token in each request (`Authorization: Bearer ..`); other requests get status 401.
    ///
    /// Surrounding whitespace is removed. If the token is empty, [`HttpServerBuilder::start`] returns an error. If this
    /// method and [`HttpServerBuilder::basic_auth`] are both called, the last call takes effect. Without TLS, the token
    /// is sent unencrypted.
    pub fn bearer_token(mut self, token: &str) -> Self {
        self.admission = Some(Arc::new(Credentials::bearer(token)));
        self
    }

    /// Requires this user name and password in each request (`Authorization: Basic ..`); other requests get status 401.
    ///
    /// If either is empty or the user name contains a colon, [`HttpServerBuilder::start`] returns an error. If this
    /// method and [`HttpServerBuilder::bearer_token`] are both called, the last call takes effect. Without TLS, the
    /// password is sent unencrypted.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.admission = Some(Arc::new(Credentials::basic(user, password)));
        self
    }
}

/// The expected `Authorization` header.
struct Credentials {
    scheme: &'static str,
    secret: Vec<u8>,
    /// The reason why the credentials are invalid, or `None` if they are valid.
    invalid: Option<InvalidCredentials>,
}

impl Credentials {
    fn bearer(token: &str) -> Self {
        let token = token.trim();
        let invalid = token.is_empty().then_some(InvalidCredentials::EmptyToken);
        Self { scheme: "Bearer", secret: token.as_bytes().to_vec(), invalid }
    }

    fn basic(user: &str, password: &str) -> Self {
        let secret = BASE64_STANDARD.encode(format!("{user}:{password}")).into_bytes();
        let invalid = [
            (user.is_empty(), InvalidCredentials::EmptyUser),
            (user.contains(':'), InvalidCredentials::UserWithColon),
            (password.is_empty(), InvalidCredentials::EmptyPassword),
        ];
        let invalid = invalid.into_iter().find_map(|(is_so, invalid)| is_so.then_some(invalid));
        Self { scheme: "Basic", secret, invalid }
    }
}

impl Admission for Credentials {
    fn check(&self) -> Result<(), ServeError> {
        self.invalid.map_or(Ok(()), |invalid| Err(ServeError::Credentials(invalid)))
    }

    fn challenge(&self) -> &'static str {
        if self.scheme == "Basic" { "Basic realm=\"metrics\", charset=\"UTF-8\"" } else { "Bearer realm=\"metrics\"" }
    }

    /// Compares the secret in time that depends only on the lengths of the header and the credentials.
    fn allows(&self, authorization: Option<&[u8]>) -> bool {
        let Some((scheme, given)) = authorization.and_then(|value| value.split_at_checked(self.scheme.len())) else {
            return false;
        };
        let given = given.trim_ascii();
        scheme.eq_ignore_ascii_case(self.scheme.as_bytes()) && given.ct_eq(&self.secret).into()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_credentials_pass() {
        let bearer = Credentials::bearer("s3cret");
        assert!(bearer.allows(Some(b"Bearer s3cret")) && bearer.allows(Some(b"bearer  s3cret ")));
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Bearer S3cret", "Basic s3cret", "s3cret"]
        {
            assert!(!bearer.allows(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!bearer.allows(None));
        let basic = Credentials::basic("Aladdin", "open sesame");
        assert!(basic.allows(Some(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")));
        assert!(!basic.allows(Some(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=")) && !basic.allows(Some(b"\xff\xff")));
        assert_eq!(format!("{basic:?}"), "Credentials { scheme: \"Basic\", .. }");
    }
}
