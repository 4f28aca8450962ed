//! How large a catalogue may be. Every count and amount of a definition stays within these, so that sums and row sizes
//! do: the dearest booking of the largest quantity fits an `i64` many times over, and persons fit a ticket's number.

/// Venues of a network.
pub const MAX_VENUES: usize = 1_000;
/// Bundles of a network.
pub const MAX_BUNDLES: usize = 1_000;
/// Legs of a bundle.
pub const MAX_LEGS: usize = 10;
/// Products of a venue.
pub const MAX_PRODUCTS: usize = 100;
/// Units of a product, or of a bundle.
pub const MAX_UNITS: usize = 50;
/// Openings of a venue.
pub const MAX_OPENINGS: usize = 50;
/// Closed days of a venue: two years of them and more.
pub const MAX_CLOSED: usize = 1_000;
/// Names, cities and what a unit requires, in characters.
pub const MAX_NAME: usize = 200;
/// What is said of a thing, in characters.
pub const MAX_DESCRIPTION: usize = 2_000;
/// Languages that a thing is described in, besides the catalogue's own.
pub const MAX_TRANSLATIONS: usize = 40;
/// A price in minor units.
pub const MAX_PRICE: i64 = 1_000_000_000_000;
/// Tax in basis points: as much again as the price without it.
pub const MAX_TAX_BASIS_POINTS: i64 = 10_000;
/// Places of a slot or a day, and people in a building: more than any place on earth holds, and sums stay within a `u32`.
pub const MAX_CAPACITY: i64 = 100_000_000;
/// Persons that one unit admits.
pub const MAX_PAX: i64 = 100;
/// Units in one booking. With [`MAX_PAX`] each they still have a ticket number (u16) each.
pub const MAX_UNITS_PER_BOOKING: i64 = 500;
/// How long a hold may live: a day.
pub const MAX_HOLD_MINUTES: i64 = 1_440;
/// Slots, visits and last entries, in minutes: a day.
pub const MAX_SPAN_MINUTES: i64 = 1_440;
/// The grid of the building limit: catalogue times and spans are multiples of it.
pub const GRID_MINUTES: i64 = 5;
/// Tours at once.
pub const MAX_GUIDES: i64 = 1_000;
/// Ages in years.
pub const MAX_AGE: i64 = 150;
/// Hold minutes where the network does not say.
pub const DEFAULT_HOLD_MINUTES: i64 = 10;
/// Before a tour's start: four weeks.
pub const MAX_CUTOFF_MINUTES: i64 = 40_320;
/// A tour's cutoff where the product does not say.
pub const DEFAULT_CUTOFF_MINUTES: u32 = 60;
/// Gates admit so early where the product does not say.
pub const DEFAULT_EARLY_ENTRY_MINUTES: u32 = 15;
/// Units per booking where the network does not say.
pub const DEFAULT_MAX_UNITS_PER_BOOKING: i64 = 20;

/// The dearest units of every product in the largest quantity, all in one booking, still sum within an `i64`.
const _: () = assert!(MAX_PRICE < i64::MAX / (MAX_UNITS_PER_BOOKING * MAX_PRODUCTS as i64));
/// The largest booking of a product has a ticket number for every person.
const _: () = assert!(MAX_UNITS_PER_BOOKING * MAX_PAX <= u16::MAX as i64);
