//! A UDP socket, and the number of datagrams that are known to be delivered.
//!
//! If the peer's system refuses a datagram, the local system reports this only at a later operation, without
//! identifying the datagram. On Linux, a loopback address refuses a datagram while it is being sent, so an error that
//! follows immediately concerns that datagram. With any other address, an error may concern any earlier datagram. Those
//! datagrams count as delivered only if no error arrives for a short time after the last one. Otherwise, the next push
//! sends all of their increases again, which may count some of them twice but loses none.
//!
//! A server whose receive buffer is full loses datagrams without an error, so a push pauses after each burst.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use super::super::push::PushContext;

/// The time after which an error about a datagram would have arrived. An error takes one round trip.
const GRACE: Duration = Duration::from_millis(50);
/// The number of bytes to send before a pause: a quarter of the capacity of Linux's default receive buffer for
/// datagrams of the default size.
const BURST: usize = 32 * 1_024;
/// The pause after a burst, in which the server can read the datagrams.
const PAUSE: Duration = Duration::from_millis(10);

/// A UDP socket that is connected to one of the peer's addresses.
pub(super) struct Udp<'p> {
    socket: UdpSocket,
    /// True if the system reports a refused datagram as soon as it has been sent.
    is_prompt: bool,
    /// The peer's addresses that have not been tried.
    others: IntoIter<SocketAddr>,
    sent: u64,
    delivered: u64,
    /// The number of bytes sent since the last pause.
    burst: usize,
    push: &'p PushContext<'p>,
}

/// An error of a UDP socket.
enum UdpError {
    /// The error concerns only the current datagram.
    Current(io::Error),
    /// The error may also concern earlier datagrams.
    Earlier(io::Error),
}

impl<'p> Udp<'p> {
    /// Connects to the first address that the system can reach.
    pub(super) fn connect(addrs: Vec<SocketAddr>, push: &'p PushContext<'p>) -> io::Result<Self> {
        let mut others = addrs.into_iter();
        let (socket, is_prompt) = connect_next(&mut others)?;
        Ok(Self { socket, is_prompt, others, sent: 0, delivered: 0, burst: 0, push })
    }

