//! Tokens of the cluster: issue, list, revoke.
//!
//! The secret is drawn here, answered once, and kept nowhere: the cluster has its SHA-256. So the name is what makes the
//! request safe to repeat: the second one is told that the name is taken. Names are never used again. Times are the meta
//! leader's. A token of the router's settings is not listed here; it is changed in the settings.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::response::Response;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use rotunda_booking::ids::is_slug;
use rotunda_protocol::error::ClientError;
use rotunda_protocol::shard_map::ShardMap;
use rotunda_protocol::token::{MAX_TOKEN_NAMES, MAX_TOKEN_VENUES, MAX_TOKENS, Mark, NewToken, TokenInfo, TokenOutcome};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::body;
use super::call::{Call, Segments, author, json, unstored};
use super::error::{Code, Issue, Problem, ProblemBody};
use crate::auth::{self, RoleName};

/// Numbers of 64 bits in a secret.
const SECRET_NUMBERS: usize = 3;

/// A token to issue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grant {
    /// Names the caller in logs, in audit lines, and in the scope of its idempotency keys: 1 to 40 of a-z, 0-9 and -.
    #[schema(example = "gate-1")]
    name: String,
    /// What it may do.
    role: RoleName,
    /// Network that it is good for. Where it is left out: that of the token which asks; for an operator all of them; else the
    /// one network of the cluster, and where there are several it is needed.
    #[serde(default)]
    #[schema(example = "meridian")]
    network: Option<String>,
    /// Ids of the venues of it that it is good for, at most 16; all of them where there is none.
    #[serde(default)]
    venues: Vec<String>,
}

/// A token, with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Issued<'a> {
    #[serde(flatten)]
    token: Token<'a>,
    /// For `Authorization: Bearer`. It is shown this once.
    #[schema(example = "rt_06c45d188009454ff88bb8a8724c81ec1b39896a51a8749b")]
    secret: &'a str,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Token<'a> {
    name: &'a str,
    #[schema(example = "gate")]
    role: &'static str,
    /// Network that it is good for; null where it is good for all of them.
    network: Option<&'a str>,
    /// Ids of the venues that it is good for; all of them where there is none. Of a revoked token they are not kept.
    venues: &'a [String],
    /// Name of the token that it was issued with.
    created_by: &'a str,
    /// Address that it was issued from; null where that was before addresses were kept.
    created_from: Option<&'a str>,
    /// The time of day at the leader of the meta group, in UTC.
    created_at: String,
    /// Name of the token that it was revoked with; null where it is good.
    revoked_by: Option<&'a str>,
    /// As `created_from`.
    revoked_from: Option<&'a str>,
    /// As `created_at`.
    revoked_at: Option<String>,
}

/// All tokens that the caller may see: of his network, where his own is bound to one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenList<'a> {
    /// In order of name, revoked ones too.
    tokens: Vec<Token<'a>>,
}

