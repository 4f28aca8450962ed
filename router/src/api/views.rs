//! How things look in JSON. The order of fields and every byte of a booking's rendering are part of the promise that a
//! replay is the same byte for byte: these structs depend on nothing but the outcome they render.

use std::borrow::Cow;

use rotunda_booking::command::Channel;
use rotunda_booking::outcome::{BookingStatus, BookingView, LineView, SlotStatus, SlotView, TicketStatus, TicketView};
use rotunda_booking::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount of money.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Money<'a> {
    /// In minor units of the currency: JPY has none, EUR two digits, KWD three.
    #[schema(example = 1400)]
    amount: i64,
    /// ISO 4217 code.
    #[schema(example = "EUR")]
    currency: Cow<'a, str>,
}

impl<'a> Money<'a> {
    pub(crate) fn new(amount: i64, currency: &'a str) -> Self {
        Self {
            amount,
            currency: Cow::Borrowed(currency),
        }
    }

    /// As [`Money::new`], of a price that is kept.
    pub(crate) fn kept(amount: i64, currency: &str) -> Money<'static> {
        Money {
            amount,
            currency: Cow::Owned(currency.to_owned()),
        }
    }
}

/// Who sells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Channel)]
pub(crate) enum ChannelName {
    /// The web shop.
    #[default]
    Web,
    /// A kiosk in the hall.
    Kiosk,
    /// The counter; may sell a slot that has begun. Needs a token.
    Counter,
    /// A reseller. Needs a token.
    Reseller,
    /// By telephone. Needs a token.
    Phone,
}

impl From<ChannelName> for Channel {
    fn from(name: ChannelName) -> Self {
        match name {
            ChannelName::Web => Self::Web,
            ChannelName::Kiosk => Self::Kiosk,
            ChannelName::Counter => Self::Counter,
            ChannelName::Reseller => Self::Reseller,
            ChannelName::Phone => Self::Phone,
        }
    }
}

impl From<Channel> for ChannelName {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Web => Self::Web,
            Channel::Kiosk => Self::Kiosk,
            Channel::Counter => Self::Counter,
            Channel::Reseller => Self::Reseller,
            Channel::Phone => Self::Phone,
        }
    }
}

/// The channel as a label of metrics.
pub(crate) const fn channel_label(channel: Channel) -> &'static str {
    match channel {
        Channel::Web => "web",
        Channel::Kiosk => "kiosk",
        Channel::Counter => "counter",
        Channel::Reseller => "reseller",
        Channel::Phone => "phone",
    }
}

/// State of a booking.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = BookingStatus)]
pub(crate) enum StatusName {
    /// Places are taken until `expires_at`.
    Held,
    /// Sold.
    Confirmed,
    /// The hold ran out.
    Expired,
    /// The hold was given back.
    Released,
    /// Was confirmed, then cancelled.
    Cancelled,
    /// Was confirmed, and all its visitors have been admitted.
    Redeemed,
}

/// A booking. Answers are written by [`super::booking_json`]; this is what the document says of them and what tests hold
/// them against.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Booking<'a> {
    /// Whoever knows it may see, confirm, release and cancel the booking.
    #[schema(example = "0000040000002R8J6HB6F25E4VT9Y")]
    id: String,
    /// For people, over the telephone.
    #[schema(example = "TIDES-7QK2-M9")]
    reference: &'a str,
    status: StatusName,
    /// Venue id.
    #[schema(example = "lisbon-tides")]
    venue: &'a str,
    channel: ChannelName,
    /// In order of request.
    lines: Vec<Line<'a>>,
    /// Sum of the totals of the lines that were not cancelled by themselves.
    total: Money<'a>,
    /// When the places were taken. Times carry the venue's offset at the first line's slot.
    #[schema(format = DateTime)]
    created_at: String,
    /// While held: when the hold ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    confirmed_at: Option<String>,
    /// When it was released, expired or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Once confirmed: one for each person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tickets: Vec<Ticket<'a>>,
}

/// A booking after an exchange.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Rebooked<'a> {
    #[serde(flatten)]
    booking: Booking<'a>,
    /// What the buyer owes for the exchange; negative where it is owed to them.
    difference: Money<'a>,
}

impl<'a> Rebooked<'a> {
    #[cfg(test)]
    pub(crate) fn new(view: &'a BookingView, difference: i64) -> Self {
        Self {
            booking: view.into(),
            difference: Money::new(difference, &view.currency),
        }
    }
}

/// One line of a booking.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Line<'a> {
    #[schema(example = "general@2027-01-15T10:00+00:00")]
    slot: String,
    #[schema(example = "adult")]
    unit: &'a str,
    quantity: u32,
    /// Tax included.
    unit_price: Money<'a>,
    /// Contained in `total`.
    tax: Money<'a>,
    /// `quantity` times `unit_price`.
    total: Money<'a>,
    /// It was cancelled by itself, and is no part of the booking's total.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cancelled: bool,
}

/// A ticket: admits one person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ticket<'a> {
    id: String,
    /// Counts from 1 within the venue.
    serial: u64,
    unit: &'a str,
    slot: String,
    status: TicketStatusName,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TicketStatus)]
pub(crate) enum TicketStatusName {
    /// Admits.
    Valid,
    /// Does not: cancelled or exchanged.
    Void,
    /// Its visitor is in the building.
    Inside,
    /// Its visitor has left and may come back.
    Outside,
    /// Its visitor has been there.
    Used,
    /// Its time is over and nobody came.
    NoShow,
}

