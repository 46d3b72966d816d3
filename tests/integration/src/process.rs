//! Process metrics and build info, exported by one call.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics_core::{Registry, process_metrics};

fn value(name: &str) -> f64 {
    let text = Registry::global().to_text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("{name} is not there:\n{text}"))
}

/// Returns the increase in a metric while `does` runs.
fn more(name: &str, does: impl FnOnce()) -> f64 {
    let before = value(name);
    does();
    value(name) - before
}

fn works_for(time: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < time {
        black_box((0..1_000_u64).sum::<u64>());
    }
}

fn sends(bytes: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let sending = std::thread::spawn(move || {
        TcpStream::connect(address).expect("it listens").write_all(&vec![1; bytes]).expect("it reads");
    });
    let mut received = Vec::new();
    listener.accept().expect("a connection").0.read_to_end(&mut received).expect("all of it");
    assert_eq!(received.len(), bytes);
    sending.join().expect("no panic");
}

#[cfg(target_os = "linux")]
#[test]
fn one_call_exports_everything() {
    let revision = String::from("0a1b2c");
    process_metrics!(revision = revision);
    // The macro may be called again, for example by a library or a test.
    process_metrics!(revision = "0a1b2c");

    // Use 0.1 seconds of CPU time, which takes longer on a busy machine.
    let worked = more("process_cpu_seconds_total", || {
        let begin = value("process_cpu_seconds_total");
        while value("process_cpu_seconds_total") - begin < 0.1 {
            works_for(Duration::from_millis(10));
        }
    });
    assert!((0.1..1.0).contains(&worked), "{worked}");

    let mut held = Vec::new();
    let files =
        more("process_open_fds", || held = (0..100).map(|_| File::open("/dev/null").expect("it is there")).collect());
    assert!((90.0..110.0).contains(&files), "{files}");
    assert!(value("process_max_fds") >= value("process_open_fds"));

    let mut memory = Vec::new();
    let resident = more("process_resident_memory_bytes", || memory = vec![1_u8; 64 << 20]);
    assert!((6e7..8e7).contains(&resident), "{resident}");
    assert!(memory.iter().all(|byte| *byte == 1));
    assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
    // Virtual memory is unlimited by default.
    let limit = value("process_virtual_memory_max_bytes");
    assert!(limit == f64::INFINITY || limit >= value("process_virtual_memory_bytes"), "{limit}");

    let (received, sent) = ("process_network_receive_bytes_total", "process_network_transmit_bytes_total");
    let transmitted = more(sent, || assert!(more(received, || sends(1 << 20)) >= 1_048_576.0));
    assert!(transmitted >= 1_048_576.0, "{transmitted}");

    assert!(value("process_threads") >= 1.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let started = value("process_start_time_seconds");
    // The start time is derived from the boot time, which has a resolution of one second.
    assert!((now - 600.0..now + 1.5).contains(&started), "{started} is not just before {now}");

    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(value(&format!("process_build_info{{revision=\"0a1b2c\",version=\"{version}\"}}")), 1.0);
    assert_eq!(Registry::global().check(), []);
}
