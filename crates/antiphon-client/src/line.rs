//! One WebSocket while it holds: what waits to be written, what is heard, and when its silence means that it is dead.
//! Both directions go on by themselves, so that they can't wait for each other.

use std::{
    collections::VecDeque,
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_websockets::{MaybeTlsStream, Message, WebSocketStream};

use crate::head::Watched;

pub(crate) type Socket = WebSocketStream<Watched<MaybeTlsStream<TcpStream>>>;

/// How long the other side may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One WebSocket.
pub(crate) struct Line {
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    outbox: VecDeque<String>,
    unflushed: bool,
    /// The code of the other side's close.
    closed: Option<u16>,
    silence: Duration,
    heard_at: Instant,
    /// Since when it holds.
    pub(crate) since: Instant,
    /// Which line of its client this is.
    pub(crate) id: u64,
    /// The token that was shown last.
    pub(crate) token: String,
    /// The node at its other end.
    pub(crate) url: String,
}

/// What came over a line.
#[derive(Debug)]
pub(crate) enum Heard {
    Text(String),
    /// The end, with the close code where there was a close.
    End(Option<u16>),
}

impl Line {
    pub(crate) fn new(socket: Socket, id: u64, token: String, url: String, silence: Duration) -> Self {
        let (sink, stream) = socket.split();
        let now = Instant::now();
        Self {
            sink,
            stream,
            outbox: VecDeque::new(),
            unflushed: false,
            closed: None,
            silence,
            heard_at: now,
            since: now,
            id,
            token,
            url,
        }
    }

    /// Takes a frame to be written.
    pub(crate) fn say(&mut self, frame: String) {
        self.outbox.push_back(frame);
    }

    /// How many frames wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Writes what waits, and gives the next frame. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            if self.closed.is_some() {
                // One more look writes the answer to the close.
                let _ = timeout(CLOSE_TIMEOUT, self.stream.next()).await;
                return Heard::End(self.closed);
            }
            let Self { sink, stream, outbox, unflushed, .. } = self;
            let writes = !outbox.is_empty() || *unflushed;
            tokio::select! {
                heard = stream.next() => match heard {
                    Some(Ok(message)) => {
                        self.heard_at = Instant::now();
                        if let Some((code, _)) = message.as_close() {
                            self.closed = Some(code.into());
                            continue;
                        }
                        if let Some(text) = message.as_text() {
                            return Heard::Text(text.to_owned());
                        }
                    }
                    Some(Err(_)) | None => return Heard::End(None),
                },
                written = poll_fn(|cx| write(sink, outbox, unflushed, cx)), if writes => {
                    if written.is_err() {
                        return Heard::End(None);
                    }
                }
                () = sleep_until(self.heard_at + self.silence) => return Heard::End(None),
            }
        }
    }

    /// Writes what waits and says goodbye.
    pub(crate) async fn close(mut self) {
        let goodbye = async {
            for frame in self.outbox.drain(..) {
                self.sink.feed(Message::text(frame)).await?;
            }
            self.sink.close().await?;
            while let Some(Ok(_)) = self.stream.next().await {}
            Ok::<(), tokio_websockets::Error>(())
        };
        // A node that does not answer the close is left all the same.
        let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}

/// Writes all that waits.
fn write(
    sink: &mut SplitSink<Socket, Message>,
    outbox: &mut VecDeque<String>,
    unflushed: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), tokio_websockets::Error>> {
    while !outbox.is_empty() {
        ready!(sink.poll_ready_unpin(cx))?;
        if let Some(frame) = outbox.pop_front() {
            *unflushed = true;
            sink.start_send_unpin(Message::text(frame))?;
        }
    }
    ready!(sink.poll_flush_unpin(cx))?;
    *unflushed = false;
    Poll::Ready(Ok(()))
}
