//! Moves the mark while the log's writer writes on: a thread of its own, or over a simulated disk a task. The mark of a batch
//! is synced at the same time as the next batch, so it costs the writer no wait; before that next batch is answered the
//! writer asks for it, and after a vote at once. What the check at the next start does not cover is then one batch at most:
//! the last one that was answered before a loss of power, for as long as the mark's own sync took. With votes, none.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::{FILE, Mark};
use crate::fatal::Latch;
use crate::log_writer::Place;

/// The writer's end. Dropping it ends the keeper once the last mark that was asked for is synced.
pub(crate) struct Keeper {
    /// Taken when it is dropped, which is how the keeper learns of it.
    wanted: Option<watch::Sender<u64>>,
    synced: watch::Receiver<u64>,
    latch: Arc<Latch>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the keeper of a mark that says `sequence`, synced.
    pub(crate) fn start(place: Place, mark: Mark, sequence: u64, latch: Arc<Latch>) -> io::Result<Self> {
        let (wanted, asked) = watch::channel(sequence);
        let (told, synced) = watch::channel(sequence);
        let work = keep(mark, asked, told, Arc::clone(&latch));
        let thread = match place {
            Place::Thread => Some(
                std::thread::Builder::new()
                    .name("rotunda-mark".to_owned())
                    .spawn(move || futures::executor::block_on(work))?,
            ),
            Place::Task => {
                crate::scope::spawn(work);
                None
            }
        };
        Ok(Self {
            wanted: Some(wanted),
            synced,
            latch,
            thread,
        })
    }

    /// Everything up to `sequence` is synced: the mark is to say so. Waits for nothing.
    pub(crate) fn advance(&self, sequence: u64) {
        if let Some(wanted) = &self.wanted {
            wanted.send_replace(sequence);
        }
    }

    /// Waits until a mark of at least `sequence` survives a loss of power.
    pub(crate) async fn reached(&mut self, sequence: u64) -> io::Result<()> {
        let reached = self.synced.wait_for(|synced| *synced >= sequence).await.map(|_| ());
        // The keeper ends before its time only where a write failed, and then it has closed the latch.
        reached.map_err(|_| {
            self.latch
                .check()
                .err()
                .unwrap_or_else(|| io::Error::other("the keeper of the high-water mark has stopped"))
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.wanted.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper of the high-water mark panicked");
        }
    }
}

async fn keep(mut mark: Mark, mut asked: watch::Receiver<u64>, told: watch::Sender<u64>, latch: Arc<Latch>) {
    // Ends with the sender, after its last value.
    while asked.changed().await.is_ok() {
        // Only the newest counts.
        let sequence = *asked.borrow_and_update();
        let mut moved = mark.write(sequence);
        if moved.is_ok() {
            mark.file.sync_takes_its_time().await;
            moved = mark.file.sync_data();
        }
        if let Err(error) = moved {
            latch.close(format!("writing the high-water mark ({FILE}) failed: {error}"));
            return;
        }
        told.send_replace(sequence);
    }
}
