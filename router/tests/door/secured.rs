//! The door under TLS: 1.3 and nothing older, both kinds of HTTP, new certificates while visitors are there.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use rotunda_router::config::{Config, HttpsSettings};
use rotunda_tls::authority::{Authority, Holder};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::house::config;
use crate::sockets::{PATIENCE, Running, post_hold, start};

const NAME: &str = "tickets.example.org";

struct Secured {
    folder: tempfile::TempDir,
    authority: Authority,
    running: Running,
    https: SocketAddr,
}

async fn secured() -> Secured {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::found(folder.path(), "c").unwrap();
    let door = Holder::Door("a".to_owned());
    let made = authority.add(&door, &[NAME.to_owned()], 30).unwrap();
    let config = Config {
        https: HttpsSettings {
            listen: Some(([127, 0, 0, 1], 0).into()),
            cert: Some(made.join("cert.pem")),
            key: Some(made.join("key.pem")),
        },
        ..config()
    };
    let running = start(config).await;
    let https = running.https.unwrap();
    Secured {
        folder,
        authority,
        running,
        https,
    }
}

/// A visitor that believes the authority in `folder`, and asks for `alpn`.
fn visitor(folder: &Path, alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(folder.join("door-a/ca.pem")).unwrap() {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn enter(visitor: &TlsConnector, at: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(at).await.unwrap();
    visitor.connect(ServerName::try_from(NAME).unwrap(), stream).await
}

/// One answer of known length, from wherever it comes.
async fn answer(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut buffer = [0; 4096];
        let length = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(length > 0, "the door closed");
        read.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test]
async fn visitors_book_over_tls_1_3() {
    let house = secured().await;
    for alpn in [&[b"http/1.1".as_slice()][..], &[]] {
        let visitor = visitor(house.folder.path(), alpn);
        let mut stream = enter(&visitor, house.https).await.unwrap();
        let version = stream.get_ref().1.protocol_version();
        assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_3));
        let said = answer(&mut stream, &post_hold(u32::try_from(alpn.len()).unwrap())).await;
        assert!(said.starts_with("HTTP/1.1 201 "), "{said}");
    }
}

#[tokio::test]
async fn whoever_asks_for_http_2_has_it() {
    let house = secured().await;
    let visitor = visitor(house.folder.path(), &[b"h2", b"http/1.1"]);
    let stream = enter(&visitor, house.https).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut requests = requests.ready().await.unwrap();
    let request = Request::get("https://tickets.example.org/livez").body(()).unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), 200);
    drop::<h2::client::SendRequest<Bytes>>(requests);
}

#[tokio::test]
async fn what_is_older_or_no_tls_at_all_is_not_answered() {
    let house = secured().await;
    // A hello of a client that knows nothing newer than TLS 1.2: 32 bytes of randomness, one cipher, a curve, a signature.
    let mut hello = vec![0x16, 3, 1, 0, 0x3f, 1, 0, 0, 0x3b, 3, 3];
    hello.extend([7; 32]);
    hello.extend([
        0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 16, 0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3,
    ]);
    let mut stream = TcpStream::connect(house.https).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut alert = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut alert))
        .await
        .unwrap()
        .unwrap();
    // Fatal, protocol_version.
    assert_eq!(alert[5..], [2, 70], "{alert:?}");
    let mut stream = TcpStream::connect(house.https).await.unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n")
        .await
        .unwrap();
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.unwrap();
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_the_next_visitor_and_the_one_inside_stays() {
    let house = secured().await;
    let visitor = visitor(house.folder.path(), &[b"http/1.1"]);
    let mut inside = enter(&visitor, house.https).await.unwrap();
    let shown = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let before = shown(&inside);
    house.authority.renew().unwrap();
    let renewed = async {
        loop {
            // A visitor without a memory, or the session of before would be resumed.
            let visitor = self::visitor(house.folder.path(), &[b"http/1.1"]);
            if shown(&enter(&visitor, house.https).await.unwrap()) != before {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, renewed).await.expect("the new certificate is shown");
    let said = answer(&mut inside, &post_hold(1)).await;
    assert!(said.starts_with("HTTP/1.1 201 "), "{said}");
    // A drain ends both doors.
    house.running.stop.cancel();
    timeout(PATIENCE, house.running.served).await.unwrap().unwrap();
    assert!(TcpStream::connect(house.https).await.is_err());
}
