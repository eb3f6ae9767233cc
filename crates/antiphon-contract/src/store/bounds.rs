//! The ends of a log: bounds of pages, and places that no log reaches.

use antiphon_core::Store;
use antiphon_protocol::Entry;

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
}
