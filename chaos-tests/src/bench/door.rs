//! How one client buys: by HTTP through the router, or by commands straight to the nodes.

mod grpc;
mod http;

use rotunda_booking::ids::BookingId;

pub use self::grpc::Grpc;
pub use self::http::Http;
use super::market::Stall;
use super::samples::Ending;

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// How it ended.
    pub ending: Ending,
    /// Shard and index of the entry that did it.
    pub commit: Option<(u64, u64)>,
    /// The booking of a hold.
    pub booking: Option<BookingId>,
    /// Of a hold that was refused because too few places are left: how many are.
    pub left: Option<u32>,
}

impl Told {
    /// Only how it ended.
    #[must_use]
    pub fn only(ending: Ending) -> Self {
        Told {
            ending,
            commit: None,
            booking: None,
            left: None,
        }
    }
}

/// One client's way in.
pub enum Door {
    /// A connection of its own to the router.
    Http(Box<Http>),
    /// Streams to the nodes, shared by all clients of a process.
    Grpc(Grpc),
}

impl Door {
    /// Looks at what is left on the slot's day.
    pub async fn look(&mut self, stall: &Stall) -> Told {
        match self {
            Door::Http(http) => http.look(stall).await,
            Door::Grpc(grpc) => grpc.look(stall).await,
        }
    }

    /// Takes `stall.least + more` places.
    pub async fn hold(&mut self, stall: &Stall, more: u32) -> Told {
        match self {
            Door::Http(http) => http.hold(stall, more).await,
            Door::Grpc(grpc) => grpc.hold(stall, more).await,
        }
    }

    /// Sells what is held.
    pub async fn confirm(&mut self, booking: BookingId) -> Told {
        match self {
            Door::Http(http) => http.change(booking, "confirm").await,
            Door::Grpc(grpc) => grpc.confirm(booking).await,
        }
    }

    /// Gives back what is held.
    pub async fn release(&mut self, booking: BookingId) -> Told {
        match self {
            Door::Http(http) => http.change(booking, "release").await,
            Door::Grpc(grpc) => grpc.release(booking).await,
        }
    }
}
