//! The application's say in what its users publish: asked behind the rights, before the lane to the store, so that an
//! answer that takes long holds up no other connection.
//!
//! What one connection publishes is asked about one after the other, and the next only when the one before is durable:
//! else an entry that the application publishes itself would overtake it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use antiphon_core::{Appended, PublishHook, SeamError, Verdict};
use antiphon_protocol::{Draft, Position, Refusal, Signal, Topic};

use crate::{
    caller::{By, Caller},
    metrics::HookOutcome,
    node::{Node, refuse},
    publish::Published,
    state::{
        lane::{Done, Job, Work},
        turns::{Line, Turns},
    },
};

impl Node {
    /// Publishes what has come over a connection; `done` is called after the commit, in the order of the connection.
    pub fn publish_in(
        &self,
        turns: &mut Turns,
        by: By,
        drafts: Vec<Draft>,
        done: impl FnOnce(Published) + Send + 'static,
    ) {
        match self.hook_for(&by) {
            None => self.append_then(by, drafts, Instant::now(), done),
            Some(hook) => self.take_turn(turns, hook, by, Work::Append(drafts), Box::new(done)),
        }
    }

    /// Sends a signal that has come over a connection, behind what that has published; `done` hears of it.
    pub fn signal_in(
        &self,
        turns: &mut Turns,
        by: By,
        signal: Signal,
        done: impl FnOnce(Published) + Send + 'static,
    ) {
        match self.hook_for(&by).filter(|_| !turns.is_idle()) {
            None => self.signal_then(by, signal, done),
            Some(hook) => self.take_turn(turns, hook, by, Work::Signal(signal), Box::new(done)),
        }
    }

    /// Who is asked about what this one publishes; nobody about what the application itself does.
    pub(crate) fn hook_for(&self, by: &By) -> Option<Arc<dyn PublishHook>> {
        self.engines.hook.clone().filter(|_| matches!(by, By::User(_)))
    }

    fn take_turn(&self, turns: &mut Turns, hook: Arc<dyn PublishHook>, by: By, work: Work, done: Done) {
        if let Err(refusal) = self.guard() {
            return done(Err(refusal));
        }
        let (Some(tenant), Some(place), Some(node)) =
            (work.tenant().cloned(), self.asking.place(), self.me.upgrade())
        else {
            return done(Err(Refusal::unavailable(1000)));
        };
        let job = Job { by, tenant, work, done, since: Instant::now() };
        if let Some(line) = turns.push(place, job) {
            self.tasks.spawn_until_end(node.look_after(line, hook));
        }
    }

    async fn look_after(self: Arc<Self>, line: Arc<Line>, hook: Arc<dyn PublishHook>) {
        while let Some((_place, job)) = line.next() {
            let Job { by, tenant, work, done, since } = job;
            match work {
                Work::Append(drafts) => done(self.publish_asked(&*hook, &by, drafts, since).await),
                signal @ Work::Signal(_) => self.queue(Job { by, tenant, work: signal, done, since }),
            }
        }
    }

    /// Publishes drafts of a user, if the application allows each of them. Of those that it has published itself the entries
    /// are answered; they stay, whatever becomes of the others.
    pub(crate) async fn publish_asked(
        &self,
        hook: &dyn PublishHook,
        by: &By,
        drafts: Vec<Draft>,
        since: Instant,
    ) -> Published {
        // Before the application is asked, and may commit something.
        self.guard()?;
        let By::User(caller) = by else { return Err(Refusal::forbidden()) };
        let work = Work::Append(drafts);
        let Some(tenant) = work.tenant() else { return Err(Refusal::invalid("there is nothing to publish")) };
        let revision = self.fresh(tenant).await.map_err(|error| refuse(&error))?;
        self.check(by, &work, revision)?;
        let Work::Append(drafts) = work else { return Err(Refusal::forbidden()) };
        let (mut answered, mut allowed) = (Vec::with_capacity(drafts.len()), Vec::new());
        for draft in drafts {
            match self.ask(hook, caller, &draft, since).await? {
                Verdict::Publish => {
                    answered.push(None);
                    allowed.push(draft);
                }
                Verdict::Published { id, position, duplicate } => {
                    let entry = self.published_by_application(&draft.topic, id, position).await?;
                    answered.push(Some(Appended { entry, duplicate }));
                }
                Verdict::Refuse(text) => return Err(forbidden_with(&text)),
                Verdict::Later(after) => return Err(later(after)),
            }
        }
        if allowed.is_empty() {
            return Ok(answered.into_iter().flatten().collect());
        }
        // The rights are looked at again there: they may have ended while the application thought.
        let mut appended = self.append(by.clone(), allowed, since).await?.into_iter();
        Ok(answered.into_iter().filter_map(|one| one.or_else(|| appended.next())).collect())
    }

