//! Scrapes over HTTP while everything runs: totals never decrease. Other clients disconnect at random positions.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use flate2::read::GzDecoder;

use crate::failures;
use crate::proto;
use crate::random::Random;
use crate::samples::{Samples, Series, violations};
use crate::text;

/// The number of scrapes that were compared.
pub(crate) static SCRAPES: AtomicU64 = AtomicU64::new(0);
/// The number of scrapes that the client cut off.
pub(crate) static CUTS: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

pub(crate) const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

impl Format {
    fn accept(self) -> &'static str {
        match self {
            Self::Text => "text/plain;version=0.0.4",
            Self::OpenMetrics => "application/openmetrics-text;version=1.0.0",
            Self::Protobuf => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
        }
    }

    pub(crate) fn decode(self, body: &[u8]) -> Result<Samples, String> {
        let as_text = || std::str::from_utf8(body).map_err(|error| error.to_string());
        match self {
            Self::Text => text::parse(as_text()?, false),
            Self::OpenMetrics => text::parse(as_text()?, true),
            Self::Protobuf => proto::exposition(body),
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

fn request(format: Format, timeout: Option<f64>, gzip: bool) -> String {
    let timeout =
        timeout.map_or_else(String::new, |timeout| format!("X-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\n"));
    let gzip = if gzip { "Accept-Encoding: gzip\r\n" } else { "" };
    format!(
        "GET /metrics HTTP/1.1\r\nHost: soak\r\nAccept: {}\r\nConnection: close\r\n{timeout}{gzip}\r\n",
        format.accept()
    )
}

/// Scrapes once, and decodes the samples. Every other scrape is compressed.
pub(crate) fn scrape(address: SocketAddr, format: Format, timeout: Option<f64>) -> Result<Samples, String> {
    let is_compressed = SCRAPES.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
    let mut response = Vec::new();
    connect(address)
        .and_then(|mut stream| {
            stream.write_all(request(format, timeout, is_compressed).as_bytes())?;
            stream.read_to_end(&mut response)
        })
        .map_err(|error| format!("the scrape failed: {error}"))?;
    let mut body = body(&response).ok_or_else(|| {
        let start = String::from_utf8_lossy(&response[..response.len().min(300)]).into_owned();
        format!("not a complete response of {} bytes: {start:?}", response.len())
    })?;
    if is_compressed {
        let mut decompressed = Vec::new();
        GzDecoder::new(&*body).read_to_end(&mut decompressed).map_err(|error| format!("invalid gzip: {error}"))?;
        body = decompressed;
    }
    format.decode(&body)
}

/// Returns the body of a complete response with status 200.
fn body(response: &[u8]) -> Option<Vec<u8>> {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&response[..end]).ok()?.to_ascii_lowercase();
    let (mut rest, mut body) = (&response[end..], Vec::new());
    if !head.starts_with("http/1.1 200 ") {
        return None;
    }
    if !head.contains("transfer-encoding: chunked") {
        let length = head.split("content-length: ").nth(1)?.lines().next()?.parse::<usize>().ok()?;
        return (rest.len() == length).then(|| rest.to_vec());
    }
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        let chunk = rest.get(line + 2..line + 2 + length)?;
        rest = rest[line + 2 + length..].strip_prefix(b"\r\n")?;
        if length == 0 {
            return rest.is_empty().then_some(body);
        }
        body.extend_from_slice(chunk);
    }
}

/// The families whose series are removed, and which may therefore restart at 0.
pub(crate) fn may_restart(series: &Series) -> bool {
    ["soak_tenant_", "soak_sessions_"].iter().any(|family| series.name.starts_with(family))
}

/// Scrapes until `stop`, and checks each scrape on its own and against the previous one.
pub(crate) fn watch(address: SocketAddr, mut random: Random, stop: &AtomicBool) {
    let mut last: HashMap<Series, f64> = HashMap::new();
    while !stop.load(Ordering::Relaxed) {
        let format = random.pick(&FORMATS);
        // Shorter than the collector hangs.
        match scrape(address, format, Some(0.4)) {
            Err(error) => failures::report(format!("{format:?}: {error}")),
            Ok(samples) => {
                violations(&samples)
                    .into_iter()
                    .for_each(|violation| failures::report(format!("{format:?}: {violation}")));
                for (series, sample) in samples {
                    if !sample.grows || may_restart(&series) {
                        continue;
                    }
                    let last = last.entry(series.clone()).or_insert(0.0);
                    if sample.value < *last {
                        failures::report(format!("{format:?}: {series} decreased from {last} to {}", sample.value));
                    }
                    *last = sample.value;
                }
            }
        }
        thread::sleep(Duration::from_millis(random.below(100)));
    }
}

/// Sends parts of requests and reads parts of responses until `stop`.
pub(crate) fn cut(address: SocketAddr, mut random: Random, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let request = request(random.pick(&FORMATS), Some(0.4), random.once_in(2));
        let sent = if random.once_in(4) { random.below(request.len() as u64) as usize } else { request.len() };
        let read = [random.below(300), random.below(200_000)][random.below(2) as usize];
        // The server may close the connection first.
        let result = connect(address).and_then(|mut stream| {
            stream.write_all(&request.as_bytes()[..sent])?;
            if sent == request.len() {
                io::copy(&mut Read::by_ref(&mut stream).take(read), &mut io::sink())?;
            }
            Ok(())
        });
        if result.is_ok() {
            CUTS.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(random.below(60)));
    }
}
