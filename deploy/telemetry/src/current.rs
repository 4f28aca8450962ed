//! The trace that a task works for, so that its log lines can name it and its calls can hand it on.

use rotunda_protocol::trace_context::TraceContext;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// Runs `work` for this trace.
pub async fn scope<F: Future>(context: TraceContext, work: F) -> F::Output {
    CURRENT.scope(context, work).await
}

/// The trace that is worked for here, if any. A task that was spawned works for none, until it says so.
#[must_use]
pub fn get() -> Option<TraceContext> {
    CURRENT.try_with(|context| *context).ok()
}
