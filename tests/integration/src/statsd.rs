//! The exact datagrams that are sent to StatsD and DogStatsD servers.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use metrics_core::{Counter, Gauge, Histogram, Info, LabelValue, Registry, StateSet, StatsD, Summary};

use crate::sample;

/// A stand-in for a StatsD server on the loopback interface.
pub(crate) struct Server {
    pub(crate) socket: UdpSocket,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub(crate) fn at(address: &str) -> Self {
        let socket = UdpSocket::bind(address).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        Self { socket }
    }

    pub(crate) fn address(&self) -> String {
        self.socket.local_addr().expect("an address").to_string()
    }

    pub(crate) fn statsd(&self, registry: &Registry) -> StatsD {
        StatsD::new(self.address()).registry(registry)
    }

    /// Returns the next datagram, or `None` after a timeout.
    pub(crate) fn next(&self) -> Option<String> {
        let mut datagram = vec![0; 70_000];
        let size = self.socket.recv(&mut datagram).ok()?;
        datagram.truncate(size);
        Some(String::from_utf8(datagram).expect("UTF-8"))
    }

    /// Returns all datagrams that have arrived.
    pub(crate) fn datagrams(&self) -> Vec<String> {
        const END: &str = "end";
        // Datagrams on the loopback interface arrive in order.
        let sends_end = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        sends_end.send_to(END.as_bytes(), self.address()).expect("sent");
        std::iter::from_fn(|| Some(self.next().expect("a datagram")).filter(|datagram| datagram != END)).collect()
    }

    /// Pushes once and returns the lines that arrive.
    pub(crate) fn lines(&self, statsd: &StatsD) -> Vec<String> {
        statsd.push().expect("it is sent");
        self.datagrams().iter().flat_map(|datagram| datagram.lines()).map(str::to_owned).collect()
    }
}

pub(crate) const NOTHING: [&str; 0] = [];

#[derive(Clone, Copy, LabelValue)]
enum Switch {
    On,
    Off,
}

/// Registers a metric of every type and records into it.
fn everything(registry: &Registry) -> (Counter, Histogram, Gauge) {
    let counter = Counter::builder("c_total", "").register_in(registry).expect("valid");
    counter.inc_by(9_007_199_254_740_993_u64);
    let gauge = Gauge::builder("g", "").register_in(registry).expect("valid");
    gauge.set(1.5);
    let histogram = Histogram::builder("h", "").buckets([0.005, 1.0]).register_in(registry).expect("valid");
    histogram.observe(0.5);
    Info::builder("i_info", "").const_label("version", "1.2").register_in(registry).expect("valid");
    let summary = Summary::builder("s_seconds", "").labels(["path", "a"]).quantiles([0.5]);
    summary.register_in(registry).expect("valid").labels(["/foo", "b:c"]).observe(0.25);
    let state = StateSet::builder("state", "").register_in(registry).expect("valid");
    [Switch::On, Switch::Off].iter().for_each(|switch| state.set(switch));
    (counter, histogram, gauge)
}

#[test]
fn plain_lines_have_the_labels_in_the_name() {
    let server = Server::start();
    let registry = Registry::new();
    let (counter, histogram, _gauge) = everything(&registry);
    let statsd = server.statsd(&registry);
    let first = [
        "c_total:9007199254740993|c",
        "g:1.5|g",
        "h_bucket.le.0_005:0|c",
        "h_bucket.le.1_0:1|c",
        "h_bucket.le._Inf:1|c",
        "h_count:1|c",
        "h_sum:0.5|c",
        "i_info.version.1_2:1|g",
        "s_seconds.a.b_c.path._foo.quantile.0_5:0.25|g",
        "s_seconds_count.a.b_c.path._foo:1|c",
        "s_seconds_sum.a.b_c.path._foo:0.25|c",
        "state.state.on:0|g",
        "state.state.off:1|g",
    ];
    assert_eq!(quantile_rounded(server.lines(&statsd)), first);
    // Only gauges and increases are sent from now on.
    counter.inc();
    histogram.observe(-3);
    let second = [
        "c_total:1|c",
        "g:1.5|g",
        "h_bucket.le.0_005:1|c",
        "h_bucket.le.1_0:1|c",
        "h_bucket.le._Inf:1|c",
        "h_count:1|c",
        "h_sum:-3|c",
        "i_info.version.1_2:1|g",
        "s_seconds.a.b_c.path._foo.quantile.0_5:0.25|g",
        "state.state.on:0|g",
        "state.state.off:1|g",
    ];
    assert_eq!(quantile_rounded(server.lines(&statsd)), second);
}