    /// Sends a datagram.
    pub(super) fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if self.burst >= BURST {
            // A fraction of the time left, so that pauses do not make a push time out.
            thread::sleep(PAUSE.min(self.time_left().unwrap_or_default() / 100));
            self.burst = 0;
        }
        loop {
            let error = match self.try_send(datagram) {
                Ok(()) => {
                    self.burst += datagram.len();
                    self.sent += 1;
                    if self.is_prompt {
                        self.delivered = self.sent;
                    }
                    return Ok(());
                }
                Err(UdpError::Current(error)) => {
                    if self.sent > self.delivered {
                        // If there is an error about the earlier datagrams as well, they do not count as delivered.
                        let _ = self.settle();
                    }
                    error
                }
                Err(UdpError::Earlier(error)) => {
                    if self.is_prompt {
                        self.delivered = self.sent.saturating_sub(1);
                    }
                    error
                }
            };
            if self.sent > 0 {
                return Err(error);
            }
            // A name such as `localhost` may have an address on which the server is not listening.
            let Ok(next) = connect_next(&mut self.others) else { return Err(error) };
            (self.socket, self.is_prompt) = next;
        }
    }

    /// Returns the number of datagrams that count as delivered.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    fn try_send(&self, datagram: &[u8]) -> Result<(), UdpError> {
        let send = || {
            self.socket.set_write_timeout(Some(self.time_left()?))?;
            self.socket.send(datagram)
        };
        if let Err(error) = uninterrupted(send) {
            // The system reports an earlier error only once, so an error that occurs again concerns this datagram.
            let is_earlier = uninterrupted(send).is_ok();
            return Err(if is_earlier { UdpError::Earlier(error) } else { UdpError::Current(error) });
        }
        let is_first_try = self.sent == 0 && self.others.len() > 0;
        let waited = if is_first_try { self.expect_no_error() } else { self.check() };
        waited.map_err(|error| if self.is_prompt { UdpError::Current(error) } else { UdpError::Earlier(error) })
    }

    /// Returns the time left to send, which excludes the time to wait for errors.
    fn time_left(&self) -> io::Result<Duration> {
        let left = self.push.time_left()?.saturating_sub(self.grace());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Returns the time to wait for an error after the last datagram.
    fn grace(&self) -> Duration {
        if self.is_prompt { Duration::ZERO } else { GRACE }
    }

    /// Waits until an error about the datagrams sent so far would have arrived. Without an error, they count as
    /// delivered.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.expect_no_error()?;
        self.delivered = self.sent;
        Ok(())
    }

    fn expect_no_error(&self) -> io::Result<()> {
        self.expect_no_error_for(self.grace().min(self.push.time_left().unwrap_or_default()))
    }

    fn expect_no_error_for(&self, time: Duration) -> io::Result<()> {
        self.check()?;
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.socket.set_read_timeout(Some(left))?;
            // A pending error ends the wait for an answer, which StatsD servers never send.
            match self.socket.recv(&mut [0; 512]) {
                Ok(_) => {}
                Err(error) if is_retry(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the pending error, if there is one.
    fn check(&self) -> io::Result<()> {
        self.socket.take_error()?.map_or(Ok(()), Err)
    }
}

/// Connects to the first of these addresses that the system can reach. Returns the socket, and true if the system
/// reports a datagram that this address refuses as soon as it has been sent.
fn connect_next(addrs: &mut IntoIter<SocketAddr>) -> io::Result<(UdpSocket, bool)> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for addr in addrs {
        match connect(addr) {
            Ok(socket) => return Ok((socket, cfg!(target_os = "linux") && addr.ip().is_loopback())),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn connect(addr: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr =
        if addr.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(addr)?;
    refuse_itself(socket, addr)
}

/// Returns an error if the socket is connected to itself.
///
/// This happens if no server uses the port and the system assigns that port to the client.
fn refuse_itself(socket: UdpSocket, addr: SocketAddr) -> io::Result<UdpSocket> {
    if socket.local_addr()? == addr { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(socket) }
}

/// Repeats an operation that a signal interrupts.
pub(super) fn uninterrupted<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Returns true if a read ended because of its timeout or a signal.
fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    const LONG: Duration = Duration::from_secs(20);

    fn server() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let addr = socket.local_addr().expect("an address");
        (socket, addr)
    }

    /// Runs `test` with a socket that is connected to this address.
    fn with_socket(addr: SocketAddr, is_prompt: bool, test: impl FnOnce(&mut Udp<'_>)) {
        let registry = Registry::new();
        let push = PushContext::new(&registry, "statsd", Instant::now() + LONG);
        let mut udp = Udp::connect(vec![addr], &push).expect("an address of this host");
        udp.is_prompt = is_prompt;
        test(&mut udp);
    }

    fn refused(result: io::Result<()>) {
        assert_eq!(result.expect_err("it is refused").kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_prompt_error_concerns_only_the_current_datagram() {
        let (server, addr) = server();
        with_socket(addr, true, |udp| {
            for sent in 1..=3 {
                udp.send(b"a:1|c").expect("sent");
                assert_eq!(udp.delivered(), sent);
            }
            drop(server);
            refused(udp.send(b"a:1|c"));
            assert_eq!(udp.delivered(), 3);
        });
    }

    #[test]
    fn a_late_error_concerns_all_datagrams() {
        let (server, addr) = server();
        with_socket(addr, false, |udp| {
            udp.send(b"a:1|c").expect("sent");
            drop(server);
            refused(udp.send(b"a:1|c"));
            assert_eq!(udp.delivered(), 0);
        });
    }

    #[test]
    fn datagrams_are_delivered_if_no_error_follows() {
        let (_server, addr) = server();
        with_socket(addr, false, |udp| {
            udp.send(b"a:1|c").expect("sent");
            udp.send(b"a:1|c").expect("sent");
            assert_eq!(udp.delivered(), 0);
            let begin = Instant::now();
            udp.settle().expect("no error");
            assert!(begin.elapsed() >= GRACE);
            assert_eq!(udp.delivered(), 2);
        });
    }

    #[test]
    fn an_error_during_the_wait_is_found() {
        let (server, addr) = server();
        with_socket(addr, false, |udp| {
            udp.send(b"a:1|c").expect("sent");
            drop(server);
            let other = udp.socket.try_clone().expect("a handle");
            let later = thread::spawn(move || {
                thread::sleep(GRACE / 10);
                other.send(b"a:1|c").expect("sent");
            });
            refused(udp.expect_no_error_for(LONG));
            later.join().expect("no panic");
        });
    }

    #[test]
    fn an_error_that_the_next_datagram_reports_concerns_the_previous_one() {
        for (is_prompt, delivered) in [(true, 1), (false, 0)] {
            let (server, addr) = server();
            with_socket(addr, is_prompt, |udp| {
                udp.send(b"a:1|c").expect("sent");
                udp.send(b"a:1|c").expect("sent");
                drop(server);
                // Unlike `Udp::send`, this does not check for an error.
                udp.socket.send(b"a:1|c").expect("sent");
                refused(udp.send(b"a:1|c"));
                assert_eq!(udp.delivered(), delivered);
            });
        }
    }

    #[test]
    fn a_datagram_that_cannot_be_sent_does_not_concern_the_others() {
        for is_prompt in [true, false] {
            let (_server, addr) = server();
            with_socket(addr, is_prompt, |udp| {
                udp.send(b"a:1|c").expect("sent");
                udp.send(&vec![b'x'; 100_000]).expect_err("it is too large");
                assert_eq!(udp.delivered(), 1);
            });
        }
    }

    #[test]
    fn time_to_wait_for_errors_is_left_after_a_timeout() {
        let (_server, addr) = server();
        let registry = Registry::new();
        let push = PushContext::new(&registry, "statsd", Instant::now() + GRACE * 3);
        let mut udp = Udp::connect(vec![addr], &push).expect("an address of this host");
        udp.is_prompt = false;
        let error = loop {
            if let Err(error) = udp.send(b"a:1|c") {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(udp.sent > 0);
        assert_eq!(udp.delivered(), udp.sent);
    }

    #[test]
    fn a_push_pauses_after_each_burst() {
        let (_server, addr) = server();
        with_socket(addr, true, |udp| {
            let begin = Instant::now();
            for _ in 0..3 {
                udp.send(&vec![b'x'; BURST]).expect("sent");
            }
            assert!(begin.elapsed() >= PAUSE * 2, "{:?}", begin.elapsed());
        });
    }

    #[test]
    fn other_addresses_are_tried_if_the_first_one_refuses() {
        let (gone, refuses) = server();
        drop(gone);
        let (server, addr) = server();
        let registry = Registry::new();
        let push = PushContext::new(&registry, "statsd", Instant::now() + LONG);
        for is_prompt in [true, false] {
            let mut udp = Udp::connect(vec![refuses, refuses, addr], &push).expect("addresses of this host");
            udp.is_prompt = is_prompt;
            udp.send(b"a:1|c").expect("sent to the last address");
            let mut received = [0; 8];
            let size = server.recv(&mut received).expect("a datagram");
            assert_eq!(&received[..size], b"a:1|c");
        }
        let mut udp = Udp::connect(vec![refuses, refuses], &push).expect("addresses of this host");
        refused(udp.send(b"a:1|c"));
        assert_eq!(Udp::connect(Vec::new(), &push).err().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
    }

    #[test]
    fn a_socket_connected_to_itself_is_refused() {
        let (socket, addr) = server();
        socket.connect(addr).expect("itself");
        refused(refuse_itself(socket, addr).map(drop));
    }
}
