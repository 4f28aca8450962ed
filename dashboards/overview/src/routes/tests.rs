//! A process that is made up, looked at over its routes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::Request;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::BodyExt;

use super::*;
use crate::state::{HotSlot, Map, Process, Shard, State, Tick};
use crate::{Plan, Subject};

/// Sells ten tickets each time that it is looked at, and has another leader each time that it is asked.
#[derive(Default)]
struct BoxOffice {
    looks: AtomicU32,
    asks: AtomicU32,
}

impl Subject for BoxOffice {
    fn process(&self) -> Process {
        Process {
            kind: "router".to_owned(),
            name: "127.0.0.1:9090".to_owned(),
            version: "1.2.3".to_owned(),
        }
    }

    fn plan(&self) -> Plan {
        Plan::router()
    }

    fn metrics(&self) -> String {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        format!(
            "rotunda_tickets_issued_total{{venue=\"v\",channel=\"web\"}} {}\n",
            looks * 10
        )
    }

    fn hot(&self, most: usize) -> Vec<HotSlot> {
        vec![HotSlot::default(); most.min(1)]
    }

    fn map(&self) -> BoxFuture<'_, Option<Map>> {
        let leader = self.asks.fetch_add(1, Ordering::Relaxed) % 2 + 1;
        let shard = Shard {
            id: 1,
            leader: Some(leader),
            ..Shard::default()
        };
        let map = Map {
            nodes: Vec::new(),
            shards: vec![shard],
        };
        async move { Some(map) }.boxed()
    }
}

async fn get(router: &Router, path: &str, known: Option<&str>) -> Response {
    let mut request = Request::get(path);
    if let Some(etag) = known {
        request = request.header(IF_NONE_MATCH, etag);
    }
    let request = request.body(Body::empty()).expect("a request");
    let mut router = router.clone();
    let Ok(response) = tower::Service::call(&mut router, request).await;
    response
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The next event's name and data.
async fn next_event(body: &mut Body) -> (String, String) {
    let frame = body.frame().await.expect("not the end").expect("no error");
    let bytes = frame.into_data().expect("data");
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(text.ends_with("\n\n"), "{text}");
    (field("event: "), field("data: "))
}

#[tokio::test]
async fn files_are_served_once_and_then_known() {
    let router = routes(Overview::start(Arc::new(BoxOffice::default())));
    for asset in ASSETS {
        let response = get(&router, asset.path, None).await;
        assert_eq!(response.status(), StatusCode::OK, "{}", asset.path);
        let headers = response.headers().clone();
        assert_eq!(headers[CONTENT_TYPE], asset.media);
        assert!(
            headers[CONTENT_SECURITY_POLICY]
                .to_str()
                .expect("text")
                .starts_with("default-src 'self';")
        );
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let etag = headers[ETAG].to_str().expect("text");
        let weak = format!("\"other\", W/{etag}");
        for known in [etag, &weak] {
            let again = get(&router, asset.path, Some(known)).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(text(again).await, "");
        }
        let other = get(&router, asset.path, Some("\"other\"")).await;
        assert_eq!(other.status(), StatusCode::OK);
    }
    assert_eq!(
        get(&router, "/overview/secret", None).await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_is_told_all_and_then_each_second() {
    let router = routes(Overview::start(Arc::new(BoxOffice::default())));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut body = get(&router, EVENTS_PATH, None).await.into_body();
    let (name, data) = next_event(&mut body).await;
    let mut state: State = serde_json::from_str(&data).expect("a state");
    assert_eq!((name.as_str(), state.process.kind.as_str()), ("state", "router"));
    assert!(state.times.len() >= 2 && state.values.iter().all(|values| values.len() == state.times.len()));
    assert_eq!(state.now.kpis.len(), 4);
    assert!(state.now.map.is_some());
    let known = state.times.len();
    for n in 1..=3 {
        let (name, data) = next_event(&mut body).await;
        assert_eq!(name, "tick");
        let tick: Tick = serde_json::from_str(&data).expect("a tick");
        assert!(tick.values[0].is_some_and(|tickets| tickets > 0.0), "{tick:?}");
        state.take(tick, 900);
        assert_eq!(state.times.len(), known + n);
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_map_are_told_while_somebody_looks() {
    let subject = Arc::new(BoxOffice::default());
    let router = routes(Overview::start(subject.clone()));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(subject.asks.load(Ordering::Relaxed), 0, "nobody looks");
    let mut body = get(&router, EVENTS_PATH, None).await.into_body();
    for _ in 0..60 {
        let (_, data) = next_event(&mut body).await;
        if data.contains("shard 1: node 1 leads, after node 2") {
            return;
        }
    }
    panic!("no change was told in 60 events");
}

#[tokio::test]
async fn as_many_may_look_as_there_are_places() {
    let router = routes(Overview::start(Arc::new(BoxOffice::default())));
    let mut readers = Vec::new();
    for _ in 0..MOST_STREAMS {
        let response = get(&router, EVENTS_PATH, None).await;
        assert_eq!(response.status(), StatusCode::OK);
        readers.push(response);
    }
    let refused = get(&router, EVENTS_PATH, None).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    assert!(text(refused).await.contains("16 are looking already"));
    readers.pop();
    assert_eq!(get(&router, EVENTS_PATH, None).await.status(), StatusCode::OK);
    assert_eq!(get(&router, STATE_PATH, None).await.status(), StatusCode::OK);
}
