//! The closed list of codes: for each its HTTP status, how it counts, whether the same request may succeed later, what causes
//! it and what to do. One without all of these does not compile. `router/PROBLEMS.md` is made from it, and so are
//! `GET /problems` and the code's schema in the OpenAPI document.

use http::StatusCode;
use rotunda_booking::outcome::RefusalCode;

/// How a finished request counts (`outcome` label of `rotunda_http_requests_total`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// Answered as asked.
    Ok = 0,
    /// Nothing left: the cluster did its work.
    SoldOut = 1,
    /// The state does not allow it.
    Conflict = 2,
    /// The request is wrong.
    ClientError = 3,
    /// The caller's own quota is used up.
    Quota = 4,
    /// Refused because too much is going on.
    Shed = 5,
    /// Our fault.
    Error = 6,
}

impl Outcome {
    /// Every outcome, in order of its number.
    pub const ALL: [Outcome; 7] = [
        Self::Ok,
        Self::SoldOut,
        Self::Conflict,
        Self::ClientError,
        Self::Quota,
        Self::Shed,
        Self::Error,
    ];

    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::SoldOut => "sold_out",
            Self::Conflict => "conflict",
            Self::ClientError => "client_error",
            Self::Quota => "quota",
            Self::Shed => "shed",
            Self::Error => "error",
        }
    }
}

macro_rules! codes {
    ($( $name:ident $text:literal $status:literal $outcome:ident $retryable:literal $title:literal $cause:literal $remedy:literal; )*) => {
        /// The closed list of codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $(
            #[doc = concat!("`", $text, "` (", $status, "): ", $title, ". ", $cause, " ", $remedy)]
            $name,
        )* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[ $( Code::$name, )* ];

            /// As it stands in answers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Code::$name => $text, )* }
            }

            /// HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $( Code::$name => $status, )* }
            }

            /// How it counts.
            #[must_use]
            pub const fn outcome(self) -> Outcome {
                match self { $( Code::$name => Outcome::$outcome, )* }
            }

            /// True where the same request, under the same key, may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $( Code::$name => $retryable, )* }
            }

            /// In a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $( Code::$name => $title, )* }
            }

            /// Why a request is answered with it.
            #[must_use]
            pub const fn cause(self) -> &'static str {
                match self { $( Code::$name => $cause, )* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $( Code::$name => $remedy, )* }
            }

            pub(super) const fn type_uri(self) -> &'static str {
                match self { $( Code::$name => concat!("/problems/", $text), )* }
            }
        }
    };
}

