//! The journal: what was sold and what was taken back, by double entry. Postings of one line sum to zero; nothing is
//! edited, what is taken back is a line of its own. Tax stands apart from the net amount, line by line.
//!
//! Lines are numbered from 1 and chained: each has a digest of itself and of the line before ([`chain`]), so that whoever
//! kept one digest can tell whether anything before it was changed.

use sha2::{Digest, Sha256};

use crate::codec::wire::{Writer, wire_struct, wire_tag};
use crate::command::Channel;
use crate::ids::VenueNo;
use crate::inventory::{Halt, Transaction};
use crate::keys::Key;
use crate::state::{Line, VenueRow};
use crate::time::Timestamp;

/// What a posting is made to. A positive amount is a debit. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Account {
    /// Owed by the buyer, or to them.
    Takings = 0,
    /// Net of tax.
    Sales = 1,
    /// Owed to the tax office.
    Tax = 2,
    /// In a counter's drawer.
    Cash = 3,
    /// Taken by a counter's card terminal.
    Card = 4,
    /// What a drawer had too much (a credit) or too little (a debit).
    CashDifference = 5,
}

wire_tag!(Account {
    Takings,
    Sales,
    Tax,
    Cash,
    Card,
    CashDifference
});

impl Account {
    /// Every account.
    pub const ALL: &'static [Account] = &[
        Self::Takings,
        Self::Sales,
        Self::Tax,
        Self::Cash,
        Self::Card,
        Self::CashDifference,
    ];

    /// As it stands in answers: `cash_difference`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Takings => "takings",
            Self::Sales => "sales",
            Self::Tax => "tax",
            Self::Cash => "cash",
            Self::Card => "card",
            Self::CashDifference => "cash_difference",
        }
    }
}

/// Why a line was written. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// A confirm.
    Sale = 0,
    /// A cancellation, of a booking or of some of its lines: the sale's postings with the signs turned.
    Reversal = 1,
    /// A booking got other places: what it had is reversed, what it has is sold.
    Exchange = 2,
    /// A tour did not take place for want of visitors.
    TourCancelled = 3,
    /// A drawer was counted.
    DrawerClosed = 4,
}

wire_tag!(Reason {
    Sale,
    Reversal,
    Exchange,
    TourCancelled,
    DrawerClosed
});

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Reason] = &[
        Self::Sale,
        Self::Reversal,
        Self::Exchange,
        Self::TourCancelled,
        Self::DrawerClosed,
    ];

    /// As it stands in answers: `tour_cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sale => "sale",
            Self::Reversal => "reversal",
            Self::Exchange => "exchange",
            Self::TourCancelled => "tour_cancelled",
            Self::DrawerClosed => "drawer_closed",
        }
    }
}

/// One amount on one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Position in the line's items; 0 where it has none.
    pub item: u16,
    /// Which account.
    pub account: Account,
    /// Minor units of the venue's currency.
    pub amount: i64,
}

wire_struct!(Posting { item, account, amount });

/// One line of the journal, as it is shown and as it is digested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    /// Counts from 1 within the venue.
    pub number: u64,
    /// Log time.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// The booking's sequence number; 0 where it is about none.
    pub booking: u64,
    /// Who sold.
    pub channel: Channel,
    /// Places that change hands: positive for a sale.
    pub places: i64,
    /// What was sold or taken back.
    pub items: Vec<LedgerItem>,
    /// Sum to zero.
    pub postings: Vec<Posting>,
    /// See [`chain`].
    pub hash: [u8; 32],
}

wire_struct!(LedgerLine {
    number,
    at,
    reason,
    booking,
    channel,
    places,
    items,
    postings,
    hash
});

/// Units that were sold, or (negative) taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerItem {
    /// Product id.
    pub product: String,
    /// Unit id.
    pub unit: String,
    /// How many.
    pub quantity: i64,
    /// Minor units, tax included.
    pub total: i64,
    /// Tax contained in `total`.
    pub tax: i64,
}

wire_struct!(LedgerItem {
    product,
    unit,
    quantity,
    total,
    tax
});

/// Stands before what is digested.
const CONTEXT: &[u8] = b"rotunda ledger 1\0";

/// The digest of a line: SHA-256 over a context, the digest of the line before (zeros for the first) and the line in this
/// crate's layout with zeros for its digest.
#[must_use]
pub fn chain(before: &[u8; 32], line: &LedgerLine) -> [u8; 32] {
    let mut writer = Writer::onto(Vec::with_capacity(256));
    writer.raw(CONTEXT);
    writer.raw(before);
    writer.put(&LedgerLine {
        hash: [0; 32],
        ..line.clone()
    });
    Sha256::digest(writer.finish()).into()
}

