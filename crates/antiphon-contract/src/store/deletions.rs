//! A tenant that is deleted while others publish for it.

use antiphon_core::{AppendRefusal, Directory, GroupOutcome, Store};
use antiphon_protocol::{Draft, TenantId, Topic};

use crate::{
    Promises,
    names::{answered, draft, revision, tenant, topic},
};

/// Rounds of deleting and making again, and writers beside them.
const ROUNDS: usize = 12;

pub(super) async fn check(store: &dyn Store, directory: &dyn Directory, promises: &mut Promises) {
    stamped_before(store, directory, promises).await;
    at_once(store, directory, promises).await;
}

async fn append(store: &dyn Store, revision: u64, drafts: Vec<Draft>) -> GroupOutcome {
    answered(store.append(&[(revision, drafts)]).await).remove(0)
}

fn is_gone(outcome: &GroupOutcome) -> bool {
    matches!(outcome, Err(AppendRefusal::Gone))
}

async fn stamped_before(store: &dyn Store, directory: &dyn Directory, promises: &mut Promises) {
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    answered(directory.put_tenant(&acme).await);
    answered(directory.put_tenant(&globex).await);
    let (used, fresh, other) = (topic(&acme, "used"), topic(&acme, "fresh"), topic(&globex, "used"));
    let (old, others) = (revision(directory, &acme).await, revision(directory, &globex).await);
    let first = append(store, old, vec![draft(&used, None, Some("k"), "x")]).await;
    promises.keep("a tenant that is there is published for", first.is_ok());
    answered(directory.delete_tenant(&acme).await);
    let deleted = revision(directory, &acme).await;
    let calls = [
        (old, vec![draft(&used, None, None, "late")]),
        (others, vec![draft(&other, None, None, "beside")]),
        (old, vec![draft(&fresh, None, None, "late"), draft(&used, None, Some("k"), "x")]),
        (deleted, vec![draft(&used, None, None, "for nobody")]),
    ];
    let outcomes = answered(store.append(&calls).await);
    promises.keep(
        "what is stamped with its tenant's deletion or an older revision is not appended, not even as a repeat",
        is_gone(&outcomes[0]) && is_gone(&outcomes[2]) && is_gone(&outcomes[3]),
    );
    promises.keep("another tenant's beside it is", outcomes[1].is_ok());
    answered(directory.put_tenant(&acme).await);
    let outcomes = answered(store.append(&calls).await);
    promises.keep(
        "nor once the tenant is made again",
        is_gone(&outcomes[0]) && is_gone(&outcomes[2]) && is_gone(&outcomes[3]),
    );
    let heads = answered(store.heads(&[used.clone(), fresh]).await);
    promises.keep("of that nothing is in the new tenant's topics", heads.iter().all(|head| head.offset == 0));
    let new = append(store, revision(directory, &acme).await, vec![draft(&used, None, Some("k"), "x")]).await;
    let new = new.expect("the tenant is there").remove(0);
    promises.keep(
        "what is stamped since is appended, at the beginning",
        !new.duplicate && new.entry.position.offset == 1,
    );
}

async fn at_once(store: &dyn Store, directory: &dyn Directory, promises: &mut Promises) {
    let acme = tenant("acme");
    answered(directory.put_tenant(&acme).await);
    let topics: Vec<Topic> = (0..3).map(|n| topic(&acme, &n.to_string())).collect();
    let write = |writer: usize| write(store, directory, &acme, &topics, writer);
    let remake = async {
        for _ in 0..ROUNDS {
            // A lock that stayed held for too long: the same again.
            while !matches!(directory.delete_tenant(&acme).await, Ok(true)) {}
            answered(directory.put_tenant(&acme).await);
        }
    };
    tokio::join!(write(0), write(1), write(2), remake);
    let made = revision(directory, &acme).await;
    let mut all_new = true;
    for topic in &topics {
        let entries = answered(store.read(topic, 0, 10_000, 1 << 24).await);
        all_new &= entries.iter().all(|entry| entry.revision >= made);
    }
    promises.keep("of many who publish meanwhile nobody gets into a tenant that is made later", all_new);
}

/// Publishes as a node does: reads the revision, may or may not, appends.
async fn write(
    store: &dyn Store,
    directory: &dyn Directory,
    tenant: &TenantId,
    topics: &[Topic],
    writer: usize,
) {
    for round in 0..ROUNDS * 4 {
        let stamp = revision(directory, tenant).await;
        if answered(directory.tenant_exists(tenant).await) {
            let place = &topics[(round + writer) % topics.len()];
            // Taken, refused, or in the way of another: what counts is what stands there in the end.
            let _ = append(store, stamp, vec![draft(place, None, None, "x")]).await;
        }
    }
}
