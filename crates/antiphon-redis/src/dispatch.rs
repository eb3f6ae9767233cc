//! What is listened to, and what is done with what comes. Called from the connection's own task: it never blocks.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use antiphon_core::{BrokerState, Inbox, PlainInbox};
use bytes::Bytes;
use parking_lot::Mutex;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use crate::channel::Listened;

/// More than any envelope of ours, and any plain message, can have.
const MESSAGE_BYTES_MAX: usize = 160 * 1024;

#[derive(Default)]
pub(crate) struct Dispatch {
    // No other lock is taken under it.
    wanted: Mutex<HashMap<String, Listened>>,
    pub changed: Notify,
    inbox: OnceLock<Weak<dyn Inbox>>,
    plain: OnceLock<Weak<dyn PlainInbox>>,
    is_up: AtomicBool,
    pub dropped: AtomicU64,
}

impl Dispatch {
    pub fn attach(&self, inbox: &Arc<dyn Inbox>) {
        drop(self.inbox.set(Arc::downgrade(inbox)));
    }

    pub fn attach_plain(&self, inbox: &Arc<dyn PlainInbox>) {
        drop(self.plain.set(Arc::downgrade(inbox)));
    }

    pub fn want(&self, name: String, listened: Listened) {
        self.wanted.lock().insert(name, listened);
        self.changed.notify_one();
    }

    pub fn ignore(&self, name: &str) {
        self.wanted.lock().remove(name);
        self.changed.notify_one();
    }

    /// The names that are wanted now.
    pub fn wanted(&self) -> Vec<String> {
        self.wanted.lock().keys().cloned().collect()
    }

    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    pub fn set_up(&self, is_up: bool) {
        if self.is_up.swap(is_up, Ordering::AcqRel) != is_up
            && let Some(inbox) = self.inbox.get().and_then(Weak::upgrade)
        {
            inbox.state(if is_up { BrokerState::Up } else { BrokerState::Down });
        }
    }

    pub fn push(&self, info: PushInfo) {
        match info.kind {
            PushKind::Message => self.message(info.data),
            PushKind::Subscribe => self.confirmed(&info.data),
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
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Ok(name) = std::str::from_utf8(&channel) else { return };
        let listened = self.wanted.lock().get(name).cloned();
        match listened {
            Some(Listened::Ours(_)) => {
                if let Some(inbox) = self.inbox.get().and_then(Weak::upgrade) {
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
        let listened = self.wanted.lock().get(name).cloned();
        if let Some(Listened::Ours(channel)) = listened
            && let Some(inbox) = self.inbox.get().and_then(Weak::upgrade)
        {
            inbox.confirmed(&channel);
        }
    }
}