/// One row of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JournalEntry {
    pub(crate) reason: Reason,
    /// The booking's sequence number.
    pub(crate) booking: u64,
    pub(crate) at: Timestamp,
    pub(crate) channel: Channel,
    /// Places that change hands with it: positive for a sale.
    pub(crate) places: i64,
    pub(crate) items: Vec<Item>,
    pub(crate) postings: Vec<Posting>,
    pub(crate) hash: [u8; 32],
}

wire_struct!(JournalEntry {
    reason,
    booking,
    at,
    channel,
    places,
    items,
    postings,
    hash
});

/// A [`LedgerItem`] with names as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) product: u16,
    pub(crate) unit: u16,
    pub(crate) quantity: i64,
    pub(crate) total: i64,
    pub(crate) tax: i64,
}

wire_struct!(Item {
    product,
    unit,
    quantity,
    total,
    tax
});

impl JournalEntry {
    /// As it is shown under its number.
    pub(crate) fn line(&self, venue: &VenueRow, number: u64) -> LedgerLine {
        LedgerLine {
            number,
            at: self.at,
            reason: self.reason,
            booking: self.booking,
            channel: self.channel,
            places: self.places,
            items: self
                .items
                .iter()
                .map(|item| LedgerItem {
                    product: venue.name(item.product).to_owned(),
                    unit: venue.name(item.unit).to_owned(),
                    quantity: item.quantity,
                    total: item.total,
                    tax: item.tax,
                })
                .collect(),
            postings: self.postings.clone(),
            hash: self.hash,
        }
    }
}

/// What is written of a booking.
pub(crate) struct Posted<'a> {
    pub(crate) reason: Reason,
    /// The booking's sequence number.
    pub(crate) booking: u64,
    pub(crate) channel: Channel,
    /// Where the money is.
    pub(crate) money: Account,
    /// Lines that are taken back.
    pub(crate) back: &'a [&'a Line],
    /// Lines that are sold.
    pub(crate) sold: &'a [&'a Line],
}

/// Writes what was sold and taken back of a booking to the journal.
pub(crate) fn post(transaction: &mut Transaction<'_>, venue: VenueNo, posted: &Posted<'_>) -> Result<(), Halt> {
    let signed = |sign: i64, lines: &[&Line]| -> Vec<(i64, Line)> { lines.iter().map(|line| (sign, **line)).collect() };
    let lines = [signed(-1, posted.back), signed(1, posted.sold)].concat();
    let mut items = Vec::with_capacity(lines.len());
    let mut postings = Vec::with_capacity(3 * lines.len());
    let mut places = 0;
    for (number, (sign, line)) in (0u16..).zip(&lines) {
        places += sign * i64::from(line.places());
        items.push(Item {
            product: line.product,
            unit: line.unit,
            quantity: sign * i64::from(line.quantity),
            total: sign * line.total,
            tax: sign * line.tax,
        });
        let amounts = [
            (posted.money, line.total),
            (Account::Sales, -(line.total - line.tax)),
            (Account::Tax, -line.tax),
        ];
        let amounts = amounts.into_iter().filter(|(_, amount)| *amount != 0);
        postings.extend(amounts.map(|(account, amount)| Posting {
            item: number,
            account,
            amount: sign * amount,
        }));
    }
    let entry = JournalEntry {
        reason: posted.reason,
        booking: posted.booking,
        at: transaction.now,
        channel: posted.channel,
        places,
        items,
        postings,
        hash: [0; 32],
    };
    append(transaction, venue, entry)
}

/// Writes what a count of a drawer came to: `difference` more (or less) than there should be.
pub(crate) fn post_difference(transaction: &mut Transaction<'_>, venue: VenueNo, difference: i64) -> Result<(), Halt> {
    let amounts = [(Account::Cash, difference), (Account::CashDifference, -difference)];
    let amounts = amounts.into_iter().filter(|(_, amount)| *amount != 0);
    let entry = JournalEntry {
        reason: Reason::DrawerClosed,
        booking: 0,
        at: transaction.now,
        channel: Channel::Counter,
        places: 0,
        items: Vec::new(),
        postings: amounts
            .map(|(account, amount)| Posting {
                item: 0,
                account,
                amount,
            })
            .collect(),
        hash: [0; 32],
    };
    append(transaction, venue, entry)
}

fn append(transaction: &mut Transaction<'_>, venue: VenueNo, mut entry: JournalEntry) -> Result<(), Halt> {
    let sum: i128 = entry.postings.iter().map(|posting| i128::from(posting.amount)).sum();
    assert!(sum == 0, "a journal entry sums to zero");
    let catalogue = transaction.known_catalogue(venue)?;
    let counters = transaction.counters_mut(venue);
    let number = counters.next_journal;
    counters.next_journal += 1;
    entry.hash = chain(&counters.journal_hash, &entry.line(&catalogue.row, number));
    counters.journal_hash = entry.hash;
    transaction.append(Key::ledger(venue, number), &entry);
    Ok(())
}
