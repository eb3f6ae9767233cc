//! What a Store owes.

mod bounds;
mod deletions;
mod fields;
mod races;
mod repeats;
mod retention;

use antiphon_core::{AppendRefusal, Directory, Store};
use antiphon_protocol::ClusterSecret;

use crate::{
    Promises,
    names::{answered, draft, tenant, topic},
};

/// Runs the suite; how many promises were kept.
pub async fn suite(store: &dyn Store, secret: &ClusterSecret) -> usize {
    let mut promises = Promises::default();
    log(store, secret, &mut promises).await;
    keys(store, &mut promises).await;
    groups(store, &mut promises).await;
    pages(store, &mut promises).await;
    retention::check(store, &mut promises).await;
    fields::check(store, &mut promises).await;
    repeats::check(store, &mut promises).await;
    bounds::check(store, &mut promises).await;
    races::check(store, secret, &mut promises).await;
    promises.count()
}

/// Runs what is owed by a store whose tenants this directory keeps, in one engine; how many promises were kept.
pub async fn suite_with_tenants(store: &dyn Store, directory: &dyn Directory) -> usize {
    let mut promises = Promises::default();
    deletions::check(store, directory, &mut promises).await;
    promises.count()
}

async fn log(store: &dyn Store, secret: &ClusterSecret, promises: &mut Promises) {
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    let (news, other) = (topic(&acme, "news"), topic(&globex, "news"));
    let origin = secret.origin(&news, secret.first_epoch(&news));
    let heads = answered(store.heads(&[news.clone(), other.clone()]).await);
    promises.keep(
        "a topic that nobody used is empty, at the origin of its first epoch",
        heads[0] == origin && answered(store.read(&news, 0, 10, 1 << 20).await).is_empty(),
    );
    promises.keep("topics of one name in two tenants are two", heads[0] != heads[1]);
    let mut last = origin;
    let (mut follows, mut stamped) = (true, true);
    for round in 0..3 {
        let drafts =
            (0..5).map(|number| draft(&news, Some("ann"), None, &format!("{round} {number}"))).collect();
        let outcomes = answered(store.append(&[(7, drafts)]).await);
        for appended in outcomes.into_iter().flat_map(|outcome| outcome.expect("nothing is in the way")) {
            let entry = appended.entry;
            follows &= entry.position == secret.next(last, &entry.id, &entry.content);
            stamped &= entry.revision == 7;
            last = entry.position;
        }
    }
    promises.keep(
        "offsets are consecutive from 1, each position follows from the one before",
        follows && last.offset == 15,
    );
    promises.keep("the revision is stamped on each entry", stamped);
    promises.keep(
        "the head is the last entry's position",
        answered(store.heads(std::slice::from_ref(&news)).await) == [last],
    );
    promises.keep(
        "another tenant's topic of that name stays empty",
        answered(store.heads(&[other]).await)[0].offset == 0,
    );
    let entries = answered(store.read(&news, 0, 100, 1 << 20).await);
    let first = entries.first().expect("there are fifteen");
    let same =
        answered(store.entry(&news, first.id).await).is_some_and(|entry| entry.position == first.position);
    let foreign = answered(store.entry(&topic(&tenant("x"), "news"), first.id).await).is_none();
    promises.keep("an entry is found by its id, in its own topic alone", same && foreign);
    let located = answered(store.locate(&news, Some(3)).await);
    promises.keep(
        "locate tells the head and the link at an offset",
        located.head.position == last && located.link == Some(entries[2].position.link),
    );
    let (zero, beyond) =
        (answered(store.locate(&news, Some(0)).await), answered(store.locate(&news, Some(16)).await));
    promises.keep("the link before the first entry is the origin's", zero.link == Some(origin.link));
    promises.keep("there is no link where the log has not come", beyond.link.is_none());
}

