//! What a person sees while the demo starts: one line a step, a counter while it runs, a tick when it is done.
//!
//! Where stderr is no terminal, each step prints one plain line when it is done.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(80);

/// One step under way.
pub(crate) struct Step {
    bar: Option<ProgressBar>,
    doing: &'static str,
    began: Instant,
}

impl Step {
    /// Begins a step, as "electing leaders".
    pub(crate) fn begin(doing: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style.tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ "));
            }
            bar.enable_steady_tick(TICK);
            bar.set_message(doing);
            bar
        });
        Step {
            bar,
            doing,
            began: Instant::now(),
        }
    }

    /// How far it is.
    pub(crate) fn at(&self, done: usize, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} {done}/{of}", self.doing));
        }
    }

    /// It is done; `outcome` says what is true now.
    pub(crate) fn done(self, outcome: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("✓ {outcome} ({:.1} s)", self.began.elapsed().as_secs_f64());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
