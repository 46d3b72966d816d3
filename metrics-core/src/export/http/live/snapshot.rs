//! Snapshots of a registry for live pages, shared by all viewers.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::super::scrape_limit::ScrapeSlots;
use crate::encode::Encoding;
use crate::encode::json::{push_member, push_string};
use crate::encode::number::push_timestamp;
use crate::lock::lock;
use crate::per_process::PerProcess;
use crate::registry::collect::context::DEFAULT_COLLECT_TIMEOUT;
use crate::registry::scrape::sources::Sources;
use crate::registry::scrape::steps::Steps;
use crate::registry::{Registry, WeakRegistry};

/// The age at which a snapshot is replaced. Viewers poll once per second.
const MAX_AGE: Duration = Duration::from_millis(900);
/// The number of bytes to encode and compress before the task yields.
const AT_ONCE: usize = 8 << 10;

/// The latest snapshot of a registry.
#[derive(Debug)]
pub(super) struct SharedSnapshot {
    /// A single slot, held while a snapshot is taken. Requests waiting for it share that snapshot.
    taking: Arc<ScrapeSlots>,
    latest: PerProcess<Latest>,
}

struct Latest {
    /// The time since which this process exposes the registry. A page that sees another time has lost its history.
    started: SystemTime,
    /// The latest snapshot, compressed, and the time at which it was taken.
    snapshot: Mutex<Option<(Instant, Bytes)>>,
}

impl Default for Latest {
    fn default() -> Self {
        Self { started: SystemTime::now(), snapshot: Mutex::default() }
    }
}

impl SharedSnapshot {
    /// Returns the snapshot that all live pages of a registry share. It is kept for as long as the registry, because a
    /// handler may create a page for each request.
    pub(super) fn of(registry: &Registry) -> Arc<Self> {
        type OfRegistries = BTreeMap<u64, (WeakRegistry, Arc<SharedSnapshot>)>;
        static OF_REGISTRIES: Mutex<OfRegistries> = Mutex::new(BTreeMap::new());
        let mut all = lock(&OF_REGISTRIES);
        if let Some((_, shared)) = all.get(&registry.id()) {
            return Arc::clone(shared);
        }
        all.retain(|_, (registry, _)| registry.is_alive());
        let shared = Arc::new(Self { taking: ScrapeSlots::new(1), latest: PerProcess::new() });
        shared.latest.get();
        all.insert(registry.id(), (registry.downgrade(), Arc::clone(&shared)));
        shared
    }

    /// Returns a compressed snapshot that is at most a second old. Returns `None` if another viewer has not taken one
    /// by the deadline, or if too many viewers are waiting for it.
    pub(super) async fn get(&self, registry: &Registry, deadline: Instant) -> Option<Bytes> {
        if let Some(snapshot) = self.latest() {
            return Some(snapshot);
        }
        let _slot = self.taking.take_until(deadline).await?;
        match self.latest() {
            Some(snapshot) => Some(snapshot),
            None => self.take(registry).await,
        }
    }

    fn latest(&self) -> Option<Bytes> {
        let latest = lock(&self.latest.get().snapshot).clone();
        latest.filter(|(at, _)| at.elapsed() < MAX_AGE).map(|(_, snapshot)| snapshot)
    }

    async fn take(&self, registry: &Registry) -> Option<Bytes> {
        let latest = self.latest.get();
        // Not the timeout of the request, because other requests share the snapshot.
        let sources = registry.gather(DEFAULT_COLLECT_TIMEOUT).await;
        let mut before = b"{\"time\":".to_vec();
        push_timestamp(&mut before, SystemTime::now());
        before.extend_from_slice(b",\"started\":");
        push_timestamp(&mut before, latest.started);
        push_problems(&mut before, registry);
        before.push(b',');
        let snapshot = encoded(&before, Encoding::json(Steps::new(sources, false)), b"}", || true).await?;
        *lock(&latest.snapshot) = Some((Instant::now(), snapshot.clone()));
        Some(snapshot)
    }
}

/// Returns a document with the rows of a table that contains the current values, compressed.
///
/// `is_wanted` is called from time to time. If it returns false, this returns `None`.
pub(super) async fn table(before: &str, sources: Sources, after: &str, is_wanted: impl Fn() -> bool) -> Option<Bytes> {
    encoded(before.as_bytes(), Encoding::table(Steps::new(sources, false)), after.as_bytes(), is_wanted).await
}

/// Compresses a document.
pub(super) fn compressed(document: &[u8]) -> Option<Bytes> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(document).ok()?;
    gzip.finish().ok().map(Bytes::from)
}

/// Encodes and compresses everything, and yields from time to time. Only the compressed bytes are kept in memory.
async fn encoded(before: &[u8], mut encoding: Encoding, after: &[u8], is_wanted: impl Fn() -> bool) -> Option<Bytes> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(before).ok()?;
    let mut goes_on = true;
    while goes_on {
        if !is_wanted() {
            return None;
        }
        goes_on = encoding.fill(AT_ONCE, &|_, _| true);
        gzip.write_all(encoding.out()).ok()?;
        encoding.out().clear();
        yield_now().await;
    }
    gzip.write_all(after).ok()?;
    gzip.finish().ok().map(Bytes::from)
}

/// Returns the bytes for a client that does not accept gzip.
pub(super) fn decompressed(bytes: &[u8]) -> Option<Bytes> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).ok()?;
    Some(plain.into())
}

/// Lets other tasks of the thread run.
async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn push_problems(out: &mut Vec<u8>, registry: &Registry) {
    out.extend_from_slice(b",\"problems\":[");
    for (at, problem) in registry.known_problems().iter().enumerate() {
        out.extend_from_slice(if at > 0 { b",{" } else { b"{" });
        push_member(out, "family", &problem.family);
        out.push(b',');
        push_member(out, "message", &problem.message);
        out.extend_from_slice(b",\"location\":");
        match problem.location {
            Some(location) => push_string(out, &format!("{}:{}", location.file(), location.line())),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
    out.push(b']');
}
