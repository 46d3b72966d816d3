//! Gathering for several scrapes at once: those that come while one is going on share what it finds.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::Registry;
use super::scrape::Sources;
use crate::cell::lock;
use crate::internal::InternalError;

/// What is being gathered from one registry.
#[derive(Default)]
pub(super) struct Gatherings(Mutex<Vec<Arc<Gathering>>>);

struct Gathering {
    /// When collectors are not waited for any more.
    until: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    has_ended: bool,
    sources: Option<Arc<Sources>>,
    waiting: Vec<Waker>,
}

/// Everything that a scrape shows, once collectors have shown theirs; `None` if gathering has failed.
pub(crate) struct Gathered {
    gathering: Arc<Gathering>,
    /// Where our waker stands.
    place: Option<usize>,
}

impl Registry {
    /// Gathers on a thread of its own, or joins a gathering that will not take longer.
    #[cfg_attr(not(feature = "exposition"), allow(dead_code, reason = "what exposes it is a feature"))]
    pub(crate) fn gather(&self, patience: Duration) -> Gathered {
        let until = Instant::now() + patience;
        let gathering = {
            let mut gatherings = lock(&self.inner.gatherings.0);
            gatherings.retain(|gathering| !lock(&gathering.state).has_ended);
            if let Some(joined) = gatherings.iter().find(|gathering| gathering.until <= until) {
                return Gathered { gathering: Arc::clone(joined), place: None };
            }
            let gathering = Arc::new(Gathering { until, state: Mutex::default() });
            gatherings.push(Arc::clone(&gathering));
            gathering
        };
        let end = End(Arc::clone(&gathering));
        if self.collects() {
            let registry = self.clone();
            let thread = thread::Builder::new().name("metrics-gather".to_owned());
            if thread.spawn(move || end.gather(&registry, patience)).is_err() {
                InternalError::NoThread.record(&"a scrape");
                End(Arc::clone(&gathering)).gather(self, patience);
            }
        } else {
            end.gather(self, patience);
        }
        Gathered { gathering, place: None }
    }

    /// Whether a scrape runs code that it does not know.
    fn collects(&self) -> bool {
        let state = self.read();
        self.inner.is_global || !state.collectors.is_empty() || state.members.has_callbacks()
    }
}

/// Ends a gathering when it is dropped, with or without a result.
struct End(Arc<Gathering>);

impl End {
    fn gather(self, registry: &Registry, patience: Duration) {
        let sources = Sources::gather(registry, patience);
        lock(&self.0.state).sources = Some(Arc::new(sources));
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let waiting = {
            let mut state = lock(&self.0.state);
            state.has_ended = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Future for Gathered {
    type Output = Option<Arc<Sources>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let gathering = Arc::clone(&self.gathering);
        let mut state = lock(&gathering.state);
        if state.has_ended {
            return Poll::Ready(state.sources.clone());
        }
        match self.place {
            Some(place) => state.waiting[place].clone_from(cx.waker()),
            None => {
                self.place = Some(state.waiting.len());
                state.waiting.push(cx.waker().clone());
            }
        }
        Poll::Pending
    }
}
