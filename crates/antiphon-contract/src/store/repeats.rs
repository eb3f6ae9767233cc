//! Keys: what counts as the same again, and that a repeat or a refusal leaves no trace.

use antiphon_core::{AppendRefusal, GroupOutcome, Store};
use antiphon_protocol::{Content, ContentKind, Draft, Topic};

use crate::{
    Promises,
    names::{answered, draft, project, tenant, topic},
};

async fn append(store: &dyn Store, groups: &[(u64, Vec<Draft>)]) -> Vec<GroupOutcome> {
    answered(store.append(groups).await)
}

async fn head(store: &dyn Store, topic: &Topic) -> u64 {
    answered(store.heads(std::slice::from_ref(topic)).await)[0].offset
}

pub(super) async fn check(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let (news, other) = (topic(&acme, "news"), topic(&acme, "other"));
    let one = draft(&news, None, Some("k"), "x");
    let first = append(store, &[(4, vec![one.clone()])]).await.remove(0).expect("the key is new").remove(0);
    let again = append(store, &[(8, vec![one.clone()])]).await.remove(0).expect("a repeat").remove(0);
    promises.keep(
        "a repeat answers the stored entry, with the revision and time of its own",
        again.duplicate
            && again.entry.revision == 4
            && again.entry.created_at == first.entry.created_at
            && again.entry.content == first.entry.content,
    );
    promises.keep("a repeat takes no offset", head(store, &news).await == 1);
    let elsewhere = Draft { topic: other.clone(), ..one.clone() };
    let outcome = append(store, &[(1, vec![elsewhere])]).await.remove(0).expect("the key is new there");
    promises.keep("a key belongs to its topic", !outcome[0].duplicate);
    let foreign = Draft { topic: topic(&tenant("globex"), "news"), ..one.clone() };
    let outcome = append(store, &[(1, vec![foreign])]).await.remove(0).expect("the key is new there");
    promises.keep("and to its tenant", !outcome[0].duplicate);
    let json = Content::from_json(ContentKind::Body, "\"x\"", 100).expect("a string is JSON");
    let variants = [
        (
            "the same key with another project is a conflict",
            Draft { named_project: Some(project("p")), ..one.clone() },
        ),
        ("the same key with a body for a text is a conflict", Draft { content: json, ..one.clone() }),
    ];
    for (promise, variant) in variants {
        let outcome = append(store, &[(1, vec![variant])]).await.remove(0);
        promises.keep(promise, outcome.err() == Some(AppendRefusal::Conflict(0)));
    }
    let unkeyed = draft(&other, None, None, "x");
    let twice = append(store, &[(1, vec![unkeyed.clone(), unkeyed])]).await.remove(0).expect("without a key");
    promises.keep(
        "without a key the same again is another entry",
        twice.iter().all(|one| !one.duplicate) && twice[0].entry.id != twice[1].entry.id,
    );
    within_a_call(store, promises).await;
}

async fn within_a_call(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let (news, beside) = (topic(&acme, "news"), topic(&acme, "beside"));
    let say = |key: &str, text: &str| draft(&news, None, Some(key), text);
    let groups = [(1, vec![say("a", "x")]), (2, vec![say("a", "x"), draft(&beside, None, None, "x")])];
    let outcomes = append(store, &groups).await;
    let (first, second) = (outcomes[0].as_ref().expect("new"), outcomes[1].as_ref().expect("a repeat"));
    promises.keep(
        "a repeat of an earlier group of the call is a repeat, and the rest of its group is appended",
        !first[0].duplicate
            && second[0].duplicate
            && second[0].entry.id == first[0].entry.id
            && second[0].entry.revision == 1
            && !second[1].duplicate,
    );
    let groups = [
        (1, vec![say("b", "x"), draft(&beside, None, None, "no"), say("b", "y")]),
        (1, vec![say("c", "x")]),
        (1, vec![say("d", "x"), say("c", "y")]),
        (1, vec![say("b", "z"), say("d", "z")]),
    ];
    let outcomes = append(store, &groups).await;
    promises.keep(
        "a key used twice within a group with different content refuses the group at the second",
        outcomes[0].as_ref().err() == Some(&AppendRefusal::Conflict(2)),
    );
    promises.keep(
        "a key of an earlier group of the call with other content is a conflict",
        outcomes[1].is_ok() && outcomes[2].as_ref().err() == Some(&AppendRefusal::Conflict(1)),
    );
    promises.keep(
        "a refused group has used up no key",
        outcomes[3].as_ref().is_ok_and(|group| group.iter().all(|one| !one.duplicate)),
    );
    let entries = answered(store.read(&news, 0, 100, 1 << 20).await);
    promises.keep(
        "refused groups leave no gap and no entry in any topic",
        entries.iter().map(|entry| entry.position.offset).eq(1..=4) && head(store, &beside).await == 1,
    );
}
