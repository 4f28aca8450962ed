//! Taking up new files while connections go on. A server holds what it has read in a [`Renewed`]; each handshake uses what is
//! there then, and what is open stays as it is. Files are looked at every few seconds and when a server is told to (SIGHUP).
//! What cannot be used is complained of once and changes nothing: the old certificate is better than none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use rotunda_metrics::tls as names;

use crate::files::Problem;

/// How often files are looked at. A look is three calls of the system.
const LOOK: Duration = Duration::from_secs(2);

/// What is read from files and used by handshakes.
pub trait Material: Sized + Send + Sync + 'static {
    /// Which files.
    type Files: Clone + Send + Sync + 'static;

    /// All of them.
    fn paths(files: &Self::Files) -> Vec<PathBuf>;

    /// Reads and checks them.
    ///
    /// # Errors
    /// The first that cannot be used.
    fn read(files: &Self::Files) -> Result<Self, Problem>;

    /// When each certificate in it is over, by the name that the metric has for it.
    fn expiries(&self) -> Vec<(&'static str, Timestamp)>;
}

/// What a file was when it was looked at: another file under the name, or another content, has another stamp.
type Stamp = Option<(SystemTime, u64, u64)>;

/// See the module.
pub struct Renewed<M: Material> {
    files: M::Files,
    current: ArcSwap<M>,
    seen: Mutex<Seen>,
}

struct Seen {
    /// Of what is in use.
    used: Vec<Stamp>,
    /// Complained of already.
    complaint: Option<Problem>,
}

impl<M: Material> Renewed<M> {
    /// Reads the files.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn read(files: M::Files) -> Result<Arc<Self>, Problem> {
        // Before they are read: what is written in between is seen at the next look.
        let used = stamps::<M>(&files);
        let current = M::read(&files)?;
        let renewed = Self {
            current: ArcSwap::from_pointee(current),
            seen: Mutex::new(Seen { used, complaint: None }),
            files,
        };
        Ok(Arc::new(renewed))
    }

    /// What the next handshake uses.
    #[must_use]
    pub fn current(&self) -> Arc<M> {
        self.current.load_full()
    }

    /// Tells the metrics page until when the certificates last. Once the recorder is there.
    pub fn publish(&self) {
        for (certificate, until) in self.current.load().expiries() {
            #[allow(clippy::cast_precision_loss, reason = "seconds of centuries fit")]
            metrics::gauge!(names::CERTIFICATE_NOT_AFTER.name, "certificate" => certificate)
                .set(until.as_second() as f64);
        }
        for outcome in ["taken", "refused"] {
            metrics::counter!(names::RENEWALS.name, "outcome" => outcome).increment(0);
        }
    }

    /// Looks whether the files are others than those in use, and takes them up. Blocks for as long as they are read.
    ///
    /// # Errors
    /// Where they cannot be used: then everything stays as it is. Told each time.
    pub fn look(&self) -> Result<bool, Problem> {
        let mut seen = self.seen.lock();
        let found = stamps::<M>(&self.files);
        if found == seen.used {
            return Ok(false);
        }
        let material = match M::read(&self.files) {
            Ok(material) => material,
            Err(problem) => {
                // Each look, for a writer may be between two of its files; said once.
                if seen.complaint.as_ref() != Some(&problem) {
                    tracing::error!("new certificates cannot be used, the old ones stay: {problem}");
                    metrics::counter!(names::RENEWALS.name, "outcome" => "refused").increment(1);
                    seen.complaint = Some(problem.clone());
                }
                return Err(problem);
            }
        };
        self.current.store(Arc::new(material));
        *seen = Seen {
            used: found,
            complaint: None,
        };
        drop(seen);
        self.publish();
        metrics::counter!(names::RENEWALS.name, "outcome" => "taken").increment(1);
        let until: Vec<String> = self
            .current
            .load()
            .expiries()
            .iter()
            .map(|(certificate, until)| format!("{certificate} until {until}"))
            .collect();
        tracing::info!("new certificates count from now on: {}", until.join(", "));
        Ok(true)
    }

    /// Looks again and again, for ever.
    pub async fn follow(self: Arc<Self>) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let renewed = Arc::clone(&self);
            // What cannot be used was complained of.
            let _ = tokio::task::spawn_blocking(move || renewed.look()).await;
        }
    }
}

impl<M: Material> std::fmt::Debug for Renewed<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewed").finish_non_exhaustive()
    }
}

fn stamps<M: Material>(files: &M::Files) -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let stamp = |path: PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len(), about.ino()))
    };
    M::paths(files).into_iter().map(stamp).collect()
}
