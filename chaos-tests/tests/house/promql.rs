//! Reads PromQL and says what it asks for: which series, by which labels, within what.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::label::{Labels, Matchers};
use promql_parser::parser::{self, Expr, LabelModifier};
use rotunda_metrics::{Kind, Metric};

/// Stands for `$__rate_interval`: a range that nobody would write.
pub(crate) const RATE_INTERVAL: Duration = Duration::from_secs(251);

/// One selector of an expression.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) name: String,
    /// Labels that it is narrowed by.
    pub(crate) labels: BTreeSet<String>,
    /// The function around it, where there is one.
    pub(crate) function: Option<String>,
    /// Of a range.
    pub(crate) range: Option<Duration>,
}

/// What an expression asks for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) selectors: Vec<Selector>,
    /// Labels that it is grouped or joined by.
    pub(crate) grouped_by: BTreeSet<String>,
}

/// Reads an expression of a panel or a rule.
pub(crate) fn read(expression: &str) -> Result<Asked, String> {
    let plain = expression
        .replace("$__rate_interval", &format!("{}s", RATE_INTERVAL.as_secs()))
        .replace("$job", ".*")
        .replace("$instance", ".*");
    let mut asked = Asked::default();
    walk(&parser::parse(&plain)?, None, &mut asked);
    Ok(asked)
}

fn walk(expression: &Expr, function: Option<&str>, asked: &mut Asked) {
    match expression {
        Expr::Aggregate(aggregate) => {
            if let Some(modifier) = &aggregate.modifier {
                group(modifier, asked);
            }
            walk(&aggregate.expr, function, asked);
        }
        Expr::Binary(binary) => {
            if let Some(matching) = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()) {
                group(matching, asked);
            }
            walk(&binary.lhs, function, asked);
            walk(&binary.rhs, function, asked);
        }
        Expr::Unary(unary) => walk(&unary.expr, function, asked),
        Expr::Paren(paren) => walk(&paren.expr, function, asked),
        Expr::Subquery(subquery) => walk(&subquery.expr, function, asked),
        Expr::Call(call) => {
            for argument in &call.args.args {
                walk(argument, Some(call.func.name), asked);
            }
        }
        Expr::VectorSelector(selector) => select(selector.name.as_ref(), &selector.matchers, function, None, asked),
        Expr::MatrixSelector(selector) => {
            let (vector, range) = (&selector.vs, selector.range);
            select(vector.name.as_ref(), &vector.matchers, function, Some(range), asked);
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn group(modifier: &LabelModifier, asked: &mut Asked) {
    let Labels { labels } = modifier.labels();
    asked.grouped_by.extend(labels.iter().cloned());
}

fn select(
    name: Option<&String>,
    matchers: &Matchers,
    function: Option<&str>,
    range: Option<Duration>,
    asked: &mut Asked,
) {
    asked.selectors.push(Selector {
        name: name.cloned().unwrap_or_default(),
        labels: matchers.matchers.iter().map(|matcher| matcher.name.clone()).collect(),
        function: function.map(str::to_owned),
        range,
    });
}

/// The metric that a series belongs to: a histogram is one name in the constants and three series in Prometheus.
pub(crate) fn metric_of(series: &str) -> Option<Metric> {
    rotunda_metrics::all().into_iter().find(|metric| match metric.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|ending| series.strip_suffix(ending) == Some(metric.name)),
        Kind::Counter | Kind::Gauge => series == metric.name,
    })
}

/// What is wrong with an expression: metrics that are not there, labels that they have not, counters by themselves.
/// `recorded` are the series that rules make.
pub(crate) fn complaints(expression: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let asked = match read(expression) {
        Ok(asked) => asked,
        Err(error) => return vec![format!("{expression}: {error}")],
    };
    let mut complaints = Vec::new();
    let mut known: BTreeSet<&str> = ["job", "instance"].into();
    let mut all_known = true;
    for selector in &asked.selectors {
        let name = &selector.name;
        if recorded.contains(name) {
            all_known = false;
            continue;
        }
        let Some(metric) = metric_of(name) else {
            complaints.push(format!("no constant is called {name}"));
            continue;
        };
        known.extend(metric.labels);
        if name.ends_with("_bucket") {
            known.insert("le");
        }
        for label in &selector.labels {
            if !metric.labels.contains(&label.as_str()) && label != "job" && label != "instance" {
                complaints.push(format!("{name} has no label {label}"));
            }
        }
        let is_rate = matches!(selector.function.as_deref(), Some("rate" | "increase"));
        if metric.kind != Kind::Gauge && !is_rate {
            complaints.push(format!("{name} counts up: it is to be shown by rate or increase"));
        }
    }
    if all_known {
        let strangers = asked.grouped_by.iter().filter(|label| !known.contains(label.as_str()));
        complaints.extend(strangers.map(|label| format!("nothing in {expression} has a label {label}")));
    }
    complaints
}

/// The checks above are worth nothing if they cannot find anything.
#[test]
fn a_wrong_expression_is_complained_of() {
    let recorded = BTreeSet::from(["job:sums:rate5m".to_owned()]);
    let right = [
        "sum by (outcome) (rate(rotunda_http_requests_total{job=~\"$job\"}[$__rate_interval]))",
        "histogram_quantile(0.9, sum by (le, shard) (rate(rotunda_raft_apply_seconds_bucket[5m])))",
        "max by (job, whatever) (job:sums:rate5m)",
        "up{job=~\"rotunda-.*\"} == 0",
    ];
    for expression in right {
        assert_eq!(complaints(expression, &recorded), [""; 0], "{expression}");
    }
    let wrong = [
        ("sum(rotunda_http_requests_total)", "counts up"),
        ("rate(rotunda_http_request_total[5m])", "no constant"),
        ("rotunda_raft_term{venue=\"x\"}", "no label venue"),
        ("sum by (venue) (rotunda_raft_term)", "has a label venue"),
        ("rotunda_raft_apply_seconds", "no constant"),
        ("sum(rotunda_raft_term", "sum("),
    ];
    for (expression, complaint) in wrong {
        let found = complaints(expression, &recorded);
        assert!(
            found.iter().any(|found| found.contains(complaint)),
            "{expression}: {found:?}"
        );
    }
}
