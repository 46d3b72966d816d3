//! Process and build metrics: `process_*` and `build_info`.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod other;

use std::error::Error;
use std::sync::Once;

use crate::info::Info;
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::registry::{Collect, Registry};
use crate::sample::{FamilyInfo, Labels, Number, Value, Visitor};
#[cfg(target_os = "linux")]
use linux::read;
#[cfg(not(target_os = "linux"))]
use other::read;

/// Process statistics. A field is `None` if the system does not report it.
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

/// The name, help, type and value of a family.
type ProcessFamily = (&'static str, &'static str, Kind, fn(&ProcessReadings) -> Option<f64>);

/// The families, named as in the Prometheus conventions and the Go and Python clients.
const FAMILIES: [ProcessFamily; 10] = [
    ("process_cpu_seconds_total", "User and system CPU time, in seconds.", Kind::Counter, |now| now.cpu_seconds),
    ("process_max_fds", "Maximum number of open file descriptors.", Kind::Gauge, |now| now.max_fds),
    (
        "process_network_receive_bytes_total",
        "Bytes received in the network namespace of the process.",
        Kind::Counter,
        |now| now.network_receive_bytes,
    ),
    (
        "process_network_transmit_bytes_total",
        "Bytes sent in the network namespace of the process.",
        Kind::Counter,
        |now| now.network_transmit_bytes,
    ),
    ("process_open_fds", "Number of open file descriptors.", Kind::Gauge, |now| now.open_fds),
    ("process_resident_memory_bytes", "Resident memory size, in bytes.", Kind::Gauge, |now| now.resident_memory_bytes),
    ("process_start_time_seconds", "Start time of the process, in seconds since the Unix epoch.", Kind::Gauge, |now| {
        now.start_time_seconds
    }),
    ("process_threads", "Number of threads.", Kind::Gauge, |now| now.threads),
    ("process_virtual_memory_bytes", "Virtual memory size, in bytes.", Kind::Gauge, |now| now.virtual_memory_bytes),
    ("process_virtual_memory_max_bytes", "Maximum virtual memory size, in bytes.", Kind::Gauge, |now| {
        now.virtual_memory_max_bytes
    }),
];

/// A collector that reads the statistics on each scrape.
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

/// Registers the families of [`process_metrics!`](crate::process_metrics).
///
/// The process metrics are registered once, and the build info is registered once for each calling crate.
pub fn register(module_path: &str, version: &str, revision: &str) {
    static REGISTERED: Once = Once::new();
    let (global, mut registered) = (Registry::global(), Ok(()));
    REGISTERED.call_once(|| registered = global.register_collector(Process).map(drop));
    // Not in `call_once`, because a logger is user code, which may wait for another thread that is also registering.
    if let Err(error) = registered {
        InternalError::CollectorConflict.record_cause(&"process metrics", &error);
    }
    let name = format!("{}_build_info", module_path.split("::").next().unwrap_or_default());
    Info::builder(name, "Always 1; the labels identify the build.")
        .const_label("version", version)
        .const_label("revision", revision)
        .register();
}

/// Returns the first known value, or `unknown`. Skips empty values and the placeholder that `vergen` uses for unknown
/// values.
#[must_use]
pub fn first_known<const N: usize>(variables: [Option<&'static str>; N]) -> &'static str {
    let is_known = |value: &&str| !value.is_empty() && *value != "VERGEN_IDEMPOTENT_OUTPUT";
    variables.into_iter().flatten().find(is_known).unwrap_or("unknown")
}

/// Exports process metrics (CPU, memory, files, network) and build info through the global registry.
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
/// | `process_cpu_seconds_total` | in steps of 10 ms | in steps of 1 ms |
/// | `process_open_fds`, `process_max_fds` | yes | if the system reports them |
/// | `process_resident_memory_bytes`, `process_virtual_memory_bytes` | yes | yes |
/// | `process_virtual_memory_max_bytes` | yes | no |
/// | `process_start_time_seconds` | yes | in whole seconds |
/// | `process_threads` | yes | no |
/// | `process_network_receive_bytes_total`, `process_network_transmit_bytes_total` | IPv4 and IPv6, in the network namespace | no |
/// | `<crate>_build_info` | labels `version` and `revision` | labels `version` and `revision` |
///
/// Each scrape reads the current values and omits those that cannot be read. Without `/proc` on Linux, only the build
/// info is exported. The limit of an unlimited resource is `+Inf`.
///
/// `<crate>` is the name of the crate that calls the macro, as in the names that `#[instrument]` generates. `version`
/// is the version in that crate's `Cargo.toml`. `revision` is the first of these environment variables that is set
/// during compilation: `VERGEN_GIT_SHA` (set by the `vergen` crate), `GIT_COMMIT`, `GITHUB_SHA` or `CI_COMMIT_SHA`. If
/// none of them is set, `revision` is `unknown`. To use another revision, pass it to the macro:
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

    /// Compares the readings that both implementations provide on Linux.
    #[cfg(target_os = "linux")]
    #[test]
    fn both_implementations_agree() {
        let (linux, other) = (linux::read().expect("/proc"), other::read().expect("supported"));
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
