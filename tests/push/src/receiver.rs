//! An HTTP server that follows a script: the first connection gets the first reply, and so on. After the script, each
//! request is read and gets status 200.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Channel, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// The maximum duration of each wait in these tests.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The reaction to one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// Reads the request and responds with these bytes.
    Responds(&'static str),
    /// Responds with these bytes immediately and closes the connection without reading the request.
    RespondsUnread(&'static str),
    /// Reads nothing, and keeps the connection open.
    ReadsNothing,
    /// Reads the request, and keeps the connection open without a response.
    NeverResponds,
    /// Like [`Reply::Responds`], but keeps the connection open.
    RespondsAndHangs(&'static str),
    /// Responds with an endless header, a byte at a time.
    Drips,
    /// Reads this many bytes, then resets the connection.
    ResetsAfter(usize),
}

/// A request that the server has read.
#[derive(Debug)]
pub(crate) struct Request {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

pub(crate) struct Receiver {
    address: SocketAddr,
    requests: Channel<Request>,
}

impl Receiver {
    pub(crate) fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, requests) = channel();
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, script) = (sender.clone(), Arc::clone(&script));
                thread::spawn(move || serve(stream, &script, &sender));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the next request that was read completely.
    pub(crate) fn request(&self) -> Request {
        self.requests.recv_timeout(LONG).expect("a request")
    }

    /// Returns the next request that was read completely, if there is one already.
    pub(crate) fn try_request(&self) -> Option<Request> {
        self.requests.try_recv().ok()
    }

    /// Returns the number of requests that were read but not yet returned.
    pub(crate) fn unseen(&self) -> usize {
        self.requests.try_iter().count()
    }
}

/// Serves a connection. Errors only mean that the client has closed it.
fn serve(mut stream: TcpStream, script: &Mutex<VecDeque<Reply>>, requests: &Sender<Request>) {
    let reply = script.lock().expect("no panic").pop_front();
    let reply = reply.unwrap_or(Reply::Responds(OK));
    match reply {
        Reply::Responds(response) => {
            while let Some(request) = read_request(&mut stream) {
                requests.send(request).ok();
                stream.write_all(response.as_bytes()).ok();
                if script.lock().expect("no panic").front().is_some() || response != OK {
                    break;
                }
            }
        }
        Reply::RespondsUnread(response) => {
            stream.write_all(response.as_bytes()).ok();
        }
        Reply::ReadsNothing => wait_for_end(&stream),
        Reply::NeverResponds => {
            read_request(&mut stream);
            wait_for_end(&stream);
        }
        Reply::RespondsAndHangs(response) => {
            read_request(&mut stream);
            stream.write_all(response.as_bytes()).ok();
            wait_for_end(&stream);
        }
        Reply::Drips => {
            read_request(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-Drip: ").ok();
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        }
        Reply::ResetsAfter(bytes) => {
            let mut ignored = vec![0; bytes];
            stream.read_exact(&mut ignored).ok();
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        }
    }
}

/// Waits until the client closes the connection, without reading. A peek does not consume anything, and a client that
/// gives up resets the connection, because it has unread data or the server has.
fn wait_for_end(stream: &TcpStream) {
    stream.set_read_timeout(Some(LONG)).expect("a socket");
    let mut all = vec![0; 1 << 20];
    let mut last = usize::MAX;
    while let Ok(len) = stream.peek(&mut all) {
        if len == 0 {
            break;
        }
        if len == last {
            thread::sleep(Duration::from_millis(5));
        }
        last = len;
        if stream.take_error().is_ok_and(|error| error.is_some()) {
            break;
        }
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        read_more(stream, &mut bytes)?;
    };
    let mut request = Request { head: String::from_utf8(bytes[..end].to_vec()).expect("ASCII"), body: Vec::new() };
    let len: usize = request.header("content-length").unwrap_or("0").parse().expect("a number");
    while bytes.len() < end + len {
        read_more(stream, &mut bytes)?;
    }
    request.body = bytes[end..].to_vec();
    Some(request)
}

fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut more = [0; 4_096];
    match stream.read(&mut more) {
        Ok(0) | Err(_) => None,
        Ok(len) => {
            bytes.extend_from_slice(&more[..len]);
            Some(())
        }
    }
}
