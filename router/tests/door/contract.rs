//! What holds for every answer: the shape of problems, names of requests, the OpenAPI document, health.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rotunda_booking::ids::VenueNo;
use rotunda_router::api;
use rotunda_router::api::error::Code;
use rotunda_router::backend::ClientError;
use rotunda_router::catalogue_cache::CatalogueCache;
use rotunda_router::server::Door;
use tokio::time::Instant;

use crate::fake::{CountingDraw, Trouble};
use crate::house::{ADMIN, House, NETWORK, config, hold, key};

#[tokio::test]
async fn every_problem_has_all_its_members() {
    let house = House::furnished(config()).await;
    let answers = [
        house.get("/v1/venues/atlantis").await,
        house.get("/nowhere").await,
        house.request("PATCH", "/v1/bookings", &[], String::new()).await,
        house.post("/v1/bookings", &key(1), "{").await,
        house.post("/v1/bookings", "short", &hold(1)).await,
        house.post("/v1/bookings", &key(2), &hold(0)).await,
        house.put("/v1/admin/network", &[], String::new()).await,
    ];
    for answer in answers {
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        for member in ["type", "title", "detail", "instance", "code", "trace_id"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member} in {problem}"
            );
        }
        assert_eq!(problem["status"], answer.status.as_u16());
        assert!(
            problem["errors"].is_array() && problem["retryable"].is_boolean(),
            "{problem}"
        );
        // The type can be looked up.
        let described = house.get(problem["type"].as_str().unwrap()).await;
        assert_eq!(described.json()["code"], problem["code"]);
    }
}

