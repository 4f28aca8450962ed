//! What the demo prints when it is ready: processes, addresses, the token, and lines that work as pasted.

use std::fmt::Write as _;

use super::first_booking::Offer;
use super::fleet::{Fleet, Kind};
use super::folder::Folder;
use crate::paint;

/// Everything that the banner names.
pub(crate) struct Banner<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) folder: &'a Folder,
    pub(crate) router: &'a str,
    pub(crate) token: &'a str,
    pub(crate) venues: usize,
    pub(crate) shards: u32,
    /// What the curl line books.
    pub(crate) offer: Option<&'a Offer>,
    /// Process id of the node that leads the offer's shard.
    pub(crate) leader: Option<u32>,
}

impl Banner<'_> {
    /// The text, for stdout.
    pub(crate) fn text(&self) -> String {
        let mut table = paint::table(["process", "pid", "address", "admin (health, metrics)"]);
        for kind in [Kind::Router, Kind::Node] {
            for member in self.fleet.of_kind(kind) {
                table.add_row([
                    member.plan.name(),
                    member.pid().map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
                    member.plan.url(),
                    member.plan.admin_url(),
                ]);
            }
        }
        let nodes = self.fleet.of_kind(Kind::Node).count();
        let mut text = format!(
            "\n{} venues in {} shards on {nodes} nodes are selling.\n\n{table}\n",
            self.venues, self.shards
        );
        let _ = writeln!(text, "\nAdmin token   {}", self.token);
        let _ = writeln!(text, "Data and logs {}", self.folder.path().display());
        match self.offer {
            Some(offer) => {
                let _ = writeln!(text, "\nBook:\n  {}", curl(self.router, offer));
            }
            None => text
                .push_str("\nNothing in this catalogue is open for sale within two weeks, so no booking is shown.\n"),
        }
        let program = std::env::args().next().unwrap_or_else(|| "rotunda".to_owned());
        let _ = writeln!(
            text,
            "\nWatch:\n  ROTUNDA_TOKEN={} {program} status --watch --router {}",
            self.token, self.router
        );
        if let (Some(offer), Some(leader)) = (self.offer, self.leader)
            && nodes >= 3
        {
            let _ = writeln!(
                text,
                "\nKill the leader of {} and book again:\n  kill -9 {leader}",
                offer.venue
            );
        }
        let after = if self.folder.kept() {
            "stops all of it and leaves data and logs"
        } else {
            "stops all of it and removes what it made"
        };
        let _ = writeln!(text, "\nCtrl-C {after}.");
        text
    }
}

/// A line that books as pasted. The key is fresh: pasted twice it is the same booking, as it should be.
fn curl(router: &str, offer: &Offer) -> String {
    // The body holds ids of the catalogue alone, which have no quotes in them.
    format!(
        "curl -sS {router}/v1/bookings -H 'Content-Type: application/json' -H 'Idempotency-Key: {}' -d '{}'",
        uuid::Uuid::new_v4(),
        offer.body()
    )
}
