//! A network's file as YAML: what is wrong with it, in words and with its place.

use super::file::NetworkFile;
use crate::api::body::{in_words, pointer};
use crate::api::error::{Code, Issue, Problem};

/// Reads YAML. What is wrong is said with line and column, and where the shape is wrong also with a pointer.
pub(super) fn parse(bytes: &[u8]) -> Result<NetworkFile, Problem> {
    let mut place = None;
    let read = serde_saphyr::with_deserializer_from_slice(bytes, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            place = Some(pointer(error.path()));
            error.into_inner()
        })
    });
    read.map_err(|error| {
        let plain = serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
        let text = in_words(&error.render_with_options(plain));
        if is_about_shape(error.without_snippet()) {
            let place = place.unwrap_or_default();
            Problem::new(Code::InvalidBody, format!("In `{place}`: {text}.")).issues(vec![Issue::new(place, text)])
        } else {
            Problem::new(Code::MalformedYaml, format!("The body is not YAML: {text}."))
        }
    })
}

/// The text is YAML but does not fit; anything else is about YAML itself.
fn is_about_shape(error: &serde_saphyr::Error) -> bool {
    use serde_saphyr::Error as E;
    matches!(
        error,
        E::Message { .. }
            | E::Unexpected { .. }
            | E::InvalidScalar { .. }
            | E::NullIntoString { .. }
            | E::TaggedScalarCannotDeserializeIntoString { .. }
            | E::SerdeInvalidType { .. }
            | E::SerdeInvalidValue { .. }
            | E::SerdeInvalidLength { .. }
            | E::SerdeUnknownVariant { .. }
            | E::SerdeUnknownField { .. }
            | E::SerdeMissingField { .. }
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use rotunda_booking::catalogue::NetworkDescription;

    const NETWORK: &str = include_str!("../../../../deploy/config/meridian.yaml");

    #[test]
    fn the_meridian_network_is_read_whole() {
        let file = parse(NETWORK.as_bytes()).unwrap();
        let description = NetworkDescription::from(file);
        assert_eq!(description.network.id, "meridian");
        assert_eq!(description.venues.len(), 10);
        assert_eq!(description.bundles.len(), 2);
        let tides = &description.venues[0];
        assert_eq!(tides.products[1].on_sale.as_deref(), Some("2027-01-15T10:00"));
        assert_eq!(tides.products[0].units[2].accompanied_by, ["adult", "senior", "member"]);
    }

    #[test]
    fn broken_yaml_is_said_to_be_so_with_line_and_column() {
        for broken in [
            "network: {id: x",
            "network: {id: *nobody}",
            "network: {\n\tid: [}",
            "%",
            "network: \"x",
        ] {
            let problem = parse(broken.as_bytes()).unwrap_err();
            assert_eq!(problem.code(), Code::MalformedYaml, "{broken}: {}", problem.detail());
        }
        let problem = parse(b"network:\n  id: [x\nvenues: []\n").unwrap_err();
        assert!(problem.detail().contains("line"), "{}", problem.detail());
    }

    #[test]
    fn a_wrong_shape_is_pointed_at() {
        let wrong = NETWORK.replacen("price: 1400", "price: many", 1);
        let problem = parse(wrong.as_bytes()).unwrap_err();
        assert_eq!(problem.code(), Code::InvalidBody);
        assert!(
            problem.detail().contains("/venues/0/products/0/units/0/price"),
            "{}",
            problem.detail()
        );
        let wrong = NETWORK.replacen("building_capacity", "bilding_capacity", 1);
        let problem = parse(wrong.as_bytes()).unwrap_err();
        assert!(
            problem.detail().contains("/venues/0/bilding_capacity"),
            "{}",
            problem.detail()
        );
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let item = format!("*a{}", n - 1);
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", vec![item; 9].join(", ")));
        }
        assert!(parse(bomb.as_bytes()).is_err());
    }
}
