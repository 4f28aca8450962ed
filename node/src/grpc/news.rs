//! Change streams: how the slots of a venue stand, from the applied state of this replica, leader or not. A router opens one
//! for each venue that somebody looks at; what the visitors see comes out of it, so looking costs no leader anything.
//!
//! Nothing is queued here but one message. A task a stream looks at the rows whenever the shard has applied something, says
//! what is not as it said before, and looks again when that was taken: whoever reads slowly is told less often.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use metrics::{Gauge, counter, gauge};
use rotunda_booking::codec;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::live::{Seen, Watcher};
use rotunda_protocol::proto::booking::{WatchNews, WatchRequest};
use rotunda_raft_storage::scope;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::Stop;
use crate::shards::{Shard, Shards};

/// Streams that a node has open at once. One more is refused with RESOURCE_EXHAUSTED, and the router asks another replica.
const WATCHES: usize = 1_024;

/// Messages on their way to one caller beside those in HTTP/2's window. When full the rows are not looked at meanwhile.
const NEWS_QUEUE: usize = 1;

/// How often the applied index is looked at, and so how often news is told at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where nothing changes, how often the caller is told so: it takes a silent stream for a broken one.
const BEAT_EVERY: Duration = Duration::from_millis(200);

/// A caller that takes nothing for so long is dropped.
const SLOW_READER: Duration = Duration::from_secs(5);

/// A replica whose state may be older has lost its leader: the caller had better ask another one.
const TOO_OLD: Duration = Duration::from_secs(3);

/// How long a replica may take to apply what the caller has seen elsewhere, and to hear of a leader.
const CATCH_UP: Duration = Duration::from_secs(3);

pub(crate) type NewsStream = Pin<Box<dyn Stream<Item = Result<WatchNews, Status>> + Send>>;

/// The streams of a node.
pub(crate) struct Watches {
    places: Arc<Semaphore>,
    open: Gauge,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(WATCHES)),
            open: gauge!(rotunda_metrics::node::WATCHES.name),
        }
    }
}

impl Watches {
    /// Begins a stream, or refuses by a status that says where else to ask.
    pub(crate) fn open(
        &self,
        request: &WatchRequest,
        shards: &Shards,
        stop: &Stop,
    ) -> Result<Response<NewsStream>, Status> {
        let shard = shards
            .routed(request.shard, request.epoch)
            .map_err(|rejection| Status::not_found(rejection.to_string()))?;
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            dropped("too_many");
            return Err(Status::resource_exhausted(
                "as many change streams are open on this node as may be; ask another replica",
            ));
        };
        let (sender, news) = mpsc::channel(NEWS_QUEUE);
        let watch = Watch {
            shard,
            venue: VenueNo(request.venue),
            from_index: request.from_index,
            sender,
            _open: Open::new(self.open.clone(), place),
        };
        let stop = stop.clone();
        scope::spawn(async move {
            tokio::select! {
                () = watch.run() => {}
                () = stop.stopped() => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(news).boxed()))
    }
}

fn dropped(reason: &'static str) {
    counter!(rotunda_metrics::node::WATCHES_DROPPED.name, "reason" => reason).increment(1);
}

/// A place, counted while it is taken.
struct Open {
    gauge: Gauge,
    _place: OwnedSemaphorePermit,
}

impl Open {
    fn new(gauge: Gauge, place: OwnedSemaphorePermit) -> Self {
        gauge.increment(1.0);
        Self { gauge, _place: place }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}

/// One stream.
struct Watch {
    shard: Arc<Shard>,
    venue: VenueNo,
    from_index: u64,
    sender: mpsc::Sender<Result<WatchNews, Status>>,
    _open: Open,
}

impl Watch {
    /// Until the caller goes, or for a reason that the last message says.
    async fn run(self) {
        if let Err(status) = self.tell().await {
            // Whoever reads slowly may not even hear this: then the end of the stream says it.
            let _ = self.sender.try_send(Err(status));
        }
    }

    async fn tell(&self) -> Result<(), Status> {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let opened = Instant::now();
        let mut watcher = Watcher::new(self.venue);
        let mut last: Option<(Instant, WatchNews)> = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.sender.closed() => return Ok(()),
            }
            let applied = self.shard.group.reader.applied_index().unwrap_or(0);
            // Before the rows are looked at: they can only be newer.
            let age = self.shard.group.age().filter(|age| *age < TOO_OLD);
            let Some(age) = age.filter(|_| applied >= self.from_index) else {
                if last.is_some() || opened.elapsed() > CATCH_UP {
                    dropped("behind");
                    return Err(Status::unavailable(
                        "this replica hears no leader or is behind; ask another one",
                    ));
                }
                continue;
            };
            let age_ms = u32::try_from(age.as_millis()).unwrap_or(u32::MAX);
            let news = match &last {
                Some((told, before)) if before.index == applied => {
                    if told.elapsed() < BEAT_EVERY {
                        continue;
                    }
                    WatchNews {
                        age_ms,
                        news: bytes::Bytes::new(),
                        ..*before
                    }
                }
                _ => {
                    let looked;
                    (watcher, looked) = self.look(watcher).await?;
                    WatchNews { age_ms, ..looked }
                }
            };
            last = Some((
                Instant::now(),
                WatchNews {
                    news: bytes::Bytes::new(),
                    ..news
                },
            ));
            match timeout(SLOW_READER, self.sender.send(Ok(news))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(()),
                Err(_) => {
                    dropped("slow");
                    return Err(Status::resource_exhausted(format!(
                        "nothing was read for {SLOW_READER:?}; read on, or watch less"
                    )));
                }
            }
        }
    }

    async fn look(&self, mut watcher: Watcher) -> Result<(Watcher, WatchNews), Status> {
        let shard = Arc::clone(&self.shard);
        let looking = move || {
            let seen = shard.show(&mut watcher);
            (watcher, seen)
        };
        let (watcher, seen) = self
            .shard
            .blocking
            .run(looking)
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let (index, seen) = seen.map_err(|error| {
            tracing::error!(shard = self.shard.group.id, %error, "a change stream cannot read the rows");
            Status::unavailable(error.to_string())
        })?;
        let (time, news) = match seen {
            Seen::NoVenue => return Err(Status::not_found("the shard has no such venue yet")),
            Seen::Same { time } => (time, bytes::Bytes::new()),
            Seen::Changed { time, news } => (time, codec::encode_news(&news)),
        };
        let news = WatchNews {
            index,
            time: time.0,
            age_ms: 0,
            news,
        };
        Ok((watcher, news))
    }
}
