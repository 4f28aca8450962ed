//! Who wants to come: `units=adult:2,child:1`.

use rotunda_booking::catalogue::VenueDefinition;

use crate::api::call::parameter;
use crate::api::error::{Code, Problem};

/// Different units in one question.
const MAX_UNITS: usize = 16;

/// Most of one unit: no booking takes so many.
const MAX_QUANTITY: u32 = 10_000;

/// Units with their quantities, in order of name: the same party is the same question however it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Party(Vec<(String, u32)>);

impl Party {
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let wrong = |detail: String| parameter("units", detail);
        let mut units = Vec::new();
        for part in text.split(',') {
            let unit = part.split_once(':').and_then(|(unit, quantity)| {
                let quantity: u32 = quantity.parse().ok().filter(|n| (1..=MAX_QUANTITY).contains(n))?;
                (!unit.is_empty()).then(|| (unit.to_owned(), quantity))
            });
            let shown: String = part.chars().take(40).collect();
            let unit = unit.ok_or_else(|| {
                wrong(format!(
                    "`{shown}` is no unit and quantity; write adult:2,child:1, each from 1 to {MAX_QUANTITY}"
                ))
            })?;
            if units.iter().any(|(known, _)| *known == unit.0) {
                return Err(wrong(format!("`{shown}` is there twice; add the quantities")));
            }
            units.push(unit);
            if units.len() > MAX_UNITS {
                return Err(wrong(format!("at most {MAX_UNITS} units at once")));
            }
        }
        units.sort_unstable();
        Ok(Self(units))
    }

    /// Each unit must be one of the product, or of some product: a misspelt one must not answer "sold out".
    pub(super) fn check(&self, definition: &VenueDefinition, product: Option<&str>) -> Result<(), Problem> {
        let products = || {
            let products = definition.products.iter();
            products.filter(|known| product.is_none_or(|slug| known.slug == slug))
        };
        if products().next().is_none() {
            return Ok(()); // The product is what is wrong, and whoever looks for it says so.
        }
        for (slug, _) in &self.0 {
            if !products().any(|product| product.units.iter().any(|unit| unit.slug == *slug)) {
                let detail = format!("There is no unit `{slug}` here; GET /v1/venues/{{venue}}/products lists them.");
                return Err(Problem::new(Code::UnknownUnit, detail).issue("?units", "no such unit"));
            }
        }
        Ok(())
    }

    pub(super) fn into_units(self) -> Vec<(String, u32)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_same_party_is_the_same_question() {
        let party = Party::read("child:1,adult:2").unwrap();
        assert_eq!(party, Party::read("adult:2,child:1").unwrap());
        assert_eq!(party.into_units(), [("adult".to_owned(), 2), ("child".to_owned(), 1)]);
    }

    #[test]
    fn what_is_no_party_is_refused() {
        for wrong in [
            "",
            "adult",
            "adult:",
            "adult:0",
            ":2",
            "adult:2,",
            "adult:1,adult:2",
            "adult:10001",
            "a:-1",
        ] {
            assert!(Party::read(wrong).is_err(), "{wrong}");
        }
        let many: Vec<String> = (0..17).map(|n| format!("u{n}:1")).collect();
        assert!(Party::read(&many.join(",")).is_err());
    }
}
