//! Many clients connect at once while the server thread is busy.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use metrics_core::{HttpServer, Registry};

/// A logger that blocks the server thread until the test releases it.
struct Holds {
    held: Mutex<Sender<()>>,
    released: Mutex<Receiver<()>>,
}

static LOGGER: OnceLock<Holds> = OnceLock::new();

impl Log for Holds {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &Record<'_>) {
        if std::thread::current().name() == Some("metrics-http") {
            self.held.lock().expect("no panic").send(()).ok();
            self.released.lock().expect("no panic").recv().ok();
        }
    }

    fn flush(&self) {}
}

#[test]
fn all_allowed_clients_can_connect_at_once() {
    let (held, is_held) = channel();
    let (release, released) = channel();
    let holds = Holds { held: Mutex::new(held), released: Mutex::new(released) };
    log::set_logger(LOGGER.get_or_init(|| holds)).expect("the first");
    log::set_max_level(LevelFilter::Debug);
    let server = HttpServer::builder().registry(&Registry::new()).start("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr();
    // The first failure is a warning, which another thread logs. The second is logged by the server's thread.
    let failing = [(); 2].map(|()| {
        let mut garbage = TcpStream::connect(addr).expect("the server listens");
        garbage.write_all(b"\0\0\r\n\r\n").expect("sent");
        garbage
    });
    is_held.recv().expect("the server's thread complains");
    // If the accept queue is full, the operating system retries only after one second, which exceeds this timeout.
    let connected =
        (0..512).take_while(|_| TcpStream::connect_timeout(&addr, Duration::from_millis(900)).is_ok()).count();
    assert_eq!(connected, 512);
    drop((release, failing));
    server.shutdown();
}
