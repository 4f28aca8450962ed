//! Snapshots as streams of chunks. The sender reads rows from a view on demand, one chunk at a time; the
//! receiver writes them into a generation of their own as they arrive, beside the live one. The last chunk carries the
//! number of rows, a rolling checksum over all of them and the state hash; only what agrees with it can be installed.
//!
//! ```text
//! chunk  [kind u8][crc32c u32 over kind and body][body]
//! rows   ([key length u32][value length u32][key][value])..        kind 1, key without shard and generation
//! end    [format u8][rows u64][xxh3 u64 over all row bodies][state hash 16]     kind 2
//! ```

mod chunk;

use std::io;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use xxhash_rust::xxh3::Xxh3;

pub use self::chunk::{SnapshotCheck, chunks_of_rows};
use self::chunk::{put_row, seal};
use crate::blocking::Blocking;
use crate::error::ReadError;
use crate::failpoint::{Step, hit};
use crate::keys::{self, StatePrefix};
use crate::mutant::mutant;
use crate::record;
use crate::state::{Progress, StateDb, StateView};
use crate::types::SnapshotMeta;

/// Size at which a chunk is closed. A single larger row makes a larger chunk.
pub const CHUNK_BYTES: usize = 256 * 1024;

const FORMAT: u8 = 1;
const ROWS: u8 = 1;
const END: u8 = 2;
const HEADER: usize = 5;

/// A snapshot: one to send, or one that has arrived in full and waits to be installed.
pub struct SnapshotData {
    kind: Kind,
}

enum Kind {
    Source { view: Arc<StateView>, blocking: Blocking },
    Received(Received),
}

impl std::fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.kind {
            Kind::Source { .. } => "SnapshotData(to send)",
            Kind::Received(_) => "SnapshotData(received)",
        })
    }
}

impl SnapshotData {
    pub(crate) fn source(view: StateView, blocking: Blocking) -> Self {
        Self {
            kind: Kind::Source {
                view: Arc::new(view),
                blocking,
            },
        }
    }

    /// The snapshot in chunks of about [`CHUNK_BYTES`], each read when it is asked for. Ends after the first error. What was
    /// received from a peer is for installing, and cannot be sent on: it gives an error.
    #[must_use]
    pub fn chunks(self) -> BoxStream<'static, io::Result<Bytes>> {
        let Kind::Source { view, blocking } = self.kind else {
            let error = io::Error::new(
                io::ErrorKind::Unsupported,
                "a received snapshot is for installing, not for sending",
            );
            return stream::once(async move { Err(error) }).boxed();
        };
        stream::try_unfold(Some(Chunker::new(view)), move |chunker| async move {
            let Some(mut chunker) = chunker else { return Ok(None) };
            let (chunk, chunker) = blocking
                .run(move || {
                    let chunk = chunker.next_chunk();
                    (chunk, chunker)
                })
                .await?;
            let (chunk, last) = chunk?;
            hit(Step::SnapshotChunkRead);
            Ok(Some((chunk, (!last).then_some(chunker))))
        })
        .boxed()
    }
}

/// Cuts a view into chunks.
struct Chunker {
    view: Arc<StateView>,
    after: Option<Vec<u8>>,
    exhausted: bool,
    rows: u64,
    digest: Xxh3,
}

impl Chunker {
    fn new(view: Arc<StateView>) -> Self {
        Self {
            view,
            after: None,
            exhausted: false,
            rows: 0,
            digest: Xxh3::new(),
        }
    }

    /// The next chunk, and whether it is the last.
    fn next_chunk(&mut self) -> Result<(Bytes, bool), ReadError> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        chunk.extend_from_slice(&[0; HEADER]);
        let Self {
            view,
            after,
            exhausted,
            rows,
            digest,
        } = self;
        let mut last_key: Option<Vec<u8>> = None;
        let mut visit = |key: &[u8], value: &[u8]| {
            if mutant!(SnapshotLacksRows) && crc32c::crc32c(key).is_multiple_of(16) {
                return ControlFlow::Continue(());
            }
            put_row(&mut chunk, key, value);
            *rows += 1;
            if chunk.len() < CHUNK_BYTES {
                return ControlFlow::Continue(());
            }
            last_key = Some(key.to_vec());
            ControlFlow::Break(())
        };
        if !*exhausted {
            view.rows_after(after.as_deref(), &mut visit)?;
        }
        if chunk.len() > HEADER {
            digest.update(&chunk[HEADER..]);
            *exhausted = last_key.is_none();
            *after = last_key;
            return Ok((seal(chunk, ROWS), false));
        }
        Ok((chunk::end(*rows, digest, view.state_hash()), true))
    }
}

/// A complete generation that nobody serves yet. Dropped without being kept, it is deleted.
pub(crate) struct Received {
    meta: SnapshotMeta,
    generation: u32,
    unkept: Option<Unkept>,
}

impl Received {
    /// The generation is about to be current: it stays.
    pub(crate) fn keep(mut self) -> u32 {
        if let Some(unkept) = &mut self.unkept {
            unkept.armed = false;
        }
        self.generation
    }
}

