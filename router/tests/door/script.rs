//! Golden HTTP scripts: requests and, below `---`, what they are answered with. Run with `UPDATE_GOLDEN=1` to write the
//! answers anew; then read the difference.
//!
//! A file is a list of exchanges between lines of `===`. Lines with `#` before a request are prose, lines with `>` tell
//! the fake cluster something: `> advance 11` minutes, `> meet AnswerLost`, `> empty` (no catalogue). `$1` is the id of
//! the first booking, or the secret of the first token, that came to be in the script, `$t1` that of the first ticket, `$qr1`
//! the text of the first QR code, `$forged1` that code with its last character changed; `$claim` is a claim of membership,
//! `$endedclaim` one that has ended. Of the answer's headers those are shown that belong to the contract.

use std::fmt::Write as _;
use std::path::Path;

use crate::fake::Trouble;
use crate::house::{Answer, House, NETWORK, claim, config, request};

const SHOWN: &[&str] = &[
    "content-type",
    "location",
    "rotunda-commit",
    "idempotency-replayed",
    "etag",
    "content-language",
    "vary",
    "allow",
    "retry-after",
    "www-authenticate",
];

/// And of a 429.
const SHOWN_OF_QUOTAS: &[&str] = &["ratelimit-policy", "ratelimit"];

pub(crate) async fn run(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let house = if text.lines().any(|line| line == "> empty") {
        House::empty(config())
    } else {
        House::furnished(config()).await
    };
    let mut names = Names::default();
    let mut actual = String::new();
    for (n, exchange) in text.split("\n===\n").enumerate() {
        let asked = exchange
            .split_once("\n---")
            .map_or(exchange, |(asked, _)| asked)
            .trim_end();
        let answer = perform(&house, asked, &names).await;
        names.learn(&answer);
        if n > 0 {
            actual.push_str("\n===\n");
        }
        let _ = write!(actual, "{asked}\n---\n{}", show(&answer));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, actual).unwrap();
    } else {
        assert!(actual == text, "{}", difference(path, &text, &actual));
    }
}

/// What was answered before and may be named.
#[derive(Default)]
struct Names {
    bookings: Vec<String>,
    tickets: Vec<String>,
    codes: Vec<String>,
}

impl Names {
    fn learn(&mut self, answer: &Answer) {
        let is_json = answer.status.is_success() && answer.header("content-type").ends_with("json");
        if !is_json {
            return;
        }
        let json = answer.json();
        // A replay is no other booking.
        let note = |known: &mut Vec<String>, text: &serde_json::Value| {
            if let Some(text) = text.as_str().filter(|text| !known.iter().any(|known| known == text)) {
                known.push(text.to_owned());
            }
        };
        if answer.status == 201 {
            note(&mut self.bookings, &json["id"]);
            note(&mut self.bookings, &json["secret"]);
        }
        for ticket in json["tickets"].as_array().into_iter().flatten() {
            note(&mut self.tickets, &ticket["id"]);
        }
        note(&mut self.codes, &json["qr"]);
    }

    fn substitute(&self, text: &str) -> String {
        let claims = [
            ("$claim", claim("2100-01-01T00:00:00Z")),
            ("$endedclaim", claim("2020-01-01T00:00:00Z")),
        ];
        let text = claims
            .iter()
            .fold(text.to_owned(), |text, (name, claim)| text.replace(name, claim));
        let forged: Vec<String> = self.codes.iter().map(|code| forged(code)).collect();
        [
            ("$t", &self.tickets),
            ("$forged", &forged),
            ("$qr", &self.codes),
            ("$", &self.bookings),
        ]
        .into_iter()
        .fold(text, |text, (sign, known)| {
            known.iter().enumerate().rev().fold(text, |text, (n, known)| {
                text.replace(&format!("{sign}{}", n + 1), known)
            })
        })
    }
}

/// The code with another last character.
pub(crate) fn forged(code: &str) -> String {
    let mut forged = code.to_owned();
    let last = forged.pop().map_or('0', |last| if last == '0' { '1' } else { '0' });
    forged.push(last);
    forged
}

