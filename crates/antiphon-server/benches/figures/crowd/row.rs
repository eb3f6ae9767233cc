//! The clients of one thread.

use std::{
    collections::HashSet,
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, Sender, TryRecvError},
    },
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::{
    Hall, Seat, Told,
    ear::{Asks, Ear},
};
use crate::figures::{
    frames::{Frames, frame_of},
    now_us,
    settings::Random,
};

/// How long a thread may sleep over its clients' own times.
const LOOK: Duration = Duration::from_millis(2);
/// Of one client in its turn: the others want to be read too.
const TURN_BYTES: usize = 1024 * 1024;
/// Between the first connects of one thread: 2,000 a second.
const CONNECT_EVERY_US: u64 = 500;
/// Within which time who was cut off or refused comes back.
const COME_BACK_US: usize = 500_000;

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

pub enum Order {
    Hold(Arc<HashSet<usize>>),
    Release,
    Mark,
    Tell(Sender<Told>),
}

struct Client {
    seat: Seat,
    ear: Ear,
    frames: Frames,
    socket: Option<TcpStream>,
    /// The answer to its upgrade; none: it has been read.
    head: Option<Vec<u8>>,
    is_live: bool,
    is_held: bool,
    /// When it connects, subscribes again, or leaves.
    due_us: Option<u64>,
}

pub struct Row {
    hall: Arc<Hall>,
    clients: Vec<Client>,
    orders: Receiver<Order>,
    random: Random,
    poll: Poll,
    told: Told,
    /// Whose turn was over before all was read.
    unread: Vec<usize>,
    buffer: Vec<u8>,
}

impl Row {
    pub fn new(hall: Arc<Hall>, seats: Vec<(usize, Seat)>, orders: Receiver<Order>, random: Random) -> Self {
        let begun = now_us();
        let clients = seats.into_iter().enumerate().map(|(place, (client, seat))| {
            let mut ear = Ear::default();
            (ear.facts.client, ear.facts.topic, ear.facts.node) = (client, seat.topic, seat.node);
            Client {
                seat,
                ear,
                frames: Frames::default(),
                socket: None,
                head: None,
                is_live: false,
                is_held: false,
                due_us: Some(begun + place as u64 * CONNECT_EVERY_US),
            }
        });
        let (clients, poll) = (clients.collect(), Poll::new().unwrap());
        let (told, unread, buffer) = (Told::default(), Vec::new(), vec![0; 256 * 1024]);
        Self { hall, clients, orders, random, poll, told, unread, buffer }
    }

