//! Faults that a machine deals its processes, dealt to one process on purpose and without root: a sync that fails, a wall
//! clock that jumps. A small library is loaded into the node before its C library (`faults/preload.c`) and obeys
//! [`Orders`]; the node itself is the one that everybody runs. A full disk is [`crate::disk`]'s.
//!
//! It takes the C compiler that building RocksDB takes. Where there is none, a test says so: see [`not_covered`].

use std::fmt::Display;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::report::tell;

const LIBRARY: &str = include_str!("faults/preload.c");

/// `EIO`: what a failing disk answers.
const EIO: i32 = 5;

/// Where the library expects what: `struct orders` in its source.
mod place {
    pub(super) const CLOCK_MS: u64 = 0;
    pub(super) const SYNC_ERRNO: u64 = 8;
    pub(super) const LOADED: u64 = 12;
    pub(super) const FAILED_SYNCS: u64 = 16;
    pub(super) const SHIFTED_READS: u64 = 20;
    pub(super) const SUFFIX: u64 = 24;
    pub(super) const SUFFIX_BYTES: usize = 32;
    pub(super) const SYNC_DELAY_US: u64 = 56;
    pub(super) const DELAYED_SYNCS: u64 = 60;
    pub(super) const END: u64 = 64;
}

/// Says aloud that a fault was not dealt, and why. The test passes, except in the gate where `could_be` there.
///
/// # Panics
/// In the gate, where the reason is one that its set-up should have done away with.
pub fn not_covered(fault: &str, reason: impl Display, could_be: bool) {
    assert!(
        !could_be || std::env::var_os("CI").is_none(),
        "{fault} cannot be tested here: {reason}"
    );
    tell(format!("NOT COVERED: {fault}: {reason}"));
}

