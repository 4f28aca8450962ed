//! Who may call what, by what the caller's certificate says. In a cluster with certificates every call comes by here
//! ([`guard`]); what no line of [`MAY`] allows is refused. Nodes alone speak Raft, and each only as itself.

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use rotunda_protocol::proto::{
    admin::{admin_server, joining_server},
    booking::booking_server,
    raft::raft_server,
};
use rotunda_tls::identity::{Identity, Role};
use tonic::Status;
use tonic::codegen::http::HeaderMap;
use tonic::service::Routes;

use super::incoming::Shown;
use crate::raft::peer::FROM_HEADER;

/// Kinds of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nodes,
    Routers,
    Clients,
}

use Kind::{Clients, Nodes, Routers};

impl Kind {
    fn of(role: &Role) -> Self {
        match role {
            Role::Node(_) => Nodes,
            Role::Router(_) => Routers,
            Role::Client(_) => Clients,
        }
    }
}

/// Service, method (all that no line before it names, where it is empty), and who may. Clients are tools that an operator has
/// made a certificate for: they may what a router may, and look and move leaders besides.
const MAY: &[(&str, &str, &[Kind])] = &[
    (raft_server::SERVICE_NAME, "", &[Nodes]),
    (booking_server::SERVICE_NAME, "", &[Routers, Clients]),
    (admin_server::SERVICE_NAME, "RegisterNode", &[Nodes]),
    // Nodes hold their replicas against each other's, and ask what each of them runs.
    (admin_server::SERVICE_NAME, "Status", &[Nodes, Routers, Clients]),
    (admin_server::SERVICE_NAME, "TransferLeader", &[Clients]),
    (admin_server::SERVICE_NAME, "ReadLog", &[Clients]),
    // Of backups, which hold secrets, and of a node that is replaced where there may be no router.
    (admin_server::SERVICE_NAME, "ReadPoint", &[Clients]),
    (admin_server::SERVICE_NAME, "ReadRows", &[Clients]),
    (admin_server::SERVICE_NAME, "RecordBackup", &[Clients]),
    (admin_server::SERVICE_NAME, "RemoveNode", &[Clients]),
    (admin_server::SERVICE_NAME, "AddNode", &[Clients]),
    (joining_server::SERVICE_NAME, "", &[Nodes]),
    (admin_server::SERVICE_NAME, "", &[Routers, Clients]),
    ("grpc.health.v1.Health", "", &[Nodes, Routers, Clients]),
];

/// `routes`, behind this.
pub fn guard(routes: Routes) -> Routes {
    let judged = from_fn(|request: Request, next: Next| async move {
        match judge(request.extensions().get(), request.uri().path(), request.headers()) {
            Ok(()) => next.run(request).await,
            Err(refused) => {
                tracing::warn!(path = request.uri().path(), "a call was refused: {}", refused.message());
                refused.into_http::<axum::body::Body>() as Response
            }
        }
    });
    Routes::from(routes.into_axum_router().layer(judged))
}

fn judge(shown: Option<&Shown>, path: &str, headers: &HeaderMap) -> Result<(), Status> {
    let Some(Shown(Some(caller))) = shown else {
        return Err(Status::unauthenticated("the caller has shown no certificate"));
    };
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let line = MAY
        .iter()
        .find(|(of, only, _)| *of == service && (only.is_empty() || *only == method));
    if !line.is_some_and(|(_, _, may)| may.contains(&Kind::of(&caller.role))) {
        return Err(Status::permission_denied(format!(
            "{caller} may not call {path}: its certificate is for something else"
        )));
    }
    if service == raft_server::SERVICE_NAME {
        speaks_as_itself(caller, headers)?;
    }
    Ok(())
}

/// What a node says that it is, is what its certificate says.
fn speaks_as_itself(caller: &Identity, headers: &HeaderMap) -> Result<(), Status> {
    let says = headers
        .get(FROM_HEADER)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    match caller.role {
        Role::Node(id) if id.to_string() == says => Ok(()),
        _ => Err(Status::permission_denied(format!(
            "{caller} says that it is node {says}: give that node its own certificate"
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn judged(role: &str, path: &str, from: &str) -> bool {
        let shown = Shown(Some(Identity::parse(&format!("{role}.c.rotunda")).unwrap()));
        let mut headers = HeaderMap::new();
        headers.insert(FROM_HEADER, from.parse().unwrap());
        judge(Some(&shown), path, &headers).is_ok()
    }

    #[test]
    fn raft_is_for_nodes_and_each_speaks_as_itself() {
        let exchange = "/rotunda.raft.v1.Raft/Exchange";
        assert!(judged("node-2", exchange, "2"));
        for (role, from) in [
            ("node-2", "1"),
            ("node-2", ""),
            ("node-2", "02"),
            ("router-a", "1"),
            ("client-a", "1"),
        ] {
            assert!(!judged(role, exchange, from), "{role} as {from}");
        }
    }

    #[test]
    fn each_kind_has_its_calls_and_no_others() {
        for (path, may) in [
            ("/rotunda.booking.v1.Booking/Submit", [false, true, true]),
            ("/rotunda.booking.v1.Booking/Query", [false, true, true]),
            ("/rotunda.admin.v1.Admin/WatchMap", [false, true, true]),
            ("/rotunda.admin.v1.Admin/CreateToken", [false, true, true]),
            ("/rotunda.admin.v1.Admin/RegisterNode", [true, false, false]),
            ("/rotunda.admin.v1.Admin/Status", [true, true, true]),
            ("/rotunda.admin.v1.Admin/TransferLeader", [false, false, true]),
            ("/rotunda.admin.v1.Admin/ReadLog", [false, false, true]),
            ("/rotunda.admin.v1.Admin/ReadRows", [false, false, true]),
            ("/rotunda.admin.v1.Admin/RecordBackup", [false, false, true]),
            ("/rotunda.admin.v1.Admin/RemoveNode", [false, false, true]),
            ("/rotunda.admin.v1.Joining/Standing", [true, false, false]),
            ("/grpc.health.v1.Health/Check", [true, true, true]),
            ("/rotunda.raft.v2.Raft/Exchange", [false, false, false]),
            ("/", [false, false, false]),
        ] {
            let found = ["node-1", "router-a", "client-a"].map(|role| judged(role, path, "1"));
            assert_eq!(found, may, "{path}");
        }
    }

    #[test]
    fn nobody_is_nobody() {
        let headers = HeaderMap::new();
        for shown in [None, Some(&Shown(None))] {
            let refused = judge(shown, "/grpc.health.v1.Health/Check", &headers).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        }
    }
}