codes! {
    // What the rules of booking refuse. One for each RefusalCode, of the same spelling.
    SoldOut "sold_out" 409 SoldOut false "Sold out"
        "A pool behind the slot has fewer places left than were asked for."
        "Choose another slot or fewer places; `errors` says what is left.";
    SlotInPast "slot_in_past" 409 Conflict false "The slot has begun"
        "The slot has begun by the clock of the log."
        "Choose a later slot.";
    NotOnSale "not_on_sale" 409 Conflict false "Sale has not begun"
        "The venue sells this slot only from a later time on."
        "Come back when the sale begins, with a new key.";
    SlotClosed "slot_closed" 409 Conflict false "The slot is closed"
        "The staff closed the slot, or a tour did not reach its minimum."
        "Choose another slot.";
    UnknownSlot "unknown_slot" 404 ClientError false "No such slot"
        "The venue's calendar has no slot of this id: another day, another time, or the hour that a change of clocks leaves out."
        "Take slot ids from the venue's availability.";
    UnknownProduct "unknown_product" 404 ClientError false "No such product"
        "The venue's catalogue has no product of this id."
        "GET /v1/venues/{venue}/products lists them.";
    UnknownUnit "unknown_unit" 404 ClientError false "No such unit"
        "The product is not sold to this kind of visitor."
        "GET /v1/venues/{venue}/products lists the units of each product.";
    UnknownVenue "unknown_venue" 404 ClientError false "No such venue"
        "No catalogue that was imported has a venue of this id."
        "GET /v1/venues lists them.";
    QuantityOutOfRange "quantity_out_of_range" 422 ClientError false "Quantity out of range"
        "A quantity, or the size of a group, is below the least or above the most that the product allows."
        "Ask for a quantity within the bounds in `errors`.";
    NotAccompanied "not_accompanied" 422 ClientError false "Must be accompanied"
        "A unit that comes only with others stands alone in its slot."
        "Add one of the accompanying units for the same slot.";
    UnknownBooking "unknown_booking" 404 ClientError false "No such booking"
        "No booking of this cluster has this id."
        "Check the id that the hold was answered with.";
    HoldExpired "hold_expired" 409 Conflict false "The hold ran out"
        "The hold was neither confirmed nor extended before its deadline, and its places were given back."
        "Hold the places again.";
    AlreadyConfirmed "already_confirmed" 409 Conflict false "Confirmed already"
        "The booking was sold before; what asks for a hold comes too late."
        "GET the booking to see its tickets.";
    AlreadyReleased "already_released" 409 Conflict false "Released already"
        "The hold was given back before."
        "Hold the places again.";
    AlreadyCancelled "already_cancelled" 409 Conflict false "Cancelled already"
        "The booking, or the line, was cancelled before."
        "Nothing is left to do.";
    NotConfirmed "not_confirmed" 409 Conflict false "Not confirmed"
        "The booking is a hold, and the operation is for what was sold."
        "Release a hold; only a confirmed booking is cancelled.";
    IdempotencyKeyReused "idempotency_key_reused" 422 ClientError false "Idempotency-Key used before"
        "The key was sent before with another request; the first one's answer stands under it."
        "Use a new key for a new request; repeat a request with its own body.";
    StalePlan "stale_plan" 409 Conflict true "The catalogue changed meanwhile"
        "Another import changed the venue between this one's look and its write."
        "Send the import again.";
    TooLarge "too_large" 422 ClientError false "Too much for one booking"
        "The command has more lines, places or takings than one entry of the log carries."
        "Split it into several bookings.";
    ExtendLimit "extend_limit" 409 Conflict false "Extended as often as it may be"
        "A hold can be extended only a few times, or it would never end."
        "Confirm or release the hold.";
    CatalogueConflict "catalogue_conflict" 409 Conflict false "The catalogue contradicts what is stored"
        "The file would change what bookings rest on, such as a currency or a time zone with sales in it."
        "Change the file as `errors` says.";
    VenueOfAnotherNetwork "venue_of_another_network" 409 Conflict false "A venue belongs to another network"
        "A venue of the file was imported with another network before, and belongs to it."
        "Import it with its own network, or give the venue another id.";
    UnknownLine "unknown_line" 404 ClientError false "No such line"
        "The booking has fewer lines than the number says."
        "GET the booking to see its lines; they count from 0.";
    AlreadyAdmitted "already_admitted" 409 Conflict false "A visitor was admitted"
        "A ticket of what would be cancelled or exchanged has gone through a gate."
        "What was used cannot be given back.";
    ClaimRequired "claim_required" 422 ClientError false "A claim is needed"
        "The unit is for members, and the line has no proof of membership."
        "Send the signed claim with the line, or choose another unit.";
    UnknownScan "unknown_scan" 404 ClientError false "No such scan"
        "The venue has no scan of this device and number."
        "Name the device and the device_seq of a scan of this venue's ticket.";
    DeviceSeqReused "device_seq_reused" 409 Conflict false "The device_seq was used before"
        "The device sent another scan under the same number before."
        "Count on: each scan of a device has a number of its own.";
    UnknownKey "unknown_key" 404 ClientError false "No such key"
        "The venue has no ticket key of this number."
        "GET /v1/venues/{venue}/ticket-keys lists them.";
    KeyLimit "key_limit" 409 Conflict false "Not with these keys"
        "It would leave the venue without a key, or give it more than a number can name."
        "A venue keeps at least one key, and has at most 255 in its life.";
    DrawerOpen "drawer_open" 409 Conflict false "The drawer is open"
        "The drawer was opened before and is not closed."
        "Close it first.";
    DrawerClosed "drawer_closed" 409 Conflict false "The drawer is not open"
        "Cash is taken, or the drawer closed, where it is not open."
        "Open it with its float.";
    TooManyScans "too_many_scans" 409 Conflict false "Scanned too often"
        "The ticket has as many scans as are kept of one."
        "Look at the ticket by hand; its gate may be broken.";
    NothingToRebook "nothing_to_rebook" 409 Conflict false "These are its places"
        "The lines that were named are those that the booking has."
        "Name other places.";
    // What the door refuses by itself.
    InvalidClaim "invalid_claim" 422 ClientError false "The claim proves nothing"
        "The signature does not fit, the issuer is not known, the claim has ended, or it is for another venue or unit."
        "Send the claim as it was issued; where it has ended, ask its issuer for a new one.";
    UnknownTicket "unknown_ticket" 404 ClientError false "No such ticket"
        "No ticket of this cluster has this id."
        "Check the id; GET the booking to see its tickets.";
    TicketVoid "ticket_void" 410 Conflict false "The ticket is void"
        "The ticket's line was cancelled or exchanged after it was issued."
        "It was cancelled or exchanged: GET the booking to see the tickets that admit.";
    NoTicketKey "no_ticket_key" 409 Conflict false "The venue has no key to sign with"
        "The venue has no signing key, so its tickets have no code."
        "Import the network again: it gives every venue its first key.";
    UnknownDrawer "unknown_drawer" 404 ClientError false "No such drawer"
        "The drawer was never opened."
        "Open it with its float.";
    // What is wrong with a request.
    MalformedJson "malformed_json" 400 ClientError false "The body is not JSON"
        "A parser stopped in the body."
        "Mend the body at the line and column in `detail`.";
    MalformedYaml "malformed_yaml" 400 ClientError false "The body is not YAML"
        "A parser stopped in the body."
        "Mend the body at the line and column in `detail`.";
    InvalidBody "invalid_body" 422 ClientError false "The body does not fit"
        "The body is JSON, and a field is missing, unknown, of another type or out of its bounds."
        "Mend what `errors` points at; /openapi.json has the schema.";
    InvalidParameter "invalid_parameter" 400 ClientError false "A parameter is wrong"
        "A parameter of the query or a header has a value that means nothing, is there twice, or has no such name."
        "Mend what `errors` names.";
    InvalidCatalogue "invalid_catalogue" 422 ClientError false "The catalogue has problems"
        "The file can be read, and what it describes contradicts itself."
        "Mend all that `errors` points at and send it again; nothing was changed.";
    IdempotencyKeyRequired "idempotency_key_required" 400 ClientError false "Idempotency-Key is missing"
        "The operation moves money or places, and nothing says which attempt this is."
        "Send `Idempotency-Key: <a new UUID>`, and the same one on each retry.";
    IdempotencyKeyInvalid "idempotency_key_invalid" 400 ClientError false "Idempotency-Key cannot be used"
        "The key is empty, too long, there twice, of other characters, or so short that it can be guessed."
        "Send 1 to 255 printable ASCII characters; without a token at least 16, best a UUID.";
    UnsupportedMediaType "unsupported_media_type" 415 ClientError false "Content type not taken"
        "The body is of another type than the route takes."
        "Send the content type that `detail` names.";
    BodyTooLarge "body_too_large" 413 ClientError false "The body is too large"
        "The body is longer than the route takes."
        "Send less; `detail` has the bound.";
    Unauthorized "unauthorized" 401 ClientError false "Who are you?"
        "The route is for holders of a token, or the token is unknown or revoked."
        "Send `Authorization: Bearer <token>` with a token of the cluster or of the router's configuration.";
    Forbidden "forbidden" 403 ClientError false "Not with this token"
        "The token's role, or the venues it is bound to, do not cover this."
        "Use a token that may.";
    ChannelNeedsToken "channel_needs_token" 403 ClientError false "This channel needs a token"
        "The channel is one that only a token sells through."
        "Send `Authorization: Bearer <token>`, or sell through `web` or `kiosk`.";
    ChannelNotForRole "channel_not_for_role" 403 ClientError false "Not through this channel"
        "The token's role sells through other channels."
        "Sell through a channel of the token's role, or use another token.";
    UnknownToken "unknown_token" 404 ClientError false "No such token"
        "No token has this name."
        "GET /v1/admin/tokens lists them.";
    TokenNameTaken "token_name_taken" 409 Conflict false "The name is taken"
        "Names stand in audit logs, so none is given twice."
        "Choose a name that no token has or had.";
    TokenLimit "token_limit" 409 Conflict false "Too many tokens"
        "The cluster keeps only so many tokens."
        "Revoke one that is not used.";
    UnknownNode "unknown_node" 404 ClientError false "No such node"
        "No node of the cluster has this id."
        "GET /v1/admin/cluster lists them.";
    NodesBehind "nodes_behind" 409 Conflict false "Not before every node can read it"
        "It needs a cluster's version that a node's binary does not read, or that the cluster was not raised to."
        "Upgrade the nodes that `detail` names, then `rotunda cluster version finalize`; nothing was done.";
    NotFound "not_found" 404 ClientError false "Nothing is here"
        "No route fits the path."
        "/docs lists the routes.";
    MethodNotAllowed "method_not_allowed" 405 ClientError false "Not with this method"
        "The path has other methods."
        "Use a method of the `Allow` header.";
    RequestTimeout "request_timeout" 408 ClientError true "The body came too slowly"
        "The body did not arrive within its time."
        "Send it again with the same key.";
    RateLimited "rate_limited" 429 Quota true "Quota used up"
        "The caller, by its address or its token, asked more often than its quota allows."
        "Wait as long as `Retry-After` says.";
    VenueRateLimited "venue_rate_limited" 429 Quota true "Too much is asked of this venue"
        "All callers together asked this venue more often than its quota allows."
        "Wait as long as `Retry-After` says; other venues answer meanwhile.";
    UnsupportedEncoding "unsupported_encoding" 415 ClientError false "The body is compressed"
        "A body has a Content-Encoding; what it unpacks to has no bound that can be known before."
        "Send it as it is, without Content-Encoding.";
    // What is wrong with us.
    Overloaded "overloaded" 503 Shed true "Too much is going on"
        "The router or the venue's shard has as much in hand as it can answer in time."
        "Nothing was done. Wait as long as `Retry-After` says and send it again with the same key.";
    Unavailable "unavailable" 503 Error true "The cluster cannot take it now"
        "The venue's shard has no leader that answers, or the router has not found the cluster yet."
        "Nothing was done. Wait as long as `Retry-After` says and send it again with the same key.";
    ImportInterrupted "import_interrupted" 503 Error true "The import broke off"
        "The cluster did not answer in the middle of an import."
        "Send the file again: it is idempotent, and what is in place stays.";
    OutcomeUnknown "outcome_unknown" 504 Error true "No answer in time"
        "The request was sent into the cluster, and no answer came before its deadline."
        "It may have taken effect. Send it again with the same Idempotency-Key: it takes effect at most once.";
    Internal "internal" 500 Error false "A mistake of ours"
        "Something broke that must not."
        "Tell the operator the `trace_id`.";
}

