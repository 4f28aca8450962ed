//! A small simulated file, in sectors. A write to one sector is there or it is not; of several that are not synced each
//! sector keeps any one of its versions, whatever the others keep: disks and page caches reorder.

use std::collections::BTreeMap;
use std::io;

use super::choices::Choices;

const SECTOR: usize = 512;

/// Versions of each sector, by its number; the first is on disk, the last is what a reader sees.
#[derive(Debug, Default)]
pub(super) struct Sectors {
    sectors: BTreeMap<u64, Vec<Vec<u8>>>,
}

impl Sectors {
    /// Whether anything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.length() == 0
    }

    fn length(&self) -> u64 {
        let last = self.sectors.iter().filter_map(|(sector, versions)| {
            let end = versions.last().map_or(0, Vec::len);
            (end > 0).then_some(sector * SECTOR as u64 + end as u64)
        });
        last.max().unwrap_or(0)
    }

    pub(super) fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        if at + bytes.len() as u64 > self.length() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (byte, at) in bytes.iter_mut().zip(at..) {
            let found = self
                .sectors
                .get(&(at / SECTOR as u64))
                .and_then(|versions| versions.last());
            let within = usize::try_from(at % SECTOR as u64).unwrap_or_default();
            *byte = found.and_then(|sector| sector.get(within)).copied().unwrap_or(0);
        }
        Ok(())
    }

    pub(super) fn write_all_at(&mut self, bytes: &[u8], at: u64) {
        let (mut bytes, mut at) = (bytes, at);
        while !bytes.is_empty() {
            let within = usize::try_from(at % SECTOR as u64).unwrap_or_default();
            let (now, rest) = bytes.split_at(bytes.len().min(SECTOR - within));
            let versions = self
                .sectors
                .entry(at / SECTOR as u64)
                .or_insert_with(|| vec![Vec::new()]);
            let mut sector = versions.last().cloned().unwrap_or_default();
            sector.resize(sector.len().max(within + now.len()), 0);
            sector[within..within + now.len()].copy_from_slice(now);
            versions.push(sector);
            at += now.len() as u64;
            bytes = rest;
        }
    }

    pub(super) fn sync(&mut self) {
        for versions in self.sectors.values_mut() {
            versions.drain(..versions.len() - 1);
        }
    }

    /// Loses what is not synced, in part. Gives how many writes are lost.
    pub(super) fn lose_pending(&mut self, choices: &mut Choices) -> u64 {
        let mut lost = 0;
        for versions in self.sectors.values_mut() {
            let keep = choices.below(versions.len());
            lost += (versions.len() - 1 - keep) as u64;
            versions.truncate(keep + 1);
        }
        self.sync();
        lost
    }

    /// Flips a bit of one sector that holds something, or of all of them.
    pub(super) fn spoil(&mut self, choices: &mut Choices) -> bool {
        let all = choices.below(2) == 0;
        let mut written: Vec<_> = self
            .sectors
            .values_mut()
            .filter_map(|versions| versions.last_mut())
            .filter(|sector| !sector.is_empty())
            .collect();
        if written.is_empty() {
            return false;
        }
        let one = choices.below(written.len());
        for (number, sector) in written.iter_mut().enumerate() {
            if all || number == one {
                let bit = choices.below(sector.len() * 8);
                sector[bit / 8] ^= 1 << (bit % 8);
            }
        }
        true
    }
}
