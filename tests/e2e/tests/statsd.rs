//! A real StatsD server accepts every line and holds the same values, even if it is killed between pushes; DogStatsD
//! datagrams follow the grammar of that protocol.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use metrics_core::{
    Collect, Counter, Family, FamilyInfo, Gauge, Histogram, Kind, Labels, Registry, StatsD, Summary, Value, Visitor,
    prometheus,
};

use crate::statsd_server::StatsDServer;
use crate::wait_for;

/// Exports values that only collectors can export.
struct Odd;

impl Collect for Odd {
    fn names(&self) -> Vec<String> {
        vec!["odd".to_owned(), "odd:untyped".to_owned()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        visitor.family(&FamilyInfo::new("odd", "Shown.", Kind::Summary));
        let value = Value::Summary { count: 7, sum: -3.5, quantiles: &[(0.5, -1.5), (0.99, f64::NAN)] };
        visitor.series(Labels::of(&[("name", "x y"), ("exported_name", "z")]).borrow(), &value);
        visitor.family(&FamilyInfo::new("odd:untyped", "Shown.", Kind::Untyped));
        visitor.series(Labels::default(), &Value::Untyped(1e300));
        Ok(())
    }
}

const VALUES: [&str; 14] =
    ["", " ", "a.b", "/a/b", "ü", "~", "x|y,z#", ";=!^", "a\nb", "\"q\"", "a:b", "9", "-", "été/日本"];

/// Returns a registry with metrics of every type and with unusual names and values.
fn everything() -> Registry {
    let registry = Registry::new();
    Counter::builder("jobs_total", "").register_in(&registry).expect("valid").inc_by(1_u64 << 60);
    let counter = Counter::builder("parts_total", "").labels(["of"]).register_in(&registry).expect("valid");
    let gauge = Gauge::builder("level", "").labels(["of"]).register_in(&registry).expect("valid");
    for (number, value) in VALUES.iter().enumerate() {
        counter.labels([value]).inc_by(number as f64 + 0.25);
        gauge.labels([value]).set(number as f64 + 0.25);
    }
    for (of, value) in [("max", f64::MAX), ("min", f64::MIN), ("low", -12.625), ("tiny", -5e-324), ("zero", -0.0)] {
        gauge.labels([of]).set(value);
    }
    let latency: Family<Summary, 2> =
        Summary::builder("latency_seconds", "").labels(["path", "method"]).register_in(&registry).expect("valid");
    latency.labels(["/users/{id}", "GET"]).observe(0.125);
    let sizes = Histogram::builder("size_bytes", "").buckets([0.001, 1.0, 1e6]).register_in(&registry).expect("valid");
    sizes.observe(-3);
    registry.register_collector(Odd).expect("valid");
    let theirs = prometheus::Histogram::with_opts(prometheus::HistogramOpts::new("theirs", "Theirs.")).expect("valid");
    theirs.observe(0.3);
    registry.register_prometheus_collector(Box::new(theirs)).expect("valid");
    registry
}

/// Returns the datagrams of one push.
fn datagrams(registry: &Registry, with: fn(StatsD) -> StatsD) -> Vec<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let address = socket.local_addr().expect("an address").to_string();
    with(StatsD::new(&address).registry(registry)).push().expect("it is sent");
    // Datagrams on the loopback interface arrive in order.
    socket.try_clone().expect("a handle").send_to(b"end", &address).expect("sent");
    let mut buffer = [0; 2_000];
    let mut next = || {
        let size = socket.recv(&mut buffer).expect("a datagram");
        String::from_utf8(buffer[..size].to_vec()).expect("UTF-8")
    };
    std::iter::from_fn(|| Some(next()).filter(|datagram| datagram != "end")).collect()
}

/// A line of a DogStatsD datagram: name, value, type, and tags.
type Line<'a> = (&'a str, f64, &'a str, Vec<(&'a str, &'a str)>);

