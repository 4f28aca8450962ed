//! Runs `testscripts/*.txt`: blocks of commands, `---`, and what they answer. `UPDATE_GOLDEN=1` writes the answers anew;
//! the difference is then to be read, not only committed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::script::World;
use crate::outcome::RefusalCode;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts");
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    scripts.sort();
    assert!(!scripts.is_empty());
    scripts
}

/// The script as it stands, as it should stand, and the refusals that occurred.
fn run(path: &Path) -> (String, String, Vec<RefusalCode>) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut world = World::new();
    let mut blocks = Vec::new();
    for block in text.trim_end().split("\n\n") {
        let input = block.split_once("\n---").map_or(block, |(input, _)| input);
        let lines: Vec<&str> = input
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .collect();
        let output = world.run(&lines);
        let output = output.trim_end();
        blocks.push(match output {
            "" => input.trim_end().to_owned(),
            output => format!("{}\n---\n{output}", input.trim_end()),
        });
    }
    (text, blocks.join("\n\n") + "\n", world.refusals)
}

#[test]
fn scripts_are_answered_as_written() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for path in scripts() {
        let (written, answered, _) = run(&path);
        if written == answered {
            continue;
        }
        if update {
            std::fs::write(&path, answered).unwrap();
            continue;
        }
        let line = written.lines().zip(answered.lines()).position(|(a, b)| a != b);
        let line = line.unwrap_or_else(|| written.lines().count().min(answered.lines().count()));
        let of = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
        wrong.push(format!(
            "{}:{}\n  written:  {}\n  answered: {}",
            path.display(),
            line + 1,
            of(&written),
            of(&answered)
        ));
    }
    assert!(
        wrong.is_empty(),
        "{}\nUPDATE_GOLDEN=1 writes the answers anew",
        wrong.join("\n")
    );
}

#[test]
fn every_refusal_occurs_in_a_script() {
    let seen: BTreeSet<RefusalCode> = scripts().iter().flat_map(|path| run(path).2).collect();
    let missing: Vec<_> = RefusalCode::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "no script shows {missing:?}");
}
