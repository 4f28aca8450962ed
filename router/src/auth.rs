//! Who is calling: the holder of a bearer token, or nobody in particular at an address.
//!
//! Tokens are issued by the cluster and come with the shard map, or stand in the router's settings: those open the door
//! before there is a cluster to ask. The stack calls [`identify`] before the rate limiter, so that guessing at tokens
//! spends the guesser's quota, and [`admit`], which holds the caller against the route's row, after it. Secrets are kept as
//! SHA-256 digests; those of the settings are compared in constant time. Left out: user accounts, tokens that expire.

mod settings;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName};
use rotunda_booking::command::Role;
use rotunda_protocol::shard_map::VenueInfo;
use rotunda_protocol::token::Holder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::access::{Rule, Scope};
use crate::api::error::{Code, Problem};
use crate::backend::Backend;
use crate::server::Door;

pub use settings::{RoleName, TokenError, TokenSetting, Tokens};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Hops of `X-Forwarded-For` that are looked at; a longer chain is cut off, nearest hops first.
const MAX_HOPS: usize = 32;

/// Who is calling; [`identify`] works it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Where the request comes from, seen through trusted proxies.
    pub address: IpAddr,
    /// What it showed.
    pub credential: Credential,
}

/// What a caller showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// A token.
    Token {
        /// Whom it stands for.
        holder: Arc<Holder>,
        /// By the cluster, not by the settings.
        issued: bool,
    },
    /// An `Authorization` header that is not one of ours.
    Unknown,
}

impl Caller {
    /// The scope of this caller's idempotency keys. Callers without a token share one: they are known by their key
    /// alone, for an address changes when a phone leaves the Wi-Fi between a request and its retry.
    #[must_use]
    pub fn principal(&self) -> String {
        match &self.credential {
            Credential::Token { holder, issued: false } => format!("token:{}", holder.name),
            // Two routers' settings know nothing of what the cluster issues: one name may be both.
            Credential::Token { holder, issued: true } => format!("issued:{}", holder.name),
            Credential::None | Credential::Unknown => "anonymous".to_owned(),
        }
    }

    /// True where the caller holds a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.holder().is_some()
    }

    /// Whom the caller's token stands for.
    #[must_use]
    pub fn holder(&self) -> Option<&Arc<Holder>> {
        match &self.credential {
            Credential::Token { holder, .. } => Some(holder),
            Credential::None | Credential::Unknown => None,
        }
    }

    /// What the caller may do: nobody in particular is a visitor.
    #[must_use]
    pub fn role(&self) -> Role {
        self.holder().map_or(Role::Visitor, |holder| holder.role)
    }
}

/// Works out who calls from `peer`.
pub(crate) fn identify(door: &Door, peer: IpAddr, headers: &HeaderMap) -> Caller {
    Caller {
        address: client_address(peer, headers, &door.trusted_proxies),
        credential: credential(headers, &door.tokens, &*door.backend),
    }
}

/// Turns away whoever shows a token that is not ours, and whoever may not by the route's row; where no route fits there is
/// none. Behind the rate limiter.
pub(crate) fn admit(caller: &Caller, rule: Option<Rule>) -> Result<(), Problem> {
    if caller.credential == Credential::Unknown {
        return Err(unauthorized(
            "The bearer token is not known here. Check it for typing errors, or leave the header out.",
        ));
    }
    let Some(rule) = rule else { return Ok(()) };
    match caller.holder() {
        None if rule.may(Role::Visitor) => Ok(()),
        None => Err(unauthorized(format!(
            "Send `Authorization: Bearer <token>`, with a token of one of these roles: {}.",
            rule.roles()
        ))),
        Some(holder) if rule.admits(holder) => Ok(()),
        Some(holder) if rule.may(holder.role) => Err(Problem::new(
            Code::Forbidden,
            format!(
                "The token `{}` is bound to {}, and this is about {}. Use one that is not.",
                holder.name,
                bounds(holder),
                match rule.scope {
                    Scope::Cluster => "the cluster",
                    _ => "all venues",
                }
            ),
        )),
        Some(holder) => Err(Problem::new(
            Code::Forbidden,
            format!(
                "The token `{}` is of the role {}. This needs one of: {}.",
                holder.name,
                holder.role.as_str(),
                rule.roles()
            ),
        )),
    }
}

/// Turns away the holder of a token that is not good for this venue.
pub(crate) fn admit_at(caller: &Caller, rule: Rule, venue: &VenueInfo) -> Result<(), Problem> {
    match caller.holder() {
        Some(holder) if !rule.admits_at(holder, venue) => Err(Problem::new(
            Code::Forbidden,
            format!(
                "The token `{}` is bound to {}; this is about `{}`.",
                holder.name,
                bounds(holder),
                venue.slug
            ),
        )),
        _ => Ok(()),
    }
}

