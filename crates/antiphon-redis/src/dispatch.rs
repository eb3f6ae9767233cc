//! What is done with what comes from Redis. Called from the connections' own tasks: it never blocks.

use std::sync::{
    OnceLock, Weak,
    atomic::{AtomicU64, Ordering},
};

use antiphon_core::{Channel, Ear, PlainInbox};
use bytes::Bytes;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::{Notify, watch};

use crate::{
    channel::{Listened, Named, unwrap},
    interest::Interest,
    line::Line,
};

/// More than any envelope of ours, and any plain message, can have.
const MESSAGE_BYTES_MAX: usize = 128 * 1024;

#[derive(Default)]
pub(crate) struct Dispatch {
    pub interest: Interest,
    /// The interest has changed.
    pub changed: Notify,
    /// Where channels are is to be asked anew, soon.
    pub unsettled: Notify,
    /// Redis is there again: whoever waits to try need not.
    pub came: watch::Sender<()>,
    pub ear: Ear,
    plain: OnceLock<Weak<dyn PlainInbox>>,
    pub dropped: AtomicU64,
}

impl Dispatch {
    pub fn attach_plain(&self, inbox: &std::sync::Arc<dyn PlainInbox>) {
        drop(self.plain.set(std::sync::Arc::downgrade(inbox)));
    }

    pub fn want(&self, named: Named, listened: Listened) {
        self.interest.want(named, listened);
        self.changed.notify_one();
    }

    pub fn ignore(&self, name: &str) {
        self.interest.ignore(name);
        self.changed.notify_one();
    }

    /// Tells whether all that is wanted is heard, given that there is a connection.
    pub fn settle(&self, is_connected: bool) {
        let (is_up, heard) = self.interest.settle(is_connected);
        if self.ear.set_up(is_up) && is_up {
            self.came.send_replace(());
        }
        self.confirm(&heard);
    }

    pub fn confirm(&self, channels: &[Channel]) {
        if let Some(inbox) = self.ear.inbox() {
            channels.iter().for_each(|channel| inbox.confirmed(channel));
        }
    }

    /// Counts what was neither sent nor passed on.
    pub fn drop_some(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub fn push(&self, line: &Line, info: PushInfo) {
        if !line.hears() {
            return;
        }
        match info.kind {
            PushKind::Message | PushKind::SMessage => self.message(info.data),
            PushKind::Unsubscribe | PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(channel)) = info.data.first()
                    && let Ok(channel) = std::str::from_utf8(channel)
                {
                    line.ended(channel);
                }
            }
            PushKind::Disconnection => line.lost.notify_one(),
            _ => {}
        }
    }

    fn message(&self, data: Vec<Value>) {
        let mut data = data.into_iter();
        let (Some(Value::BulkString(channel)), Some(Value::BulkString(bytes))) = (data.next(), data.next())
        else {
            return;
        };
        let Ok(channel) = std::str::from_utf8(&channel) else { return };
        let Some((name, bytes)) = unwrap(channel, Bytes::from(bytes)) else { return self.drop_some(1) };
        if bytes.len() > MESSAGE_BYTES_MAX {
            return self.drop_some(1);
        }
        match self.interest.of(&name) {
            Some(Listened::Ours(_)) => {
                if let Some(inbox) = self.ear.inbox() {
                    inbox.received(bytes);
                }
            }
            Some(Listened::Plain(tenant)) => {
                if let Some(inbox) = self.plain.get().and_then(Weak::upgrade) {
                    inbox.plain(&tenant, bytes);
                }
            }
            None => {}
        }
    }
}
