//! Reads a saved history and says of each line that it cannot read which one it is and why.
//!
//! A line of a kind that is not known is left out and counted: a later version may write more. A line of a known kind
//! that does not read is a [`Problem`], and a history with one is not audited: a missing line can hide what is wrong, or
//! look like it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};
use std::ops::ControlFlow;

use serde::Deserialize;

use super::blocks::each_line;
use super::lines::{
    End, Fault, FinalBooking, FinalSlot, Header, Heal, Line, LogDigest, LogLine, Op, StateHash, VERSION,
};

/// So many problems are kept; the first ones tell the most.
const KEPT: usize = 20;

/// A whole history, line kind by line kind, each in order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// What the run was.
    pub header: Header,
    /// Requests.
    pub operations: Vec<Op>,
    /// Entries of all shards' logs.
    pub entries: Vec<LogLine>,
    /// Replicas' logs, by digest.
    pub logs: Vec<LogDigest>,
    /// Replicas' states.
    pub hashes: Vec<StateHash>,
    /// Bookings at the end.
    pub final_bookings: Vec<FinalBooking>,
    /// Slots at the end.
    pub final_slots: Vec<FinalSlot>,
    /// What was broken.
    pub faults: Vec<Fault>,
    /// How it healed.
    pub heals: Vec<Heal>,
    /// The last line; none where the run was cut off.
    pub end: Option<End>,
    /// Number of lines.
    pub lines: u64,
    /// Lines of kinds that are not known here.
    pub left_out: BTreeMap<String, u64>,
}

/// A line that does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counts from 1; 0 where it is about the file.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.reason),
            line => write!(f, "line {line}: {}", self.reason),
        }
    }
}

/// Why a history cannot be audited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// The first of them.
    pub problems: Vec<Problem>,
    /// How many there are.
    pub count: u64,
}

impl Unreadable {
    pub(crate) fn of(line: u64, reason: impl Into<String>) -> Self {
        let mut unreadable = Unreadable::default();
        unreadable.add(line, reason);
        unreadable
    }

