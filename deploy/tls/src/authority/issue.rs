//! Making certificates, and reading back what was made. Keys are P-256: what every client of the door can check, and what ring
//! signs fastest.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

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
        let contents = self.certificate()?.contents;
        // What it signs says who signed by exactly these names.
        let named = name(
            contents.organization.as_deref().unwrap_or_default(),
            contents.common_name.as_deref().unwrap_or_default(),
        );
        Ok(Issuer::new(as_authority(named), key))
    }
}

/// An authority's name: its cluster, and a number that its predecessor does not have.
fn name(cluster: &str, number: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, cluster);
    name.push(DnType::CommonName, number);
    name
}

/// It signs processes and no further authorities.
fn as_authority(name: DistinguishedName) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
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

/// A new authority.
pub(super) fn authority(cluster: &str, days: u32) -> Result<Issued, AuthorityError> {
    let cannot = cannot("an authority");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(&cannot)?;
    let number = format!("Rotunda authority {:08x}", rand::random::<u32>());
    let mut params = as_authority(name(cluster, &number));
    lasting(&mut params, days)?;
    let certificate = params.self_signed(&key).map_err(&cannot)?;
    Ok(Issued {
        pem: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// A DNS name, one for all names below it, or an address.
fn is_name(name: &str) -> bool {
    ServerName::try_from(name.strip_prefix("*.").unwrap_or(name)).is_ok()
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
    if let Some(bad) = names.iter().find(|name| !is_name(name)) {
        return refuse(
            format!("{bad:?} is neither a DNS name nor an address"),
            "write --dns tickets.example.org or --ip 10.0.0.1",
        );
    }
    let mut params = CertificateParams::new(names).map_err(&cannot)?;
    lasting(&mut params, days)?;
    params.distinguished_name = DistinguishedName::new();
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

/// The cluster whose authority it is.
pub(super) fn cluster_of(signing: &Issued) -> Result<String, AuthorityError> {
    let organization = signing.certificate()?.contents.organization;
    organization.ok_or_else(|| AuthorityError {
        problem: "the authority's certificate names no cluster: `rotunda certs` has not made it".to_owned(),
        next: "name the folder of one that it has made".to_owned(),
    })
}

/// By the names alone: each authority has a name of its own.
pub(super) fn is_signed_by(certificate: &Certificate, authority: &Certificate) -> bool {
    certificate.contents.issuer == authority.contents.subject
}
