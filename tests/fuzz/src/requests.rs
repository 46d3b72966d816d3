//! Bytes of requests to the built-in server: it never panics, sends at most one response for each request, of which
//! only the last can be incomplete, and serves the next scrape.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics_core::{Counter, HttpServer, Registry};
use socket2::SockRef;

use crate::input::Source;

/// The number of inputs between two scrapes that must succeed.
const SCRAPE_EVERY: u64 = 64;
/// The maximum duration of each read. A server that has read everything responds or closes the connection at once.
const LONG: Duration = Duration::from_secs(20);

/// Two servers: without and with credentials.
static SERVERS: LazyLock<[HttpServer; 2]> = LazyLock::new(|| {
    let registry = Registry::new();
    Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid").inc_by(3);
    let builder = HttpServer::builder().registry(&registry);
    let open = builder.clone().start("127.0.0.1:0").expect("a free port");
    let closed = builder.basic_auth("user", "pa:ss").start("127.0.0.1:0").expect("a free port");
    [open, closed]
});

const LINES: [&str; 22] = [
    "GET /metrics HTTP/1.1",
    "HEAD /metrics HTTP/1.1",
    "GET / HTTP/1.1",
    "GET /metrics?name[]=jobs HTTP/1.1",
    "GET /metrics HTTP/1.0",
    "POST /metrics HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "CONNECT a:80 HTTP/1.1",
    "GET http://h/metrics HTTP/1.1",
    "GET /?snapshot HTTP/1.1",
    "GET /?dashboard HTTP/1.1",
    "GET /?rules HTTP/1.1",
    "GET /healthz HTTP/1.1",
    "PRI * HTTP/2.0",
    "get /metrics http/1.1",
    "GET  /metrics HTTP/1.1",
    "GET /metrics?\u{e9}=%zz HTTP/1.1",
    "GET /metrics HTTP/1.12",
    "GET /metrics",
    "TRACE / HTTP/1.1",
    "GET /metrics/ HTTP/1.1",
    "GET //metrics HTTP/1.1",
];
const HEADERS: [&str; 28] = [
    "Host: 127.0.0.1",
    "Host: evil.example",
    "Connection: close",
    "Connection: keep-alive, upgrade",
    "Upgrade: h2c",
    "Content-Length: 5",
    "Content-Length: 5, 5",
    "Content-Length: 18446744073709551616",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Expect: 100-continue",
    "Accept: application/openmetrics-text",
    "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    "Accept-Encoding: gzip",
    "Authorization: Basic dXNlcjpwYTpzcw==",
    "Authorization: basic  dXNlcjpwYTpzcw== ",
    "Authorization: Bearer x",
    "Authorization: \u{e9}",
    "X-Prometheus-Scrape-Timeout-Seconds: 0.001",
    "Origin: http://evil.example",
    "Range: bytes=0-1",
    "If-None-Match: *",
    "Sec-Fetch-Site: cross-site",
    "Host:",
    " folded",
    ": empty",
    "Cookie: a=b",
    "Content-Length: -1",
];
const BODIES: [&str; 6] = ["", "hello", "5\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\n", "0\r\na: b\r\n\r\n", "\r\n"];

/// Sends one input on one connection.
pub fn run(data: &[u8]) {
    static INPUTS: AtomicU64 = AtomicU64::new(0);
    let mut source = Source::new(data);
    let server = &SERVERS[source.below(2)];
    let bytes = if source.one_in(4) { source.rest().to_vec() } else { requests(&mut source) };
    let response = exchange(server, &bytes, source.one_in(8));
    let count = responses(&response, contains(&bytes, b"HEAD "));
    // The server also accepts lines that end with a line feed only. An incomplete head can get a response.
    let heads = [&b"\n\n"[..], b"\n\r\n"].map(|end| bytes.windows(end.len()).filter(|bytes| *bytes == end).count());
    let text = String::from_utf8_lossy(&response);
    assert!(
        count <= heads.iter().sum::<usize>() + 1,
        "{count} responses to {:?}: {text}",
        String::from_utf8_lossy(&bytes)
    );
    if INPUTS.fetch_add(1, Ordering::Relaxed).is_multiple_of(SCRAPE_EVERY) {
        let scrape =
            b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Basic dXNlcjpwYTpzcw==\r\n\r\n";
        let response = exchange(server, scrape, false);
        let text = String::from_utf8_lossy(&response);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\njobs_total 3\n"), "{text}");
    }
}

/// Returns the number of responses, all of which must be complete, except for the last one. A response to a HEAD
/// request has no body.
fn responses(mut bytes: &[u8], with_head_requests: bool) -> usize {
    let mut count = 0;
    while !bytes.is_empty() {
        let text = || String::from_utf8_lossy(bytes);
        assert!(b"HTTP/1.".starts_with(&bytes[..bytes.len().min(7)]), "{}", text());
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return count + 1 };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status: u16 = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        bytes = &bytes[end + 4..];
        let is_interim = status < 200;
        count += usize::from(!is_interim);
        let header = |name| head.lines().find_map(|line| line.strip_prefix(name));
        let has_body = !(is_interim || status == 204 || status == 304);
        let has_body = has_body && !(with_head_requests && bytes.starts_with(b"HTTP/1."));
        let length = if !has_body {
            Some(0)
        } else if let Some(length) = header("content-length: ") {
            length.parse().ok()
        } else if header("transfer-encoding: chunked").is_some() {
            chunked(bytes)
        } else {
            // The body ends with the connection.
            None
        };
        bytes = length.and_then(|length: usize| bytes.get(length..)).unwrap_or_default();
    }
    count
}

/// Returns the length of a chunked body, or `None` if it is incomplete.
fn chunked(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = bytes.get(at..)?.windows(2).position(|end| end == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).expect("UTF-8");
        let size = usize::from_str_radix(size, 16).expect("the size of a chunk");
        at += line + 2 + size + 2;
        assert_eq!(bytes.get(at - 2..at)?, b"\r\n", "a chunk has another size");
        if size == 0 {
            return Some(at);
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|found| found == part)
}

fn requests(source: &mut Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..=source.below(3) {
        let end = if source.one_in(16) { "\n" } else { "\r\n" };
        let mut line = |text: &[u8]| {
            out.extend_from_slice(text);
            out.extend_from_slice(end.as_bytes());
        };
        line(source.pick(&LINES).as_bytes());
        for _ in 0..source.below(6) {
            match source.byte() % 8 {
                0 => line(source.bytes(40)),
                1 => line(&[source.bytes(12), b": ", source.bytes(40)].concat()),
                _ => line(source.pick(&HEADERS).as_bytes()),
            }
        }
        line(b"");
        out.extend_from_slice(source.pick(&BODIES).as_bytes());
    }
    if source.one_in(8) {
        out.truncate(source.below(200).max(1));
    }
    out
}

/// Sends these bytes in one or two parts, and returns the response.
fn exchange(server: &HttpServer, bytes: &[u8], in_two_parts: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.local_addr()).expect("the server accepts connections");
    // The connection is reset at the end, so that its port is free again at once.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    stream.set_read_timeout(Some(LONG)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    let (first, second) = bytes.split_at(if in_two_parts { bytes.len() / 2 } else { bytes.len() });
    // The server may close the connection before it has read everything.
    let _ =
        stream.write_all(first).and_then(|()| stream.write_all(second)).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut response = Vec::new();
    match stream.read_to_end(&mut response) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(bytes)),
    }
    response
}
