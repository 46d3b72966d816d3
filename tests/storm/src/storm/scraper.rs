//! Well-behaved scrapers, which send a request once a second and expect the whole response within that second.

use std::io::{self, Read, Write};
use std::iter::Sum;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::server::Server;

/// The number of series that each response must contain.
const SERIES: usize = 2_000;
const SECOND: Duration = Duration::from_secs(1);
/// The time after which a scrape is given up. It is longer than a second to measure late responses.
const TIMEOUT: Duration = Duration::from_secs(10);

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// A scraper with a new connection for each scrape, or with a persistent one.
pub(crate) struct Scraper {
    name: &'static str,
    addr: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    is_persistent: bool,
    kept: Option<Box<dyn Stream>>,
}

/// A response, and whether it took a second connection because the server had closed the first one.
pub(crate) struct Scrape {
    pub(crate) text: String,
    has_reconnected: bool,
}

/// The outcomes of scrapes.
#[derive(Default)]
pub(crate) struct Scrapes {
    pub(crate) asked: u64,
    pub(crate) in_time: u64,
    /// The number of scrapes without a complete response with status 200.
    pub(crate) failed: u64,
    pub(crate) slowest: Duration,
    pub(crate) reconnects: u64,
    pub(crate) failures: Vec<String>,
}

impl Scraper {
    /// Returns four scrapers: without and with TLS, each with new and with persistent connections.
    pub(crate) fn all(server: &Server) -> Vec<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("possible").with_root_certificates(server.authority.clone()).with_no_client_auth();
        let tls = Some(Arc::new(config));
        let scraper = |name, is_persistent, tls: Option<_>| {
            let addr = if tls.is_some() { server.tls } else { server.plain };
            Self { name, addr, tls, is_persistent, kept: None }
        };
        vec![
            scraper("new", false, None),
            scraper("kept", true, None),
            scraper("new, TLS", false, tls.clone()),
            scraper("kept, TLS", true, tls),
        ]
    }

    /// Scrapes at the start of each second until `until`.
    pub(crate) fn scrape_until(&mut self, until: Instant) -> Scrapes {
        let mut scrapes = Scrapes::default();
        let mut next = Instant::now();
        while next < until {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let start = Instant::now();
            let scrape = self.scrape();
            let time = start.elapsed();
            scrapes.asked += 1;
            scrapes.slowest = scrapes.slowest.max(time);
            let is_in_time = time < SECOND;
            match scrape {
                Ok(scrape) => {
                    scrapes.reconnects += u64::from(scrape.has_reconnected);
                    scrapes.in_time += u64::from(is_in_time);
                    if !is_in_time {
                        scrapes.failures.push(format!("{}: took {} ms", self.name, time.as_millis()));
                    }
                }
                Err(error) => {
                    scrapes.failed += 1;
                    scrapes.failures.push(format!("{}: {error} after {} ms", self.name, time.as_millis()));
                }
            }
            next += SECOND;
        }
        scrapes
    }

    /// Scrapes once. If the server has closed the persistent connection before the first byte of its response, opens a
    /// new one, as Prometheus does. At its limit on connections, the server may close one that waits for a request.
    /// A response with an error, or an incomplete response, is never repeated.
    pub(crate) fn scrape(&mut self) -> io::Result<Scrape> {
        let kept = self.kept.take();
        let has_kept = kept.is_some();
        if let Some(mut stream) = kept
            && let Ok(begin) = send(&mut *stream, true)
        {
            let text = receive(&mut *stream, begin)?;
            self.kept = Some(stream);
            return Ok(Scrape { text, has_reconnected: false });
        }
        let mut stream = self.connect()?;
        let begin = send(&mut *stream, self.is_persistent)?;
        let text = receive(&mut *stream, begin)?;
        self.kept = self.is_persistent.then_some(stream);
        Ok(Scrape { text, has_reconnected: has_kept })
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect_timeout(&self.addr, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }
}

impl Sum for Scrapes {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, scrapes| {
            sum.failures.extend(scrapes.failures);
            Self {
                asked: sum.asked + scrapes.asked,
                in_time: sum.in_time + scrapes.in_time,
                failed: sum.failed + scrapes.failed,
                slowest: sum.slowest.max(scrapes.slowest),
                reconnects: sum.reconnects + scrapes.reconnects,
                failures: sum.failures,
            }
        })
    }
}

/// Sends a request and returns the first bytes of the response.
fn send(stream: &mut dyn Stream, is_persistent: bool) -> io::Result<Vec<u8>> {
    let connection = if is_persistent { "keep-alive" } else { "close" };
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    read_more(stream, &mut bytes)?;
    Ok(bytes)
}

/// Reads the rest of a response. Returns an error if any part of it is missing.
fn receive(stream: &mut dyn Stream, mut bytes: Vec<u8>) -> io::Result<String> {
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        read_more(stream, &mut bytes)?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
    if !text.starts_with("http/1.1 200") {
        return Err(io::Error::other(text.lines().next().unwrap_or_default().to_owned()));
    }
    let mut body = bytes.split_off(head + 4);
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    match length {
        Some(length) => {
            while body.len() < length {
                read_more(stream, &mut body)?;
            }
        }
        None => body = read_chunks(stream, body)?,
    }
    let text = String::from_utf8(body).map_err(io::Error::other)?;
    let series = text.lines().filter(|line| line.starts_with("storm_items_total{")).count();
    if series == SERIES { Ok(text) } else { Err(io::Error::other(format!("{series} series"))) }
}

/// Reads chunks up to the last one, which is empty, and returns their contents.
fn read_chunks(stream: &mut dyn Stream, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = bytes[at..].windows(2).position(|window| window == b"\r\n") else {
            read_more(stream, &mut bytes)?;
            continue;
        };
        let size = std::str::from_utf8(&bytes[at..at + line]).map_err(io::Error::other)?;
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let begin = at + line + 2;
        while bytes.len() < begin + size + 2 {
            read_more(stream, &mut bytes)?;
        }
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&bytes[begin..begin + size]);
        at = begin + size + 2;
    }
}

fn read_more(stream: &mut dyn Stream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut some = [0; 65_536];
    match stream.read(&mut some)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            bytes.extend_from_slice(&some[..read]);
            Ok(())
        }
    }
}
