//! Pushes over StatsD, in both dialects: the lines in the datagrams are exactly the samples of a model.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::LazyLock;
use std::time::Duration;

use metrics_core::{Registry, StatsD};
use statsdproto::statsd::StatsdPDU;

use crate::model::{Flat, Model, bits};

/// Pushes the model of a registry once.
pub(crate) fn check(model: &Model, registry: &Registry, datadog: bool) {
    assert_eq!(received(registry, datadog), expected(model, datadog), "Datadog: {datadog}");
}

/// Returns the lines of the datagrams of a push.
fn received(registry: &Registry, datadog: bool) -> Vec<String> {
    static SOCKET: LazyLock<UdpSocket> = LazyLock::new(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        socket
    });
    let address = SOCKET.local_addr().expect("an address");
    let target = StatsD::new(address.to_string()).registry(registry).prefix("p");
    let target = if datadog { target.datadog() } else { target };
    target.push().expect("it is sent");
    // Datagrams on the loopback interface arrive in order.
    SOCKET.send_to(b"end", address).expect("sent");
    let mut buffer = [0; 2_000];
    let mut lines = Vec::new();
    loop {
        let size = SOCKET.recv(&mut buffer).expect("a datagram");
        if &buffer[..size] == b"end" {
            return lines;
        }
        for line in buffer[..size].split(|byte| *byte == b'\n') {
            let read =
                StatsdPDU::new(line.to_vec().into()).unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(line)));
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
            let value: f64 = text(read.value()).parse().expect("a number");
            assert!(read.sample_rate().is_none());
            let tags = read.tags().map(text).unwrap_or_default();
            lines.push(format!("{}|{}|{tags}|{}", text(read.name()), text(read.pdu_type()), bits(value)));
        }
    }
}

fn expected(model: &Model, datadog: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut gauges = BTreeSet::new();
    for Flat { family, suffix, labels, bound, value, is_total } in model.samples() {
        let mut pairs = labels.to_vec();
        pairs.extend(bound.map(|(name, value)| (name.to_owned(), canonical(value))));
        pairs.sort();
        let mut name = format!("p.{}{suffix}", valid(family));
        let mut tags = Vec::new();
        for (label, value) in pairs {
            if datadog && !value.is_empty() {
                let value = value.replace(|c: char| matches!(c, '|' | ',' | '#') || c.is_control(), "_");
                tags.push(format!("{label}:{value}"));
            } else if !datadog {
                name += &format!(".{label}.{}", if value.is_empty() { "_".to_owned() } else { valid(&value) });
            }
        }
        let (number, tags) = (value.as_f64(), tags.join(","));
        let kind = if is_total { "c" } else { "g" };
        // The first of two gauges with the same name is sent, even if it cannot be represented.
        let is_first = is_total || gauges.insert((name.clone(), tags.clone()));
        if is_first && number.is_finite() {
            if !is_total && number < 0.0 {
                lines.push(format!("{name}|g|{tags}|{}", bits(0.0)));
            }
            lines.push(format!("{name}|{kind}|{tags}|{}", bits(number)));
        }
    }
    lines
}

/// Returns the text with `_` in place of each character that is invalid in a name.
pub(crate) fn valid(text: &str) -> String {
    text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-', "_")
}

/// Returns a bound in the canonical form of OpenMetrics: as Python writes it, but with an exponent from 10^6 on.
pub(crate) fn canonical(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let (digits, exponent) = format!("{value:e}")
        .split_once('e')
        .map(|(one, other)| (one.to_owned(), other.to_owned()))
        .expect("an exponent");
    let exponent: i32 = exponent.parse().expect("a number");
    if (-4..6).contains(&exponent) { format!("{value:?}") } else { format!("{digits}e{exponent:+03}") }
}