/// Rounds the value of the quantile, which has a relative error, to two decimal places.
fn quantile_rounded(lines: Vec<String>) -> Vec<String> {
    let round = |line: String| match line.split_once("quantile.0_5:") {
        Some((name, value)) => {
            let value: f64 = value.strip_suffix("|g").expect("a gauge").parse().expect("a number");
            format!("{name}quantile.0_5:{value:.2}|g")
        }
        None => line,
    };
    lines.into_iter().map(round).collect()
}

#[test]
fn datadog_lines_have_the_labels_as_tags() {
    let server = Server::start();
    let registry = Registry::new();
    let (counter, ..) = everything(&registry);
    let statsd = server.statsd(&registry).datadog().prefix("my shop");
    let lines = server.lines(&statsd);
    let expected = [
        "my_shop.c_total:9007199254740993|c",
        "my_shop.g:1.5|g",
        "my_shop.h_bucket:0|c|#le:0.005",
        "my_shop.h_bucket:1|c|#le:1.0",
        "my_shop.h_bucket:1|c|#le:+Inf",
        "my_shop.h_count:1|c",
        "my_shop.h_sum:0.5|c",
        "my_shop.i_info:1|g|#version:1.2",
        "my_shop.s_seconds_count:1|c|#a:b:c,path:/foo",
        "my_shop.s_seconds_sum:0.25|c|#a:b:c,path:/foo",
        "my_shop.state:0|g|#state:on",
        "my_shop.state:1|g|#state:off",
    ];
    let (quantiles, others): (Vec<&str>, Vec<&str>) =
        lines.iter().map(String::as_str).partition(|line| line.contains("quantile"));
    assert_eq!(others, expected);
    let [quantile] = quantiles[..] else { panic!("{quantiles:?}") };
    assert!(quantile.starts_with("my_shop.s_seconds:0.2") && quantile.ends_with("|g|#a:b:c,path:/foo,quantile:0.5"));
    counter.inc();
    let lines = server.lines(&statsd);
    assert!(lines.contains(&"my_shop.c_total:1|c".to_owned()) && lines.len() == 6, "{lines:?}");
}

#[test]
fn a_0_precedes_a_negative_gauge() {
    let server = Server::start();
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").register_in(&registry).expect("valid");
    let plain = server.statsd(&registry);
    let datadog = server.statsd(&registry).datadog();
    let values = [(-5.0, "-5"), (-0.25, "-0.25"), (f64::MIN, "-1.7976931348623157e+308"), (-5e-324, "-5e-324")];
    for (value, text) in values {
        gauge.set(value);
        for statsd in [&plain, &datadog] {
            assert_eq!(server.lines(statsd), ["g:0|g".to_owned(), format!("g:{text}|g")]);
        }
    }
    gauge.set(-0.0);
    for statsd in [&plain, &datadog] {
        assert_eq!(server.lines(statsd), ["g:0|g"]);
    }
    gauge.set(5);
    assert_eq!(server.lines(&plain), ["g:5|g"]);
}

#[test]
fn names_and_tags_are_made_valid() {
    let server = Server::start();
    let registry = Registry::new();
    let gauge = Gauge::builder("a:g", "").labels(["v"]).register_in(&registry).expect("valid");
    let values = ["c.:8", "a b", "ü/ß", "", "~x|y,z#", "two\nlines\t\u{85}", "-"];
    for value in values {
        gauge.labels([value]).set(1);
    }
    let plain =
        ["c__8", "a_b", "___", "_", "_x_y_z_", "two_lines__", "-"].map(|value| format!("p.q__.a_g.v.{value}:1|g"));
    assert_eq!(server.lines(&server.statsd(&registry).prefix("p..q /.")), plain);
    let tags = ["|#v:c.:8", "|#v:a b", "|#v:ü/ß", "", "|#v:~x_y_z_", "|#v:two_lines__", "|#v:-"];
    assert_eq!(server.lines(&server.statsd(&registry).datadog()), tags.map(|tags| format!("a_g:1|g{tags}")));
}