/// Turns away the holder of a token that is not good for this network.
pub(crate) fn admit_to(caller: &Caller, network: Option<&str>) -> Result<(), Problem> {
    match caller.holder() {
        Some(holder) if !holder.is_of(network) => Err(Problem::new(
            Code::Forbidden,
            format!(
                "The token `{}` is bound to {}; this is about {}.",
                holder.name,
                bounds(holder),
                match network {
                    Some(network) => format!("the network `{network}`"),
                    None => "the cluster".to_owned(),
                }
            ),
        )),
        _ => Ok(()),
    }
}

/// What a token is bound to, for people.
fn bounds(holder: &Holder) -> String {
    match &holder.network {
        Some(network) if holder.venues.is_empty() => format!("the network `{network}`"),
        _ => holder.venues.join(", "),
    }
}

fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Code::Unauthorized, detail).header(WWW_AUTHENTICATE, "Bearer realm=\"rotunda\"")
}

fn credential(headers: &HeaderMap, tokens: &Tokens, backend: &dyn Backend) -> Credential {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Credential::None;
    };
    if values.next().is_some() {
        return Credential::Unknown;
    }
    let bytes = value.as_bytes();
    let Some((scheme, secret)) = bytes.split_at_checked(7) else {
        return Credential::Unknown;
    };
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return Credential::Unknown;
    }
    let digest: [u8; 32] = Sha256::digest(secret.trim_ascii()).into();
    if let Some(known) = tokens.find(&digest) {
        return Credential::Token {
            holder: known.holder.clone(),
            issued: false,
        };
    }
    match backend.map().holder(&digest) {
        Some(holder) => Credential::Token {
            holder: holder.clone(),
            issued: true,
        },
        None => Credential::Unknown,
    }
}

/// The address that a quota is counted against: the peer's, or, where the peer is a trusted proxy, the rightmost hop
/// of `X-Forwarded-For` that is not one. Whatever stands left of that hop was written by the client and proves nothing.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    if !is_trusted(nearest) {
        return nearest;
    }
    let values: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    for hop in values.iter().rev().flat_map(|value| value.rsplit(',')).take(MAX_HOPS) {
        let Some(address) = hop_address(hop.trim()) else {
            return nearest;
        };
        nearest = address.to_canonical();
        if !is_trusted(nearest) {
            return nearest;
        }
    }
    nearest
}

/// A hop is an address, perhaps with a port: `203.0.113.7`, `203.0.113.7:5000`, `[2001:db8::1]:5000`.
fn hop_address(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| {
            text.strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .and_then(|inner| inner.parse().ok())
        })
}

/// An address range, as `10.0.0.0/8` or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

impl Cidr {
    /// True where `address` lies in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                shift == 32 || u32::from(network) >> shift == u32::from(address) >> shift
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                shift == 128 || u128::from(network) >> shift == u128::from(address) >> shift
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an address range; write 10.0.0.0/8 or 127.0.0.1");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|&bits| bits <= most).ok_or_else(wrong)?,
            None => most,
        };
        Ok(Self { network, bits })
    }
}

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(range: Cidr) -> Self {
        format!("{}/{}", range.network, range.bits)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn forwarded(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", http::HeaderValue::from_static(value));
        }
        headers
    }

    fn seen(peer: &str, values: &[&'static str], trusted: &[&str]) -> String {
        let trusted: Vec<Cidr> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &forwarded(values), &trusted).to_string()
    }

    #[test]
    fn a_forwarded_header_from_a_stranger_is_not_believed() {
        assert_eq!(seen("203.0.113.9", &["1.2.3.4"], &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["1.2.3.4"], &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn behind_proxies_the_rightmost_untrusted_hop_counts() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(seen("10.0.0.1", &["198.51.100.7"], &trusted), "198.51.100.7");
        assert_eq!(
            seen("10.0.0.1", &["1.2.3.4, 198.51.100.7, 10.0.0.2"], &trusted),
            "198.51.100.7"
        );
        // The client's own header, kept as a line of its own by the proxy that appended the second one.
        assert_eq!(
            seen("10.0.0.1", &["9.9.9.9", "198.51.100.7:4711"], &trusted),
            "198.51.100.7"
        );
        assert_eq!(seen("10.0.0.1", &["[2001:db8::7]:443"], &trusted), "2001:db8::7");
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_chain() {
        assert_eq!(
            seen("10.0.0.1", &["1.2.3.4, unknown, 10.0.0.2"], &["10.0.0.0/8"]),
            "10.0.0.2"
        );
        assert_eq!(seen("10.0.0.1", &[""], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn an_ipv4_peer_on_an_ipv6_socket_is_matched_as_ipv4() {
        assert_eq!(
            seen("::ffff:10.0.0.1", &["198.51.100.7"], &["10.0.0.0/8"]),
            "198.51.100.7"
        );
    }

    #[test]
    fn ranges_hold_their_addresses() {
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("8.8.8.8".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
        for wrong in ["10.0.0.0/33", "ten/8", "10.0.0.0/", "/8", "::/129"] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }
}
