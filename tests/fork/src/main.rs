//! Tests a process that forks while its server, pushers and collectors are running. Both processes continue.
//!
//! A forked child has only one thread. The parent's servers and pushers run on other threads, so the child must start
//! its own.

#[cfg(unix)]
mod unix {
    use std::error::Error;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc::{Sender, channel};
    use std::time::{Duration, Instant};

    use metrics_core::{
        Collect, Counter, FamilyInfo, Gauge, Kind, Labels, PushContext, PushError, PushTarget, Pusher, Pushgateway,
        Registry, Summary, Value, Visitor, instrument, start_http_server,
    };

    /// The timeout after which an operation is considered hung.
    const LONG: Duration = Duration::from_secs(20);

    struct Pool;

    impl Collect for Pool {
        fn names(&self) -> Vec<String> {
            vec!["pool_connections".to_owned()]
        }

        fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
            visitor.family(&FamilyInfo::new("pool_connections", "Connections.", Kind::Gauge));
            visitor.series(Labels::default(), &Value::Gauge(3.0));
            Ok(())
        }
    }

    /// A push target that sends the time of each push to a channel.
    struct Pushes(Sender<Instant>);

    impl PushTarget for Pushes {
        fn name(&self) -> &'static str {
            "channel"
        }

        fn push(&mut self, _: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
            Ok(self.0.send(Instant::now())?)
        }
    }

    #[instrument("/called", prefix = "forked")]
    fn called() {}

    fn scrape(addr: SocketAddr) -> String {
        let mut stream = TcpStream::connect(addr).expect("a server");
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("UTF-8");
        text
    }

    fn assert_complete(text: &str, calls: u32) {
        assert!(
            text.contains(&format!("forked_request_latency_seconds_count{{path=\"/called\"}} {calls}\n")),
            "{text}"
        );
        assert!(text.contains("pool_connections 3\n"), "{text}");
        assert!(text.contains("called_back 7\n"), "{text}");
    }

    fn start_pusher(interval: Duration) -> (Pusher, std::sync::mpsc::Receiver<Instant>) {
        let (sender, pushes) = channel();
        (Pusher::builder(Pushes(sender)).interval(interval).start().expect("a thread"), pushes)
    }

    fn assert_pushes(pushes: &std::sync::mpsc::Receiver<Instant>) {
        let begin = Instant::now();
        while pushes.recv_timeout(LONG).expect("pushes continue") < begin {}
        pushes.recv_timeout(LONG).expect("pushes continue");
    }

    /// Runs `child` in a forked process and waits until the process ends.
    fn in_child(child: impl FnOnce()) {
        // SAFETY: The child allocates and spawns threads, which is generally not safe after a fork. glibc keeps its
        // allocator's locks consistent in the child, and this test checks this library's locks.
        #[expect(unsafe_code, reason = "there is no safe fork")]
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "cannot fork");
        if pid == 0 {
            let result = catch_unwind(AssertUnwindSafe(child));
            // SAFETY: The call ends the process and has no preconditions.
            #[expect(unsafe_code, reason = "destructors and exit handlers must run in the parent only")]
            unsafe {
                libc::_exit(i32::from(result.is_err()))
            };
        }
        let begin = Instant::now();
        let mut status = 0;
        loop {
            // SAFETY: The status pointer is valid, and nothing else waits for the child.
            #[expect(unsafe_code, reason = "the standard library waits for its own children only")]
            let ended = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
            if ended == pid {
                assert_eq!(status, 0, "the child has failed");
                return;
            }
            if begin.elapsed() > 3 * LONG {
                // SAFETY: The parent has not reaped the child yet, so the process ID is still valid.
                #[expect(unsafe_code, reason = "the standard library kills its own children only")]
                unsafe {
                    libc::kill(pid, libc::SIGKILL)
                };
                panic!("the child hangs");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn both_sides_of_a_fork_record_scrape_and_push() {
        let registry = Registry::global();
        registry.register_collector(Pool).expect("free");
        Gauge::builder("called_back", "").register_callback(|| 7.0);
        let server = start_http_server("127.0.0.1:0").expect("a free port");
        let (pusher, pushes) = start_pusher(Duration::from_millis(10));
        // The windows are advanced in both processes.
        let recent = Summary::builder("forked_recent", "").quantiles([1.0]).max_age(Duration::from_secs(1)).register();
        let assert_recent = || {
            recent.observe(5);
            let quantile = || {
                let text = registry.to_text();
                let line = text.lines().find(|line| line.starts_with("forked_recent{quantile=\"1\"} "));
                line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).expect("a quantile")
            };
            assert!((quantile() - 5.0).abs() < 0.05);
            let begin = Instant::now();
            while !quantile().is_nan() {
                assert!(begin.elapsed() < LONG, "the window is not advanced");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        assert_recent();
        called();
        assert_complete(&scrape(server.local_addr()), 1);
        assert_pushes(&pushes);
        let addr = server.local_addr();
        let (mut server, mut pusher) = (Some(server), Some(pusher));
        in_child(|| {
            // The child inherits the parent's totals.
            called();
            Counter::builder("born_in_the_child_total", "").register().inc();
            assert_complete(&registry.to_text(), 2);
            assert_recent();
            let error = pusher.take().expect("it is there").shutdown().expect_err("it does not run in the child");
            assert!(matches!(error, PushError::OtherProcess { .. }), "{error}");
            assert!(error.to_string().contains("after `fork`"), "{error}");
            server.take().expect("it is there").shutdown();
            let server = start_http_server("127.0.0.1:0").expect("a free port");
            assert_complete(&scrape(server.local_addr()), 2);
            let (pusher, pushes) = start_pusher(Duration::from_millis(10));
            assert_pushes(&pushes);
            pusher.shutdown().expect("pushed");
            server.shutdown();
        });
        // A child may drop the inherited server and pusher.
        in_child(|| drop((server.take(), pusher.take())));
        called();
        let text = scrape(addr);
        assert_complete(&text, 2);
        assert!(!text.contains("born_in_the_child"), "{text}");
        assert_pushes(&pushes);
        pusher.expect("it is there").shutdown().expect("pushed");
        server.expect("it is there").shutdown();
    }

    pub(super) fn a_child_does_not_push_over_its_parents_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (sender, connections) = channel();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                sender.send(()).ok();
                std::thread::spawn(move || {
                    let mut request = [0; 1 << 16];
                    // The body is empty, so each read is a complete request.
                    while connection.read(&mut request).is_ok_and(|len| len > 0) {
                        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok();
                    }
                });
            }
        });
        let gateway = Pushgateway::new(url, "forked").registry(&Registry::new());
        gateway.push().expect("sent");
        assert_eq!(connections.try_iter().count(), 1);
        in_child(|| gateway.push().expect("sent"));
        assert_eq!(connections.try_iter().count(), 1, "the child uses the connection of its parent");
    }
}

fn main() {
    #[cfg(unix)]
    {
        unix::both_sides_of_a_fork_record_scrape_and_push();
        unix::a_child_does_not_push_over_its_parents_connection();
    }
}
