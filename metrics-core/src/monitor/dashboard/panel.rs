//! Panels as Grafana's JSON.

use crate::monitor::json::{Json, object};

/// The colors from a value onward. The first has no value.
pub(super) type Steps = &'static [(&'static str, Option<f64>)];

pub(super) const PLAIN: Steps = &[("green", None)];
/// For the share of failed requests.
pub(super) const SHARE: Steps = &[("green", None), ("yellow", Some(0.01)), ("red", Some(0.05))];
/// For numbers that should be 0.
pub(super) const ANY: Steps = &[("green", None), ("red", Some(1.0))];

/// A query of a panel.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) expr: String,
    pub(super) legend: String,
    pub(super) format: &'static str,
    /// True if only the latest value is of interest.
    pub(super) is_instant: bool,
}

impl Query {
    pub(super) fn new(expr: String, legend: impl Into<String>) -> Self {
        Self { expr, legend: legend.into(), format: "time_series", is_instant: false }
    }

    /// The latest values only.
    pub(super) fn instant(self) -> Self {
        Self { is_instant: true, ..self }
    }

    /// The latest values, as rows of a table.
    pub(super) fn table(self) -> Self {
        Self { format: "table", ..self }.instant()
    }
}

/// A panel without its position.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    kind: &'static str,
    title: String,
    description: String,
    queries: Vec<Query>,
    unit: &'static str,
    options: Json,
    custom: Json,
    color: &'static str,
    steps: Steps,
    no_value: &'static str,
    minimum: Option<f64>,
    maximum: Option<f64>,
    mappings: Vec<Json>,
    overrides: Vec<Json>,
    transformations: Vec<Json>,
}

impl Panel {
    fn new(kind: &'static str, title: impl Into<String>, description: impl Into<String>, queries: Vec<Query>) -> Self {
        Self {
            kind,
            title: title.into(),
            description: description.into(),
            queries,
            unit: "none",
            options: object! {},
            custom: object! {},
            color: "palette-classic",
            steps: PLAIN,
            no_value: "No data",
            minimum: None,
            maximum: None,
            mappings: Vec::new(),
            overrides: Vec::new(),
            transformations: Vec::new(),
        }
    }

