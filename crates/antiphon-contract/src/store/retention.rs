//! What retention takes and leaves: by age, by count and by bytes.

use antiphon_core::{Appended, Retention, Store, TrimCursor};
use antiphon_protocol::{Entry, Position, Topic, now_ms};

use crate::{
    Promises,
    names::{answered, draft, tenant, topic},
};

/// Random logs of one run, and what each of them lives through.
const LOGS: usize = 3;
const STEPS: usize = 60;

pub(super) async fn check(store: &dyn Store, promises: &mut Promises) {
    by_age(store, promises).await;
    ends(store, promises).await;
    by_size(store, promises).await;
    like_the_model(store, promises).await;
}

/// A whole round; how many went.
async fn trim(store: &dyn Store, keep: &Retention) -> u64 {
    let (mut removed, mut from) = (0, Some(TrimCursor::default()));
    while let Some(cursor) = from {
        let trimmed = answered(store.trim(keep, cursor).await);
        removed += trimmed.removed;
        from = trimmed.next;
    }
    removed
}

async fn append(store: &dyn Store, to: &Topic, texts: &[(&str, Option<&str>)]) -> Vec<Appended> {
    let drafts = texts.iter().map(|(text, key)| draft(to, None, *key, text)).collect();
    answered(store.append(&[(1, drafts)]).await).remove(0).expect("nothing is in the way")
}

async fn kept(store: &dyn Store, of: &Topic) -> Vec<Entry> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |last: &Entry| last.position.offset);
        match answered(store.read(of, after, 200, 1 << 20).await) {
            page if page.is_empty() => return all,
            page => all.extend(page),
        }
    }
}

fn offsets(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.position.offset).collect()
}

/// Until the store's clock has moved on behind this.
async fn wait_past(ms: i64) {
    while now_ms() <= ms + 1 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await; // poll: the clock has to move on.
    }
}

