//! The response to a scrape, independent of any framework's types.
//!
//! The body is streamed: each poll encodes the next 32 KiB. No thread blocks on a client, each scrape holds one buffer,
//! and the task yields after 300 microseconds of encoding and compressing. A response of at most 64 KiB is fully
//! encoded before it is sent and has a `Content-Length`.

use std::future::poll_fn;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use log::Level;

use super::request::{Method, ScrapeRequest};
use super::scrape_limit::{Progress, ScrapeSlots, Slot};
use super::self_metrics;
use crate::encode::Encoding;
use crate::gauge::InFlight;
use crate::logging::log;
use crate::registry::Registry;
use crate::registry::declared::UserCode;
use crate::registry::scrape::steps::Steps;

/// The default limit on concurrent responses.
const MAX_SCRAPES: usize = 32;
/// The number of bytes to encode per poll: large enough to limit the number of writes, but small enough to share the
/// thread.
const CHUNK: usize = 32 << 10;
/// The time spent on a response before its body yields. Because hyper polls a body twice before it returns to the
/// runtime, other tasks wait twice as long.
const TURN: Duration = Duration::from_micros(150);
/// The maximum size, in bytes, of a response that is fully encoded before it is sent and has a `Content-Length`.
const SMALL: usize = 2 * CHUNK;

/// For 100,000 series, level 2 produces a third less output than level 1 and takes 50% longer. Higher levels reduce the
/// size only slightly.
const GZIP_LEVEL: u32 = 2;

/// Exposes a registry over HTTP. This is the handler for `/metrics`.
///
/// It responds to GET and HEAD in the format that the request prefers (text 0.0.4 by default), and compresses the
/// response if the request accepts gzip. The query parameter `name[]` selects families. The response is encoded while
/// it is sent, so a large response needs no extra memory. Concurrent requests share the results of collectors. At most
/// 32 responses are sent concurrently (see [`Exposition::max_scrapes`]). Further requests wait and get status 503 if
/// they time out.
///
/// Clones share the registry and the limit.
#[derive(Clone, Debug)]
pub struct Exposition {
    registry: Registry,
    slots: Arc<ScrapeSlots>,
}

impl Exposition {
    /// Exposes the global registry and initializes it, as [`init`](crate::init) does.
    ///
    /// Initialization evaluates the lists and families that are passed to `#[instrument]`. Do not call this function
    /// from an initializer that these expressions use, or while holding a lock that they acquire.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Registry::global())
    }

    /// Exposes a registry.
    #[must_use]
    pub fn of(registry: &Registry) -> Self {
        registry.initialize(UserCode::Now);
        self_metrics::init();
        Self { slots: ScrapeSlots::of(registry.id(), MAX_SCRAPES), registry: registry.clone() }
    }

    /// Limits the number of concurrent responses. The minimum is 1. The default limit is 32, and all expositions of the
    /// registry share it.
    ///
    /// At the limit, a request waits for a slot. It gets status 503 if the time limit of the scrape expires first (see
    /// [`guide::exposing`](crate::guide::exposing#what-a-scraper-gets)). If a client does not read any of its response
    /// for seven seconds, or if the response takes longer than a minute, its slot goes to a waiting request and the
    /// response is cut off. Web frameworks do not report the progress of their clients, so a response loses its slot if
    /// its body has not been polled for ten seconds. At most 64 requests wait for a slot, and at most 1,000 wait for
    /// collectors or a slot.
    #[must_use]
    pub fn max_scrapes(self, most: usize) -> Self {
        Self { slots: ScrapeSlots::new(most.max(1)), ..self }
    }

    /// The slots for concurrent responses.
    pub(super) fn slots(&self) -> &Arc<ScrapeSlots> {
        &self.slots
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Responds to a request.
    pub(crate) async fn respond_to(self, request: ScrapeRequest) -> ScrapeResponse {
        if request.method == Method::Other {
            return ScrapeResponse::not_allowed();
        }
        let (format, gzip) = (request.format(), request.gzip());
        let mut headers = vec![("content-type", format.content_type()), ("vary", "accept, accept-encoding")];
        headers.extend(gzip.then_some(("content-encoding", "gzip")));
        if request.method == Method::Head {
            self_metrics::answered(200, Some(format));
            return ScrapeResponse { status: 200, headers, body: Body::Head };
        }
        let in_flight = self_metrics::in_flight();
        let Some(waiting) = self.slots.wait() else { return ScrapeResponse::busy() };
        let begin = Instant::now();
        let sources = self.registry.gather(request.timeout()).await;
        // The deadline covers both the collectors and the wait for a slot.
        let Some(slot) = self.slots.take_until(begin + request.timeout()).await else { return ScrapeResponse::busy() };
        drop(waiting);
        self_metrics::answered(200, Some(format));
        let encoding = Encoding::new(Steps::new(sources, false), format);
        let gzip = gzip.then(|| GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)));
        let mut stream = ExpositionStream {
            request,
            encoding: Some(encoding),
            gzip,
            encoded: 0,
            largest: 0,
            turn: Duration::ZERO,
            slot,
            _in_flight: in_flight,
        };
        let mut first = Vec::new();
        if let Err(error) = poll_fn(|cx| stream.poll_first(&mut first, cx)).await {
            return ScrapeResponse::failed(&error);
        }
        let body = if stream.has_ended() {
            Body::Whole(first.into())
        } else {
            Body::Stream { first: first.into(), stream: Box::new(stream) }
        };
        ScrapeResponse { status: 200, headers, body }
    }
}

