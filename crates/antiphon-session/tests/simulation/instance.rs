//! One node of the world: the real node and its real hub, with a shard whose sockets are queues. It does with a session what the
//! reactor does, and nothing else.

use std::{collections::BTreeMap, sync::Arc};

use antiphon_core::{AuthError, Authenticator, Identity, Limits, Tasks, TopicRules};
use antiphon_hub::{ChangesFirst, Outlets, Shard, SubscriberKey, Taken, Wake};
use antiphon_memory::MemoryPresence;
use antiphon_node::{By, Catchup, Engines, Node, Turns};
use antiphon_protocol::{ClusterSecret, Position, ResetReason, ServerFrame, TenantId, UserId};
use antiphon_session::{Act, Answer, Opening, Operation, Place, Session};
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    bus::{Bus, Ear},
    database::Database,
    sabotage::Sabotage,
};

/// What a shard is told.
enum Letter {
    Accept(usize, UnboundedSender<Bytes>),
    Frame(usize, String),
    Block(usize, bool),
    Gone(usize),
    Answer(usize, Answer),
    Page(usize, SubscriberKey, Position, Catchup),
    Wake,
}

/// A running node.
pub struct Instance {
    pub node: Arc<Node>,
    pub ear: Arc<Ear>,
    bus: Arc<Bus>,
    tasks: Tasks,
    letters: UnboundedSender<Letter>,
}

/// A client's end of a connection.
pub struct Wire {
    id: usize,
    letters: UnboundedSender<Letter>,
    pub bytes: UnboundedReceiver<Bytes>,
}

/// A token is its user's id.
struct ByName(TenantId);

#[async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        let identity = |token: &&str| {
            let user = UserId::parse(token).map_err(|_| AuthError::Invalid("no such user"))?;
            Ok(Identity { tenant: self.0.clone(), user, expires_at: None, revocations: 0 })
        };
        tokens.iter().map(identity).collect()
    }
}

struct Bell(UnboundedSender<Letter>);

impl Wake for Bell {
    fn wake(&self) {
        drop(self.0.send(Letter::Wake));
    }
}

impl Instance {
    pub fn start(
        bus: &Arc<Bus>,
        database: Arc<Database>,
        rules: TopicRules,
        (tenant, secret): (&TenantId, &ClusterSecret),
        limits: Limits,
        sabotage: Sabotage,
    ) -> Self {
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let (broker, ear) = bus.connect();
        let engines = Engines {
            store: database.clone(),
            tail: None,
            broker: Arc::new(broker),
            plain: None,
            directory: database,
            presence: Arc::new(MemoryPresence::default()),
            authenticator: Arc::new(ByName(tenant.clone())),
            authorizer: Arc::new(rules),
            tokens: None,
            keys: None,
            hook: None,
        };
        let node = Node::start(engines, secret.clone(), limits, tasks.clone());
        let (letters, mail) = unbounded_channel();
        let (index, mailbox) = node.hub().add_shard(Arc::new(Bell(letters.clone())));
        let shard = Loop {
            node: node.clone(),
            hub: Shard::new(index, mailbox),
            links: Links { connections: BTreeMap::new(), sabotage },
            letters: letters.clone(),
            joined: Vec::new(),
        };
        tasks.spawn_until_end(shard.run(mail));
        Self { node, ear, bus: bus.clone(), tasks, letters }
    }

    pub fn connect(&self, id: usize) -> Wire {
        let (to_client, bytes) = unbounded_channel();
        drop(self.letters.send(Letter::Accept(id, to_client)));
        Wire { id, letters: self.letters.clone(), bytes }
    }

    /// It is gone from one moment to the next, whatever it was doing.
    pub fn kill(self) {
        self.bus.forget(&self.ear);
        let tasks = self.tasks.clone();
        // The tasks are told at once; nobody waits for them.
        tokio::spawn(async move { tasks.end(std::time::Duration::from_secs(1)).await });
    }
}

impl Wire {
    pub fn send(&self, frame: String) {
        drop(self.letters.send(Letter::Frame(self.id, frame)));
    }

    /// The client's socket takes nothing more, or again.
    pub fn block(&self, is_blocked: bool) {
        drop(self.letters.send(Letter::Block(self.id, is_blocked)));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.letters.send(Letter::Gone(self.id)));
    }
}

struct Connection {
    session: Session,
    turns: Turns,
    out: UnboundedSender<Bytes>,
    unread: Vec<String>,
    is_blocked: bool,
    reads_page: bool,
}

struct Links {
    connections: BTreeMap<usize, Connection>,
    sabotage: Sabotage,
}

