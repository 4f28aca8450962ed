//! Who is calling: the holder of a bearer token, or nobody in particular at an address.
//!
//! Tokens are issued by the cluster and come with the shard map, or stand in the router's settings: those open the door
//! before there is a cluster to ask. The stack calls [`identify`] before the rate limiter, so that guessing at tokens
//! spends the guesser's quota, and [`admit`], which holds the caller against the route's row, after it. Secrets are kept as
//! SHA-256 digests; those of the settings are compared in constant time. Left out: user accounts, tokens that expire.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName};
use rotunda_booking::command::Role;
use rotunda_protocol::token::Holder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::access::Rule;
use crate::api::error::{Code, Problem};
use crate::backend::Backend;
use crate::config::Config;
use crate::server::Door;

/// Tokens that a router's settings have at most: each request with a token is compared with all of them.
const MAX_TOKENS: usize = 1_024;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Hops of `X-Forwarded-For` that are looked at; a longer chain is cut off, nearest hops first.
const MAX_HOPS: usize = 32;

/// A named token as the settings file has it: `[[token]]` with `name` and either `secret` or `sha256`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSetting {
    /// Names the caller in logs and is part of the scope of its idempotency keys.
    pub name: String,
    /// The token itself.
    pub secret: Option<String>,
    /// Its SHA-256 in hexadecimal, so that the file need not hold it.
    pub sha256: Option<String>,
    /// The same as the role of an operator.
    #[serde(default)]
    pub admin: bool,
    /// What it may do. A counter's where the file says nothing, which is as much as a token could do before there were
    /// roles: sell through every channel.
    pub role: Option<RoleName>,
    /// Ids of the venues that it is good for; all of them where there is none.
    #[serde(default)]
    pub venues: Vec<String>,
}

/// A role, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Role)]
pub enum RoleName {
    /// Sells where nobody sits.
    Kiosk,
    /// Sells what has begun, and for cash.
    Counter,
    /// Admits.
    Gate,
    /// Sells for others.
    Reseller,
    /// Runs venues.
    Manager,
    /// Runs the cluster.
    Operator,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Kiosk => Self::Kiosk,
            RoleName::Counter => Self::Counter,
            RoleName::Gate => Self::Gate,
            RoleName::Reseller => Self::Reseller,
            RoleName::Manager => Self::Manager,
            RoleName::Operator => Self::Operator,
        }
    }
}

/// Why a token in the settings cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// Neither or both of `secret` and `sha256`.
    #[error("token `{0}` needs either `secret` or `sha256`")]
    NoSecret(String),
    /// Not 64 hexadecimal digits.
    #[error("token `{0}`: `sha256` must be 64 hexadecimal digits; make it with `printf %s TOKEN | sha256sum`")]
    BadDigest(String),
    /// Empty, or with characters that no header carries.
    #[error("token `{0}` is empty or has characters other than visible ASCII")]
    BadSecret(String),
    /// An operator runs the cluster, so both cannot be.
    #[error("token `{0}` has `admin = true` and another role; leave one of them out")]
    TwoRoles(String),
    /// Two callers would share their idempotency keys.
    #[error("two tokens are named `{0}`")]
    SameName(String),
    /// See [`MAX_TOKENS`].
    #[error("more than {MAX_TOKENS} tokens are configured")]
    TooMany,
}

/// The configured tokens.
#[derive(Debug)]
pub struct Tokens {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    digest: [u8; 32],
    holder: Arc<Holder>,
}

