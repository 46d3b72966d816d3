//! Metrics of the process and of the build: `process_*` and `build_info`.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod other;

use std::error::Error;
use std::sync::Once;

use crate::gauge::Gauge;
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::registry::{Collect, Registry};
use crate::sample::{FamilyInfo, Labels, Number, Value, Visitor};
#[cfg(target_os = "linux")]
use linux::read;
#[cfg(not(target_os = "linux"))]
use other::read;

/// What a system tells about a process; nothing where it does not tell.
#[derive(Clone, Copy, Debug, Default)]
struct ProcessReadings {
    cpu_seconds: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
    virtual_memory_bytes: Option<f64>,
    virtual_memory_max_bytes: Option<f64>,
    resident_memory_bytes: Option<f64>,
    start_time_seconds: Option<f64>,
    threads: Option<f64>,
    network_receive_bytes: Option<f64>,
    network_transmit_bytes: Option<f64>,
}

/// One family: its name, help and type, and what it shows.
type ProcessFamily = (&'static str, &'static str, Kind, fn(&ProcessReadings) -> Option<f64>);

/// The names are those of the conventions of Prometheus, and of its clients for Go and Python.
const FAMILIES: [ProcessFamily; 10] = [
    ("process_cpu_seconds_total", "User and system CPU time, in seconds.", Kind::Counter, |now| now.cpu_seconds),
    ("process_max_fds", "Most file descriptors that may be open.", Kind::Gauge, |now| now.max_fds),
    (
        "process_network_receive_bytes_total",
        "Bytes received by the network namespace, which a container has for itself.",
        Kind::Counter,
        |now| now.network_receive_bytes,
    ),
    (
        "process_network_transmit_bytes_total",
        "Bytes sent by the network namespace, which a container has for itself.",
        Kind::Counter,
        |now| now.network_transmit_bytes,
    ),
    ("process_open_fds", "Open file descriptors.", Kind::Gauge, |now| now.open_fds),
    ("process_resident_memory_bytes", "Memory that is in RAM, in bytes.", Kind::Gauge, |now| now.resident_memory_bytes),
    ("process_start_time_seconds", "When the process began, in seconds since 1970.", Kind::Gauge, |now| {
        now.start_time_seconds
    }),
    ("process_threads", "Threads.", Kind::Gauge, |now| now.threads),
    ("process_virtual_memory_bytes", "Address space in use, in bytes.", Kind::Gauge, |now| now.virtual_memory_bytes),
    ("process_virtual_memory_max_bytes", "Most address space that may be in use, in bytes.", Kind::Gauge, |now| {
        now.virtual_memory_max_bytes
    }),
];

/// Reads it all in each scrape.
struct Process;

impl Collect for Process {
    fn names(&self) -> Vec<String> {
        FAMILIES.iter().map(|(name, ..)| (*name).to_owned()).collect()
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        let now = read()?;
        for (name, help, kind, reading) in FAMILIES {
            let Some(reading) = reading(&now) else { continue };
            visitor.family(&FamilyInfo::new(name, help, kind));
            let value = match kind {
                Kind::Counter => Value::Counter(Number::Float(reading)),
                _ => Value::Gauge(reading),
            };
            visitor.series(Labels::default(), &value);
        }
        Ok(())
    }
}

/// What [`process_metrics!`](crate::process_metrics) does: once for the process, and once for each crate that has it.
pub fn register(module_path: &str, version: &str, revision: &str) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        if let Err(error) = Registry::global().register_collector(Process) {
            InternalError::CollectorConflict.record_cause(&"process metrics", &error);
        }
    });
    let name = format!("{}_build_info", module_path.split("::").next().unwrap_or_default());
    Gauge::builder(name, "Always 1; its labels tell what was built.")
        .const_label("version", version)
        .const_label("revision", revision)
        .register()
        .set(1);
}

