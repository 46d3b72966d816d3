//! The fleet, and the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use servers::wait_for;

use crate::stores::{Prometheus, Victoria};

/// The label of the instance in VictoriaMetrics's OTLP endpoint.
pub(crate) const OTLP_INSTANCE: &str = "service_instance_id";
/// The number of calls per replica and round.
pub(crate) const CALLS: u64 = 400;
/// The sum of the calls by instance, with Prometheus's names.
pub(crate) const CALLS_BY_INSTANCE: &str = "sum by (instance) (replica_request_latency_seconds_count)";

/// The number of calls that an instance is known to have exported, and the number that it has made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) exported: u64,
    pub(crate) made: u64,
}

/// A running replica.
pub(crate) struct Replica {
    child: Child,
    output: BufReader<ChildStdout>,
    pub(crate) number: u64,
    instance: String,
    address: String,
    pub(crate) calls: Calls,
}

impl Replica {
    fn start(number: u64, generation: u64, remote_write: &str, otlp: &str) -> Self {
        let instance = format!("replica-{number}-{generation}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_replica"))
            .args([&number.to_string(), &instance, "--remote-write", remote_write, "--otlp", otlp])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut this = Self { child, output, number, instance, address: String::new(), calls: Calls::default() };
        this.address = this.line();
        this
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it runs");
        line.trim().to_owned()
    }

    /// Makes calls, and waits until they are done.
    fn call(&mut self, calls: u64) {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{calls}").expect("it reads");
        self.calls.made += calls;
        assert_eq!(self.line(), self.calls.made.to_string());
    }

    /// Ends the replica gracefully, which exports all of its calls.
    fn end(mut self) -> Calls {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("it ends").success(), "{} lost its last push", self.instance);
        Calls { exported: self.calls.made, ..self.calls }
    }

    /// Kills the replica without warning.
    fn kill(mut self) -> Calls {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.calls
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) struct Fleet {
    pub(crate) prometheus: Prometheus,
    /// Receives remote write.
    pub(crate) written: Victoria,
    /// Receives OTLP.
    pub(crate) otlp: Victoria,
    pub(crate) replicas: Vec<Replica>,
    /// The calls of all instances that have ended gracefully.
    ended: BTreeMap<String, Calls>,
    /// The calls of all instances that were killed.
    killed: BTreeMap<String, Calls>,
}

impl Fleet {
    pub(crate) fn start(size: usize) -> Self {
        let (prometheus, written, otlp) = (Prometheus::start(), Victoria::start(), Victoria::start());
        let (ended, killed) = (BTreeMap::new(), BTreeMap::new());
        let mut this = Self { prometheus, written, otlp, replicas: Vec::new(), ended, killed };
        this.replicas = (0..size as u64).map(|number| this.replica(number, 0)).collect();
        this.update_targets();
        this.settle();
        this
    }

    fn replica(&self, number: u64, generation: u64) -> Replica {
        Replica::start(number, generation, &self.written.write_url(), &self.otlp.otlp_url())
    }

    fn update_targets(&self) {
        let targets = self.replicas.iter().map(|replica| (replica.address.clone(), replica.instance.clone()));
        self.prometheus.scrape(&targets.collect::<Vec<_>>());
    }

    /// Makes calls in all replicas at the same time.
    pub(crate) fn call(&mut self) {
        thread::scope(|scope| {
            for replica in &mut self.replicas {
                scope.spawn(|| replica.call(CALLS));
            }
        });
    }

    /// Replaces replicas, one after the other. The new ones get calls only after all receivers hold their zero values.
    pub(crate) fn replace(&mut self, replicas: Range<usize>, is_graceful: bool) {
        for at in replicas {
            let new = self.replica(self.replicas[at].number, 1);
            let old = std::mem::replace(&mut self.replicas[at], new);
            let instance = old.instance.clone();
            if is_graceful {
                self.ended.insert(instance, old.end());
            } else {
                self.killed.insert(instance, old.kill());
            }
        }
        self.update_targets();
        self.settle();
    }

    /// Waits until all receivers hold all calls of all running replicas.
    pub(crate) fn settle(&mut self) {
        let live = self.live_calls();
        let is_settled = |found: &BTreeMap<String, f64>| {
            live.iter().all(|(instance, calls)| found.get(instance) == Some(&(calls.made as f64)))
        };
        let count = "replica_request_latency_seconds_count";
        wait_for("Prometheus", || is_settled(&self.prometheus.query(CALLS_BY_INSTANCE)).then_some(()));
        wait_for("remote write", || is_settled(&self.written.last(count, "instance")).then_some(()));
        wait_for("OTLP", || is_settled(&self.otlp.last(count, OTLP_INSTANCE)).then_some(()));
        for replica in &mut self.replicas {
            replica.calls.exported = replica.calls.made;
        }
    }

    pub(crate) fn live_calls(&self) -> BTreeMap<String, Calls> {
        self.replicas.iter().map(|replica| (replica.instance.clone(), replica.calls)).collect()
    }

    /// Returns the calls of all instances that ever ran.
    pub(crate) fn calls(&self) -> BTreeMap<String, Calls> {
        let mut calls = self.live_calls();
        calls.extend(self.ended.iter().chain(&self.killed).map(|(instance, calls)| (instance.clone(), *calls)));
        calls
    }

    pub(crate) fn has_ended_gracefully(&self, instance: &str) -> bool {
        self.ended.contains_key(instance)
    }
}
