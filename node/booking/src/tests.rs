//! Tests of the rules as a whole; what a module promises by itself is tested beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod audit;
mod codec;
mod codec_desk;
mod golden;
mod invariants;
mod probes;
mod script;
mod stories;
mod walks;
