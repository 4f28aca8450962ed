//! The network of `deploy/config/meridian.yaml`, as every test that wants real input uses it.
//!
//! The rules know no file format; the door does, and its types for the file serve here too.

#![allow(dead_code, reason = "each test that includes this uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../../../router/src/api/network/file.rs"]
mod file;

use rotunda_booking::catalogue::{NetworkDefinition, NetworkDescription, ProductDefinition, VenueDefinition, validate};

/// The file as it stands in the repository.
pub(crate) const YAML: &str = include_str!("../../../../deploy/config/meridian.yaml");

/// The file, read and not yet validated.
pub(crate) fn description() -> NetworkDescription {
    read(YAML)
}

/// The file, validated.
pub(crate) fn definition() -> NetworkDefinition {
    validate(&description()).expect("meridian.yaml is a good network")
}

/// One of its venues.
pub(crate) fn venue(slug: &str) -> VenueDefinition {
    definition()
        .venues
        .into_iter()
        .find(|venue| venue.slug == slug)
        .expect("the venue is in the file")
}

/// One product of a venue.
pub(crate) fn product<'a>(venue: &'a VenueDefinition, slug: &str) -> &'a ProductDefinition {
    venue
        .products
        .iter()
        .find(|product| product.slug == slug)
        .expect("the product is in the venue")
}

/// A network's file, read and not yet validated.
pub(crate) fn read(yaml: &str) -> NetworkDescription {
    serde_saphyr::from_str::<file::NetworkFile>(yaml)
        .expect("the file has the shape of a network")
        .into()
}
