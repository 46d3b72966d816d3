//! The URL of a server, and its form in messages.

use std::fmt;
use std::io;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use ureq::http::Uri;
use ureq::http::uri::Scheme;

use super::credentials::Credentials;

/// An absolute URL without a user name and password. `Display` omits the query.
#[derive(Clone)]
pub(super) struct Url {
    uri: Uri,
}

impl Url {
    /// Parses a URL. Returns the user name and the password separately.
    ///
    /// The error does not contain the URL, because its credentials cannot be located.
    pub(super) fn parse(text: &str) -> Result<(Self, Option<Credentials>), String> {
        let text = text.trim();
        let invalid = || "the URL is invalid; write a URL such as https://metrics.example:9091".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let path = rest.split('#').next().unwrap_or_default();
        let uri: Uri = format!("{scheme}://{host}{path}").parse().map_err(|_| invalid())?;
        let is_http = uri.scheme().is_some_and(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
        if !is_http || uri.host().is_none_or(str::is_empty) {
            return Err(invalid());
        }
        if hides_host(rest) {
            return Err(
                "the URL contains `@` after its host; percent-encode it, also in a user name or password".to_owned()
            );
        }
        let credentials = user.map(|user| {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let password = decode(password);
            Credentials::basic(&decode(user), move || Ok(password.clone()))
        });
        Ok((Self { uri }, credentials))
    }

    /// Returns the URL with `path` appended to its path. If `path` is empty, the URL is unchanged.
    pub(super) fn with_path(&self, path: &str) -> io::Result<Uri> {
        if path.is_empty() {
            return Ok(self.uri.clone());
        }
        let query = self.uri.query().map_or_else(String::new, |query| format!("?{query}"));
        let (origin, own) = (self.origin(), self.path());
        format!("{origin}{own}{path}{query}").parse().map_err(|_| io::Error::other("the URL is too long"))
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Returns true if requests do not leave this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address: IpAddr| address.is_loopback())
    }

    pub(super) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    fn origin(&self) -> String {
        format!("{}://{}", self.uri.scheme_str().unwrap_or_default(), self.authority())
    }

    fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    fn path(&self) -> &str {
        self.uri.path().trim_end_matches('/')
    }
}

/// Returns true if the text after the apparent host may contain the actual one, because an unescaped `/`, `?` or `#` in
/// the user name or password ends the host. A query after a path may contain `@`.
fn hides_host(text: &str) -> bool {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    path.contains('@') || fragment.contains('@') || path.is_empty() && query.contains('@')
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Url, Option<Credentials>) {
        Url::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn messages_omit_credentials_and_the_query() {
        for text in [
            "http://user:p%40ss@example:9091/base/?token=secret#fragment",
            "http://user:p@ss@example:9091/base?token=secret",
            " http://example:9091/base/ ",
        ] {
            assert_eq!(parsed(text).0.to_string(), "http://example:9091/base", "{text}");
        }
        let secret = parsed("https://a:p%40ss@example").1.expect("credentials").read().expect("valid").0;
        // The base64 encoding of `a:p@ss`.
        assert_eq!(secret.to_str().expect("ASCII"), "Basic YTpwQHNz");
        for unescaped in ["AbC/dEf=", "AbC:1?dEf", "AbC:1#dEf", "AbC:1#/dEf?", "a:b@AbC?dEf", "a:b@AbC/dEf"] {
            let error = Url::parse(&format!("https://{unescaped}@example/")).map(drop).expect_err(unescaped);
            let expected = "the URL contains `@` after its host; percent-encode it, also in a user name or password";
            assert_eq!(error, expected, "{unescaped}");
        }
        assert_eq!(parsed("https://example/write?user=a@b").0.to_string(), "https://example/write");
        for invalid in
            ["", "secret@example", "example:9091", "ftp://secret@example", "http://", "http://secret@/", "http://a b"]
        {
            let error = Url::parse(invalid).map(drop).expect_err(invalid);
            assert_eq!(error, "the URL is invalid; write a URL such as https://metrics.example:9091");
        }
    }

    #[test]
    fn paths_are_appended_before_the_query() {
        for (url, expected) in [
            ("http://example", "http://example/metrics/job/a"),
            ("http://example/base/?a=b", "http://example/base/metrics/job/a?a=b"),
            ("https://[::1]:9091/", "https://[::1]:9091/metrics/job/a"),
        ] {
            assert_eq!(parsed(url).0.with_path("/metrics/job/a").expect("valid").to_string(), expected);
        }
        for url in ["http://example/write?x=1", "http://example/write/", "http://example/"] {
            assert_eq!(parsed(url).0.with_path("").expect("valid").to_string(), url);
        }
    }

    #[test]
    fn loopback_addresses_are_recognized() {
        for (url, expected) in [
            ("http://localhost", true),
            ("http://LOCALHOST:1", true),
            ("http://127.9.9.9:1/", true),
            ("http://[::1]:1/", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://127.0.0.1.example", false),
        ] {
            assert_eq!(parsed(url).0.is_loopback(), expected, "{url}");
        }
    }
}
