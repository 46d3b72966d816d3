//! The bridge between the global registry and the default registry of the `prometheus` crate: each exposes the other's
//! families, and no family appears twice.
//!
//! The first caller to use the global registry may be a collector that runs under the lock that registration needs. A
//! dedicated thread therefore registers the bridge, and the caller waits for it for at most 100 ms. While one of this
//! crate's scrapes gathers the default registry, the bridge reports no families.

mod to_prometheus;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use log::Level;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::Registry;
use super::collect::context::{self, DEFAULT_COLLECT_TIMEOUT, ScrapeContext};
use super::declared::{self, Attempts, UserCode};
use crate::internal::InternalError;
use crate::logging::{LoggingThread, log};

/// The maximum time that a caller waits for work that may need to lock the `prometheus` registry.
const ASIDE_TIMEOUT: Duration = Duration::from_millis(100);

/// A collector that exposes this crate's families in the default registry of the `prometheus` crate.
struct Bridge(&'static Registry);

impl Collector for Bridge {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.inner.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if context::is_gathering_default() {
            return Vec::new();
        }
        // The `prometheus` registry is locked here. Initialization and callbacks may log problems, and the logger is
        // user code that may need that lock.
        LoggingThread::OnlyOther.during(|| {
            if !declared::is_ready_for_scrape() {
                aside("metrics-core-init", || declared::initialize_for_scrape(true));
            }
            to_prometheus::own_families(self.0)
        })
    }
}

impl Collector for Registry {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.inner.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A registry that contains itself, directly or indirectly, reports its families only once.
        let outer = ScrapeContext::current();
        if outer.as_ref().is_some_and(|outer| outer.is_for(self)) {
            return Vec::new();
        }
        let timeout = outer.map_or(DEFAULT_COLLECT_TIMEOUT, |outer| outer.inner_timeout());
        // The registry that contains this one may be locked.
        LoggingThread::OnlyOther.during(|| to_prometheus::all_families(self, timeout))
    }
}

/// Registers the bridge on the first call. If no thread can be spawned, later calls try again. `user_code` determines
/// whether a later call does so now.
pub(crate) fn install(global: &'static Registry, user_code: UserCode) {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    static ATTEMPTS: Attempts = Attempts::new();
    if INSTALLED.load(Ordering::Relaxed) || !ATTEMPTS.allow(user_code) || INSTALLED.swap(true, Ordering::Relaxed) {
        return;
    }
    // The caller may be a collector that runs under the lock that registration needs.
    let is_installed = aside("metrics-core-init", move || {
        if let Err(error) = prometheus::default_registry().register(Box::new(Bridge(global))) {
            let message = "`prometheus::gather` will not include the families of metrics-core";
            log(Level::Error, format_args!("{message}: {error}"));
        }
    });
    INSTALLED.store(is_installed, Ordering::Relaxed);
}

/// Runs `f` on a dedicated thread and waits at most [`ASIDE_TIMEOUT`] for it to finish. Returns false if no thread can
/// be spawned.
fn aside(name: &str, f: impl FnOnce() + Send + 'static) -> bool {
    let (done, wait) = mpsc::channel();
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
        f();
        // Sending fails if the caller has stopped waiting.
        let _ = done.send(());
    });
    match spawned {
        Ok(_) => {
            let _ = wait.recv_timeout(ASIDE_TIMEOUT);
            true
        }
        Err(_) => {
            LoggingThread::OnlyOther.during(|| InternalError::ThreadSpawnFailed.record(&name));
            false
        }
    }
}

/// Returns the description of a registry. The description never changes, so creating families does not involve the
/// `prometheus` crate.
pub(crate) fn desc(is_global: bool) -> Desc {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = if is_global { 0 } else { LAST.fetch_add(1, Ordering::Relaxed) + 1 };
    Desc {
        fq_name: format!("metrics_core_registry_{number}"),
        help: "All families of one registry of metrics-core.".to_owned(),
        const_label_pairs: Vec::new(),
        variable_labels: Vec::new(),
        // The IDs of other collectors are hashes of names. A collision with this ID is as unlikely as one between two
        // such hashes.
        id: 0x6d65_7472_6963_735f_u64.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        dim_hash: 0,
    }
}
