//! The live page: a document that polls a JSON snapshot of its registry once per second.
//!
//! Everything is served under one path, so the page works under any prefix: the query `snapshot` selects the snapshot,
//! `metrics` the exposition itself, and `dashboard` and `rules` the files for Grafana and Prometheus. All viewers of a
//! registry share a snapshot, which is taken only on request. The page contains no values except in a table for
//! browsers without JavaScript.

mod snapshot;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::exposition::{Body, Exposition, ScrapeResponse};
use super::request::{LiveView, Method, ScrapeRequest};
use crate::monitor::dashboard::GrafanaDashboard;
use crate::monitor::rules::PrometheusRules;
use snapshot::SharedSnapshot;

/// The document, with a placeholder for the rows of the table.
const PAGE: &str = include_str!("live/page.html");
const PLACEHOLDER: &str = "<!--ROWS-->";

/// The headers of all responses. The policy allows the document's own script and style, and nothing else.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         script-src 'sha256-Zpkx6/wD5M9yeOi6A2NmyYg9CISdqN1nE5lTRtM7CQA='; \
         style-src 'sha256-UCmmMW+xHqE2SbAFZFwJt7CYPkbRohZzZKZ5tvC42JM='",
    ),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("vary", "accept-encoding"),
];

/// A page that shows a registry's metrics in a browser, updated once per second.
///
/// The page lists the rate, exceptions, latency and concurrency of each annotated function and route, custom metrics,
/// and problems with the instrumentation. It consists of one document without dependencies and makes requests only to
/// its own path. Browsers without JavaScript show a table of the current values.
///
/// [`start_http_server`](crate::start_http_server) serves the page at `/`. To serve it from a web framework, mount it
/// like an [`Exposition`], under any path. The page shows the values of `/metrics`, the declarations, and the source
/// locations of problems, so restrict access to both in the same way. See [`guide::seeing`](crate::guide::seeing).
///
/// Clones share the registry. All live pages of a registry share a snapshot, which is taken at most once per second and
/// only while a page is open.
#[derive(Clone, Debug)]
pub struct LivePage {
    exposition: Exposition,
    snapshot: Arc<SharedSnapshot>,
}

impl Exposition {
    /// Returns a page that shows the metrics in a browser.
    #[must_use]
    pub fn live_page(&self) -> LivePage {
        LivePage { snapshot: SharedSnapshot::of(self.registry()), exposition: self.clone() }
    }
}

impl LivePage {
    /// Responds to a request.
    pub(crate) async fn respond_to(self, request: ScrapeRequest) -> ScrapeResponse {
        let content_type = match request.view {
            LiveView::Metrics => return self.exposition.respond_to(request).await,
            LiveView::Page => "text/html; charset=utf-8",
            LiveView::Snapshot | LiveView::Dashboard => "application/json",
            LiveView::Rules => "application/yaml",
        };
        if request.method == Method::Other {
            return ScrapeResponse::not_allowed();
        }
        let gzip = request.gzip();
        let body = match request.method {
            Method::Head => Body::Head,
            _ => match self.body(&request, gzip).await {
                Some(body) => body,
                None => return ScrapeResponse::busy(),
            },
        };
        let mut headers = vec![("content-type", content_type)];
        headers.extend(HEADERS);
        headers.extend(match request.view {
            LiveView::Dashboard => Some(("content-disposition", "attachment; filename=\"dashboard.json\"")),
            LiveView::Rules => Some(("content-disposition", "attachment; filename=\"rules.yml\"")),
            _ => None,
        });
        headers.extend(gzip.then_some(("content-encoding", "gzip")));
        ScrapeResponse { status: 200, headers, body }
    }

    async fn body(&self, request: &ScrapeRequest, gzip: bool) -> Option<Body> {
        let (registry, slots) = (self.exposition.registry(), self.exposition.slots());
        let deadline = Instant::now() + request.timeout();
        let _waiting = slots.wait()?;
        let document = |compressed: Bytes| if gzip { Some(compressed) } else { snapshot::decompressed(&compressed) };
        let file = |text: String| if gzip { snapshot::compressed(text.as_bytes()) } else { Some(text.into()) };
        // As in a scrape, the slot is taken when the collectors have finished, and before anything is encoded. Only
        // one request at a time encodes the snapshot that all viewers share, so it needs no slot for that.
        let (bytes, slot) = match request.view {
            LiveView::Snapshot => {
                let compressed = self.snapshot.get(registry, deadline).await?;
                let slot = slots.take_until(deadline).await?;
                (document(compressed)?, slot)
            }
            LiveView::Page | LiveView::Metrics => {
                let sources = registry.gather(request.timeout()).await;
                let slot = slots.take_until(deadline).await?;
                let (before, after) = PAGE.split_once(PLACEHOLDER).unwrap_or((PAGE, ""));
                let compressed = snapshot::table(before, sources, after, || slot.touch().is_ok()).await?;
                (document(compressed)?, slot)
            }
            LiveView::Dashboard => {
                let slot = slots.take_until(deadline).await?;
                (file(GrafanaDashboard::of(registry, registry.known_catalog()).to_json())?, slot)
            }
            LiveView::Rules => {
                let slot = slots.take_until(deadline).await?;
                let rules = PrometheusRules::of(registry.known_catalog()).to_yaml();
                (file(rules.unwrap_or_else(|error| format!("# {error}\n")))?, slot)
            }
        };
        Some(Body::Limited { bytes, slot })
    }
}
