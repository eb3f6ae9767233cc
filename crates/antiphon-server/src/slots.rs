//! How many connections may be half open, in all and from one address: they are no socket yet, or their socket has not shown
//! who it is.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;
use parking_lot::Mutex;

/// Counts half-open connections.
#[derive(Clone)]
pub struct Slots {
    shared: Arc<Shared>,
}

struct Shared {
    most: usize,
    most_per_address: usize,
    trusted: Vec<IpNet>,
    /// Guards the counts; no other lock is taken under it.
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place that a half-open connection takes until this is dropped.
pub struct Slot {
    shared: Arc<Shared>,
    counted_as: Option<IpAddr>,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Full {
    /// Too many from this address.
    Address,
    /// Too many in all.
    All,
}

impl Slots {
    /// With these bounds. Addresses of the trusted stand for many clients and are not counted.
    pub fn new(most: usize, most_per_address: usize, trusted: Vec<IpNet>) -> Self {
        Self { shared: Arc::new(Shared { most, most_per_address, trusted, counts: Mutex::default() }) }
    }

    /// Takes a place.
    pub fn take(&self, from: IpAddr) -> Result<Slot, Full> {
        let shared = &self.shared;
        let counted_as = self.counted_as(from);
        let mut counts = shared.counts.lock();
        if counts.all >= shared.most {
            return Err(Full::All);
        }
        if let Some(address) = counted_as {
            let count = counts.by_address.entry(address).or_default();
            if *count >= shared.most_per_address {
                return Err(Full::Address);
            }
            *count += 1;
        }
        counts.all += 1;
        Ok(Slot { shared: shared.clone(), counted_as })
    }

    /// What a connection from there is counted for, besides in all.
    pub fn counted_as(&self, from: IpAddr) -> Option<IpAddr> {
        let from = from.to_canonical();
        let is_many = from.is_loopback() || self.shared.trusted.iter().any(|net| net.contains(&from));
        (!is_many).then(|| block(from))
    }
}

impl Slot {
    /// The address, or network, for which it is counted.
    pub fn counted_as(&self) -> Option<IpAddr> {
        self.counted_as
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.shared.counts.lock();
        counts.all -= 1;
        if let Some(address) = self.counted_as
            && let Some(count) = counts.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&address);
            }
        }
    }
}

/// One customer of IPv6 has a whole /64.
fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_can_not_take_the_places_of_all() {
        let slots = Slots::new(4, 2, vec!["10.0.0.0/8".parse().unwrap()]);
        let held: Vec<_> = (0..2).map(|_| slots.take(address("203.0.113.1")).unwrap()).collect();
        assert_eq!(slots.take(address("203.0.113.1")).err(), Some(Full::Address));
        assert_eq!(slots.take(address("::ffff:203.0.113.1")).err(), Some(Full::Address));
        let other = slots.take(address("203.0.113.2")).unwrap();
        drop((held, other));
        assert!(slots.shared.counts.lock().by_address.is_empty());
    }

    #[test]
    fn loopback_and_trusted_proxies_are_bounded_only_in_all() {
        let slots = Slots::new(4, 1, vec!["10.0.0.0/8".parse().unwrap()]);
        let held: Vec<_> = ["127.0.0.1", "127.0.0.1", "10.1.2.3", "10.1.2.3"]
            .map(|from| slots.take(address(from)).unwrap())
            .into();
        assert_eq!(slots.take(address("127.0.0.1")).err(), Some(Full::All));
        drop(held);
        assert_eq!(slots.shared.counts.lock().all, 0);
    }

    #[test]
    fn all_addresses_of_one_ipv6_network_count_as_one() {
        let slots = Slots::new(9, 1, vec![]);
        let _held = slots.take(address("2001:db8::1")).unwrap();
        assert_eq!(slots.take(address("2001:db8::2")).err(), Some(Full::Address));
        assert!(slots.take(address("2001:db8:0:1::1")).is_ok());
    }
}
