//! A service in a child process, which executes commands that a test writes to its standard input.

use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, mem, thread};

use metrics_core::{
    Collect, Counter, FamilyInfo, GraphiteBridge, Kind, Labels, Otlp, Pusher, Pushgateway, Registry, RemoteWrite,
    StatsD, TextFile, Value, Visitor, start_http_server,
};

/// The name of the test that runs the service.
const SERVICE: &str = "service::run";
/// Begins each reply, to distinguish it from the output of the test harness.
const REPLY: &str = "reply: ";
const INTERVAL: Duration = Duration::from_millis(100);
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A running service. Dropping this value kills the process.
pub(crate) struct Service {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Service {
    /// Starts a service through `command`, which receives the command line of the service as arguments.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_program(command, env::current_exe().expect("known"))
    }

    /// Like [`Service::start`], but with a copy of this program.
    pub(crate) fn start_program(mut command: Command, program: impl AsRef<OsStr>) -> Self {
        command.arg(program);
        command.args(["--exact", SERVICE, "--ignored", "--nocapture", "--test-threads=1"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut service = Self { child, stdin, stdout };
        assert_eq!(service.ask("hello"), "hello");
        service
    }

    /// Starts a service through a shell script that ends with `exec "$@"`.
    pub(crate) fn start_by(program: &str, arguments: &[&str], script: &str) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).args(["sh", "-c", &format!("{script} exec \"$@\""), "sh"]);
        Self::start(command)
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Executes a command and returns the reply.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        writeln!(self.stdin, "{command}").expect("it runs");
        let mut lines = self.stdout.by_ref().lines().map(|line| line.expect("UTF-8"));
        lines.find_map(|line| Some(line.split(REPLY).nth(1)?.to_owned())).expect("it replies")
    }

    /// Executes a command that must succeed, and returns the reply.
    pub(crate) fn succeeds(&mut self, command: &str) -> String {
        let reply = self.ask(command);
        assert!(!reply.starts_with("error"), "{command}: {reply}");
        reply
    }

    /// Executes a command that must fail, and returns the error.
    pub(crate) fn fails(&mut self, command: &str) -> String {
        let reply = self.ask(command);
        assert!(reply.starts_with("error"), "{command}: {reply}");
        reply
    }

    /// Returns the value of a series, or `None` if the registry has no such series.
    pub(crate) fn value(&mut self, series: &str) -> Option<f64> {
        self.ask(&format!("value {series}")).parse().ok()
    }

