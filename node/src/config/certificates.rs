//! `[tls]`: whether the files can be used, and are this node's. Found before the node starts, and not by its peers.

use rotunda_tls::files::{Files, TlsSettings};
use rotunda_tls::identity::{Identity, Role};
use rotunda_tls::mutual::Mutual;
use rotunda_tls::renewal::Material as _;

use super::ConfigError;

/// The files; `None` where there are none.
pub(super) fn check(settings: &TlsSettings, cluster: &str, node: u32) -> Result<Option<Files>, ConfigError> {
    let files = match settings.files() {
        Ok(None) => return Ok(None),
        Ok(Some(files)) => files,
        Err(incomplete) => return wrong(incomplete.setting, "tls".to_owned(), incomplete.to_string()),
    };
    let mutual = match Mutual::read(&files) {
        Ok(mutual) => mutual,
        Err(problem) => return wrong(problem.setting, format!("tls.{}", problem.setting), problem.to_string()),
    };
    let wanted = Identity::new(cluster, Role::Node(node));
    if *mutual.identity() != wanted {
        let problem = format!(
            "{} is the certificate of {}, and this is {wanted}: give it the one that `rotunda certs add node {node}` makes",
            files.cert.display(),
            mutual.identity(),
        );
        return wrong("cert", "tls.cert".to_owned(), problem);
    }
    Ok(Some(files))
}

fn wrong<T>(setting: &str, key: String, problem: String) -> Result<T, ConfigError> {
    Err(ConfigError::Value {
        setting: match setting {
            "ca" => "tls-ca",
            "key" => "tls-key",
            _ => "tls-cert",
        },
        key,
        problem,
    })
}