/// Issue a token.
///
/// It is good on every router as soon as the router's copy of the map is renewed, on this one at once. The answer has the
/// secret, and nobody can ask for it again: where the answer is lost, revoke the token and issue one of another name.
#[utoipa::path(
    post, path = "/v1/admin/tokens", tag = "operator", request_body = Grant,
    responses(
        (status = 201, body = Issued, headers(("Location" = String, description = "Path of the token"))),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn create(call: Call, bytes: Bytes) -> Result<Response, Problem> {
    let Grant {
        name,
        role,
        network,
        venues,
    } = body::read(&call.headers, &bytes)?;
    let map = call.map()?;
    let network = network_of(&call, &map, role, network)?;
    check(&map, &name, network.as_deref(), &venues)?;
    auth::admit_to(&call.caller, network.as_deref())?;
    if call.door.tokens.has(&name) {
        return Err(taken(&name));
    }
    let secret = secret(&call);
    let token = NewToken {
        name: name.clone(),
        role: role.into(),
        network,
        venues,
        digest: Sha256::digest(&secret).into(),
        by: author(&call),
    };
    let issued = call.door.backend.create_token(token, call.deadline).await;
    decided(issued, &call, &name)?;
    tracing::info!(token = name, by = author(&call), "issued a token");
    let map = call.map()?;
    let body = Issued {
        token: shown(token_of(&map, &name)?),
        secret: &secret,
    };
    let mut response = unstored(json(StatusCode::CREATED, &body));
    if let Ok(location) = HeaderValue::try_from(format!("/v1/admin/tokens/{name}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// See the tokens of the cluster.
#[utoipa::path(
    get, path = "/v1/admin/tokens", tag = "operator",
    responses(
        (status = 200, body = TokenList),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn list(call: Call) -> Result<Response, Problem> {
    call.parameters([])?;
    let map = call.map()?;
    let holder = call.caller.holder();
    let is_seen = |token: &&TokenInfo| holder.is_none_or(|holder| holder.is_of(token.holder.network.as_deref()));
    let tokens = map.tokens().iter().filter(is_seen);
    let body = TokenList {
        tokens: tokens.map(shown).collect(),
    };
    Ok(unstored(json(StatusCode::OK, &body)))
}

/// Revoke a token.
///
/// This router refuses it at once, the others as soon as their copy of the map is renewed: well within a second where the
/// node that they follow hears of the meta group. Its name stays taken. To revoke it again changes nothing.
#[utoipa::path(
    delete, path = "/v1/admin/tokens/{name}", tag = "operator",
    params(("name" = String, Path, description = "Name of the token")),
    responses(
        (status = 200, body = Token),
        (status = "default", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("admin" = [])),
)]
pub(crate) async fn revoke(call: Call, Segments(name): Segments<String>) -> Result<Response, Problem> {
    call.parameters([])?;
    if let Some(token) = call.map()?.token(&name) {
        auth::admit_to(&call.caller, token.holder.network.as_deref())?;
    } else if call.door.tokens.has(&name) {
        return Err(Problem::new(
            Code::UnknownToken,
            format!("`{name}` is a token of this router's settings; take it out there and start the router again."),
        )
        .issue("{name}", "not a token of the cluster"));
    }
    let revoked = call
        .door
        .backend
        .revoke_token(&name, &author(&call), call.deadline)
        .await;
    decided(revoked, &call, &name)?;
    tracing::info!(token = name, by = author(&call), "revoked a token");
    let map = call.map()?;
    Ok(unstored(json(StatusCode::OK, &shown(token_of(&map, &name)?))))
}

/// The network of a token to be, where it has one.
fn network_of(call: &Call, map: &ShardMap, role: RoleName, asked: Option<String>) -> Result<Option<String>, Problem> {
    if asked.is_some() {
        return Ok(asked);
    }
    if let Some(network) = call.caller.holder().and_then(|holder| holder.network.as_deref()) {
        return Ok(Some(network.to_owned()));
    }
    if role == RoleName::Operator {
        return Ok(None);
    }
    let networks = map.networks();
    let mut names = networks.iter();
    match (names.next(), names.next()) {
        (Some(only), None) => Ok(Some((*only).to_owned())),
        (None, _) => Err(Problem::new(
            Code::InvalidBody,
            "This cannot be a token: there is no network that it could be good for.",
        )
        .issue("/network", "import a network first: PUT /v1/admin/network")),
        (Some(_), Some(_)) => {
            let names: Vec<&str> = networks.into_iter().collect();
            let detail = format!("which one is it good for? There are: {}", names.join(", "));
            Err(Problem::new(Code::InvalidBody, "This cannot be a token.").issue("/network", detail))
        }
    }
}

fn check(map: &Arc<ShardMap>, name: &str, network: Option<&str>, venues: &[String]) -> Result<(), Problem> {
    let mut issues = Vec::new();
    if !is_slug(name) {
        issues.push(Issue::new("/name", "a name has 1 to 40 of a-z, 0-9 and -"));
    }
    if venues.len() > MAX_TOKEN_VENUES {
        issues.push(Issue::new(
            "/venues",
            format!("at most {MAX_TOKEN_VENUES}; or none, for all"),
        ));
    }
    if network.is_some_and(|network| !map.networks().contains(network)) {
        issues.push(Issue::new("/network", "no such network"));
    }
    let others = venues.iter().enumerate().filter_map(|(n, slug)| {
        let other = map.venue(slug)?.network.as_deref();
        let network = network.filter(|network| other != Some(network))?;
        Some((n, network))
    });
    issues.extend(others.map(|(n, network)| {
        let detail = format!("does not belong to the network `{network}`; where it should, import that again");
        Issue::new(format!("/venues/{n}"), detail)
    }));
    let unknown = venues.iter().enumerate().filter(|(_, slug)| map.venue(slug).is_none());
    issues.extend(unknown.map(|(n, _)| Issue::new(format!("/venues/{n}"), "no such venue; GET /v1/venues lists them")));
    if issues.is_empty() {
        Ok(())
    } else {
        Err(Problem::new(Code::InvalidBody, "This cannot be a token.").issues(issues))
    }
}

/// `rt_` and hexadecimal digits.
fn secret(call: &Call) -> String {
    let mut secret = "rt_".to_owned();
    for _ in 0..SECRET_NUMBERS {
        // Text takes whatever is written to it.
        let _ = write!(secret, "{:016x}", call.door.draw.draw());
    }
    secret
}

fn decided(outcome: Result<TokenOutcome, ClientError>, call: &Call, name: &str) -> Result<(), Problem> {
    match outcome {
        Ok(TokenOutcome::Done) => Ok(()),
        Ok(TokenOutcome::NameTaken) => Err(taken(name)),
        Ok(TokenOutcome::TooMany) => Err(Problem::new(
            Code::TokenLimit,
            format!("{MAX_TOKENS} tokens are good, and no more may be. Revoke one that is not used."),
        )),
        Ok(TokenOutcome::NamesUsedUp) => Err(Problem::new(
            Code::TokenLimit,
            format!("The cluster has issued {MAX_TOKEN_NAMES} tokens, and keeps no more names."),
        )),
        Ok(TokenOutcome::Unknown) => Err(Problem::new(
            Code::UnknownToken,
            format!("There is no token `{name}`; GET /v1/admin/tokens lists them."),
        )
        .issue("{name}", "no such token")),
        // Unlike a booking's, the fate of what has no key can be seen.
        Err(ClientError::Unavailable | ClientError::Unknown) => Err(Problem::new(
            Code::OutcomeUnknown,
            "The cluster did not answer in time; it may have been done. GET /v1/admin/tokens shows whether it was.",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("1"))),
        Err(other) => Err(call.problem(other)),
    }
}

fn taken(name: &str) -> Problem {
    Problem::new(
        Code::TokenNameTaken,
        format!("There is, or was, a token `{name}`, and names are never used again. Choose another one."),
    )
    .issue("/name", "taken")
}

fn token_of<'a>(map: &'a ShardMap, name: &str) -> Result<&'a TokenInfo, Problem> {
    map.token(name)
        .ok_or_else(|| Problem::new(Code::Internal, "The map does not show the token that was just changed."))
}

fn shown(token: &TokenInfo) -> Token<'_> {
    let time = |mark: &Mark| mark.at.to_rfc3339(0);
    Token {
        name: &token.holder.name,
        role: token.holder.role.as_str(),
        network: token.holder.network.as_deref(),
        venues: &token.holder.venues,
        created_by: &token.created.by,
        created_from: token.created.from.as_deref(),
        created_at: time(&token.created),
        revoked_by: token.revoked.as_ref().map(|mark| mark.by.as_str()),
        revoked_from: token.revoked.as_ref().and_then(|mark| mark.from.as_deref()),
        revoked_at: token.revoked.as_ref().map(time),
    }
}
