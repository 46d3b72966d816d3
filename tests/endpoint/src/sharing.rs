//! Concurrent scrapes, and collectors that delay them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{Counter, Gauge, HttpServer, Kind, Number, Registry, Value};

use crate::client::ask;
use crate::collectors::{register, show};
use crate::{global, wait_until};

/// A gate that is closed until the test opens it.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl Gate {
    fn wait(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let open = self.is_open.lock().expect("no panic");
        drop(self.opened.wait_while(open, |open| !*open).expect("no panic"));
    }

    fn open(&self) {
        *self.is_open.lock().expect("no panic") = true;
        self.opened.notify_all();
    }
}

impl Drop for Opens<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Opens the gate when the test ends, even if the test fails.
struct Opens<'g>(&'g Gate);

fn counted(registry: &Registry) {
    Counter::builder("served_total", "Served.").register_in(registry).expect("valid").inc();
}

fn serve(registry: &Registry, most: usize) -> SocketAddr {
    let server = HttpServer::builder().registry(registry).max_scrapes(most).start("127.0.0.1:0").expect("a free port");
    server.local_addr()
}

#[test]
fn concurrent_scrapes_share_collector_runs() {
    const SCRAPES: usize = 8;
    let registry = Registry::new();
    let gate = Arc::new(Gate::default());
    let _opens = Opens(&gate);
    let at_work = Arc::clone(&gate);
    register(&registry, &["slow"], move |visitor| {
        at_work.wait();
        show(visitor, "slow", Kind::Gauge, &[Value::Gauge(1.0)]);
        Ok(())
    });
    // Scrapes waiting for a collector do not occupy a slot.
    let addr = serve(&registry, 1);
    let before = global("metrics_core_scrapes_in_flight");
    thread::scope(|scope| {
        let scrapes: Vec<_> = (0..SCRAPES).map(|_| scope.spawn(|| ask(addr, "GET /metrics", ""))).collect();
        wait_until("all scrapes", || global("metrics_core_scrapes_in_flight") >= before + SCRAPES as f64);
        assert_eq!(ask(addr, "HEAD /metrics", "").status(), 200);
        gate.open();
        for scrape in scrapes {
            let answer = scrape.join().expect("no panic");
            assert!(answer.status() == 200 && answer.text().ends_with("slow{n=\"0\"} 1\n"), "{}", answer.text());
        }
    });
    assert_eq!(gate.waiting.load(Ordering::SeqCst), 1, "the collector ran once");
    assert_eq!(ask(addr, "GET /metrics", "").status(), 200);
    assert_eq!(gate.waiting.load(Ordering::SeqCst), 2);
}

#[test]
fn a_scrape_meets_its_deadline() {
    let registry = Registry::new();
    counted(&registry);
    let gate = Arc::new(Gate::default());
    let _opens = Opens(&gate);
    let (at_work, called) = (Arc::clone(&gate), Arc::clone(&gate));
    register(&registry, &["hanging"], move |visitor| {
        at_work.wait();
        show(visitor, "hanging", Kind::Gauge, &[Value::Gauge(1.0)]);
        Ok(())
    });
    // The collector and the callback run concurrently, so their timeouts do not add up.
    let callback = move || {
        called.wait();
        2.0
    };
    Gauge::builder("told", "Told.").register_callback_in(&registry, callback).expect("valid");
    let addr = serve(&registry, 4);
    let timeouts = "metrics_core_internal_errors_total{kind=\"collector_timeout\"}";
    let before = global(timeouts);
    let begin = Instant::now();
    let answer = ask(addr, "GET /metrics", "X-Prometheus-Scrape-Timeout-Seconds: 2\r\n");
    let took = begin.elapsed();
    assert!((Duration::from_millis(1_700)..Duration::from_secs(3)).contains(&took), "{took:?}");
    assert_eq!(answer.text(), "# HELP served_total Served.\n# TYPE served_total counter\nserved_total 1\n");
    assert!(global(timeouts) >= before + 2.0);
    // The collector has already run for longer than this scrape's timeout, so the scrape skips it at once.
    let begin = Instant::now();
    assert!(
        ask(addr, "GET /metrics", "X-Prometheus-Scrape-Timeout-Seconds: 1\r\n").text().ends_with("served_total 1\n")
    );
    assert!(begin.elapsed() < Duration::from_millis(800), "{:?}", begin.elapsed());
    gate.open();
    wait_until("both", || {
        let answer = ask(addr, "GET /metrics", "X-Prometheus-Scrape-Timeout-Seconds: 2\r\n");
        answer.text().contains("hanging{n=\"0\"} 1\n") && answer.text().contains("told 2\n")
    });
}

