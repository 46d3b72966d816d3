//! Infos, state sets and creation times.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::SystemTime;

use metrics_core::{
    Collect, Counter, Error, Family, FamilyInfo, Format, Gauge, Histogram, Info, Kind, Label, LabelValue, Labels,
    Metrics, ProblemKind, Registry, StateSet, StyleRule, Summary, Value, Visitor,
};

use crate::sample_in;

#[derive(Clone, Copy, Debug, LabelValue, PartialEq)]
enum State {
    Starting,
    Serving,
    Draining,
}

fn openmetrics(registry: &Registry) -> String {
    let mut out = Vec::new();
    registry.encode(Format::OpenMetrics, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn an_info_is_a_gauge_in_text_and_an_info_in_openmetrics() {
    let registry = Registry::new();
    let info = Info::builder("database_info", "The database.").const_label("version", "17").register_in(&registry);
    drop(info.expect("valid"));
    let text = "# HELP database_info The database.\n# TYPE database_info gauge\ndatabase_info{version=\"17\"} 1\n";
    assert_eq!(registry.to_text(), text);
    let open = "# TYPE database info\n# HELP database The database.\ndatabase_info{version=\"17\"} 1\n# EOF\n";
    assert_eq!(openmetrics(&registry), open);
    assert_eq!(registry.catalog()[0].kind, Kind::Info);
}

#[test]
fn an_info_whose_short_name_is_taken_is_a_gauge() {
    let of = |name: &str, register: fn(&Registry)| {
        let registry = Registry::new();
        register(&registry);
        Info::builder(name, "").register_in(&registry).expect("valid");
        let open = openmetrics(&registry);
        open.lines().find(|line| line.contains("TYPE") && line.contains(name)).map(str::to_owned)
    };
    let gauge = |registry: &Registry| drop(Gauge::builder("job", "").register_in(registry).expect("valid"));
    let counter = |registry: &Registry| drop(Counter::builder("job_total", "").register_in(registry).expect("valid"));
    assert_eq!(of("job_info", gauge).as_deref(), Some("# TYPE job_info gauge"));
    assert_eq!(of("job_info", counter).as_deref(), Some("# TYPE job_info gauge"));
    assert_eq!(of("job", |_| {}).as_deref(), Some("# TYPE job gauge"));
    assert_eq!(of("_info", |_| {}).as_deref(), Some("# TYPE _info gauge"));
}

#[test]
fn an_info_that_changes_has_one_series() {
    let registry = Registry::new();
    let leader = Info::builder("leader_info", "").labels(["node"]).register_in(&registry).expect("valid");
    thread::scope(|scope| {
        for node in ["a", "b", "c", "d"] {
            let leader = &leader;
            scope.spawn(move || (0..100).for_each(|_| leader.set([node])));
        }
    });
    assert_eq!(leader.len(), 1);
    leader.set(["e"]);
    leader.set(["e"]);
    assert_eq!(registry.to_text(), "# TYPE leader_info gauge\nleader_info{node=\"e\"} 1\n");
}

#[test]
fn an_info_that_changes_keeps_one_series_whatever_happens() {
    let registry = Registry::new();
    let info = Info::builder("leader_info", "").labels(["node"]).max_series(1).register_in(&registry).expect("valid");
    let nodes = || info.iter().map(|([node], _)| node).collect::<Vec<_>>();
    info.set(["a"]);
    info.set(["b"]);
    assert_eq!(nodes(), ["b"]);
    info.set([&"x".repeat(2_000)]);
    assert_eq!(nodes(), ["__overflow__"]);
    info.set(["c"]);
    assert_eq!(nodes(), ["c"]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                info.set(["a"]);
                info.set(["b"]);
            }
        });
        let lines: Vec<usize> = (0..1_000).map(|_| registry.to_text().lines().count()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(lines.iter().all(|lines| *lines == 2), "the type and one series: {lines:?}");
    });
}

#[test]
fn an_info_with_closed_sets_has_no_series_in_advance() {
    #[derive(Metrics)]
    struct Regions {
        /// The region.
        #[metric(labels(on: bool))]
        region_info: Family<Info, 1>,
    }
    let registry = Registry::new();
    let regions = Regions::register_in(&registry).expect("valid");
    assert_eq!(registry.to_text(), "");
    regions.region_info.set(["true"]);
    let text = registry.to_text();
    assert!(text.ends_with("gauge\nregion_info{on=\"true\"} 1\n"), "{text}");
}