/// The status of a ticket as it stands in answers.
pub(crate) const fn ticket_label(status: TicketStatus) -> &'static str {
    match status {
        TicketStatus::Valid => "valid",
        TicketStatus::Void => "void",
        TicketStatus::Inside => "inside",
        TicketStatus::Outside => "outside",
        TicketStatus::Used => "used",
        TicketStatus::NoShow => "no_show",
    }
}

/// The status of a ticket as the document has it.
pub(crate) const fn ticket_status(status: TicketStatus) -> TicketStatusName {
    match status {
        TicketStatus::Valid => TicketStatusName::Valid,
        TicketStatus::Void => TicketStatusName::Void,
        TicketStatus::Inside => TicketStatusName::Inside,
        TicketStatus::Outside => TicketStatusName::Outside,
        TicketStatus::Used => TicketStatusName::Used,
        TicketStatus::NoShow => TicketStatusName::NoShow,
    }
}

impl<'a> From<&'a BookingView> for Booking<'a> {
    fn from(view: &'a BookingView) -> Self {
        let time = |at: Timestamp| at.to_rfc3339(view.offset_minutes);
        Self {
            id: view.id.to_string(),
            reference: &view.reference,
            status: match view.status {
                BookingStatus::Held => StatusName::Held,
                BookingStatus::Confirmed => StatusName::Confirmed,
                BookingStatus::Expired => StatusName::Expired,
                BookingStatus::Released => StatusName::Released,
                BookingStatus::Cancelled => StatusName::Cancelled,
                BookingStatus::Redeemed => StatusName::Redeemed,
            },
            venue: &view.venue,
            channel: view.channel.into(),
            lines: view.lines.iter().map(|line| Line::new(line, &view.currency)).collect(),
            total: Money::new(view.total, &view.currency),
            created_at: time(view.created_at),
            expires_at: view.expires_at.map(time),
            confirmed_at: view.confirmed_at.map(time),
            ended_at: view.ended_at.map(time),
            tickets: view.tickets.iter().map(Ticket::from).collect(),
        }
    }
}

impl<'a> Line<'a> {
    fn new(line: &'a LineView, currency: &'a str) -> Self {
        Self {
            slot: line.slot.to_text(),
            unit: &line.unit,
            quantity: line.quantity,
            unit_price: Money::new(line.unit_price, currency),
            tax: Money::new(line.tax, currency),
            total: Money::new(line.total, currency),
            cancelled: line.cancelled,
        }
    }
}

impl<'a> From<&'a TicketView> for Ticket<'a> {
    fn from(ticket: &'a TicketView) -> Self {
        Self {
            id: ticket.id.to_string(),
            serial: ticket.serial,
            unit: &ticket.unit,
            slot: ticket.slot.to_text(),
            status: ticket_status(ticket.status),
        }
    }
}

/// How a slot stands.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SlotStatus)]
pub(crate) enum SlotStatusName {
    /// Places are there.
    Available,
    /// Less than a fifth is left.
    Limited,
    /// Nothing is left.
    SoldOut,
    /// Closed by the operator, dropped by the catalogue, or over.
    Closed,
    /// Sale has not begun.
    NotOnSale,
}

/// What one unit costs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct UnitPrice {
    #[schema(example = "adult")]
    pub(crate) unit: String,
    pub(crate) price: Money<'static>,
}

/// A slot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Slot<'a> {
    /// What a booking's line asks for.
    #[schema(example = "general@2027-01-15T10:00+00:00")]
    id: String,
    #[schema(example = "general")]
    product: &'a str,
    #[schema(format = DateTime)]
    starts_at: String,
    /// Entry ends.
    #[schema(format = DateTime)]
    ends_at: String,
    status: SlotStatusName,
    capacity: u32,
    /// What a booking of one could get, over all the pools of the slot.
    vacancies: u32,
    /// Where units were asked for: whether a hold of them all, of this slot, would be granted as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    fits: Option<bool>,
    /// Of each unit of the product.
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<&'a [UnitPrice]>,
}

impl<'a> Slot<'a> {
    pub(crate) fn new(slot: &'a SlotView, prices: Option<&'a [UnitPrice]>) -> Self {
        Self {
            id: slot.slot.to_text(),
            product: &slot.slot.product,
            starts_at: slot.slot.start.to_rfc3339(slot.slot.offset_minutes),
            ends_at: slot.end.to_rfc3339(slot.slot.offset_minutes),
            status: match slot.status {
                SlotStatus::Available => SlotStatusName::Available,
                SlotStatus::Limited => SlotStatusName::Limited,
                SlotStatus::SoldOut => SlotStatusName::SoldOut,
                SlotStatus::Closed => SlotStatusName::Closed,
                SlotStatus::NotOnSale => SlotStatusName::NotOnSale,
            },
            capacity: slot.capacity,
            vacancies: slot.vacancies,
            fits: None,
            prices,
        }
    }

    /// With the word whether the units that were asked for fit.
    pub(crate) fn fitting(self, fits: Option<bool>) -> Self {
        Self { fits, ..self }
    }
}

/// Which state an answer shows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AsOf {
    pub(crate) shard: u64,
    /// Log index.
    pub(crate) index: u64,
    /// Log time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub(crate) time: Option<String>,
}
