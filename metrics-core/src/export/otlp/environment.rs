//! The environment variables of OpenTelemetry (`OTEL_*`).
//!
//! The specification requires that an invalid variable be reported and ignored, and that an empty one be ignored. The
//! variables for headers contain credentials, so messages do not contain their values.

use std::env;
use std::fmt;
use std::time::Duration;

use log::Level;
use percent_encoding::percent_decode_str;

use super::Otlp;
use super::delta::Temporality;
use crate::logging::log;

/// The endpoint of a collector on this machine.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";

/// The environment of the process, or a replacement in tests.
pub(super) struct Environment<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Otlp {
    /// Creates a target with the options that the environment defines, as the [specification of OpenTelemetry][spec]
    /// requires. The variables are read once, by this function.
    ///
    /// | variable | default |
    /// |---|---|
    /// | `OTEL_EXPORTER_OTLP_ENDPOINT` | `http://localhost:4318`; `/v1/metrics` is appended |
    /// | `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` | not set; replaces the URL above, and nothing is appended |
    /// | `OTEL_EXPORTER_OTLP_HEADERS` | none; `name=value` pairs, separated by commas and percent-encoded |
    /// | `OTEL_EXPORTER_OTLP_TIMEOUT` | `10000`, in milliseconds; 0 is ignored, because a push needs a limit |
    /// | `OTEL_EXPORTER_OTLP_COMPRESSION` | `gzip`; or `none` |
    /// | `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` | `cumulative`; or `delta` or `lowmemory` |
    ///
    /// With the feature `push-tls`, `OTEL_EXPORTER_OTLP_CERTIFICATE` is the path of a PEM file with the trusted
    /// authorities, and `_CLIENT_CERTIFICATE` and `_CLIENT_KEY` are those of the client's certificate and key.
    ///
    /// Variables for metrics, such as `OTEL_EXPORTER_OTLP_METRICS_HEADERS`, take precedence over those for all signals,
    /// such as `OTEL_EXPORTER_OTLP_HEADERS`. A variable whose value is invalid is ignored, and a warning is logged.
    /// This includes protocols other than `http/protobuf` in `OTEL_EXPORTER_OTLP_PROTOCOL`.
    /// [`Otlp::export_interval`] returns the interval between pushes.
    ///
    /// `lowmemory` is like `delta`, but counters whose value comes from a callback or a collector remain cumulative.
    ///
    /// [spec]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    ///
    /// # Example
    ///
    /// ```no_run
    /// use metrics_core::Otlp;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let pusher = Otlp::from_env().start(Otlp::export_interval())?;
    /// # drop(pusher);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_env() -> Self {
        Self::from_environment(&Environment::of_process())
    }

    /// Returns the interval between pushes from the environment variable `OTEL_METRIC_EXPORT_INTERVAL`, which is in
    /// milliseconds. The default is one minute.
    pub fn export_interval() -> Duration {
        Environment::of_process().interval()
    }

    fn from_environment(environment: &Environment<'_>) -> Self {
        let mut otlp = match environment.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") {
            Some(url) => Self::at(&url, "", environment),
            None => {
                let endpoint = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT");
                Self::at(endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT), super::PATH, environment)
            }
        };
        if let Some(variable) = environment.of_metrics("HEADERS") {
            for (name, value) in environment.pairs(&variable) {
                if otlp.target.endpoint.try_set_header(&name, &value).is_err() {
                    // The name is not logged, because it may be part of a credential.
                    ignored(&variable, format_args!("the name or the value of a header is not allowed"));
                }
            }
        }
        let timeout = environment.of_metrics("TIMEOUT").and_then(|name| environment.milliseconds(&name));
        if let Some(timeout) = timeout {
            otlp = otlp.timeout(timeout);
        }
        let compression = [("gzip", true), ("none", false)];
        if let Some(gzip) =
            environment.of_metrics("COMPRESSION").and_then(|name| environment.one_of(&name, &compression))
        {
            otlp = otlp.gzip(gzip);
        }
        let temporality = [
            ("cumulative", Temporality::Cumulative),
            ("delta", Temporality::Delta),
            ("lowmemory", Temporality::LowMemory),
        ];
        let preference = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        if let Some(temporality) = environment.one_of(preference, &temporality) {
            otlp.target.temporality = temporality;
        }
        // Another protocol usually uses another port, so pushes will probably fail.
        if let Some(name) = environment.of_metrics("PROTOCOL") {
            environment.one_of(&name, &[("http/protobuf", ())]);
        }
        #[cfg(feature = "push-tls")]
        {
            if let Some(pem) = environment.file("CERTIFICATE") {
                otlp = otlp.root_certificates(pem);
            }
            let client = ["CLIENT_CERTIFICATE", "CLIENT_KEY"].map(|option| environment.file(option));
            if let [Some(certificate), Some(key)] = client {
                otlp = otlp.client_certificate(certificate, key);
            }
        }
        otlp
    }
}

