//! A receiver for each push target. Receivers die, fail and recover, and keep the last totals.

mod lines;
mod protobuf;
mod server;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use metrics_core::{GraphiteBridge, Otlp, PushError, Pusher, Pushgateway, RemoteWrite, StatsD, TextFile};
use tempfile::TempDir;

use crate::compare::View;
use crate::model::lock;
use crate::random::Random;
use crate::samples::Samples;
use crate::text;
use protobuf::{OtlpStore, WrittenStore};
use server::{Condition, Control, listen, serve_http};

/// The directory of the files and sockets of the receivers.
static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// Removes the files of the receivers before the process exits without dropping them.
pub(crate) fn remove_files() {
    DIRECTORY.get().map(fs::remove_dir_all);
}

/// All receivers and their pushers.
pub(crate) struct Receivers {
    stores: Stores,
    controls: Vec<(&'static str, Arc<Control>)>,
    pushers: Vec<(&'static str, Pusher)>,
    remote_write: RemoteWrite,
    dir: TempDir,
}

#[derive(Clone, Default)]
struct Stores {
    graphite: Arc<Mutex<Samples>>,
    statsd_udp: Arc<Mutex<Samples>>,
    statsd_unix: Arc<Mutex<Samples>>,
    remote_write: Arc<Mutex<WrittenStore>>,
    pushgateway: Arc<Mutex<Samples>>,
    otlp: Arc<Mutex<OtlpStore>>,
    otlp_delta: Arc<Mutex<OtlpStore>>,
}

/// Returns an address that no other process on this machine uses. The port of a dead receiver is free, so another
/// process could take it on the usual loopback address.
fn address(number: u8) -> SocketAddr {
    let [.., high, low] = process::id().to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, high.max(1), low, number)), 0)
}

