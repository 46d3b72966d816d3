//! Values and series that belong to one thread at a time: gauges that are set, states, and tenants that are removed.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;
use std::sync::{Mutex, MutexGuard};

use metrics_core::Counter;

use crate::functions::{ENDS, End, tenant};
use crate::metrics::{PHASES, Soak};
use crate::model::lock;
use crate::random::Random;
use crate::samples::Series;

/// The number of slots.
const SLOTS: usize = 12;
/// The number of tenants of each slot.
const TENANTS: usize = 3;

/// The model of all slots.
pub(crate) struct Slots([Mutex<Slot>; SLOTS]);

/// The model of the values that belong to a slot.
pub(crate) struct Slot {
    number: u64,
    depth: Option<i64>,
    phase: Option<usize>,
    tenants: [Tenant; TENANTS],
    pub(crate) removals: u64,
}

#[derive(Default)]
struct Tenant {
    calls: Option<u64>,
    failures: u64,
    events: Option<u64>,
    /// A handle of an earlier series, which must not record anything.
    stale: Option<Counter>,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|number| {
            let tenants = std::array::from_fn(|_| Tenant::default());
            Mutex::new(Slot { number: number as u64, depth: None, phase: None, tenants, removals: 0 })
        }))
    }

    /// Returns a slot that no other thread uses.
    pub(crate) fn free(&self) -> Option<MutexGuard<'_, Slot>> {
        self.0.iter().find_map(|slot| slot.try_lock().ok())
    }

    /// Adds the expected values, and the series that must be absent.
    pub(crate) fn expect(&self, values: &mut BTreeMap<Series, f64>, absent: &mut BTreeSet<Series>) {
        for slot in &self.0 {
            lock(slot).expect(values, absent);
        }
    }

    pub(crate) fn removals(&self) -> u64 {
        self.0.iter().map(|slot| lock(slot).removals).sum()
    }
}

impl Slot {
    fn tenant_name(&self, tenant: usize) -> String {
        format!("tenant-{}-{tenant}", self.number)
    }

    fn expect(&self, values: &mut BTreeMap<Series, f64>, absent: &mut BTreeSet<Series>) {
        let slot = self.number.to_string();
        if let Some(depth) = self.depth {
            values.insert(Series::new("soak_depth", [("slot", &slot)]), depth as f64 / 4.0);
        }
        if let Some(phase) = self.phase {
            for (number, (_, name)) in PHASES.iter().enumerate() {
                let series = Series::new("soak_phase", [("slot", slot.as_str()), ("soak_phase", *name)]);
                values.insert(series, f64::from(u8::from(number == phase)));
            }
        }
        for (number, tenant) in self.tenants.iter().enumerate() {
            let name = self.tenant_name(number);
            let series = |metric: &str| Series::new(metric, [("tenant", &name)]);
            for (metric, value) in [
                ("soak_tenant_latency_seconds_count", tenant.calls),
                ("soak_tenant_failures_total", tenant.calls.map(|_| tenant.failures)),
                ("soak_tenant_events_total", tenant.events),
            ] {
                match value {
                    Some(value) => drop(values.insert(series(metric), value as f64)),
                    None => drop(absent.insert(series(metric))),
                }
            }
        }
    }

    /// Changes a value, uses a tenant, or removes one.
    pub(crate) fn change(&mut self, random: &mut Random) {
        let soak = Soak::global();
        match random.below(8) {
            0 | 1 => {
                let depth = random.below(1 << 20) as i64 - (1 << 19);
                soak.depth(self.number).set(depth as f64 / 4.0);
                self.depth = Some(depth);
            }
            2 => {
                let phase = random.below(PHASES.len() as u64) as usize;
                soak.phase(self.number).set(&PHASES[phase].0);
                self.phase = Some(phase);
            }
            _ => self.use_tenant(random),
        }
    }

    fn use_tenant(&mut self, random: &mut Random) {
        let number = random.below(TENANTS as u64) as usize;
        let name = self.tenant_name(number);
        let soak = Soak::global();
        let model = &mut self.tenants[number];
        match random.below(40) {
            0 => {
                model.stale = Some(soak.tenant_events_total(&name));
                let existed = [
                    soak.tenant_latency_seconds.remove([&name]),
                    soak.tenant_failures_total.remove([&name]),
                    soak.tenant_events_total.remove([&name]),
                ];
                assert_eq!(existed, [model.calls.is_some(), model.calls.is_some(), true], "{name} exists");
                *model = Tenant { stale: model.stale.take(), ..Tenant::default() };
                self.removals += 1;
            }
            1..=19 => {
                let end = random.pick(&ENDS);
                catch_unwind(|| tenant(&name, end).ok()).ok();
                *model.calls.get_or_insert_default() += 1;
                model.failures += u64::from(end != End::Value);
            }
            20..=24 => {
                if let Some(stale) = &model.stale {
                    stale.inc_by(1_000);
                }
            }
            _ => {
                soak.tenant_events_total(&name).inc();
                *model.events.get_or_insert_default() += 1;
            }
        }
    }
}
