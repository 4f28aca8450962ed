//! Reads the little of a certificate that is shown to people and counted down: times, whether it is an authority's, names,
//! the subject. Whom a certificate proves is webpki's to say (`identity`, `verifiers`), and never this. Hand-written, because a
//! parser of all of X.509 brings more code than the rest of this crate, and macros that would have RocksDB built anew.

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// Of a name: what it is.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// What stands in a certificate, as far as anybody here wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) issuer: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) common_name: Option<String>,
    pub(crate) organization: Option<String>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) is_authority: bool,
    /// DNS names and addresses.
    pub(crate) names: Vec<String>,
}

/// Values one after the other.
struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    /// The next one's tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            // The length's own length; nothing here has more than four bytes of it.
            let bytes = usize::from(first & 0x7f);
            let (length, rest) = (bytes <= 4).then(|| rest.split_at_checked(bytes))??;
            let length = length.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
            (length, rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next one, which has this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(found, _)| *found == tag)
            .map(|(_, content)| content)
    }

    fn all(content: &'a [u8], tag: u8) -> impl Iterator<Item = &'a [u8]> {
        let mut values = Self(content);
        std::iter::from_fn(move || values.next())
            .filter(move |(found, _)| *found == tag)
            .map(|(_, content)| content)
    }
}

impl Contents {
    /// `None` where it is no certificate.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let certificate = Values(der).expect(SEQUENCE)?;
        let mut fields = Values(Values(certificate).expect(SEQUENCE)?);
        // Version 1 does not say that it is: nobody makes such certificates any more.
        fields.expect(VERSION)?;
        let _serial = fields.next()?;
        let _algorithm = fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?.to_vec();
        let mut validity = Values(fields.expect(SEQUENCE)?);
        let subject = fields.expect(SEQUENCE)?;
        let _key = fields.expect(SEQUENCE)?;
        let mut contents = Self {
            issuer,
            subject: subject.to_vec(),
            common_name: attribute(subject, COMMON_NAME),
            organization: attribute(subject, ORGANIZATION),
            not_before: time(validity.next()?)?,
            not_after: time(validity.next()?)?,
            ..Self::default()
        };
        while let Some((tag, content)) = fields.next() {
            if tag == EXTENSIONS {
                for extension in Values::all(Values(content).expect(SEQUENCE)?, SEQUENCE) {
                    contents.extension(extension)?;
                }
            }
        }
        Some(contents)
    }

    fn extension(&mut self, extension: &[u8]) -> Option<()> {
        let oid = Values(extension).expect(OID)?;
        let value = Values::all(extension, OCTETS).next()?;
        if oid == BASIC_CONSTRAINTS {
            let constraints = Values(value).expect(SEQUENCE)?;
            self.is_authority = Values(constraints).expect(BOOLEAN).is_some_and(|said| said != [0]);
        } else if oid == ALTERNATIVE_NAMES {
            let mut names = Values(Values(value).expect(SEQUENCE)?);
            while let Some((tag, content)) = names.next() {
                match tag {
                    DNS_NAME => self.names.push(String::from_utf8(content.to_vec()).ok()?),
                    IP_ADDRESS => self.names.push(address(content)?.to_string()),
                    _ => {}
                }
            }
        }
        Some(())
    }
}

/// The first value of this kind in a subject.
fn attribute(name: &[u8], kind: &[u8]) -> Option<String> {
    let attributes = Values::all(name, SET).flat_map(|set| Values::all(set, SEQUENCE));
    let mut of_kind = attributes.filter_map(|attribute| {
        let mut fields = Values(attribute);
        let found = fields.expect(OID)?;
        let (_, text) = fields.next()?;
        (found == kind).then(|| String::from_utf8(text.to_vec()).ok())?
    });
    of_kind.next()
}

/// `261128013000Z`, or with the century from 2050 on.
fn time((tag, content): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let time = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    TimeZone::UTC.to_timestamp(time).ok()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn made() -> Vec<u8> {
        let mut params =
            rcgen::CertificateParams::new(vec!["a.example.org".to_owned(), "10.0.0.1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 2, 29);
        params.not_after = rcgen::date_time_ymd(2061, 1, 2);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "house");
        params.distinguished_name.push(rcgen::DnType::CommonName, "gate");
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn what_was_put_in_is_read() {
        let contents = Contents::read(&made()).unwrap();
        assert_eq!(contents.names, ["a.example.org", "10.0.0.1"]);
        assert_eq!(contents.not_before.to_string(), "2020-02-29T00:00:00Z");
        assert_eq!(contents.not_after.to_string(), "2061-01-02T00:00:00Z");
        assert_eq!(contents.organization.as_deref(), Some("house"));
        assert_eq!(contents.common_name.as_deref(), Some("gate"));
        assert!(contents.is_authority);
        assert_eq!(contents.issuer, contents.subject);
    }

    #[test]
    fn what_is_cut_or_garbled_is_none_and_never_a_panic() {
        let whole = made();
        for end in 0..whole.len() {
            assert_eq!(Contents::read(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut garbled = whole.clone();
                garbled[at] = byte;
                let _ = Contents::read(&garbled);
            }
        }
    }
}