#[test]
fn a_name_without_the_suffix_breaks_a_rule() {
    let registry = Registry::new();
    Info::builder("build", "The build.").register_in(&registry).expect("valid");
    let problems: Vec<_> = registry.check().into_iter().map(|problem| problem.kind).collect();
    assert_eq!(problems, [ProblemKind::Style(StyleRule::InfoSuffix)]);
    let allowed = Info::builder("build", "The build.").allow(&[StyleRule::InfoSuffix]);
    let registry = Registry::new();
    allowed.register_in(&registry).expect("valid");
    assert_eq!(registry.check(), []);
}

#[test]
fn conflicts_name_types_and_states() {
    #[derive(LabelValue)]
    enum Other {
        On,
        Off,
    }
    let registry = Registry::new();
    let _ = (Other::On, Other::Off);
    StateSet::<State>::builder("state", "").register_in(&registry).expect("valid");
    let error = StateSet::<Other>::builder("state", "").register_in(&registry).expect_err("other states").to_string();
    let states = r#"["starting", "serving", "draining"]"#;
    assert!(error.starts_with(&format!("state is registered with other states: {states} at ")), "{error}");
    assert!(error.ends_with(r#", ["on", "off"] here"#), "{error}");
    let error = Info::builder("state", "").register_in(&registry).expect_err("another type").to_string();
    assert!(error.starts_with("state is registered with another type: state set at "), "{error}");
    assert!(error.ends_with(", info here"), "{error}");
}

#[test]
fn units_of_states_and_infos_are_not_exported() {
    let registry = Registry::new();
    StateSet::<State>::builder("door_seconds", "").unit("seconds").register_in(&registry).expect("valid");
    assert!(!openmetrics(&registry).contains("UNIT"));
}

/// Exports a family with these samples.
struct Exports(&'static str, Kind, &'static [(&'static [(&'static str, &'static str)], f64)]);

impl Collect for Exports {
    fn names(&self) -> Vec<String> {
        vec![self.0.to_owned()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        visitor.family(&FamilyInfo::new(self.0, "", self.1));
        for (labels, value) in self.2 {
            visitor.series(Labels::of(labels).borrow(), &Value::Gauge(*value));
        }
        Ok(())
    }
}

#[test]
fn collectors_cannot_export_invalid_states_and_infos() {
    let exported = |exports: Exports| {
        let registry = Registry::new();
        registry.register_collector(exports).expect("free");
        openmetrics(&registry).lines().count() > 1
    };
    assert!(exported(Exports("a_info", Kind::Info, &[(&[("version", "1")], 1.0)])));
    assert!(!exported(Exports("a_info", Kind::Info, &[(&[("version", "1")], 2.5)])));
    assert!(exported(Exports("a", Kind::StateSet, &[(&[("a", "on")], 1.0), (&[("a", "off")], 0.0)])));
    assert!(!exported(Exports("a", Kind::StateSet, &[(&[("a", "on")], 7.0)])));
    assert!(!exported(Exports("a", Kind::StateSet, &[(&[("b", "on")], 1.0)])));
}

#[test]
fn a_state_set_has_a_series_for_each_state() {
    let registry = Registry::new();
    let state = StateSet::<State>::builder("worker_state", "State.").const_label("zone", "1").labels(["worker"]);
    let state: Family<StateSet<State>, 1> = state.register_in(&registry).expect("valid");
    assert!(state.labels(["a"]).is(&State::Starting), "the first state is the initial one");
    state.labels(["b"]).set(&State::Draining);
    let series = |worker: &str, values: [u8; 3]| {
        let line = |(state, value)| {
            format!("worker_state{{zone=\"1\",worker=\"{worker}\",worker_state=\"{state}\"}} {value}\n")
        };
        ["starting", "serving", "draining"].into_iter().zip(values).map(line).collect::<String>()
    };
    let samples = format!("{}{}", series("a", [1, 0, 0]), series("b", [0, 0, 1]));
    assert_eq!(registry.to_text(), format!("# HELP worker_state State.\n# TYPE worker_state gauge\n{samples}"));
    let open = format!("# TYPE worker_state stateset\n# HELP worker_state State.\n{samples}# EOF\n");
    assert_eq!(openmetrics(&registry), open);
    let catalog = registry.catalog();
    let labels: Vec<_> =
        catalog[0].labels.iter().map(|label| (label.name.as_str(), label.known_values.len())).collect();
    assert_eq!((catalog[0].kind, labels), (Kind::StateSet, vec![("worker", 0), ("worker_state", 3)]));
}

#[test]
fn a_scrape_contains_exactly_one_current_state() {
    let registry = Registry::new();
    let state = StateSet::<State>::builder("state", "").register_in(&registry).expect("valid");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for next in [State::Serving, State::Draining, State::Starting] {
                    state.set(&next);
                }
            }
        });
        for _ in 0..1_000 {
            let text = registry.to_text();
            let values = ["starting", "serving", "draining"]
                .map(|state| sample_in(&text, &format!("state{{state=\"{state}\"}}")));
            if values.iter().flatten().sum::<f64>() != 1.0 {
                is_over.store(true, Ordering::Relaxed);
                panic!("{text}");
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A type that implements [`LabelValue`] itself, with a value that is not one of its values.
struct Custom(&'static str);

impl LabelValue for Custom {
    const VALUES: Option<&'static [&'static str]> = Some(&["on", "off"]);

    fn label(&self) -> Label<'_> {
        self.0.label()
    }
}

#[test]
fn an_unknown_state_changes_nothing() {
    let state = StateSet::<Custom>::builder("state", "").build();
    state.set(&Custom("off"));
    assert!(state.is(&Custom("off")) && !state.is(&Custom("on")));
    state.set(&Custom("half"));
    assert!(state.is(&Custom("off")) && !state.is(&Custom("half")));
}

#[test]
fn the_label_of_a_state_is_reserved() {
    let registry = Registry::new();
    let clash = StateSet::<State>::builder("state", "").labels(["state"]).register_in(&registry);
    assert!(matches!(clash, Err(Error::DuplicateLabelName { .. })));
    let colon = StateSet::<State>::builder("a:state", "").register_in(&registry);
    assert!(matches!(colon, Err(Error::InvalidLabelName { .. })));
}

#[test]
fn a_removed_state_set_has_no_current_state() {
    let family = StateSet::<State>::builder("state", "").labels(["worker"]).build();
    let state = family.labels(["a"]);
    family.remove(["a"]);
    state.set(&State::Starting);
    assert!([State::Starting, State::Serving, State::Draining].iter().all(|any| !state.is(any)));
    let custom = StateSet::<Custom>::builder("custom", "").labels(["worker"]).build();
    let state = custom.labels(["a"]);
    custom.remove(["a"]);
    assert!(["on", "off", "half"].iter().all(|any| !state.is(&Custom(any))));
}

/// The state of a service.
#[derive(Metrics)]
#[metrics(prefix = "derived")]
struct Derived {
    /// The build of the service.
    #[metric(const_labels(version = "1.2"))]
    build_info: Info,
    /// The state of the service.
    state: StateSet<State>,
    /// The state of each worker.
    #[metric(labels(worker: &str))]
    worker_state: Family<StateSet<State>, 1>,
}

#[test]
fn fields_of_a_derived_struct_can_be_infos_and_state_sets() {
    let registry = Registry::new();
    let derived = Derived::register_in(&registry).expect("valid");
    derived.state.set(&State::Serving);
    derived.worker_state("a").set(&State::Draining);
    let _ = &derived.build_info;
    let text = registry.to_text();
    for sample in [
        "derived_build_info{version=\"1.2\"}",
        "derived_state{derived_state=\"serving\"}",
        "derived_worker_state{worker=\"a\",derived_worker_state=\"draining\"}",
    ] {
        assert_eq!(sample_in(&text, sample), Some(1.0), "{sample} in:\n{text}");
    }
    assert_eq!(registry.check(), []);
}

#[test]
fn creation_times_are_exported_on_request() {
    let registry = Registry::new();
    let now = || SystemTime::UNIX_EPOCH.elapsed().expect("later").as_secs_f64();
    let before = now();
    Counter::builder("jobs_total", "").register_in(&registry).expect("valid");
    let waits = Summary::builder("wait_seconds", "").labels(["of"]).register_in(&registry).expect("valid");
    waits.labels(["x"]).observe(1);
    Histogram::builder("size_bytes", "").buckets([1.0]).register_in(&registry).expect("valid").observe(-1);
    Gauge::builder("length", "").register_in(&registry).expect("valid");
    let without = openmetrics(&registry);
    assert!(!without.contains("_created"));
    let text = registry.to_text();
    registry.export_created(true);
    let with = openmetrics(&registry);
    for sample in ["jobs_created", "wait_seconds_created{of=\"x\"}", "size_bytes_created"] {
        let created = sample_in(&with, sample).unwrap_or_else(|| panic!("{sample} in:\n{with}"));
        assert!(before - 0.2 <= created && created <= now(), "{created}");
    }
    assert_eq!(with.lines().filter(|line| line.contains("_created")).count(), 3);
    assert_eq!(registry.to_text(), text, "the text format has no creation times");
    registry.export_created(false);
    assert_eq!(openmetrics(&registry), without);
}
