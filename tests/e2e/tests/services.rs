//! Tests the web framework examples under load from regular and hostile clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::example::Example;
use crate::hostile;
use crate::prometheus::Prometheus;
use crate::{get, readers, wait_for};

/// Duration of the load in seconds.
const SECONDS: u32 = 5;
const CLIENTS: u32 = 8;
/// Requests per second from each client.
const PER_SECOND: u32 = 250;
/// Requests from all clients.
pub(crate) const REQUESTS: u32 = SECONDS * CLIENTS * PER_SECOND;

/// A request that clients send, and the labels of the series that counts it.
pub(crate) struct Driven {
    method: &'static str,
    path: &'static str,
    pub(crate) status: u16,
    pub(crate) route: &'static str,
}

pub(crate) const fn driven(method: &'static str, path: &'static str, status: u16, route: &'static str) -> Driven {
    Driven { method, path, status, route }
}

const ROUTED: [Driven; 5] = [
    driven("GET", "/users/7", 200, "/users/{id}"),
    driven("GET", "/users/8?full=1", 200, "/users/{id}"),
    driven("GET", "/users/5000", 404, "/users/{id}"),
    driven("GET", "/nowhere", 404, "other"),
    driven("GET", "/users/1/2/3", 404, "other"),
];

const PLAIN: [Driven; 4] = [
    driven("GET", "/hello", 200, "/hello"),
    driven("GET", "/fail", 500, "/fail"),
    driven("GET", "/hello?again", 200, "/hello"),
    driven("GET", "/nowhere", 404, "other"),
];

/// Sends requests in turn at a fixed rate over one connection. Returns the number of responses to each request.
fn client(service: &str, requests: &[Driven], number: u32) -> Vec<u32> {
    let mut stream = BufReader::new(TcpStream::connect(service).expect("the service listens"));
    let mut answered = vec![0; requests.len()];
    let begin = Instant::now();
    for round in 0..SECONDS * PER_SECOND {
        thread::sleep((begin + Duration::from_secs(1) * round / PER_SECOND).saturating_duration_since(Instant::now()));
        let at = (round + number) as usize % requests.len();
        let Driven { method, path, status, .. } = requests[at];
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).expect("sent");
        assert_eq!(answer(&mut stream), status, "{path}");
        answered[at] += 1;
    }
    answered
}

/// Reads a whole response and returns its status.
fn answer(stream: &mut BufReader<TcpStream>) -> u16 {
    let mut lines = stream.by_ref().lines().map(|line| line.expect("an answer"));
    let first = lines.next().expect("a status");
    let headers = lines.take_while(|line| !line.is_empty()).map(|line| line.to_ascii_lowercase());
    let length = headers.filter_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).last().unwrap_or(0);
    stream.read_exact(&mut vec![0; length]).expect("the body");
    first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

/// Puts load on a service while hostile clients attack `attacked`. Returns the number of responses to each request.
pub(crate) fn drive(service: &str, attacked: &str, requests: &'static [Driven]) -> Vec<u32> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for attack in hostile::ATTACKS {
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    attack(attacked);
                    // Without a pause, the attackers would occupy all cores.
                    thread::sleep(Duration::from_millis(50));
                }
            });
        }
        let begin = Instant::now();
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || client(service, requests, number))).collect();
        let answered: Vec<Vec<u32>> = clients.into_iter().map(|client| client.join().expect("no panic")).collect();
        let sums: Vec<u32> = (0..requests.len()).map(|at| answered.iter().map(|client| client[at]).sum()).collect();
        println!("{} requests in {:?}", sums.iter().sum::<u32>(), begin.elapsed());
        is_over.store(true, Ordering::Relaxed);
        sums
    })
}

/// Waits until the result of a query reaches `expected`, and asserts that it is not greater.
pub(crate) fn is_in_prometheus(prometheus: &Prometheus, query: &str, expected: u32) {
    let expected = f64::from(expected);
    wait_for(&format!("{expected} of {query}"), || {
        prometheus.query(query).first().is_some_and(|(_, value)| *value >= expected).then_some(())
    });
    assert_eq!(prometheus.value(query), expected, "{query}");
}

