//! What is done with what comes from Redis. Called from the connection's own task: it never blocks.

use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicU64, Ordering},
};

use antiphon_core::{Ear, PlainInbox};
use bytes::Bytes;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use crate::{channel::Listened, interest::Interest, line::Line};

/// More than any envelope of ours, and any plain message, can have.
const MESSAGE_BYTES_MAX: usize = 128 * 1024;

#[derive(Default)]
pub(crate) struct Dispatch {
    pub interest: Interest,
    /// The interest has changed.
    pub changed: Notify,
    /// Redis is there again: whoever waits to try need not.
    pub came: Notify,
    pub ear: Ear,
    plain: OnceLock<Weak<dyn PlainInbox>>,
    pub dropped: AtomicU64,
}

impl Dispatch {
    pub fn attach_plain(&self, inbox: &Arc<dyn PlainInbox>) {
        drop(self.plain.set(Arc::downgrade(inbox)));
    }

    pub fn want(&self, name: String, listened: Listened) {
        self.interest.want(name, listened);
        self.changed.notify_one();
    }

    pub fn ignore(&self, name: &str) {
        self.interest.ignore(name);
        self.changed.notify_one();
    }

    pub fn set_up(&self, is_up: bool) {
        if self.ear.set_up(is_up) && is_up {
            self.came.notify_one();
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
            PushKind::Message => self.message(info.data),
            PushKind::Subscribe => self.confirmed(&info.data),
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
        if bytes.len() > MESSAGE_BYTES_MAX {
            self.drop_some(1);
            return;
        }
        let Ok(name) = std::str::from_utf8(&channel) else { return };
        match self.interest.of(name) {
            Some(Listened::Ours(_)) => {
                if let Some(inbox) = self.ear.inbox() {
                    inbox.received(Bytes::from(bytes));
                }
            }
            Some(Listened::Plain(tenant)) => {
                if let Some(inbox) = self.plain.get().and_then(Weak::upgrade) {
                    inbox.plain(&tenant, Bytes::from(bytes));
                }
            }
            None => {}
        }
    }

    fn confirmed(&self, data: &[Value]) {
        let Some(Value::BulkString(channel)) = data.first() else { return };
        let Ok(name) = std::str::from_utf8(channel) else { return };
        if let Some(Listened::Ours(channel)) = self.interest.of(name)
            && let Some(inbox) = self.ear.inbox()
        {
            inbox.confirmed(&channel);
        }
    }
}
