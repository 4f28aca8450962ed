//! Hears the server-sent events of an admin port, for ever: a connection that is lost is told of and opened again.

use std::time::Duration;

use rotunda_overview::state::{EVENTS_PATH, State, Tick};
use tokio::sync::mpsc::Sender;

use crate::health::cause;

/// An event comes each second; after so long without one the connection is given up.
const SILENCE: Duration = Duration::from_secs(5);

/// Before it is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// More than any event is; whoever sends more without an end is no admin port.
const MOST_BYTES: usize = 32 << 20;

/// What was heard.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// All of it.
    State(Box<State>),
    /// One more second.
    Tick(Box<Tick>),
    /// Nothing, and why.
    Lost(String),
}

/// Tells what is heard until nobody wants to know.
pub(crate) async fn follow(base: String, tell: Sender<Heard>) {
    let http = reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(SILENCE)
        .read_timeout(SILENCE)
        .build();
    let http = match http {
        Ok(http) => http,
        Err(error) => return drop(tell.send(Heard::Lost(cause(&error))).await),
    };
    let url = format!("{base}{EVENTS_PATH}");
    loop {
        let why = match hear(&http, &url, &tell).await {
            Ok(()) => "the process closed the connection".to_owned(),
            Err(why) => why,
        };
        if tell.send(Heard::Lost(why)).await.is_err() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn hear(http: &reqwest::Client, url: &str, tell: &Sender<Heard>) -> Result<(), String> {
    let mut response = http.get(url).send().await.map_err(|error| cause(&error))?;
    if !response.status().is_success() {
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        return Err(format!("{status}: {}", text.trim()));
    }
    let mut events = Events::default();
    while let Some(bytes) = response.chunk().await.map_err(|error| cause(&error))? {
        for heard in events.take(&bytes)? {
            // Nobody wants to know any more.
            if tell.send(heard).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Events out of bytes, however those are cut.
#[derive(Debug, Default)]
struct Events {
    rest: Vec<u8>,
    /// Up to here there is no end of an event.
    looked_at: usize,
}

impl Events {
    fn take(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, String> {
        self.rest.extend_from_slice(bytes);
        let mut heard = Vec::new();
        while let Some(at) = self.rest[self.looked_at..].windows(2).position(|pair| pair == b"\n\n") {
            let end = self.looked_at + at;
            let event: Vec<u8> = self.rest.drain(..end + 2).collect();
            self.looked_at = 0;
            heard.extend(read(&event)?);
        }
        // The end may lie across the cut.
        self.looked_at = self.rest.len().saturating_sub(1);
        if self.rest.len() > MOST_BYTES {
            return Err("an event without an end; is this an admin port?".to_owned());
        }
        Ok(heard)
    }
}

/// An event of a name that is not known is passed over: newer servers may have more.
fn read(event: &[u8]) -> Result<Option<Heard>, String> {
    let text = std::str::from_utf8(event).map_err(|error| format!("an event is no text: {error}"))?;
    let (mut name, mut data) = ("", "");
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("event:") {
            name = value.trim_start();
        } else if let Some(value) = line.strip_prefix("data:") {
            data = value.trim_start();
        }
    }
    let wrong = |error: serde_json::Error| format!("an event `{name}` is not understood: {error}");
    Ok(match name {
        "state" => Some(Heard::State(serde_json::from_str(data).map_err(wrong)?)),
        "tick" => Some(Heard::Tick(serde_json::from_str(data).map_err(wrong)?)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    fn text() -> String {
        let state = serde_json::to_string(&State::default()).unwrap();
        let tick = serde_json::to_string(&Tick::default()).unwrap();
        format!(
            "retry: 1000\nevent: state\ndata: {state}\n\n: a comment\n\nevent: other\ndata: x\n\nevent: tick\ndata: {tick}\n\n"
        )
    }

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let text = text();
        for size in [1, 2, 7, text.len()] {
            let mut events = Events::default();
            let heard: Vec<Heard> = text
                .as_bytes()
                .chunks(size)
                .flat_map(|bytes| events.take(bytes).unwrap())
                .collect();
            assert!(
                matches!(heard[..], [Heard::State(_), Heard::Tick(_)]),
                "{size}: {heard:?}"
            );
        }
        assert!(
            Events::default()
                .take(b"event: tick\ndata: {\n\n")
                .unwrap_err()
                .contains("`tick`")
        );
    }

    #[tokio::test]
    async fn a_lost_connection_is_told_and_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 2_048]).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                stream.write_all(format!("{head}{}", text()).as_bytes()).await.unwrap();
            }
        });
        let (tell, mut heard) = mpsc::channel(4);
        let feed = tokio::spawn(follow(base, tell));
        for _ in 0..2 {
            assert!(matches!(heard.recv().await, Some(Heard::State(_))));
            assert!(matches!(heard.recv().await, Some(Heard::Tick(_))));
            let Some(Heard::Lost(why)) = heard.recv().await else {
                panic!("it is lost")
            };
            assert!(why.contains("closed the connection"), "{why}");
        }
        server.abort();
        feed.abort();
    }
}
