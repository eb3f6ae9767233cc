//! One listening connection's life, as the board, its own task and what comes over it see it: a late push of one that is
//! over is nobody's business, and one that brings something is alive, however long an answer waits behind it.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{interest::Wish, options::PATIENCE};

/// How long an answer may wait behind what else comes.
const ANSWER_BEHIND_MAX: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Line {
    is_over: AtomicBool,
    is_up: AtomicBool,
    heard: AtomicU64,
    pub lost: Notify,
    /// There is something to say.
    pub wished: Notify,
    /// Redis has ended a subscription by itself.
    pub cut: Notify,
    // No other lock is taken under one of these.
    wishes: Mutex<HashMap<Arc<str>, Wish>>,
    ends: Mutex<Ends>,
}

#[derive(Default)]
struct Ends {
    /// Those that were asked for, and how often.
    expected: HashMap<String, u32>,
    unexpected: Vec<Arc<str>>,
}

impl Line {
    /// Something came; false if it does not count any more.
    pub fn hears(&self) -> bool {
        self.heard.fetch_add(1, Ordering::Relaxed);
        !self.is_over.load(Ordering::Acquire)
    }

    /// From now on nothing that comes over it counts.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.is_up.store(false, Ordering::Release);
        self.lost.notify_one();
    }

    /// All that was wished at its beginning has been said.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    pub fn set_up(&self) {
        self.is_up.store(true, Ordering::Release);
    }

    /// Something to say to its Redis.
    pub fn wish(&self, channel: Arc<str>, wish: Wish) {
        self.wishes.lock().insert(channel, wish);
        self.wished.notify_one();
    }

    /// Something that was said already, unless there is something newer to say of it.
    pub fn wish_anew(&self, channel: Arc<str>, number: u64) {
        self.wishes.lock().entry(channel).or_insert(Some(number));
        self.wished.notify_one();
    }

    /// All that is to be said.
    pub fn wishes(&self) -> HashMap<Arc<str>, Wish> {
        std::mem::take(&mut *self.wishes.lock())
    }

    /// The end of a subscription will be asked for.
    pub fn expect_end(&self, channel: &str) {
        *self.ends.lock().expected.entry(channel.to_owned()).or_default() += 1;
    }

    /// A subscription has ended: by itself, if that was not asked for.
    pub fn ended(&self, channel: &str) {
        let mut ends = self.ends.lock();
        match ends.expected.get_mut(channel) {
            Some(1) => drop(ends.expected.remove(channel)),
            Some(count) => *count -= 1,
            None => {
                ends.unexpected.push(channel.into());
                self.cut.notify_one();
            }
        }
    }

    /// The subscriptions that ended by themselves since the last look.
    pub fn cuts(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.ends.lock().unexpected)
    }

    /// The answer; none if the line was silent for too long. Under a flood an answer comes behind seconds of messages, and
    /// giving up a connection that works would lose them all.
    pub async fn answer<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = std::pin::pin!(answer);
        let end = Instant::now() + ANSWER_BEHIND_MAX;
        loop {
            let heard = self.heard.load(Ordering::Relaxed);
            if let Ok(answer) = timeout(PATIENCE, &mut answer).await {
                return Some(answer);
            }
            if self.heard.load(Ordering::Relaxed) == heard || Instant::now() >= end {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::pending, sync::Arc};

    #[tokio::test(start_paused = true)]
    async fn a_silent_line_is_given_up_and_a_busy_one_waited_for() {
        let line = Arc::new(Line::default());
        let began = Instant::now();
        assert!(line.answer(pending::<()>()).await.is_none());
        assert_eq!(began.elapsed(), PATIENCE);
        let busy = async {
            for _ in 0..70 {
                tokio::time::sleep(Duration::from_millis(100)).await; // poll: the time is paused.
                line.hears();
            }
            7
        };
        assert_eq!(line.answer(busy).await, Some(7));
        let endless = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await; // poll: the time is paused.
                line.hears();
            }
        };
        let began = Instant::now();
        assert!(line.answer::<()>(endless).await.is_none());
        assert!(began.elapsed() <= ANSWER_BEHIND_MAX + PATIENCE);
    }

    #[test]
    fn only_an_end_that_was_not_asked_for_is_a_cut() {
        let line = Line::default();
        line.expect_end("a");
        line.expect_end("a");
        ["a", "b", "a", "a"].iter().for_each(|channel| line.ended(channel));
        assert_eq!((line.cuts(), line.cuts()), (vec!["b".into(), "a".into()], Vec::new()));
    }
}