    pub fn live(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            let wait = if self.unread.is_empty() { LOOK } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
            let unread = std::mem::take(&mut self.unread);
            events.iter().map(|event| event.token().0).chain(unread).for_each(|place| self.read(place));
            let now = now_us();
            for place in 0..self.clients.len() {
                if self.clients[place].due_us.is_some_and(|due| due <= now) {
                    self.due(place);
                }
            }
            loop {
                match self.orders.try_recv() {
                    Ok(order) => self.obey(order),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Hold(who) => {
                let held = self.clients.iter_mut().filter(|client| who.contains(&client.ear.facts.client));
                held.for_each(|client| client.is_held = true);
            }
            Order::Release => {
                for (place, client) in self.clients.iter_mut().enumerate() {
                    if std::mem::take(&mut client.is_held) {
                        self.unread.push(place);
                    }
                }
            }
            Order::Mark => {
                let now = now_us();
                for client in &mut self.clients {
                    (client.ear.facts.gap_us, client.ear.facts.last_us) = (0, now);
                }
            }
            Order::Tell(to) => {
                self.told.facts = self.clients.iter().map(|client| client.ear.facts.clone()).collect();
                let told = std::mem::take(&mut self.told);
                self.told.accepts.clone_from(&told.accepts);
                self.told.wrong.clone_from(&told.wrong);
                let _ = to.send(told);
            }
        }
    }

    /// Its time has come: to connect, to subscribe again, or to go elsewhere.
    fn due(&mut self, place: usize) {
        let client = &mut self.clients[place];
        client.due_us = None;
        if client.socket.is_some() && client.is_live {
            client.ear.facts.moved += 1;
            self.away(place);
            self.connect(place);
        } else if client.socket.is_some() {
            self.subscribe(place);
        } else {
            self.connect(place);
        }
    }

    fn connect(&mut self, place: usize) {
        let client = &mut self.clients[place];
        let address = self.hall.addresses[client.ear.facts.node];
        let Ok(mut socket) = open(address, client.seat.receive_buffer) else { return self.refused(place) };
        self.poll.registry().register(&mut socket, Token(place), Interest::READABLE).unwrap();
        let said = socket.write_all(UPGRADE);
        (client.socket, client.head, client.frames) = (Some(socket), Some(Vec::new()), Frames::default());
        if said.is_err() {
            self.refused(place);
        }
    }

    fn refused(&mut self, place: usize) {
        self.clients[place].ear.facts.refused += 1;
        self.away(place);
        self.clients[place].due_us = Some(now_us() + self.random.below(COME_BACK_US) as u64);
    }

    /// Ends its connection; the next one will be at another node, where there is one.
    fn away(&mut self, place: usize) {
        let client = &mut self.clients[place];
        client.socket = None;
        if std::mem::take(&mut client.is_live) {
            self.hall.live.fetch_sub(1, Ordering::Relaxed);
        }
        let nodes = self.hall.addresses.len();
        let further = 1 + self.random.below(nodes - 1);
        client.ear.facts.node = (client.ear.facts.node + further) % nodes;
    }

    fn cut(&mut self, place: usize, why: String) {
        self.clients[place].ear.facts.cut += 1;
        self.told.wrong.push(why);
        self.away(place);
        self.clients[place].due_us = Some(now_us() + self.random.below(COME_BACK_US) as u64);
    }

    fn subscribe(&mut self, place: usize) {
        let client = &mut self.clients[place];
        let topic = &self.hall.topics[client.seat.topic];
        let mut frame = json!({"type": "SUBSCRIBE", "token": client.seat.token, "topics": [topic]});
        if let Some(position) = &client.ear.position {
            frame["positions"] = json!({topic: position});
        }
        self.say(place, 1, frame.to_string().as_bytes());
    }

    fn say(&mut self, place: usize, opcode: u8, payload: &[u8]) {
        let said =
            self.clients[place].socket.as_mut().map(|socket| socket.write_all(&frame_of(opcode, payload)));
        if let Some(Err(error)) = said {
            self.cut(place, format!("it takes nothing: {error}"));
        }
    }

    fn read(&mut self, place: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut left = TURN_BYTES;
        loop {
            let client = &mut self.clients[place];
            let Some(socket) = client.socket.as_mut().filter(|_| !client.is_held) else { break };
            match socket.read(&mut buffer) {
                Ok(0) => self.ended(place, "the end without a close frame"),
                Ok(len) => {
                    self.take(place, &buffer[..len]);
                    left = left.saturating_sub(len);
                    if left == 0 {
                        self.unread.push(place);
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.ended(place, &error.to_string()),
            }
        }
        self.buffer = buffer;
    }

    fn ended(&mut self, place: usize, why: &str) {
        match self.clients[place].is_live {
            true => self.cut(place, why.to_owned()),
            false => self.refused(place),
        }
    }

    fn take(&mut self, place: usize, mut bytes: &[u8]) {
        let client = &mut self.clients[place];
        if let Some(head) = &mut client.head {
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return };
            // Nothing follows before it has said something.
            let is_upgraded = head[..end].starts_with(b"HTTP/1.1 101");
            client.head = None;
            if !is_upgraded {
                return self.refused(place);
            }
            self.told.accepts.push((client.ear.facts.node, now_us()));
            return self.subscribe(place);
        }
        let now = now_us();
        loop {
            let client = &mut self.clients[place];
            let Some(frame) = client.frames.next(&mut bytes) else { return };
            let asks = client.ear.hear(&frame, now, &mut self.told.came);
            self.answer(place, asks);
            if self.clients[place].socket.is_none() {
                return;
            }
        }
    }

    fn answer(&mut self, place: usize, asks: Asks) {
        let client = &mut self.clients[place];
        match asks {
            Asks::Nothing => {}
            Asks::Pong(payload) => self.say(place, 10, &payload),
            Asks::Subscribed => {
                if !std::mem::replace(&mut client.is_live, true) {
                    self.hall.live.fetch_add(1, Ordering::Relaxed);
                }
            }
            Asks::Again(after_ms) => {
                client.ear.facts.refused += 1;
                client.due_us = Some(now_us() + after_ms * 1000);
            }
            Asks::Leave(after_ms) => client.due_us = Some(now_us() + after_ms * 1000),
            Asks::Closed(code) => self.cut(place, format!("closed with {code}")),
            Asks::Wrong(text) => self.told.wrong.push(text),
        }
    }
}

fn open(to: SocketAddr, receive_buffer: Option<usize>) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.connect_timeout(&to.into(), Duration::from_secs(2))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    Ok(TcpStream::from_std(socket.into()))
}
