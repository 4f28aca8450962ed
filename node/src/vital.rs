//! Tasks that a node cannot be without: batchers, expiry, who-leads. Where one panics the rest would go on around it, a
//! leader that answers nobody; so the process ends, as it does where a group's core stops.

use rotunda_raft_storage::scope;

/// Runs such a task. `what` names it, for the message that the process ends with.
pub fn spawn(what: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
    let panicked = Panicked(what.into());
    scope::spawn(async move {
        task.await;
        drop(panicked);
    });
}

struct Panicked(String);

impl Drop for Panicked {
    fn drop(&mut self) {
        // Also dropped where the task has ended or the runtime ends with it: nothing is wrong then.
        if std::thread::panicking() {
            eprintln!(
                "rotunda-node: {} panicked\n\
                 The process ends so that the other replicas take over. Look above for the cause, then start it again.",
                self.0
            );
            std::process::abort();
        }
    }
}