async fn by_age(store: &dyn Store, promises: &mut Promises) {
    let news = topic(&tenant("acme"), "retention");
    let three = |texts: [&'static str; 3]| texts.map(|text| (text, Some(text)));
    let old = append(store, &news, &three(["a", "b", "c"])).await;
    wait_past(old[2].entry.created_at).await;
    let line = now_ms();
    let new = append(store, &news, &three(["d", "e", "f"])).await;
    trim(store, &Retention::before(line)).await;
    promises.keep(
        "what is older than the line goes, the rest stays",
        kept(store, &news).await.first().map(|entry| entry.position) == Some(new[0].entry.position),
    );
    let located = answered(store.locate(&news, Some(3)).await);
    promises.keep(
        "the link of the last entry that went is kept",
        located.head.trimmed == 3 && located.link == Some(old[2].entry.position.link),
    );
    promises.keep("no link is known before it", answered(store.locate(&news, Some(2)).await).link.is_none());
    let again = append(store, &news, &three(["a", "x", "y"])).await;
    promises.keep("a key goes with its entry", !again[0].duplicate && again[0].entry.position.offset == 7);
    trim(store, &Retention::before(now_ms() + 60_000)).await;
    promises.keep(
        "an emptied log keeps its head",
        answered(store.heads(&[news]).await)[0] == again[2].entry.position,
    );
}

async fn ends(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let (old, young) = (topic(&acme, "old"), topic(&acme, "young"));
    let gone = append(store, &old, &[("x", None); 5]).await;
    wait_past(gone[4].entry.created_at).await;
    let line = append(store, &young, &[("x", None); 2]).await[0].entry.created_at;
    let removed = trim(store, &Retention::before(line)).await;
    promises.keep("trimming tells how many went", removed >= 5);
    promises.keep(
        "an entry that was made at the line stays, and other topics lose nothing",
        offsets(&kept(store, &young).await) == [1, 2],
    );
    let next = append(store, &old, &[("x", None)]).await;
    let before_end = answered(store.read_before(&old, None, 10).await);
    promises.keep(
        "a trimmed log goes on behind its old head, and reading from before the cut begins behind it",
        next[0].entry.position.offset == 6
            && offsets(&kept(store, &old).await) == [6]
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

async fn by_size(store: &dyn Store, promises: &mut Promises) {
    let acme = tenant("acme");
    let (many, heavy) = (topic(&acme, "many"), topic(&acme, "heavy"));
    append(store, &many, &[("x", Some("first")), ("x", None), ("x", None), ("x", None), ("x", Some("last"))])
        .await;
    let counted = Retention { entries: Some(3), ..Retention::default() };
    trim(store, &counted).await;
    promises
        .keep("a topic keeps so many entries, the newest", offsets(&kept(store, &many).await) == [3, 4, 5]);
    promises.keep("and a second round takes nothing", trim(store, &counted).await == 0);
    let again = append(store, &many, &[("x", Some("last")), ("x", Some("first"))]).await;
    promises.keep(
        "keys are kept as long as their entries, however these go",
        again[0].duplicate && !again[1].duplicate,
    );
    // Each is 100 bytes with its quotes.
    let text = "x".repeat(98);
    let text = text.as_str();
    append(store, &heavy, &[(text, None); 6]).await;
    let exact = Retention { bytes: Some(600), ..Retention::default() };
    trim(store, &exact).await;
    let all = kept(store, &heavy).await.len();
    trim(store, &Retention { bytes: Some(599), ..exact }).await;
    promises.keep(
        "a topic keeps so many bytes, of whole entries",
        all == 6 && offsets(&kept(store, &heavy).await) == [2, 3, 4, 5, 6],
    );
    append(store, &heavy, &[(text, None); 2]).await;
    trim(store, &Retention { bytes: Some(250), entries: Some(4), before_ms: Some(0) }).await;
    promises.keep(
        "the strictest bound decides, and what was counted before stays true",
        offsets(&kept(store, &heavy).await) == [7, 8],
    );
    let located = answered(store.locate(&heavy, Some(6)).await);
    promises.keep(
        "the link of the last entry that went is kept, whichever bound took it",
        located.head.trimmed == 6 && located.link.is_some(),
    );
}

/// What a log has to be: its entries, and the position of the last that went.
struct Model {
    topic: Topic,
    entries: Vec<Entry>,
    trimmed: Option<Position>,
}

impl Model {
    /// The oldest goes while any bound is broken: what stays is the longest end of the log within all of them.
    fn trim(&mut self, keep: &Retention) {
        loop {
            let bytes: usize = self.entries.iter().map(|entry| entry.content.json().len()).sum();
            let Some(oldest) = self.entries.first() else { return };
            let is_kept = keep.before_ms.is_none_or(|before_ms| oldest.created_at >= before_ms)
                && keep.entries.is_none_or(|most| self.entries.len() as u64 <= most)
                && keep.bytes.is_none_or(|most| bytes as u64 <= most);
            if is_kept {
                return;
            }
            self.trimmed = Some(self.entries.remove(0).position);
        }
    }

    async fn is(&self, store: &dyn Store) -> bool {
        let mut is_same = kept(store, &self.topic)
            .await
            .iter()
            .map(|entry| entry.position)
            .eq(self.entries.iter().map(|entry| entry.position));
        if let Some(trimmed) = self.trimmed {
            let located = answered(store.locate(&self.topic, Some(trimmed.offset)).await);
            is_same &= located.head.trimmed == trimmed.offset && located.link == Some(trimmed.link);
            let last = self.entries.last().map_or(trimmed, |last| last.position);
            is_same &= located.head.position == last;
        }
        is_same
    }
}

/// Splitmix: small numbers that are the same again for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

async fn like_the_model(store: &dyn Store, promises: &mut Promises) {
    let given = std::env::var("TESTKIT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("TESTKIT_SEED={seed}");
    let mut dice = Dice(seed);
    let acme = tenant("acme");
    let log =
        |number| Model { topic: topic(&acme, &format!("log-{number}")), entries: Vec::new(), trimmed: None };
    let mut models: Vec<Model> = (0..LOGS).map(log).collect();
    let mut holds = true;
    for _ in 0..STEPS {
        if dice.below(3) > 0 {
            let model = &mut models[dice.below(LOGS as u64) as usize];
            let texts: Vec<String> =
                (0..=dice.below(12)).map(|_| "é".repeat(dice.below(40) as usize)).collect();
            let texts: Vec<(&str, Option<&str>)> = texts.iter().map(|text| (text.as_str(), None)).collect();
            let appended = append(store, &model.topic, &texts).await;
            model.entries.extend(appended.into_iter().map(|one| one.entry));
            continue;
        }
        wait_past(now_ms()).await;
        let made: Vec<i64> =
            models.iter().flat_map(|model| &model.entries).map(|entry| entry.created_at).collect();
        let line = made.get(dice.below(made.len().max(1) as u64) as usize).copied();
        let keep = Retention {
            before_ms: line.filter(|_| dice.below(3) == 0),
            entries: Some(dice.below(30)).filter(|_| dice.below(2) == 0),
            bytes: Some(dice.below(1500)).filter(|_| dice.below(2) == 0),
        };
        trim(store, &keep).await;
        for model in &mut models {
            model.trim(&keep);
            holds &= model.is(store).await;
        }
        assert!(holds, "seed {seed}: {keep:?}");
    }
    promises
        .keep("after a round each topic keeps exactly its newest entries within age, count and bytes", holds);
}
