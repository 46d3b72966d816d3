//! A receiver of remote write that keeps the decoded requests.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use messages::remote_write::{Sample, TimeSeries, WriteRequest};
use metrics_core::{Registry, RemoteWrite};
use prost::Message;

/// A receiver that keeps all requests. It responds with the given statuses and texts, and then with 204.
pub(super) struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Request>>>,
}

/// The head and the message of a request.
pub(super) type Request = (String, WriteRequest);

impl Receiver {
    pub(super) fn start(responses: impl IntoIterator<Item = &'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/api/v1/write", listener.local_addr().expect("an address"));
        let received: Arc<Mutex<Vec<Request>>> = Arc::default();
        let mut responses: VecDeque<&'static str> = responses.into_iter().collect();
        let keeps = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = BufReader::new(stream);
                while let Some(request) = read(&mut stream) {
                    keeps.lock().expect("no panic").push(request);
                    let (status, text) = responses.pop_front().unwrap_or("204 ").split_once(' ').expect("a status");
                    let length = text.len();
                    write!(stream.get_mut(), "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{text}").ok();
                }
            }
        });
        Self { url, received }
    }

    pub(super) fn target(&self, registry: &Registry) -> RemoteWrite {
        RemoteWrite::new(&self.url).registry(registry)
    }

    /// Returns the heads and the bodies of the requests since the last call.
    pub(super) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.received.lock().expect("no panic"))
    }

    /// Returns the series of the requests since the last call.
    pub(super) fn series(&self) -> Vec<TimeSeries> {
        self.requests().into_iter().flat_map(|(_, request)| request.timeseries).collect()
    }

    /// Returns the labels of the series since the last call, and the values and bits of their only samples.
    pub(super) fn samples(&self) -> Vec<(String, Sample)> {
        let sample = |series: &TimeSeries| {
            let [sample] = &series.samples[..] else { panic!("{series:?}") };
            (text(series), sample.clone())
        };
        let own = |series: &TimeSeries| !text(series).contains("metrics_core_");
        self.series().iter().filter(|series| own(series)).map(sample).collect()
    }
}

/// Returns the labels as in the text format.
pub(super) fn text(series: &TimeSeries) -> String {
    let pairs = series.labels.iter().map(|label| format!("{}={:?}", label.name, label.value));
    pairs.collect::<Vec<_>>().join(",")
}

/// Reads a request. Returns `None` at the end of the connection.
fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    head.make_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body = snap::raw::Decoder::new().decompress_vec(&body).expect("snappy");
    Some((head, WriteRequest::decode(&body[..]).expect("protobuf")))
}
