//! Both ends at once: who gets through, who does not, and what either is told.
#![allow(clippy::unwrap_used, reason = "tests")]
use std::path::Path;

use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::authority::{Authority, Holder, LEAF_DAYS};

/// Bytes on their way between two ends.
const LINE: usize = 64 << 10;

struct Cluster {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Cluster {
    fn named(cluster: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::found(folder.path(), cluster).unwrap();
        for role in ["node-1", "node-2", "router-a", "client-a"] {
            authority.add(&Holder::parse(role).unwrap(), &[], LEAF_DAYS).unwrap();
        }
        Self { folder, authority }
    }

    fn files(&self, role: &str) -> Files {
        Files::within(&self.folder.path().join(role))
    }

    fn mutual(&self, role: &str) -> Mutual {
        Mutual::read(&self.files(role)).unwrap()
    }
}

type Met = (
    Result<client::TlsStream<DuplexStream>, HandshakeError>,
    Result<(server::TlsStream<DuplexStream>, Identity), HandshakeError>,
);

/// `caller` calls node `wanted` (any where there is none), and `callee` answers.
async fn meet(caller: &Mutual, wanted: Option<u32>, callee: &Mutual) -> Met {
    let (near, far) = duplex(LINE);
    tokio::join!(caller.connect(near, wanted, "127.0.0.1"), callee.accept(far))
}

fn refused<T>(outcome: Result<T, HandshakeError>) -> String {
    match outcome {
        Err(HandshakeError::Refused(why)) => why,
        Err(error) => panic!("not refused, but {error}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn who_calls_and_who_answers_know_each_other() {
    let cluster = Cluster::named("c");
    for (caller, wanted) in [("node-1", Some(2)), ("router-a", Some(2)), ("client-a", None)] {
        let (called, answered) = meet(&cluster.mutual(caller), wanted, &cluster.mutual("node-2")).await;
        let (mut called, (mut answered, identity)) = (called.unwrap(), answered.unwrap());
        assert_eq!(identity.to_string(), format!("{caller}.c.rotunda"));
        assert_eq!(
            called.get_ref().1.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_3)
        );
        called.write_all(b"hello").await.unwrap();
        called.flush().await.unwrap();
        let mut heard = [0; 5];
        answered.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
}

#[tokio::test]
async fn another_nodes_certificate_does_not_pass_for_the_one_that_is_called() {
    let cluster = Cluster::named("c");
    let (called, _) = meet(&cluster.mutual("router-a"), Some(1), &cluster.mutual("node-2")).await;
    let why = refused(called);
    assert!(
        why.contains("node-1.c.rotunda was called and node-2.c.rotunda answered"),
        "{why}"
    );
}

#[tokio::test]
async fn who_is_no_node_cannot_answer_for_one() {
    let cluster = Cluster::named("c");
    for wanted in [Some(1), None] {
        for callee in ["router-a", "client-a"] {
            let (called, _) = meet(&cluster.mutual("node-1"), wanted, &cluster.mutual(callee)).await;
            refused(called);
        }
    }
}

#[tokio::test]
async fn another_authority_is_not_believed_whatever_it_signs() {
    let (ours, theirs) = (Cluster::named("c"), Cluster::named("c"));
    let (called, _) = meet(&ours.mutual("node-1"), Some(2), &theirs.mutual("node-2")).await;
    refused(called);
    // A caller that believes both is still not believed.
    let both = [ours.files("node-1"), theirs.files("node-1")].map(|files| std::fs::read_to_string(files.ca).unwrap());
    std::fs::write(theirs.files("node-1").ca, both.concat()).unwrap();
    let (_, answered) = meet(&theirs.mutual("node-1"), Some(2), &ours.mutual("node-2")).await;
    assert!(answered.is_err());
}

#[tokio::test]
async fn another_cluster_under_the_same_authority_is_told_so() {
    let cluster = Cluster::named("c");
    let stranger = Mutual::read(&signed(&cluster, "node-1.d.rotunda", 3000)).unwrap();
    let (called, _) = meet(&stranger, None, &cluster.mutual("node-2")).await;
    let why = refused(called);
    assert!(why.contains("node-2.c.rotunda, of another cluster"), "{why}");
    // And the one that is called would not have had it either.
    let stranger = Files::within(&cluster.folder.path().join("stranger"));
    let shown = stranger.cert().certificates().unwrap().remove(0);
    let (roots, _) = authorities(cluster.files("node-1").ca(), Timestamp::now()).unwrap();
    let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let calls = Calls {
        ours: Identity::parse("node-2.c.rotunda").unwrap(),
        chain: chain.build().unwrap(),
    };
    let refused = calls.verify_client_cert(&shown.der, &[], UnixTime::now()).unwrap_err();
    assert!(format!("{refused:?}").contains("OtherCluster"), "{refused:?}");
}

/// Signed by the cluster's authority, and not by its rules; good until that year.
fn signed(cluster: &Cluster, name: &str, year: i32) -> Files {
    let read = |file: &str| std::fs::read_to_string(cluster.folder.path().join("authority").join(file)).unwrap();
    let key = rcgen::KeyPair::from_pem(&read("key.pem")).unwrap();
    let authority = cluster.files("node-1").ca().certificates().unwrap().remove(0).contents;
    let mut named = rcgen::CertificateParams::default();
    named.distinguished_name = rcgen::DistinguishedName::new();
    let parts = [
        (rcgen::DnType::OrganizationName, authority.organization),
        (rcgen::DnType::CommonName, authority.common_name),
    ];
    for (kind, value) in parts {
        named.distinguished_name.push(kind, value.unwrap());
    }
    let issuer = rcgen::Issuer::new(named, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let folder = cluster.folder.path().join("stranger");
    std::fs::create_dir(&folder).unwrap();
    let files = Files::within(&folder);
    std::fs::write(&files.ca, read("ca.pem")).unwrap();
    std::fs::write(&files.cert, params.signed_by(&own, &issuer).unwrap().pem()).unwrap();
    secret(&files.key, &own.serialize_pem());
    files
}

fn secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_not_let_in() {
    let cluster = Cluster::named("c");
    let (near, far) = duplex(LINE);
    let (roots, _) = authorities(cluster.files("node-1").ca(), Timestamp::now()).unwrap();
    let answers = Answers {
        ours: Identity::parse("client-x.c.rotunda").unwrap(),
        roots: Arc::new(roots),
        provider: provider(),
    };
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(answers))
        .with_no_client_auth();
    let name = ServerName::try_from("node-1.c.rotunda").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let node = cluster.mutual("node-1");
    let (_, answered) = tokio::join!(connector.connect(name, near), node.accept(far));
    let why = refused(answered.map(|(_, identity)| identity));
    assert!(why.contains("no certificates"), "{why}");
}

/// As a client would begin that knows nothing newer than TLS 1.2.
const HELLO_OF_TLS_1_2: &[u8] = &[
    0x16, 0x03, 0x01, 0x00, 0x3f, // a record: a handshake
    0x01, 0x00, 0x00, 0x3b, 0x03, 0x03, // a hello of 1.2
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,    // random
    0x00, // no session
    0x00, 0x02, 0xc0, 0x2b, // ECDHE-ECDSA-AES128-GCM-SHA256
    0x01, 0x00, // no compression
    0x00, 0x10, // extensions: curves, signatures
    0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17, //
    0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03,
];

#[tokio::test]
async fn tls_1_2_is_not_spoken() {
    let cluster = Cluster::named("c");
    let (mut near, far) = duplex(LINE);
    near.write_all(HELLO_OF_TLS_1_2).await.unwrap();
    let why = refused(cluster.mutual("node-1").accept(far).await.map(|(_, identity)| identity));
    assert!(why.contains("does not speak TLS 1.3"), "{why}");
    let mut alert = Vec::new();
    near.read_to_end(&mut alert).await.unwrap();
    // A fatal alert: protocol_version.
    assert_eq!((alert[0], &alert[5..]), (0x15, [2, 70].as_slice()), "{alert:?}");
}

#[tokio::test]
async fn whoever_says_nothing_is_not_waited_for() {
    tokio::time::pause();
    let cluster = Cluster::named("c");
    let (_near, far) = duplex(LINE);
    let answered = cluster.mutual("node-1").accept(far).await;
    assert!(matches!(answered, Err(HandshakeError::Silence)));
}

#[test]
fn what_has_expired_is_believed_by_nobody() {
    let cluster = Cluster::named("c");
    let ours = Identity::parse("node-1.c.rotunda").unwrap();
    let (roots, _) = authorities(cluster.files("node-1").ca(), Timestamp::now()).unwrap();
    let roots = Arc::new(roots);
    let shown = cluster.files("node-2").cert().certificates().unwrap().remove(0);
    let at = |time: Timestamp| UnixTime::since_unix_epoch(Duration::from_secs(time.as_second().unsigned_abs()));
    let (good, over) = (
        at(Timestamp::now()),
        at(shown.contents.not_after + jiff::SignedDuration::from_secs(1)),
    );
    let answers = Answers {
        ours: ours.clone(),
        roots: Arc::clone(&roots),
        provider: provider(),
    };
    let name = ServerName::try_from("node-2.c.rotunda").unwrap();
    let answered = |now| {
        use rustls::client::danger::ServerCertVerifier as _;
        answers.verify_server_cert(&shown.der, &[], &name, &[], now)
    };
    answered(good).unwrap();
    assert!(answered(over).unwrap_err().to_string().contains("xpired"));
    let chain = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .unwrap();
    let calls = Calls { ours, chain };
    calls.verify_client_cert(&shown.der, &[], good).unwrap();
    assert!(calls.verify_client_cert(&shown.der, &[], over).is_err());
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    let (cluster, other) = (Cluster::named("c"), Cluster::named("c"));
    let good = cluster.files("node-1");
    let said = |files: Files| {
        let problem = Mutual::read(&files).err().unwrap();
        (problem.setting, problem.to_string())
    };
    let (setting, why) = said(Files {
        key: cluster.files("node-2").key,
        ..good.clone()
    });
    assert!(setting == "key" && why.contains("is not the key of"), "{why}");
    let (setting, why) = said(Files {
        ca: other.files("node-1").ca,
        ..good.clone()
    });
    assert!(
        setting == "cert" && why.contains("is not signed by an authority of"),
        "{why}"
    );
    let (setting, why) = said(Files {
        ca: good.cert.clone(),
        ..good.clone()
    });
    assert!(setting == "ca" && why.contains("exchanged"), "{why}");
    let (setting, why) = said(Files {
        cert: good.key.clone(),
        ..good.clone()
    });
    assert!(setting == "cert" && why.contains("BEGIN CERTIFICATE"), "{why}");
    let (setting, why) = said(Files {
        cert: "/nowhere/cert.pem".into(),
        ..good.clone()
    });
    assert!(setting == "cert" && why.contains("cannot be read"), "{why}");
    std::fs::set_permissions(&good.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (setting, why) = said(good);
    assert!(setting == "key" && why.contains("chmod 600"), "{why}");
    let (setting, why) = said(signed(&cluster, "node-9.c.rotunda", 2020));
    assert!(setting == "cert" && why.contains("expired on"), "{why}");
}

#[tokio::test]
async fn new_files_count_for_the_next_connection_and_the_open_one_goes_on() {
    let cluster = Cluster::named("c");
    let (node, router) = (
        Trust::read(cluster.files("node-1")).unwrap(),
        Trust::read(cluster.files("router-a")).unwrap(),
    );
    let (called, answered) = meet(&router.current(), Some(1), &node.current()).await;
    let (mut called, (mut answered, _)) = (called.unwrap(), answered.unwrap());
    assert_eq!(node.look(), Ok(false));
    let key = std::fs::read(cluster.files("node-1").key).unwrap();
    cluster.authority.renew().unwrap();
    // One that was taken up, and one that was not yet: they know each other all the same.
    assert_eq!(node.look(), Ok(true));
    let (_, met) = meet(&router.current(), Some(1), &node.current()).await;
    met.unwrap();
    assert_eq!(router.look(), Ok(true));
    answered.write_all(b"on").await.unwrap();
    answered.flush().await.unwrap();
    let mut heard = [0; 2];
    called.read_exact(&mut heard).await.unwrap();
    // A key that does not belong to the certificate changes nothing.
    secret(&cluster.files("node-1").key, &String::from_utf8(key).unwrap());
    assert_eq!(node.look().unwrap_err().setting, "key");
    let (_, met) = meet(&router.current(), Some(1), &node.current()).await;
    met.unwrap();
}

#[tokio::test]
async fn an_authority_is_replaced_and_there_is_no_step_at_which_anybody_is_a_stranger() {
    let mut cluster = Cluster::named("c");
    let (node, router) = (
        Trust::read(cluster.files("node-1")).unwrap(),
        Trust::read(cluster.files("router-a")).unwrap(),
    );
    let old = cluster.mutual("router-a");
    for step in 0..3 {
        match step {
            0 => cluster.authority.succeed().unwrap(),
            1 => drop(cluster.authority.renew().unwrap()),
            _ => cluster.authority.retire().unwrap(),
        }
        // One of them after the other, as machines are reached.
        for renewed in [&node, &router] {
            assert_eq!(renewed.look(), Ok(true), "{step}");
            let (called, answered) = meet(&router.current(), Some(1), &node.current()).await;
            called.unwrap();
            answered.unwrap();
        }
    }
    let (_, answered) = meet(&old, Some(1), &node.current()).await;
    assert!(answered.is_err(), "what the retired one signed is not believed");
}
