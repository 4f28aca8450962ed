//! Questions to a venue's state. They read rows, change nothing, and never free capacity.

use crate::catalogue::VenueDefinition;
use crate::ids::{BookingId, VenueNo};
use crate::outcome::{BookingView, SlotView};
use crate::time::{ServiceDay, Timestamp};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The venue's catalogue.
    Venue {
        /// Which venue.
        venue: VenueNo,
    },
    /// One booking.
    Booking {
        /// Which booking.
        booking: BookingId,
    },
    /// Slots with what is left.
    Availability {
        /// Which venue.
        venue: VenueNo,
        /// Only this product.
        product: Option<String>,
        /// First service day.
        from: ServiceDay,
        /// Last service day, included.
        to: ServiceDay,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The catalogue in force, with its revision.
    Venue {
        /// Digest of the definition.
        revision: u64,
        /// Last service day whose slots are in place, per product in catalogue order.
        planned_through: Vec<Option<ServiceDay>>,
        /// The definition.
        definition: Box<VenueDefinition>,
    },
    /// The booking as it is.
    Booking(BookingView),
    /// The slots, in order of product and start.
    Availability {
        /// Log time of the state.
        time: Timestamp,
        /// The slots.
        slots: Vec<SlotView>,
    },
    /// No such venue, booking or product.
    NotFound,
}
