//! The end of a connection that visitors see: a certificate that their browsers believe, TLS 1.3 and nothing older, HTTP/2 or
//! HTTP/1.1 as they ask. Visitors show no certificate.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server};

use crate::files::{Named, Problem};
use crate::mutual::{HandshakeError, certified, in_force};
use crate::provider;
use crate::renewal::{Material, Renewed};

/// The door's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorFiles {
    /// Its certificate, and those between it and an authority that visitors know.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A door's certificate, read and checked.
pub struct Door {
    acceptor: TlsAcceptor,
    until: Timestamp,
}

/// What keeps a server's [`Door`] up to date.
pub type DoorTrust = Renewed<Door>;

/// What a visitor and the door speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// One request after the other.
    Http1,
    /// Many side by side.
    Http2,
}

impl Door {
    /// Takes a connection. Has no deadline: the caller has one for all that comes before a request.
    ///
    /// # Errors
    /// Where the visitor does not speak TLS 1.3, or speaks no HTTP that we do.
    pub async fn accept<S>(&self, stream: S) -> Result<(server::TlsStream<S>, Spoken), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.acceptor.accept(stream).await.map_err(HandshakeError::of)?;
        let spoken = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Spoken::Http2,
            _ => Spoken::Http1,
        };
        Ok((stream, spoken))
    }
}

impl Material for Door {
    type Files = DoorFiles;

    fn paths(files: &DoorFiles) -> Vec<PathBuf> {
        vec![files.cert.clone(), files.key.clone()]
    }

    fn read(files: &DoorFiles) -> Result<Self, Problem> {
        let cert = Named {
            setting: "cert",
            path: &files.cert,
        };
        let key = Named {
            setting: "key",
            path: &files.key,
        };
        let certificates = cert.certificates()?;
        let until = in_force(cert, &certificates, Timestamp::now())?.contents.not_after;
        let certified = certified(cert, key, certificates)?;
        let unusable = |error: rustls::Error| key.problem(format!("cannot be used: {error}"));
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Visitors come back by the thousand: what they need to go on is kept by them and not by us.
        server.ticketer = Ticketer::new().map_err(unusable)?;
        server.send_tls13_tickets = 1;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            until,
        })
    }

    fn expiries(&self) -> Vec<(&'static str, Timestamp)> {
        vec![("door", self.until)]
    }
}