    /// Lines over time.
    pub(super) fn lines(
        title: impl Into<String>,
        description: impl Into<String>,
        queries: Vec<Query>,
        unit: &'static str,
    ) -> Self {
        let options = object! {
            "legend": object! {
                "calcs": vec!["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": true,
            },
            "tooltip": object! { "mode": "multi", "sort": "desc" },
        };
        let custom = line_style("line", 10, "none", "off");
        let panel = Self::new("timeseries", title, description, queries);
        Self { unit, options, custom, minimum: Some(0.0), ..panel }
    }

    /// The latest values as large numbers.
    pub(super) fn numbers(
        title: impl Into<String>,
        description: impl Into<String>,
        queries: Vec<Query>,
        unit: &'static str,
    ) -> Self {
        let is_instant = queries.iter().all(|query| query.is_instant);
        let options = object! {
            "colorMode": "value",
            "graphMode": if is_instant { "none" } else { "area" },
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": object! { "calcs": vec!["lastNotNull"], "fields": "", "values": false },
            "percentChangeColorMode": "standard",
            "showPercentChange": false,
            "textMode": if queries.len() > 1 { "value_and_name" } else { "auto" },
            "wideLayout": true,
        };
        Self { unit, options, color: "thresholds", ..Self::new("stat", title, description, queries) }
    }

    /// A table, sorted by a column with the highest values first.
    pub(super) fn table(
        title: impl Into<String>,
        description: impl Into<String>,
        queries: Vec<Query>,
        sort_by: Option<&'static str>,
        transformations: Vec<Json>,
    ) -> Self {
        let sort_by: Vec<Json> =
            sort_by.into_iter().map(|name| object! { "desc": true, "displayName": name }).collect();
        let options = object! {
            "cellHeight": "sm", "frameIndex": 0, "showHeader": true, "sortBy": sort_by,
            "footer": object! {
                "show": false, "reducer": vec!["sum"], "countRows": false, "fields": Vec::<Json>::new(),
            },
        };
        let custom = object! { "align": "auto", "cellOptions": object! { "type": "auto" }, "inspect": false };
        let panel = Self::new("table", title, description, queries);
        Self { options, custom, color: "thresholds", no_value: "-", transformations, ..panel }
    }

    /// The distribution of values over time. The query returns buckets.
    pub(super) fn heatmap(
        title: impl Into<String>,
        description: impl Into<String>,
        expr: String,
        unit: &'static str,
    ) -> Self {
        let options = object! {
            "calculate": false,
            "cellGap": 1,
            "color": object! {
                "exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": false, "scale": "exponential",
                "scheme": "Oranges", "steps": 64,
            },
            "exemplars": object! { "color": "rgba(255,0,255,0.7)" },
            "filterValues": object! { "le": 1e-9 },
            "legend": object! { "show": true },
            "rowsFrame": object! { "layout": "auto" },
            "showValue": "never",
            "tooltip": object! { "mode": "single", "yHistogram": true },
            "yAxis": object! { "axisPlacement": "left", "reverse": false, "unit": unit },
        };
        let query = Query { format: "heatmap", ..Query::new(expr, "{{le}}") };
        Self { unit, options, ..Self::new("heatmap", title, description, vec![query]) }
    }

    /// The current state over time. The values of the query are positions in `states`.
    pub(super) fn states(
        title: impl Into<String>,
        description: impl Into<String>,
        query: Query,
        states: &[String],
    ) -> Self {
        const COLORS: [&str; 8] =
            ["blue", "green", "yellow", "orange", "red", "purple", "semi-dark-blue", "semi-dark-green"];
        let options = object! {
            "alignValue": "left", "mergeValues": true, "rowHeight": 0.9, "showValue": "auto",
            "legend": object! {
                "calcs": Vec::<Json>::new(), "displayMode": "list", "placement": "bottom", "showLegend": true,
            },
            "tooltip": object! { "mode": "multi", "sort": "none" },
        };
        let texts = states.iter().zip(COLORS.into_iter().cycle()).zip(0_u32..);
        let texts = texts.map(|((state, color), at)| {
            (at.to_string().into(), object! { "color": color, "index": at, "text": state.clone() })
        });
        let mappings = vec![object! { "type": "value", "options": Json::Object(texts.collect()) }];
        let custom = object! { "fillOpacity": 70, "lineWidth": 0 };
        let panel = Self::new("state-timeline", title, description, vec![query]);
        Self { options, custom, mappings, color: "thresholds", ..panel }
    }

    pub(super) fn steps(self, steps: Steps) -> Self {
        let custom = if self.kind == "timeseries" { line_style("line", 10, "none", "dashed") } else { self.custom };
        Self { custom, steps, ..self }
    }

    /// The text that is shown instead of values.
    pub(super) fn no_value(self, no_value: &'static str) -> Self {
        Self { no_value, ..self }
    }

    /// Stacks the lines, so that their total is visible.
    pub(super) fn stacked(self) -> Self {
        Self { custom: line_style("line", 60, "normal", "off"), ..self }
    }

    /// Shows bars instead of lines.
    pub(super) fn bars(self) -> Self {
        Self { custom: line_style("bars", 60, "none", "off"), ..self }
    }

    /// Sets the range of the axis.
    pub(super) fn range(self, minimum: Option<f64>, maximum: Option<f64>) -> Self {
        Self { minimum, maximum, ..self }
    }

    /// Changes properties of some fields: the kind of matcher, its argument, and the properties.
    pub(super) fn with_override(
        mut self,
        matcher: &'static str,
        argument: impl Into<Json>,
        properties: Vec<(&'static str, Json)>,
    ) -> Self {
        let properties: Vec<Json> =
            properties.into_iter().map(|(id, value)| object! { "id": id, "value": value }).collect();
        self.overrides.push(object! {
            "matcher": object! { "id": matcher, "options": argument.into() },
            "properties": properties,
        });
        self
    }

    /// Shows the values of a query on an axis at the right.
    pub(super) fn on_right(self, query: &'static str, unit: &'static str) -> Self {
        let properties =
            vec![("unit", unit.into()), ("custom.axisPlacement", "right".into()), ("custom.fillOpacity", 0.into())];
        self.with_override("byFrameRefID", query, properties)
    }

    /// Returns true if there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// Returns the panel with its number and its position.
    pub(super) fn placed(self, id: u32, [x, y, width, height]: [u32; 4], uid: &str) -> Json {
        let queries = self.queries.into_iter().zip('A'..);
        let queries: Vec<Json> = queries.map(|(query, id)| target(query, id, uid)).collect();
        let mut defaults = object! {
            "color": object! { "mode": self.color },
            "custom": self.custom,
            "mappings": self.mappings,
            "noValue": self.no_value,
            "thresholds": thresholds(self.steps),
            "unit": self.unit,
        };
        for (name, limit) in [("min", self.minimum), ("max", self.maximum)] {
            if let Some(limit) = limit {
                defaults = defaults.with(name, limit);
            }
        }
        // Grafana would replace these with the values of variables.
        let literal = |text: String| text.replace('$', "").replace("[[", "[ [");
        object! {
            "id": id,
            "type": self.kind,
            "title": literal(self.title),
            "description": literal(self.description),
            "gridPos": object! { "x": x, "y": y, "w": width, "h": height },
            "datasource": data_source(uid),
            "targets": queries,
            "fieldConfig": object! { "defaults": defaults, "overrides": self.overrides },
            "options": self.options,
            "transformations": self.transformations,
        }
    }
}

pub(super) fn thresholds(steps: Steps) -> Json {
    let steps: Vec<Json> = steps.iter().map(|(color, value)| object! { "color": *color, "value": *value }).collect();
    object! { "mode": "absolute", "steps": steps }
}

/// A reference to a data source.
pub(super) fn data_source(uid: &str) -> Json {
    object! { "type": "prometheus", "uid": uid.to_owned() }
}

fn target(query: Query, id: char, uid: &str) -> Json {
    object! {
        "refId": id.to_string(),
        "datasource": data_source(uid),
        "editorMode": "code",
        "expr": query.expr,
        "format": query.format,
        "instant": query.is_instant,
        "range": !query.is_instant,
        "legendFormat": query.legend,
    }
}

fn line_style(style: &'static str, opacity: u32, stacking: &'static str, thresholds: &'static str) -> Json {
    object! {
        "drawStyle": style, "fillOpacity": opacity, "lineWidth": 1, "showPoints": "auto", "spanNulls": false,
        "stacking": object! { "group": "A", "mode": stacking },
        "thresholdsStyle": object! { "mode": thresholds },
    }
}