/// Deletes a generation that came to nothing.
struct Unkept {
    state: Arc<StateDb>,
    prefix: StatePrefix,
    armed: bool,
}

impl Drop for Unkept {
    fn drop(&mut self) {
        if self.armed
            && let Err(error) = self.state.delete_generation(&self.prefix)
        {
            tracing::warn!(%error, "an abandoned snapshot was not deleted; the next start deletes it");
        }
    }
}

/// Takes in snapshots for one group. Cheap to clone.
pub struct SnapshotReceiver<M> {
    state: Arc<StateDb>,
    progress: Arc<Progress>,
    blocking: Blocking,
    machine: PhantomData<fn() -> M>,
}

impl<M> Clone for SnapshotReceiver<M> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            progress: Arc::clone(&self.progress),
            blocking: self.blocking,
            machine: PhantomData,
        }
    }
}

impl<M> SnapshotReceiver<M> {
    pub(crate) fn new(state: Arc<StateDb>, progress: Arc<Progress>, blocking: Blocking) -> Self {
        Self {
            state,
            progress,
            blocking,
            machine: PhantomData,
        }
    }

    /// Starts to take in a snapshot that covers `meta`. Several may arrive at once (a leader that tries again): each has a
    /// generation of its own.
    ///
    /// # Errors
    /// Where the store has failed before.
    pub async fn begin(&self, meta: SnapshotMeta) -> io::Result<SnapshotWriter<M>> {
        self.state.latch.check()?;
        let generation = self.progress.take_generation();
        let prefix = keys::state_prefix(self.progress.group, generation);
        hit(Step::SnapshotBegun);
        Ok(SnapshotWriter {
            state: Arc::clone(&self.state),
            blocking: self.blocking,
            meta,
            generation,
            prefix,
            unkept: Some(Unkept {
                state: Arc::clone(&self.state),
                prefix,
                armed: true,
            }),
            check: SnapshotCheck::default(),
            machine: PhantomData,
        })
    }

    /// A snapshot as a complete generation of this store: already is one, or is copied.
    pub(crate) async fn receive(&self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<Received> {
        let received = match snapshot.kind {
            Kind::Received(received) => received,
            source @ Kind::Source { .. } => {
                let mut chunks = SnapshotData { kind: source }.chunks();
                let mut writer = self.begin(meta.clone()).await?;
                while let Some(chunk) = chunks.next().await {
                    writer.push(chunk?).await?;
                }
                match writer.finish().await?.kind {
                    Kind::Received(received) => received,
                    Kind::Source { .. } => return Err(refused("it was not received")),
                }
            }
        };
        if received.meta != *meta {
            return Err(refused("it covers something else than its header says"));
        }
        Ok(received)
    }
}

/// Writes an incoming snapshot into a generation of its own. Dropped before the end, it leaves nothing behind.
pub struct SnapshotWriter<M> {
    state: Arc<StateDb>,
    blocking: Blocking,
    meta: SnapshotMeta,
    generation: u32,
    prefix: StatePrefix,
    unkept: Option<Unkept>,
    check: SnapshotCheck,
    machine: PhantomData<fn() -> M>,
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the snapshot is refused: {why}"))
}

impl<M> SnapshotWriter<M> {
    /// The next chunk, in order.
    ///
    /// # Errors
    /// Where the chunk is damaged or out of place, or the store fails. The snapshot is lost then.
    pub async fn push(&mut self, chunk: Bytes) -> io::Result<()> {
        let mut batch = self.state.db.batch(chunk.len() * 2);
        let (prefix, mut full) = (self.prefix, Vec::new());
        let before = self.check.rows();
        self.check.push(&chunk, &mut |key, value| {
            keys::row(&mut full, &prefix, key);
            batch.put(&full, value);
        })?;
        if self.check.rows() > before {
            let state = Arc::clone(&self.state);
            self.blocking.run(move || state.write(batch)).await??;
            hit(Step::SnapshotRowsWritten);
        }
        Ok(())
    }

    /// Verifies that everything is there, and makes it survive a crash. The result is for openraft's
    /// `install_full_snapshot`.
    ///
    /// # Errors
    /// Where the end is missing, or the store fails.
    pub async fn finish(mut self) -> io::Result<SnapshotData> {
        let hash = self.check.finish()?;
        let membership = record::encode_membership(&self.meta.last_membership).map_err(io::Error::other)?;
        let mut row = Vec::new();
        record::encode_applied(&mut row, self.meta.last_log_id.as_ref(), &hash, &membership);
        let mut batch = self.state.db.batch(row.len() + 64);
        batch.put(keys::applied(&self.prefix), &row);
        let state = Arc::clone(&self.state);
        self.blocking
            .run(move || state.write(batch).and_then(|()| state.flush()))
            .await??;
        hit(Step::SnapshotFlushed);
        let received = Received {
            meta: self.meta,
            generation: self.generation,
            unkept: self.unkept.take(),
        };
        Ok(SnapshotData {
            kind: Kind::Received(received),
        })
    }
}
