//! The ends of a log: bounds of pages, places that no log reaches, and what retention leaves.

use antiphon_core::Store;
use antiphon_protocol::{Entry, now_ms};

use crate::{
    Promises,
    names::{answered, draft, tenant, topic},
};

fn offsets(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.position.offset).collect()
}

pub(super) async fn check(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let (news, unused) = (topic(&acme, "news"), topic(&acme, "unused"));
    let drafts = (0..10).map(|_| draft(&news, None, None, &"x".repeat(98))).collect();
    let appended = answered(store.append(&[(1, drafts)]).await).remove(0).expect("nothing is in the way");
    let page = answered(store.read(&news, 0, 100, 350).await);
    promises.keep(
        "a page ends about at its bytes",
        (3..=4).contains(&page.len()) && offsets(&page).iter().copied().eq(1..=page.len() as u64),
    );
    let mut beyond = true;
    for after in [10, 11, i64::MAX.cast_unsigned(), u64::MAX] {
        beyond &= answered(store.read(&news, after, 10, 1 << 20).await).is_empty();
        beyond &= answered(store.locate(&news, Some(after)).await).link.is_some() == (after == 10);
    }
    promises.keep("a place that the log has not reached has nothing behind it, however far it is", beyond);
    let all = answered(store.read_before(&news, Some(u64::MAX), 100).await);
    let none = answered(store.read_before(&news, Some(1), 100).await);
    let exact = answered(store.read_before(&news, None, 10).await);
    promises.keep(
        "history before a place beyond the end is the newest, before the first there is none",
        offsets(&all.entries).iter().copied().eq(1..=10) && none.entries.is_empty() && !none.more,
    );
    promises.keep(
        "a page that holds all has no more behind it",
        exact.entries.len() == 10 && !exact.more && !all.more,
    );
    let mut proved = true;
    for one in &appended {
        let located = answered(store.locate(&news, Some(one.entry.position.offset)).await);
        proved &= located.link == Some(one.entry.position.link) && located.head.trimmed == 0;
    }
    promises.keep("the link of every kept entry is known", proved);
    let fresh = answered(store.locate(&unused, None).await);
    let past = answered(store.read_before(&unused, None, 10).await);
    promises.keep(
        "a topic that nobody used has nothing trimmed, no history, and no link unless one is asked for",
        fresh.head.trimmed == 0
            && fresh.head.position.offset == 0
            && fresh.link.is_none()
            && past.entries.is_empty()
            && !past.more,
    );
    retention(store, promises).await;
}

async fn retention(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let (old, young) = (topic(&acme, "old"), topic(&acme, "young"));
    let fill = async |topic, count: usize| {
        let drafts = (0..count).map(|_| draft(topic, None, None, "x")).collect();
        answered(store.append(&[(1, drafts)]).await).remove(0).expect("nothing is in the way")
    };
    let gone = fill(&old, 5).await;
    while now_ms() <= gone[4].entry.created_at + 1 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await; // poll: the clock has to move on.
    }
    let kept = fill(&young, 2).await;
    let line = kept[0].entry.created_at;
    let mut removed = 0;
    loop {
        match answered(store.trim(line).await) {
            0 => break,
            some => removed += some,
        }
    }
    promises.keep("trimming tells how many went", removed >= 5);
    promises.keep(
        "an entry that was made at the line stays, and other topics lose nothing",
        offsets(&answered(store.read(&young, 0, 10, 1 << 20).await)) == [1, 2],
    );
    let next = fill(&old, 1).await;
    let (after_origin, before_end) =
        (answered(store.read(&old, 0, 10, 1 << 20).await), answered(store.read_before(&old, None, 10).await));
    promises.keep(
        "a trimmed log goes on behind its old head, and reading from before the cut begins behind it",
        next[0].entry.position.offset == 6
            && offsets(&after_origin) == [6]
            && offsets(&before_end.entries) == [6]
            && !before_end.more,
    );
    let trimmed = answered(store.entry(&old, gone[0].entry.id).await);
    promises.keep("a trimmed entry is found no more", trimmed.is_none());
    let origin = answered(store.locate(&old, Some(0)).await);
    promises.keep(
        "and the origin's link is no proof any more",
        origin.link.is_none() && origin.head.trimmed == 5,
    );
}
