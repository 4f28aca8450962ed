//! The folder's life: made, added to, renewed, its authority replaced.
#![allow(clippy::unwrap_used, reason = "tests")]
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::files::Files;
use crate::identity::Identity;
use crate::mutual::Mutual;
use crate::renewal::Material as _;

fn node(id: u32) -> Holder {
    Holder::Process(Role::Node(id))
}

#[test]
fn a_folder_for_each_process_that_a_server_can_use_as_it_is() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("certs");
    let authority = Authority::found(&folder, "Meridian").unwrap();
    let made = authority
        .add(
            &node(3),
            &["db3.example.org".to_owned(), "10.0.0.3".to_owned()],
            LEAF_DAYS,
        )
        .unwrap();
    let mutual = Mutual::read(&Files::within(&made)).unwrap();
    assert_eq!(*mutual.identity(), Identity::new("meridian", Role::Node(3)));
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(made.join("key.pem")), 0o600);
    assert_eq!(mode(folder.join("authority/key.pem")), 0o600);
    assert_eq!(mode(folder.join("authority")), 0o700);
    let shown = Authority::open(&folder).unwrap().show().unwrap();
    assert_eq!(
        shown[1].names,
        ["node-3.meridian.rotunda", "db3.example.org", "10.0.0.3"]
    );
    assert!(Authority::found(&folder, "meridian").is_err(), "never over another one");
    assert!(
        authority.add(&node(3), &[], LEAF_DAYS).is_err(),
        "never over another one"
    );
}

#[test]
fn renewing_keeps_names_and_length_and_nothing_of_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::found(folder.path(), "c").unwrap();
    let made = authority.add(&node(1), &["db1.example.org".to_owned()], 90).unwrap();
    let door = Holder::Door("a".to_owned());
    authority.add(&door, &["tickets.example.org".to_owned()], 90).unwrap();
    let key = std::fs::read(made.join("key.pem")).unwrap();
    let before = authority.show().unwrap();
    assert_eq!(authority.renew().unwrap(), ["door-a", "node-1"]);
    let after = authority.show().unwrap();
    assert_ne!(std::fs::read(made.join("key.pem")).unwrap(), key);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.name, &before.names), (&after.name, &after.names));
        let longer = after.not_after.as_second() - before.not_after.as_second();
        assert!((0..3_600).contains(&longer), "{longer}");
    }
}

#[test]
fn an_authority_follows_another_in_three_steps() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = Authority::found(folder.path(), "c").unwrap();
    let (one, two) = (
        authority.add(&node(1), &[], LEAF_DAYS).unwrap(),
        authority.add(&node(2), &[], LEAF_DAYS).unwrap(),
    );
    authority.succeed().unwrap();
    // What the old one signed is still believed.
    Mutual::read(&Files::within(&one)).unwrap();
    let refused = authority.retire().unwrap_err();
    assert!(refused.problem.contains("node-1, node-2"), "{refused}");
    Authority::open(folder.path()).unwrap().renew().unwrap();
    authority.retire().unwrap();
    let believed = std::fs::read_to_string(two.join("ca.pem")).unwrap();
    assert_eq!(believed.matches("BEGIN CERTIFICATE").count(), 1);
    Mutual::read(&Files::within(&two)).unwrap();
    assert!(authority.show().unwrap().iter().all(|holding| holding.is_current));
}

#[test]
fn names_that_no_certificate_can_carry_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for cluster in ["", "a.b", "-a", "a b", &"x".repeat(64)] {
        assert!(Authority::found(folder.path(), cluster).is_err(), "{cluster:?}");
    }
    let authority = Authority::found(folder.path(), "c").unwrap();
    for holder in [
        Holder::Process(Role::Router("../etc".to_owned())),
        Holder::Process(Role::Client(String::new())),
        Holder::Process(Role::Node(0)),
        Holder::Door("a/b".to_owned()),
    ] {
        assert!(
            authority.add(&holder, &["x.example.org".to_owned()], 1).is_err(),
            "{holder}"
        );
    }
    assert!(authority.add(&node(1), &["no name".to_owned()], 1).is_err());
    assert!(authority.add(&node(1), &[], 0).is_err());
}
