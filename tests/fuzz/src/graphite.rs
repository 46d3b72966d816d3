//! Pushes to Graphite: carbon's own receiver finds exactly the samples of a model, with and without tags.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{LazyLock, Mutex};

use metrics_core::GraphiteBridge;

use crate::input::Source;
use crate::model::{Flat, Model, bits};
use crate::pushes::compare;
use crate::reader::Reader;
use crate::statsd::{canonical, valid};

static READER: LazyLock<Mutex<Reader>> = LazyLock::new(|| Mutex::new(Reader::carbon()));

/// A server that accepts one connection after another: its address, and the received bytes.
type Server = (SocketAddr, Mutex<Receiver<Vec<u8>>>);

static SERVERS: LazyLock<[Server; 2]> = LazyLock::new(|| {
    [(); 2].map(|()| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (sender, received) = channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).expect("the client closes the connection");
                sender.send(bytes).expect("the main thread runs");
            }
        });
        (address, Mutex::new(received))
    })
});

/// Pushes one model in both forms, at the same time, because a push waits for a reset of the connection.
pub fn run(data: &[u8]) {
    let model = Model::of(&mut Source::new(data));
    let registry = model.registry();
    std::thread::scope(|scope| {
        for (tagged, (address, received)) in [false, true].into_iter().zip(&*SERVERS) {
            let (model, registry) = (&model, &registry);
            scope.spawn(move || {
                let target = GraphiteBridge::new(address.to_string()).registry(registry).prefix("p");
                let target = if tagged { target.tagged() } else { target };
                target.push().expect("it is received");
                let bytes = received.lock().expect("no panic").recv().expect("the server runs");
                let found = READER.lock().expect("no panic").read("graphite", &bytes);
                compare(found, in_graphite(model, tagged));
            });
        }
    });
}

fn in_graphite(model: &Model, tagged: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut seen = BTreeSet::new();
    for Flat { family, suffix, labels, bound, value, .. } in model.samples() {
        let mut pairs = labels.to_vec();
        pairs.extend(bound.map(|(name, value)| (name.to_owned(), canonical(value))));
        if tagged && let Some(at) = pairs.iter().position(|(name, _)| name == "name") {
            // Graphite reserves this tag.
            let is_taken = pairs.iter().any(|(name, _)| name == "exported_name");
            pairs[at].0 = if is_taken { "exported_exported_name" } else { "exported_name" }.to_owned();
        }
        pairs.sort();
        let mut name = format!("p.{}{suffix}", valid(family));
        if tagged {
            let mut tags: Vec<String> = pairs
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(label, value)| format!(";{label}={}", valid(value)))
                .collect();
            // Carbon sorts tags with their values.
            tags.sort();
            name += &tags.concat();
        } else {
            for (label, value) in pairs {
                name += &format!(".{label}.{}", if value.is_empty() { "_".to_owned() } else { valid(&value) });
            }
        }
        // The first of two series with the same name is sent, even if it is NaN, which carbon cannot store.
        if seen.insert(name.clone()) && !value.as_f64().is_nan() {
            lines.push(format!("{name} {}", bits(value.as_f64())));
        }
    }
    lines
}
