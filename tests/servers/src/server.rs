//! A server of another project on a free port, with temporary storage.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{get, wait_for};

pub struct Server {
    program: String,
    arguments: Vec<String>,
    url: String,
    dir: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts a program with the arguments for a port and a directory, and waits until it serves HTTP.
    pub fn start(program: &str, arguments: impl FnOnce(u16, &Path) -> Vec<String>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let arguments = arguments(port, dir.path());
        let url = format!("http://127.0.0.1:{port}");
        let mut this = Self { program: program.to_owned(), arguments, url, dir, child: None };
        this.restart();
        this
    }

    pub fn pushgateway() -> Self {
        Self::start("prometheus-pushgateway", |port, _| vec![format!("--web.listen-address=127.0.0.1:{port}")])
    }

    /// A `node_exporter` that reads the text files in its directory.
    pub fn node_exporter() -> Self {
        Self::start("prometheus-node-exporter", |port, directory| {
            vec![
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--collector.disable-defaults".to_owned(),
                "--collector.textfile".to_owned(),
                format!("--collector.textfile.directory={}", directory.display()),
            ]
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the process ID.
    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Returns the host and the port.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the program again after [`Server::kill`].
    pub fn restart(&mut self) {
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run ./tests/run", self.program));
        self.child = Some(child);
        wait_for(&self.program, || get(&self.url).ok());
    }

    /// Kills the program without warning.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Returns the metrics that the server exposes.
    pub fn metrics(&self) -> String {
        let (status, text) = get(&format!("{}/metrics", self.url)).expect("a response");
        assert_eq!(status, 200, "{text}");
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