    fn add(&mut self, line: u64, reason: impl Into<String>) {
        self.count += 1;
        if self.problems.len() < KEPT {
            self.problems.push(Problem {
                line,
                reason: reason.into(),
            });
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines do not read", self.count)?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unreadable {}

/// Why there is no line to take.
enum NoLine {
    Empty,
    /// Its kind is not known.
    Other(String),
    /// It does not read.
    Bad(String),
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

impl Saved {
    /// Reads a history to its end.
    ///
    /// # Errors
    /// [`Unreadable`] names the lines. A history without its last line was cut off and is unreadable too; see
    /// [`Saved::read_unfinished`].
    pub fn read(input: impl BufRead) -> Result<Self, Unreadable> {
        Self::read_as(input, false)
    }

    /// Reads a history whose run did not come to its end: the last line may be missing or torn.
    ///
    /// # Errors
    /// [`Unreadable`] names the other lines that do not read.
    pub fn read_unfinished(input: impl BufRead) -> Result<Self, Unreadable> {
        Self::read_as(input, true)
    }

    fn read_as(input: impl BufRead, unfinished: bool) -> Result<Self, Unreadable> {
        let mut saved = Saved::default();
        let mut unreadable = Unreadable::default();
        let parse_line = |bytes: &[u8]| (parse(bytes.trim_ascii()), bytes.ends_with(b"\n"));
        let read = each_line(input, parse_line, |(parsed, whole)| {
            let number = saved.lines + 1;
            match saved.take(number, parsed) {
                Ok(()) => {}
                Err(_) if unfinished && !whole => return ControlFlow::Break(()),
                Err(reason) if !whole => unreadable.add(number, format!("the file ends within the line: {reason}")),
                Err(reason) => unreadable.add(number, reason),
            }
            saved.lines = number;
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            unreadable.add(saved.lines + 1, error.to_string());
        } else if saved.lines == 0 {
            unreadable.add(0, "the file is empty");
        } else if saved.end.is_none() && !unfinished && unreadable.count == 0 {
            unreadable.add(
                0,
                "there is no end line: the run was cut off; `--unfinished` audits what is there",
            );
        }
        if unreadable.count == 0 {
            Ok(saved)
        } else {
            Err(unreadable)
        }
    }

    fn take(&mut self, number: u64, parsed: Result<Line, NoLine>) -> Result<(), String> {
        let line = match parsed {
            Ok(line) => Some(line),
            Err(NoLine::Empty) => return Ok(()),
            Err(NoLine::Bad(reason)) => return Err(reason),
            Err(NoLine::Other(kind)) => {
                *self.left_out.entry(kind).or_default() += 1;
                None
            }
        };
        if number == 1 && !matches!(line, Some(Line::Header(_))) {
            return Err("the first line is no header".to_owned());
        }
        if self.end.is_some() {
            return Err("it stands after the end line".to_owned());
        }
        match line {
            None => {}
            Some(Line::Header(_)) if number != 1 => return Err("a second header".to_owned()),
            Some(Line::Header(header)) if header.version != VERSION => {
                let found = header.version;
                return Err(format!(
                    "version {found} of the format, and this binary knows {VERSION}"
                ));
            }
            Some(Line::Header(header)) => self.header = header,
            Some(Line::Op(op)) => {
                if op.returned_ns < op.invoked_ns {
                    return Err("it returned before it was invoked".to_owned());
                }
                if op.index.is_some() != op.shard.is_some() {
                    return Err("index and shard come together".to_owned());
                }
                self.operations.push(Op { line: number, ..op });
            }
            Some(Line::Entry(line)) => self.entries.push(LogLine { line: number, ..line }),
            Some(Line::Log(line)) => self.logs.push(LogDigest { line: number, ..line }),
            Some(Line::Hash(line)) => self.hashes.push(StateHash { line: number, ..line }),
            Some(Line::FinalBooking(line)) => self.final_bookings.push(FinalBooking { line: number, ..line }),
            Some(Line::FinalSlot(line)) => self.final_slots.push(FinalSlot { line: number, ..line }),
            Some(Line::Fault(line)) => self.faults.push(Fault { line: number, ..line }),
            Some(Line::Heal(line)) => self.heals.push(Heal { line: number, ..line }),
            Some(Line::End(end)) if end.lines != number - 1 => {
                return Err(format!(
                    "{} lines were written before it, {} are there",
                    end.lines,
                    number - 1
                ));
            }
            Some(Line::End(end)) => self.end = Some(end),
        }
        Ok(())
    }

    /// All lines again, in an order that reads back to the same history.
    pub fn to_lines(&self) -> impl Iterator<Item = Line> {
        let faults = self.faults.iter().cloned().map(Line::Fault);
        let heals = self.heals.iter().copied().map(Line::Heal);
        let operations = self.operations.iter().cloned().map(Line::Op);
        let entries = self.entries.iter().cloned().map(Line::Entry);
        let logs = self.logs.iter().copied().map(Line::Log);
        let hashes = self.hashes.iter().copied().map(Line::Hash);
        let bookings = self.final_bookings.iter().cloned().map(Line::FinalBooking);
        let slots = self.final_slots.iter().cloned().map(Line::FinalSlot);
        let states = logs.chain(hashes).chain(bookings).chain(slots);
        faults.chain(heals).chain(operations).chain(entries).chain(states)
    }

    /// Gives every line the number that it will have in the file: for a history that was made and not read.
    pub fn renumber(&mut self) {
        let mut last = 1;
        let mut next = || {
            last += 1;
            last
        };
        self.faults.iter_mut().for_each(|line| line.line = next());
        self.heals.iter_mut().for_each(|line| line.line = next());
        self.operations.iter_mut().for_each(|line| line.line = next());
        self.entries.iter_mut().for_each(|line| line.line = next());
        self.logs.iter_mut().for_each(|line| line.line = next());
        self.hashes.iter_mut().for_each(|line| line.line = next());
        self.final_bookings.iter_mut().for_each(|line| line.line = next());
        self.final_slots.iter_mut().for_each(|line| line.line = next());
        self.lines = last;
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write<W: io::Write>(&self, out: W) -> io::Result<W> {
        let mut writer = super::writer::Writer::new(out, self.header.clone())?;
        for line in self.to_lines() {
            writer.write(&line)?;
        }
        writer.end(self.ended_ns())
    }

    /// When the run ended: the latest time of any line.
    #[must_use]
    pub fn ended_ns(&self) -> u64 {
        let operations = self.operations.iter().map(|op| op.returned_ns);
        let faults = self.faults.iter().map(|fault| fault.at_ns);
        let heals = self.heals.iter().map(|heal| heal.at_ns);
        let end = self.end.iter().map(|end| end.at_ns);
        operations.chain(faults).chain(heals).chain(end).max().unwrap_or(0)
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// One line, without its end.
fn parse(bytes: &[u8]) -> Result<Line, NoLine> {
    if bytes.is_empty() {
        return Err(NoLine::Empty);
    }
    // Our writer puts the kind first: the line is then read once and not twice.
    let first = bytes.strip_prefix(br#"{"kind":""#);
    let first = first.and_then(|rest| rest.split(|byte| *byte == b'"').next());
    if let Some(line) = first.and_then(|kind| parse_as(kind, bytes)) {
        return line.map_err(NoLine::Bad);
    }
    let Kind { kind } = read(bytes).map_err(NoLine::Bad)?;
    match parse_as(kind.as_bytes(), bytes) {
        Some(line) => line.map_err(NoLine::Bad),
        None => Err(NoLine::Other(kind.into_owned())),
    }
}

/// A line of a kind that is known.
fn parse_as(kind: &[u8], bytes: &[u8]) -> Option<Result<Line, String>> {
    Some(match kind {
        b"header" => read(bytes).map(Line::Header),
        b"op" => read(bytes).map(Line::Op),
        b"entry" => read(bytes).map(Line::Entry),
        b"log" => read(bytes).map(Line::Log),
        b"hash" => read(bytes).map(Line::Hash),
        b"final_booking" => read(bytes).map(Line::FinalBooking),
        b"final_slot" => read(bytes).map(Line::FinalSlot),
        b"fault" => read(bytes).map(Line::Fault),
        b"heal" => read(bytes).map(Line::Heal),
        b"end" => read(bytes).map(Line::End),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
