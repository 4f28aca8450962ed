//! The history of a run, written while it happens: faults by the nemesis, requests by whoever made them. A run that dies
//! leaves all but its last second.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::history::lines::{Header, Heal, Healing, Line};
use crate::history::reader::Saved;
use crate::history::visitors::Venues;
use crate::history::writer::Writer;
use crate::history::{History, Recorder};

/// See the module.
#[derive(Clone, Debug)]
pub struct Notes {
    epoch: Instant,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    writer: Option<Writer>,
    failed: Option<String>,
    counts: Counts,
}

/// What was noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Times that they were sent.
    pub attempts: u64,
    /// Requests whose fate nobody learnt.
    pub unknown: u64,
}

impl Notes {
    /// Begins a history in a new file; its clock begins now.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn begin(path: &Path, header: Header) -> io::Result<Self> {
        let writer = Writer::create(path, header)?;
        Ok(Notes {
            epoch: Instant::now(),
            inner: Arc::new(Mutex::new(Inner {
                writer: Some(writer),
                failed: None,
                counts: Counts::default(),
            })),
        })
    }

    /// The run's clock.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Adds a line. Where that fails, [`Notes::end`] says so.
    pub fn write(&self, line: &Line) {
        let mut inner = self.inner.lock();
        if let Some(writer) = inner.writer.as_mut()
            && let Err(error) = writer.write(line)
        {
            inner.failed.get_or_insert(error.to_string());
        }
    }

    /// Notes that the heal phase has got so far.
    pub fn heal(&self, phase: Healing) {
        let at_ns = self.now_ns();
        self.write(&Line::Heal(Heal { line: 0, phase, at_ns }));
    }

    /// Writes what the visitors remember since the last time, and hands it to the system.
    pub fn save(&self, recorder: &Recorder, venues: &Venues) {
        let remembered: History = recorder.take();
        for op in remembered.operations(venues, self.epoch) {
            {
                let counts = &mut self.inner.lock().counts;
                counts.requests += 1;
                counts.attempts += u64::from(op.attempts);
                counts.unknown += u64::from(op.outcome == crate::history::lines::Ended::Unknown);
            }
            self.write(&Line::Op(op));
        }
        let mut inner = self.inner.lock();
        if let Some(Err(error)) = inner.writer.as_mut().map(Writer::flush) {
            inner.failed.get_or_insert(error.to_string());
        }
    }

    /// Adds what the replicas hold.
    pub fn add(&self, replicas: &Saved) {
        for line in replicas.to_lines() {
            self.write(&line);
        }
    }

    /// What was noted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner.lock().counts
    }

    /// Ends the history.
    ///
    /// # Errors
    /// Where something of it could not be written.
    pub fn end(&self) -> Result<(), String> {
        let at_ns = self.now_ns();
        let mut inner = self.inner.lock();
        if let Some(writer) = inner.writer.take()
            && let Err(error) = writer.end(at_ns)
        {
            inner.failed.get_or_insert(error.to_string());
        }
        inner.failed.clone().map_or(Ok(()), Err)
    }
}
