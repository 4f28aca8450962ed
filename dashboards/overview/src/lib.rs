//! What the admin port of a router or a node shows a person where no Grafana is at hand: the four KPIs, the map of shards and
//! leaders, and the slots that everybody wants, live, as a page and as JSON for `rotunda top`.
//!
//! A process says what it is by [`Subject`] and hands [`Overview`]'s [`routes`] to its admin port. Once a second the process's
//! own metrics are read as Prometheus would read them ([`scrape`]), so the page shows no other figures than the dashboards;
//! [`plan`] says which of them make which curve. The last fifteen minutes are kept ([`history`]). Whoever looks gets them
//! once, and then a change a second ([`state`] is both). Who is on which node is asked only while somebody looks.
//!
//! The page is in the binary, with all that it draws with ([`assets`]); it asks nobody but the port that it came from. Left
//! out: anything that changes something, and anything of before this process began; that is what Prometheus keeps.

pub mod assets;
mod changes;
mod history;
mod hot_slots;
mod overview;
mod plan;
mod routes;
mod scrape;
pub mod state;

pub use hot_slots::{Hot, HotSlots};
pub use overview::{Overview, Subject};
pub use plan::Plan;
pub use routes::routes;
