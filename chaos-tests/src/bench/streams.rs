//! Onlookers: thousands of event streams of one slot's day are open on one router while the slot is sold, one place after
//! the other. Each stream has to see every sale by its log index; and what a stream costs the router in memory is told.
//!
//! The seller knows what the slot has left after each index of the log. An event says the index up to which it tells
//! everything, so each event of each stream is held against that: whoever missed a change shows too many vacancies. Beside
//! them a few onlookers open a month and take nothing of it; the router has to drop them, and says why in a counter.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use jiff::{Timestamp, ToSpan as _};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::cpu::{self, Meter};
use super::market::{Kind, NotOnOffer, Stall};
use super::run::{self, Plan, Way};
use super::samples::Percentiles;
use super::shopper::Workload;
use crate::cluster::{self, Cluster};
use crate::visitor::{Request, Visitor};

/// The museum that everybody looks at.
const VENUE: &str = "lisbon-tides";

/// Streams that are being opened at a time.
const OPENING: usize = 64;

/// How long a stream may take until its first event.
const OPENED: Duration = Duration::from_secs(30);

/// How long the last sale may take to reach everybody.
const SEEN: Duration = Duration::from_secs(30);

/// How long the router may take to drop who reads nothing: its deadlines for writing and for reading, and some more.
const DROPPED: Duration = Duration::from_secs(45);

/// What the kernel keeps for a reader that takes nothing.
const NARROW: u32 = 4 << 10;

/// Bytes of a segment to such a reader, as over a poor link: with those of the loopback the router's kernel would take a whole
/// month for a reader that takes none.
const SMALL_SEGMENT: u32 = 536;

/// More than the latest of any stream would be behind, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Onlooking {
    /// Streams, each on a connection and from an address of its own.
    pub streams: usize,
    /// Readers beside them that take nothing.
    pub slow: usize,
    /// Sales a second.
    pub rate: u32,
    /// How long it is sold.
    pub span: Duration,
    /// Where the programs are; beside this one where nobody says.
    pub programs: Option<PathBuf>,
    /// Where data and logs go; where temporary files go where nobody says.
    pub place: Option<PathBuf>,
}

/// What it came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// Streams that were asked for.
    pub streams: usize,
    /// That were open, all at once.
    pub open: usize,
    /// Sales that were acknowledged.
    pub sales: usize,
    /// Events that came, over all streams.
    pub events: u64,
    /// Streams that saw everything to the last sale.
    pub complete: usize,
    /// Events whose vacancies were not those of their index, or whose index did not grow.
    pub wrong: u64,
    /// Microseconds from a sale's answer to its being seen, over all sales and streams.
    pub lag_us: Percentiles,
    /// Bytes that the router's memory grew by, for each stream.
    pub bytes_per_stream: u64,
    /// The router's resident memory before the first stream, and with all of them.
    pub resident_bytes: (u64, u64),
    /// Cores that the router kept busy while it was sold.
    pub router_cores: f64,
    /// Questions that reached each node while it was sold.
    pub questions: BTreeMap<u32, u64>,
    /// Which of them leads the museum's shard.
    pub leader: u32,
    /// Readers that took nothing.
    pub slow: usize,
    /// Of these, dropped by the router.
    pub slow_dropped: u64,
}

impl Outcome {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mebi = |bytes: u64| bytes >> 20;
        let mut text = format!(
            "{} of {} streams open at once on one router, {} sales, {} events\n\
             saw every sale, gap-free by index: {} streams; wrong events: {}\n\
             behind the sale's answer: p50 {} us, p99 {} us, max {} us\n\
             memory: {} bytes a stream ({} MiB before, {} MiB with all); router: {:.2} cores\n\
             slow readers dropped, counted as slow_reader: {} of {}\n",
            self.open,
            self.streams,
            self.sales,
            self.events,
            self.complete,
            self.wrong,
            self.lag_us.p50,
            self.lag_us.p99,
            self.lag_us.max,
            self.bytes_per_stream,
            mebi(self.resident_bytes.0),
            mebi(self.resident_bytes.1),
            self.router_cores,
            self.slow_dropped,
            self.slow,
        );
        for (node, questions) in &self.questions {
            let role = if *node == self.leader { "leader" } else { "follower" };
            text.push_str(&format!("questions that reached node {node} ({role}): {questions}\n"));
        }
        text
    }

    /// True where all were open, all saw everything, and who read nothing was dropped.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.open == self.streams
            && self.complete == self.streams
            && self.wrong == 0
            && self.sales > 0
            && self.slow_dropped >= self.slow as u64
    }
}

