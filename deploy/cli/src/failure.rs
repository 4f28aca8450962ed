//! What an error owes the caller: what happened, what to run next, and an exit code that scripts can act on.

use std::fmt::Write as _;
use std::process::ExitCode;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    details: Vec<String>,
    next: Option<String>,
    code: u8,
}

impl Failure {
    /// What was asked for did not happen.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            details: Vec::new(),
            next: None,
            code: 1,
        }
    }

    /// The arguments make no sense together; nothing was tried.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure {
            code: 2,
            ..Failure::failed(message)
        }
    }

    /// Nobody answered.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Failure {
            code: 3,
            ..Failure::failed(message)
        }
    }

    /// What the caller should run or change.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// One more line under the message.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Prints to stderr and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        eprint!("{}", self.text());
        ExitCode::from(self.code)
    }

    fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        for detail in &self.details {
            let _ = writeln!(text, "  {detail}");
        }
        if let Some(next) = &self.next {
            let _ = writeln!(text, "  next: {next}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_happened_and_what_to_run_next() {
        let failure = Failure::unreachable("no answer")
            .detail("tried twice")
            .next("rotunda demo");
        assert_eq!(
            failure.text(),
            "error: no answer\n  tried twice\n  next: rotunda demo\n"
        );
        assert_eq!(failure.code, 3);
    }
}
