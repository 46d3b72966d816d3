//! The response to a scrape, independent of any framework's types.
//!
//! The body is streamed: each poll encodes the next 32 KiB. No thread blocks on a client, each scrape holds one buffer,
//! and after 300 microseconds of encoding and compressing, the other tasks of the thread get their turn. A response of at
//! most 64 KiB is encoded at once and has a `Content-Length`.

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

/// Scrapes that are answered at once, if the user does not say.
const MAX_SCRAPES: usize = 32;
/// What is encoded at once, before it is sent: enough for few writes, little enough for the thread that others share.
const CHUNK: usize = 32 << 10;
/// How long a response is encoded before other tasks of the thread run. hyper polls a body twice before it returns to the
/// runtime, so this is half of what other tasks wait.
const TURN: Duration = Duration::from_micros(150);
/// A response up to this size is made at once, and says how long it is.
const SMALL: usize = 2 * CHUNK;

/// Of 100k series it makes a third less than level 1, in half as much more time; higher ones save hardly anything.
const GZIP_LEVEL: u32 = 2;

/// Exposes a registry over HTTP: what a handler for `/metrics` consists of.
///
/// Each format is answered where the request accepts it (text 0.0.4 otherwise), compressed if it accepts that; families
/// can be picked by `?name[]=`; GET and HEAD are answered. The response is made while it is sent, so its size does not show
/// in memory. Requests at the same time share what collectors show. At most 32 responses are sent at once
/// ([`Exposition::max_scrapes`]); other requests wait for their turn.
///
/// Cloning it gives the same one.
#[derive(Clone, Debug)]
pub struct Exposition {
    registry: Registry,
    slots: Arc<ScrapeSlots>,
}

impl Exposition {
    /// Exposes the global registry, and initializes it as [`init`](crate::init) does.
    ///
    /// This evaluates lists and families that `#[instrument]` was given: do not call it in an initializer that these use, or
    /// while you hold a lock that they take.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Registry::global())
    }

    /// Exposes this registry.
    #[must_use]
    pub fn of(registry: &Registry) -> Self {
        registry.initialize(UserCode::Now);
        self_metrics::init();
        Self { slots: ScrapeSlots::of(registry.id(), MAX_SCRAPES), registry: registry.clone() }
    }

    /// Limits the number of responses that are sent at once, at least 1; 32 if not set, for everything that exposes the
    /// registry together.
    ///
    /// One more waits for its turn, for as long as its client does (see
    /// [`guide::exposing`](crate::guide::exposing#what-a-scraper-gets)), and then gets status 503. A client that takes
    /// nothing of its response for seven seconds is cut off for it; in a web framework, which does not tell what its clients
    /// take, after ten seconds in which the framework asked for nothing. At most 64 requests wait for their turn, and a
    /// thousand for collectors.
    #[must_use]
    pub fn max_scrapes(self, most: usize) -> Self {
        Self { slots: ScrapeSlots::new(most.max(1)), ..self }
    }

    /// Answers a request.
    pub(crate) async fn respond_to(self, request: ScrapeRequest) -> ScrapeResponse {
        if request.method == Method::Other {
            let mut response = ScrapeResponse::text(405, "Use GET or HEAD.\n");
            response.headers.push(("allow", "GET, HEAD"));
            return response;
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
        // Each waits for as long as its client does, so a free slot goes to the scrape whose collectors finished first.
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

/// A response, without the types of any framework.
#[derive(Debug)]
pub(crate) struct ScrapeResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Body,
}

impl ScrapeResponse {
    /// A response without metrics.
    pub(crate) fn text(status: u16, text: &'static str) -> Self {
        self_metrics::answered(status, None);
        let headers = vec![("content-type", "text/plain; charset=utf-8")];
        Self { status, headers, body: Body::Whole(Bytes::from_static(text.as_bytes())) }
    }

    fn busy() -> Self {
        let mut response = Self::text(503, "Too many scrapes are being answered.\n");
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
    /// Nothing, in response to HEAD.
    #[default]
    Head,
    Whole(Bytes),
    Stream {
        first: Bytes,
        stream: Box<ExpositionStream>,
    },
}

impl Body {
    /// The next bytes; nothing at the end. Now and then it lets other tasks of the thread run, because a client that reads
    /// fast would keep it producing.
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self {
            Self::Head => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(mem::take(bytes)).filter(|bytes| !bytes.is_empty()).map(Ok)),
            Self::Stream { first, stream } if first.is_empty() => stream.poll_next(cx),
            Self::Stream { first, .. } => Poll::Ready(Some(Ok(mem::take(first)))),
        }
    }

    /// Takes note of what the client takes, for a response that holds a slot.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only the server sees the connection"))]
    pub(crate) fn progress(&self) -> Option<Progress> {
        if let Self::Stream { stream, .. } = self { Some(stream.slot.progress()) } else { None }
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Head) || self.len() == Some(0)
    }

    /// How long it is, where that is known; in response to HEAD, it is that of GET that counts.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.len() as u64),
            Self::Head | Self::Stream { .. } => None,
        }
    }
}

/// A response that is made while it is sent.
pub(crate) struct ExpositionStream {
    request: ScrapeRequest,
    /// Gone at the end.
    encoding: Option<Encoding>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// Bytes so far, before compression.
    encoded: usize,
    /// Time spent on producing since other tasks last ran.
    turn: Duration,
    slot: Slot,
    _in_flight: InFlight,
}

impl ExpositionStream {
    fn has_ended(&self) -> bool {
        self.encoding.is_none()
    }

    /// Appends the first bytes to `first`: all of a small response.
    fn poll_first(&mut self, first: &mut Vec<u8>, cx: &Context<'_>) -> Poll<io::Result<()>> {
        while !self.has_ended() && self.encoded < SMALL {
            ready!(self.poll_turn(cx));
            first.extend_from_slice(&self.produce()?);
        }
        Poll::Ready(Ok(()))
    }

    /// The next bytes; `None` at the end.
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

    /// Pending, once, when the present turn has taken its time: other tasks of the thread come first.
    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.turn < TURN {
            return Poll::Ready(());
        }
        self.turn = Duration::ZERO;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Encodes the next bytes, and returns what can be sent by now: compression keeps some for later.
    fn produce(&mut self) -> io::Result<Bytes> {
        let begin = Instant::now();
        let produced = self.encode_and_compress();
        self.turn += begin.elapsed();
        produced
    }

    fn encode_and_compress(&mut self) -> io::Result<Bytes> {
        let Some(encoding) = &mut self.encoding else { return Ok(Bytes::new()) };
        self.slot.touch().map_err(|_| io::Error::other("the client reads too slowly"))?;
        let request = &self.request;
        let goes_on = encoding.fill(CHUNK, &|name, kind| request.wants(name, kind));
        let out = mem::take(encoding.out());
        self.encoded += out.len();
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