/// What one stream heard: index, vacancies of the slot if they changed, and when.
type Heard = Vec<(u64, Option<u32>, Instant)>;

/// Opens the streams, sells, and tells what they saw.
///
/// # Errors
/// Where the museum is not there to be looked at.
///
/// # Panics
/// Where the cluster does not come up, or ends.
pub async fn measure(onlooking: &Onlooking, progress: impl Fn(&str)) -> Result<Outcome, NotOnOffer> {
    let plan = Plan {
        market: Kind::WholeNetwork,
        place: onlooking.place.clone(),
        router_flags: format!(
            "--live-streams {0} --max-connections {0}",
            onlooking.streams + onlooking.slow + 1_000
        ),
        ..Plan::new(Workload::Spread, Way::Http, onlooking.span, onlooking.programs.clone())
    };
    let mut ground = run::found(&plan).await?;
    let stall = ground.stalls.iter().find(|stall| stall.venue == VENUE).cloned();
    let stall = stall.ok_or_else(|| NotOnOffer::new(format!("{VENUE} sells nothing")))?;
    let cluster = &mut ground.cluster;
    let router = cluster.router().pid();
    let door = cluster.http_address();
    let path: Arc<str> = stall.look.replace("/availability?", "/availability/stream?").into();
    // The router watches the venue before it is weighed.
    drop(open(door, &path, usize::MAX, None).await);
    let before = cpu::resident(router).unwrap_or(0);

    progress("streams being opened");
    let all = onlooking.streams;
    let watched = Arc::new(Watched::default());
    let mut readers = JoinSet::new();
    let gate = Arc::new(Semaphore::new(OPENING));
    for number in 0..all {
        let (path, gate, watched) = (path.clone(), gate.clone(), watched.clone());
        let slot = format!("\"id\":\"{}\"", stall.slot);
        readers.spawn(async move {
            let permit = gate.acquire_owned().await.ok();
            let opened = timeout(OPENED, open(door, &path, number, None)).await;
            let Ok(Ok(stream)) = opened else { return Heard::new() };
            watch(stream, &slot, permit, &watched).await
        });
    }
    let opened = |open: usize| open >= all;
    wait_for(OPENED, || opened(watched.open.load(Ordering::Relaxed))).await;
    let open_at_once = watched.open.load(Ordering::Relaxed);
    let with_all = cpu::resident(router).unwrap_or(0);

    progress("places being sold");
    let asked_before = questions(cluster).await?;
    let meter = Meter::of(vec![("router".to_owned(), router)]);
    let begun = Instant::now();
    let sold = sell(onlooking, cluster, &stall).await;
    let last = sold.last().map_or(0, |(index, _)| *index);
    watched.last.store(last, Ordering::Relaxed);
    wait_for(SEEN, || watched.done.load(Ordering::Relaxed) >= open_at_once).await;
    let micros: u64 = meter.read().into_iter().map(|(_, micros)| micros).sum();
    let took = begun.elapsed().as_secs_f64();
    let asked = questions(cluster).await?.into_iter();
    let leader = cluster.leader_of(stall.shard).await;
    readers.abort_all();
    let mut outcome = Outcome {
        streams: all,
        open: open_at_once,
        sales: sold.len(),
        resident_bytes: (before, with_all),
        bytes_per_stream: with_all.saturating_sub(before) / (open_at_once.max(1) as u64),
        questions: asked
            .map(|(node, count)| {
                (
                    node,
                    count.saturating_sub(asked_before.get(&node).copied().unwrap_or(0)),
                )
            })
            .collect(),
        leader,
        slow: onlooking.slow,
        ..Outcome::default()
    };
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    let cores = micros as f64 / 1e6 / took;
    outcome.router_cores = cores;
    let mut lag = Histogram::new_with_bounds(1, LONGEST_US, 3).map_err(|error| NotOnOffer::new(error.to_string()))?;
    while let Some(heard) = readers.join_next().await {
        let heard = heard.unwrap_or_default();
        judge(&heard, &sold, &stall, &mut outcome, &mut lag);
    }
    outcome.lag_us = Percentiles::of(&lag);

    if onlooking.slow > 0 {
        progress("readers that take nothing");
        outcome.slow_dropped = drop_slow(onlooking, cluster, door).await?;
    }
    cluster.check_processes();
    Ok(outcome)
}

/// What all streams tell each other.
#[derive(Default)]
struct Watched {
    open: AtomicUsize,
    /// Index of the last sale, once it is known.
    last: AtomicU64,
    /// Streams that have seen it.
    done: AtomicUsize,
}

