//! A hostile client: `storm-attacker STORM PLAIN-ADDRESS TLS-ADDRESS SECONDS CONNECTIONS-PER-SECOND` attacks a server,
//! and prints the number of its connections, requests and responses.

mod attack;
mod connections;
mod requests;
mod tls;

use std::env;
use std::thread;
use std::time::Duration;

use attack::Attack;

/// The name of a storm, and the attacks that run in parallel, each on this number of threads.
type Storm = (&'static str, usize, &'static [fn(&Attack)]);

/// All storms. `all` consists of the others, except for the last one.
const STORMS: [Storm; 13] = [
    ("connections", 4, &[connections::held]),
    ("slow-readers", 1, &[requests::slow_readers, requests::non_readers]),
    ("slow-writers", 2, &[requests::slow_writers]),
    ("header-bombs", 2, &[requests::header_bombs]),
    ("pipelining", 1, &[requests::pipelined, requests::pipelined_scrapes]),
    ("upgrades", 2, &[requests::upgrades]),
    ("tls", 2, &[tls::stalled_handshakes]),
    ("split", 2, &[requests::split]),
    ("small", 2, &[requests::small]),
    ("floods", 4, &[connections::flood]),
    ("half-closed", 2, &[connections::half_closed]),
    (
        "all",
        1,
        &[
            connections::held,
            requests::slow_readers,
            requests::non_readers,
            requests::slow_writers,
            requests::header_bombs,
            requests::pipelined,
            requests::pipelined_scrapes,
            requests::upgrades,
            tls::stalled_handshakes,
            requests::split,
            requests::small,
            connections::flood,
            connections::half_closed,
        ],
    ),
    // Beyond the documented limits: these clients hold all slots for responses.
    ("all-slots", 1, &[requests::stalled_readers]),
];

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [storm, plain, tls, seconds, rate] = &arguments[..] else { panic!("five arguments are required") };
    let (_, threads, attacks) = STORMS.iter().find(|(name, ..)| name == storm).expect("a known storm");
    let attack = Attack::new(
        [plain, tls].map(|addr| addr.parse().expect("an address")),
        Duration::from_secs(seconds.parse().expect("a number")),
        rate.parse().expect("a number"),
        *threads,
    );
    thread::scope(|scope| {
        for run in attacks.iter().cycle().take(attacks.len() * threads) {
            scope.spawn(|| {
                while !attack.is_over() {
                    run(&attack);
                }
            });
        }
    });
    println!("{}", attack.tally());
}
