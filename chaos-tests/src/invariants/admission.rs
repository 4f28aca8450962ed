//! I6: a ticket is admitted at most once over all gates. Rotunda has no gates yet, so there is nothing to look at, and
//! the verdict says so in every report. The seam is here: count by ticket, once scans are lines of the history.

use super::Invariant;
use super::evidence::Evidence;
use super::verdict::Verdict;

pub(super) struct Admission;

impl Invariant for Admission {
    fn id(&self) -> &'static str {
        "I6"
    }

    fn promise(&self) -> &'static str {
        "a ticket is admitted once"
    }

    fn check(&self, _: &Evidence<'_>) -> Verdict {
        Verdict {
            not_covered: vec!["admission is not in the product yet".to_owned()],
            ..Verdict::default()
        }
    }
}