    async fn ask(
        &self,
        hook: &dyn PublishHook,
        caller: &Caller,
        draft: &Draft,
        since: Instant,
    ) -> Result<Verdict, Refusal> {
        const WHAT: &str = "the publish hook";
        let wait = self.limits.publish_hook_wait.saturating_sub(since.elapsed());
        let call = tokio::time::timeout(wait, self.asking.call(draft.topic.tenant())).await;
        let asked_at = Instant::now();
        let answer = match call {
            Ok(_call) if wait > Duration::ZERO => {
                let asked = unwound(hook.ask(&caller.identity.user, draft));
                let answer = tokio::time::timeout(self.limits.publish_hook_timeout, asked).await;
                self.metrics.hook_seconds.observe(asked_at.elapsed().as_secs_f64());
                answer.unwrap_or_else(|_| Err(SeamError::unavailable(WHAT, "no answer in time")))
            }
            _ => Err(SeamError::unavailable(WHAT, "it was not this publish's turn in time")),
        };
        self.metrics.hook_answered(match &answer {
            Ok(Verdict::Publish) => HookOutcome::Allowed,
            Ok(Verdict::Published { .. }) => HookOutcome::Published,
            Ok(Verdict::Refuse(_)) => HookOutcome::Refused,
            Ok(Verdict::Later(_)) | Err(_) => HookOutcome::Failed,
        });
        answer.map_err(|error| refuse(&error))
    }

    /// The entry that the application says it has published: taken at its word only if it is there.
    async fn published_by_application(
        &self,
        topic: &Topic,
        id: uuid::Uuid,
        position: Position,
    ) -> Result<antiphon_protocol::Entry, Refusal> {
        let entry = self.timed("the store", self.engines.store.entry(topic, id)).await;
        let entry = entry.map_err(|error| refuse(&error))?;
        entry.filter(|entry| entry.position == position).ok_or_else(|| {
            let why = "it named an entry that is not in this topic at this position: it has to answer after its commit, \
                       with `id` and `position` as antiphon.publish gave them";
            tracing::error!(tenant = %topic.tenant(), topic = %topic.name(), %id, %position, "the publish hook: {why}");
            Refusal::unavailable(1000)
        })
    }
}

/// A hook's panic is its own: the connection's other publishes go on.
async fn unwound(asked: impl Future<Output = Result<Verdict, SeamError>>) -> Result<Verdict, SeamError> {
    let mut asked = pin!(asked);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| asked.as_mut().poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(Err(SeamError::broken("the publish hook", "it panicked"))))
    })
    .await
}

/// UNAVAILABLE until then at least; who were told the same do not all come back at once.
fn later(after: Duration) -> Refusal {
    tracing::warn!(?after, "refused for now: the publish hook has no time");
    let after = after.min(Verdict::LATER_MAX).as_millis() as u64;
    Refusal::unavailable(after + rand::random_range(0..1000))
}

/// FORBIDDEN in the application's words, as far as they can be shown.
fn forbidden_with(text: &str) -> Refusal {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(Verdict::TEXT_CHARS_MAX).collect();
    let usual = Refusal::forbidden();
    if shown.trim().is_empty() { usual } else { Refusal { text: shown.trim().to_owned(), ..usual } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_the_application_asks_for_is_bounded() {
        let told = |after: Duration| later(after).retry_after_ms.unwrap();
        assert!((7000..8000).contains(&told(Duration::from_secs(7))));
        assert!((60_000..61_000).contains(&told(Duration::MAX)));
    }

    #[test]
    fn a_refusal_of_the_application_is_bounded_and_without_control_characters() {
        let said = |text: &str| forbidden_with(text).text;
        assert_eq!(said(" not\u{7} at\r\nnight\u{85} "), "not atnight");
        assert_eq!(said(&"é".repeat(600)).chars().count(), 512);
        assert_eq!(said("\n\t"), Refusal::forbidden().text);
        assert_eq!(forbidden_with("x").retry_after_ms, None);
    }
}
