//! Upstream's suite over this store.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::{Registers, open};
use crate::log_store::LogStore;
use crate::state_machine::StateMachine;
use crate::store::Store;
use crate::types::TypeConfig;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine<Registers>, (Store, TempDir)> for Builder {
    async fn build(&self) -> Result<((Store, TempDir), LogStore, StateMachine<Registers>), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let (store, group) = open(dir.path());
        Ok(((store, dir), group.log, group.machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}
