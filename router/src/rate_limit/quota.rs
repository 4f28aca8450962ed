//! Quotas as settings have them.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// So many requests in so long; the burst is the whole count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quota(pub(super) Option<(NonZeroU32, Duration)>);

impl Quota {
    /// `count` requests in `time`; unlimited where either is nothing.
    #[must_use]
    pub fn per(count: u32, time: Duration) -> Self {
        Self(
            NonZeroU32::new(count)
                .filter(|_| !time.is_zero())
                .map(|count| (count, time)),
        )
    }

    /// No limit.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }
}

impl std::str::FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::off());
        }
        let wrong = || format!("`{text}` is not a quota; write 1000/10s, or off");
        let (count, time) = text.split_once('/').ok_or_else(wrong)?;
        let count: NonZeroU32 = count.parse().map_err(|_| wrong())?;
        let time = time.parse::<crate::config::Span>().map_err(|_| wrong())?.0;
        // One request must cost at least a nanosecond, or governor could not count it.
        if time.as_nanos() < u128::from(count.get()) {
            return Err(wrong());
        }
        Ok(Self(Some((count, time))))
    }
}

impl TryFrom<String> for Quota {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Quota> for String {
    fn from(quota: Quota) -> Self {
        match quota.0 {
            Some((count, time)) if time.subsec_nanos() == 0 => format!("{count}/{}s", time.as_secs()),
            Some((count, time)) => format!("{count}/{}ms", time.as_millis()),
            None => "off".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn quotas_are_read_as_people_write_them() {
        assert_eq!(
            "100/60s".parse::<Quota>().unwrap(),
            Quota::per(100, Duration::from_secs(60))
        );
        assert_eq!("off".parse::<Quota>().unwrap(), Quota::off());
        for wrong in ["", "100", "0/1s", "-1/1s", "5/0s", "4000000000/1ms", "5/1h"] {
            assert!(wrong.parse::<Quota>().is_err(), "{wrong}");
        }
    }
}
