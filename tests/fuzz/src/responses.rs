//! Responses of receivers: no response makes a push panic or last long, errors are short and contain no credentials,
//! and only a success counts as one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use metrics_core::{Gauge, Otlp, PushError, Pushgateway, Registry, RemoteWrite};
use prost::Message;

use crate::input::Source;

// The reader of a response's body is also called directly, because a response over a socket takes much longer.
#[path = "../../../metrics-core/src/export/otlp/response.rs"]
mod response;

use response::PartialSuccess;

/// The user name and the password of the URL, and both as encoded in the header.
const OF_USER: [&str; 3] = ["alice", "pa:ss wörd", "YWxpY2U6cGE6c3Mgd8O2cmQ="];
const OF_TOKEN: [&str; 1] = ["t0ken-value"];
const OF_QUERY: [&str; 2] = ["query-secret", "query%2Dsecret"];

const STATUSES: [&str; 16] = [
    "200 OK",
    "204 No Content",
    "202 Accepted",
    "400 Bad Request",
    "401 ",
    "404",
    "429 Slow down",
    "500 X",
    "503 Busy",
    "301 Moved",
    "307 X",
    "100 Continue",
    "99 X",
    "600 X",
    "x",
    "299 \u{e9}",
];
const HEADERS: [&str; 24] = [
    "Retry-After: 1",
    "Retry-After: 0",
    "Retry-After: -1",
    "Retry-After: 18446744073709551615",
    "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT",
    "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
    "Retry-After: \u{e9}",
    "Content-Length: 3",
    "Content-Length: 99999999999",
    "Content-Length: x",
    "Transfer-Encoding: chunked",
    "Content-Encoding: gzip",
    "Content-Type: application/x-protobuf",
    "Connection: close",
    "Connection: keep-alive",
    "Location: http://127.0.0.1:1/",
    "Location: \u{e9}",
    "Set-Cookie: a=b",
    "no colon",
    ": empty",
    "X-Prometheus-Remote-Write-Samples-Written: 1",
    "WWW-Authenticate: Basic",
    "Date: x",
    " folded",
];
const BODIES: [&str; 17] = [
    "",
    "ok",
    "user alice is unknown",
    "error: pa:ss wörd",
    "t0ken-value",
    "a t0ken-value b Bearer t0ken-value",
    "query-secret query%2Dsecret",
    "YWxpY2U6cGE6c3Mgd8O2cmQ=",
    "\n\n  first line \nsecond",
    "native histograms are disabled",
    "out of order sample",
    "3\r\nabc\r\n0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "pa:ss wö\trd",
    "\u{1b}[31mred",
    "\u{7}\u{0}",
    "<html>",
];

/// The response of a receiver that the `opentelemetry-proto` repository defines.
#[derive(Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial: Option<Partial>,
}

#[derive(Message)]
struct Partial {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    message: String,
}

/// The receiver: its address, and the channel for the next response.
static RECEIVER: LazyLock<(SocketAddr, Mutex<Sender<Vec<u8>>>)> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (sender, responses) = channel::<Vec<u8>>();
    std::thread::spawn(move || {
        let mut response = Vec::new();
        for mut stream in listener.incoming().flatten() {
            // A push that repeats a request gets the same response again.
            if let Some(next) = responses.try_iter().last() {
                response = next;
            }
            let mut request = [0; 8_192];
            let mut received = Vec::new();
            while !is_whole(&received) {
                match stream.read(&mut request) {
                    Ok(0) | Err(_) => break,
                    Ok(len) => received.extend_from_slice(&request[..len]),
                }
            }
            stream.write_all(&response).ok();
        }
    });
    (address, Mutex::new(sender))
});

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let registry = Registry::new();
    Gauge::builder("level", "Level.").register_in(&registry).expect("valid").set(1);
    registry
});

/// Sends one response.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    // Most inputs are bodies, which need no socket.
    if !source.one_in(16) {
        return body(source.rest());
    }
    let response = if source.one_in(4) { source.bytes(255).to_vec() } else { response(&mut source) };
    let (address, responses) = &*RECEIVER;
    responses.lock().expect("no panic").send(response.clone()).expect("the receiver runs");
    let url = format!("http://{address}/path?a=query%2Dsecret");
    let with_user = format!("http://alice:pa:ss%20w%C3%B6rd@{address}/path?a=query%2Dsecret");
    let (registry, timeout) = (&*REGISTRY, Duration::from_millis(500));
    let begin = Instant::now();
    let (pushed, secrets): (_, &[&str]) = match source.byte() % 3 {
        0 => (Pushgateway::new(with_user, "job").registry(registry).timeout(timeout).push(), &OF_USER),
        1 => {
            let target = RemoteWrite::new(url).registry(registry).timeout(timeout);
            (target.bearer_token(|| Ok("t0ken-value".to_owned())).push(), &OF_TOKEN)
        }
        _ => {
            let target = Otlp::with_url(url).registry(registry).timeout(timeout);
            (target.header("authorization", "Bearer t0ken-value").push(), &OF_TOKEN)
        }
    };
    assert!(begin.elapsed() < Duration::from_secs(20), "the push ignores its timeout");
    check(pushed, secrets, &response);
}

fn check(pushed: Result<(), PushError>, secrets: &[&str], response: &[u8]) {
    let shown = String::from_utf8_lossy(response);
    let Err(error) = pushed else {
        let status = shown.split_once(' ').map_or("", |(_, rest)| rest);
        assert!(
            shown.starts_with("HTTP/1.") && (status.starts_with('2') || shown.contains(" 100 ")),
            "{shown:?} succeeds"
        );
        return;
    };
    let message = error.to_string();
    for secret in secrets.iter().chain(&OF_QUERY) {
        assert!(!message.contains(secret), "{message:?} contains {secret:?}");
    }
    assert!(message.chars().count() < 600, "{message:?} is long");
    assert!(!message.contains(char::is_control), "{message:?} contains a control character");
    assert!(message.split(' ').count() > 3, "{message:?} is not a sentence");
}

fn response(source: &mut Source<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line = |text: &[u8]| {
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    };
    line(
        format!(
            "{} {}",
            source.pick(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2", "http/1.1"]),
            source.pick(&STATUSES)
        )
        .as_bytes(),
    );
    for _ in 0..source.below(5) {
        match source.byte() % 8 {
            0 => line(source.bytes(40)),
            _ => line(source.pick(&HEADERS).as_bytes()),
        }
    }
    line(b"");
    for _ in 0..source.below(4) {
        out.extend_from_slice(source.pick(&BODIES).as_bytes());
    }
    out.extend_from_slice(source.bytes(100));
    out
}

/// Returns true if this is a whole request.
fn is_whole(received: &[u8]) -> bool {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    received.len() >= end + 4 + length.unwrap_or(0)
}

/// Reads the body of a response. A valid message has the meaning that `prost` finds in it.
fn body(body: &[u8]) {
    let read = PartialSuccess::read(body);
    let Ok(expected) = ExportResponse::decode(body) else { return };
    let expected = expected.partial.unwrap_or_default();
    let message: String = expected.message.chars().filter(|c| !c.is_control()).collect();
    assert_eq!(read, PartialSuccess { rejected: u64::try_from(expected.rejected).unwrap_or_default(), message });
}
