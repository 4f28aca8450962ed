//! What the OpenAPI document says of all routes alike, so that no route can say it otherwise: a name for clients that are
//! generated, who may (from the matrix in [`crate::access`]), the form of parameters that mean the same everywhere, the
//! closed list of codes, and where the ids of an answer lead.
//!
//! `router/tests/contract.rs` holds the document against the committed `router/openapi.json`.

use http::Method;
use rotunda_booking::command::Role;
use serde_json::{Map, Value, json};

use crate::access::Rules;
use crate::api::error::Code;

/// Name, method and path of each operation.
const NAMES: &[(&str, Method, &str)] = &[
    ("listVenues", Method::GET, "/v1/venues"),
    ("getVenue", Method::GET, "/v1/venues/{venue}"),
    ("listProducts", Method::GET, "/v1/venues/{venue}/products"),
    ("searchProducts", Method::GET, "/v1/products"),
    ("getAvailability", Method::GET, "/v1/venues/{venue}/availability"),
    (
        "streamAvailability",
        Method::GET,
        "/v1/venues/{venue}/availability/stream",
    ),
    ("listEvents", Method::GET, "/v1/events"),
    ("listAuditLines", Method::GET, "/v1/venues/{venue}/audit"),
    ("createBooking", Method::POST, "/v1/bookings"),
    ("getBooking", Method::GET, "/v1/bookings/{booking}"),
    ("extendBooking", Method::POST, "/v1/bookings/{booking}/extend"),
    ("confirmBooking", Method::POST, "/v1/bookings/{booking}/confirm"),
    ("releaseBooking", Method::POST, "/v1/bookings/{booking}/release"),
    ("cancelBooking", Method::POST, "/v1/bookings/{booking}/cancel"),
    ("rebookBooking", Method::POST, "/v1/bookings/{booking}/rebook"),
    ("getTicket", Method::GET, "/v1/tickets/{ticket}"),
    ("getTicketSvg", Method::GET, "/v1/tickets/{ticket}/qr.svg"),
    ("getTicketPng", Method::GET, "/v1/tickets/{ticket}/qr.png"),
    ("admit", Method::POST, "/v1/admissions"),
    ("admitBatch", Method::POST, "/v1/admissions/batch"),
    ("annulAdmission", Method::POST, "/v1/admissions/annul"),
    ("getGateBundle", Method::GET, "/v1/venues/{venue}/gate-bundle"),
    ("getOccupancy", Method::GET, "/v1/venues/{venue}/occupancy"),
    ("listTicketKeys", Method::GET, "/v1/venues/{venue}/ticket-keys"),
    ("listLedgerLines", Method::GET, "/v1/venues/{venue}/ledger"),
    ("getFootfall", Method::GET, "/v1/venues/{venue}/reports/footfall"),
    ("getRevenue", Method::GET, "/v1/venues/{venue}/reports/revenue"),
    ("getChannels", Method::GET, "/v1/venues/{venue}/reports/channels"),
    ("getNoShows", Method::GET, "/v1/venues/{venue}/reports/no-shows"),
    ("getDrawer", Method::GET, "/v1/venues/{venue}/drawers/{drawer}"),
    ("openDrawer", Method::POST, "/v1/venues/{venue}/drawers/{drawer}/open"),
    ("closeDrawer", Method::POST, "/v1/venues/{venue}/drawers/{drawer}/close"),
    ("createTicketKey", Method::POST, "/v1/admin/venues/{venue}/ticket-keys"),
    (
        "retireTicketKey",
        Method::POST,
        "/v1/admin/venues/{venue}/ticket-keys/{key}/retire",
    ),
    ("getLimits", Method::GET, "/v1/admin/limits"),
    ("setLimits", Method::PUT, "/v1/admin/limits"),
    ("resetLimits", Method::DELETE, "/v1/admin/limits"),
    ("importNetwork", Method::PUT, "/v1/admin/network"),
    ("getCluster", Method::GET, "/v1/admin/cluster"),
    ("finalizeVersion", Method::POST, "/v1/admin/cluster/version"),
    ("drainNode", Method::POST, "/v1/admin/nodes/{node}/drain"),
    ("resumeNode", Method::DELETE, "/v1/admin/nodes/{node}/drain"),
    ("changeSlot", Method::PUT, "/v1/admin/venues/{venue}/slots/{slot}"),
    ("createToken", Method::POST, "/v1/admin/tokens"),
    ("listTokens", Method::GET, "/v1/admin/tokens"),
    ("revokeToken", Method::DELETE, "/v1/admin/tokens/{name}"),
    ("listProblems", Method::GET, "/problems"),
    ("getProblem", Method::GET, "/problems/{code}"),
];

/// An operation, a status of its answers, the operations that take what such an answer names, and where it stands.
type Link = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
);

