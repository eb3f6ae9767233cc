//! An entry comes back as it went in, whichever way it is read, and from no other topic.

use antiphon_core::{Appended, Store};
use antiphon_protocol::{Content, ContentKind, Draft, Entry, now_ms};

use crate::{
    Promises,
    names::{answered, draft, project, tenant, topic, user},
};

/// Two entries are the same in all that a store keeps.
fn same(one: &Entry, other: &Entry) -> bool {
    one.id == other.id
        && one.topic == other.topic
        && one.position == other.position
        && one.author == other.author
        && one.project == other.project
        && one.key == other.key
        && one.content.kind() == other.content.kind()
        && one.content.json() == other.content.json()
        && one.created_at == other.created_at
        && one.revision == other.revision
}

fn body(json: &str) -> Content {
    Content::from_json(ContentKind::Body, json, Content::MAX_ENTRY_BYTES).expect("a suite's bodies are JSON")
}

pub(super) async fn check(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let (news, of_project) = (topic(&acme, "news"), topic(&acme, "project:p1"));
    let contents = [
        Content::text("zero \0, quote \", ünï, 🦀").expect("a suite's texts are short"),
        body(
            "{ \"n\" : 1.0, \"b\":1e3 ,\"a\":[ ],\"big\":12345678901234567890123, \"a\":\"\\u0000\", \"c\":-1e400}",
        ),
        body("null"),
        body(&format!("\"{}\"", "x".repeat(Content::MAX_ENTRY_BYTES - 2))),
    ];
    let drafts = contents.iter().enumerate().map(|(index, content)| Draft {
        author: (index % 2 == 0).then(|| user("auth0|6a'%_\\\"")),
        named_project: (index > 1).then(|| project("p'2")),
        content: content.clone(),
        ..draft(&news, None, Some(&format!("k '\"\\ %_ ünï {index}")), "")
    });
    let drafts: Vec<Draft> = drafts.collect();
    let before = now_ms();
    let appended = take(store, 7, drafts.clone()).await;
    promises.keep(
        "an appended entry says what its draft said",
        appended.iter().zip(&drafts).all(|(Appended { entry, duplicate }, draft)| {
            !duplicate
                && entry.topic == draft.topic
                && entry.author == draft.author
                && entry.project == draft.project()
                && entry.key == draft.key
                && entry.content.json() == draft.content.json()
                // A store may have a clock of its own.
                && (entry.created_at - before).abs() < 60_000
        }),
    );
    let read = answered(store.read(&news, 0, 100, 1 << 20).await);
    promises.keep(
        "reading gives back each field and each byte of what was appended",
        read.len() == appended.len() && read.iter().zip(&appended).all(|(read, one)| same(read, &one.entry)),
    );
    let history = answered(store.read_before(&news, None, 100).await).entries;
    promises.keep(
        "history gives back the same",
        history.len() == read.len() && history.iter().zip(&read).all(|(one, other)| same(one, other)),
    );
    let mut by_id = true;
    for one in &appended {
        let found = answered(store.entry(&news, one.entry.id).await);
        by_id &= found.is_some_and(|found| same(&found, &one.entry));
    }
    promises.keep("and so does its id", by_id);
    let unknown = answered(store.entry(&news, uuid::Uuid::new_v4()).await);
    promises.keep("an id that nobody has finds nothing", unknown.is_none());
    let own = take(store, 1, vec![draft(&of_project, None, None, "x")]).await;
    let stored = answered(store.read(&of_project, 0, 1, 1000).await);
    promises.keep(
        "an entry of a project's topic belongs to that project, unnamed too",
        own[0].entry.project == Some(project("p1")) && stored[0].project == Some(project("p1")),
    );
    stamps(store, promises).await;
    names(store, promises).await;
}

/// Appends one group that nothing stands against.
async fn take(store: &dyn Store, revision: u64, drafts: Vec<Draft>) -> Vec<Appended> {
    answered(store.append(&[(revision, drafts)]).await).remove(0).expect("nothing is in the way")
}

async fn stamps(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let (a, b) = (topic(&acme, "a"), topic(&acme, "b"));
    let group = |texts: [&str; 3]| {
        vec![
            draft(&a, None, None, texts[0]),
            draft(&b, None, None, texts[1]),
            draft(&a, None, None, texts[2]),
        ]
    };
    let outcomes = answered(store.append(&[(3, group(["1", "2", "3"])), (9, group(["4", "5", "6"]))]).await);
    promises
        .keep("each group is answered, in order", outcomes.len() == 2 && outcomes.iter().all(Result::is_ok));
    let (of_a, of_b) =
        (answered(store.read(&a, 0, 10, 1 << 20).await), answered(store.read(&b, 0, 10, 1 << 20).await));
    let texts =
        |entries: &[Entry]| entries.iter().map(|entry| entry.content.json().to_owned()).collect::<Vec<_>>();
    promises.keep(
        "groups of one call and their drafts take effect in their order, also across topics",
        texts(&of_a) == ["\"1\"", "\"3\"", "\"4\"", "\"6\""] && texts(&of_b) == ["\"2\"", "\"5\""],
    );
    promises.keep(
        "each group has its own revision, and a reader sees it",
        of_a.iter().map(|entry| entry.revision).collect::<Vec<_>>() == [3, 3, 9, 9]
            && of_b.iter().map(|entry| entry.revision).collect::<Vec<_>>() == [3, 9],
    );
    promises.keep("a call without groups answers nothing", answered(store.append(&[]).await).is_empty());
}

async fn names(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let topics = ["news", "News", "new_", "new%", "news:", "';drop/**/table/**/topics;--"];
    let topics: Vec<_> = topics.iter().map(|name| topic(&acme, name)).collect();
    for (index, topic) in topics.iter().enumerate() {
        let drafts = (0..=index).map(|_| draft(topic, None, Some(&uuid::Uuid::new_v4().to_string()), "x"));
        take(store, 1, drafts.collect()).await;
    }
    let heads = answered(store.heads(&topics).await);
    promises.keep(
        "names that differ by a letter's case or by a character are different topics",
        heads.iter().map(|head| head.offset).eq(1..=topics.len() as u64),
    );
    let first = draft(&topics[0], None, Some("Key"), "x");
    let cased = take(store, 1, vec![first, draft(&topics[0], None, Some("key"), "x")]).await;
    promises.keep("and so are keys", cased.iter().all(|one| !one.duplicate));
    let mut many: Vec<_> = (0..1500).map(|number| topic(&acme, &format!("unused-{number}"))).collect();
    many[700] = topics[2].clone();
    many[1400] = topics[2].clone();
    let heads = answered(store.heads(&many).await);
    promises.keep(
        "heads of many topics come in one call in the order asked for, the same one twice too",
        heads.len() == 1500
            && heads
                .iter()
                .enumerate()
                .all(|(at, head)| head.offset == if at == 700 || at == 1400 { 3 } else { 0 }),
    );
    promises.keep("of no topics there are no heads", answered(store.heads(&[]).await).is_empty());
    promises.keep("a store that is there answers a ping", store.ping().await.is_ok());
}