impl Outlets for Links {
    fn write(&mut self, index: usize, bytes: &Bytes) -> Taken {
        let Some(connection) = self.connections.get_mut(&index) else { return Taken::All };
        if connection.is_blocked {
            return Taken::Blocked;
        }
        for bytes in self.sabotage.of(bytes) {
            drop(connection.out.send(bytes));
        }
        Taken::All
    }
}

struct Places<'a>(&'a Shard);

impl Place for Places<'_> {
    fn position(&self, key: SubscriberKey) -> Option<Position> {
        self.0.position(key)
    }
}

/// As the shards' codec writes it.
fn text_frame(json: &[u8]) -> Bytes {
    let len = u16::try_from(json.len()).expect("the frames of this world are short");
    let head: &[u8] = if len < 126 { &[0x81, len as u8] } else { &[0x81, 126, (len >> 8) as u8, len as u8] };
    [head, json].concat().into()
}

/// The shard's turns.
struct Loop {
    node: Arc<Node>,
    hub: Shard,
    links: Links,
    letters: UnboundedSender<Letter>,
    joined: Vec<SubscriberKey>,
}

impl Loop {
    async fn run(mut self, mut mail: UnboundedReceiver<Letter>) {
        while let Some(letter) = mail.recv().await {
            self.take(letter);
            while let Ok(letter) = mail.try_recv() {
                self.take(letter);
            }
            self.take_changes();
            self.pass();
        }
    }

    fn take(&mut self, letter: Letter) {
        match letter {
            Letter::Accept(id, out) => {
                let session = Session::new(Opening::default(), antiphon_protocol::now_ms());
                let (unread, is_blocked, reads_page) = (Vec::new(), false, false);
                self.links.connections.insert(
                    id,
                    Connection { session, turns: Turns::default(), out, unread, is_blocked, reads_page },
                );
            }
            Letter::Frame(id, frame) => {
                if let Some(connection) = self.links.connections.get_mut(&id) {
                    connection.unread.push(frame);
                }
                self.read(id);
            }
            Letter::Block(id, is_blocked) => {
                let Some(connection) = self.links.connections.get_mut(&id) else { return };
                connection.is_blocked = is_blocked;
                if !is_blocked {
                    for key in connection.session.keys().collect::<Vec<_>>() {
                        self.go_on_with(id, key);
                    }
                }
            }
            Letter::Gone(id) => {
                let Some(connection) = self.links.connections.remove(&id) else { return };
                for key in connection.session.keys() {
                    self.hub.remove(key);
                }
            }
            Letter::Answer(id, answer) => {
                self.step(id, |session, node, places, acts| {
                    session.answer(node, answer, antiphon_protocol::now_ms(), places, acts);
                });
                self.read(id);
            }
            Letter::Page(id, key, after, page) => self.take_page(id, key, after, page),
            Letter::Wake => {}
        }
    }

    fn read(&mut self, id: usize) {
        loop {
            let Some(connection) = self.links.connections.get_mut(&id) else { return };
            if connection.unread.is_empty() || !connection.session.wants_frames(&self.node) {
                return;
            }
            let frame = connection.unread.remove(0);
            self.step(id, |session, node, _, acts| {
                session.frame(node, &frame, antiphon_protocol::now_ms(), acts);
            });
        }
    }

