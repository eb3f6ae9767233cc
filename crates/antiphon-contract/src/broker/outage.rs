//! What a Broker owes when what it stands on goes away and comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use antiphon_core::{Broker, BrokerState, Channel};
use bytes::Bytes;

use super::ear::{Ear, until};
use crate::{
    Promises,
    names::{tenant, topic},
};

/// Runs the suite on the fresh brokers of two nodes; `set_there(false)` takes away what they stand on, `set_there(true)` brings
/// it back. How many promises were kept.
pub async fn outage(
    one: Arc<dyn Broker>,
    two: Arc<dyn Broker>,
    mut set_there: impl AsyncFnMut(bool),
) -> usize {
    let mut promises = Promises::default();
    let (first, second) = (Arc::new(Ear::default()), Arc::new(Ear::default()));
    one.attach(first.clone());
    two.attach(second.clone());
    let are = |state| one.current_state() == state && two.current_state() == state;
    promises.keep("a broker that is there is up", until(|| are(BrokerState::Up)).await);
    let acme = tenant("acme");
    let channel = |name: &str| Channel::Topic(topic(&acme, name));
    let mut wanted: Vec<Channel> = (0..700).map(|number| channel(&format!("t{number}"))).collect();
    wanted.iter().for_each(|channel| two.listen(channel));
    promises.keep("what is listened to is confirmed", until(|| second.all_confirmed(&wanted)).await);
    for round in 0..2 {
        first.states.lock().clear();
        set_there(false).await;
        promises.keep("that it is away is noticed", until(|| are(BrokerState::Down)).await);
        promises.keep("and told", until(|| first.states.lock().last() == Some(&BrokerState::Down)).await);
        let (dropped, began) = (one.dropped(), Instant::now());
        for _ in 0..20_000 {
            one.post(&wanted[3], Bytes::from_static(b"into the void"));
        }
        promises.keep("posting does not wait for what is away", began.elapsed() < Duration::from_secs(5));
        promises.keep("and each is counted as dropped", one.dropped() >= dropped + 20_000);
        let given_up = wanted.split_off(690);
        given_up.iter().for_each(|channel| two.ignore(channel));
        let begun = channel(&format!("while-away-{round}"));
        two.listen(&begun);
        wanted.push(begun);
        second.confirmed.lock().clear();
        set_there(true).await;
        promises.keep("that it is back is noticed", until(|| are(BrokerState::Up)).await);
        promises.keep("and told", until(|| first.states.lock().last() == Some(&BrokerState::Up)).await);
        promises.keep(
            "each channel is confirmed again, those begun while it was away too",
            until(|| second.all_confirmed(&wanted)).await,
        );
        let confirmed = second.confirmed.lock().iter().any(|channel| given_up.contains(channel));
        promises.keep("those ended while it was away are not", !confirmed);
        let mut all = true;
        for at in [0, 300, 689, 690] {
            let text = Bytes::from(format!("{acme} {round} {at}"));
            all &= until(|| {
                // A first post may still meet the outage: it is rung again.
                one.post(&wanted[at], text.clone());
                second.heard(&text)
            })
            .await;
        }
        promises.keep("posts are heard as before", all);
    }
    promises.count()
}
