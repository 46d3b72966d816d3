//! Stores of Graphite and StatsD, which parse lines.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use std::{fs, net};

use socket2::SockRef;

use super::server::{Condition, Control, Fault, reset};
use crate::failures;
use crate::model::lock;
use crate::samples::{Sample, Samples, Series};

/// Reads the lines of one push, which replace the earlier ones once the client has sent all of them.
pub(super) fn serve_graphite(mut stream: TcpStream, control: &Control, store: &Mutex<Samples>) -> io::Result<()> {
    match control.fault() {
        Some(Fault::ResetAfter(bytes)) => return reset(stream, bytes),
        Some(_) => {
            // Unread bytes make this a reset.
            thread::sleep(Duration::from_millis(300));
            return reset(stream, 0);
        }
        None => {}
    }
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let lines = text.lines().map(|line| graphite_line(line).ok_or_else(|| format!("the line {line:?}")));
    match lines.collect() {
        Ok(samples) => {
            *lock(store) = samples;
            control.count("graphite", Ok(()));
        }
        Err(error) => control.count("graphite", Err(error)),
    }
    stream.flush()
}

/// Parses `name;label=value 1.0 1434898897`.
fn graphite_line(line: &str) -> Option<(Series, Sample)> {
    let mut words = line.split(' ');
    let (path, value, time) = (words.next()?, words.next()?, words.next()?);
    time.parse::<u64>().ok()?;
    let mut parts = path.split(';');
    let name = parts.next()?;
    let labels: Vec<(&str, &str)> = parts.map(|tag| tag.split_once('=')).collect::<Option<_>>()?;
    let value = value.parse().ok()?;
    words.next().is_none().then(|| (Series::new(name, labels), Sample { value, grows: false }))
}

/// The syntax of StatsD's labels.
#[derive(Clone, Copy)]
pub(super) enum Dialect {
    Plain,
    Datadog,
}

/// Adds the lines of a datagram to the totals.
fn store_datagram(datagram: &[u8], dialect: Dialect, control: &Control, store: &Mutex<Samples>) {
    let mut samples = lock(store);
    let text = String::from_utf8_lossy(datagram);
    let result = text.lines().try_for_each(|line| {
        let (series, change) = statsd_line(line, dialect).ok_or_else(|| format!("the line {line:?}"))?;
        let sample = samples.entry(series).or_insert(Sample { value: 0.0, grows: false });
        match change {
            Change::By(value) => sample.value += value,
            Change::To(value) => sample.value = value,
        }
        Ok(())
    });
    control.count("statsd", result);
}

enum Change {
    By(f64),
    To(f64),
}

/// Parses `name.label.value:3|c` or `name:3|c|#label:value`.
fn statsd_line(line: &str, dialect: Dialect) -> Option<(Series, Change)> {
    let (name, rest) = line.split_once(':')?;
    let mut fields = rest.split('|');
    let (value, kind, tags) = (fields.next()?, fields.next()?, fields.next());
    let number: f64 = value.parse().ok()?;
    let change = match kind {
        "c" if number >= 0.0 => Change::By(number),
        "g" if value.starts_with(['+', '-']) => Change::By(number),
        "g" => Change::To(number),
        _ => return None,
    };
    let series = match dialect {
        Dialect::Datadog => {
            let tags = tags.map_or(Some(""), |tags| tags.strip_prefix('#'))?;
            let tags = tags.split(',').filter(|tag| !tag.is_empty()).map(|tag| tag.split_once(':'));
            Series::new(name, tags.collect::<Option<Vec<_>>>()?)
        }
        Dialect::Plain => {
            let mut parts = name.split('.');
            let name = parts.next()?;
            let parts: Vec<&str> = parts.collect();
            parts.len().is_multiple_of(2).then_some(())?;
            Series::new(name, parts.chunks(2).map(|pair| (pair[0], pair[1])))
        }
    };
    fields.next().is_none().then_some((series, change))
}

/// Receives over UDP, which has no failures that a sender could always detect, so this server never dies.
pub(super) fn statsd_udp(address: SocketAddr, control: &Arc<Control>, store: &Arc<Mutex<Samples>>) -> SocketAddr {
    let socket = UdpSocket::bind(address).expect("a free port");
    SockRef::from(&socket).set_recv_buffer_size(4 << 20).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
    let address = socket.local_addr().expect("bound");
    let (control, store) = (Arc::clone(control), Arc::clone(store));
    thread::spawn(move || {
        let mut datagram = vec![0; 65_536];
        while !control.stop.load(Ordering::SeqCst) {
            if let Ok(length) = socket.recv(&mut datagram) {
                store_datagram(&datagram[..length], Dialect::Datadog, &control, &store);
            }
        }
        let lost = lost_datagrams(address);
        if lost != Some(0) {
            failures::report(format!("the system reports {lost:?} lost datagrams"));
        }
    });
    address
}

/// Returns the number of datagrams that the system has dropped because the receiver's buffer was full.
fn lost_datagrams(address: SocketAddr) -> Option<u64> {
    let net::IpAddr::V4(ip) = address.ip() else { return None };
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = fs::read_to_string("/proc/net/udp").ok()?;
    let line = table.lines().find(|line| line.split_whitespace().nth(1) == Some(&local))?;
    line.split_whitespace().last()?.parse().ok()
}

/// Receives over a Unix socket. When the server dies, it first shuts down its socket, which no sender misses, and then
/// reads the datagrams that it has accepted.
pub(super) fn statsd_unix(path: &Path, control: &Arc<Control>, store: &Arc<Mutex<Samples>>) {
    let bind = |path: &Path| -> io::Result<UnixDatagram> {
        fs::remove_file(path).ok();
        let socket = UnixDatagram::bind(path)?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        Ok(socket)
    };
    let (path, control, store) = (path.to_owned(), Arc::clone(control), Arc::clone(store));
    let mut socket = Some(bind(&path).expect("writable"));
    thread::spawn(move || {
        let mut datagram = vec![0; 65_536];
        let receive = |socket: &UnixDatagram, datagram: &mut [u8]| {
            let length = socket.recv(datagram).ok().filter(|length| *length > 0)?;
            store_datagram(&datagram[..length], Dialect::Plain, &control, &store);
            Some(())
        };
        while !control.stop.load(Ordering::SeqCst) {
            match &socket {
                Some(ending) if !control.is(Condition::Healthy) => {
                    ending.shutdown(net::Shutdown::Read).expect("a socket");
                    while receive(ending, &mut datagram).is_some() {}
                    socket = None;
                    control.deaths.fetch_add(1, Ordering::Relaxed);
                }
                Some(socket) => drop(receive(socket, &mut datagram)),
                None if control.is(Condition::Healthy) => socket = bind(&path).ok(),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    });
}
