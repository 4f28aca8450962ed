//! One real process under test: started with a log file of its own, killed, paused, restarted, never left behind.

use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::tag::{Tag, VARIABLE};

/// How long a process may take to drain after SIGTERM before the test calls it stuck.
const DRAIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
const TAIL_LINES: usize = 40;

/// How to start a process, again and again.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// For messages: `node 2`.
    pub name: String,
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables beside the inherited ones. Inherited `ROTUNDA_*` are taken away.
    pub environment: Vec<(String, String)>,
    /// Standard output and error go here, one run after the other.
    pub log: PathBuf,
}

impl Recipe {
    /// Puts words before the command: a program that becomes this one, as `nsenter` does.
    pub fn behind(&mut self, words: Vec<String>) {
        let mut words = words.into_iter();
        let Some(first) = words.next() else { return };
        let program = std::mem::replace(&mut self.program, PathBuf::from(first));
        let arguments = words.chain([program.display().to_string()]);
        self.arguments.splice(0..0, arguments);
    }
}

/// A process, running or not.
#[derive(Debug)]
pub struct Process {
    recipe: Recipe,
    child: Option<Child>,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// Where the program cannot be run.
    #[must_use]
    pub fn start(recipe: Recipe) -> Self {
        let mut process = Process { recipe, child: None };
        process.start_again();
        process
    }

    /// Starts it with the same arguments.
    ///
    /// # Panics
    /// Where it runs already or cannot be run.
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// The same, with these variables besides, this once.
    ///
    /// # Panics
    /// As [`Process::start_again`].
    pub fn start_again_with(&mut self, environment: &[(&str, &str)]) {
        assert!(self.child.is_none(), "{} runs already", self.recipe.name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.recipe.log)
            .expect("a log file");
        let mut command = Command::new(&self.recipe.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROTUNDA_")) {
            command.env_remove(name);
        }
        let child = command
            .args(&self.recipe.arguments)
            .envs(self.recipe.environment.iter().map(|(name, value)| (name, value)))
            .envs(environment.iter().copied())
            .env(VARIABLE, Tag::own().to_string())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("the log file again"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", self.recipe.program.display()));
        self.child = Some(child);
    }

    /// From the next start on it is this program.
    pub fn replace_program(&mut self, program: PathBuf) {
        self.recipe.program = program;
    }

    /// How it is started.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Its id, while it runs.
    ///
    /// # Panics
    /// Where it does not.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child
            .as_ref()
            .unwrap_or_else(|| panic!("{} does not run", self.recipe.name))
            .id()
    }

    /// True where it was started and not stopped by this harness. It may have ended by itself: see [`Process::ended`].
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// How it ended, where it has ended by itself.
    ///
    /// # Panics
    /// Where the system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .as_mut()
            .and_then(|child| child.try_wait().expect("the state of a child"))
    }

    /// How it ended, where it has ended by itself; from then on it counts as stopped and may be started again.
    ///
    /// # Panics
    /// Where the system does not say.
    pub fn reap(&mut self) -> Option<ExitStatus> {
        let status = self.ended()?;
        self.child = None;
        Some(status)
    }

    /// SIGKILL, and waits until it is gone: its ports are free when this returns.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails only where it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP: it holds its connections and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// SIGTERM, and waits until it has drained.
    ///
    /// # Panics
    /// Where it does not end in time, or ends badly.
    pub fn terminate(&mut self) {
        self.signal_to_end();
        let status = self.wait(DRAIN);
        assert!(
            status.success(),
            "{} ended with {status} after SIGTERM\n{}",
            self.recipe.name,
            self.tail()
        );
    }

    /// SIGTERM. It drains, and ends when it has: see [`Process::wait`].
    pub fn signal_to_end(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// After `patience`.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                self.child = None;
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "{} did not end within {patience:?}\n{}",
                self.recipe.name,
                self.tail()
            );
            std::thread::sleep(POLL);
        }
    }

    /// A signal.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).expect("a process id"));
        kill(pid, signal).unwrap_or_else(|error| panic!("cannot send {signal} to {}: {error}", self.recipe.name));
    }

    /// The end of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.recipe.log)
    }

    /// Resident memory in bytes.
    ///
    /// # Panics
    /// Where it does not run.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the state of a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        let kibibytes: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .expect("a number");
        kibibytes * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a log.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// True while a process with this id exists (a zombie that nobody waited for counts as gone).
#[must_use]
pub fn exists(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The state follows the name, which is in parentheses and may hold anything.
    stat.rsplit_once(')')
        .is_none_or(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// For people: `killed by 9`, `exit code 1`.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("killed by {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => status.to_string(),
    }
}
