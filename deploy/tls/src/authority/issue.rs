//! Making certificates, and reading back what was made. Keys are P-256: what every client of the door can check, and what ring
//! signs fastest.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{AuthorityError, MAX_DAYS, refuse};
use crate::files::Certificate;

pub(super) const DAY_SECONDS: i64 = 86_400;

/// A machine whose clock is behind by less than this takes a new certificate all the same.
pub(super) const BACKDATED_DAYS: u32 = 1;

/// A certificate and its key, as they stand in files.
pub(super) struct Issued {
    pub(super) pem: String,
    pub(super) key: String,
}

/// At which ends of connections a certificate is good.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Called,
    Calling,
    BothEnds,
}

fn cannot(what: &str) -> impl Fn(rcgen::Error) -> AuthorityError + '_ {
    move |error| AuthorityError {
        problem: format!("{what} cannot be made: {error}"),
        next: "check the names given with --dns and --ip".to_owned(),
    }
}

impl Issued {
    pub(super) fn certificate(&self) -> Result<Certificate, AuthorityError> {
        let der = CertificateDer::from_pem_slice(self.pem.as_bytes()).map_err(|error| format!("{error:?}"));
        der.and_then(Certificate::of).map_err(|problem| AuthorityError {
            problem: format!("the authority's certificate {problem}"),
            next: "restore authority/cert.pem from a copy".to_owned(),
        })
    }

    fn signer(&self) -> Result<Issuer<'static, KeyPair>, AuthorityError> {
        let unusable = |error: rcgen::Error| AuthorityError {
            problem: format!("the authority cannot sign: {error}"),
            next: "restore authority/cert.pem and authority/key.pem from a copy".to_owned(),
        };
        let key = KeyPair::from_pem(&self.key).map_err(unusable)?;
        Issuer::from_ca_cert_pem(&self.pem, key).map_err(unusable)
    }
}

/// Good for `days` from now on, and a little before.
fn lasting(params: &mut CertificateParams, days: u32) -> Result<(), AuthorityError> {
    if !(1..=MAX_DAYS).contains(&days) {
        return refuse(
            format!("{days} days is not how long a certificate can last"),
            format!("say --days 1 to {MAX_DAYS}"),
        );
    }
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    let day = DAY_SECONDS.unsigned_abs();
    let at = |seconds: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = at(now.saturating_sub(u64::from(BACKDATED_DAYS) * day));
    params.not_after = at(now + u64::from(days) * day);
    Ok(())
}

/// A new authority. Its name says the cluster, and a number that its predecessor does not have.
pub(super) fn authority(cluster: &str, days: u32) -> Result<Issued, AuthorityError> {
    let cannot = cannot("an authority");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(&cannot)?;
    let mut params = CertificateParams::default();
    lasting(&mut params, days)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, cluster);
    params.distinguished_name.push(
        DnType::CommonName,
        format!("Rotunda authority {:08x}", rand::random::<u32>()),
    );
    // It signs processes and no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(&cannot)?;
    Ok(Issued {
        pem: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// A certificate for one process or door.
pub(super) fn leaf(
    signing: &Issued,
    holder: &str,
    names: &[String],
    purpose: Purpose,
    days: u32,
) -> Result<Issued, AuthorityError> {
    let cannot = cannot(holder);
    let mut params = CertificateParams::new(names).map_err(&cannot)?;
    lasting(&mut params, days)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, holder);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match purpose {
        Purpose::Called => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Purpose::Calling => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Purpose::BothEnds => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    };
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(&cannot)?;
    let certificate = params.signed_by(&key, &signing.signer()?).map_err(&cannot)?;
    Ok(Issued {
        pem: certificate.pem(),
        key: key.serialize_pem(),
    })
}

fn parsed<T>(
    certificate: &Certificate,
    read: impl FnOnce(&X509Certificate<'_>) -> Option<T>,
) -> Result<T, AuthorityError> {
    let parsed = X509Certificate::from_der(&certificate.der).ok();
    let read = parsed.and_then(|(_, parsed)| read(&parsed));
    read.ok_or_else(|| AuthorityError {
        problem: "a certificate in the folder is none that rotunda has made".to_owned(),
        next: "take it out of the folder".to_owned(),
    })
}

/// The cluster whose authority it is.
pub(super) fn cluster_of(signing: &Issued) -> Result<String, AuthorityError> {
    parsed(&signing.certificate()?, |certificate| {
        let organization = certificate.subject().iter_organization().next()?;
        organization.as_str().ok().map(str::to_owned)
    })
}

/// DNS names and addresses.
pub(super) fn names_of(certificate: &Certificate) -> Result<Vec<String>, AuthorityError> {
    parsed(certificate, |certificate| {
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        Some(
            names
                .filter_map(|name| match name {
                    GeneralName::DNSName(name) => Some((*name).to_owned()),
                    GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
                    _ => None,
                })
                .collect(),
        )
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// By the names alone: each authority has a name of its own.
pub(super) fn is_signed_by(certificate: &Certificate, authority: &Certificate) -> bool {
    let (own, theirs) = (
        X509Certificate::from_der(&certificate.der),
        X509Certificate::from_der(&authority.der),
    );
    match (own, theirs) {
        (Ok((_, own)), Ok((_, theirs))) => own.issuer() == theirs.subject(),
        _ => false,
    }
}
