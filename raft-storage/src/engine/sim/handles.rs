//! What a store holds of a simulated disk: two databases with their views and walks, and the mark's file. Each knows whose
//! life it belongs to: after a crash it gives errors, whatever a later store does on the same disk.

use std::collections::btree_map;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use self_cell::self_cell;

use super::table::{Map, Operations, Stored, range};
use super::{Access, Kind, Life, Platter};
use crate::engine::EngineError;

fn corruption(key: &[u8]) -> EngineError {
    EngineError::corrupt(format!(
        "Corruption: block checksum mismatch (simulated) at {:?}",
        Bytes::copy_from_slice(key)
    ))
}

fn whole(platter: &mut Platter, key: &[u8], found: Option<Stored>) -> Result<Option<Bytes>, EngineError> {
    match found {
        None => Ok(None),
        Some(Stored::Whole(value)) => Ok(Some(value)),
        Some(Stored::Unreadable) => {
            platter.exercised.corruptions_reported += 1;
            Err(corruption(key))
        }
    }
}

/// One of the two databases, in one store's hands.
#[derive(Clone)]
pub(crate) struct Database {
    pub(super) life: Arc<Life>,
    pub(super) kind: Kind,
}

impl Database {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let mut platter = self.life.platter()?;
        platter.strike(Access::Read)?;
        let found = platter.table(self.kind).rows().get(key).cloned();
        whole(&mut platter, key, found)
    }

    pub(crate) fn rows(&self, from: &[u8], to: Option<&[u8]>) -> Walk {
        let rows = self.now();
        Walk::new(&self.life, rows, from, to)
    }

    pub(crate) fn view(&self) -> View {
        View {
            life: Arc::clone(&self.life),
            rows: self.now(),
        }
    }

    fn now(&self) -> Arc<Map> {
        // Who has lost the disk sees nothing here, and an error with the first read.
        let platter = self.life.platter();
        platter.map_or_else(
            |_| Arc::default(),
            |mut platter| Arc::clone(platter.table(self.kind).rows()),
        )
    }

    pub(crate) fn write(&self, batch: Operations) -> Result<(), EngineError> {
        let mut platter = self.life.platter()?;
        platter.strike(Access::Write)?;
        let Platter { faults, exercised, .. } = &mut *platter;
        faults.take_space(batch.size_in_bytes(), exercised)?;
        exercised.writes += 1;
        platter.table(self.kind).write(batch);
        Ok(())
    }

    /// Before [`Self::sync`]: waits for as long as the disk is told to take.
    pub(crate) async fn sync_takes_its_time(&self) {
        self.life.sync_takes_its_time().await;
    }

    pub(crate) fn sync(&self) -> Result<(), EngineError> {
        let mut platter = self.life.platter()?;
        let Platter { faults, exercised, .. } = &mut *platter;
        faults.take_space(0, exercised)?;
        if platter.begin_sync()? {
            platter.table(self.kind).sync();
        }
        Ok(())
    }

    pub(crate) fn latest_sequence_number(&self) -> u64 {
        let platter = self.life.platter();
        platter.map_or(0, |mut platter| platter.table(self.kind).sequence())
    }
}

/// Rows at one moment.
pub(crate) struct View {
    life: Arc<Life>,
    rows: Arc<Map>,
}

impl View {
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let mut platter = self.life.platter()?;
        platter.strike(Access::Read)?;
        whole(&mut platter, key, self.rows.get(key).cloned())
    }

    pub(crate) fn rows(&self, from: &[u8], to: &[u8]) -> Walk {
        Walk::new(&self.life, Arc::clone(&self.rows), from, Some(to))
    }
}

struct Cursor<'a> {
    rest: btree_map::Range<'a, Bytes, Stored>,
    at: Option<(&'a Bytes, &'a Stored)>,
}

impl<'a> Cursor<'a> {
    fn new(rows: &'a Map, from: &[u8], to: Option<&[u8]>) -> Self {
        let mut rest = range(rows, from, to);
        let at = rest.next();
        Self { rest, at }
    }
}

self_cell!(
    /// Rows together with the place in them.
    struct Standing {
        owner: Arc<Map>,
        #[covariant]
        dependent: Cursor,
    }
);

/// A walk over rows in order of key.
pub(crate) struct Walk {
    life: Arc<Life>,
    to: Option<Bytes>,
    standing: Standing,
    failed: Option<io::Error>,
}

impl Walk {
    fn new(life: &Arc<Life>, rows: Arc<Map>, from: &[u8], to: Option<&[u8]>) -> Self {
        let failed = life
            .platter()
            .and_then(|mut platter| platter.strike(Access::Read))
            .err();
        Self {
            life: Arc::clone(life),
            to: to.map(Bytes::copy_from_slice),
            standing: Standing::new(rows, |rows| Cursor::new(rows, from, to)),
            failed,
        }
    }

    fn at(&self) -> Option<(&Bytes, &Stored)> {
        if self.failed.is_some() {
            return None;
        }
        self.standing.borrow_dependent().at
    }

    pub(crate) fn item(&self) -> Option<(&[u8], &[u8])> {
        match self.at()? {
            (key, Stored::Whole(value)) => Some((key, value)),
            (_, Stored::Unreadable) => None,
        }
    }

    pub(crate) fn advance(&mut self) {
        self.standing
            .with_dependent_mut(|_, cursor| cursor.at = cursor.rest.next());
    }

    pub(crate) fn seek(&mut self, key: &[u8]) {
        let to = self.to.as_deref();
        self.standing
            .with_dependent_mut(|rows, cursor| *cursor = Cursor::new(rows, key, to));
    }

    pub(crate) fn status(&self) -> Result<(), EngineError> {
        if let Some(failed) = &self.failed {
            return Err(EngineError::failed(failed.to_string()));
        }
        match self.at() {
            Some((key, Stored::Unreadable)) => {
                if let Ok(mut platter) = self.life.platter() {
                    platter.exercised.corruptions_reported += 1;
                }
                Err(corruption(key))
            }
            _ => Ok(()),
        }
    }
}

/// The mark's file, in one store's hands.
pub(crate) struct File {
    pub(super) life: Arc<Life>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("File(simulated)")
    }
}

impl File {
    pub(crate) fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let mut platter = self.life.platter()?;
        platter.strike(Access::Read)?;
        platter.mark.read_exact_at(bytes, at)
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut platter = self.life.platter()?;
        platter.strike(Access::Write)?;
        platter.mark.write_all_at(bytes, at);
        Ok(())
    }

    /// Before [`Self::sync_data`]: as [`Database::sync_takes_its_time`].
    pub(crate) async fn sync_takes_its_time(&self) {
        self.life.sync_takes_its_time().await;
    }

    pub(crate) fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.life.platter()?;
        if platter.begin_sync()? {
            platter.mark.sync();
        }
        Ok(())
    }
}
