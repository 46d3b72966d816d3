//! The same service, with one line per receiver, shows the same totals in every system, after each of them has failed.

use std::time::Duration;

use metrics_core::{
    GraphiteBridge, Otlp, Pusher, Pushgateway, RemoteWrite, StatsD, TextFile, instrument, start_http_server,
};
use servers::{Server, wait_for};

use crate::carbon::Carbon;
use crate::prometheus::Prometheus;
use crate::statsd_server::StatsDServer;
use crate::victoria::Victoria;

const COUNT: &str = "everywhere_request_latency_seconds_count";
const EXCEPTIONS: &str = "everywhere_request_exceptions_total";
const INTERVAL: Duration = Duration::from_millis(200);

#[instrument(path in ["/foo"], prefix = "everywhere")]
fn route_request(path: &str, number: u32) -> Result<(), ()> {
    if number.is_multiple_of(4) { Err(()) } else { Ok(()) }
}

/// Makes 100 calls, 25 of which fail.
fn call() {
    for number in 0..100 {
        route_request("/foo", number).ok();
    }
}

/// Returns the value of a sample in an exposition.
fn exposed(text: &str, name: &str) -> Option<f64> {
    let is_sample = |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains("path=\"/foo\"");
    text.lines().find(is_sample)?.rsplit(' ').next()?.parse().ok()
}

/// Waits until a function returns this value.
fn becomes(what: &str, expected: f64, mut value: impl FnMut() -> Option<f64>) {
    wait_for(&format!("{what} to be {expected}"), || (value() == Some(expected)).then_some(()));
}

#[test]
fn every_system_shows_the_same_totals_after_it_has_failed() {
    let service = start_http_server("127.0.0.1:0").expect("a free port");
    let mut scraping = Prometheus::scraping(&service.local_addr().to_string());
    let mut written = Prometheus::receiving("prometheus", &[]);
    let (mut gateway, mut node_exporter) = (Server::pushgateway(), Server::node_exporter());
    let (mut victoria, mut statsd, mut carbon) = (Victoria::start(), StatsDServer::started(), Carbon::started());
    let started = [
        RemoteWrite::new(written.write_url()).label("job", "everywhere").start(INTERVAL),
        Otlp::with_url(victoria.otlp_url()).start(INTERVAL),
        StatsD::new(statsd.address()).start(INTERVAL),
        GraphiteBridge::new(carbon.address()).start(INTERVAL),
        Pushgateway::new(gateway.url(), "everywhere").start(INTERVAL),
        TextFile::new(node_exporter.dir().join("everywhere.prom")).start(INTERVAL),
    ];
    let pushers: Vec<Pusher> = started.into_iter().map(|pusher| pusher.expect("valid")).collect();
    let names = [COUNT, EXCEPTIONS].map(|name| format!("{name}.path._foo"));

    call();
    // The StatsD server loses its totals when it is killed, so it must have received all of them.
    statsd.shows("counters", &names[0], 100.0);
    statsd.shows("counters", &names[1], 25.0);
    scraping.kill();
    written.kill();
    victoria.kill();
    statsd.kill();
    carbon.kill();
    gateway.kill();
    node_exporter.kill();
    call();
    for target in ["remote_write", "otlp", "statsd", "graphite", "pushgateway"] {
        let failed = format!("metrics_core_push_total{{target=\"{target}\",outcome=\"error\"}} ");
        let text = || metrics_core::Registry::global().to_text();
        wait_for(target, || {
            text().lines().find_map(|line| line.strip_prefix(&failed)?.parse().ok()).filter(|failed: &u64| *failed > 0)
        });
    }
    scraping.start_again();
    written.start_again();
    victoria.start_again();
    statsd.start();
    carbon.start();
    gateway.restart();
    node_exporter.restart();
    call();
    for pusher in pushers {
        pusher.shutdown().expect("the receiver is back");
    }

    for (at, (name, total)) in [(COUNT, 300.0), (EXCEPTIONS, 75.0)].into_iter().enumerate() {
        // The shutdown has ended the series of remote write, so only a range contains them.
        let last = format!("last_over_time({name}{{path=\"/foo\"}}[5m])");
        becomes("the scraped total", total, || scraping.query(&last).first().map(|(_, value)| *value));
        becomes("the total of remote write", total, || written.query(&last).first().map(|(_, value)| *value));
        let selector = format!("{name}{{path=\"/foo\"}}");
        let exported = || victoria.series(&selector).first()?.1.last().map(|(_, value)| *value);
        becomes("the total of OTLP", total, exported);
        becomes("the total of the Pushgateway", total, || exposed(&gateway.metrics(), name));
        becomes("the total of node_exporter", total, || exposed(&node_exporter.metrics(), name));
        carbon.shows(&names[at], total);
        // A third was lost when the server was killed.
        statsd.shows("counters", &names[at], total * 2.0 / 3.0);
    }
    service.shutdown();
}
