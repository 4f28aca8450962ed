//! Proof that the audit finds things: a history with one lie in it does not pass.

use rotunda_chaos::audit::Audit;
use rotunda_chaos::cluster::{Cluster, MERIDIAN};
use rotunda_chaos::history::{Deed, History, Record, Replay, TurnedAway};
use rotunda_chaos::selling::{self, Offer};
use rotunda_chaos::visitor::{Answer, Fate, Visitor};

use crate::day;

/// One hold, as its visitor was told of it.
async fn hold(visitor: &Visitor, offer: &Offer) -> Record {
    let request = offer.hold(offer.least);
    let settled = visitor.settle(&request).await;
    assert!(settled.answer().is_some_and(Answer::is_success), "{settled:?}");
    Record {
        client: "somebody".to_owned(),
        deed: Deed::Hold,
        key: request.key.unwrap(),
        venue: offer.venue.clone(),
        booking: None,
        request: request.body,
        settled,
    }
}

fn answer_mut(record: &mut Record) -> &mut Answer {
    match &mut record.settled.fate {
        Fate::Answered(answer) => answer,
        Fate::Unknown => panic!("it was answered"),
    }
}

/// The audit must say `finding` of this history.
async fn caught(cluster: &mut Cluster, history: &History, finding: &str) {
    let audit = Audit::run(cluster, history).await;
    assert!(
        audit.findings().iter().any(|text| text.contains(finding)),
        "{finding:?} is not among the findings\n{audit}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_lie_in_a_history_is_found() {
    let mut cluster = Cluster::builder().nodes(1).shards(2).start().await;
    cluster.import(MERIDIAN).await;
    let visitor = Visitor::new(&cluster.door());
    let offers = selling::offers(&visitor, &day(2), &day(4)).await;
    let records = vec![hold(&visitor, &offers[0]).await, hold(&visitor, &offers[1]).await];
    let truth = History {
        records,
        ..History::default()
    };
    Audit::run(&mut cluster, &truth).await.assert_sound();

    // Acknowledged, and not in the log: a lost booking.
    let mut lost = truth.clone();
    lost.records[0].key = uuid::Uuid::new_v4().to_string();
    caught(&mut cluster, &lost, "LOST").await;

    // In the log, and nobody was told of it: a request that took effect twice under different keys looks like this.
    let mut unasked = truth.clone();
    unasked.records.pop();
    caught(&mut cluster, &unasked, "nobody was told of").await;

    // Told of another index than the one it took effect at.
    let mut moved = truth.clone();
    let answer = answer_mut(&mut moved.records[0]);
    answer.commit = answer.commit.map(|(shard, index)| (shard, index + 1));
    caught(&mut cluster, &moved, "answered with commit").await;

    // Told of another price.
    let mut dearer = truth.clone();
    let answer = answer_mut(&mut dearer.records[0]);
    let mut body = answer.json();
    body["total"]["amount"] = serde_json::json!(1);
    answer.body = body.to_string().into();
    caught(&mut cluster, &dearer, "total is not the log's").await;

    // Confirmed, says the visitor; held, says the cluster.
    let mut sold = truth.clone();
    let mut confirmed = sold.records[0].clone();
    confirmed.deed = Deed::Confirm;
    sold.records.push(confirmed);
    caught(&mut cluster, &sold, "was acknowledged as Confirmed").await;

    // Turned away by the limiter, and in the log all the same.
    let mut slipped = truth.clone();
    let Record {
        deed,
        key,
        venue,
        settled,
        ..
    } = slipped.records.remove(0);
    slipped.turned_away.push(TurnedAway {
        deed,
        key,
        venue,
        status: 429,
        invoked: settled.invoked,
        returned: settled.returned,
    });
    caught(&mut cluster, &slipped, "was turned away with 429").await;

    // A replay of other bytes.
    let mut altered = truth.clone();
    let first = answer_mut(&mut altered.records[0]).clone();
    let again = Answer {
        body: "{}".into(),
        replayed: true,
        ..first.clone()
    };
    altered.replays.push(Replay {
        key: altered.records[0].key.clone(),
        first,
        again,
        invoked: altered.records[0].settled.invoked,
        returned: altered.records[0].settled.returned,
    });
    caught(&mut cluster, &altered, "differs").await;
}
