//! What the door knows of one HTTP connection: whether its first request has come, whether a request is being answered,
//! and since when it is idle.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::{
    Version,
    body::{Frame, SizeHint},
};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::{
    idle::{Held, Idle},
    slots::Slot,
};

/// How long a connection may stay open between two requests, as most proxies have it.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long one that gives way may take to close in order: a request that was on its way is still answered.
pub const GRACE: Duration = Duration::from_millis(250);
/// An answer is handed to the connection in pieces of this size, so that it is known how far its client has taken it. More
/// than hyper keeps of what is to be written: the last piece is asked for when the one before is in the kernel's hands.
const PIECE_BYTES: usize = 16 * 1024;

/// One connection, as long as it is no socket.
pub struct Conversation {
    idle: Idle<Arc<Conversation>>,
    /// Guards what goes on; the list's lock may be taken under it.
    state: Mutex<State>,
    give_way: Notify,
}

struct State {
    slot: Option<Arc<Slot>>,
    has_begun: bool,
    /// Requests that are worked at, and sockets over this connection.
    uses: usize,
    /// Answers that the client has not taken yet.
    answers: usize,
    /// When one of them last came on, or when the connection became idle.
    moved: Instant,
    /// The number in the list; none while it is in use.
    idle_as: Option<u64>,
    /// Its place was given to another.
    gave_way: bool,
    is_over: bool,
}

/// What a look at a connection found.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// All is well; worth another look then.
    Again(Instant),
    /// It has been idle for so long that it ends.
    Idle,
    /// Its client does not do its part, in words.
    Stuck(&'static str),
}

/// A request's hold on its connection.
pub struct Use(Arc<Conversation>);

/// An answer on its way to a client.
pub struct Answer {
    body: Body,
    /// Of the body's last piece, what has not been taken yet.
    rest: Bytes,
    is_begun: bool,
    connection: Arc<Conversation>,
}

/// Until this is dropped the connection is there.
pub struct Presence(Arc<Conversation>);

impl Conversation {
    /// On a connection that has this place.
    pub fn new(idle: Idle<Arc<Self>>, slot: Slot) -> Arc<Self> {
        let state = State {
            slot: Some(Arc::new(slot)),
            has_begun: false,
            uses: 0,
            answers: 0,
            moved: Instant::now(),
            idle_as: None,
            gave_way: false,
            is_over: false,
        };
        Arc::new(Self { idle, state: Mutex::new(state), give_way: Notify::new() })
    }

    /// Must outlive the socket.
    pub fn presence(self: &Arc<Self>) -> Presence {
        Presence(self.clone())
    }

    /// A request has come; the slot goes along with it. Over HTTP/1 the connection keeps it too, until it has become a socket or
    /// ends; over HTTP/2 it goes with the first request, since sockets that have shown who they are may stay beside others.
    pub fn request(self: &Arc<Self>, version: Version) -> (Use, Option<Arc<Slot>>) {
        let mut state = self.state.lock();
        state.has_begun = true;
        state.uses += 1;
        if let Some(number) = state.idle_as.take() {
            self.idle.remove(number);
        }
        let slot = if version == Version::HTTP_2 { state.slot.take() } else { state.slot.clone() };
        (Use(self.clone()), slot)
    }

    /// An idle one that is to make room: it gives its place away at once.
    pub fn give_way(&self) {
        let slot = {
            let mut state = self.state.lock();
            (state.idle_as, state.gave_way) = (None, true);
            state.slot.take()
        };
        drop(slot);
        self.give_way.notify_one();
    }

    /// True once its place was given to another: a request that was on its way then has none any more.
    pub fn has_given_way(&self) -> bool {
        self.state.lock().gave_way
    }

    /// Resolves when it is to make room.
    pub async fn must_give_way(&self) {
        self.give_way.notified().await;
    }

    /// How it is after `patience` (for an answer that nobody takes), or once it was to end.
    pub fn look(&self, patience: Duration, is_ending: bool) -> Look {
        let state = self.state.lock();
        if !state.has_begun {
            return Look::Stuck("no request in time");
        }
        let now = Instant::now();
        if state.answers > 0 && now >= state.moved + patience {
            return Look::Stuck("an answer was not taken in time");
        }
        let is_busy = state.uses + state.answers > 0;
        match (is_busy, is_ending) {
            (true, true) => Look::Again(now + GRACE),
            (true, false) => Look::Again(now + patience),
            (false, true) => Look::Stuck("idle, and not closed in order"),
            (false, false) if now >= state.moved + KEEP_ALIVE => Look::Idle,
            (false, false) => Look::Again(state.moved + KEEP_ALIVE),
        }
    }

    /// Puts it among the idle ones if nobody uses it.
    fn settle(self: &Arc<Self>, state: &mut State) {
        state.moved = Instant::now();
        if state.uses + state.answers > 0 || state.is_over || state.idle_as.is_some() {
            return;
        }
        let held = state
            .slot
            .as_ref()
            .map_or(Held::Nothing, |slot| slot.counted_as().map_or(Held::Place, Held::PlaceOf));
        state.idle_as = Some(self.idle.add(self.clone(), held));
    }
}

impl Use {
    /// The answer, which holds the connection until the client has taken it.
    pub fn answer(&self, body: Body) -> Answer {
        let connection = self.0.clone();
        let mut state = connection.state.lock();
        state.answers += 1;
        state.moved = Instant::now();
        drop(state);
        Answer { body, rest: Bytes::new(), is_begun: false, connection }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.uses -= 1;
        self.0.settle(&mut state);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut state = self.connection.state.lock();
        state.answers -= 1;
        self.connection.settle(&mut state);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let slot = {
            let mut state = self.0.state.lock();
            state.is_over = true;
            if let Some(number) = state.idle_as.take() {
                self.0.idle.remove(number);
            }
            state.slot.take()
        };
        drop(slot);
        self.0.idle.note_gone();
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        self.is_begun = true;
        self.connection.state.lock().moved = Instant::now();
        let len = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(len)))))
    }

    /// Once there was a piece the end is told only when asked for, which is when that piece has gone.
    fn is_end_stream(&self) -> bool {
        !self.is_begun && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