async fn keys(store: &dyn Store, promises: &mut Promises) {
    let news = topic(&tenant("acme"), "news");
    let one = |author, key, text| vec![(1, vec![draft(&news, author, Some(key), text)])];
    let append = async |group: Vec<(u64, Vec<antiphon_protocol::Draft>)>| {
        answered(store.append(&group).await).remove(0).map(|mut appended| appended.remove(0))
    };
    let first = append(one(Some("ann"), "k", "once")).await.expect("the key is new");
    let again = append(one(Some("ann"), "k", "once")).await.expect("the same again is a repeat");
    promises.keep(
        "the same key with equal content is a repeat that writes nothing",
        again.duplicate && again.entry.position == first.entry.position && again.entry.id == first.entry.id,
    );
    let other = append(one(Some("ann"), "k", "twice")).await;
    promises.keep(
        "the same key with other content is a conflict",
        other.err() == Some(AppendRefusal::Conflict(0)),
    );
    let bob = append(one(Some("bob"), "k", "mine")).await.expect("another author's key is another");
    promises.keep("a key belongs to its author", !bob.duplicate);
    let nobody = append(one(None, "k", "none")).await.expect("no author is an author");
    let nobody_again = append(one(None, "k", "none")).await.expect("the same again is a repeat");
    promises.keep("no author counts as one", !nobody.duplicate && nobody_again.duplicate);
    let twice = vec![(
        1,
        vec![draft(&news, Some("cleo"), Some("t"), "x"), draft(&news, Some("cleo"), Some("t"), "x")],
    )];
    let both = answered(store.append(&twice).await).remove(0).expect("a repeat within a call is a repeat");
    promises.keep(
        "a repeat within one call is a repeat",
        !both[0].duplicate && both[1].duplicate && both[0].entry.id == both[1].entry.id,
    );
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(append(one(Some("dan"), "r", "race")).await.expect("a repeat").entry.id);
    }
    promises.keep("however often it is sent, a key is one entry", ids.iter().all(|id| *id == ids[0]));
}

async fn groups(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let (a, b) = (topic(&acme, "a"), topic(&acme, "b"));
    answered(store.append(&[(1, vec![draft(&a, None, Some("k"), "held")])]).await)
        .remove(0)
        .expect("the key is new");
    let outcomes = answered(
        store
            .append(&[
                (1, vec![draft(&b, None, None, "first"), draft(&a, None, Some("k"), "other")]),
                (1, vec![draft(&b, None, None, "second"), draft(&a, None, None, "third")]),
            ])
            .await,
    );
    promises.keep(
        "a group with a conflict is refused, and its place told",
        outcomes[0].as_ref().err() == Some(&AppendRefusal::Conflict(1)),
    );
    promises.keep("the groups beside it are appended", outcomes[1].is_ok());
    let entries = answered(store.read(&b, 0, 10, 1 << 20).await);
    promises.keep(
        "of a refused group nothing is written",
        entries.len() == 1 && entries[0].content.json() == "\"second\"",
    );
}

async fn pages(store: &dyn Store, promises: &mut Promises) {
    let news = topic(&tenant("acme"), "pages");
    let drafts = (0..20).map(|number| draft(&news, None, None, &format!("{number:04}"))).collect();
    answered(store.append(&[(1, drafts)]).await).remove(0).expect("nothing is in the way");
    let offsets = |entries: &[antiphon_protocol::Entry]| -> Vec<u64> {
        entries.iter().map(|entry| entry.position.offset).collect()
    };
    let page = answered(store.read(&news, 5, 4, 1 << 20).await);
    promises.keep("a page is what follows, ascending, at most so many", offsets(&page) == [6, 7, 8, 9]);
    let small = answered(store.read(&news, 0, 20, 1).await);
    promises.keep("a page has one entry at least, whatever its bytes", offsets(&small) == [1]);
    let newest = answered(store.read_before(&news, None, 3).await);
    promises.keep(
        "history without a place is the newest, oldest first",
        offsets(&newest.entries) == [18, 19, 20] && newest.more,
    );
    let before = answered(store.read_before(&news, Some(4), 10).await);
    promises.keep("history before a place ends there", offsets(&before.entries) == [1, 2, 3] && !before.more);
}