#[test]
fn a_scrape_with_little_time_takes_nothing_from_others() {
    let registry = Registry::new();
    let pause = Duration::from_millis(100);
    register(&registry, &["slow"], move |visitor| {
        thread::sleep(pause);
        show(visitor, "slow", Kind::Gauge, &[Value::Gauge(1.0)]);
        Ok(())
    });
    let callback = move || {
        thread::sleep(pause);
        2.0
    };
    Gauge::builder("told", "Told.").register_callback_in(&registry, callback).expect("valid");
    let addr = serve(&registry, 32);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for seconds in ["0.000001", "0.05", "0.1"] {
            let (headers, is_over) = (format!("X-Prometheus-Scrape-Timeout-Seconds: {seconds}\r\n"), &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    ask(addr, "GET /metrics", &headers);
                }
            });
        }
        for round in 0..15 {
            let answer = ask(addr, "GET /metrics", "X-Prometheus-Scrape-Timeout-Seconds: 20\r\n");
            let text = answer.text();
            let complete = text.contains("slow{n=\"0\"} 1\n") && text.contains("told 2\n");
            if !complete {
                is_over.store(true, Ordering::Relaxed);
            }
            assert!(complete, "round {round}: {text}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn counters_never_decrease_between_scrapes() {
    let registry = Registry::new();
    let runs = AtomicUsize::new(0);
    register(&registry, &["runs_total"], move |visitor| {
        let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
        show(visitor, "runs_total", Kind::Counter, &[Value::Counter(Number::Whole(run as u64))]);
        Ok(())
    });
    let gate = Arc::new(Gate::default());
    let _opens = Opens(&gate);
    let at_work = Arc::clone(&gate);
    register(&registry, &["hanging"], move |_| {
        at_work.wait();
        Ok(())
    });
    let addr = serve(&registry, 32);
    thread::scope(|scope| {
        for seconds in ["0.1", "0.3", "0.9"] {
            scope.spawn(move || {
                let mut last = 0;
                for _ in 0..8 {
                    let answer =
                        ask(addr, "GET /metrics", &format!("X-Prometheus-Scrape-Timeout-Seconds: {seconds}\r\n"));
                    let seen = answer.text().lines().find_map(|line| line.strip_prefix("runs_total{n=\"0\"} "));
                    let seen: u64 = seen.and_then(|seen| seen.parse().ok()).expect("it is quick");
                    assert!(seen > last, "{seen} after {last}");
                    last = seen;
                }
            });
        }
    });
}

#[test]
fn callbacks_that_hang_or_panic_do_not_affect_others() {
    let registry = Registry::new();
    counted(&registry);
    let gate = Arc::new(Gate::default());
    let _opens = Opens(&gate);
    let at_work = Arc::clone(&gate);
    let gauge = |name: &str| Gauge::builder(name, "Told.");
    gauge("a").register_callback_in(&registry, || 1.0).expect("valid");
    gauge("b_hangs")
        .register_callback_in(&registry, move || {
            at_work.wait();
            2.0
        })
        .expect("valid");
    gauge("c_panics").register_callback_in(&registry, || panic!("in a callback")).expect("valid");
    gauge("d").register_callback_in(&registry, || 4.0).expect("valid");
    // A callback that scrapes its own registry gets all metrics except those with callbacks.
    let scraped = registry.clone();
    gauge("e_scrapes").register_callback_in(&registry, move || scraped.to_text().len() as f64).expect("valid");
    let addr = serve(&registry, 4);
    for round in 0..3 {
        let answer = ask(addr, "GET /metrics", "X-Prometheus-Scrape-Timeout-Seconds: 1\r\n");
        let samples: Vec<_> = answer.text().lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples, ["a 1", "d 4", "e_scrapes 71", "served_total 1"], "round {round}");
    }
    assert_eq!(gate.waiting.load(Ordering::SeqCst), 1, "a callback that hangs is not called again");
    gate.open();
    wait_until("the callback", || ask(addr, "GET /metrics", "").text().contains("\nb_hangs 2\n"));
}

#[test]
fn collectors_that_fail_do_not_affect_other_families() {
    let registry = Registry::new();
    counted(&registry);
    register(&registry, &["failing"], |visitor| {
        show(visitor, "failing", Kind::Gauge, &[Value::Gauge(1.0)]);
        Err("the pool is gone".into())
    });
    register(&registry, &["panicking"], |_| panic!("in a collector"));
    let addr = serve(&registry, 4);
    let answer = ask(addr, "GET /metrics", "");
    assert_eq!(answer.text(), "# HELP served_total Served.\n# TYPE served_total counter\nserved_total 1\n");
}
