//! Whose posts reach whom, and from when to when.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use antiphon_core::{Broker, Channel};
use antiphon_protocol::{TenantId, Topic, TopicName};
use bytes::Bytes;

use super::ear::{Ear, PATIENCE, until};
use crate::{
    Promises,
    names::{tenant, topic},
};

/// Two nodes' brokers with their ears.
pub(super) struct Pair<'a> {
    pub one: &'a Arc<dyn Broker>,
    pub two: &'a Arc<dyn Broker>,
    pub first: &'a Arc<Ear>,
    pub second: &'a Arc<Ear>,
}

pub(super) async fn check(pair: &Pair<'_>, promises: &mut Promises) {
    walls(pair, promises).await;
    again(pair, promises).await;
    threads(pair, promises).await;
}

fn named(tenant: &str, name: &str) -> Channel {
    let tenant = TenantId::parse(tenant).expect("a suite's names are valid");
    Channel::Topic(Topic::new(tenant, TopicName::parse(name).expect("a suite's names are valid")))
}

async fn walls(pair: &Pair<'_>, promises: &mut Promises) {
    let salt = uuid::Uuid::new_v4().simple().to_string();
    // Names whose plain joining would be the same.
    let (left, right) = (format!("{salt}:a"), format!("{salt}:a:b"));
    let mine = [
        named(&salt, "a:b:c"),
        named(&left, "b:c"),
        named(&right, "c"),
        named(&format!("{salt}/"), "x"),
        named(&format!("{salt}a"), "b"),
        named(&salt, "A"),
    ];
    let others = [
        named(&left, "b"),
        named(&right, "b:c"),
        named(&salt, "b:c"),
        named(&salt, "/x"),
        named(&salt, "ab"),
        named(&salt, "a"),
        named(&salt, &salt),
        named("antiphon:nodes", &salt),
        named("*", "*"),
    ];
    mine.iter().for_each(|channel| pair.two.listen(channel));
    promises
        .keep("names of any characters are listened to", until(|| pair.second.all_confirmed(&mine)).await);
    others.iter().for_each(|channel| pair.one.post(channel, Bytes::from(format!("{salt} not for two"))));
    let all = || {
        let missing = |at: &usize| !pair.second.heard(format!("{salt} {at}").as_bytes());
        let missing: Vec<usize> = (0..mine.len()).filter(missing).collect();
        // Behind the flood before a post may be dropped: it is rung again.
        missing.iter().for_each(|&at| pair.one.post(&mine[at], Bytes::from(format!("{salt} {at}"))));
        missing.is_empty()
    };
    promises.keep("each channel brings its own", until(all).await);
    promises.keep(
        "no two topics of whatever names share a channel",
        !pair.second.heard(format!("{salt} not for two").as_bytes()),
    );
    mine.iter().for_each(|channel| pair.two.ignore(channel));
}

async fn again(pair: &Pair<'_>, promises: &mut Promises) {
    let acme = tenant("acme");
    let (news, marker) = (Channel::Topic(topic(&acme, "news")), Channel::Topic(topic(&acme, "marker")));
    pair.two.listen(&marker);
    for round in 0..100 {
        // In some rounds listened to twice, or ignored again: at once, before the broker had its turn, or just in it.
        let pause = || {
            let end = Instant::now() + Duration::from_micros(round * 7);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        };
        if round % 4 != 0 {
            pair.two.listen(&news);
            pause();
        }
        if round % 2 == 1 {
            pair.two.ignore(&news);
            pause();
        }
        // What is confirmed from now on is this beginning, not one before.
        pair.second.confirmed.lock().clear();
        pair.two.listen(&news);
        if !until(|| pair.second.all_confirmed(std::slice::from_ref(&news))).await {
            promises.keep("each beginning of listening is confirmed, however soon after an end", false);
        }
        let text = format!("{} {round}", acme.as_str());
        pair.one.post(&news, Bytes::from(text.clone()));
        if !until(|| pair.second.heard(text.as_bytes())).await {
            promises.keep("what is posted after a confirmation is heard", false);
        }
        pair.two.ignore(&news);
    }
    promises.keep("each beginning of listening is confirmed, however soon after an end", true);
    promises.keep("what is posted after a confirmation is heard", true);
    let mut quiet = false;
    for round in 0..200 {
        let (void, mark) = (format!("{acme} void {round}"), format!("{acme} mark {round}"));
        pair.one.post(&news, Bytes::from(void.clone()));
        pair.one.post(&marker, Bytes::from(mark.clone()));
        if !until(|| pair.second.heard(mark.as_bytes())).await {
            break;
        }
        quiet = !pair.second.heard(void.as_bytes());
        if quiet {
            break;
        }
    }
    promises.keep("one ignore ends what was listened to twice", quiet);
    pair.two.ignore(&marker);
}

/// Posts and listens from a thread without a runtime, with a lock that the ear takes too.
async fn threads(pair: &Pair<'_>, promises: &mut Promises) {
    let news = Channel::Topic(topic(&tenant("acme"), "news"));
    let (broker, ear, channel) = (pair.one.clone(), pair.first.clone(), news.clone());
    let (done, ended) = tokio::sync::oneshot::channel();
    pair.two.listen(&news);
    let worker = std::thread::spawn(move || {
        let held = ear.lock.lock();
        broker.listen(&channel);
        for number in 0..20_000u32 {
            broker.post(&channel, Bytes::copy_from_slice(&number.to_be_bytes()));
        }
        drop(held);
        let _ = done.send(());
    });
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    promises.keep(
        "a plain thread may post and listen under a lock that its ear takes too",
        matches!(ended, Ok(Ok(()))),
    );
    worker.join().expect("it has ended");
    let text = Bytes::from(format!("{news:?} after the flood"));
    let heard = until(|| {
        // Behind a flood a post may be dropped: it is rung again.
        pair.one.post(&news, text.clone());
        pair.second.heard(&text)
    });
    promises.keep("after a flood posts are heard again", heard.await);
    pair.one.ignore(&news);
    pair.two.ignore(&news);
}
