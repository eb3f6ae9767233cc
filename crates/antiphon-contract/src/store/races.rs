//! Several callers at once.

use antiphon_core::{AppendRefusal, Appended, Store};
use antiphon_protocol::{ClusterSecret, Draft, Topic};

use crate::{
    Promises,
    names::{answered, draft, tenant, topic},
};

/// Appends until no lock of somebody else is in the way.
async fn append(store: &dyn Store, drafts: Vec<Draft>) -> Vec<Appended> {
    for _ in 0..1000 {
        match answered(store.append(&[(1, drafts.clone())]).await).remove(0) {
            Ok(appended) => return appended,
            Err(AppendRefusal::Locked) => tokio::task::yield_now().await,
            Err(conflict) => panic!("nothing is in the way: {conflict:?}"),
        }
    }
    panic!("a topic stayed locked");
}

pub(super) async fn check(store: &dyn Store, secret: &ClusterSecret, promises: &mut Promises) {
    let acme = tenant("acme");
    let topics = [topic(&acme, "a"), topic(&acme, "b")];
    let write = async |name: &str| {
        for round in 0..12 {
            // Both orders of the topics, so that locks taken in the drafts' order would meet.
            let (one, two) = if name < "c" { (0, 1) } else { (1, 0) };
            let text = format!("{name} {round}");
            let drafts = [one, two, one].map(|at| draft(&topics[at], Some(name), None, &text));
            append(store, drafts.into()).await;
        }
    };
    tokio::join!(write("a"), write("b"), write("c"), write("d"));
    let mut whole = true;
    for topic in &topics {
        whole &= chained(store, secret, topic).await == Some(4 * 12 * 3 / 2);
    }
    promises.keep("writers at once leave neither gap nor double, and an unbroken chain", whole);
    let once = || append(store, vec![draft(&topics[0], Some("e"), Some("race"), "x")]);
    let (a, b, c, d) = tokio::join!(once(), once(), once(), once());
    let all = [&a[0], &b[0], &c[0], &d[0]];
    promises.keep(
        "of one key sent at once by many one is appended and the others are repeats of it",
        all.iter().filter(|one| !one.duplicate).count() == 1
            && all
                .iter()
                .all(|one| one.entry.id == a[0].entry.id && one.entry.position == a[0].entry.position),
    );
}

/// How many entries a whole log has; none if it is not whole.
async fn chained(store: &dyn Store, secret: &ClusterSecret, topic: &Topic) -> Option<u64> {
    let mut last = secret.origin(topic, secret.first_epoch(topic));
    for entry in answered(store.read(topic, 0, 10_000, 1 << 24).await) {
        let next = secret.next(last, &entry.id, &entry.content);
        if entry.position != next {
            return None;
        }
        last = next;
    }
    let head = answered(store.heads(std::slice::from_ref(topic)).await)[0];
    (head == last).then_some(last.offset)
}
