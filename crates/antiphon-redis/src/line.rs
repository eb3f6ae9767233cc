//! One listening connection's life: a late push of an earlier one is nobody's business, and one that brings something
//! is alive, however long an answer waits behind it.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::options::PATIENCE;

/// How long an answer may wait behind what else comes.
const ANSWER_BEHIND_MAX: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Line {
    is_over: AtomicBool,
    heard: AtomicU64,
    pub lost: Notify,
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
}
