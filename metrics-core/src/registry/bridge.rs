//! The two registries: the `prometheus` crate's default one shows our families, and our global one shows its own.

mod to_prometheus;

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::collect::DEFAULT_PATIENCE;
use super::{Registry, declared};
use crate::internal::{InternalError, guarded};

/// The longest that anything waits for the `prometheus` registry's lock.
const PATIENCE: Duration = Duration::from_millis(100);

thread_local! {
    /// Whether this thread is gathering the default registry for a scrape of ours.
    static GATHERING: Cell<bool> = const { Cell::new(false) };
    /// What this thread is collecting for.
    static COLLECTING: RefCell<Option<Collecting>> = const { RefCell::new(None) };
}

/// Our families in the default registry of the `prometheus` crate.
struct Bridge(&'static Registry);

impl Collector for Bridge {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.inner.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if GATHERING.get() {
            return Vec::new();
        }
        // Their registry is locked here, and what is brought up may register with it.
        if !declared::all_claimed() {
            aside("metrics-core-claim", || declared::claim_all(true));
        }
        to_prometheus::own_families(self.0)
    }
}

impl Collector for Registry {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.inner.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A registry in itself, by whatever way, shows its families once.
        let outer = COLLECTING.with_borrow(Clone::clone);
        if outer.as_ref().is_some_and(|outer| outer.registries.contains(&self.inner.desc.id)) {
            return Vec::new();
        }
        to_prometheus::all_families(self, outer.map_or(DEFAULT_PATIENCE, |outer| outer.inner_patience()))
    }
}

/// What is being collected for.
#[derive(Clone)]
pub(crate) struct Collecting {
    /// Registries, one inside of the other, by the ids of their descriptions.
    registries: Vec<u64>,
    /// Registries whose callbacks are being asked.
    asked: Vec<u64>,
    /// When the scrape of the innermost one began to wait.
    since: Instant,
    /// How long it waits in all.
    patience: Duration,
}

impl Collecting {
    /// A scrape of `registry`, inside of what this thread is collecting for.
    pub(crate) fn also_for(registry: &Registry, patience: Duration) -> Self {
        let outer = COLLECTING.with_borrow(Clone::clone);
        let (mut registries, asked) = outer.map_or_else(Default::default, |outer| (outer.registries, outer.asked));
        registries.push(registry.inner.desc.id);
        Self { registries, asked, since: Instant::now(), patience }
    }

    /// A scrape of `registry` that asks its callbacks; none where one of them makes it.
    pub(crate) fn callbacks_of(registry: &Registry, patience: Duration) -> Option<Self> {
        let asked = COLLECTING
            .with_borrow(|outer| outer.as_ref().is_some_and(|outer| outer.asked.contains(&registry.inner.desc.id)));
        if asked {
            return None;
        }
        let mut collecting = Self::also_for(registry, patience);
        collecting.asked.push(registry.inner.desc.id);
        Some(collecting)
    }

    /// Whether it is for a registry that is in another one.
    pub(crate) fn is_inner(&self) -> bool {
        self.registries.len() > 1
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// How long the scrape still waits.
    pub(crate) fn time_left(&self) -> Duration {
        self.patience.saturating_sub(self.since.elapsed())
    }

    /// How long a registry inside may wait, so that what it has is there in time for this scrape.
    fn inner_patience(&self) -> Duration {
        let left = self.time_left();
        left.saturating_sub(left / 10)
    }

    /// Runs `f` as a part of that collecting.
    pub(crate) fn during<R>(self, f: impl FnOnce() -> R) -> R {
        struct Reset(Option<Collecting>);
        impl Drop for Reset {
            fn drop(&mut self) {
                COLLECTING.set(self.0.take());
            }
        }
        let _reset = Reset(COLLECTING.replace(Some(self)));
        f()
    }
}

/// Registers the bridge, once.
pub(crate) fn install(global: &'static Registry) {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.load(Ordering::Relaxed) || INSTALLED.swap(true, Ordering::Relaxed) {
        return;
    }
    // The first touch may come from a collector that is being gathered, under the lock that registering wants.
    aside("metrics-core-init", move || {
        if let Err(error) = prometheus::default_registry().register(Box::new(Bridge(global))) {
            guarded(|| log::error!("`prometheus::gather` will not show the families of metrics-core: {error}"));
        }
    });
}

/// What the default registry shows without us.
pub(crate) fn gather_default() -> Vec<MetricFamily> {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            GATHERING.set(false);
        }
    }
    GATHERING.set(true);
    let _reset = Reset;
    prometheus::gather()
}

/// Runs `f` on a thread of its own and waits for it, but not for ever.
fn aside(name: &str, f: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
        f();
        // Nobody listens any more if it took too long.
        let _ = done.send(());
    });
    match spawned {
        Ok(_) => {
            let _ = wait.recv_timeout(PATIENCE);
        }
        Err(_) => InternalError::NoThread.record(&name),
    }
}

/// One constant description for each registry, so that creating families never touches the `prometheus` crate.
pub(crate) fn desc(is_global: bool) -> Desc {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = if is_global { 0 } else { LAST.fetch_add(1, Ordering::Relaxed) + 1 };
    Desc {
        fq_name: format!("metrics_core_registry_{number}"),
        help: "All families of one registry of metrics-core.".to_owned(),
        const_label_pairs: Vec::new(),
        variable_labels: Vec::new(),
        // Far from the hashes of names that the ids of other collectors are, by chance as they are by each other.
        id: 0x6d65_7472_6963_735f_u64.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        dim_hash: 0,
    }
}
