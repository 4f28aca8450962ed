//! Cash drawers: opened with a float, filled by sales, closed with a count. What the count differs by stands in the ledger.

use sha2::{Digest, Sha256};

use crate::ids::{VenueNo, is_slug};
use crate::inventory::{Halt, Transaction};
use crate::ledger;
use crate::outcome::{DrawerView, Outcome, Refusal, RefusalCode};
use crate::state::{Drawer, DrawerId};

/// Cash in a drawer, in minor units: more than any holds, and sums stay far within an `i64`.
const MAX_CASH: i64 = 1_000_000_000_000_000;

pub(super) fn open(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    drawer: &str,
    float: i64,
) -> Result<Outcome, Halt> {
    let currency = transaction.known_catalogue(venue)?.row.currency.clone();
    check(drawer, float)?;
    let id = id(venue, drawer);
    let before = transaction.desk::<Drawer>(id)?;
    if before.is_some_and(|before| before.closed_at.is_none() || before.name != drawer) {
        let detail = "the drawer is open already; close it first";
        return Err(Refusal::new(RefusalCode::DrawerOpen, detail).into());
    }
    let opened = Drawer {
        name: drawer.to_owned(),
        opened_at: transaction.now,
        closed_at: None,
        float,
        sales: 0,
        bookings: 0,
        counted: None,
    };
    let view = shown(&opened, currency);
    *transaction.desk_mut::<Drawer>(id)? = Some(opened);
    Ok(Outcome::Drawer(view))
}

pub(super) fn close(
    transaction: &mut Transaction<'_>,
    venue: VenueNo,
    drawer: &str,
    counted: i64,
) -> Result<Outcome, Halt> {
    let currency = transaction.known_catalogue(venue)?.row.currency.clone();
    check(drawer, counted)?;
    let id = id(venue, drawer);
    let mut closed = find_open(transaction, id, drawer)?;
    closed.counted = Some(counted);
    closed.closed_at = Some(transaction.now);
    ledger::post_difference(transaction, venue, counted - closed.float - closed.sales)?;
    let view = shown(&closed, currency);
    *transaction.desk_mut::<Drawer>(id)? = Some(closed);
    Ok(Outcome::Drawer(view))
}

/// Puts the money of a booking into a drawer, or refuses.
pub(super) fn take(transaction: &mut Transaction<'_>, venue: VenueNo, drawer: &str, amount: i64) -> Result<(), Halt> {
    let id = id(venue, drawer);
    let mut filled = find_open(transaction, id, drawer)?;
    filled.sales = filled.sales.saturating_add(amount);
    if filled.sales > MAX_CASH {
        return Err(Refusal::new(RefusalCode::TooLarge, "no drawer holds so much; close it").into());
    }
    filled.bookings += 1;
    *transaction.desk_mut::<Drawer>(id)? = Some(filled);
    Ok(())
}

fn find_open(transaction: &mut Transaction<'_>, id: DrawerId, drawer: &str) -> Result<Drawer, Halt> {
    let found = transaction.desk::<Drawer>(id)?;
    let open = found.filter(|found| found.closed_at.is_none() && found.name == drawer);
    open.cloned().ok_or_else(|| {
        let detail = "the drawer is not open; open it with its float";
        Refusal::new(RefusalCode::DrawerClosed, detail).into()
    })
}

fn check(drawer: &str, cash: i64) -> Result<(), Refusal> {
    if !is_slug(drawer) {
        let detail = "a drawer's id has 1 to 40 of a-z, 0-9 and -";
        return Err(Refusal::new(RefusalCode::TooLarge, detail));
    }
    if !(0..=MAX_CASH).contains(&cash) {
        let detail = "the cash in a drawer is not negative, and not more than can be counted";
        return Err(Refusal::new(RefusalCode::QuantityOutOfRange, detail));
    }
    Ok(())
}

/// The row of a drawer. Of a cryptographic digest, so that nobody finds two ids that meet.
pub(crate) fn id(venue: VenueNo, drawer: &str) -> DrawerId {
    let digest = Sha256::digest(drawer.as_bytes());
    DrawerId {
        venue,
        drawer: digest
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// A drawer as it is shown.
pub(crate) fn shown(drawer: &Drawer, currency: String) -> DrawerView {
    DrawerView {
        drawer: drawer.name.clone(),
        currency,
        opened_at: drawer.opened_at,
        closed_at: drawer.closed_at,
        float: drawer.float,
        sales: drawer.sales,
        bookings: drawer.bookings,
        counted: drawer.counted,
    }
}