    /// Waits until the value of a series exceeds its current value by at least two.
    pub(crate) fn wait_for_more(&mut self, series: &str) {
        let before = self.value(series).unwrap_or_default();
        let begin = Instant::now();
        while self.value(series).unwrap_or_default() < before + 2.0 {
            assert!(begin.elapsed() < LONG, "{series} stays at {before}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sets a soft limit of the service, for example `nproc`, through `command`, which runs the program `prlimit` as
    /// the user of the service.
    pub(crate) fn limit(&self, mut command: Command, resource: &str, limit: &str) {
        let prlimit = command.arg("prlimit");
        prlimit.arg(format!("--pid={}", self.id())).arg(format!("--{resource}={limit}:"));
        assert!(prlimit.status().expect("installed").success());
    }

    /// Runs a shell command in the mount namespace of the service.
    pub(crate) fn in_namespace(&self, script: &str) {
        let mut nsenter = Command::new("nsenter");
        let entered = nsenter.args(["--target", &self.id(), "--user", "--mount", "--preserve-credentials", "sh", "-c"]);
        assert!(entered.arg(script).status().expect("installed").success(), "{script}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Returns true if the user of this process is root.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Scrapes a server, and returns the body of the response.
pub(crate) fn scrape(addr: &str) -> String {
    let response = String::from_utf8(get(addr, "/metrics")).expect("UTF-8");
    response.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

/// Requests a path, and returns the whole response, which must have status 200.
pub(crate) fn get(addr: &str, path: &str) -> Vec<u8> {
    let addr: SocketAddr = addr.parse().expect("an address");
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("sent");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).expect("a response");
    assert!(response.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&response));
    response
}

/// Starts a server that reads everything it receives, responds to requests over HTTP with status 200, and closes a
/// connection at its end. Returns its address.
pub(crate) fn receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(|| receive(stream));
        }
    });
    address
}

fn receive(mut stream: TcpStream) {
    let (mut bytes, mut more) = (Vec::new(), [0; 65_536]);
    while let Ok(read @ 1..) = stream.read(&mut more) {
        bytes.extend_from_slice(&more[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if length.is_some_and(|length| bytes.len() >= end + 4 + length) {
            bytes.clear();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok();
        }
    }
}

/// A collector that runs on a separate thread if one can be spawned.
struct Collected;

impl Collect for Collected {
    fn names(&self) -> Vec<String> {
        vec!["collected".to_owned()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        visitor.family(&FamilyInfo::new("collected", "Collected.", Kind::Gauge));
        visitor.series(Labels::default(), &Value::Gauge(1.0));
        Ok(())
    }
}

/// The resources that a service holds.
#[derive(Default)]
struct Held {
    files: Vec<File>,
    pushers: Vec<Pusher>,
    streams: Vec<TcpStream>,
}

#[test]
#[ignore = "is the service of the other tests"]
fn run() {
    metrics_core::process_metrics!(revision = "test");
    Registry::global().register_collector(Collected).expect("valid");
    let counter = Counter::builder("events_total", "Events.").register();
    let mut held = Held::default();
    for line in io::stdin().lines() {
        let line = line.expect("UTF-8");
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let reply = match command {
            "hello" => Ok("hello".to_owned()),
            "count" => {
                counter.inc_by(argument.parse::<u64>().expect("a number"));
                Ok("ok".to_owned())
            }
            // Logs a warning the first time.
            "warn" => {
                counter.inc_by(-1);
                Ok("ok".to_owned())
            }
            "value" => Ok(value(argument)),
            "serve" => start_http_server("127.0.0.1:0").map(|server| server.local_addr().to_string()).map_err(text),
            "push" => push(argument).map(|pusher| held.keep(pusher)).map_err(text),
            "push-once" => TextFile::new(argument).push().map(|()| "ok".to_owned()).map_err(text),
            "use-files" => {
                held.use_files();
                Ok("ok".to_owned())
            }
            "receive" => Ok(receiver()),
            "use-ports" => Ok(held.use_ports(argument)),
            "free" => {
                held.files.clear();
                held.streams.clear();
                Ok("ok".to_owned())
            }
            "gather" => gather(argument).map(|()| "ok".to_owned()),
            "spawn" => thread::Builder::new().spawn(|| ()).map(|_| "ok".to_owned()).map_err(text),
            _ => panic!("unknown command: {command}"),
        };
        let reply = reply.unwrap_or_else(|error| format!("error: {error}"));
        println!("{REPLY}{}", reply.replace('\n', " "));
    }
    mem::forget(held);
}

impl Held {
    fn keep(&mut self, pusher: Pusher) -> String {
        self.pushers.push(pusher);
        "ok".to_owned()
    }

    /// Uses all descriptors, including those that other threads release from time to time.
    fn use_files(&mut self) {
        let mut last = Instant::now();
        while last.elapsed() < Duration::from_millis(500) {
            match File::open("/dev/null") {
                Ok(file) => {
                    self.files.push(file);
                    last = Instant::now();
                }
                Err(_) => thread::yield_now(),
            }
        }
    }

    /// Connects to an address until no local port is left, and returns the error.
    fn use_ports(&mut self, addr: &str) -> String {
        loop {
            match TcpStream::connect(addr) {
                Ok(stream) => self.streams.push(stream),
                Err(error) => return error.to_string(),
            }
        }
    }
}

/// Starts a pusher; `argument` is the kind of target and its address.
fn push(argument: &str) -> io::Result<Pusher> {
    let (kind, addr) = argument.split_once(' ').expect("a kind and an address");
    match kind {
        "graphite" => GraphiteBridge::new(addr).start(INTERVAL),
        "statsd" => StatsD::new(addr).start(INTERVAL),
        "remote_write" => RemoteWrite::new(addr).start(INTERVAL),
        "otlp" => Otlp::new(addr).start(INTERVAL),
        "pushgateway" => Pushgateway::new(addr, "scarcity").start(INTERVAL),
        "text_file" => TextFile::new(addr).start(INTERVAL),
        _ => panic!("unknown target: {kind}"),
    }
}

/// Checks that the `prometheus` crate gathers a family.
fn gather(name: &str) -> Result<(), String> {
    metrics_core::init();
    let is_there = metrics_core::prometheus::gather().iter().any(|family| family.name() == name);
    if is_there { Ok(()) } else { Err(format!("{name} is not gathered")) }
}

fn value(series: &str) -> String {
    let text = Registry::global().to_text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or("none").to_owned()
}

fn text(error: impl Error) -> String {
    error.to_string()
}
