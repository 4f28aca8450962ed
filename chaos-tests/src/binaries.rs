//! Where the programs under test are: `ROTUNDA_BIN_DIR`, else the build directory that this test runs from.

use std::path::{Path, PathBuf};

/// The path of a program of this workspace.
///
/// # Panics
/// Where it has not been built. A missing program fails the test: a skipped one would look like a passed one.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    path_in(&folder(), name).unwrap_or_else(|missing| panic!("{missing}"))
}

/// The path of a program in a folder.
///
/// # Errors
/// Where it is not there, with what to do.
pub fn path_in(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "{name} is not in {}: build it first with `cargo build --workspace` (or set ROTUNDA_BIN_DIR to where it is)",
        folder.display()
    ))
}

/// The commit that upgrades start from: the last before there was a cluster version.
pub const OLD_COMMIT: &str = "88aa1b4565ebd15ef2820c08b217651c933b407a";

/// The folder with the programs of [`OLD_COMMIT`], as `.ci/setup old` makes it; `ROTUNDA_OLD_BIN_DIR` where that is set.
///
/// # Errors
/// Where they are not there, with what to do.
pub fn old_folder() -> Result<PathBuf, String> {
    let made = || Some(folder().parent()?.join("old").join(OLD_COMMIT));
    let set = std::env::var_os("ROTUNDA_OLD_BIN_DIR").map(PathBuf::from);
    let old = set.or_else(made).ok_or("there is no build directory")?;
    for program in ["rotunda-node", "rotunda-router"] {
        path_in(&old, program).map_err(|_| {
            format!(
                "the programs of {OLD_COMMIT} are not in {}: make old-programs",
                old.display()
            )
        })?;
    }
    Ok(old)
}

/// Where programs are looked for.
///
/// # Panics
/// Where this process does not know its own path.
#[must_use]
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("ROTUNDA_BIN_DIR") {
        return PathBuf::from(folder);
    }
    // Tests run from target/debug/deps, the programs are one up.
    let own = std::env::current_exe().expect("the path of the running test");
    let folder = own.parent().expect("a folder");
    if folder.ends_with("deps") {
        folder.parent().map(Path::to_path_buf).expect("a folder")
    } else {
        folder.to_path_buf()
    }
}