impl Code {
    /// The code of a refusal by the rules of booking.
    #[must_use]
    pub const fn of_refusal(code: RefusalCode) -> Self {
        match code {
            RefusalCode::SoldOut => Self::SoldOut,
            RefusalCode::SlotInPast => Self::SlotInPast,
            RefusalCode::NotOnSale => Self::NotOnSale,
            RefusalCode::SlotClosed => Self::SlotClosed,
            RefusalCode::UnknownSlot => Self::UnknownSlot,
            RefusalCode::UnknownProduct => Self::UnknownProduct,
            RefusalCode::UnknownUnit => Self::UnknownUnit,
            RefusalCode::UnknownVenue => Self::UnknownVenue,
            RefusalCode::QuantityOutOfRange => Self::QuantityOutOfRange,
            RefusalCode::NotAccompanied => Self::NotAccompanied,
            RefusalCode::UnknownBooking => Self::UnknownBooking,
            RefusalCode::HoldExpired => Self::HoldExpired,
            RefusalCode::AlreadyConfirmed => Self::AlreadyConfirmed,
            RefusalCode::AlreadyReleased => Self::AlreadyReleased,
            RefusalCode::AlreadyCancelled => Self::AlreadyCancelled,
            RefusalCode::NotConfirmed => Self::NotConfirmed,
            RefusalCode::IdempotencyKeyReused => Self::IdempotencyKeyReused,
            RefusalCode::StalePlan => Self::StalePlan,
            RefusalCode::TooLarge => Self::TooLarge,
            RefusalCode::ExtendLimit => Self::ExtendLimit,
            RefusalCode::CatalogueConflict => Self::CatalogueConflict,
            RefusalCode::UnknownLine => Self::UnknownLine,
            RefusalCode::AlreadyAdmitted => Self::AlreadyAdmitted,
            RefusalCode::ClaimRequired => Self::ClaimRequired,
            RefusalCode::UnknownScan => Self::UnknownScan,
            RefusalCode::DeviceSeqReused => Self::DeviceSeqReused,
            RefusalCode::UnknownKey => Self::UnknownKey,
            RefusalCode::KeyLimit => Self::KeyLimit,
            RefusalCode::DrawerOpen => Self::DrawerOpen,
            RefusalCode::DrawerClosed => Self::DrawerClosed,
            RefusalCode::TooManyScans => Self::TooManyScans,
            RefusalCode::NothingToRebook => Self::NothingToRebook,
        }
    }

    pub(super) fn status_code(self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_rules_keeps_its_spelling() {
        for &refusal in RefusalCode::ALL {
            assert_eq!(Code::of_refusal(refusal).as_str(), refusal.as_str());
        }
    }

    #[test]
    fn only_our_faults_count_as_errors() {
        for &code in Code::ALL {
            let ours = code.status() >= 500;
            assert_eq!(
                matches!(code.outcome(), Outcome::Error | Outcome::Shed),
                ours,
                "{}",
                code.as_str()
            );
        }
    }
}
