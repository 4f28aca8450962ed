//! A change stream of one venue, from whichever replica of its shard is at hand: followers first, so that looking costs the
//! leader nothing. A stream ends when it breaks; whoever holds it opens another one from the index that it has.

use std::time::Duration;

use futures::Stream;
use futures::stream::unfold;
use rotunda_booking::codec;
use rotunda_booking::ids::VenueNo;
use rotunda_booking::live::News;
use rotunda_booking::time::Timestamp;
use tokio::time::timeout;
use tonic::Streaming;

use super::Inner;
use crate::error::ClientError;
use crate::proto::booking::{WatchNews, WatchRequest};
use crate::shard_map::ShardMap;

/// How long a node may take to accept a stream, connecting included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a stream may be silent: nodes say several times a second that nothing has changed.
const SILENCE: Duration = Duration::from_secs(4);

/// What a replica says of a venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The shard.
    pub shard: u64,
    /// Applied index that the listener now knows all about.
    pub index: u64,
    /// Log time there.
    pub time: Timestamp,
    /// What was acknowledged longer ago than this, counted from when it was sent, is in it.
    pub age: Duration,
    /// What has changed; everything at first.
    pub news: Option<News>,
}

/// Opens streams until one breaks, and then ends with the reason. At most one stream is tried at a node.
pub(super) fn watch(
    inner: std::sync::Arc<Inner>,
    venue: VenueNo,
    from_index: u64,
) -> impl Stream<Item = Result<Heard, ClientError>> + Send {
    enum Stage {
        Closed,
        Open(u64, Box<Streaming<WatchNews>>),
        Over,
    }
    unfold((inner, Stage::Closed), move |(inner, stage)| async move {
        let (shard, mut stream) = match stage {
            Stage::Over => return None,
            Stage::Open(shard, stream) => (shard, stream),
            Stage::Closed => match open(&inner, venue, from_index).await {
                Ok((shard, stream)) => (shard, Box::new(stream)),
                Err(error) => return Some((Err(error), (inner, Stage::Over))),
            },
        };
        Some(match next(shard, &mut stream).await {
            Ok(heard) => (Ok(heard), (inner, Stage::Open(shard, stream))),
            Err(detail) => {
                tracing::debug!(shard, venue = venue.0, detail, "a change stream broke");
                (Err(ClientError::Unavailable), (inner, Stage::Over))
            }
        })
    })
}

async fn open(inner: &Inner, venue: VenueNo, from_index: u64) -> Result<(u64, Streaming<WatchNews>), ClientError> {
    let map = inner.map.current();
    let shard = map.shard_of(venue).ok_or(ClientError::UnknownVenue)?;
    let leader = inner.leaders.leader(shard.id);
    let mut nodes: Vec<u32> = shard.replicas.iter().map(|replica| replica.node).collect();
    fastrand::shuffle(&mut nodes);
    nodes.sort_by_key(|node| Some(*node) == leader);
    let request = WatchRequest {
        shard: shard.id,
        epoch: shard.epoch,
        venue: venue.0,
        from_index,
    };
    for node in nodes {
        match timeout(OPEN_TIMEOUT, open_at(inner, &map, node, request)).await {
            Ok(Ok(stream)) => return Ok((shard.id, stream)),
            Ok(Err(detail)) => tracing::debug!(node, shard = shard.id, detail, "no change stream"),
            Err(_) => tracing::debug!(node, shard = shard.id, "no change stream in {OPEN_TIMEOUT:?}"),
        }
    }
    Err(ClientError::Unavailable)
}

async fn open_at(
    inner: &Inner,
    map: &ShardMap,
    node: u32,
    request: WatchRequest,
) -> Result<Streaming<WatchNews>, String> {
    let connection = inner.connections.to(map, node).ok_or("the map has no such node")?;
    let mut watches = connection.watches().ok_or("the map's address of it is none")?;
    let stream = watches.watch(request).await;
    stream
        .map(tonic::Response::into_inner)
        .map_err(|status| status.to_string())
}

async fn next(shard: u64, stream: &mut Streaming<WatchNews>) -> Result<Heard, String> {
    let message = timeout(SILENCE, stream.message())
        .await
        .map_err(|_| format!("nothing was heard for {SILENCE:?}"))?
        .map_err(|status| status.to_string())?
        .ok_or("the node has ended it")?;
    let news = (!message.news.is_empty())
        .then(|| codec::decode_news(&message.news))
        .transpose()
        .map_err(|error| format!("the news does not decode ({error}); is the node of another version?"))?;
    Ok(Heard {
        shard,
        index: message.index,
        time: Timestamp(message.time),
        age: Duration::from_millis(message.age_ms.into()),
        news,
    })
}
