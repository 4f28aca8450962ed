//! The repository's files as the other modules read them.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Top folder of the repository.
pub(crate) fn root() -> PathBuf {
    // Asked at run time: a target folder can be shared by several clones.
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest
        .parent()
        .expect("chaos-tests lies in the repository")
        .to_path_buf()
}

/// A file by its path from the root, with forward slashes.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Whether it is compiled for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs"))
    }

    /// Numbered lines that reach a binary: without comments, and without an inline test module, which ends its file.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut after_cfg_test = false;
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .take_while(move |(_, line)| {
                let opens_tests = after_cfg_test && line.starts_with("mod ") && line.ends_with('{');
                after_cfg_test = line.starts_with("#[cfg(test)]");
                !opens_tests
            })
            // A `//` inside a string cuts its line short, which hides a word at worst and never makes one up.
            .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
    }
}

/// Every file below `folder` whose name ends in `.extension`, in order of path. Build output and hidden folders are left out.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type().unwrap().is_dir() {
                if !name.starts_with('.') && name != "target" {
                    open.push(path);
                }
            } else if Path::new(&name).extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let path = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Every Rust source of the workspace.
pub(crate) fn sources() -> Vec<File> {
    let found = files(".", "rs");
    assert!(
        found.len() > 20,
        "the sources were not found below {}",
        root().display()
    );
    found
}

/// Fails with all that was found, one a line.
pub(crate) fn none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}\n  {}\n", offenders.join("\n  "));
}
