//! `rotunda config check` on broken files of settings: each file in `deploy/config/broken` has beside it what is said of it, the
//! line and the remedy included. `UPDATE_GOLDEN=1` writes that anew. And what the samples say is good.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rotunda_chaos::binaries;

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config")
}

/// The command, in the files' own folder and without the variables of whoever runs the tests.
fn check(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::path("rotunda"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROTUNDA_")) {
        if name != "ROTUNDA_BIN_DIR" {
            command.env_remove(name);
        }
    }
    let check = ["config", "check"];
    command
        .args(check)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn a_broken_file_is_refused_with_the_line_and_the_remedy() {
    let folder = config().join("broken");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    assert!(files.len() > 10, "the broken files are not in {}", folder.display());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let server = if name.starts_with("node") { "--node" } else { "--router" };
        let output = check(&folder, &[server, name]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        let golden = file.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &said).unwrap();
        }
        let wanted = fs::read_to_string(&golden).unwrap_or_default();
        if said != wanted {
            wrong.push(format!("{name}\n--- wanted\n{wanted}--- said\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_samples_are_good_and_known_for_whose_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, "an-admin-token\n").unwrap();
    let sample = fs::read_to_string(config().join("router.toml")).unwrap();
    let sample = sample.replace("/etc/rotunda/admin-tokens", tokens.to_str().unwrap());
    fs::write(folder.path().join("router.toml"), sample).unwrap();
    fs::copy(config().join("node.toml"), folder.path().join("node.toml")).unwrap();
    for (file, wanted) in [
        ("node.toml", "good: node 1 of 3"),
        ("router.toml", "good: HTTP on 0.0.0.0:8080"),
    ] {
        let output = check(folder.path(), &[file]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.starts_with(wanted),
            "{file}: {output:?}"
        );
    }
    fs::write(folder.path().join("neither.toml"), "workers = 2\n").unwrap();
    let neither = check(folder.path(), &["neither.toml"]);
    assert_eq!(neither.status.code(), Some(2), "{neither:?}");
    let missing = check(folder.path(), &["--node", "nowhere.toml"]);
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
}
