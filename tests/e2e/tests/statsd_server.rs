//! The real StatsD server of npm on free ports, and its management interface, which reports what it has received.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::wait_for;

pub(crate) struct StatsDServer {
    dir: TempDir,
    lines: SocketAddr,
    management: SocketAddr,
    child: Option<Child>,
}

impl StatsDServer {
    /// Reserves ports and a directory without starting the server.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let lines = UdpSocket::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
        let management = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
        // The server sets its counters to 0 once per interval.
        let config = format!(
            "{{ address: '127.0.0.1', port: {}, mgmt_address: '127.0.0.1', mgmt_port: {}, backends: [], \
             flushInterval: 1000000000 }}",
            lines.port(),
            management.port(),
        );
        fs::write(dir.path().join("config.js"), config).expect("written");
        Self { dir, lines, management, child: None }
    }

    pub(crate) fn started() -> Self {
        let mut this = Self::new();
        this.start();
        this
    }

    /// Starts the server, without values, and waits until it receives lines.
    pub(crate) fn start(&mut self) {
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/statsd/node_modules/statsd/stats.js");
        assert!(server.exists(), "the server is not installed: run ./tests/run");
        let log = fs::File::create(self.dir.path().join("log")).expect("a file");
        let child = Command::new("node")
            .arg(server)
            .arg(self.dir.path().join("config.js"))
            .stderr(log.try_clone().expect("a file"))
            .stdout(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("node is installed: run ./tests/run");
        self.child = Some(child);
        let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        wait_for("StatsD", || {
            client.send_to(b"ready:1|g", self.lines).expect("sent");
            self.values("gauges")?.contains_key("ready").then_some(())
        });
    }

    /// Kills the server. Its values are lost.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    /// Returns the address on which the server receives lines.
    pub(crate) fn address(&self) -> String {
        self.lines.to_string()
    }

    /// Returns all values of this type, `counters` or `gauges`, or `None` if the server does not answer.
    pub(crate) fn values(&self, kind: &str) -> Option<BTreeMap<String, f64>> {
        let mut stream = TcpStream::connect(self.management).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        stream.write_all(format!("{kind}\n").as_bytes()).ok()?;
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        let text: String = lines.take_while(|line| line != "END").collect();
        // The values are written as a JavaScript object: `{ 'statsd.bad_lines_seen': 0, jobs_total: 3 }`.
        let pairs = text.trim_matches(['{', '}', ' ']).split(',').filter(|pair| !pair.trim().is_empty());
        let parse = |pair: &str| {
            let (name, value) = pair.split_once(':').unwrap_or_else(|| panic!("{pair:?} in {text:?}"));
            let value = value.trim().parse().unwrap_or_else(|error| panic!("{pair:?}: {error}"));
            (name.trim().trim_matches('\'').to_owned(), value)
        };
        Some(pairs.map(parse).collect())
    }

    /// Waits until a counter or a gauge has this value.
    pub(crate) fn shows(&self, kind: &str, name: &str, expected: f64) {
        wait_for(&format!("{name} {expected} in StatsD"), || {
            (self.values(kind)?.get(name) == Some(&expected)).then_some(())
        });
    }

    /// Returns the number of lines that the server could not read.
    pub(crate) fn bad_lines(&self) -> f64 {
        self.values("counters").expect("it answers")["statsd.bad_lines_seen"]
    }
}

impl Drop for StatsDServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
