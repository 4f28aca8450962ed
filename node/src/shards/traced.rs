//! The node's part of a booking's trace: `propose`, from the command's arrival to its answer, and below it `queue` (until the
//! entry is proposed), `commit` (until a majority has synced it) and `apply` (until its outcome is there).
//!
//! Made for commands that came with a trace that is kept, and for no other: those carry a null pointer.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use openraft::raft::ClientWriteResult;
use rotunda_protocol::trace_context::TraceContext;
use rotunda_raft_storage::{TypeConfig, scope};
use rotunda_telemetry::traces::{Kind, Span};
use tokio::sync::oneshot;

/// A command that somebody traces.
#[derive(Debug)]
pub struct Traced {
    span: Span,
    came: SystemTime,
}

impl Traced {
    /// The command has come. `None` where this node sends no spans.
    #[must_use]
    pub fn begin(caller: TraceContext) -> Option<Box<Self>> {
        let mut span = Span::begin(Kind::Server, "propose", caller)?;
        // Until it is: wherever it is turned away, dropping it says so.
        span.fail("it was not taken into the log");
        Some(Box::new(Self {
            span,
            came: SystemTime::now(),
        }))
    }
}

/// The traced commands of an entry that was proposed.
#[derive(Debug)]
pub struct TracedEntry {
    commands: Vec<Traced>,
    proposed: SystemTime,
    committed: Arc<OnceLock<SystemTime>>,
}

impl TracedEntry {
    /// The entry was proposed just now; `committed` will say when it is committed.
    #[must_use]
    pub fn proposed<T: Send + 'static>(commands: Vec<Traced>, committed: oneshot::Receiver<T>) -> Self {
        let at = Arc::new(OnceLock::new());
        scope::spawn({
            let at = Arc::clone(&at);
            async move {
                if committed.await.is_ok() {
                    let _ = at.set(SystemTime::now());
                }
            }
        });
        Self {
            commands,
            proposed: SystemTime::now(),
            committed: at,
        }
    }

    /// The entry was applied just now, or came to nothing.
    pub fn applied(self, shard: u64, applied: &Result<ClientWriteResult<TypeConfig>, oneshot::error::RecvError>) {
        let now = SystemTime::now();
        // Who notes the commit may come round after who hands out the outcome; then the apply was quick.
        let committed = self.committed.get().copied().unwrap_or(now);
        let index = match applied {
            Ok(Ok(response)) => Some(response.log_id.index),
            _ => None,
        };
        for traced in self.commands {
            let Traced { mut span, came } = traced;
            let context = span.context();
            let stage = |name, from, to| {
                if let Some(stage) = Span::begin(Kind::Internal, name, context) {
                    stage.since(from).end_at(to);
                }
            };
            stage("queue", came, self.proposed);
            span.set("rotunda.shard", i64::try_from(shard).unwrap_or(i64::MAX));
            let Some(index) = index else {
                span.fail("its fate is unknown");
                continue;
            };
            stage("commit", self.proposed, committed);
            stage("apply", committed, now);
            span.succeed();
            span.set("rotunda.log_index", i64::try_from(index).unwrap_or(i64::MAX));
            tracing::debug!(
                trace_id = format_args!("{:032x}", context.trace),
                span_id = format_args!("{:016x}", context.span),
                shard,
                index,
                "a traced command was applied"
            );
            span.end_at(now);
        }
    }
}
