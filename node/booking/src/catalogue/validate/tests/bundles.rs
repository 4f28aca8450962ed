//! What may be wrong with bundles.

use super::*;

#[test]
fn a_bundle_refers_to_what_is_there() {
    finds("/bundles/0/legs/1/venue", "no venue \"nowhere\"", |network| {
        network.bundles[0].legs[1].venue = "nowhere".into();
        network.bundles[0].units[0].legs[0].0 = "nowhere".into();
    });
    finds("/bundles/0/legs/1/product", "has no product \"special\"", |network| {
        network.bundles[0].legs[1].product = "special".into();
    });
    finds("/bundles/0/units/0/legs/tides", "has no unit \"infant\"", |network| {
        network.bundles[0].units[0].legs[1].1 = "infant".into();
    });
    finds("/bundles/0/units/0/legs/a~1b", "has no leg at \"a/b\"", |network| {
        network.bundles[0].units[0].legs.push(("a/b".into(), "adult".into()));
    });
    finds(
        "/bundles/0/units/0/legs",
        "which unit it is at \"azulejo\"",
        |network| {
            network.bundles[0].units[0].legs.remove(0);
        },
    );
    finds("/bundles/0/units/0/legs/tides", "a second time", |network| {
        network.bundles[0].units[0].legs.push(("tides".into(), "adult".into()));
    });
}

#[test]
fn a_bundle_joins_different_venues() {
    finds("/bundles/0/legs", "at least two venues", |network| {
        network.bundles[0].legs.pop();
        network.bundles[0].units[0].legs.remove(0);
    });
    finds("/bundles/0/legs/2/venue", "has a leg already", |network| {
        network.bundles[0].legs.push(leg("tides"))
    });
    finds("/bundles/0/legs", "11 legs are too many", |network| {
        for number in 2..11 {
            let id = format!("venue-{number}");
            network.venues.push(venue(&id));
            network.bundles[0].legs.push(leg(&id));
            network.bundles[0].units[0].legs.push((id, "adult".into()));
        }
    });
}
