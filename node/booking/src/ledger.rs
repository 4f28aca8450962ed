//! The journal: what was sold and what was taken back, by double entry. Postings of one journal entry sum to zero;
//! nothing is edited, a cancellation is a reversal. Tax stands apart from the net amount, line by line.

use crate::codec::wire::{wire_struct, wire_tag};
use crate::ids::VenueNo;
use crate::inventory::Transaction;
use crate::keys::Key;
use crate::state::Booking;
use crate::time::Timestamp;

/// What a posting is made to. A positive amount is a debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Account {
    /// Owed by, or received from, the buyer.
    Takings = 0,
    /// Net of tax.
    Sales = 1,
    /// Owed to the tax office.
    Tax = 2,
}

wire_tag!(Account { Takings, Sales, Tax });

/// Why a journal entry was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    /// A confirm.
    Sale = 0,
    /// A cancellation: the sale's postings with the signs turned.
    Reversal = 1,
}

wire_tag!(Reason { Sale, Reversal });

/// One amount on one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    /// Line of the booking.
    pub(crate) line: u16,
    pub(crate) account: Account,
    /// Minor units of the venue's currency.
    pub(crate) amount: i64,
}

wire_struct!(Posting { line, account, amount });

/// One row of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JournalEntry {
    pub(crate) reason: Reason,
    /// The booking's sequence number.
    pub(crate) booking: u64,
    pub(crate) at: Timestamp,
    /// Places that change hands with it: positive for a sale.
    pub(crate) places: i64,
    pub(crate) postings: Vec<Posting>,
}

wire_struct!(JournalEntry {
    reason,
    booking,
    at,
    places,
    postings
});

/// The postings of a booking's sale or of its reversal.
fn journal_entry(reason: Reason, seq: u64, booking: &Booking, at: Timestamp) -> JournalEntry {
    let sign = match reason {
        Reason::Sale => 1,
        Reason::Reversal => -1,
    };
    let mut postings = Vec::with_capacity(3 * booking.lines.len());
    for (number, line) in booking.lines.iter().enumerate() {
        let line_number = number as u16;
        let mut post = |account, amount: i64| {
            if amount != 0 {
                postings.push(Posting {
                    line: line_number,
                    account,
                    amount: sign * amount,
                });
            }
        };
        post(Account::Takings, line.total);
        post(Account::Sales, -(line.total - line.tax));
        post(Account::Tax, -line.tax);
    }
    JournalEntry {
        reason,
        booking: seq,
        at,
        places: sign * booking.persons() as i64,
        postings,
    }
}

/// Writes a booking's sale, or its reversal, to the journal.
pub(crate) fn post(transaction: &mut Transaction<'_>, venue: VenueNo, reason: Reason, seq: u64, booking: &Booking) {
    let entry = journal_entry(reason, seq, booking, transaction.now);
    let sum: i128 = entry.postings.iter().map(|posting| i128::from(posting.amount)).sum();
    assert!(sum == 0, "a journal entry sums to zero");
    let counters = transaction.counters_mut(venue);
    let number = counters.next_journal;
    counters.next_journal += 1;
    transaction.append(Key::ledger(venue, number), &entry);
}