#[tokio::test]
async fn a_request_is_named_by_its_trace_parent() {
    let house = House::empty(config());
    let parent = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let answer = house
        .request("GET", "/v1/venues/atlantis", &parent, String::new())
        .await;
    assert_eq!(answer.header("x-request-id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(answer.json()["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let (one, other) = (house.get("/v1/venues").await, house.get("/v1/venues").await);
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[tokio::test]
async fn the_openapi_document_has_every_route() {
    let house = House::empty(config());
    let document = house.get("/openapi.json").await.json();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    let mut routes: Vec<String> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| ["get", "put", "post", "delete"].contains(&key.as_str()))
        {
            routes.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    routes.sort();
    assert_eq!(
        routes,
        [
            "DELETE /v1/admin/limits",
            "DELETE /v1/admin/nodes/{node}/drain",
            "DELETE /v1/admin/tokens/{name}",
            "GET /problems",
            "GET /problems/{code}",
            "GET /v1/admin/cluster",
            "GET /v1/admin/limits",
            "GET /v1/admin/tokens",
            "GET /v1/bookings/{booking}",
            "GET /v1/events",
            "GET /v1/products",
            "GET /v1/tickets/{ticket}",
            "GET /v1/tickets/{ticket}/qr.png",
            "GET /v1/tickets/{ticket}/qr.svg",
            "GET /v1/venues",
            "GET /v1/venues/{venue}",
            "GET /v1/venues/{venue}/audit",
            "GET /v1/venues/{venue}/availability",
            "GET /v1/venues/{venue}/availability/stream",
            "GET /v1/venues/{venue}/drawers/{drawer}",
            "GET /v1/venues/{venue}/gate-bundle",
            "GET /v1/venues/{venue}/ledger",
            "GET /v1/venues/{venue}/occupancy",
            "GET /v1/venues/{venue}/products",
            "GET /v1/venues/{venue}/reports/channels",
            "GET /v1/venues/{venue}/reports/footfall",
            "GET /v1/venues/{venue}/reports/no-shows",
            "GET /v1/venues/{venue}/reports/revenue",
            "GET /v1/venues/{venue}/ticket-keys",
            "POST /v1/admin/cluster/version",
            "POST /v1/admin/nodes/{node}/drain",
            "POST /v1/admin/tokens",
            "POST /v1/admin/venues/{venue}/ticket-keys",
            "POST /v1/admin/venues/{venue}/ticket-keys/{key}/retire",
            "POST /v1/admissions",
            "POST /v1/admissions/annul",
            "POST /v1/admissions/batch",
            "POST /v1/bookings",
            "POST /v1/bookings/{booking}/cancel",
            "POST /v1/bookings/{booking}/confirm",
            "POST /v1/bookings/{booking}/extend",
            "POST /v1/bookings/{booking}/rebook",
            "POST /v1/bookings/{booking}/release",
            "POST /v1/venues/{venue}/drawers/{drawer}/close",
            "POST /v1/venues/{venue}/drawers/{drawer}/open",
            "PUT /v1/admin/limits",
            "PUT /v1/admin/network",
            "PUT /v1/admin/venues/{venue}/slots/{slot}",
        ]
    );
    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn the_documentation_needs_no_network() {
    let house = House::empty(config());
    let page = house.get("/docs/").await;
    assert_eq!(page.status, 200);
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("swagger-ui"), "{html}");
    for attribute in ["src=\"", "href=\""] {
        for link in html.split(attribute).skip(1) {
            let link = link.split('"').next().unwrap();
            assert!(!link.contains("//"), "{link} is elsewhere");
            let file = house.get(&format!("/docs/{}", link.trim_start_matches("./"))).await;
            assert_eq!(file.status, 200, "{link}");
        }
    }
    let start = house.get("/docs/swagger-initializer.js").await;
    assert!(String::from_utf8_lossy(&start.body).contains("/openapi.json"));
}

#[tokio::test]
async fn the_list_of_codes_is_closed_and_complete() {
    let house = House::empty(config());
    let list = house.get("/problems").await.json();
    assert_eq!(list.as_array().unwrap().len(), Code::ALL.len());
}

#[tokio::test]
async fn a_draining_router_says_so_and_still_lives() {
    let house = House::empty(config());
    assert_eq!(house.get("/readyz").await.status, 200);
    house.door.drain();
    let answer = house.get("/readyz?verbose").await;
    assert_eq!(answer.status, 503);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(
        text.contains("[-] serving: draining") && text.contains("[+] shard_map"),
        "{text}"
    );
    assert_eq!(house.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_page_that_the_caller_has_is_not_sent_again() {
    let house = House::furnished(config()).await;
    for path in [
        "/v1/venues?limit=2",
        "/v1/venues/lisbon-tides",
        "/v1/venues/lisbon-tides/products",
        "/v1/products?limit=2",
        "/v1/venues/lisbon-tides/availability?from=2026-12-01",
    ] {
        let first = house.get(path).await;
        let tag = first.header("etag").to_owned();
        let again = house
            .request(
                "GET",
                path,
                &[("if-none-match", &format!("\"x\", {tag}"))],
                String::new(),
            )
            .await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), tag);
    }
    // A sale changes what is left.
    let path = "/v1/venues/lisbon-tides/availability?from=2026-12-01";
    let tag = house.get(path).await.header("etag").to_owned();
    assert_eq!(house.post("/v1/bookings", &key(1), &hold(2)).await.status, 201);
    let again = house
        .request("GET", path, &[("if-none-match", &tag)], String::new())
        .await;
    assert_eq!(again.status, 200);
}

#[tokio::test]
async fn an_answer_in_one_language_is_not_taken_for_that_in_another() {
    let house = House::furnished(config()).await;
    for path in [
        "/v1/venues?limit=5",
        "/v1/venues/lisbon-tides",
        "/v1/venues/lisbon-tides/products",
        "/v1/products?q=deep",
    ] {
        let in_language = async |language: &str, tag: &str| {
            let headers = [("accept-language", language), ("if-none-match", tag)];
            house.request("GET", path, &headers, String::new()).await
        };
        let (english, portuguese) = (in_language("en", "").await, in_language("pt-BR", "").await);
        assert_ne!(english.body, portuguese.body, "{path}");
        assert!(portuguese.header("content-language").contains("pt"), "{path}");
        let tag = portuguese.header("etag");
        assert_eq!(in_language("en", tag).await.status, 200, "{path}");
        // What another reader of it has is the same answer.
        let again = in_language("fi, pt;q=0.1", tag).await;
        assert_eq!(again.status, 304, "{path}");
        assert_eq!(
            (again.header("vary"), again.header("content-language")),
            ("Accept-Language", "")
        );
    }
}

#[tokio::test]
async fn a_search_finds_what_another_router_has_imported() {
    let house = House::furnished(config()).await;
    let neighbour = Door::new(&config(), house.fake.clone(), Arc::new(CountingDraw::default())).unwrap();
    let neighbour = House {
        fake: house.fake.clone(),
        app: api::app(neighbour.clone()),
        door: neighbour,
    };
    let found = async |words: &str| {
        let page = neighbour.get(&format!("/v1/products?q={words}")).await.json();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(
        (
            found("tide-gauge").await,
            found("marees").await,
            found("lighthouse").await
        ),
        (0, 3, 0)
    );
    let other = NETWORK.replace("Musée des Marées", "Le Phare lighthouse");
    let imported = house.put("/v1/admin/network", &[("authorization", ADMIN)], other).await;
    assert_eq!(imported.status, 200);
    // The copy there grows old, and what was folded of it goes with it.
    let heard = async {
        while found("lighthouse").await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), heard).await.unwrap();
    assert_eq!((found("marees").await, found("lighthouse").await), (0, 3));
}

#[tokio::test]
async fn the_catalogue_outlives_the_cluster_and_a_commit_token_passes_the_copy_by() {
    let house = House::furnished(config()).await;
    let cache = CatalogueCache::keeping(Duration::ZERO);
    let deadline = Instant::now() + Duration::from_secs(5);
    let get = async |at_least| cache.get(&*house.fake, VenueNo(1), at_least, deadline).await;
    let first = get(None).await.unwrap().unwrap();
    house.fake.meet(Trouble::Unavailable);
    let stale = get(None).await.unwrap().unwrap();
    assert_eq!(stale.index, first.index);
    house.fake.meet(Trouble::Unavailable);
    assert_eq!(get(Some(first.index + 1)).await.err(), Some(ClientError::Unavailable));
}

#[tokio::test]
async fn one_asks_for_a_newer_copy_and_the_others_do_not_wait() {
    let house = House::furnished(config()).await;
    let cache = CatalogueCache::keeping(Duration::ZERO);
    let deadline = Instant::now() + Duration::from_secs(60);
    let get = async || cache.get(&*house.fake, VenueNo(1), None, deadline).await;
    get().await.unwrap();
    let all = house.fake.gate.acquire_many(1_000_000).await.unwrap();
    let mut asks = Box::pin(get());
    assert!(futures::poll!(&mut asks).is_pending());
    // The shard does not answer: nobody else waits for it.
    assert!(futures::poll!(Box::pin(get())).is_ready());
    // Whoever asked goes away; the next one asks.
    drop(asks);
    let mut asks = Box::pin(get());
    assert!(futures::poll!(&mut asks).is_pending());
    // It waits for a newer copy, but not as long as its request might.
    assert!(asks.await.unwrap().is_some());
    assert!(Instant::now() < deadline);
    drop(all);
}

#[tokio::test]
async fn a_broken_off_import_says_how_far_it_came_and_is_sent_again() {
    let house = House::empty(config());
    // Numbers are given, the first venue, its calendar and its key are in place, then the cluster is gone.
    for trouble in [
        Trouble::Calm,
        Trouble::Calm,
        Trouble::Calm,
        Trouble::Calm,
        Trouble::Unavailable,
    ] {
        house.fake.meet(trouble);
    }
    let import = async || {
        house
            .put("/v1/admin/network", &[("authorization", ADMIN)], NETWORK.to_owned())
            .await
    };
    let broken = import().await;
    assert_eq!(
        (broken.status.as_u16(), broken.code().as_str()),
        (503, "import_interrupted")
    );
    assert_eq!(broken.json()["retryable"], true);
    assert_eq!(broken.json()["venues"][0]["id"], "lisbon-tides");
    assert_eq!(broken.json()["venues"].as_array().unwrap().len(), 1);
    let again = import().await.json();
    assert_eq!(
        (&again["venues"][0]["changed"], &again["venues"][1]["changed"]),
        (&false.into(), &true.into())
    );
}

#[tokio::test]
async fn an_import_that_can_never_work_is_not_called_interrupted() {
    let house = House::empty(config());
    for trouble in [
        Trouble::Calm,
        Trouble::Calm,
        Trouble::Calm,
        Trouble::Calm,
        Trouble::Rejected,
    ] {
        house.fake.meet(trouble);
    }
    let refused = house
        .put("/v1/admin/network", &[("authorization", ADMIN)], NETWORK.to_owned())
        .await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (500, "internal"));
    assert_eq!(refused.json()["retryable"], false);
    assert_eq!(
        refused.json()["venues"].as_array().unwrap().len(),
        1,
        "what is in place"
    );
}

#[tokio::test]
async fn a_fresh_copy_is_not_asked_for_again() {
    let house = House::furnished(config()).await;
    house.get("/v1/venues/lisbon-tides").await;
    let before = house.fake.calls.load(Ordering::Relaxed);
    let cache = CatalogueCache::keeping(Duration::from_secs(600));
    for _ in 0..5 {
        let deadline = Instant::now() + Duration::from_secs(5);
        cache.get(&*house.fake, VenueNo(1), None, deadline).await.unwrap();
    }
    assert_eq!(house.fake.calls.load(Ordering::Relaxed), before + 1);
}