/// Serializes load tests, each of which needs the whole machine.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts load on an example while hostile clients attack it, and checks the totals in Prometheus.
fn totals_are_right(name: &str, requests: &'static [Driven]) {
    let _alone = alone();
    let mut example = Example::start(name, &["127.0.0.1:0"]);
    let service = example.addr();
    let prometheus = Prometheus::scraping(&service);
    // Known routes are exported as 0 before their first request.
    for Driven { method, route, .. } in requests.iter().filter(|one| one.route != "other") {
        let latency = format!("shop_request_latency_seconds_count{{path=\"{route}\",method=\"{method}\"}}");
        assert_eq!(prometheus.value(&latency), 0.0, "{route}");
    }
    let answered = drive(&service, &service, requests);
    for one in requests {
        let same = |other: &Driven| (other.method, other.route, other.status) == (one.method, one.route, one.status);
        let expected =
            requests.iter().zip(&answered).filter(|(other, _)| same(other)).map(|(_, answered)| answered).sum();
        let Driven { method, route, status, .. } = one;
        let labels = format!("path=\"{route}\",method=\"{method}\"");
        let responses = format!("shop_responses_total{{{labels},status=\"{status}\"}}");
        is_in_prometheus(&prometheus, &responses, expected);
        let exceptions = if *status >= 500 { expected } else { 0 };
        is_in_prometheus(&prometheus, &format!("shop_request_exceptions_total{{{labels}}}"), exceptions);
        is_in_prometheus(&prometheus, &format!("shop_request_cancelled_total{{{labels}}}"), 0);
        if *route != "other" {
            // Prometheus counts every request, because it scraped the initial 0. It extrapolates by up to one scrape
            // interval at each end.
            let of_route = requests.iter().zip(&answered).filter(|(other, _)| other.route == *route);
            let all: u32 = of_route.map(|(_, answered)| answered).sum();
            let increase = format!("increase(shop_request_latency_seconds_count{{{labels}}}[1h])");
            let increase = prometheus.value(&increase) / f64::from(all);
            assert!((0.999..1.3).contains(&increase), "{route}: {increase} times the requests");
        }
    }
    assert_eq!(prometheus.value("sum(metrics_core_internal_errors_total)"), 0.0);
    let (_, text) = get(&format!("http://{service}/metrics")).expect("an answer");
    readers::promtool_is_content(&text);
}

#[test]
fn a_dedicated_metrics_server_under_load_and_attack() {
    const REQUESTS: [Driven; 3] = [
        driven("GET", "/foo", 200, "/foo"),
        driven("GET", "/fail", 500, "/fail"),
        driven("GET", "/else", 404, "other"),
    ];
    let _alone = alone();
    let mut router = Example::start("my_router", &["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let (service, metrics) = (router.addr(), router.addr());
    let prometheus = Prometheus::scraping(&metrics);
    let answered = drive(&service, &metrics, &REQUESTS);
    for (Driven { route, status, .. }, answered) in REQUESTS.iter().zip(answered) {
        is_in_prometheus(
            &prometheus,
            &format!("my_router_request_latency_seconds_count{{path=\"{route}\"}}"),
            answered,
        );
        let exceptions = if *status == 500 { answered } else { 0 };
        is_in_prometheus(&prometheus, &format!("my_router_request_exceptions_total{{path=\"{route}\"}}"), exceptions);
    }
    // Every scrape succeeded, and requests from attackers were counted.
    assert!(prometheus.value("sum_over_time(up[5s])") >= 5.0);
    assert!(prometheus.value("sum(metrics_core_scrapes_total{code=\"404\"})") >= 1.0);
}

#[test]
fn axum_under_load_and_attack() {
    totals_are_right("axum", &ROUTED);
}

#[test]
fn actix_under_load_and_attack() {
    totals_are_right("actix", &ROUTED);
}

#[test]
fn hyper_under_load_and_attack() {
    totals_are_right("hyper", &PLAIN);
}

#[test]
fn tonic_is_measured() {
    let mut example = Example::start("tonic", &["127.0.0.1:0", "127.0.0.1:0"]);
    let (_service, metrics) = (example.addr(), example.addr());
    let check = "health_request_latency_seconds_count{path=\"/grpc.health.v1.Health/Check\",method=\"POST\"} 0\n";
    // The example builds its layer after it has printed the addresses.
    let text = wait_for("the series of the layer", || {
        let (_, text) = get(&format!("http://{metrics}/metrics")).expect("an answer");
        text.contains(check).then_some(text)
    });
    readers::promtool_is_content(&text);
}
