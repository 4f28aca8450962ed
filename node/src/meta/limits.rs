//! Quotas for all routers, as the meta group keeps them: their text, who set them and when. What they mean is the routers'
//! affair, so a quota in terms that only newer routers know is kept as well.

use rotunda_protocol::proto::admin as proto;
use serde::{Deserialize, Serialize};

use super::command::LimitRecord;

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    limits: Vec<LimitRecord>,
    /// Who set them, and the proposer's time of day, in milliseconds since 1970; `None` before anybody has.
    set: Option<(String, i64)>,
}

impl Limits {
    /// True before anybody has set one.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.set.is_none()
    }

    /// Puts them in the place of those before; true where that changes anything. Whoever set the same before stays the one.
    pub(super) fn set(&mut self, limits: Vec<LimitRecord>, by: String, at: i64) -> bool {
        if self.limits == limits {
            return false;
        }
        *self = Self {
            limits,
            set: Some((by, at)),
        };
        true
    }

    /// As nodes and routers get them.
    #[must_use]
    pub fn to_proto(&self) -> Option<proto::Limits> {
        let (by, at) = self.set.as_ref()?;
        let limits = self.limits.iter().cloned().map(|limit| {
            let LimitRecord {
                role,
                routes,
                venue,
                quota,
            } = limit;
            proto::Limit {
                role,
                routes,
                venue,
                quota,
            }
        });
        Some(proto::Limits {
            limits: limits.collect(),
            set_by: by.clone(),
            set_at: *at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_changes_nothing_and_none_is_kept_as_set() {
        let visitor = LimitRecord {
            role: "visitor".to_owned(),
            routes: "hold".to_owned(),
            venue: String::new(),
            quota: "5/1s".to_owned(),
        };
        let mut limits = Limits::default();
        assert!(!limits.set(Vec::new(), "admin".to_owned(), 1));
        assert_eq!(limits.to_proto(), None);
        assert!(limits.set(vec![visitor.clone()], "admin".to_owned(), 2));
        assert!(!limits.set(vec![visitor], "anna".to_owned(), 3));
        let shown = limits.to_proto().unwrap_or_default();
        assert_eq!(
            (shown.set_by.as_str(), shown.set_at, shown.limits.len()),
            ("admin", 2, 1)
        );
        assert!(limits.set(Vec::new(), "anna".to_owned(), 4));
        let shown = limits.to_proto().unwrap_or_default();
        assert_eq!((shown.set_by.as_str(), shown.limits.len()), ("anna", 0));
    }
}
