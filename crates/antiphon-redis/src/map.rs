//! Which Redis has which channels: of one Redis all of them, of a cluster each those of its slots.

use redis::Value;

use crate::{
    address::Server,
    channel::{SLOTS, slot},
};

/// Servers that a map may have: Redis Cluster has no more.
const SERVERS_MAX: usize = 1000;
const NOBODY: u16 = u16::MAX;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    servers: Vec<Server>,
    /// Of each slot the place of its master among the servers.
    slots: Vec<u16>,
}

impl Map {
    /// One Redis that has all.
    pub fn one(server: Server) -> Self {
        Self { servers: vec![server], slots: vec![0; usize::from(SLOTS)] }
    }

    fn empty() -> Self {
        Self { servers: Vec::new(), slots: vec![NOBODY; usize::from(SLOTS)] }
    }

    /// What `CLUSTER SLOTS` answers; `asked` is the one that was asked. None: it makes no sense.
    pub fn of_slots(answer: &Value, asked: &Server) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let mut map = Self::empty();
        for range in ranges {
            let Value::Array(range) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else {
                return None;
            };
            let [host, Value::Int(port), ..] = master.as_slice() else { return None };
            let host = match host {
                Value::BulkString(host) => std::str::from_utf8(host).ok()?,
                _ => "",
            };
            // A server that does not know its own name is where it was asked.
            let host = if host.is_empty() || host == "?" { &asked.host } else { host };
            let at = map.place(&Server::new(host, u16::try_from(*port).ok()?))?;
            let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
            map.slots.get_mut(first..=last.max(first))?.fill(at);
        }
        (!map.servers.is_empty()).then_some(map)
    }

    fn place(&mut self, server: &Server) -> Option<u16> {
        let known = self.servers.iter().position(|known| known == server);
        let at = known.or_else(|| {
            let is_room = self.servers.len() < SERVERS_MAX;
            is_room.then(|| {
                self.servers.push(server.clone());
                self.servers.len() - 1
            })
        });
        at.and_then(|at| u16::try_from(at).ok())
    }

    /// Who has this channel.
    pub fn owner(&self, channel: &str) -> Option<&Server> {
        self.servers.get(usize::from(self.slots[usize::from(slot(channel))]))
    }

    /// A channel's slot is with another one, as one of them said.
    pub fn learn(&mut self, channel: &str, server: &Server) {
        if let Some(at) = self.place(server) {
            self.slots[usize::from(slot(channel))] = at;
        }
    }

    pub fn servers(&self) -> &[Server] {
        &self.servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), text("id")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    fn asked() -> Server {
        Server::new("asked", 1)
    }

    #[test]
    fn each_channel_has_the_master_of_its_slot() {
        let (a, b) = (range(0, 8191, text("a"), 1), range(9000, 16383, text("::1"), 2));
        let mut map = Map::of_slots(&Value::Array(vec![a, b]), &asked()).unwrap();
        assert_eq!(map.owner("{foo}"), Some(&Server::new("::1", 2)), "12182");
        assert_eq!(map.owner("{bar}"), Some(&Server::new("a", 1)), "5061");
        map.learn("{bar}", &Server::new("c", 3));
        assert_eq!(map.owner("{bar}"), Some(&Server::new("c", 3)));
        assert_eq!(map.servers().len(), 3);
        let gap = (0..).map(|number: u32| number.to_string()).find(|name| (8192..9000).contains(&slot(name)));
        assert_eq!(map.owner(&gap.unwrap()), None);
    }

    #[test]
    fn a_server_that_does_not_know_its_name_is_where_it_was_asked() {
        for host in [Value::Nil, text(""), text("?")] {
            let map = Map::of_slots(&Value::Array(vec![range(0, 16383, host, 7)]), &asked()).unwrap();
            assert_eq!(map.owner("x"), Some(&Server::new("asked", 7)));
        }
    }

    #[test]
    fn nonsense_is_no_map() {
        for ranges in [
            vec![],
            vec![Value::Nil],
            vec![range(0, 16384, text("a"), 1)],
            vec![range(-1, 5, text("a"), 1)],
            vec![range(0, 5, text("a"), 70_000)],
            vec![range(0, 5, Value::BulkString(vec![0xff]), 1)],
            vec![Value::Array(vec![Value::Int(0), Value::Int(1)])],
        ] {
            assert_eq!(Map::of_slots(&Value::Array(ranges.clone()), &asked()), None, "{ranges:?}");
        }
        let many = (0..1001).map(|at| range(at, at, text("h"), at + 1)).collect();
        assert_eq!(Map::of_slots(&Value::Array(many), &asked()), None);
        assert_eq!(Map::of_slots(&Value::Nil, &asked()), None);
    }
}
