//! A receiver of OTLP with scripted responses.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Channel, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use flate2::read::GzDecoder;
use messages::otlp::{ExportMetricsServiceRequest, Metric};
use metrics_core::{Otlp, Registry};
use prost::Message;

/// A response: the status, headers and body.
pub(super) struct Response(pub(super) &'static str, pub(super) &'static str, pub(super) Vec<u8>);

pub(super) struct Received {
    /// The first line and the headers, in lower case.
    pub(super) head: String,
    /// The length of the body as it was sent.
    pub(super) sent: usize,
    pub(super) request: ExportMetricsServiceRequest,
}

pub(super) struct Receiver {
    pub(super) url: String,
    received: Channel<Received>,
}

impl Receiver {
    /// Starts a receiver that responds with these responses, and then with status 200 and an empty body.
    pub(super) fn start(responses: impl IntoIterator<Item = Response>) -> Self {
        let responses = Arc::new(Mutex::new(responses.into_iter().collect()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sends, received) = channel();
        thread::spawn(move || {
            // A client may keep a connection open while it uses another one.
            for connection in listener.incoming().flatten() {
                let (responses, sends) = (Arc::clone(&responses), sends.clone());
                thread::spawn(move || serve(connection, &responses, &sends));
            }
        });
        Self { url, received }
    }

    /// Returns a target without compression.
    pub(super) fn target(&self, registry: &Registry) -> Otlp {
        Otlp::new(&self.url).registry(registry).gzip(false)
    }

    /// Returns the next request.
    pub(super) fn next(&self) -> Received {
        self.received.recv_timeout(Duration::from_secs(20)).expect("a request")
    }

    /// Returns the number of requests that have not been read.
    pub(super) fn count(&self) -> usize {
        self.received.try_iter().count()
    }
}

impl Received {
    /// Returns the metrics of the only scope.
    pub(super) fn metrics(&self) -> &[Metric] {
        let [resource] = &self.request.resource_metrics[..] else { panic!("one resource") };
        let [scope] = &resource.scope_metrics[..] else { panic!("one scope") };
        &scope.metrics
    }
}

/// Serves the requests on a connection, until the client closes it.
fn serve(connection: TcpStream, responses: &Mutex<VecDeque<Response>>, sends: &Sender<Received>) {
    let mut connection = BufReader::new(connection);
    loop {
        let head: String = connection
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .map(|line| line.to_ascii_lowercase() + "\n")
            .collect();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let Some(length) = length.and_then(|length| length.parse().ok()) else { return };
        let mut body = vec![0; length];
        connection.read_exact(&mut body).expect("the whole body");
        if head.contains("content-encoding: gzip\n") {
            let mut decoded = Vec::new();
            GzDecoder::new(&body[..]).read_to_end(&mut decoded).expect("gzip");
            body = decoded;
        }
        let request = ExportMetricsServiceRequest::decode(&body[..]).expect("a valid message");
        sends.send(Received { head, sent: length, request }).ok();
        let Response(status, headers, body) =
            responses.lock().expect("no panic").pop_front().unwrap_or_else(|| Response("200 OK", "", Vec::new()));
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        connection.get_mut().write_all(&[head.as_bytes(), &body].concat()).ok();
    }
}
