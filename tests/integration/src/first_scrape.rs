//! The first scrape of a process that has not called an annotated function or used a metric yet.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use lazy_static::lazy_static;
use metrics_core::{Counter, Family, Gauge, Metrics, instrument, start_http_server};

lazy_static! {
    static ref FAILURES: Family<Counter, 1> =
        Counter::builder("checkout_failures_total", "Failed checkouts.").labels(["step"]).register();
}

#[instrument(path in ["/foo", "/bar"], prefix = "my_router")]
#[expect(dead_code, reason = "it must be exported although it is never called")]
fn route_request(path: &str) -> Result<usize, ()> {
    Ok(path.len())
}

#[derive(Metrics)]
#[metrics(prefix = "shop", global)]
#[expect(dead_code, reason = "it must be exported although it is never used")]
struct Shop {
    /// Logins.
    #[metric(labels(successful: bool))]
    logins_total: Family<Counter, 1>,
    /// Items in all baskets.
    basket_items: Gauge,
}

#[instrument(step = "pay", exceptions = FAILURES, prefix = "checkout")]
#[expect(dead_code, reason = "it must be exported although it is never called")]
async fn pay() -> Result<(), ()> {
    Ok(())
}

mod unused {
    pub(crate) struct Generic<T>(T);

    impl<T: Clone> Generic<T> {
        #[metrics_core::instrument]
        #[expect(dead_code, reason = "it must be exported although it is never called")]
        fn get(&self) -> T {
            self.0.clone()
        }
    }
}

fn expose() -> std::io::Result<()> {
    start_http_server("127.0.0.1:9464")?; // GET /metrics
    Ok(())
}

#[test]
fn every_known_series_is_0_and_the_server_outlives_its_handle() {
    expose().expect("port 9464 is free: no other exporter may run here");
    let scrapes: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(|| {
                let mut stream = TcpStream::connect("127.0.0.1:9464").expect("the server keeps running");
                stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("sent");
                let mut response = String::new();
                stream.read_to_string(&mut response).expect("UTF-8");
                response
            })
        })
        .collect();
    for scrape in scrapes {
        let text = scrape.join().expect("no panic");
        for series in [
            "my_router_request_latency_seconds_count{path=\"/foo\"}",
            "my_router_request_latency_seconds_sum{path=\"/bar\"}",
            "my_router_request_exceptions_total{path=\"/bar\"}",
            "my_router_request_exceptions_total{path=\"other\"}",
            "checkout_request_latency_seconds_count{step=\"pay\"}",
            "checkout_request_cancelled_total{step=\"pay\"}",
            "checkout_failures_total{step=\"pay\"}",
            "shop_logins_total{successful=\"true\"}",
            "shop_logins_total{successful=\"false\"}",
            "shop_basket_items",
            "first_scrape_function_latency_seconds_count{function=\"first_scrape::unused::Generic::get\"}",
            "metrics_core_overflowed_total{family=\"checkout_failures_total\"}",
            "metrics_core_internal_errors_total{kind=\"label_panic\"}",
            "metrics_core_problems",
        ] {
            assert!(text.contains(&format!("\n{series} 0\n")), "{series}\n{text}");
        }
        assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
    }
}