/// Where to go from an answer.
const LINKS: &[Link] = &[
    (
        "createBooking",
        "201",
        &[
            "getBooking",
            "extendBooking",
            "confirmBooking",
            "releaseBooking",
            "cancelBooking",
            "rebookBooking",
        ],
        &[("booking", "$response.body#/id")],
    ),
    (
        "confirmBooking",
        "200",
        &["getBooking", "cancelBooking", "rebookBooking"],
        &[("booking", "$response.body#/id")],
    ),
    (
        "confirmBooking",
        "200",
        &["getTicket", "getTicketSvg", "getTicketPng"],
        &[("ticket", "$response.body#/tickets/0/id")],
    ),
    (
        "rebookBooking",
        "200",
        &["getBooking", "cancelBooking"],
        &[("booking", "$response.body#/id")],
    ),
    (
        "openDrawer",
        "200",
        &["getDrawer", "closeDrawer"],
        &[("venue", "$request.path.venue"), ("drawer", "$request.path.drawer")],
    ),
    (
        "createToken",
        "201",
        &["revokeToken"],
        &[("name", "$response.body#/name")],
    ),
];

/// A key as `idempotency` reads it: bare, or quoted with backslashes before quotes and backslashes.
const KEY: &str = r#"^("([ !#-\[\]-~]|\\["\\]){1,255}"|[!#-~]([ -~]{0,253}[!-~])?)$"#;

/// Says how far unsigned numbers go: the derived formats are those of signed ones, whose last bit they lack.
fn bound(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let unsigned = members.get("minimum").is_some_and(|minimum| minimum.as_u64().is_some());
            let (format, maximum) = match members.get("format").and_then(Value::as_str) {
                Some("int64") if unsigned => ("uint64", u64::MAX),
                Some("int32") if unsigned => ("uint32", u64::from(u32::MAX)),
                _ => ("", 0),
            };
            if maximum > 0 {
                members.insert("format".to_owned(), format.into());
                members.entry("maximum").or_insert(maximum.into());
            }
            members.values_mut().for_each(bound);
        }
        Value::Array(values) => values.iter_mut().for_each(bound),
        _ => {}
    }
}

/// The document as text, with all that is said here.
pub(super) fn complete(document: &utoipa::openapi::OpenApi, rules: &Rules) -> serde_json::Result<String> {
    let mut document = serde_json::to_value(document)?;
    bound(&mut document);
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                let Ok(method) = Method::from_bytes(method.to_ascii_uppercase().as_bytes()) else {
                    continue;
                };
                describe(operation, &method, path, rules);
            }
        }
    }
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] = codes.into();
    serde_json::to_string_pretty(&document)
}

fn describe(operation: &mut Value, method: &Method, path: &str, rules: &Rules) {
    if let Some(rule) = rules.of(method, path) {
        let roles: Vec<&str> = Role::ALL
            .iter()
            .filter(|role| rule.may(**role))
            .map(|role| role.as_str())
            .collect();
        operation["x-roles"] = roles.into();
        let token = json!({ "token": [] });
        operation["security"] = if rule.may(Role::Visitor) {
            json!([{}, token])
        } else {
            json!([token])
        };
    }
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        // What may be left out is derived as what may be null, which no header or query can say.
        if let Some(Value::Array(types)) = parameter.pointer_mut("/schema/type") {
            types.retain(|name| name != "null");
        }
        let form = match parameter["name"].as_str() {
            Some("Idempotency-Key") => json!({ "pattern": KEY }),
            Some("Rotunda-Commit") => {
                json!({ "pattern": r"^(\d{1,18}:\d{1,18}( *, *\d{1,18}:\d{1,18})*)?$", "example": "7:48213" })
            }
            Some("units") => json!({ "pattern": r"^[^:,]+:\d{1,9}(,[^:,]+:\d{1,9})*$", "example": "adult:2,child:1" }),
            Some("from" | "to" | "open_on") => {
                json!({ "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$", "example": "2027-01-15" })
            }
            _ => continue,
        };
        if let (Some(schema), Value::Object(form)) = (parameter["schema"].as_object_mut(), form) {
            schema.extend(form);
        }
    }
    let Some((name, ..)) = NAMES.iter().find(|known| known.1 == method && known.2 == path) else {
        return;
    };
    operation["operationId"] = (*name).into();
    for (_, status, targets, parameters) in LINKS.iter().filter(|link| link.0 == *name) {
        let response = operation.pointer_mut(&format!("/responses/{status}"));
        let Some(response) = response.and_then(Value::as_object_mut) else {
            continue;
        };
        let links = response.entry("links").or_insert_with(|| Map::new().into());
        let parameters: Map<String, Value> = parameters
            .iter()
            .map(|(name, place)| ((*name).to_owned(), (*place).into()))
            .collect();
        for target in *targets {
            links[*target] = json!({ "operationId": target, "parameters": parameters });
        }
    }
}
