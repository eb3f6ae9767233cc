//! What a Broker owes.

mod ear;
mod interest;
mod outage;

use std::{sync::Arc, time::Instant};

use antiphon_core::{Broker, BrokerState, Channel};
use bytes::Bytes;

use crate::{
    Promises,
    names::{tenant, topic},
};
use ear::{Ear, PATIENCE, until};
pub use outage::outage;

/// Runs the suite on the brokers of two nodes; how many promises were kept.
pub async fn suite(one: Arc<dyn Broker>, two: Arc<dyn Broker>) -> usize {
    let mut promises = Promises::default();
    let (first, second) = (Arc::new(Ear::default()), Arc::new(Ear::default()));
    one.attach(first.clone());
    // This one is up before it has an ear.
    until(|| two.current_state() == BrokerState::Up).await;
    two.attach(second.clone());
    let up = || one.current_state() == BrokerState::Up && two.current_state() == BrokerState::Up;
    promises.keep("a broker that is there is up", until(up).await);
    let told = || [&first, &second].iter().all(|ear| ear.states.lock().last() == Some(&BrokerState::Up));
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
    promises.keep("a thousand posts are a thousand rings", until(|| second.heard.lock().len() == 1001).await);
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