impl Default for Exposition {
    fn default() -> Self {
        Self::new()
    }
}

/// A response, independent of any framework's types.
#[derive(Debug)]
pub(crate) struct ScrapeResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Body,
}

impl ScrapeResponse {
    /// Creates a plain-text response that contains no metrics.
    pub(crate) fn text(status: u16, text: &'static str) -> Self {
        self_metrics::answered(status, None);
        let headers = vec![("content-type", "text/plain; charset=utf-8")];
        Self { status, headers, body: Body::Whole(Bytes::from_static(text.as_bytes())) }
    }

    pub(super) fn not_allowed() -> Self {
        let mut response = Self::text(405, "Use GET or HEAD.\n");
        response.headers.push(("allow", "GET, HEAD"));
        response
    }

    pub(super) fn busy() -> Self {
        let mut response = Self::text(503, "Too many concurrent scrapes.\n");
        response.headers.push(("retry-after", "1"));
        response
    }

    fn failed(error: &io::Error) -> Self {
        log(Level::Error, format_args!("a scrape failed: {error}"));
        Self::text(500, "The scrape failed.\n")
    }
}

/// The body of a response.
#[derive(Debug, Default)]
pub(crate) enum Body {
    /// The empty body of a response to HEAD.
    #[default]
    Head,
    Whole(Bytes),
    /// A whole response that counts toward the limit on concurrent responses.
    Limited {
        bytes: Bytes,
        slot: Slot,
    },
    Stream {
        first: Bytes,
        stream: Box<ExpositionStream>,
    },
}

