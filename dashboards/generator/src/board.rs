//! Dashboards as Grafana 10 or newer imports them. Panels flow from left to right, 24 units wide, row by row; each asks the
//! chosen data source for the chosen jobs and instances.

use serde_json::{Value, json};

use crate::expression;

/// Height of a panel in Grafana's units.
const HEIGHT: u32 = 8;

/// Grafana divides a dashboard's width into so many.
const WIDTH: u32 = 24;

/// How a panel draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// One number and its course.
    Stat,
    /// Lines over time.
    Lines,
    /// Lines over time, on top of each other.
    Stacked,
    /// A bar for each series, as it is now.
    Bars,
}

/// One panel.
#[derive(Clone, Debug)]
pub struct Panel {
    view: View,
    title: &'static str,
    description: &'static str,
    unit: &'static str,
    width: u32,
    min: Option<f64>,
    max: Option<f64>,
    /// From this value on in this colour; below the first it is green.
    thresholds: Vec<(f64, &'static str)>,
    /// Colour below the first threshold.
    base: &'static str,
    queries: Vec<(String, String)>,
}

impl Panel {
    /// A third of the width, lines; `unit` is one of Grafana's.
    #[must_use]
    pub fn lines(title: &'static str, unit: &'static str, description: &'static str) -> Self {
        Self {
            view: View::Lines,
            title,
            description,
            unit,
            width: 8,
            min: Some(0.0),
            max: None,
            thresholds: Vec::new(),
            base: "green",
            queries: Vec::new(),
        }
    }

    /// As [`Self::lines`], drawn on top of each other.
    #[must_use]
    pub fn stacked(title: &'static str, unit: &'static str, description: &'static str) -> Self {
        let view = View::Stacked;
        Self {
            view,
            ..Self::lines(title, unit, description)
        }
    }

    /// A quarter of the width, one number.
    #[must_use]
    pub fn stat(title: &'static str, unit: &'static str, description: &'static str) -> Self {
        let (view, width) = (View::Stat, 6);
        Self {
            view,
            width,
            ..Self::lines(title, unit, description)
        }
    }

    /// A third of the width, bars.
    #[must_use]
    pub fn bars(title: &'static str, unit: &'static str, description: &'static str) -> Self {
        let view = View::Bars;
        Self {
            view,
            ..Self::lines(title, unit, description)
        }
    }

    /// What it shows, and how each series is called in the legend.
    #[must_use]
    pub fn show(mut self, expression: impl Into<String>, legend: &str) -> Self {
        self.queries.push((expression.into(), legend.to_owned()));
        self
    }

