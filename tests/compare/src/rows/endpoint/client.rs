//! A client with minimal overhead: one connection and one buffer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;

/// A client with a persistent connection.
pub(super) struct Client {
    stream: TcpStream,
    request: String,
    buffer: Vec<u8>,
    gzip: bool,
}

/// Measurements from one scrape.
pub(super) struct Scrape {
    pub(super) seconds: f64,
    pub(super) first_byte: f64,
    /// Bytes on the wire, including the response head.
    pub(super) bytes: usize,
}

/// The framing that determines the end of a body.
enum End {
    Length(usize),
    /// The body ends after the last chunk.
    Chunks,
}

impl Client {
    /// Connects to a server. `target` is the path and query of the requests.
    pub(super) fn connect(addr: SocketAddr, target: &str, gzip: bool) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        let encoding = if gzip { "Accept-Encoding: gzip\r\n" } else { "" };
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{encoding}\r\n");
        Ok(Self { stream, request, buffer: vec![0; 1 << 18], gzip })
    }

    /// Scrapes once and discards the response.
    pub(super) fn scrape(&mut self) -> Result<Scrape> {
        self.receive(|_| ())
    }

    /// Scrapes once and returns the number of lines that begin with `prefix`.
    pub(super) fn series(&mut self, prefix: &str) -> Result<usize> {
        let mut all = Vec::new();
        self.receive(|bytes| all.extend_from_slice(bytes))?;
        let at = all.windows(4).position(|window| window == b"\r\n\r\n").context("no head")?;
        let is_chunked = std::str::from_utf8(&all[..at])?.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let mut body = all.split_off(at + 4);
        if is_chunked {
            body = joined(&body)?;
        }
        let mut text = String::new();
        match self.gzip {
            true => GzDecoder::new(&body[..]).read_to_string(&mut text)?,
            false => body.as_slice().read_to_string(&mut text)?,
        };
        Ok(text.lines().filter(|line| line.starts_with(prefix)).count())
    }

    fn receive(&mut self, mut take: impl FnMut(&[u8])) -> Result<Scrape> {
        let start = Instant::now();
        self.stream.write_all(self.request.as_bytes())?;
        let mut first_byte = None;
        // Read the head and any part of the body that arrives with it.
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled)?;
            first_byte.get_or_insert_with(|| start.elapsed().as_secs_f64());
            if let Some(at) = self.buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let end = end_of(std::str::from_utf8(&self.buffer[..head])?)?;
        let mut bytes = filled;
        let mut tail = [0; 5];
        note_tail(&mut tail, &self.buffer[..filled]);
        take(&self.buffer[..filled]);
        while match end {
            End::Length(length) => bytes < head + length,
            End::Chunks => tail != *b"0\r\n\r\n",
        } {
            let read = self.read(0)?;
            note_tail(&mut tail, &self.buffer[..read]);
            take(&self.buffer[..read]);
            bytes += read;
        }
        Ok(Scrape { seconds: start.elapsed().as_secs_f64(), first_byte: first_byte.unwrap_or_default(), bytes })
    }

    fn read(&mut self, from: usize) -> Result<usize> {
        let read = self.stream.read(&mut self.buffer[from..])?;
        ensure!(read > 0, "the server closed the connection");
        Ok(read)
    }
}

/// Updates `tail` to the last five bytes received.
fn note_tail(tail: &mut [u8; 5], bytes: &[u8]) {
    for byte in &bytes[bytes.len().saturating_sub(5)..] {
        tail.rotate_left(1);
        tail[4] = *byte;
    }
}

fn end_of(head: &str) -> Result<End> {
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    let head = head.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return Ok(End::Chunks);
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).context("no length")?;
    Ok(End::Length(length.trim().parse()?))
}

/// Joins the chunks of a chunked body.
fn joined(mut bytes: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let at = bytes.windows(2).position(|window| window == b"\r\n").context("no chunk")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..at])?, 16)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(bytes.get(at + 2..at + 2 + size).context("a chunk is cut off")?);
        bytes = &bytes[at + 4 + size..];
    }
}
