//! Attacks with connections that send little or nothing.

use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::attack::Attack;

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// The number of half-closed connections that one thread holds open.
const HALF_CLOSED: usize = 300;

/// Opens connections that send nothing, and holds up to 10,000 of them open.
pub(crate) fn held(attack: &Attack) {
    let most = attack.most_held();
    let mut held = VecDeque::new();
    while !attack.is_over() {
        held.extend(attack.connect());
        if held.len() > most {
            held.pop_front();
        }
    }
}

/// Opens connections and closes them at once, alternately with and without a reset. Every fourth one sends a request.
/// With more requests, the responses would use up a core.
pub(crate) fn flood(attack: &Attack) {
    for number in 0..8 {
        let Some(stream) = attack.connect() else { continue };
        if number % 2 == 0 {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
        }
        if number < 2 {
            attack.send(&stream, 1, REQUEST);
        }
    }
}

/// Opens connections, closes their sending side before, within and after a request, and holds them open.
pub(crate) fn half_closed(attack: &Attack) {
    let mut held: VecDeque<TcpStream> = VecDeque::new();
    for end in [0, 10, REQUEST.len() - 2, REQUEST.len()].into_iter().cycle() {
        if attack.is_over() {
            return;
        }
        let Some(stream) = attack.connect() else { continue };
        attack.send(&stream, u64::from(end == REQUEST.len()), &REQUEST[..end]);
        stream.shutdown(Shutdown::Write).ok();
        held.push_back(stream);
        if held.len() > HALF_CLOSED
            && let Some(oldest) = held.pop_front()
        {
            attack.read_all(&oldest);
        }
    }
}