impl Body {
    /// Returns the next bytes, or `None` at the end.
    ///
    /// Yields regularly because a fast client would otherwise monopolize the thread.
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self {
            Self::Head => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(mem::take(bytes)).filter(|bytes| !bytes.is_empty()).map(Ok)),
            // Sent in parts, because a server drops the body, and with it the slot, when it has the last part.
            Self::Limited { bytes, .. } if bytes.is_empty() => Poll::Ready(None),
            Self::Limited { bytes, slot } => {
                let part = slot.touch().map(|()| bytes.split_to(bytes.len().min(CHUNK)));
                Poll::Ready(Some(part.map_err(|_| too_slow())))
            }
            Self::Stream { first, stream } if first.is_empty() => stream.poll_next(cx),
            Self::Stream { first, .. } => Poll::Ready(Some(Ok(mem::take(first)))),
        }
    }

    /// Returns a handle that records the client's progress, if the response holds a slot.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server sees the connection"))]
    pub(crate) fn progress(&self) -> Option<Progress> {
        match self {
            Self::Stream { stream, .. } => Some(stream.slot.progress()),
            Self::Limited { slot, .. } => Some(slot.progress()),
            Self::Head | Self::Whole(_) => None,
        }
    }

    /// Returns true if there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Head) || self.len() == Some(0)
    }

    /// Returns the length in bytes if it is known.
    ///
    /// The length is unknown for HEAD, because `Content-Length` must be that of the GET response.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) | Self::Limited { bytes, .. } => Some(bytes.len() as u64),
            Self::Head | Self::Stream { .. } => None,
        }
    }
}

/// The error that ends a response whose slot was handed to another request.
fn too_slow() -> io::Error {
    io::Error::other("the client reads too slowly")
}

/// A response that is encoded while it is sent.
pub(crate) struct ExpositionStream {
    request: ScrapeRequest,
    /// `None` once everything has been encoded.
    encoding: Option<Encoding>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// The number of bytes encoded so far, before compression.
    encoded: usize,
    /// The largest number of bytes that one turn has produced so far.
    largest: usize,
    /// The time spent since the task last yielded.
    turn: Duration,
    slot: Slot,
    _in_flight: InFlight,
}

impl ExpositionStream {
    fn has_ended(&self) -> bool {
        self.encoding.is_none()
    }

    /// Appends the first bytes of the response to `first`, or the whole response if it is small.
    fn poll_first(&mut self, first: &mut Vec<u8>, cx: &Context<'_>) -> Poll<io::Result<()>> {
        while !self.has_ended() && self.encoded < SMALL {
            ready!(self.poll_turn(cx));
            let bytes = self.produce()?;
            first.try_reserve(bytes.len())?;
            first.extend_from_slice(&bytes);
        }
        Poll::Ready(Ok(()))
    }

    /// Returns the next bytes, or `None` at the end.
    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        while !self.has_ended() {
            ready!(self.poll_turn(cx));
            match self.produce() {
                Ok(bytes) if bytes.is_empty() => {}
                produced => return Poll::Ready(Some(produced)),
            }
        }
        Poll::Ready(None)
    }

    /// Returns `Pending` once if the current turn has used up its time, so that other tasks on the thread can run.
    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.turn < TURN {
            return Poll::Ready(());
        }
        self.turn = Duration::ZERO;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Encodes the next bytes and returns those that are ready to send. The compressor may hold back some bytes.
    fn produce(&mut self) -> io::Result<Bytes> {
        let begin = Instant::now();
        let produced = self.encode_and_compress();
        self.turn += begin.elapsed();
        produced
    }

    fn encode_and_compress(&mut self) -> io::Result<Bytes> {
        let Some(encoding) = &mut self.encoding else { return Ok(Bytes::new()) };
        self.slot.touch().map_err(|_| too_slow())?;
        let request = &self.request;
        // Encoding ends after the step that exceeds `CHUNK`, which usually adds less than a quarter.
        encoding.out().try_reserve(self.largest.max(CHUNK + CHUNK / 4))?;
        let goes_on = encoding.fill(CHUNK, &|name, kind| request.wants(name, kind));
        let out = mem::take(encoding.out());
        self.encoded += out.len();
        self.largest = self.largest.max(out.len());
        if !goes_on {
            self.encoding = None;
        }
        let Some(gzip) = &mut self.gzip else { return Ok(out.into()) };
        gzip.write_all(&out)?;
        if !goes_on {
            gzip.try_finish()?;
        }
        Ok(mem::take(gzip.get_mut()).into())
    }
}

impl std::fmt::Debug for ExpositionStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExpositionStream").field("has_ended", &self.has_ended()).finish_non_exhaustive()
    }
}