    fn step(&mut self, id: usize, step: impl FnOnce(&mut Session, &Node, &Places<'_>, &mut Vec<Act>)) {
        let Some(connection) = self.links.connections.get_mut(&id) else { return };
        let mut acts = Vec::new();
        step(&mut connection.session, &self.node, &Places(&self.hub), &mut acts);
        for act in acts {
            self.act(id, act);
        }
        for key in std::mem::take(&mut self.joined) {
            self.go_on_with(id, key);
        }
    }

    fn act(&mut self, id: usize, act: Act) {
        let letters = self.letters.clone();
        match act {
            Act::Send(json) => self.send(id, &json),
            Act::Operate(operation) => self.operate(id, operation),
            Act::Publish(number, caller, draft) => {
                let Some(connection) = self.links.connections.get_mut(&id) else { return };
                self.node.publish_in(
                    &mut connection.turns,
                    By::User(caller),
                    vec![draft],
                    move |published| {
                        drop(letters.send(Letter::Answer(id, Answer::Published(number, published))));
                    },
                );
            }
            Act::Signal(number, caller, signal) => {
                let Some(connection) = self.links.connections.get_mut(&id) else { return };
                self.node.signal_in(&mut connection.turns, By::User(caller), signal, move |sent| {
                    drop(letters.send(Letter::Answer(id, Answer::Published(number, sent))));
                });
            }
            Act::Join(subscription, from) => {
                let topic = subscription.feed().topic().clone();
                let key = self.hub.add(id, subscription, from);
                if let Some(connection) = self.links.connections.get_mut(&id) {
                    connection.session.joined(&topic, key);
                }
                self.joined.push(key);
            }
            Act::Leave(key) => self.hub.remove(key),
            Act::Identified => {}
            Act::Close(..) => self.take(Letter::Gone(id)),
        }
    }

    fn send(&self, id: usize, json: &[u8]) {
        if let Some(connection) = self.links.connections.get(&id) {
            drop(connection.out.send(text_frame(json)));
        }
    }

    fn operate(&self, id: usize, operation: Operation) {
        let (letters, node) = (self.letters.clone(), self.node.clone());
        self.node.tasks().spawn_until_end(async move {
            let answer = match operation {
                Operation::Authenticate(token) => Answer::Authenticated(node.authenticate(&token).await),
                Operation::Subscribe(caller, topics) => {
                    let mut outcomes = Vec::new();
                    for (topic, position) in topics {
                        let outcome = node.subscribe(&caller, &topic, position).await;
                        outcomes.push((topic, outcome));
                    }
                    Answer::Subscribed(outcomes)
                }
                Operation::History { caller, topic, before, after, limit } => {
                    Answer::History(node.history(&By::User(caller), &topic, before, after, limit).await)
                }
                Operation::Presence(caller, topic) => {
                    Answer::Presence(node.presence(&By::User(caller), &topic).await)
                }
            };
            drop(letters.send(Letter::Answer(id, answer)));
        });
    }

    fn go_on_with(&mut self, id: usize, key: SubscriberKey) {
        loop {
            if let Some((reason, position)) = self.hub.owed_reset(key) {
                self.reset(id, key, reason, position);
            }
            match self.hub.go_on(key, &mut self.links) {
                Ok(true) => return self.ask_page(id, key),
                Ok(false) => return,
                Err(ChangesFirst) => self.take_changes(),
            }
        }
    }

    fn ask_page(&mut self, id: usize, key: SubscriberKey) {
        let Some(after) = self.hub.reads_log(key) else { return };
        let Some(connection) = self.links.connections.get_mut(&id) else { return };
        if connection.reads_page || connection.is_blocked {
            return;
        }
        connection.reads_page = true;
        let (letters, node, feed) = (self.letters.clone(), self.node.clone(), Arc::clone(self.hub.feed(key)));
        self.node.tasks().spawn_until_end(async move {
            let page = node.catch_up(&feed, after).await;
            if matches!(page, Catchup::Later) {
                crate::time::pass(std::time::Duration::from_millis(500)).await;
            }
            drop(letters.send(Letter::Page(id, key, after, page)));
        });
    }

    fn take_page(&mut self, id: usize, key: SubscriberKey, after: Position, page: Catchup) {
        let Some(connection) = self.links.connections.get_mut(&id) else { return };
        connection.reads_page = false;
        if connection.session.keys().any(|held| held == key) {
            match page {
                Catchup::Page(deliveries, upto) => {
                    // What it was sent after has to count before it leaves.
                    self.take_changes();
                    self.hub.give_page(key, &deliveries, after, upto, &mut self.links);
                }
                Catchup::Reset(reason, position) if self.hub.reads_log(key) == Some(after) => {
                    self.reset(id, key, reason, position);
                }
                Catchup::Reset(..) | Catchup::Later => {}
            }
            self.go_on_with(id, key);
        }
        let Some(connection) = self.links.connections.get(&id) else { return };
        for key in connection.session.keys().collect::<Vec<_>>() {
            self.ask_page(id, key);
        }
    }

    fn reset(&mut self, id: usize, key: SubscriberKey, reason: ResetReason, position: Position) {
        let topic = self.hub.feed(key).topic().clone();
        let frame = ServerFrame::Reset { topic: topic.name(), reason, position };
        self.send(id, &frame.encode());
        self.hub.reset(key, position);
    }

    fn take_changes(&mut self) {
        while self.hub.mailbox().has_changes() {
            let (members, restarted) = self.hub.mailbox().take_changes();
            let ids: Vec<usize> = self.links.connections.keys().copied().collect();
            for id in ids {
                let is_of = |connection: &Connection| members.iter().any(|one| connection.session.is_of(one));
                if self.links.connections.get(&id).is_some_and(is_of) {
                    self.step(id, |session, node, _, acts| session.member_changed(node, acts));
                }
            }
            for (feed, restart) in restarted {
                for (id, key) in self.hub.restarted(&feed, &restart) {
                    self.go_on_with(id, key);
                }
            }
        }
    }

    fn pass(&mut self) {
        let mut fallen = Vec::new();
        for feed in self.hub.dirty_feeds() {
            while self.hub.pass(&feed, &mut self.links, &mut fallen).is_err() {
                self.take_changes();
            }
        }
        for (id, key) in fallen {
            self.ask_page(id, key);
        }
    }
}