impl Environment<'_> {
    /// Returns the environment of the process.
    pub(super) fn of_process() -> Self {
        Self {
            variable: &|name| {
                let value = env::var_os(name)?.into_string();
                value.inspect_err(|_| ignored(name, format_args!("it is not valid UTF-8"))).ok()
            },
        }
    }

    /// Returns the value of a variable, unless it is empty.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Returns the pairs in a list of the form `key=value,key=value`, whose keys and values are percent-encoded.
    ///
    /// If any of them is invalid, the whole list is ignored, as the specification requires.
    pub(super) fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8().map(String::from).ok();
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=')?;
            Some((decoded(key).filter(|key| !key.is_empty())?, decoded(value)?))
        };
        let text = self.get(name).unwrap_or_default();
        let pairs: Option<Vec<_>> = text.split(',').filter(|text| !text.trim().is_empty()).map(pair).collect();
        pairs.unwrap_or_else(|| {
            ignored(name, format_args!("it is not a list of percent-encoded `key=value` pairs"));
            Vec::new()
        })
    }

    /// Returns the name of the variable that is set: the one for metrics or, without it, the one for all signals.
    fn of_metrics(&self, option: &str) -> Option<String> {
        let names = [format!("OTEL_EXPORTER_OTLP_METRICS_{option}"), format!("OTEL_EXPORTER_OTLP_{option}")];
        names.into_iter().find(|name| self.get(name).is_some())
    }

    /// Returns the content of the file whose path is the value of a variable.
    #[cfg(feature = "push-tls")]
    fn file(&self, option: &str) -> Option<Vec<u8>> {
        let name = self.of_metrics(option)?;
        let path = self.get(&name)?;
        std::fs::read(&path).inspect_err(|error| ignored(&name, format_args!("cannot read {path:?}: {error}"))).ok()
    }

    fn interval(&self) -> Duration {
        match self.milliseconds(INTERVAL) {
            Some(Duration::ZERO) => {
                ignored(INTERVAL, format_args!("it must not be 0"));
                DEFAULT_INTERVAL
            }
            interval => interval.unwrap_or(DEFAULT_INTERVAL),
        }
    }

    fn milliseconds(&self, name: &str) -> Option<Duration> {
        let text = self.get(name)?;
        let milliseconds = text.parse().ok().filter(|milliseconds| *milliseconds > 0);
        if milliseconds.is_none() {
            ignored(name, format_args!("it is not a positive number of milliseconds"));
        }
        milliseconds.map(Duration::from_millis)
    }

    /// Returns the choice whose name is the variable's value, ignoring case.
    fn one_of<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.get(name)?;
        let choice = choices.iter().find(|(choice, _)| choice.eq_ignore_ascii_case(&text));
        if choice.is_none() {
            let choices: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            ignored(name, format_args!("{text:?} is not supported; use {}", choices.join(" or ")));
        }
        choice.map(|(_, choice)| *choice)
    }
}

