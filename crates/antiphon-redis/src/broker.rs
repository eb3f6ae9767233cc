//! The broker: what the node asks for, handed to the two connections.

use std::sync::{Arc, atomic::Ordering};

use antiphon_core::{Broker, BrokerState, Channel, Inbox, PlainChannel, PlainInbox, Posts, Tasks};
use antiphon_protocol::TenantId;
use bytes::Bytes;

use crate::{
    channel::{Listened, name},
    dispatch::Dispatch,
    listener,
    options::{Dialer, RedisError, RedisOptions},
    publisher,
};

/// The Broker on one Redis, and its plain channels.
pub struct RedisBroker {
    dispatch: Arc<Dispatch>,
    posts: Posts,
}

impl RedisBroker {
    /// Starts to connect; whether Redis is there shows in its state. Its tasks end with `tasks`.
    pub fn start(options: &RedisOptions, tasks: &Tasks) -> Result<Arc<Self>, RedisError> {
        let dialer = Arc::new(Dialer::new(options)?);
        let dispatch = Arc::new(Dispatch::default());
        let (posts, waiting) = Posts::queue(options.queue, options.queue_bytes);
        tasks.spawn_until_end(listener::run(dialer.clone(), dispatch.clone()));
        tasks.spawn_until_end(publisher::run(dialer, dispatch.clone(), waiting));
        Ok(Arc::new(Self { dispatch, posts }))
    }

    fn queue(&self, channel: String, bytes: Bytes) {
        if !self.dispatch.ear.is_up() || !self.posts.put(channel, bytes) {
            self.dispatch.drop_some(1);
        }
    }
}

impl Broker for RedisBroker {
    fn attach(&self, inbox: Arc<dyn Inbox>) {
        self.dispatch.ear.attach(&inbox);
    }

    fn listen(&self, channel: &Channel) {
        self.dispatch.want(name(channel), Listened::Ours(channel.clone()));
    }

    fn ignore(&self, channel: &Channel) {
        self.dispatch.ignore(&name(channel));
    }

    fn post(&self, channel: &Channel, bytes: Bytes) {
        self.queue(name(channel), bytes);
    }

    fn current_state(&self) -> BrokerState {
        self.dispatch.ear.state()
    }

    fn dropped(&self) -> u64 {
        self.dispatch.dropped.load(Ordering::Relaxed)
    }
}

impl PlainChannel for RedisBroker {
    fn attach_plain(&self, inbox: Arc<dyn PlainInbox>) {
        self.dispatch.attach_plain(&inbox);
    }

    fn listen_plain(&self, tenant: &TenantId) {
        self.dispatch.want(tenant.to_string(), Listened::Plain(tenant.clone()));
    }

    fn ignore_plain(&self, tenant: &TenantId) {
        self.dispatch.ignore(tenant.as_str());
    }

    fn post_plain(&self, tenant: &TenantId, json: Bytes) {
        self.queue(tenant.to_string(), json);
    }
}
