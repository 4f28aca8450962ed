//! Where backups are: a directory, or a bucket of whatever speaks S3 with a prefix in it.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, PutPayload};

use crate::error::BackupError;

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Place {
    name: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Of a directory: what is written there must survive a loss of power.
    root: Option<PathBuf>,
}

impl Place {
    /// `s3://BUCKET/PREFIX`, or a directory, which is made where it is missing and `make` is set. Of S3 the region, the
    /// credentials and the endpoint are those of the environment: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_ENDPOINT`, and `AWS_ALLOW_HTTP` for an endpoint without TLS.
    ///
    /// # Errors
    /// Where the text names no place, or the directory is none.
    pub fn open(text: &str, make: bool) -> Result<Self, BackupError> {
        let nowhere = |why: String| BackupError::NoPlace {
            place: text.to_owned(),
            why,
        };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(nowhere("it names no bucket".to_owned()));
            }
            let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|error| nowhere(error.to_string()))?;
            let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build();
            let store = store.map_err(|error| nowhere(error.to_string()))?;
            return Ok(Self::of(text, Arc::new(store), prefix));
        }
        if text.is_empty() || text.contains("://") {
            return Err(nowhere("it is neither".to_owned()));
        }
        let root = PathBuf::from(text);
        if make {
            std::fs::create_dir_all(&root).map_err(|error| nowhere(error.to_string()))?;
        }
        let store = LocalFileSystem::new_with_prefix(&root).map_err(|error| nowhere(error.to_string()))?;
        let mut place = Self::of(text, Arc::new(store), Path::default());
        place.root = Some(root);
        Ok(place)
    }

    /// Any store, for tests.
    #[must_use]
    pub fn of(name: &str, store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self {
            name: name.to_owned(),
            store,
            prefix,
            root: None,
        }
    }

    /// As it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self, name: &str) -> Path {
        // Names are ours, or were read off the store: parts of a path are never empty.
        name.split('/').fold(self.prefix.clone(), |path, part| path.child(part))
    }

    fn failed(&self, doing: String) -> impl FnOnce(object_store::Error) -> BackupError {
        let place = self.name.clone();
        move |source| BackupError::Place {
            place,
            doing,
            source: Box::new(source),
        }
    }

    /// Writes an object as a whole: nobody sees a part of it.
    pub(crate) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), BackupError> {
        let path = self.path(name);
        let written = self.store.put(&path, PutPayload::from_bytes(bytes)).await;
        written.map_err(self.failed(format!("writing {name}")))?;
        let Some(root) = &self.root else { return Ok(()) };
        let file = root.join(name);
        let synced = tokio::task::spawn_blocking(move || sync(&file)).await;
        let synced = synced.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        synced.map_err(|error| {
            self.failed(format!("syncing {name}"))(object_store::Error::Generic {
                store: "directory",
                source: error.into(),
            })
        })
    }

    /// Reads an object; `None` where there is none.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Bytes>, BackupError> {
        let doing = || self.failed(format!("reading {name}"));
        match self.store.get(&self.path(name)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(doing()),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(doing()(error)),
        }
    }

    /// Names of the folders directly here.
    pub(crate) async fn folders(&self) -> Result<Vec<String>, BackupError> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let found = self.store.list_with_delimiter(prefix).await;
        let found = found.map_err(self.failed("listing".to_owned()))?;
        let names = found.common_prefixes.iter().filter_map(|path| path.filename());
        Ok(names.map(str::to_owned).collect())
    }
}

/// The file, and the names that lead to it.
fn sync(file: &std::path::Path) -> std::io::Result<()> {
    std::fs::File::open(file)?.sync_all()?;
    for folder in file
        .ancestors()
        .skip(1)
        .take(3)
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_is_no_place_is_refused_with_what_is_one() {
        for text in ["", "s3://", "ftp://host/x", "s3:///x"] {
            let error = Place::open(text, true).unwrap_err().to_string();
            assert!(error.contains("s3://BUCKET/PREFIX"), "{error}");
        }
        let missing = tempfile::tempdir().unwrap().path().join("missing");
        assert!(Place::open(missing.to_str().unwrap(), false).is_err());
    }

    #[tokio::test]
    async fn a_directory_keeps_objects_and_lists_folders() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::open(folder.path().join("new").to_str().unwrap(), true).unwrap();
        place.put("one/group-1/000000", Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(place.get("one/group-1/000000").await.unwrap().unwrap(), "x");
        assert_eq!(place.get("one/manifest.json").await.unwrap(), None);
        assert_eq!(place.folders().await.unwrap(), ["one"]);
    }
}
