//! The server process, and its use of memory and descriptors.

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustls::RootCertStore;
use tempfile::TempDir;

use crate::certificate::Certificate;

/// The time between two samples of the memory and the descriptors.
const SAMPLE: Duration = Duration::from_millis(50);

/// A server in a child process. Dropping this value kills the process.
pub(crate) struct Server {
    process: Process,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) authority: RootCertStore,
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
    _directory: TempDir,
}

pub(crate) struct Process(Child);

/// Resident memory in MiB, and open descriptors.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) memory: f64,
    pub(crate) descriptors: usize,
}

impl Server {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let Certificate { certificate, key, authority } = Certificate::create(directory.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_storm-server"));
        command.args([certificate, key]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let stdin = child.stdin.take().expect("piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let process = Process(child);
        let mut line = String::new();
        stdout.read_line(&mut line).expect("readable");
        let addrs: Vec<_> = line.split_whitespace().map(|addr| addr.parse().expect("an address")).collect();
        let [plain, tls] = addrs[..] else { panic!("the server printed `{line}`") };
        Self { process, plain, tls, authority, pipes: RefCell::new((stdin, stdout)), _directory: directory }
    }

    /// Stops the calls, and returns their number.
    pub(crate) fn stop_calls(&self) -> u64 {
        let (stdin, stdout) = &mut *self.pipes.borrow_mut();
        writeln!(stdin).expect("it runs");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("readable");
        line.trim().parse().expect("a number")
    }

    pub(crate) fn usage(&self) -> Usage {
        self.process.usage()
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

impl Process {
    /// Samples the usage until `is_over`, and returns the most that was in use.
    pub(crate) fn most_used(&self, is_over: &AtomicBool) -> Usage {
        let mut most = Usage::default();
        while !is_over.load(Ordering::Relaxed) {
            let Usage { memory, descriptors } = self.usage();
            most = Usage { memory: most.memory.max(memory), descriptors: most.descriptors.max(descriptors) };
            thread::sleep(SAMPLE);
        }
        most
    }

    fn usage(&self) -> Usage {
        let id = self.0.id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let memory: f64 = memory.trim().trim_end_matches(" kB").parse().expect("a number");
        let descriptors = fs::read_dir(format!("/proc/{id}/fd")).expect("it runs").count();
        Usage { memory: memory / 1_024.0, descriptors }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
