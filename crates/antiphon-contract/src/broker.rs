//! What a Broker owes.

mod ear;
mod interest;
mod outage;

use std::{collections::HashSet, sync::Arc, time::Instant};

use antiphon_core::{Broker, BrokerState, Channel};
use antiphon_protocol::NodeId;
use bytes::Bytes;

use crate::{
    Promises,
    names::{tenant, topic},
};
use ear::{Ear, PATIENCE, until};
pub use outage::outage;

/// Checks on the fresh broker of one node that its own channel brings back what it posts; how many promises were kept.
pub async fn echo(broker: Arc<dyn Broker>) -> usize {
    let mut promises = Promises::default();
    let ear = Arc::new(Ear::default());
    broker.attach(ear.clone());
    let (own, other) = (Channel::Node(NodeId(7)), Channel::Node(NodeId(8)));
    broker.listen(&own);
    let comes = until(|| {
        broker.post(&other, Bytes::from_static(b"to another"));
        broker.post(&own, Bytes::from_static(b"to myself"));
        ear.heard(b"to myself")
    });
    promises.keep("what a node posts to its own channel comes back", comes.await);
    promises.keep("and what it posts to another's does not", !ear.heard(b"to another"));
    promises.count()
}

/// Runs the suite on the brokers of two nodes; how many promises were kept.
pub async fn suite(one: Arc<dyn Broker>, two: Arc<dyn Broker>) -> usize {
    let mut promises = Promises::default();
    let (first, second) = (Arc::new(Ear::default()), Arc::new(Ear::default()));
    one.attach(first.clone());
    // This one is up before it has an ear.
    until(|| two.current_state() != BrokerState::Down).await;
    two.attach(second.clone());
    let up = || one.current_state() != BrokerState::Down && two.current_state() != BrokerState::Down;
    promises.keep("a broker that is there is up", until(up).await);
    let knows = |ear: &Ear| ear.states.lock().last().is_some_and(|state| *state != BrokerState::Down);
    let told = || knows(&first) && knows(&second);
    promises.keep("whoever listens is told so, also if it was up before", until(told).await);
    let acme = tenant("acme");
    let (news, other) = (Channel::Topic(topic(&acme, "news")), Channel::Topic(topic(&acme, "other")));
    two.listen(&news);
    promises.keep(
        "the beginning of listening is confirmed",
        until(|| second.confirmed.lock().contains(&news)).await,
    );
    let odd: Bytes = (0..=255u8).cycle().take(40_000).collect::<Vec<u8>>().into();
    one.post(&other, Bytes::from_static(b"not for two"));
    one.post(&news, odd.clone());
    promises
        .keep("bytes come as they went, large ones too", until(|| second.heard.lock().contains(&odd)).await);
    promises.keep(
        "what is not listened to is not heard",
        !second.heard.lock().contains(&Bytes::from_static(b"not for two")),
    );
    for number in 0..1000u32 {
        one.post(&news, Bytes::copy_from_slice(&number.to_be_bytes()));
    }
    // One may ring twice.
    let rang = || second.heard.lock().iter().collect::<HashSet<_>>().len() == 1001;
    promises.keep("a thousand posts are a thousand rings", until(rang).await);
    one.listen(&Channel::Nodes);
    two.listen(&Channel::Nodes);
    let both = || {
        first.confirmed.lock().contains(&Channel::Nodes) && second.confirmed.lock().contains(&Channel::Nodes)
    };
    promises.keep("the nodes' channel is one like any other", until(both).await);
    two.post(&Channel::Nodes, Bytes::from_static(b"to all"));
    promises.keep(
        "all that listen hear",
        until(|| first.heard.lock().contains(&Bytes::from_static(b"to all"))).await,
    );
    let many: Vec<Channel> =
        (0..500).map(|number| Channel::Topic(topic(&acme, &format!("t{number}")))).collect();
    many.iter().for_each(|channel| two.listen(channel));
    let all = || many.iter().all(|channel| second.confirmed.lock().contains(channel));
    promises.keep("hundreds of channels are confirmed", until(all).await);
    two.ignore(&news);
    second.heard.lock().clear();
    let mut quiet = false;
    for round in 0..200u32 {
        one.post(&news, Bytes::from_static(b"into the void"));
        one.post(&many[7], Bytes::copy_from_slice(&round.to_be_bytes()));
        let marker = Bytes::copy_from_slice(&round.to_be_bytes());
        if !until(|| second.heard.lock().contains(&marker)).await {
            break;
        }
        quiet = !second.heard.lock().contains(&Bytes::from_static(b"into the void"));
        second.heard.lock().clear();
        if quiet {
            break;
        }
    }
    promises.keep("what is ignored is not heard for long", quiet);
    let began = Instant::now();
    for _ in 0..20_000 {
        one.post(&other, Bytes::from_static(b"x"));
    }
    promises.keep("posting never waits", began.elapsed() < PATIENCE);
    let pair = interest::Pair { one: &one, two: &two, first: &first, second: &second };
    interest::check(&pair, &mut promises).await;
    promises.count()
}
