//! What a test has to tell whoever reads its run. The test harness swallows `println!` of tests that pass; numbers that
//! were measured are wanted then most of all.

use std::fmt::Display;
use std::io::Write as _;

/// Prints past the test harness.
pub fn tell(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