#[test]
fn counters_with_the_same_name_add_up_and_gauges_are_skipped() {
    let server = Server::start();
    let registry = Registry::new();
    let counter = Counter::builder("c_total", "").labels(["v"]).register_in(&registry).expect("valid");
    let gauge = Gauge::builder("g", "").labels(["v"]).register_in(&registry).expect("valid");
    for (number, value) in (1..).zip(["/a|", "_a|", ".a#"]) {
        counter.labels([value]).inc_by(number);
        gauge.labels([value]).set(number);
    }
    let plain = server.statsd(&registry).name("statsd_same");
    let counts = [1, 2, 3].map(|count| format!("c_total.v._a_:{count}|c"));
    assert_eq!(server.lines(&plain), [&counts[..], &["g.v._a_:1|g".to_owned()]].concat());
    counter.labels(["_a|"]).inc();
    assert_eq!(server.lines(&plain), ["c_total.v._a_:1|c", "g.v._a_:1|g"]);
    let skipped = || sample("metrics_core_push_samples_dropped_total{target=\"statsd_same\"}");
    assert_eq!(skipped(), Some(4.0));
    let gauges = ["g:1|g|#v:/a_", "g:2|g|#v:_a_", "g:3|g|#v:.a_"];
    assert_eq!(server.lines(&plain.datadog())[3..], gauges);
    assert_eq!(skipped(), Some(4.0));
}

#[test]
fn samples_are_packed_into_datagrams() {
    let server = Server::start();
    let registry = Registry::new();
    let family = Counter::builder("c_total", "").labels(["n"]).register_in(&registry).expect("valid");
    for n in 100..200 {
        family.labels([&n.to_string()]).inc();
    }
    let lines: Vec<String> = (100..200).map(|n| format!("c_total.n.{n}:1|c")).collect();
    let length = lines[0].len() + 1;
    for (size, lines_each) in [(None, 1_433 / length), (Some(512), 513 / length), (Some(length - 1), 1)] {
        let statsd = server.statsd(&registry);
        let statsd = if let Some(size) = size { statsd.datagram_size(size) } else { statsd };
        statsd.push().expect("it is sent");
        let datagrams = server.datagrams();
        assert_eq!(datagrams.join("\n").lines().collect::<Vec<_>>(), lines);
        let (last, others) = datagrams.split_last().expect("datagrams");
        assert!(others.iter().all(|datagram| datagram.lines().count() == lines_each), "{size:?}");
        assert!(last.lines().count() <= lines_each);
    }
}

#[test]
fn a_sample_larger_than_a_datagram_is_skipped() {
    let server = Server::start();
    let registry = Registry::new();
    let family = Counter::builder("c_total", "").labels(["v"]).register_in(&registry).expect("valid");
    let gauge = Gauge::builder("g", "").register_in(&registry).expect("valid");
    let long = "x".repeat(100);
    family.labels([&long]).inc_by(3);
    family.labels(["a"]).inc();
    gauge.set(-1);
    let small = server.statsd(&registry).datagram_size(15).name("statsd_small");
    assert_eq!(server.lines(&small), ["c_total.v.a:1|c", "g:0|g", "g:-1|g"]);
    let smaller = small.clone().datagram_size(10);
    assert_eq!(server.lines(&smaller), NOTHING);
    assert_eq!(sample("metrics_core_push_samples_dropped_total{target=\"statsd_small\"}"), Some(3.0));
    // Nothing of the sample has been delivered.
    assert_eq!(server.lines(&small.datagram_size(1_000))[..1], [format!("c_total.v.{long}:3|c")]);
}

#[test]
fn invalid_addresses_are_rejected_at_the_start() {
    let urls = "udp://x:8125 localhost localhost: localhost:0 :8125 user@x:8125 x/y:8125 /run/statsd.socket";
    for address in urls.split(' ').chain([""]) {
        let expected = format!(
            "{address:?} is not a valid address; write host:port, such as \"localhost:8125\", or unix:/path/to/socket"
        );
        let error = StatsD::new(address).start(Duration::from_secs(1)).expect_err("refused");
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::InvalidInput, expected.clone()));
        let error = StatsD::new(address).push().expect_err("refused");
        assert_eq!(error.to_string(), format!("statsd: {expected}"));
    }
    let zero = StatsD::new("localhost:8125").start(Duration::ZERO).expect_err("refused");
    assert_eq!(zero.to_string(), "the interval of a pusher must not be 0");
}