/// The first of these that is set to something; `vergen` says that it does not know by a word of its own.
#[must_use]
pub fn first_known<const N: usize>(variables: [Option<&'static str>; N]) -> &'static str {
    let is_known = |value: &&str| !value.is_empty() && *value != "VERGEN_IDEMPOTENT_OUTPUT";
    variables.into_iter().flatten().find(is_known).unwrap_or("unknown")
}

/// Exports what the process itself costs, and what was built, through the global registry.
///
/// ```
/// # #[cfg(feature = "process")] {
/// // Once, early in `main`.
/// metrics_core::process_metrics!();
/// # let text = metrics_core::Registry::global().to_text();
/// # assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
/// # }
/// ```
///
/// | family | Linux | other systems |
/// |---|---|---|
/// | `process_cpu_seconds_total` | in hundredths | in thousandths |
/// | `process_open_fds`, `process_max_fds` | yes | where they tell |
/// | `process_resident_memory_bytes`, `process_virtual_memory_bytes` | yes | yes |
/// | `process_virtual_memory_max_bytes` | yes | no |
/// | `process_start_time_seconds` | yes | in whole seconds |
/// | `process_threads` | yes | no |
/// | `process_network_receive_bytes_total`, `process_network_transmit_bytes_total` | IPv4 and IPv6, of the network namespace | no |
/// | `<crate>_build_info` | labels `version` and `revision` | the same |
///
/// A limit that is none is `+Inf`. They are read in each scrape, and what cannot be read is left out.
///
/// `<crate>` is the crate in which this stands, as in the names that `#[instrument]` makes; `version` is the one of its
/// `Cargo.toml`. `revision` is what a build script or a CI tells the compiler by the first of these variables that is set:
/// `VERGEN_GIT_SHA` (as the crate `vergen` has it), `GIT_COMMIT`, `GITHUB_SHA`, `CI_COMMIT_SHA`; else it is `unknown`. Any
/// other can be given:
///
/// ```
/// # #[cfg(feature = "process")] {
/// metrics_core::process_metrics!(revision = option_env!("BUILD_REVISION").unwrap_or("unknown"));
/// # }
/// ```
#[macro_export]
macro_rules! process_metrics {
    () => {
        $crate::process_metrics!(
            revision = $crate::__private::first_known([
                ::core::option_env!("VERGEN_GIT_SHA"),
                ::core::option_env!("GIT_COMMIT"),
                ::core::option_env!("GITHUB_SHA"),
                ::core::option_env!("CI_COMMIT_SHA"),
            ])
        )
    };
    (revision = $revision:expr $(,)?) => {
        $crate::__private::process_metrics(
            ::core::module_path!(),
            $crate::__private::first_known([::core::option_env!("CARGO_PKG_VERSION")]),
            ::core::convert::AsRef::<str>::as_ref(&$revision),
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux tells, and what the way of other systems reads here, are the same where both have it.
    #[cfg(target_os = "linux")]
    #[test]
    fn both_ways_of_reading_agree() {
        let (linux, other) = (linux::read().expect("Linux tells"), other::read().expect("it is supported"));
        let pairs = [
            ("cpu", linux.cpu_seconds, other.cpu_seconds, 0.1),
            ("start", linux.start_time_seconds, other.start_time_seconds, 1.5),
            ("fds", linux.open_fds, other.open_fds, 8.0),
            ("max fds", linux.max_fds, other.max_fds, 0.0),
            ("resident", linux.resident_memory_bytes, other.resident_memory_bytes, 4e6),
            ("virtual", linux.virtual_memory_bytes, other.virtual_memory_bytes, 2e8),
        ];
        for (what, linux, other, tolerance) in pairs {
            let (linux, other) = (linux.expect(what), other.expect(what));
            assert!(linux > 0.0 || what == "cpu", "{what}: {linux}");
            assert!((linux - other).abs() <= tolerance, "{what}: {linux} and {other}");
        }
    }
}
