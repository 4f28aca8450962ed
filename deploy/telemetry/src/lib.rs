//! What both servers tell of themselves besides metrics: [`logs`], as text or as lines of JSON whose levels can be changed
//! while they run, and [`traces`], as spans over OTLP. [`current`] joins them: the trace that a task works for.
//!
//! Neither says anything of a person: bookings' ids (their secrets open them), names, addresses of mail, tokens and the
//! bodies of requests are in no line and in no span. A test at the level of `trace` holds it.

pub mod current;
pub mod logs;
pub mod traces;