/// Parses a line of the grammar `name:value|type[|#tag:value[,tag:value]*]`, and fails if it does not match.
fn parse(line: &str) -> Option<Line<'_>> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.len() <= 200
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
    };
    let is_tag = |text: &str| !text.is_empty() && !text.contains(|c: char| matches!(c, '|' | ',' | '#') || c < ' ');
    let (name, rest) = line.split_once(':')?;
    let (value, rest) = rest.split_once('|')?;
    let is_number = value.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let (kind, tags) = rest.split_once('|').map_or((rest, None), |(kind, tags)| (kind, Some(tags)));
    let tags = match tags {
        Some(tags) => tags.strip_prefix('#')?.split(',').map(|tag| tag.split_once(':')).collect::<Option<_>>()?,
        None => Vec::new(),
    };
    let are_valid = tags.iter().all(|(name, value)| is_name(name) && is_tag(value));
    let is_valid = is_name(name) && is_number && matches!(kind, "c" | "g") && are_valid;
    is_valid.then_some((name, value.parse().ok()?, kind, tags))
}

#[test]
fn every_line_is_accepted_and_has_its_value() {
    let registry = everything();
    let datagrams = datagrams(&registry, |statsd| statsd.prefix("a prefix.of/ours"));
    let server = StatsDServer::started();
    let statsd = StatsD::new(server.address()).registry(&registry).prefix("a prefix.of/ours");
    let mut counters: BTreeMap<&str, f64> = BTreeMap::new();
    let mut gauges: BTreeMap<&str, f64> = BTreeMap::new();
    for line in datagrams.iter().flat_map(|datagram| datagram.lines()) {
        let (name, value) = line.split_once(':').expect("a name and a value");
        let (value, kind) = value.split_once('|').expect("a type");
        let value: f64 = value.parse().expect("a number");
        match kind {
            "c" => *counters.entry(name).or_default() += value,
            "g" => drop(gauges.insert(name, value)),
            _ => panic!("{line}"),
        }
    }
    assert!(counters.len() >= 25 && gauges.len() >= 15, "{datagrams:?}");
    assert_eq!(gauges["a_prefix.of_ours.level.of.low"], -12.625);
    assert_eq!(gauges["a_prefix.of_ours.odd.exported_name.z.name.x_y.quantile.0_5"], -1.5);
    // The second push changes only negative gauges, to the same values.
    for _ in 0..2 {
        statsd.push().expect("it is sent");
        for (kind, values) in [("counters", &counters), ("gauges", &gauges)] {
            for (name, value) in values {
                server.shows(kind, name, *value);
            }
        }
    }
    assert_eq!(server.bad_lines(), 0.0);
    // Verify that the server reports lines that it cannot read.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.send_to(b"a:NaN|g\nb:x|c", server.address()).expect("sent");
    wait_for("two bad lines", || (server.bad_lines() == 2.0).then_some(()));
}

