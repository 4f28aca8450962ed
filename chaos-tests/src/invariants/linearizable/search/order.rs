//! The search itself: depth first, with a memory of what was looked at.

use rotunda_booking::outcome::BookingStatus;
use rustc_hash::FxHashSet;

use super::history::{Operated, Slot, What};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// An order explains it.
    Found,
    /// None does. These lines were the ones that could not come next where it came furthest.
    None {
        /// Lines of the history.
        stuck: Vec<u64>,
    },
    /// Too many steps.
    GaveUp,
}

/// One search.
pub(super) struct Order<'a> {
    slot: &'a Slot,
    done: Vec<bool>,
    /// All before it are done.
    first_open: usize,
    required_left: usize,
    /// State of each booking; none before its hold.
    bookings: Vec<Option<BookingStatus>>,
    /// Persons of each booking in this slot: those of its hold, until it is changed.
    persons: Vec<u32>,
    used: u64,
    /// Digests of the set of operations done, and of the state.
    set: u128,
    state: u128,
}

/// Where the search has a choice: what it may take next, and how many of these it has tried.
struct Choice {
    candidates: Vec<usize>,
    tried: usize,
}

/// What taking an operation changed, to go back.
struct Taken {
    operation: usize,
    before: Option<BookingStatus>,
    persons: u32,
    first_open: usize,
}

impl<'a> Order<'a> {
    pub(super) fn new(slot: &'a Slot) -> Self {
        let mut persons = vec![0; slot.bookings];
        for operated in &slot.operations {
            if let What::Hold {
                booking,
                persons: number,
            } = operated.what
            {
                persons[booking] = number;
            }
        }
        Order {
            slot,
            done: vec![false; slot.operations.len()],
            first_open: 0,
            required_left: slot.operations.iter().filter(|operated| operated.required).count(),
            bookings: vec![None; slot.bookings],
            persons,
            used: 0,
            set: 0,
            state: 0,
        }
    }

    /// Looks for an order, in so many steps at most; says how many it took.
    pub(super) fn find(mut self, most: u64) -> (Answer, u64) {
        let mut known: FxHashSet<(u128, u128)> = FxHashSet::default();
        let mut taken: Vec<Taken> = Vec::new();
        let mut steps = 0;
        let mut furthest = (usize::MAX, Vec::new());
        let mut choices = vec![self.choice()];
        loop {
            if self.required_left == 0 {
                return (Answer::Found, steps);
            }
            if steps >= most {
                return (Answer::GaveUp, steps);
            }
            let Some(choice) = choices.last_mut() else {
                return (Answer::None { stuck: furthest.1 }, steps);
            };
            let Some(operation) = choice.candidates.get(choice.tried).copied() else {
                if self.required_left < furthest.0 {
                    furthest = (self.required_left, self.stuck());
                }
                choices.pop();
                if let Some(last) = taken.pop() {
                    self.give_back(&last);
                }
                continue;
            };
            choice.tried += 1;
            steps += 1;
            let change = self.take(operation);
            if known.insert((self.set, self.state)) {
                taken.push(change);
                choices.push(self.choice());
            } else {
                self.give_back(&change);
            }
        }
    }

    /// What may come next: what was asked for before anything open was answered, and is as the rules have it now. What
    /// nobody saw only where something else waits for it.
    fn choice(&self) -> Choice {
        let open = self.open();
        let (mut required, mut unseen) = (Vec::new(), Vec::new());
        let mut waits = false;
        for operation in open {
            let operated = &self.slot.operations[operation];
            let possible = self.is_possible(operated);
            match (operated.required, possible) {
                (true, true) => required.push(operation),
                (true, false) => waits = true,
                (false, true) => unseen.push(operation),
                (false, false) => {}
            }
        }
        required.sort_by_key(|operation| self.slot.operations[*operation].returned);
        if waits {
            required.append(&mut unseen);
        }
        Choice {
            candidates: required,
            tried: 0,
        }
    }

    /// Operations that real time allows to come next.
    fn open(&self) -> Vec<usize> {
        let mut until = u64::MAX;
        let mut open = Vec::new();
        for (operation, operated) in self.slot.operations.iter().enumerate().skip(self.first_open) {
            if operated.invoked > until {
                break;
            }
            if !self.done[operation] {
                open.push(operation);
                until = until.min(operated.returned);
            }
        }
        open
    }

