//! Scrapes of many counters with one label, as text.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::measure::{Figures, median};
use crate::peers::limit::Limit;
use crate::peers::measured::Measured;
use crate::peers::metrics::Metrics;
use crate::peers::opentelemetry::OpenTelemetry;
use crate::peers::ours::Ours;
use crate::peers::prometheus::Prometheus;
use crate::peers::prometheus_client::PrometheusClient;
use crate::peers::{Exposition, Peer};
use crate::report::{Report, figure};

/// The candidates for the fastest peer. The other peers take ten times as long.
const FAST: [&dyn Peer; 4] = [&Ours, &Limit, &PrometheusClient, &Measured];
const SLOW: [&dyn Peer; 4] = [&Ours, &Prometheus, &Metrics, &OpenTelemetry];

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let few = contest(expositions(&FAST, 100_000), 100_000, rounds)?;
    report.judge("scrape_100k_over_limit", few.ratio("ours", "limit"));
    report.judge("scrape_100k_over_best_peer", over_best_peer(&few));
    let slow = contest(expositions(&SLOW, 100_000), 100_000, rounds.min(3))?;
    let many = contest(expositions(&FAST, 1_000_000), 1_000_000, rounds.min(7))?;
    report.judge("scrape_1m_over_best_peer", over_best_peer(&many));
    report.fact("scrape_1m_over_limit", many.ratio("ours", "limit"));

    let others = slow.names().filter(|name| *name != "ours").map(|name| (&slow, name));
    let all = few.names().map(|name| (&few, name)).chain(others);
    let rows: Vec<_> = all.map(|(figures, name)| row(figures, name)).collect();
    report.table("Scrape of 100k counters", &["who", "ns per series", "over ours"], &rows);
    let rows: Vec<_> = many.names().map(|name| row(&many, name)).collect();
    report.table("Scrape of 1M counters", &["who", "ns per series", "over ours"], &rows);
    Ok(())
}

fn expositions(peers: &[&'static dyn Peer], series: usize) -> Vec<(&'static str, Exposition)> {
    peers.iter().filter_map(|peer| Some((peer.name(), peer.exposition(series)?))).collect()
}

/// Measures the nanoseconds per series for each peer.
pub(super) fn contest(
    mut expositions: Vec<(&'static str, Exposition)>,
    series: usize,
    rounds: usize,
) -> Result<Figures> {
    for (peer, expose) in &mut expositions {
        ensure!(expose() > series * 40, "{peer} does not expose all series");
    }
    let mut figures = Figures::new(expositions.iter().map(|(peer, _)| (*peer).to_owned()));
    for round in 0..rounds {
        for offset in 0..expositions.len() {
            let at = (round + offset) % expositions.len();
            let start = Instant::now();
            (expositions[at].1)();
            figures.push(at, start.elapsed().as_secs_f64() * 1e9 / series as f64);
        }
    }
    Ok(figures)
}

fn over_best_peer(figures: &Figures) -> f64 {
    let best = figures.rounds("measured").iter().zip(figures.rounds("prometheus-client"));
    let best = best.map(|(measured, client)| measured.min(*client));
    median(figures.rounds("ours").iter().zip(best).map(|(ours, best)| ours / best).collect())
}

fn row(figures: &Figures, name: &str) -> Vec<String> {
    vec![name.to_owned(), figure(figures.median(name)), figure(figures.ratio(name, "ours"))]
}
