//! What rustls asks during a handshake: is this certificate the authority's, and does it name the process that it must?
//! Addresses prove nothing here. A caller is of the same cluster as we are; a callee is a node of it, and where one was meant,
//! that one.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::identity::{Identity, NoIdentity, Role};

/// A good certificate of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error("the certificate of the other side names nobody: {0}")]
    Nobody(#[from] NoIdentity),
    #[error("the other side is {found}, of another cluster than ours, {ours}: check the addresses")]
    OtherCluster { found: Identity, ours: Identity },
    #[error(
        "{wanted} was called and {found} answered: check the addresses of both, and which certificate each was given"
    )]
    OtherNode { wanted: Identity, found: Identity },
    #[error("{found} answered where a node was called: check the address")]
    NoNode { found: Identity },
}

impl From<Mismatch> for Error {
    fn from(mismatch: Mismatch) -> Self {
        CertificateError::Other(OtherError(Arc::new(mismatch))).into()
    }
}

fn of_our_cluster(der: &[u8], ours: &Identity) -> Result<Identity, Mismatch> {
    let found = Identity::of_certificate(der)?;
    if found.cluster == ours.cluster {
        Ok(found)
    } else {
        Err(Mismatch::OtherCluster {
            found,
            ours: ours.clone(),
        })
    }
}

/// The name by which a connection asks for a certain node, and by which its sessions are kept for resumption. Whoever dials
/// without knowing which node is there says the address instead.
pub(crate) fn wanted(name: &ServerName<'_>) -> Option<Identity> {
    match name {
        ServerName::DnsName(name) => Identity::parse(name.as_ref()).ok(),
        _ => None,
    }
}

/// Looks at who answers.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) ours: Identity,
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Answers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &self.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        let found = of_our_cluster(end_entity, &self.ours)?;
        if !matches!(found.role, Role::Node(_)) {
            return Err(Mismatch::NoNode { found }.into());
        }
        match wanted(server_name) {
            Some(wanted) if wanted != found => Err(Mismatch::OtherNode { wanted, found }.into()),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Looks at who calls.
pub(crate) struct Calls {
    pub(crate) ours: Identity,
    pub(crate) chain: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("ours", &self.ours)
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Calls {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        of_our_cluster(end_entity, &self.ours)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
