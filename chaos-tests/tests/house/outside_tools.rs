//! Programs of others that read what we wrote: promtool and amtool. Where one is missing the test says so and passes, but for
//! the gate (which sets `CI`), where it fails.

use std::ffi::OsStr;
use std::process::Command;

use crate::tree;

/// Runs a program in the repository's top folder; it has to be content. `None` where it is not there.
pub(crate) fn is_content<Argument: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = Argument>,
) -> Option<String> {
    let output = match Command::new(program).args(arguments).current_dir(tree::root()).output() {
        Ok(output) => output,
        Err(error) if std::env::var_os("CI").is_some() => panic!("{program}: {error}"),
        Err(error) => {
            eprintln!("NOT CHECKED: {program} does not run here ({error}); `.ci/setup prometheus DIR` fetches it");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
    Some(said)
}
