//! A real carbon-cache on a free port. By default, it keeps one value per second for an hour.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::wait_for;

pub(crate) struct Carbon {
    dir: TempDir,
    address: String,
    child: Option<Child>,
}

impl Carbon {
    /// Reserves ports and a directory without starting carbon.
    pub(crate) fn new() -> Self {
        Self::with("MAX_CREATES_PER_MINUTE = inf\n", "[all]\npattern = .*\nretentions = 1s:1h\n", "")
    }

    /// Like [`Carbon::new`], but with additional options and the given storage schemas and aggregation rules.
    pub(crate) fn with(options: &str, schemas: &str, aggregation: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // Hold both listeners until both ports are known, so that the ports differ.
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [lines, queries] = listeners.map(|listener| listener.local_addr().expect("an address"));
        let at = |name: &str| dir.path().join(name).display().to_string();
        let config = format!(
            "[cache]\nSTORAGE_DIR = {}\nLOCAL_DATA_DIR = {}\nCONF_DIR = {}\nLOG_DIR = {}\nPID_DIR = {}\nUSER =\n\
             MAX_CACHE_SIZE = inf\nMAX_UPDATES_PER_SECOND = inf\n\
             LINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {}\nPICKLE_RECEIVER_PORT = 0\n\
             CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = {}\nENABLE_UDP_LISTENER = False\n\
             CARBON_METRIC_INTERVAL = 0\n{options}",
            at(""),
            at("whisper"),
            at(""),
            at("log"),
            at(""),
            lines.port(),
            queries.port(),
        );
        let files = [("carbon", config.as_str()), ("storage-schemas", schemas), ("storage-aggregation", aggregation)];
        for (name, text) in files {
            fs::write(dir.path().join(format!("{name}.conf")), text).expect("written");
        }
        Self { dir, address: lines.to_string(), child: None }
    }

    pub(crate) fn started() -> Self {
        let mut this = Self::new();
        this.start();
        this
    }

    /// Starts carbon with any existing data on disk and waits until it is listening.
    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a file");
        let child = Command::new("carbon-cache")
            .arg(format!("--config={}", self.dir.path().join("carbon.conf").display()))
            .args(["--nodaemon", "start"])
            .stderr(log.try_clone().expect("a file"))
            .stdout(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("carbon is installed: run ./tests/run");
        self.child = Some(child);
        wait_for("carbon", || TcpStream::connect(&self.address).ok());
    }

    /// Kills carbon. Values that carbon has not yet written to disk are lost.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        // Remove the PID file. Otherwise, the next carbon process could assume that this one is still running.
        fs::remove_file(self.dir.path().join("carbon-cache-a.pid")).ok();
    }

    /// Returns the address on which carbon listens for lines.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("console.log")
    }

    /// Returns the logged complaints about lines that carbon could not read.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log()).expect("it says something");
        log.lines()
            .filter(|line| line.contains("invalid line") || line.contains("Traceback"))
            .map(str::to_owned)
            .collect()
    }

    /// Returns a metric's last value on disk as `whisper-fetch` prints it, with six decimal places.
    fn value(&self, name: &str) -> Option<String> {
        let file = self.dir.path().join("whisper").join(file_of(name));
        if !file.exists() {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let mut fetch = Command::new("whisper-fetch");
        let output = fetch.arg(&file).arg(format!("--from={}", now - 600)).output().expect("it is there with carbon");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let mut values =
            text.lines().filter_map(|line| line.split_whitespace().nth(1)).filter(|value| *value != "None");
        values.next_back().map(str::to_owned)
    }

    /// Returns the properties of a metric's file on disk, one per line.
    pub(crate) fn info(&self, name: &str) -> String {
        let file = self.dir.path().join("whisper").join(file_of(name));
        wait_for(&format!("{name} in carbon"), || file.exists().then_some(()));
        let output = Command::new("whisper-info").arg(&file).output().expect("it is there with carbon");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Waits until a metric's last value on disk is `expected`.
    pub(crate) fn shows(&self, name: &str, expected: f64) {
        let expected = format!("{expected:.6}");
        wait_for(&format!("{name} {expected} in carbon"), || {
            (self.value(name).as_deref() == Some(&expected)).then_some(())
        });
    }
}

impl Drop for Carbon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Returns the file in which carbon stores a metric, computed by carbon's own code.
fn file_of(name: &str) -> String {
    if !name.contains(';') {
        return format!("{}.wsp", name.replace('.', "/"));
    }
    let path = python(
        "import sys\nfrom carbon.util import TaggedSeries\nprint(TaggedSeries.encode(sys.argv[1], '/', True))",
        name,
    );
    format!("{}.wsp", path.trim())
}

/// Runs a Python script that uses carbon's own code and returns its output.
pub(crate) fn python(script: &str, argument: &str) -> String {
    let output =
        Command::new("/usr/bin/python3").args(["-c", script, argument]).output().expect("the Python that carbon uses");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