impl Tokens {
    /// Takes the tokens from the settings.
    ///
    /// # Errors
    /// Where one of them cannot be used.
    pub fn new(config: &Config) -> Result<Self, TokenError> {
        let mut known = Vec::new();
        for (n, secret) in config.admin_token.iter().enumerate() {
            // The name scopes idempotency keys: it must not change when the secret beside it is rotated.
            let name = if n == 0 {
                "admin".to_owned()
            } else {
                format!("admin-{}", n + 1)
            };
            known.push(Known {
                digest: digest_of(&name, secret)?,
                holder: Arc::new(Holder {
                    name: name.into(),
                    role: Role::Operator,
                    venues: Vec::new(),
                }),
            });
        }
        for setting in &config.token {
            let name = &setting.name;
            let digest = match (&setting.secret, &setting.sha256) {
                (Some(secret), None) => digest_of(name, secret)?,
                (None, Some(hex)) => unhex(hex).ok_or_else(|| TokenError::BadDigest(name.clone()))?,
                _ => return Err(TokenError::NoSecret(name.clone())),
            };
            if known.iter().any(|other| *other.holder.name == **name) {
                return Err(TokenError::SameName(name.clone()));
            }
            let role = match (setting.admin, setting.role) {
                (true, None | Some(RoleName::Operator)) => Role::Operator,
                (true, Some(_)) => return Err(TokenError::TwoRoles(name.clone())),
                (false, role) => role.map_or(Role::Counter, Role::from),
            };
            known.push(Known {
                digest,
                holder: Arc::new(Holder {
                    name: name.as_str().into(),
                    role,
                    venues: setting.venues.clone(),
                }),
            });
        }
        if known.len() > MAX_TOKENS {
            return Err(TokenError::TooMany);
        }
        Ok(Self { known })
    }

    /// True where a token of the settings has this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.known.iter().any(|token| *token.holder.name == *name)
    }

    fn find(&self, digest: &[u8; 32]) -> Option<&Known> {
        // No early exit: the time taken says nothing about which token came near.
        self.known.iter().fold(None, |found, token| {
            if bool::from(token.digest.ct_eq(digest)) {
                Some(token)
            } else {
                found
            }
        })
    }
}

fn digest_of(name: &str, secret: &str) -> Result<[u8; 32], TokenError> {
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::BadSecret(name.to_owned()));
    }
    Ok(Sha256::digest(secret.as_bytes()).into())
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(digest)
}

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
                "The token `{}` is bound to venues, and this is about all of them. Use one that is bound to none.",
                holder.name
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
pub(crate) fn admit_at(caller: &Caller, rule: Rule, venue: &str) -> Result<(), Problem> {
    match caller.holder() {
        Some(holder) if !rule.admits_at(holder, venue) => Err(Problem::new(
            Code::Forbidden,
            format!(
                "The token `{}` is bound to {}; this is about `{venue}`.",
                holder.name,
                holder.venues.join(", ")
            ),
        )),
        _ => Ok(()),
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
    fn tokens_are_found_by_secret_or_digest_and_nothing_else() {
        let hex = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"; // sha256("secret")
        let config = Config {
            admin_token: vec!["open-sesame".to_owned()],
            token: vec![TokenSetting {
                name: "shop".to_owned(),
                secret: None,
                sha256: Some(hex.to_owned()),
                admin: false,
                role: None,
                venues: Vec::new(),
            }],
            ..Config::default()
        };
        let tokens = Tokens::new(&config).unwrap();
        let find = |secret: &str| {
            tokens
                .find(&Sha256::digest(secret).into())
                .map(|known| known.holder.clone())
        };
        assert_eq!(&*find("secret").unwrap().name, "shop");
        assert_eq!(find("secret").unwrap().role, Role::Counter);
        assert_eq!(find("open-sesame").unwrap().role, Role::Operator);
        assert!(find("").is_none() && find("Secret").is_none());
    }

    #[test]
    fn an_admin_token_of_another_role_is_refused() {
        let config = Config {
            token: vec![TokenSetting {
                name: "shop".to_owned(),
                secret: Some("secret".to_owned()),
                sha256: None,
                admin: true,
                role: Some(RoleName::Gate),
                venues: Vec::new(),
            }],
            ..Config::default()
        };
        assert_eq!(
            Tokens::new(&config).err(),
            Some(TokenError::TwoRoles("shop".to_owned()))
        );
    }

    #[test]
    fn tokens_that_would_let_everybody_in_are_refused() {
        let with = |token: &str| Config {
            admin_token: vec![token.to_owned()],
            ..Config::default()
        };
        assert!(matches!(Tokens::new(&with("")), Err(TokenError::BadSecret(_))));
        assert!(matches!(Tokens::new(&with("two words")), Err(TokenError::BadSecret(_))));
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
