//! The handle: what an application calls.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use antiphon_protocol::Refusal;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    ask::{Ask, Draft, HistoryPage, Past},
    driver::Wish,
    error::Error,
    event::Accepted,
    says::Answer,
};

/// The most bytes of a frame; over it the server would close the connection.
const MAX_FRAME_BYTES: usize = 64 * 1024;
/// How long a close may take altogether.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that comes back by itself. Its clones are the same connection; it ends when it is closed, or when
/// every clone and every [`Subscription`] is gone.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    wishes: mpsc::Sender<Wish>,
    closing: watch::Sender<bool>,
    end: Arc<OnceLock<Error>>,
    ask_timeout: Duration,
    pub(crate) queue: usize,
}

impl Client {
    pub(crate) fn new(
        wishes: mpsc::Sender<Wish>,
        closing: watch::Sender<bool>,
        end: Arc<OnceLock<Error>>,
        ask_timeout: Duration,
        queue: usize,
    ) -> Self {
        Self { shared: Arc::new(Shared { wishes, closing, end, ask_timeout, queue }) }
    }

    /// Ends subscriptions; without any topic, that to the tenant's own.
    pub async fn unsubscribe<T: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        let topics: Vec<String> = topics.into_iter().map(Into::into).collect();
        fits(&Ask::unsubscribe(&topics).encode(Some(u64::MAX)))?;
        self.ask(|reply| Wish::Unsubscribe { topics: topics.clone(), reply }).await.map(drop)
    }

    /// Publishes, and returns once it is committed. Said again after a reconnect it is the same entry, for its key.
    /// After [`Error::Timeout`] the same draft may be published again.
    pub async fn publish(&self, draft: Draft) -> Result<Accepted, Error> {
        match self.frame(move |number| Ask::message(&draft).encode(number)).await? {
            Answer::Accepted(accepted) => Ok(accepted),
            _ => Err(Error::Disconnected),
        }
    }

    /// Sends something ephemeral, at most once; the draft's key is not used. Returns once it is on its way.
    pub async fn signal(&self, draft: &Draft) -> Result<(), Error> {
        let frame = Ask::signal(draft).encode(None);
        fits(&frame)?;
        let said = async {
            let (reply, said) = oneshot::channel();
            let wish = Wish::Signal { frame, reply };
            self.shared.wishes.send(wish).await.map_err(|_| self.ended())?;
            said.await.map_err(|_| self.ended())?
        };
        timeout(self.shared.ask_timeout, said).await.unwrap_or(Err(Error::Timeout))
    }

    /// Reads a page of the past, oldest first, and whether there is more in its direction.
    pub async fn history(&self, page: HistoryPage) -> Result<Past, Error> {
        match self.frame(move |number| Ask::history(&page).encode(number)).await? {
            Answer::History { entries, more } => Ok((entries, more)),
            _ => Err(Error::Disconnected),
        }
    }

    /// Who is subscribed to a topic, on all nodes; without a topic, to the tenant's own.
    pub async fn presence(&self, topic: Option<&str>) -> Result<Vec<String>, Error> {
        let topic = topic.map(str::to_owned);
        match self.frame(move |number| Ask::presence(topic.as_deref()).encode(number)).await? {
            Answer::Presence { users } => Ok(users),
            _ => Err(Error::Disconnected),
        }
    }

    /// Says goodbye and waits until the connection is gone.
    pub async fn close(&self) {
        self.shared.closing.send_replace(true);
        // What hangs longer than this is left to itself.
        let _ = timeout(CLOSE_TIMEOUT, self.shared.wishes.closed()).await;
    }

    /// Why it has ended; none: it goes on.
    pub fn end(&self) -> Option<Error> {
        self.shared.end.get().cloned()
    }

    pub(crate) fn prune(&self) {
        // If there is no room the next thing that happens to the topic ends it.
        let _ = self.shared.wishes.try_send(Wish::Prune);
    }

    fn ended(&self) -> Error {
        self.end().unwrap_or(Error::Closed)
    }

    async fn frame(
        &self,
        encode: impl Fn(Option<u64>) -> String + Send + Sync + 'static,
    ) -> Result<Answer, Error> {
        fits(&encode(Some(u64::MAX)))?;
        let encode = Arc::new(encode);
        let wish = |reply| {
            let encode = Arc::clone(&encode);
            Wish::Ask { encode: Box::new(move |number| encode(number)), reply }
        };
        self.ask(wish).await
    }

    /// Asks until it is answered, refused for good, or too late.
    pub(crate) async fn ask(
        &self,
        wish: impl Fn(oneshot::Sender<Result<Answer, Error>>) -> Wish,
    ) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.shared.ask_timeout;
        let asking = async {
            loop {
                let (reply, answer) = oneshot::channel();
                self.shared.wishes.send(wish(reply)).await.map_err(|_| self.ended())?;
                match answer.await.map_err(|_| self.ended())? {
                    Err(Error::Refused(Refusal { retry_after_ms: Some(after), .. }))
                        if Instant::now() + Duration::from_millis(after) < deadline =>
                    {
                        sleep(Duration::from_millis(after)).await;
                    }
                    answered => return answered,
                }
            }
        };
        timeout_at(deadline, asking).await.unwrap_or(Err(Error::Timeout))
    }
}

/// Refuses here what the server would close the connection for, again after every reconnect.
pub(crate) fn fits(frame: &str) -> Result<(), Error> {
    if frame.len() > MAX_FRAME_BYTES {
        let why =
            format_args!("a frame may have at most {MAX_FRAME_BYTES} bytes, this one has {}", frame.len());
        return Err(Error::Refused(Refusal::too_large(why)));
    }
    Ok(())
}
