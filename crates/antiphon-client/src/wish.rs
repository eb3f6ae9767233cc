//! What a handle wants of its driver.

use std::sync::Arc;

use http::Uri;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Error,
    inbox::Inbox,
    ledger::Reply,
    place::{Begun, Topics},
};

pub(crate) enum Wish {
    /// An ask, made with its number, and who waits for the answer.
    Ask { encode: Box<dyn FnOnce(u64) -> String + Send>, reply: Reply },
    /// A new subscription.
    Subscribe { topics: Topics, inbox: Arc<Inbox>, reply: oneshot::Sender<Result<Begun, Error>> },
    /// The end of topics; `told` is dropped once nothing more of them can come.
    Unsubscribe { topics: Vec<String>, told: mpsc::Sender<()> },
    /// A frame that is said now or not at all.
    Signal { frame: String, reply: oneshot::Sender<Result<(), Error>> },
    /// Another node.
    MoveTo(Uri),
}
