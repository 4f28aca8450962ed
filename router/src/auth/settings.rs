//! Tokens of the router's settings: `[[token]]` and `admin_token`, read once at the start.
//!
//! They open the door before there is a cluster to ask. Whoever can, uses tokens that the cluster issues.

use std::sync::Arc;

use rotunda_booking::command::Role;
use rotunda_protocol::token::Holder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Config;

/// Tokens that a router's settings have at most: each request with a token is compared with all of them.
const MAX_TOKENS: usize = 1_024;

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
    /// The network that it is good for; all of them where the file says nothing.
    pub network: Option<String>,
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

impl TokenError {
    /// The name of the token that it is about.
    pub(crate) fn token(&self) -> Option<&str> {
        match self {
            Self::NoSecret(name)
            | Self::BadDigest(name)
            | Self::BadSecret(name)
            | Self::TwoRoles(name)
            | Self::SameName(name) => Some(name),
            Self::TooMany => None,
        }
    }
}

/// The configured tokens.
#[derive(Debug)]
pub struct Tokens {
    known: Vec<Known>,
}

#[derive(Debug)]
pub(super) struct Known {
    digest: [u8; 32],
    pub(super) holder: Arc<Holder>,
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
                    network: None,
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
                    network: setting.network.as_deref().map(Arc::from),
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

    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<&Known> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

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
                network: None,
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
                network: None,
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
}
