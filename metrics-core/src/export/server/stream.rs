//! Stream wrappers that report a connection's progress.
//!
//! With TLS, [`Observed`] wraps the socket and [`Flushed`] wraps the TLS stream. Bytes count as progress once the
//! socket has accepted them. A response counts as sent once the TLS stream has been flushed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection::Phase;
use super::connections::Connection;

/// A plain or TLS stream.
pub(crate) trait IoStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> IoStream for S {}

/// A socket that reports progress whenever the system accepts bytes, and that is reset if it is closed while a response
/// is being sent. Producing a response does not count as progress, because the server may produce it far ahead of a slow
/// client.
///
/// Does not forward vectored writes. The standard library implements them with `writev`, which raises `SIGPIPE` if the
/// client has disconnected. That would terminate a program that does not ignore this signal, such as one whose `main`
/// function is not written in Rust. Other writes do not raise it.
pub(super) struct Observed {
    pub(super) stream: TcpStream,
    pub(super) connection: Arc<Connection>,
}

impl Drop for Observed {
    #[allow(deprecated, reason = "`set_zero_linger` would require tokio 1.50")]
    fn drop(&mut self) {
        // A client that speaks HTTP/1.0, such as a proxy, takes the end of the stream for the end of the response.
        if self.connection.state().phase == Phase::Sending {
            self.stream.set_linger(Some(Duration::ZERO)).ok();
        }
    }
}

/// A stream that reports when it has been flushed. hyper flushes it after writing all buffered data.
pub(super) struct Flushed<S> {
    pub(super) stream: S,
    pub(super) connection: Arc<Connection>,
}

impl AsyncRead for Observed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Observed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.connection.progress();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Flushed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Flushed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.connection.has_flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
