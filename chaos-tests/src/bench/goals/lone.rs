//! S5: how long one client waits that nobody else disturbs, beside what it cannot do without: an fsync, and two messages there
//! and back.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::market::NotOnOffer;
use super::super::run::{self, Plan, Way};
use super::super::samples::Deed;
use super::super::shopper::Workload;
use super::{Goal, Options, Report, folder};

/// Bytes of a log record, about.
const RECORD: [u8; 512] = [7; 512];
/// Bytes of a message.
const MESSAGE: usize = 256;
/// Repetitions of what is bare.
const TIMES: usize = 2_000;

pub(super) async fn measure(options: &Options, report: &mut Report) -> Result<(), NotOnOffer> {
    let place = folder(&options.place, "lone")?;
    let bare = tokio::task::spawn_blocking(move || Ok::<_, io::Error>((fsync(&place)?, echo()?))).await;
    let (fsync, echo) = bare
        .map_err(|error| NotOnOffer::new(error.to_string()))?
        .map_err(|error| NotOnOffer::new(format!("what is bare cannot be measured: {error}")))?;
    let most = 2 * (fsync + 2 * echo);
    for (way, door) in [(Way::Grpc, "gRPC"), (Way::Http, "HTTP")] {
        let plan = Plan {
            clients: 1,
            ..options.plan(Workload::Hot, way)
        };
        let outcome = run::run(&plan).await?;
        report.audited(Goal::S5, &outcome);
        let p50 = outcome.deeds.get(&Deed::Hold).map_or(0, |deed| deed.latency_us.p50);
        let wanted = format!(
            "<= {} us (twice an fsync of {} us and two echoes of {} us)",
            most.as_micros(),
            fsync.as_micros(),
            echo.as_micros()
        );
        let met = u128::from(p50) <= most.as_micros();
        report.add(
            Goal::S5,
            &format!("one client, p50, {door}"),
            wanted,
            format!("{p50} us"),
            met,
        );
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The median time of a record that is appended and synced.
fn fsync(place: &Path) -> io::Result<Duration> {
    let mut file = File::create(place.join("fsync"))?;
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        file.write_all(&RECORD)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(median(times))
}

/// The median time of a message there and back over loopback, between two threads.
fn echo() -> io::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let other = std::thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut message = [0; MESSAGE];
        for _ in 0..TIMES {
            stream.read_exact(&mut message)?;
            stream.write_all(&message)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut message = [0; MESSAGE];
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        times.push(begun.elapsed());
    }
    other
        .join()
        .map_err(|_| io::Error::other("the other side panicked"))??;
    Ok(median(times))
}
