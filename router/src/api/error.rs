//! Every way in which a request can fail, as RFC 9457 `application/problem+json`.
//!
//! [`Code`] is the closed list: a code, its HTTP status, whether the same request may succeed later, and what to do.
//! Handlers and layers return a [`Problem`]; it travels as a response extension until `stack::observe`, the outermost
//! layer, writes the body, for only there are the request's path and trace id at hand. The list is answered by
//! `GET /problems`, one entry by `GET /problems/{code}`, which is also where a problem's `type` points.
//!
//! A refusal that the cluster decided (and stored under the caller's `Idempotency-Key`) must replay byte for byte, so its
//! `trace_id` names the command rather than the request; `x-request-id` always names the request.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, StatusCode};
use rotunda_booking::outcome::{Refusal, RefusalCode};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

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
    ($( $name:ident $text:literal $status:literal $outcome:ident $retryable:literal $title:literal $remedy:literal; )*) => {
        /// The closed list of codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $(
            #[doc = concat!("`", $text, "` (", $status, "): ", $title, ". ", $remedy)]
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

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $( Code::$name => $remedy, )* }
            }

            const fn type_uri(self) -> &'static str {
                match self { $( Code::$name => concat!("/problems/", $text), )* }
            }
        }
    };
}

codes! {
    // What the rules of booking refuse. One for each RefusalCode, of the same spelling.
    SoldOut "sold_out" 409 SoldOut false "Sold out" "Choose another slot or fewer places; `errors` says what is left.";
    SlotInPast "slot_in_past" 409 Conflict false "The slot has begun" "Choose a later slot.";
    NotOnSale "not_on_sale" 409 Conflict false "Sale has not begun" "Come back when the sale begins, with a new key.";
    SlotClosed "slot_closed" 409 Conflict false "The slot is closed" "Choose another slot.";
    UnknownSlot "unknown_slot" 404 ClientError false "No such slot" "Take slot ids from the venue's availability.";
    UnknownProduct "unknown_product" 404 ClientError false "No such product" "GET /v1/venues/{venue}/products lists them.";
    UnknownUnit "unknown_unit" 404 ClientError false "No such unit" "GET /v1/venues/{venue}/products lists the units of each product.";
    UnknownVenue "unknown_venue" 404 ClientError false "No such venue" "GET /v1/venues lists them.";
    QuantityOutOfRange "quantity_out_of_range" 422 ClientError false "Quantity out of range" "Ask for a quantity within the bounds in `errors`.";
    NotAccompanied "not_accompanied" 422 ClientError false "Must be accompanied" "Add one of the accompanying units for the same slot.";
    UnknownBooking "unknown_booking" 404 ClientError false "No such booking" "Check the id that the hold was answered with.";
    HoldExpired "hold_expired" 409 Conflict false "The hold ran out" "Hold the places again.";
    AlreadyConfirmed "already_confirmed" 409 Conflict false "Confirmed already" "GET the booking to see its tickets.";
    AlreadyReleased "already_released" 409 Conflict false "Released already" "Hold the places again.";
    AlreadyCancelled "already_cancelled" 409 Conflict false "Cancelled already" "Nothing is left to do.";
    NotConfirmed "not_confirmed" 409 Conflict false "Not confirmed" "Release a hold; only a confirmed booking is cancelled.";
    IdempotencyKeyReused "idempotency_key_reused" 422 ClientError false "Idempotency-Key used before" "Use a new key for a new request; repeat a request with its own body.";
    StalePlan "stale_plan" 409 Conflict true "The catalogue changed meanwhile" "Send the import again.";
    TooLarge "too_large" 422 ClientError false "Too much for one booking" "Split it into several bookings.";
    ExtendLimit "extend_limit" 409 Conflict false "Extended as often as it may be" "Confirm or release the hold.";
    CatalogueConflict "catalogue_conflict" 409 Conflict false "The catalogue contradicts what is stored" "Change the file as `errors` says.";
    UnknownLine "unknown_line" 404 ClientError false "No such line" "GET the booking to see its lines; they count from 0.";
    AlreadyAdmitted "already_admitted" 409 Conflict false "A visitor was admitted" "What was used cannot be given back.";
    ClaimRequired "claim_required" 422 ClientError false "A claim is needed" "Send the signed claim with the line, or choose another unit.";
    UnknownScan "unknown_scan" 404 ClientError false "No such scan" "Name the device and the device_seq of a scan of this venue's ticket.";
    DeviceSeqReused "device_seq_reused" 409 Conflict false "The device_seq was used before" "Count on: each scan of a device has a number of its own.";
    UnknownKey "unknown_key" 404 ClientError false "No such key" "GET /v1/venues/{venue}/ticket-keys lists them.";
    KeyLimit "key_limit" 409 Conflict false "Not with these keys" "A venue keeps at least one key, and has at most 255 in its life.";
    DrawerOpen "drawer_open" 409 Conflict false "The drawer is open" "Close it first.";
    DrawerClosed "drawer_closed" 409 Conflict false "The drawer is not open" "Open it with its float.";
    TooManyScans "too_many_scans" 409 Conflict false "Scanned too often" "Look at the ticket by hand; its gate may be broken.";
    NothingToRebook "nothing_to_rebook" 409 Conflict false "These are its places" "Name other places.";
    // What the door refuses by itself.
    InvalidClaim "invalid_claim" 422 ClientError false "The claim proves nothing" "Send the claim as it was issued; where it has ended, ask its issuer for a new one.";
    UnknownTicket "unknown_ticket" 404 ClientError false "No such ticket" "Check the id; GET the booking to see its tickets.";
    TicketVoid "ticket_void" 410 Conflict false "The ticket is void" "It was cancelled or exchanged: GET the booking to see the tickets that admit.";
    NoTicketKey "no_ticket_key" 409 Conflict false "The venue has no key to sign with" "Import the network again: it gives every venue its first key.";
    UnknownDrawer "unknown_drawer" 404 ClientError false "No such drawer" "Open it with its float.";
    // What is wrong with a request.
    MalformedJson "malformed_json" 400 ClientError false "The body is not JSON" "Mend the body at the line and column in `detail`.";
    MalformedYaml "malformed_yaml" 400 ClientError false "The body is not YAML" "Mend the body at the line and column in `detail`.";
    InvalidBody "invalid_body" 422 ClientError false "The body does not fit" "Mend what `errors` points at; /openapi.json has the schema.";
    InvalidParameter "invalid_parameter" 400 ClientError false "A parameter is wrong" "Mend what `errors` names.";
    InvalidCatalogue "invalid_catalogue" 422 ClientError false "The catalogue has problems" "Mend all that `errors` points at and send it again; nothing was changed.";
    IdempotencyKeyRequired "idempotency_key_required" 400 ClientError false "Idempotency-Key is missing" "Send `Idempotency-Key: <a new UUID>`, and the same one on each retry.";
    IdempotencyKeyInvalid "idempotency_key_invalid" 400 ClientError false "Idempotency-Key cannot be used" "Send 1 to 255 printable ASCII characters; without a token at least 16, best a UUID.";
    UnsupportedMediaType "unsupported_media_type" 415 ClientError false "Content type not taken" "Send the content type that `detail` names.";
    BodyTooLarge "body_too_large" 413 ClientError false "The body is too large" "Send less; `detail` has the bound.";
    Unauthorized "unauthorized" 401 ClientError false "Who are you?" "Send `Authorization: Bearer <token>` with a token of the cluster or of the router's configuration.";
    Forbidden "forbidden" 403 ClientError false "Not with this token" "Use a token that may.";
    ChannelNeedsToken "channel_needs_token" 403 ClientError false "This channel needs a token" "Send `Authorization: Bearer <token>`, or sell through `web` or `kiosk`.";
    ChannelNotForRole "channel_not_for_role" 403 ClientError false "Not through this channel" "Sell through a channel of the token's role, or use another token.";
    UnknownToken "unknown_token" 404 ClientError false "No such token" "GET /v1/admin/tokens lists them.";
    TokenNameTaken "token_name_taken" 409 Conflict false "The name is taken" "Choose a name that no token has or had.";
    TokenLimit "token_limit" 409 Conflict false "Too many tokens" "Revoke one that is not used.";
    NotFound "not_found" 404 ClientError false "Nothing is here" "/docs lists the routes.";
    MethodNotAllowed "method_not_allowed" 405 ClientError false "Not with this method" "Use a method of the `Allow` header.";
    RequestTimeout "request_timeout" 408 ClientError true "The body came too slowly" "Send it again with the same key.";
    RateLimited "rate_limited" 429 Quota true "Quota used up" "Wait as long as `Retry-After` says.";
    VenueRateLimited "venue_rate_limited" 429 Quota true "Too much is asked of this venue" "Wait as long as `Retry-After` says; other venues answer meanwhile.";
    UnsupportedEncoding "unsupported_encoding" 415 ClientError false "The body is compressed" "Send it as it is, without Content-Encoding.";
    // What is wrong with us.
    Overloaded "overloaded" 503 Shed true "Too much is going on" "Nothing was done. Wait as long as `Retry-After` says and send it again with the same key.";
    Unavailable "unavailable" 503 Error true "The cluster cannot take it now" "Nothing was done. Wait as long as `Retry-After` says and send it again with the same key.";
    ImportInterrupted "import_interrupted" 503 Error true "The import broke off" "Send the file again: it is idempotent, and what is in place stays.";
    OutcomeUnknown "outcome_unknown" 504 Error true "No answer in time" "It may have taken effect. Send it again with the same Idempotency-Key: it takes effect at most once.";
    Internal "internal" 500 Error false "A mistake of ours" "Tell the operator the `trace_id`.";
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

    fn status_code(self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Issue {
    /// Where: a JSON pointer into the body (`/lines/0/quantity`), `?name` for a query parameter, `{name}` for a part of
    /// the path, `Name:` for a header.
    #[schema(example = "/lines/0/quantity")]
    pub pointer: String,
    /// What, for people.
    pub detail: String,
    /// Places left where it is about places; the bound where it is about quantities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
}

impl Issue {
    /// `detail` is wrong at `pointer`.
    #[must_use]
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
            left: None,
        }
    }
}