/// Logs that a variable is ignored.
fn ignored(name: &str, reason: fmt::Arguments<'_>) {
    log(Level::Warn, format_args!("the environment variable {name} is ignored: {reason}"));
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::registry::Registry;

    fn with<R>(variables: &[(&str, &str)], test: impl FnOnce(&Environment<'_>) -> R) -> R {
        let value = |name: &str| variables.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned());
        test(&Environment { variable: &value })
    }

    fn otlp(variables: &[(&str, &str)]) -> Otlp {
        with(variables, Otlp::from_environment)
    }

    /// Returns the first line and the headers of the request that a push sends.
    fn head(variables: &[(&str, &str)]) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let variables: Vec<(&str, String)> =
            variables.iter().map(|(name, value)| (*name, value.replace("ADDRESS", &address))).collect();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let target = otlp(&variables).registry(&Registry::new());
        let reading = thread::spawn(move || {
            let connection = BufReader::new(listener.accept().expect("a connection").0);
            let lines = connection.lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).collect()
        });
        target.push().expect_err("the connection is closed");
        reading.join().expect("no panic")
    }

    #[test]
    fn the_endpoint_for_metrics_is_used_as_it_is() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://ADDRESS/base/");
        assert_eq!(head(&[base])[0], "POST /base/v1/metrics HTTP/1.1");
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://ADDRESS/write/");
        assert_eq!(head(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://invalid./"), own])[0], "POST /write/ HTTP/1.1");
        assert_eq!(head(&[base, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", " ")])[0], "POST /base/v1/metrics HTTP/1.1");
        let default = otlp(&[]).target;
        assert!(format!("{:?}", default.endpoint).contains("\"http://localhost:4318\""), "{default:?}");
        assert_eq!(default.path, "/v1/metrics");
    }

    #[test]
    fn headers_are_decoded() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://ADDRESS");
        let all = ("OTEL_EXPORTER_OTLP_HEADERS", "x-scope-orgid=7, Authorization = Basic%20a%3Db ,,a b=c,x-y=%0A");
        let lines = head(&[endpoint, all]);
        for expected in ["x-scope-orgid: 7", "authorization: Basic a=b"] {
            assert!(lines.iter().any(|line| line == expected), "{lines:?}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("x-y") || line.starts_with("a b")), "{lines:?}");
        let lines = head(&[endpoint, all, ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-y=1")]);
        assert!(lines.iter().any(|line| line == "x-y: 1"), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("x-scope-orgid")), "{lines:?}");
    }

    #[test]
    fn credentials_are_not_sent_unencrypted_to_other_machines() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318");
        let target = otlp(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret")]);
        let error = target.start(DEFAULT_INTERVAL).expect_err("refused").to_string();
        assert!(error.starts_with("http://collector.example:4318 would receive credentials unencrypted"), "{error}");
    }

    #[test]
    fn lists_with_an_invalid_part_are_ignored() {
        for invalid in ["a", "a=1,b", "=1", "a=%FF", "a=1;b"] {
            let pairs = with(&[("LIST", invalid)], |environment| environment.pairs("LIST"));
            let expected = if invalid == "a=1;b" { vec![("a".to_owned(), "1;b".to_owned())] } else { Vec::new() };
            assert_eq!(pairs, expected, "{invalid}");
        }
    }

    #[test]
    fn timeouts_and_intervals_are_in_milliseconds() {
        let timeout = |value| otlp(&[("OTEL_EXPORTER_OTLP_TIMEOUT", value)]).options.timeout;
        assert_eq!(timeout("2500"), Duration::from_millis(2_500));
        for invalid in ["", "0", "-1", "1s", "1.5"] {
            assert_eq!(timeout(invalid), Duration::from_secs(10), "{invalid:?}");
        }
        let both = [("OTEL_EXPORTER_OTLP_TIMEOUT", "1"), ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2")];
        assert_eq!(otlp(&both).options.timeout, Duration::from_millis(2));
        for (value, expected) in [("15000", 15), ("0", 60), ("x", 60), ("", 60)] {
            let variable = |name: &str| (name == INTERVAL).then(|| value.to_owned());
            let environment = Environment { variable: &variable };
            assert_eq!(environment.interval(), Duration::from_secs(expected), "{value:?}");
        }
    }

    #[test]
    fn choices_are_recognized_in_any_case() {
        for (value, expected) in [("none", false), ("NONE", false), ("gzip", true), ("zstd", true), ("", true)] {
            assert_eq!(otlp(&[("OTEL_EXPORTER_OTLP_COMPRESSION", value)]).target.gzip, expected, "{value:?}");
        }
        for (value, expected) in [
            ("Delta", Temporality::Delta),
            ("lowMemory", Temporality::LowMemory),
            ("cumulative", Temporality::Cumulative),
            ("other", Temporality::Cumulative),
        ] {
            let variable = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", value);
            assert_eq!(otlp(&[variable]).target.temporality, expected, "{value:?}");
        }
    }

    #[cfg(feature = "push-tls")]
    #[test]
    fn certificates_come_from_files() {
        const NO_PEM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for path in ["/nowhere/ca.pem", ""] {
            otlp(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", path)]).target.check().expect("valid");
        }
        let client =
            [("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", NO_PEM), ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", NO_PEM)];
        otlp(&client[..1]).target.check().expect("a certificate without a key is ignored");
        let error = otlp(&client).target.check().expect_err("it is no certificate").to_string();
        assert_eq!(error, "the client certificate is invalid: the text does not contain a PEM certificate");
        let error = otlp(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", NO_PEM)])
            .target
            .check()
            .expect_err("it is no certificate")
            .to_string();
        assert_eq!(error, "the root certificates are invalid: the text does not contain a PEM certificate");
    }
}
