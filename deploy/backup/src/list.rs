//! What there is.

use crate::error::BackupError;
use crate::manifest::{MANIFEST, Manifest};
use crate::place::Place;

/// A folder of a place.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// What it is: `None` where it was broken off.
    pub manifest: Option<Result<Manifest, BackupError>>,
}

/// All backups of a place, by name, which is by cluster and time.
///
/// # Errors
/// Where the place cannot be read.
pub async fn list(place: &Place) -> Result<Vec<Listed>, BackupError> {
    let mut listed = Vec::new();
    let mut folders = place.folders().await?;
    folders.sort();
    for id in folders {
        let found = place.get(&format!("{id}/{MANIFEST}")).await?;
        let manifest = found.map(|bytes| Manifest::decode(&id, &bytes));
        listed.push(Listed { id, manifest });
    }
    Ok(listed)
}

/// The complete backup that was finished last.
///
/// # Errors
/// Where there is none, or the place cannot be read.
pub async fn newest(place: &Place) -> Result<Manifest, BackupError> {
    let all = list(place).await?.into_iter();
    let complete = all.filter_map(|listed| listed.manifest?.ok());
    let newest = complete.max_by_key(|manifest| manifest.finished);
    newest.ok_or_else(|| BackupError::Nothing {
        place: place.name().to_owned(),
    })
}

/// The manifest of one backup.
pub(crate) async fn manifest_of(place: &Place, id: &str) -> Result<Manifest, BackupError> {
    let is_name = !id.is_empty() && !id.contains(['/', '\\']) && id != "." && id != "..";
    let found = match is_name {
        true => place.get(&format!("{id}/{MANIFEST}")).await?,
        false => None,
    };
    let bytes = found.ok_or_else(|| BackupError::NoManifest {
        place: place.name().to_owned(),
        id: id.to_owned(),
    })?;
    Manifest::decode(id, &bytes)
}
