//! What a run has to tell whoever reads of it: [`html`] makes a page of a history, from what [`timeline`] counts.
//!
//! And what a test has to tell: the test harness swallows `println!` of tests that pass; numbers that were measured are
//! wanted then most of all.

pub mod html;
pub mod timeline;

use std::fmt::Display;
use std::io::Write as _;

/// Prints past the test harness.
pub fn tell(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