#[test]
fn datadog_lines_follow_the_grammar() {
    let registry = everything();
    let datagrams = datagrams(&registry, |statsd| statsd.prefix("shop").datadog());
    assert!(datagrams.iter().all(|datagram| datagram.len() <= 1_432), "{datagrams:?}");
    let lines: Vec<Line<'_>> = datagrams
        .iter()
        .flat_map(|datagram| datagram.split('\n'))
        .map(|line| parse(line).unwrap_or_else(|| panic!("{line:?} is invalid")))
        .collect();
    let values = |name: &str, kind: &str, tags: &[(&str, &str)]| -> Vec<f64> {
        let is_same = |line: &&Line<'_>| line.0 == name && line.2 == kind && line.3 == tags;
        lines.iter().filter(is_same).map(|line| line.1).collect()
    };
    assert_eq!(values("shop.jobs_total", "c", &[]), [(1_u64 << 60) as f64]);
    for (number, value) in VALUES.iter().enumerate() {
        let tag = value.replace(['|', ',', '#', '\n'], "_");
        let tags = [("of", tag.as_str())];
        let tags = if value.is_empty() { &[][..] } else { &tags };
        for (name, kind) in [("shop.parts_total", "c"), ("shop.level", "g")] {
            assert_eq!(values(name, kind, tags), [number as f64 + 0.25], "{name} {value}");
        }
    }
    for (of, value) in [("max", f64::MAX), ("min", f64::MIN), ("low", -12.625), ("tiny", -5e-324), ("zero", 0.0)] {
        // A negative gauge is first set to 0.
        let expected = if value < 0.0 { vec![0.0, value] } else { vec![value] };
        assert_eq!(values("shop.level", "g", &[("of", of)]), expected);
    }
    let labels = [("method", "GET"), ("path", "/users/{id}")];
    assert_eq!(values("shop.latency_seconds_count", "c", &labels), [1.0]);
    assert_eq!(values("shop.latency_seconds_sum", "c", &labels), [0.125]);
    let buckets = ["0.001", "1.0", "1e+06", "+Inf"].map(|le| values("shop.size_bytes_bucket", "c", &[("le", le)]));
    assert_eq!(buckets.concat(), [1.0; 4]);
    assert_eq!(values("shop.size_bytes_sum", "c", &[]), [-3.0]);
    let odd = [("exported_name", "z"), ("name", "x y"), ("quantile", "0.5")];
    assert_eq!(values("shop.odd", "g", &odd), [0.0, -1.5]);
    assert_eq!(values("shop.odd_sum", "c", &odd[..2]), [-3.5]);
    assert_eq!(values("shop.odd_untyped", "g", &[]), [1e300]);
    // Verify that the parser detects violations.
    for line in ["a:1", "a:1|x", "a:x|c", "a:1|c|#", "a:1|c|#a", "a:1|c|a:b", "a-b:1|c", "a:1|c|#a:", "a:1|c|#a:b|#c:d"]
    {
        assert_eq!(parse(line), None);
    }
}

/// Returns the number of pushes with this outcome in this process.
fn pushes(target: &str, outcome: &str) -> f64 {
    let name = format!("metrics_core_push_total{{target=\"{target}\",outcome=\"{outcome}\"}} ");
    let text = Registry::global().to_text();
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).expect("it is there")
}

#[test]
fn nothing_is_lost_while_the_server_restarts() {
    let registry = Registry::new();
    let counter = Counter::builder("kept_total", "").register_in(&registry).expect("valid");
    let level = Gauge::builder("level", "").register_in(&registry).expect("valid");
    let mut server = StatsDServer::new();
    // The server is not running yet.
    let statsd = StatsD::new(server.address()).registry(&registry).name("statsd_comes_and_goes");
    let pusher = statsd.start(Duration::from_millis(200)).expect("a thread");
    counter.inc_by(7);
    level.set(-1);
    let mut received = 0.0;
    for round in 2..6_u32 {
        let failed = pushes("statsd_comes_and_goes", "error");
        wait_for("a push that fails", || (pushes("statsd_comes_and_goes", "error") >= failed + 2.0).then_some(()));
        server.start();
        // The increments during the outage, and those after the restart.
        server.shows("counters", "kept_total", counter.value() - received);
        server.shows("gauges", "level", level.value());
        counter.inc_by(round);
        server.shows("counters", "kept_total", counter.value() - received);
        received = counter.value();
        // A killed server forgets its values.
        server.kill();
        counter.inc_by(round * 10);
        level.set(-f64::from(round));
    }
    // The last push succeeds even though the server starts only during `shutdown`.
    let ending = thread::spawn(move || pusher.shutdown());
    server.start();
    ending.join().expect("no panic").expect("it is sent");
    server.shows("counters", "kept_total", counter.value() - received);
    assert_eq!(server.bad_lines(), 0.0);
}
