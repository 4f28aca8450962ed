//! Upstream's suite over this store.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use super::{Place, Registers};
use crate::log_store::LogStore;
use crate::state_machine::StateMachine;
use crate::store::Store;
use crate::types::TypeConfig;

struct Builder(Place);

impl StoreBuilder<TypeConfig, LogStore, StateMachine<Registers>, (Store, Place)> for Builder {
    async fn build(&self) -> Result<((Store, Place), LogStore, StateMachine<Registers>), StorageError<TypeConfig>> {
        let place = self.0.another();
        let (store, group) = place.open().await;
        Ok(((store, place), group.log, group.machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_suite_passes() {
    Suite::test_all(Builder(Place::dir())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_suite_passes_over_encrypted_files() {
    Suite::test_all(Builder(Place::encrypted())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn upstreams_suite_passes_over_a_simulated_disk() {
    Suite::test_all(Builder(Place::disk())).await.unwrap();
}