impl Receivers {
    pub(crate) fn start(random: &mut Random) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        DIRECTORY.get_or_init(|| dir.path().to_owned());
        let stores = Stores::default();
        lock(&stores.otlp_delta).is_delta = true;
        let mut controls = Vec::new();
        let mut control = |name: &'static str| {
            let control = Control::new(random.next());
            controls.push((name, Arc::clone(&control)));
            control
        };

        let (ours, store) = (control("graphite"), Arc::clone(&stores.graphite));
        let theirs = Arc::clone(&ours);
        let graphite = listen(address(2), &ours, move |stream| lines::serve_graphite(stream, &theirs, &store));

        let ours = control("pushgateway");
        let (theirs, store) = (Arc::clone(&ours), Arc::clone(&stores.pushgateway));
        let pushgateway = listen(address(3), &ours, move |stream| {
            serve_http(stream, "pushgateway", &theirs, |request| protobuf::pushgateway(request, &mut lock(&store)))
        });

        let ours = control("remote write");
        let (theirs, store) = (Arc::clone(&ours), Arc::clone(&stores.remote_write));
        let remote_write = listen(address(4), &ours, move |stream| {
            serve_http(stream, "remote write", &theirs, |request| lock(&store).store(request))
        });

        let otlp =
            [("OTLP", 5, &stores.otlp), ("OTLP with deltas", 6, &stores.otlp_delta)].map(|(name, number, store)| {
                let ours = control(name);
                let (theirs, store) = (Arc::clone(&ours), Arc::clone(store));
                listen(address(number), &ours, move |stream| {
                    serve_http(stream, name, &theirs, |request| lock(&store).store(request))
                })
            });

        let statsd = lines::statsd_udp(address(7), &control("StatsD over UDP"), &stores.statsd_udp);
        let socket = dir.path().join("statsd");
        lines::statsd_unix(&socket, &control("StatsD over a Unix socket"), &stores.statsd_unix);

        let (short, timeout) = (Duration::from_millis(400), Duration::from_secs(3));
        // If a response is late, the increase is sent again, and its receiver adds it twice. The timeout exceeds the
        // delays of a busy machine.
        let delta_timeout = Duration::from_secs(30);
        let remote_write = RemoteWrite::new(format!("http://{remote_write}/api/v1/write")).label("job", "soak");
        let remote_write = remote_write.timeout(timeout);
        let delta = Otlp::new(format!("http://{}", otlp[1])).name("otlp_delta").delta();
        let unix = StatsD::new(format!("unix:{}", socket.display())).name("statsd_unix");
        let pushers = vec![
            ("graphite", GraphiteBridge::new(graphite.to_string()).tagged().timeout(timeout).start(short)?),
            ("pushgateway", Pushgateway::new(format!("http://{pushgateway}"), "soak").timeout(timeout).start(short)?),
            ("remote write", remote_write.start(short)?),
            ("OTLP", Otlp::new(format!("http://{}", otlp[0])).timeout(timeout).start(short)?),
            ("OTLP with deltas", delta.timeout(delta_timeout).start(short)?),
            ("StatsD over UDP", StatsD::new(statsd.to_string()).datadog().timeout(timeout).start(short)?),
            ("StatsD over a Unix socket", unix.timeout(timeout).start(short)?),
            ("text file", TextFile::new(dir.path().join("soak.prom")).timeout(timeout).start(short)?),
        ];
        Ok(Self { stores, controls, pushers, remote_write, dir })
    }

    /// Changes the conditions of receivers until `stop`, and then heals them.
    pub(crate) fn disturb(&self, mut random: Random, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let (_, control) = &self.controls[random.below(self.controls.len() as u64) as usize];
            control.set(random.pick(&[Condition::Healthy, Condition::Healthy, Condition::Faulty, Condition::Dead]));
            thread::sleep(Duration::from_millis(random.between(50, 600)));
        }
        self.controls.iter().for_each(|(_, control)| control.set(Condition::Healthy));
    }

    /// Returns the numbers of stored requests, failed requests and deaths of each receiver.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64, u64, u64)> {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let count = |control: &Control| (load(&control.stored), load(&control.failed), load(&control.deaths));
        let counts = self.controls.iter().map(|(name, control)| (*name, count(control)));
        counts.map(|(name, (stored, failed, deaths))| (name, stored, failed, deaths)).collect()
    }

    /// Shuts down all pushers, whose receivers must be healthy, and returns the stores.
    pub(crate) fn finish(&mut self) -> Result<Vec<Store>, String> {
        // The last push ends all series of remote write, so its store is copied before.
        self.remote_write.push().map_err(|error| error.to_string())?;
        let written = lock(&self.stores.remote_write).current();
        let shut_down = |(name, pusher): (&'static str, Pusher)| {
            pusher.shutdown().map_err(|error: PushError| format!("the last push of {name} failed: {error}"))
        };
        self.pushers.drain(..).try_for_each(shut_down)?;
        if let Some((series, _)) = lock(&self.stores.remote_write).current().first_key_value() {
            return Err(format!("the last push did not end the series {series} of remote write"));
        }
        let file = fs::read_to_string(self.dir.path().join("soak.prom")).map_err(|error| error.to_string())?;
        let file = text::parse(&file, false)?;
        let stores = self.stores.clone();
        let plain = |store: Arc<Mutex<Samples>>| -> Box<dyn Fn() -> Samples> { Box::new(move || lock(&store).clone()) };
        Ok(vec![
            Store { name: "remote write", view: View::Exposition, samples: Box::new(move || written.clone()) },
            Store { name: "text file", view: View::Exposition, samples: Box::new(move || file.clone()) },
            Store { name: "Pushgateway", view: View::Exposition, samples: plain(stores.pushgateway) },
            Store { name: "OTLP", view: View::Otlp, samples: Box::new(move || lock(&stores.otlp).samples.clone()) },
            Store {
                name: "OTLP with deltas",
                view: View::OtlpDelta,
                samples: Box::new(move || lock(&stores.otlp_delta).samples.clone()),
            },
            Store { name: "Graphite", view: View::Graphite, samples: plain(stores.graphite) },
            Store { name: "StatsD over UDP", view: View::DogStatsD, samples: plain(stores.statsd_udp) },
            Store { name: "StatsD over a Unix socket", view: View::StatsD, samples: plain(stores.statsd_unix) },
        ])
    }
}

/// The contents of a receiver.
pub(crate) struct Store {
    pub(crate) name: &'static str,
    pub(crate) view: View,
    pub(crate) samples: Box<dyn Fn() -> Samples>,
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.controls.iter().for_each(|(_, control)| control.stop.store(true, Ordering::SeqCst));
    }
}