    /// Of 24.
    #[must_use]
    pub fn wide(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    /// The axis ends here.
    #[must_use]
    pub fn up_to(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// What can be negative is drawn around zero.
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.min = None;
        self
    }

    /// Orange from here on, red from there.
    #[must_use]
    pub fn worse_from(mut self, orange: f64, red: f64) -> Self {
        self.thresholds = vec![(orange, "orange"), (red, "red")];
        self
    }

    /// Red below the first, orange below the second.
    #[must_use]
    pub fn better_from(mut self, orange: f64, green: f64) -> Self {
        self.base = "red";
        self.thresholds = vec![(orange, "orange"), (green, "green")];
        self
    }

    fn to_json(&self, id: u32, x: u32, y: u32) -> Value {
        for (expression, _) in &self.queries {
            expression::assert_reads(expression);
        }
        let source = json!({"type": "prometheus", "uid": "${datasource}"});
        let steps: Vec<Value> = std::iter::once(json!({"color": self.base, "value": null}))
            .chain(
                self.thresholds
                    .iter()
                    .map(|(value, color)| json!({"color": color, "value": value})),
            )
            .collect();
        let targets: Vec<Value> = ('A'..='Z')
            .zip(&self.queries)
            .map(|(id, (expression, legend))| {
                json!({
                    "refId": id.to_string(),
                    "datasource": source,
                    "expr": expression,
                    "legendFormat": legend,
                    "editorMode": "code",
                    "range": true,
                })
            })
            .collect();
        let mut defaults = json!({
            "unit": self.unit,
            "thresholds": {"mode": "absolute", "steps": steps},
        });
        if let Some(min) = self.min {
            defaults["min"] = json!(min);
        }
        if let Some(max) = self.max {
            defaults["max"] = json!(max);
        }
        let (kind, options) = match self.view {
            View::Stat => (
                "stat",
                json!({"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}),
            ),
            View::Bars => (
                "bargauge",
                json!({
                    "reduceOptions": {"calcs": ["lastNotNull"]},
                    "orientation": "horizontal",
                    "displayMode": "basic",
                    "showUnfilled": true,
                }),
            ),
            View::Lines | View::Stacked => {
                let stacking = if self.view == View::Stacked { "normal" } else { "none" };
                defaults["custom"] = json!({
                    "drawStyle": "line",
                    "lineWidth": 1,
                    "fillOpacity": if self.view == View::Stacked { 40 } else { 8 },
                    "showPoints": "never",
                    "stacking": {"mode": stacking, "group": "A"},
                });
                (
                    "timeseries",
                    json!({
                        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                        "tooltip": {"mode": "multi", "sort": "desc"},
                    }),
                )
            }
        };
        json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.description,
            "datasource": source,
            "gridPos": {"h": HEIGHT, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options,
            "targets": targets,
        })
    }
}

/// One dashboard.
#[derive(Clone, Debug)]
pub struct Board {
    /// Its file is called so.
    pub name: &'static str,
    title: &'static str,
    description: &'static str,
    rows: Vec<(&'static str, Vec<Panel>)>,
}

impl Board {
    /// Without panels yet.
    #[must_use]
    pub fn new(name: &'static str, title: &'static str, description: &'static str) -> Self {
        Self {
            name,
            title,
            description,
            rows: Vec::new(),
        }
    }

    /// A row with its heading.
    #[must_use]
    pub fn row(mut self, title: &'static str, panels: impl IntoIterator<Item = Panel>) -> Self {
        self.rows.push((title, panels.into_iter().collect()));
        self
    }

    /// The file's text.
    ///
    /// # Errors
    /// None in practice; JSON is written into memory.
    pub fn text(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(&self.to_json())? + "\n")
    }

    fn to_json(&self) -> Value {
        let mut panels = Vec::new();
        let (mut id, mut y) = (1, 0);
        for (title, row) in &self.rows {
            panels.push(json!({
                "id": id, "type": "row", "title": title, "collapsed": false, "panels": [],
                "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y},
            }));
            (id, y) = (id + 1, y + 1);
            let mut x = 0;
            for panel in row {
                if x + panel.width > WIDTH {
                    (x, y) = (0, y + HEIGHT);
                }
                panels.push(panel.to_json(id, x, y));
                (id, x) = (id + 1, x + panel.width);
            }
            y += HEIGHT;
        }
        json!({
            "title": self.title,
            "description": self.description,
            "uid": format!("rotunda-{}", self.name),
            "tags": ["rotunda"],
            "schemaVersion": 39,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "time": {"from": "now-1h", "to": "now"},
            "refresh": "10s",
            "timezone": "browser",
            "links": [{
                "title": "Rotunda", "type": "dashboards", "tags": ["rotunda"], "asDropdown": true,
                "includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external link",
                "tooltip": "", "url": "",
            }],
            "templating": {"list": [
                {
                    "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
                    "refresh": 1, "current": {},
                },
                variable("job", "Job", ""),
                variable("instance", "Instance", r#"{job=~"$job"}"#),
            ]},
            "annotations": {"list": []},
            "panels": panels,
        })
    }
}

/// The values of a label that every process has.
fn variable(label: &str, shown: &str, among: &str) -> Value {
    let query = format!(
        "label_values({}{among}, {label})",
        rotunda_metrics::process::BUILD_INFO.name
    );
    json!({
        "name": label,
        "label": shown,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "definition": query,
        "query": {"query": query, "refId": label},
        "refresh": 2,
        "includeAll": true,
        "multi": true,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    })
}
