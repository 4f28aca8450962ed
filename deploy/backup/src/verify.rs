//! Reads a backup through: every chunk against its checksum, every row into the state hash of its group. Needs no cluster.

use crate::error::BackupError;
use crate::list::manifest_of;
use crate::manifest::Manifest;
use crate::place::Place;
use crate::progress::Progress;
use crate::read;

/// A backup and all that is wrong with it.
#[derive(Debug)]
pub struct Verified {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The first damage of each group that has any.
    pub damage: Vec<BackupError>,
}

/// Verifies one backup. What is damaged does not end it: every group is looked at.
///
/// # Errors
/// Where there is no such backup, its manifest is damaged, or the place cannot be read.
pub async fn verify(place: &Place, id: &str, told: &(dyn Fn(Progress) + Send + Sync)) -> Result<Verified, BackupError> {
    let manifest = manifest_of(place, id).await?;
    let (mut damage, mut before) = (Vec::new(), 0);
    for (groups_done, record) in manifest.groups.iter().enumerate() {
        let bytes = std::sync::atomic::AtomicU64::new(before);
        let groups = manifest.groups.len();
        let seen = |more| {
            let bytes = bytes.fetch_add(more, std::sync::atomic::Ordering::Relaxed) + more;
            told(Progress {
                groups_done,
                groups,
                bytes,
            });
        };
        match read::group(place, id, record, &mut |_, _| {}, &seen).await {
            Ok(()) => {}
            Err(error @ (BackupError::Chunk { .. } | BackupError::StateHash { .. })) => damage.push(error),
            Err(error) => return Err(error),
        }
        before += record.bytes;
    }
    Ok(Verified { manifest, damage })
}
