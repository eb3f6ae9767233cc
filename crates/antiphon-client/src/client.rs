//! The handle: what an application calls.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use antiphon_protocol::Refusal;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    address,
    ask::{Ask, Draft, HistoryPage, Past, fits},
    error::Error,
    event::Accepted,
    inbox::InboxBounds,
    outbox::{Outbox, Publishing},
    positions::PositionStore,
    says::Answer,
    state::State,
    wish::Wish,
};

/// How long a close may take altogether.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that comes back by itself. Its clones are the same connection; it ends when it is closed, or when
/// every clone and every [`Subscription`](crate::Subscription) is gone.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) wishes: mpsc::Sender<Wish>,
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) end: Arc<OnceLock<Error>>,
    pub(crate) stir: Arc<Notify>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) ask_timeout: Duration,
    pub(crate) inbox: InboxBounds,
    pub(crate) positions: Option<Arc<dyn PositionStore>>,
}

impl Client {
    /// Where the client is, for an application to show: its value now, and each change.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.clone()
    }

    /// Goes over to another of its nodes, as on the server's wish: without a gap.
    pub async fn move_to(&self, url: &str) -> Result<(), Error> {
        let uri = address::parse(url)?;
        self.shared.wishes.send(Wish::MoveTo(uri)).await.map_err(|_| self.ended())
    }

    /// Ends subscriptions, and returns once nothing more of them can come; without any topic, that to the tenant's own.
    pub async fn unsubscribe<T: Into<String>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        let mut topics: Vec<String> = topics.into_iter().map(Into::into).collect();
        let ending = async {
            if topics.is_empty() {
                topics.push(self.own_topic().await?);
            }
            let (told, mut over) = mpsc::channel(1);
            let wish = Wish::Unsubscribe { topics, told };
            self.shared.wishes.send(wish).await.map_err(|_| self.ended())?;
            // Nothing is ever sent: it ends when nobody holds the other end any more.
            over.recv().await;
            self.end().map_or(Ok(()), Err)
        };
        timeout(self.shared.ask_timeout, ending).await.unwrap_or(Err(Error::Timeout))
    }

    /// Publishes, and returns once it is committed. Said again after a reconnect it is the same entry, for its key.
    /// After [`Error::Timeout`] the same draft may be published again. Dropping it does not take the publish back.
    pub async fn publish(&self, draft: Draft) -> Result<Accepted, Error> {
        self.enqueue(draft)?.await
    }

    /// Takes a draft to be published, with or without a connection, and gives what will become of it.
    ///
    /// Drafts of one topic are committed in the order of these calls. They wait in memory, in a queue of bounded length
    /// ([`Error::QueueFull`]), until they are answered, refused for good, or too late.
    pub fn enqueue(&self, draft: Draft) -> Result<Publishing, Error> {
        self.shared.outbox.publish(draft)
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
            Answer::Presence { users, .. } => Ok(users),
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

    /// The tenant's own topic, whose name is known once a node has said it.
    pub(crate) async fn own_topic(&self) -> Result<String, Error> {
        match self.frame(|number| Ask::presence(None).encode(number)).await? {
            Answer::Presence { topic, .. } => Ok(topic),
            _ => Err(Error::Disconnected),
        }
    }

    pub(crate) fn ended(&self) -> Error {
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
            Wish::Ask { encode: Box::new(move |number| encode(Some(number))), reply }
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
