//! Both ends of a connection inside the cluster. Each shows its certificate and looks at the other's; without one there is no
//! connection. What is decided here holds for the connection's life: a certificate that expires, or a new one that is taken
//! up, concerns the next one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::files::{Certificate, Files, Named, Problem};
use crate::identity::{Identity, Role};
use crate::provider;
use crate::renewal::{Material, Renewed};
use crate::verifiers::{Answers, Calls};

/// How long a caller may take to show who it is. Dialling has a deadline of its own.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// All that is spoken inside.
const ALPN: &[u8] = b"h2";

/// A process's certificate and authority, read and checked, as the two ends of connections use them.
pub struct Mutual {
    identity: Identity,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    own_until: Timestamp,
    authority_until: Timestamp,
}

/// What keeps a server's [`Mutual`] up to date.
pub type Trust = Renewed<Mutual>;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The other side, or we, did not like what was shown, or it is not TLS 1.3 that it speaks.
    #[error("{0}")]
    Refused(String),
    /// The line broke.
    #[error("the line broke during the handshake: {0}")]
    Line(io::Error),
    /// It said nothing.
    #[error("nothing was heard for {HANDSHAKE_TIMEOUT:?}")]
    Silence,
}

impl HandshakeError {
    pub(crate) fn of(error: io::Error) -> Self {
        let told = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match told {
            // Ours, in our words.
            Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(ours))) => {
                Self::Refused(ours.0.to_string())
            }
            Some(rustls::Error::PeerIncompatible(why)) => {
                Self::Refused(format!("the other side does not speak TLS 1.3 as we do: {why:?}"))
            }
            Some(error) => Self::Refused(error.to_string()),
            None => Self::Line(error),
        }
    }
}

impl Mutual {
    /// Who this process is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Takes a connection from whoever shows a certificate of this cluster, and says whose it is.
    ///
    /// # Errors
    /// Where it shows none, or not in time.
    pub async fn accept<S>(&self, stream: S) -> Result<(server::TlsStream<S>, Identity), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let accepted = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream));
        let stream = accepted
            .await
            .map_err(|_| HandshakeError::Silence)?
            .map_err(HandshakeError::of)?;
        // The verifier has looked at it already, when the session began.
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate =
            certificate.ok_or_else(|| HandshakeError::Refused("the caller showed no certificate".to_owned()))?;
        let identity =
            Identity::of_certificate(certificate).map_err(|error| HandshakeError::Refused(error.to_string()))?;
        Ok((stream, identity))
    }

    /// Makes a connection to the node `node`, or, where that is not known, to any node of the cluster, which is then at
    /// `host`.
    ///
    /// # Errors
    /// Where somebody else answers, or nobody who speaks TLS 1.3.
    pub async fn connect<S>(
        &self,
        stream: S,
        node: Option<u32>,
        host: &str,
    ) -> Result<client::TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match node {
            Some(id) => Identity::new(&self.identity.cluster, Role::Node(id)).to_string(),
            None => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        };
        let name = ServerName::try_from(name)
            .map_err(|_| HandshakeError::Refused(format!("{host:?} is neither a name nor an address")))?;
        self.connector.connect(name, stream).await.map_err(HandshakeError::of)
    }
}

impl Material for Mutual {
    type Files = Files;

    fn paths(files: &Files) -> Vec<std::path::PathBuf> {
        vec![files.ca.clone(), files.cert.clone(), files.key.clone()]
    }

    fn read(files: &Files) -> Result<Self, Problem> {
        let now = Timestamp::now();
        let provider = provider();
        let (roots, authority_until) = authorities(files.ca(), now)?;
        let certificates = files.cert().certificates()?;
        let own = in_force(files.cert(), &certificates, now)?;
        let identity = Identity::of_certificate(&own.der)
            .map_err(|error| files.cert().problem(format!("cannot be shown to a cluster: {error}")))?;
        let own_until = own.contents.not_after;
        let key = certified(files.cert(), files.key(), certificates)?;
        let roots = Arc::new(roots);
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| files.ca().problem(format!("cannot vouch for anybody: {error}")))?;
        let calls = Calls {
            ours: identity.clone(),
            chain,
        };
        // What we show must be what the others believe: found here and not at the first call.
        rustls::server::danger::ClientCertVerifier::verify_client_cert(
            &calls,
            key.end_entity_cert()
                .map_err(|error| files.cert().problem(error.to_string()))?,
            key.cert.get(1..).unwrap_or_default(),
            rustls::pki_types::UnixTime::now(),
        )
        .map_err(|error| {
            files.cert().problem(format!(
                "is not signed by an authority of {}: {error}",
                files.ca.display()
            ))
        })?;
        let key = Arc::new(SingleCertAndKey::from(key));
        let versions = |error: rustls::Error| files.key().problem(error.to_string());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(versions)?
            .with_client_cert_verifier(Arc::new(calls))
            .with_cert_resolver(key.clone());
        server.alpn_protocols = vec![ALPN.to_vec()];
        let answers = Answers {
            ours: identity.clone(),
            roots,
            provider: Arc::clone(&provider),
        };
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(answers))
            .with_client_cert_resolver(key);
        client.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            identity,
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
            own_until,
            authority_until,
        })
    }

    fn expiries(&self) -> Vec<(&'static str, Timestamp)> {
        vec![("own", self.own_until), ("authority", self.authority_until)]
    }
}

/// Whom to believe, and until when all of them last. An authority that is over is left out; so it goes when its successor is
/// there.
fn authorities(file: Named<'_>, now: Timestamp) -> Result<(RootCertStore, Timestamp), Problem> {
    let mut roots = RootCertStore::empty();
    let mut until: Option<Timestamp> = None;
    let mut over = None;
    for certificate in file.certificates()? {
        if !certificate.contents.is_authority {
            return Err(file.problem("holds a certificate that is no authority's: ca and cert are exchanged?"));
        }
        if let Err(why) = certificate.in_force(now) {
            over = Some(why);
            continue;
        }
        until = Some(until.map_or(certificate.contents.not_after, |until| {
            until.min(certificate.contents.not_after)
        }));
        roots
            .add(certificate.der)
            .map_err(|error| file.problem(format!("holds an authority that cannot be used: {error}")))?;
    }
    match (until, over) {
        (Some(until), _) => Ok((roots, until)),
        (None, over) => Err(file.problem(over.unwrap_or_else(|| "holds no authority".to_owned()))),
    }
}

/// The process's own among the certificates of its file: the first.
pub(crate) fn in_force<'a>(
    file: Named<'_>,
    certificates: &'a [Certificate],
    now: Timestamp,
) -> Result<&'a Certificate, Problem> {
    let own = certificates
        .first()
        .ok_or_else(|| file.problem("holds no certificate"))?;
    if own.contents.is_authority {
        return Err(file.problem("holds an authority's certificate: ca and cert are exchanged?"));
    }
    own.in_force(now).map_err(|why| file.problem(why))?;
    Ok(own)
}

/// Certificate and key together.
pub(crate) fn certified(
    cert: Named<'_>,
    key: Named<'_>,
    certificates: Vec<Certificate>,
) -> Result<CertifiedKey, Problem> {
    let chain = certificates.into_iter().map(|certificate| certificate.der).collect();
    CertifiedKey::from_der(chain, key.key()?, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => key.problem(format!(
            "is not the key of {}; copy both from the same folder",
            cert.path.display()
        )),
        error => key.problem(format!("cannot be used: {error}")),
    })
}

#[cfg(test)]
mod tests;