/// Builds the library in `folder`, once.
///
/// # Errors
/// Where there is no C compiler, or it refuses; with what it said.
pub fn library(folder: &Path) -> Result<PathBuf, String> {
    let path = folder.join("faults.so");
    if path.exists() {
        return Ok(path);
    }
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut words = compiler.split_whitespace();
    let program = words.next().unwrap_or("cc");
    let mut child = Command::new(program)
        .args(words)
        .args(["-shared", "-fPIC", "-O2", "-x", "c", "-", "-o"])
        .arg(&path)
        .args(["-ldl", "-lpthread"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the C compiler {compiler} cannot be run: {error}"))?;
    let mut source = child.stdin.take().expect("a pipe");
    // A compiler that stops reading says why below.
    let _ = source.write_all(LIBRARY.as_bytes());
    drop(source);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(path)
    } else {
        Err(format!("{compiler}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// What one process is told to suffer. It outlives the process: what is not taken back meets the next run too.
#[derive(Debug)]
pub struct Orders {
    path: PathBuf,
    file: File,
}

impl Orders {
    /// No faults yet.
    ///
    /// # Panics
    /// Where the file cannot be made.
    #[must_use]
    pub fn none(path: PathBuf) -> Self {
        let file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(&path)
            .expect("a file of orders");
        file.set_len(place::END).expect("a file of orders");
        Orders { path, file }
    }

    /// The variables with which a process obeys.
    #[must_use]
    pub fn environment(&self, library: &Path) -> Vec<(String, String)> {
        vec![
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("CHAOS_ORDERS".to_owned(), self.path.display().to_string()),
        ]
    }

    /// True once a process has loaded the library. False for ever where it is linked statically.
    #[must_use]
    pub fn are_heard(&self) -> bool {
        self.count(place::LOADED) == 1
    }

    /// Puts the wall clock off by so much, forward or back, from now on. Zero heals it.
    pub fn put_clock_off(&self, milliseconds: i64) {
        self.write(place::CLOCK_MS, &milliseconds.to_ne_bytes());
    }

    /// How often the process has looked at a clock that was off.
    #[must_use]
    pub fn clock_reads(&self) -> u32 {
        self.count(place::SHIFTED_READS)
    }

    /// Fails the next sync of a file whose path ends so, with `EIO`; what it should have made durable is gone.
    ///
    /// # Panics
    /// Where the text is longer than the library takes.
    pub fn fail_next_sync(&self, of: &str) {
        assert!(of.len() <= place::SUFFIX_BYTES, "{of} is too long");
        let mut suffix = [0; place::SUFFIX_BYTES];
        suffix[..of.len()].copy_from_slice(of.as_bytes());
        self.write(place::SUFFIX, &suffix);
        self.write(place::SYNC_ERRNO, &EIO.to_ne_bytes());
    }

    /// Takes back what [`Orders::fail_next_sync`] ordered and did not get yet.
    pub fn fail_no_sync(&self) {
        self.write(place::SYNC_ERRNO, &0_i32.to_ne_bytes());
    }

    /// Makes each sync take so much longer, from now on. Zero heals it.
    pub fn delay_syncs(&self, by: Duration) {
        let micros = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
        self.write(place::SYNC_DELAY_US, &micros.to_ne_bytes());
    }

    /// Syncs that took longer by order.
    #[must_use]
    pub fn delayed_syncs(&self) -> u32 {
        self.count(place::DELAYED_SYNCS)
    }

    /// Syncs that failed by order.
    #[must_use]
    pub fn failed_syncs(&self) -> u32 {
        self.count(place::FAILED_SYNCS)
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, at).expect("orders");
    }

    fn count(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.file.read_exact_at(&mut bytes, at).expect("orders");
        u32::from_ne_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(script: &str, orders: &Orders, library: &Path) -> String {
        let output = Command::new("sh")
            .args(["-c", script])
            .envs(orders.environment(library))
            .output()
            .expect("a shell");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    #[test]
    fn an_ordered_process_sees_another_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let library = match library(folder.path()) {
            Ok(library) => library,
            Err(reason) => return not_covered("a jump of the clock", reason, true),
        };
        let orders = Orders::none(folder.path().join("orders"));
        let clock = || -> i64 { ordered("date +%s", &orders, &library).parse().expect("a time") };
        let before = clock();
        assert!(orders.are_heard());
        orders.put_clock_off(86_400_000);
        let after = clock();
        assert!(orders.clock_reads() > 0);
        assert!((86_000..90_000).contains(&(after - before)), "{before} {after}");
        orders.put_clock_off(-86_400_000);
        assert!((-86_800..-80_000).contains(&(clock() - before)));
    }

    #[test]
    fn an_ordered_sync_fails_once_and_loses_what_it_was_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let library = match library(folder.path()) {
            Ok(library) => library,
            Err(reason) => return not_covered("a failing sync", reason, true),
        };
        let orders = Orders::none(folder.path().join("orders"));
        orders.fail_next_sync("wanted.log");
        let file = |name: &str| folder.path().join(name).display().to_string();
        // `dd conv=fsync` syncs what it wrote, and its exit code says whether that went well.
        let write = |name: &str| {
            let path = file(name);
            ordered(
                &format!("dd if=/dev/zero of={path} bs=100 count=1 conv=fsync 2>/dev/null; echo $?"),
                &orders,
                &library,
            )
        };
        assert_eq!(write("other.log"), "0");
        assert_eq!(write("wanted.log"), "1");
        assert_eq!(std::fs::metadata(file("wanted.log")).expect("the file").len(), 0);
        assert_eq!(write("wanted.log"), "0");
        assert_eq!(std::fs::metadata(file("wanted.log")).expect("the file").len(), 100);
        assert_eq!(orders.failed_syncs(), 1);

        orders.delay_syncs(Duration::from_millis(300));
        let begun = std::time::Instant::now();
        assert_eq!(write("slow.log"), "0");
        assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
        assert!(orders.delayed_syncs() > 0);
    }
}
