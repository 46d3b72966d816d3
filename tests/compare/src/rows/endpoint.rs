//! Scrapes over HTTP on loopback: our server and our axum handler, compared with handlers that users of other
//! libraries write. Also the snapshots for the live page, compared with scrapes.

mod client;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ::prometheus_client::encoding::text::encode;
use anyhow::{Result, ensure};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_core::{Exposition, HttpServer};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower_http::compression::CompressionLayer;

use crate::allocator::most_bytes;
use crate::measure::Figures;
use crate::peers::{metrics, ours, prometheus_client};
use crate::report::{Report, figure};
use client::{Client, Scrape};

const SERIES: usize = 100_000;
const SNAPSHOT_SERIES: usize = 2_000;

/// A running metrics endpoint.
struct Served {
    name: &'static str,
    addr: SocketAddr,
}

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let registry = ours::counters(SERIES);
    let own = HttpServer::builder().registry(&registry).start("127.0.0.1:0")?;
    let handle = metrics::counters(SERIES);
    let client_registry = Arc::new(prometheus_client::counters(SERIES));
    let served = [
        Served { name: "ours, own server", addr: own.local_addr() },
        Served {
            name: "ours, in axum",
            // `Exposition` compresses its responses without a layer.
            addr: serve(&runtime, Router::new().route_service("/metrics", Exposition::of(&registry)))?,
        },
        Served {
            name: "metrics-exporter-prometheus' way",
            addr: serve(&runtime, compressed(get(move || async move { handle.render() })))?,
        },
        Served {
            name: "prometheus-client's way",
            addr: serve(
                &runtime,
                compressed(get(move || async move {
                    let mut text = String::new();
                    encode(&mut text, &client_registry).expect("writing to a string cannot fail");
                    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
                })),
            )?,
        },
    ];
    for gzip in [false, true] {
        contest(&served, gzip, rounds.clamp(9, 15), report)?;
    }
    own.shutdown();
    snapshot(rounds.clamp(9, 15), report)
}

/// Compares a snapshot for the live page with a scrape of the same registry, both compressed.
fn snapshot(rounds: usize, report: &mut Report) -> Result<()> {
    let own = HttpServer::builder().registry(&ours::counters(SNAPSHOT_SERIES)).start("127.0.0.1:0")?;
    let [name, scrape] = ["snapshot for the live page", "scrape"];
    let mut clients =
        [Client::connect(own.local_addr(), "/?snapshot", true)?, Client::connect(own.local_addr(), "/metrics", true)?];
    let series = clients[1].series("compare_items_total{")?;
    ensure!(series == SNAPSHOT_SERIES, "the scrape has {series} series");
    let mut times = Figures::new([name.to_owned(), scrape.to_owned()].into_iter());
    let mut memory = [0; 2];
    for round in 0..=rounds {
        // Viewers share a snapshot for a second. After the pause, an unmeasured scrape reloads the caches.
        thread::sleep(Duration::from_secs(1));
        clients[1].scrape()?;
        for at in [round % 2, 1 - round % 2] {
            if round == rounds {
                memory[at] = most_bytes(|| clients[at].scrape()).1;
            } else {
                times.push(at, clients[at].scrape()?.seconds * 1e3);
            }
        }
    }
    report.judge("snapshot_over_scrape", times.ratio(name, scrape));
    report.judge("snapshot_memory_over_scrape", memory[0] as f64 / memory[1] as f64);
    let rows = [name, scrape].into_iter().zip(memory).map(|(name, memory)| {
        let cells = [times.median(name), times.ratio(name, scrape), memory as f64 / 1024.0].map(figure);
        std::iter::once(name.to_owned()).chain(cells).collect()
    });
    let title = format!("A snapshot of {SNAPSHOT_SERIES} counters");
    report.table(&title, &["what", "ms", "over the scrape", "peak memory, KiB"], &rows.collect::<Vec<_>>());
    own.shutdown();
    Ok(())
}

/// Adds compression as axum users do, at the layer's default level.
fn compressed(handler: axum::routing::MethodRouter) -> Router {
    Router::new().route("/metrics", handler).layer(CompressionLayer::new())
}

fn serve(runtime: &Runtime, router: Router) -> Result<SocketAddr> {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let addr = listener.local_addr()?;
    runtime.spawn(async move { axum::serve(listener, router).await });
    Ok(addr)
}

fn contest(served: &[Served], gzip: bool, rounds: usize, report: &mut Report) -> Result<()> {
    let mut clients =
        served.iter().map(|served| Client::connect(served.addr, "/metrics", gzip)).collect::<Result<Vec<_>>>()?;
    for (client, Served { name, .. }) in clients.iter_mut().zip(served) {
        let series = client.series("compare_items_total{")?;
        ensure!(series == SERIES, "{name} exposes {series} series");
    }
    let names = || served.iter().map(|served| served.name.to_owned());
    let (mut times, mut first) = (Figures::new(names()), Figures::new(names()));
    let mut lengths = vec![0; served.len()];
    for round in 0..rounds {
        for offset in 0..served.len() {
            let at = (round + offset) % served.len();
            let Scrape { seconds, first_byte, bytes } = clients[at].scrape()?;
            times.push(at, seconds * 1e3);
            first.push(at, first_byte * 1e3);
            lengths[at] = bytes;
        }
    }
    let memory: Vec<f64> = clients.iter_mut().map(|client| most_bytes(|| client.scrape()).1 as f64 / 1024.0).collect();
    let ours = served[0].name;
    let kind = if gzip { "gzip" } else { "plain" };
    let rows: Vec<_> = served
        .iter()
        .enumerate()
        .map(|(at, Served { name, .. })| {
            let id = name.replace([' ', ',', '\''], "_");
            report.fact(format!("endpoint_{kind}_time_over_ours_{id}"), times.ratio(name, ours));
            report.fact(format!("endpoint_{kind}_memory_kib_{id}"), memory[at]);
            let cells = [
                times.median(name),
                times.ratio(name, ours),
                first.median(name),
                memory[at],
                lengths[at] as f64 / 1024.0,
            ];
            std::iter::once((*name).to_owned()).chain(cells.map(figure)).collect()
        })
        .collect();
    let columns = ["who", "ms", "over ours", "ms to the first byte", "peak memory, KiB", "KiB sent"];
    report.table(&format!("A scrape of 100k counters over HTTP, {kind}"), &columns, &rows);
    Ok(())
}