/// The body of every error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Where the code is described.
    #[serde(rename = "type")]
    #[schema(example = "/problems/sold_out")]
    type_uri: &'a str,
    /// The code in a few words.
    title: &'a str,
    /// HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// What is wrong with this request.
    detail: &'a str,
    /// The request's path.
    instance: &'a str,
    /// From the closed list (`GET /problems`).
    #[schema(example = "sold_out")]
    code: &'a str,
    /// What exactly is wrong, each with its place.
    errors: &'a [Issue],
    /// Names the request in our logs; for a refusal by the cluster, the command, so that a replay is the same.
    trace_id: &'a str,
    /// True where the same request, under the same key, may succeed later.
    retryable: bool,
    #[serde(flatten)]
    #[schema(ignore)]
    more: &'a Map<String, Value>,
}

/// A failed request on its way out.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<Issue>,
    headers: Vec<(HeaderName, HeaderValue)>,
    trace_id: Option<String>,
    instance: Option<String>,
    more: Map<String, Value>,
}

impl Problem {
    /// A problem with no more than its code and detail.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
            trace_id: None,
            instance: None,
            more: Map::new(),
        }))
    }

    /// What the cluster refused. `pointer` says where line `n` of the command stands in the request.
    #[must_use]
    pub fn refused(refusal: Refusal, pointer: impl Fn(u16) -> String) -> Self {
        let errors = refusal
            .lines
            .into_iter()
            .map(|line| Issue {
                pointer: pointer(line.line),
                detail: line.detail,
                left: line.left,
            })
            .collect();
        Self::new(Code::of_refusal(refusal.code), refusal.detail).issues(errors)
    }

    /// Sets the list of what is wrong.
    #[must_use]
    pub fn issues(mut self, errors: Vec<Issue>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Adds one thing that is wrong.
    #[must_use]
    pub fn issue(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(Issue::new(pointer, detail));
        self
    }

    /// Adds a header. A value that no header can carry is left out.
    #[must_use]
    pub fn header<V>(mut self, name: HeaderName, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
    {
        if let Ok(value) = value.try_into() {
            self.0.headers.push((name, value));
        }
        self
    }

    /// Names the command instead of the request, so that a replay is the same byte for byte.
    #[must_use]
    pub fn of_command(mut self, trace_id: String, instance: String) -> Self {
        self.0.trace_id = Some(trace_id);
        self.0.instance = Some(instance);
        self
    }

    /// Adds an extension member.
    #[must_use]
    pub fn member(mut self, name: &str, value: Value) -> Self {
        self.0.more.insert(name.to_owned(), value);
        self
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// For people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The body, for the request at `path`.
    #[must_use]
    pub(crate) fn body(&self, path: &str, trace_id: &str) -> Bytes {
        let Inner {
            code,
            detail,
            errors,
            trace_id: own_trace,
            instance,
            more,
            ..
        } = &*self.0;
        let body = ProblemBody {
            type_uri: code.type_uri(),
            title: code.title(),
            status: code.status(),
            detail,
            instance: instance.as_deref().unwrap_or(path),
            code: code.as_str(),
            errors,
            trace_id: own_trace.as_deref().unwrap_or(trace_id),
            retryable: code.retryable(),
            more,
        };
        serde_json::to_vec(&body).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.code.status_code().into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.0.headers {
            headers.append(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self);
        response
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
