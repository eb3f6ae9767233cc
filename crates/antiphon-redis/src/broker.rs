//! The broker: what the node asks for, handed to the connections.

use std::sync::{Arc, atomic::Ordering};

use antiphon_core::{Broker, BrokerState, Channel, Inbox, PlainChannel, PlainInbox, Tasks};
use antiphon_protocol::TenantId;
use bytes::Bytes;

use crate::{
    address::Form,
    board::Board,
    channel::{Listened, Named, Naming},
    dialer::Dialer,
    dispatch::Dispatch,
    options::{RedisError, RedisOptions},
    publisher::Publisher,
    routes::Routes,
};

/// The Broker on Redis, and its plain channels.
pub struct RedisBroker {
    dispatch: Arc<Dispatch>,
    routes: Arc<Routes>,
    naming: Naming,
}

impl RedisBroker {
    /// Starts to connect; whether Redis is there shows in its state. Its tasks end with `tasks`.
    pub fn start(options: &RedisOptions, tasks: &Tasks) -> Result<Arc<Self>, RedisError> {
        let dialer = Arc::new(Dialer::new(options)?);
        let is_cluster = dialer.url.form == Form::Cluster;
        let naming = if is_cluster { Naming::Partitions } else { Naming::Topics };
        let dispatch = Arc::new(Dispatch::default());
        let routes = Arc::new(Routes::new(options.queue, options.queue_bytes));
        tasks.spawn_until_end(Board::new(dialer.clone(), dispatch.clone(), routes.clone()).run());
        let publisher = Publisher { dialer, dispatch: dispatch.clone(), routes: routes.clone() };
        tasks.spawn_until_end(publisher.run());
        Ok(Arc::new(Self { dispatch, routes, naming }))
    }

    fn queue(&self, named: &Named, bytes: Bytes) {
        let is_up = self.dispatch.ear.is_up();
        if !is_up || !self.routes.put(&named.channel, named.wrap(bytes), false) {
            self.dispatch.drop_some(1);
        }
    }
}

impl Broker for RedisBroker {
    fn attach(&self, inbox: Arc<dyn Inbox>) {
        self.dispatch.ear.attach(&inbox);
    }

    fn listen(&self, channel: &Channel) {
        self.dispatch.want(self.naming.ours(channel), Listened::Ours(channel.clone()));
    }

    fn ignore(&self, channel: &Channel) {
        self.dispatch.ignore(&self.naming.ours(channel).name);
    }

    fn post(&self, channel: &Channel, bytes: Bytes) {
        self.queue(&self.naming.ours(channel), bytes);
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
        self.dispatch.want(self.naming.plain(tenant), Listened::Plain(tenant.clone()));
    }

    fn ignore_plain(&self, tenant: &TenantId) {
        self.dispatch.ignore(tenant.as_str());
    }

    fn post_plain(&self, tenant: &TenantId, json: Bytes) {
        self.queue(&self.naming.plain(tenant), json);
    }
}