    fn is_possible(&self, operated: &Operated) -> bool {
        let capacity = u64::from(self.slot.capacity);
        match operated.what {
            What::Hold { booking, persons } => {
                self.bookings[booking].is_none() && self.used + u64::from(persons) <= capacity
            }
            What::SoldOut { persons } => self.used + u64::from(persons) > capacity,
            What::Change { booking, from, .. } => self.bookings[booking] == Some(from),
            What::Resize { booking, persons } => {
                self.bookings[booking] == Some(BookingStatus::Confirmed)
                    && self.used - u64::from(self.persons[booking]) + u64::from(persons) <= capacity
            }
            What::Seen { booking, status } => self.bookings[booking] == Some(status),
        }
    }

    fn take(&mut self, operation: usize) -> Taken {
        let operated = self.slot.operations[operation];
        let mut taken = Taken {
            operation,
            before: None,
            persons: 0,
            first_open: self.first_open,
        };
        self.done[operation] = true;
        self.set ^= token(operation as u64, 0);
        self.required_left -= usize::from(operated.required);
        while self.done.get(self.first_open) == Some(&true) {
            self.first_open += 1;
        }
        match operated.what {
            What::Hold { booking, .. } => self.set_status(booking, Some(BookingStatus::Held)),
            What::Change { booking, to, .. } => {
                taken.before = self.bookings[booking];
                self.set_status(booking, Some(to));
            }
            What::Resize { booking, persons } => taken.persons = self.resize(booking, persons),
            What::SoldOut { .. } | What::Seen { .. } => {}
        }
        taken
    }

    fn give_back(&mut self, taken: &Taken) {
        let operated = self.slot.operations[taken.operation];
        self.done[taken.operation] = false;
        self.set ^= token(taken.operation as u64, 0);
        self.required_left += usize::from(operated.required);
        self.first_open = taken.first_open;
        match operated.what {
            What::Hold { booking, .. } | What::Change { booking, .. } => self.set_status(booking, taken.before),
            What::Resize { booking, .. } => {
                self.resize(booking, taken.persons);
            }
            What::SoldOut { .. } | What::Seen { .. } => {}
        }
    }

    /// Gives a confirmed booking so many persons in this slot; how many it had.
    fn resize(&mut self, booking: usize, persons: u32) -> u32 {
        let before = std::mem::replace(&mut self.persons[booking], persons);
        self.used = self.used - u64::from(before) + u64::from(persons);
        for persons in [before, persons] {
            self.state ^= token((booking as u64) << 32 | u64::from(persons), 15);
        }
        before
    }

    fn set_status(&mut self, booking: usize, status: Option<BookingStatus>) {
        let takes =
            |status: Option<BookingStatus>| matches!(status, Some(BookingStatus::Held | BookingStatus::Confirmed));
        let before = std::mem::replace(&mut self.bookings[booking], status);
        let persons = u64::from(self.persons[booking]);
        match (takes(before), takes(status)) {
            (false, true) => self.used += persons,
            (true, false) => self.used -= persons,
            _ => {}
        }
        for status in [before, status].into_iter().flatten() {
            self.state ^= token(booking as u64, 1 + status as u64);
        }
    }

    /// Lines of what is open and cannot come next.
    fn stuck(&self) -> Vec<u64> {
        let waiting = self
            .open()
            .into_iter()
            .map(|operation| &self.slot.operations[operation]);
        let waiting = waiting.filter(|operated| operated.required && !self.is_possible(operated));
        waiting.map(|operated| operated.line).collect()
    }
}

/// A number for an operation or a booking's state that looks drawn: sets are told apart by the sum of their numbers.
fn token(number: u64, kind: u64) -> u128 {
    let mix = |mut x: u64| {
        x ^= x >> 30;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^= x >> 27;
        x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let seed = number.wrapping_mul(16).wrapping_add(kind).wrapping_add(1);
    let high = mix(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let low = mix(high ^ seed.rotate_left(32));
    u128::from(high) << 64 | u128::from(low)
}
