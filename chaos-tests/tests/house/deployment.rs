//! What is deployed with: units that systemd understands and that give away little, a chart whose values have a schema, and no
//! variable anywhere that no program reads. `make deploy-check` tries all of it for real.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use rotunda_chaos::report::tell;

use crate::tree;

/// Of 10, in tenths: what `systemd-analyze security` may say of a unit at most.
const EXPOSURE: &str = "25";

const UNITS: [&str; 2] = ["rotunda-node", "rotunda-router"];

#[test]
fn systemd_understands_the_units_and_finds_them_well_shut_in() {
    if !Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok_and(|said| said.status.success())
    {
        assert!(
            std::env::var_os("CI").is_none(),
            "systemd-analyze is missing: apt-get install systemd"
        );
        tell("NOT COVERED: systemd-analyze is missing, so nobody judged the units (apt-get install systemd)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for unit in UNITS {
        let text = fs::read_to_string(tree::root().join(format!("deploy/systemd/{unit}.service"))).expect(unit);
        let program = format!("ExecStart=/usr/bin/{unit} ");
        assert!(text.contains(&program), "{unit} does not start its program");
        // It looks whether the program is there; nothing is installed here.
        let shown = folder.path().join(format!("{unit}.service"));
        fs::write(&shown, text.replace(&program, "ExecStart=/bin/true ")).unwrap();
        for arguments in [
            vec!["verify"],
            vec!["security", "--no-pager", "--offline=true", "--threshold", EXPOSURE],
        ] {
            let judged = Command::new("systemd-analyze")
                .args(&arguments)
                .arg(&shown)
                .output()
                .unwrap();
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&judged.stdout),
                String::from_utf8_lossy(&judged.stderr)
            );
            assert!(judged.status.success(), "{unit}: {arguments:?}\n{said}");
            assert!(arguments[0] != "verify" || said.is_empty(), "{unit}:\n{said}");
        }
    }
}

#[test]
fn every_value_of_the_chart_has_a_schema() {
    let chart = tree::root().join("deploy/helm/rotunda");
    let schema = fs::read(chart.join("values.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&schema).expect("values.schema.json is JSON");
    assert_eq!(
        schema["additionalProperties"], false,
        "values that nobody knows are refused"
    );
    let values = fs::read_to_string(chart.join("values.yaml")).unwrap();
    // Keys of the first two levels: the indentation is the file's own, two spaces.
    let mut outer = "";
    let mut without = Vec::new();
    for line in values.lines() {
        let key = line.trim_start().split(':').next().unwrap_or_default();
        if key.is_empty() || !line.contains(':') || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            continue;
        }
        match line.len() - line.trim_start().len() {
            0 => {
                outer = key;
                if !schema["properties"][key].is_object() {
                    without.push(key.to_owned());
                }
            }
            2 if !schema["properties"][outer]["properties"][key].is_object() => without.push(format!("{outer}.{key}")),
            _ => {}
        }
    }
    tree::none("Values that values.schema.json does not know:", &without);
}

/// Read by a program, and not in the lists of settings.
const OTHERS: &[&str] = &["CONFIG", "PEERS", "LOG", "ADMIN_TOKEN", "ROUTER", "TOKEN", "BIN_DIR"];
/// compose.yaml's own.
const OF_COMPOSE: &[&str] = &["IMAGE"];

#[test]
fn every_variable_that_a_deployment_sets_is_read_by_a_program() {
    let mut read: BTreeSet<String> = OTHERS.iter().chain(OF_COMPOSE).map(|&name| name.to_owned()).collect();
    for source in [
        "node/src/config.rs",
        "router/src/config/flags.rs",
        "router/src/config/certificates.rs",
        "deploy/tls/src/files.rs",
        "deploy/cli/src/args.rs",
        "deploy/cli/src/args/backup.rs",
        "deploy/cli/src/args/certs.rs",
    ] {
        let text = fs::read_to_string(tree::root().join(source)).expect(source);
        let quoted = text.split('"').skip(1).step_by(2);
        let names = quoted.filter(|name| !name.contains(' '));
        read.extend(names.map(|name| name.trim_start_matches("ROTUNDA_").to_uppercase()));
    }
    assert!(
        read.contains("MAX_IN_FLIGHT") && read.contains("NODE_ID"),
        "the settings were not found: {read:?}"
    );
    let mut unknown = Vec::new();
    for extension in ["yaml", "tpl", "service", "txt", "md"] {
        for file in tree::files("deploy", extension) {
            for (index, line) in file.text.lines().enumerate() {
                for rest in line.split("ROTUNDA_").skip(1) {
                    let end = rest
                        .find(|c: char| !c.is_ascii_uppercase() && c != '_')
                        .unwrap_or(rest.len());
                    let name = &rest[..end];
                    // `ROTUNDA_*` in prose.
                    if !name.is_empty() && !read.contains(name) {
                        unknown.push(format!("{}:{}: ROTUNDA_{name}", file.path, index + 1));
                    }
                }
            }
        }
    }
    tree::none("Variables that no program reads:", &unknown);
}
