//! A disk of a few MiB that a test fills and frees: a tmpfs mounted over a folder, in namespaces of its own, so that it
//! takes no root, nobody else sees it, and it is gone with the test. A holder process keeps it while the node that writes
//! to it dies and is started again; the node enters the holder's namespaces with `nsenter`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::statvfs::statvfs;

/// Takes the space that is to be missing.
const BALLAST: &str = "ballast";

/// Why there is no small disk.
#[derive(Debug)]
pub struct Missing {
    /// In words.
    pub reason: String,
    /// A tool is missing that could be installed; else the machine does not permit it.
    pub could_be: bool,
}

/// See the module.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    own_users: bool,
    place: PathBuf,
}

impl SmallDisk {
    /// Mounts a disk of `bytes` over the folder `place`, which is made.
    ///
    /// # Errors
    /// Where `unshare` and `nsenter` are missing, or the machine permits neither namespaces of users nor mounts.
    ///
    /// # Panics
    /// Where the folder cannot be made.
    pub fn mount(place: &Path, bytes: u64) -> Result<Self, Missing> {
        fs::create_dir_all(place).expect("a folder");
        for tool in ["unshare", "nsenter"] {
            let there = Command::new(tool).arg("--version").stdout(Stdio::null()).status();
            if !there.is_ok_and(|status| status.success()) {
                return Err(Missing {
                    reason: format!("{tool} is missing: apt-get install util-linux"),
                    could_be: true,
                });
            }
        }
        let mut refused = String::new();
        // Where namespaces of users are forbidden, root can do without.
        for own_users in [true, false] {
            match hold(place, bytes, own_users) {
                Ok(holder) => {
                    return Ok(SmallDisk {
                        holder,
                        own_users,
                        place: place.to_owned(),
                    });
                }
                Err(said) => refused.push_str(&said),
            }
        }
        Err(Missing {
            reason: format!("this machine permits no mount of one's own: {refused}"),
            could_be: false,
        })
    }

    /// What to put before a command so that it sees the disk. The command keeps the process id.
    #[must_use]
    pub fn entrance(&self) -> Vec<String> {
        let mut words = vec!["nsenter".to_owned(), "--mount".to_owned()];
        if self.own_users {
            words.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        words.extend(["--target".to_owned(), self.holder.id().to_string(), "--".to_owned()]);
        words
    }

    /// Takes all space but `left` bytes.
    ///
    /// # Panics
    /// Where the disk does not let itself be written.
    pub fn fill(&self, left: u64) {
        let taken = self.free_bytes().saturating_sub(left);
        let bytes = vec![0; usize::try_from(taken).expect("a small disk")];
        let mut ballast = fs::File::options()
            .create(true)
            .append(true)
            .open(self.seen_from_here().join(BALLAST))
            .expect("the ballast");
        // Others write meanwhile: what there is no room for any more need not be taken.
        match ballast.write_all(&bytes) {
            Err(error) if error.kind() != std::io::ErrorKind::StorageFull => panic!("cannot fill the disk: {error}"),
            _ => {}
        }
    }

    /// Gives the space back.
    ///
    /// # Panics
    /// Where it was not taken.
    pub fn free(&self) {
        fs::remove_file(self.seen_from_here().join(BALLAST)).expect("the ballast");
    }

    /// Bytes that can still be written.
    ///
    /// # Panics
    /// Where the system does not say.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let state = statvfs(&self.seen_from_here()).expect("the state of a file system");
        state.blocks_available() * state.fragment_size()
    }

    /// The disk through the holder's eyes: in this process's own namespace the folder stays empty.
    fn seen_from_here(&self) -> PathBuf {
        let place = self.place.strip_prefix("/").expect("an absolute path");
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(place)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The kernel unmounts with the last process that sees the disk.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn hold(place: &Path, bytes: u64, own_users: bool) -> Result<Child, String> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if own_users {
        command.arg("--map-root-user");
    }
    let mut holder = command
        .args([
            "--",
            "sh",
            "-c",
            r#"mount -t tmpfs -o "size=$2" tmpfs "$1" && echo held && exec cat"#,
            "sh",
        ])
        .arg(place)
        .arg(bytes.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut said = [0; 5];
    if holder.stdout.as_mut().expect("a pipe").read_exact(&mut said).is_ok() {
        return Ok(holder);
    }
    let output = holder.wait_with_output().map_err(|error| error.to_string())?;
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_until_it_is_freed() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("data");
        let disk = match SmallDisk::mount(&place, 1 << 20) {
            Ok(disk) => disk,
            Err(missing) => return crate::faults::not_covered("a full disk", missing.reason, missing.could_be),
        };
        let write = |name: &str| {
            let words = disk.entrance();
            let path = place.join(name).display().to_string();
            let status = Command::new(&words[0])
                .args(&words[1..])
                .args(["sh", "-c", &format!("head -c 20000 /dev/zero 2>/dev/null > {path}")])
                .stderr(Stdio::null())
                .status();
            status.expect("a process on the disk").success()
        };
        assert!(write("first"));
        disk.fill(0);
        assert!(!write("second"));
        disk.free();
        assert!(write("third"));
        assert_eq!(fs::read_dir(&place).expect("the folder").count(), 0, "seen by others");
    }
}