async fn perform(house: &House, asked: &str, names: &Names) -> Answer {
    let mut lines = asked.lines();
    let line = loop {
        let line = lines.next().expect("an exchange has a request");
        if let Some(order) = line.strip_prefix("> ") {
            match order.split_once(' ').unwrap_or((order, "")) {
                ("advance", minutes) => house.fake.advance(minutes.parse().unwrap()),
                ("meet", trouble) => house.fake.meet(match trouble {
                    "Unavailable" => Trouble::Unavailable,
                    "Overloaded" => Trouble::Overloaded,
                    "Rejected" => Trouble::Rejected,
                    "AnswerLost" => Trouble::AnswerLost,
                    "Retried" => Trouble::Retried,
                    "Panic" => Trouble::Panic,
                    "Calm" => Trouble::Calm,
                    other => panic!("no such trouble: {other}"),
                }),
                ("empty", _) => {}
                other => panic!("no such order: {other:?}"),
            }
        } else if !line.starts_with('#') && !line.is_empty() {
            break names.substitute(line);
        }
    };
    let (method, path) = line.split_once(' ').expect("a request is `METHOD /path`");
    let mut headers = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").expect("a header is `name: value`");
        headers.push((name.to_owned(), names.substitute(value)));
    }
    let body: Vec<&str> = lines.collect();
    let body = match body.as_slice() {
        ["<meridian.yaml>"] => NETWORK.to_owned(),
        body => names.substitute(&body.join("\n")),
    };
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    house.send(request(method, path, &headers, body)).await
}

fn show(answer: &Answer) -> String {
    let text = written(answer);
    // Quotas go by the machine's own clock, which goes on meanwhile.
    match answer.header("retry-after") {
        seconds if answer.status == 429 => text.replace(seconds, "<seconds>"),
        _ => text,
    }
}

fn written(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    let of_quotas = SHOWN_OF_QUOTAS.iter().filter(|_| answer.status == 429);
    for name in SHOWN.iter().chain(of_quotas) {
        for value in answer.headers.get_all(*name) {
            let _ = writeln!(text, "{name}: {}", value.to_str().unwrap());
        }
    }
    let Ok(body) = std::str::from_utf8(&answer.body) else {
        let _ = write!(text, "\n(no text)\n");
        return text;
    };
    if !body.is_empty() {
        let json = answer.header("content-type").ends_with("json");
        let _ = write!(
            text,
            "\n{}\n",
            if json { indent(body) } else { body.trim_end().to_owned() }
        );
    }
    text
}

/// JSON with one field a line and otherwise as it came: the order of fields is part of the contract.
pub(crate) fn indent(json: &str) -> String {
    let mut text = String::new();
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        text.push(character);
        if in_text {
            in_text = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            '"' => in_text = true,
            ':' => text.push(' '),
            ',' => text.push_str(&format!("\n{}", "  ".repeat(depth))),
            '{' | '[' if matches!(characters.peek(), Some('}' | ']')) => text.extend(characters.next()),
            '{' | '[' => {
                depth += 1;
                text.push_str(&format!("\n{}", "  ".repeat(depth)));
            }
            '}' | ']' => {
                text.pop();
                depth -= 1;
                text.push_str(&format!("\n{}{character}", "  ".repeat(depth)));
            }
            _ => {}
        }
    }
    text
}

fn difference(path: &Path, expected: &str, actual: &str) -> String {
    let at = expected
        .lines()
        .zip(actual.lines())
        .position(|(one, other)| one != other);
    let at = at.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    let around = |text: &str| {
        let lines: Vec<&str> = text.lines().skip(at.saturating_sub(3)).take(12).collect();
        lines.join("\n")
    };
    format!(
        "{} differs from line {}\n--- expected\n{}\n--- actual\n{}\n\nUPDATE_GOLDEN=1 writes the answers anew.",
        path.display(),
        at + 1,
        around(expected),
        around(actual)
    )
}
