//! Where the servers' programs are, which the demo starts and which check their settings: beside this one, or in `ROTUNDA_BIN_DIR`.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The programs of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) node: PathBuf,
    pub(crate) router: PathBuf,
}

impl Binaries {
    /// Finds them.
    ///
    /// # Errors
    /// Where one is missing; says how to build it.
    pub(crate) fn find() -> Result<Self, Failure> {
        let folder = match std::env::var_os("ROTUNDA_BIN_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => std::env::current_exe()
                .ok()
                .and_then(|own| own.parent().map(Path::to_path_buf))
                .unwrap_or_else(|| PathBuf::from(".")),
        };
        Ok(Binaries {
            node: program(&folder, "rotunda-node")?,
            router: program(&folder, "rotunda-router")?,
        })
    }
}

fn program(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(Failure::failed(format!("{name} is not in {}", folder.display()))
            .next("make build, or set ROTUNDA_BIN_DIR to the folder that holds rotunda-node and rotunda-router"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_missing_program_tells_how_to_build_it() {
        let folder = tempfile::tempdir().unwrap();
        let failure = program(folder.path(), "rotunda-node").expect_err("it is not there");
        assert!(format!("{failure:?}").contains("make build"));
    }
}
