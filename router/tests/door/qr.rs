//! A ticket's picture is read by somebody else's reader: Debian's `zbarimg`. Where it is not installed the test says so and
//! passes, except in the gate.

use std::process::{Command, Stdio};

use rotunda_booking::ticket_key;

use crate::house::{House, config, hold, key};

/// What zbar reads off a picture; `None` where there is no zbar.
fn read(png: &[u8]) -> Option<String> {
    let mut file = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
    std::io::Write::write_all(&mut file, png).unwrap();
    let output = Command::new("zbarimg")
        .args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"])
        .arg(file.path())
        .stderr(Stdio::inherit())
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "zbarimg finds no code in the picture");
            Some(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            assert!(
                std::env::var_os("CI").is_none(),
                "zbarimg is not installed; run .ci/setup zbar"
            );
            eprintln!("zbarimg is not installed, so nobody else read the ticket; .ci/setup zbar installs it");
            None
        }
        Err(error) => panic!("zbarimg does not start: {error}"),
    }
}

#[tokio::test]
async fn another_reader_reads_a_ticket_and_its_signature_is_the_venues() {
    let house = House::furnished(config()).await;
    let held = house.post("/v1/bookings", &key(1), &hold(2)).await;
    let id = held.json()["id"].as_str().unwrap().to_owned();
    let confirmed = house.post(&format!("/v1/bookings/{id}/confirm"), &key(2), "").await;
    let keys = house.get("/v1/venues/lisbon-tides/ticket-keys").await.json();
    let public = keys["keys"][0]["public"].as_str().unwrap();
    let public: Vec<u8> = (0..64)
        .step_by(2)
        .map(|n| u8::from_str_radix(&public[n..n + 2], 16).unwrap())
        .collect();
    for ticket in confirmed.json()["tickets"].as_array().unwrap() {
        let path = format!("/v1/tickets/{}", ticket["id"].as_str().unwrap());
        let shown = house.get(&path).await;
        assert_eq!(shown.header("cache-control"), "no-store");
        let text = shown.json()["qr"].as_str().unwrap().to_owned();
        let payload = ticket_key::from_text(&text).unwrap();
        let claims = ticket_key::verify(&payload, public.as_slice().try_into().unwrap()).unwrap();
        assert_eq!(claims.ticket.to_string(), ticket["id"].as_str().unwrap());

        let png = house.get(&format!("{path}/qr.png")).await;
        assert_eq!(
            (png.header("content-type"), png.header("cache-control")),
            ("image/png", "no-store")
        );
        let svg = house.get(&format!("{path}/qr.svg")).await;
        assert_eq!(
            (svg.header("content-type"), svg.header("cache-control")),
            ("image/svg+xml", "no-store")
        );
        if let Some(read) = read(&png.body) {
            assert_eq!(read, text);
        }
    }
}
