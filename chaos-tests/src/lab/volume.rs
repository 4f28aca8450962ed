//! A disk of a node's own: a file with an ext4 in it, mounted through a loop device. It fills up, and it loses power: from
//! then on nothing reaches the file, the journal included, so what was not synced is gone once it is mounted again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

use super::tools;

/// Where volumes are mounted, in a folder named after their run.
pub const MOUNTS: &str = "/run/rotunda-chaos";

/// Takes the space that is to be missing.
const BALLAST: &str = "ballast";
/// Written and removed when the power is back.
const PROBE: &str = "power-is-back";
/// How long a process that was killed may hold the file system.
const BUSY: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Volume {
    image: PathBuf,
    place: PathBuf,
}

impl Volume {
    /// Makes a disk of `bytes` in the file `image`, which takes only what is written, and mounts it over `place`.
    ///
    /// # Errors
    /// Where the machine does not let one.
    pub fn make(image: &Path, place: &Path, bytes: u64) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        fs::create_dir_all(place).map_err(text)?;
        File::create(image).and_then(|file| file.set_len(bytes)).map_err(text)?;
        let path = image.display().to_string();
        tools::run(&[
            "mkfs.ext4",
            "-q",
            "-F",
            "-m",
            "0",
            "-E",
            "lazy_itable_init=1,lazy_journal_init=1",
            &path,
        ])?;
        let volume = Volume {
            image: image.to_owned(),
            place: place.to_owned(),
        };
        volume.mount()?;
        Ok(volume)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Cuts the power. Whatever runs on it gets errors from now on; [`Volume::power_on`] follows when that is gone.
    ///
    /// # Errors
    /// Where the file system does not know the order.
    pub fn power_off(&self) -> Result<(), String> {
        shutdown::now(&self.place)
    }

    /// Mounts what is left.
    ///
    /// # Errors
    /// Where somebody still uses it, or it cannot be mounted. A process with mounts of its own that came into being
    /// meanwhile has a copy of this one: the kernel then hands out the dead file system again, and the error names it.
    pub fn power_on(&self) -> Result<(), String> {
        let place = self.place.display().to_string();
        let deadline = Instant::now() + BUSY;
        while let Err(error) = tools::run(&["umount", &place]) {
            if Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.mount()?;
        let probe = self.place.join(PROBE);
        fs::write(&probe, b"on").and_then(|()| fs::remove_file(&probe)).map_err(|error| {
            let holders = holders(&self.place);
            format!(
                "the disk at {place} did not come back with the power: {error}; mounts of their own, with this one among \
                 them, have the processes {holders:?}: run nothing beside a loss of power that makes mount namespaces"
            )
        })
    }

    fn mount(&self) -> Result<(), String> {
        let (image, place) = (self.image.display().to_string(), self.place.display().to_string());
        tools::run(&["mount", "-t", "ext4", "-o", "loop,noatime", &image, &place]).map(drop)
    }

    /// Takes all space but `left` bytes.
    ///
    /// # Errors
    /// Where it does not let itself be written.
    pub fn fill(&self, left: u64) -> Result<(), String> {
        let path = self.place.join(BALLAST);
        let ballast = File::options().create(true).append(true).open(path);
        let ballast = ballast.map_err(|error| error.to_string())?;
        let from = ballast.metadata().map_err(|error| error.to_string())?.len();
        let taken = self.free_bytes().saturating_sub(left);
        let offset = |bytes: u64| i64::try_from(bytes).map_err(|error| error.to_string());
        if taken == 0 {
            return Ok(());
        }
        match fallocate(&ballast, FallocateFlags::empty(), offset(from)?, offset(taken)?) {
            // Others write meanwhile: what there is no room for any more need not be taken.
            Err(error) if error != nix::errno::Errno::ENOSPC => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// Where it was not taken.
    pub fn free(&self) -> Result<(), String> {
        fs::remove_file(self.place.join(BALLAST)).map_err(|error| error.to_string())
    }

    /// Bytes that can still be written; 0 where the system does not say.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        statvfs(&self.place).map_or(0, |state| state.blocks_available() * state.fragment_size())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let place = self.place.display().to_string();
        if tools::run(&["umount", &place]).is_err() {
            let _ = tools::run(&["umount", "--lazy", &place]);
        }
        let _ = fs::remove_dir(&self.place);
        // The run's own folder among the mounts, once it is empty.
        if let Some(folder) = self.place.parent() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Processes outside this one's mount namespace that have something mounted at `place`.
fn holders(place: &Path) -> Vec<u32> {
    let own = fs::read_link("/proc/self/ns/mnt").ok();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let holds = |pid: &u32| {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mounts")).unwrap_or_default();
        let mut places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        fs::read_link(format!("/proc/{pid}/ns/mnt")).ok() != own && places.any(|mounted| Path::new(mounted) == place)
    };
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.filter(holds).collect()
}

/// ext4's order to stop at once.
mod shutdown {
    #![allow(
        unsafe_code,
        reason = "an ioctl; there is no other way to cut a mounted file system off"
    )]

    use std::os::fd::AsRawFd as _;

    use super::{File, Path};

    /// `EXT4_GOING_FLAGS_NOLOGFLUSH`: the journal is not written either.
    const NO_LOG_FLUSH: u32 = 2;

    // EXT4_IOC_SHUTDOWN of linux/fs/ext4: _IOR('X', 125, __u32), though it is read by the kernel.
    nix::ioctl_read!(ext4_shutdown, b'X', 125, u32);

    pub(super) fn now(place: &Path) -> Result<(), String> {
        let folder = File::open(place).map_err(|error| error.to_string())?;
        let mut flags = NO_LOG_FLUSH;
        // SAFETY: the descriptor is open, and the kernel reads the four bytes of `flags`, which outlive the call.
        let done = unsafe { ext4_shutdown(folder.as_raw_fd(), &raw mut flags) };
        done.map(drop)
            .map_err(|error| format!("the file system at {} takes no shutdown: {error}", place.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::lab::capabilities::Capabilities;
    use crate::lab::tag::Tag;

    #[test]
    fn what_was_not_synced_does_not_outlive_a_loss_of_power() {
        let able = Capabilities::probe();
        if let Err(missing) = &able.volumes {
            return crate::faults::not_covered("a loss of power", missing, missing.could_be);
        }
        let folder = tempfile::tempdir().expect("a folder");
        let place = Path::new(MOUNTS).join(Tag::own().to_string()).join("volume-test");
        let volume = Volume::make(&folder.path().join("disk.img"), &place, 32 << 20).expect("a volume");
        let mut file = File::create(place.join("file")).expect("a file");
        file.write_all(&[1; 4096]).expect("a write");
        file.sync_all().expect("a sync");
        File::open(&place).expect("the folder").sync_all().expect("a sync");
        file.write_all(&[2; 4096]).expect("a write");
        drop(file);
        volume.power_off().expect("a loss of power");
        assert!(
            fs::write(place.join("other"), b"late").is_err(),
            "a dead disk takes nothing"
        );
        volume.power_on().expect("a mount");
        assert_eq!(fs::read(place.join("file")).expect("the file"), [1; 4096]);

        volume.fill(0).expect("a full disk");
        assert!(
            fs::write(place.join("other"), vec![3; 1 << 20]).is_err(),
            "a full disk takes nothing"
        );
        volume.free().expect("room");
        fs::write(place.join("other"), vec![3; 1 << 20]).expect("room");
        drop(volume);
        assert!(!place.exists());
    }
}