async fn wait_for(most: Duration, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() && begun.elapsed() < most {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Asks for a stream, from an address of its own.
async fn open(door: SocketAddr, path: &str, number: usize, narrow: Option<u32>) -> io::Result<TcpStream> {
    let mut stream = match narrow {
        Some(bytes) => {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(bytes)?;
            socket2::SockRef::from(&socket).set_tcp_mss(SMALL_SEGMENT)?;
            socket.connect(door).await?
        }
        None => TcpStream::connect(door).await?,
    };
    let [.., a, b, c] = number.to_be_bytes();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {door}\r\nx-forwarded-for: 10.{a}.{b}.{c}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Reads until the last sale was seen, or the router ends it.
async fn watch<P>(mut stream: TcpStream, slot: &str, permit: Option<P>, watched: &Watched) -> Heard {
    let mut heard = Heard::new();
    let mut text = String::new();
    let mut buffer = vec![0; 16 << 10];
    let mut opening = permit;
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else {
            return heard;
        };
        let now = Instant::now();
        text.push_str(&String::from_utf8_lossy(buffer.get(..read).unwrap_or_default()));
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            let Some(id) = event
                .lines()
                .find_map(|line| line.strip_prefix("id: ")?.trim().parse().ok())
            else {
                continue;
            };
            heard.push((id, vacancies(&event, slot), now));
            if opening.take().is_some() {
                watched.open.fetch_add(1, Ordering::Relaxed);
                // What follows is small, and there are thousands of these.
                buffer = vec![0; 2 << 10];
            }
        }
        let last = watched.last.load(Ordering::Relaxed);
        if last > 0 && heard.last().is_some_and(|(id, ..)| *id >= last) {
            watched.done.fetch_add(1, Ordering::Relaxed);
            return heard;
        }
    }
}

/// What an event says that the slot has left.
fn vacancies(event: &str, slot: &str) -> Option<u32> {
    let (_, of_slot) = event.split_once(slot)?;
    let (_, rest) = of_slot.split_once("\"vacancies\":")?;
    let end = rest.find(|character: char| !character.is_ascii_digit())?;
    rest.get(..end)?.parse().ok()
}

/// Sells one booking after the other, so many a second; the index of each, and when it was answered. The last ones come when
/// nobody expects any more, so that a stream that is told of nothing any more is found out.
async fn sell(onlooking: &Onlooking, cluster: &Cluster, stall: &Stall) -> Vec<(u64, Instant)> {
    let visitor = Visitor::new(&cluster.door());
    let most = stall.places / stall.least.max(1);
    let wanted = u64::from(onlooking.rate) * onlooking.span.as_secs().max(1);
    let pause = Duration::from_secs(1) / onlooking.rate.max(1);
    let mut sold = Vec::new();
    for _ in 0..wanted.min(u64::from(most)) {
        let body = stall.bodies.first().and_then(|body| serde_json::from_slice(body).ok());
        let settled = visitor.settle(&Request::post("/v1/bookings", body)).await;
        let answer = settled.answer().filter(|answer| answer.is_success());
        if let Some((_, index)) = answer.and_then(|answer| answer.commit) {
            sold.push((index, settled.returned));
        }
        sleep(pause).await;
    }
    sold
}

/// Holds what a stream heard against what was sold.
fn judge(heard: &Heard, sold: &[(u64, Instant)], stall: &Stall, outcome: &mut Outcome, lag: &mut Histogram<u64>) {
    outcome.events += heard.len() as u64;
    let mut unseen = sold;
    let mut before = None;
    let mut wrong = 0;
    for (id, vacancies, at) in heard {
        if before.is_some_and(|before| *id <= before) {
            wrong += 1;
        }
        before = Some(*id);
        let through = sold.partition_point(|(index, _)| index <= id);
        let news = unseen.partition_point(|(index, _)| index <= id);
        let (now_seen, later) = unseen.split_at(news);
        let left = stall
            .places
            .saturating_sub(stall.least * u32::try_from(through).unwrap_or(u32::MAX));
        // An event that brings a sale says what is left; any other says nothing of the slot, or the same.
        if vacancies.map_or(news > 0, |shown| shown != left) {
            wrong += 1;
        }
        for (_, answered) in now_seen {
            let micros = at.saturating_duration_since(*answered).as_micros();
            lag.saturating_record(u64::try_from(micros).unwrap_or(LONGEST_US).max(1));
        }
        unseen = later;
    }
    outcome.wrong += wrong;
    outcome.complete += usize::from(unseen.is_empty() && !heard.is_empty() && wrong == 0);
}

/// Opens a month for readers that take nothing of it, and waits until the router has dropped them.
async fn drop_slow(onlooking: &Onlooking, cluster: &Cluster, door: SocketAddr) -> Result<u64, NotOnOffer> {
    let day = |days: i64| {
        (Timestamp::now() + (days * 24).hours())
            .strftime("%Y-%m-%d")
            .to_string()
    };
    let path = format!("/v1/venues/{VENUE}/availability/stream?from={}&to={}", day(1), day(31));
    let before = dropped(cluster).await?;
    let mut slow = Vec::new();
    for number in 0..onlooking.slow {
        let opened = open(door, &path, onlooking.streams + number, Some(NARROW)).await;
        slow.push(opened.map_err(|error| NotOnOffer::new(error.to_string()))?);
    }
    let begun = Instant::now();
    loop {
        let now = dropped(cluster).await?.saturating_sub(before);
        if now >= onlooking.slow as u64 || begun.elapsed() > DROPPED {
            return Ok(now);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Streams that the router has dropped for their readers' slowness.
async fn dropped(cluster: &Cluster) -> Result<u64, NotOnOffer> {
    let page = page(cluster.router_admin()).await?;
    let name = "rotunda_router_event_streams_dropped_total{reason=\"slow_reader\"} ";
    Ok(count(&page, name))
}

async fn questions(cluster: &Cluster) -> Result<BTreeMap<u32, u64>, NotOnOffer> {
    let mut questions = BTreeMap::new();
    for node in cluster.nodes() {
        let page = page(format!("http://{}", cluster.admin(node))).await?;
        questions.insert(node, count(&page, "rotunda_queries_total "));
    }
    Ok(questions)
}

fn count(page: &str, name: &str) -> u64 {
    let found = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    found.unwrap_or(0)
}

async fn page(admin: String) -> Result<String, NotOnOffer> {
    let url = format!("{admin}/metrics");
    let page = async { cluster::http().get(&url).send().await?.text().await };
    page.await.map_err(|error| NotOnOffer::new(format!("{url}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stall() -> Stall {
        Stall {
            venue: VENUE.to_owned(),
            number: rotunda_booking::ids::VenueNo(1),
            shard: 1,
            slot: rotunda_booking::ids::SlotRef {
                product: "general".to_owned(),
                start: rotunda_booking::time::Timestamp(0),
                offset_minutes: 0,
            },
            unit: "adult".to_owned(),
            least: 1,
            places: 10,
            bodies: Vec::new(),
            look: String::new(),
        }
    }

    fn judged(heard: &[(u64, Option<u32>)]) -> Outcome {
        let now = Instant::now();
        let sold = [(12, now), (15, now)];
        let heard = heard.iter().map(|(id, left)| (*id, *left, now)).collect();
        let mut outcome = Outcome::default();
        let mut lag = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds");
        judge(&heard, &sold, &stall(), &mut outcome, &mut lag);
        outcome
    }

    #[test]
    fn a_stream_that_missed_a_sale_is_found_out() {
        let sound = |heard: &[(u64, Option<u32>)]| {
            let outcome = judged(heard);
            (outcome.complete, outcome.wrong)
        };
        assert_eq!(sound(&[(9, Some(10)), (12, Some(9)), (15, Some(8))]), (1, 0));
        assert_eq!(sound(&[(9, Some(10)), (16, Some(8))]), (1, 0), "two in one event");
        assert_eq!(sound(&[(9, Some(10)), (12, Some(9))]), (0, 0), "the last is missing");
        assert_eq!(sound(&[(9, Some(10)), (16, Some(9))]), (0, 1), "one of two is missing");
        assert_eq!(
            sound(&[(9, Some(10)), (13, None), (15, Some(8))]),
            (0, 1),
            "an index without its sale"
        );
        assert_eq!(
            sound(&[(9, Some(10)), (15, Some(8)), (15, Some(8))]),
            (0, 1),
            "an index twice"
        );
    }

    #[test]
    fn vacancies_are_those_of_the_slot() {
        let event = "event: slots\nid: 7\ndata: {\"slots\":[{\"id\":\"a@1\",\"vacancies\":3},{\"id\":\"a@2\",\"capacity\":9,\"vacancies\":12,\"prices\":[]}]}\n\n";
        assert_eq!(vacancies(event, "\"id\":\"a@2\""), Some(12));
        assert_eq!(vacancies(event, "\"id\":\"a@1\""), Some(3));
        assert_eq!(vacancies(event, "\"id\":\"a@3\""), None);
    }
}
