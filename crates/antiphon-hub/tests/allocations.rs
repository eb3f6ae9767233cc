//! Fan-out allocates nothing for a subscriber and encodes once: counted at one subscriber and at ten thousand.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use support::{House, entry, state};

fn allocations_with(subscribers: usize) -> u64 {
    let mut house = House::new(64);
    house.sockets.counts_only = true;
    for connection in 0..subscribers {
        house.subscribe(connection, &format!("user-{connection}"), state(&[("p", connection % 2 == 0)]), 0);
    }
    let feed = house.feed();
    // Once before the count, so that what grows to its size has grown.
    feed.offer(1, entry(1, Some("p")));
    house.pass();
    let counted = allocation_counter::measure(|| {
        for offset in 2..=9 {
            feed.offer(1, entry(offset, if offset % 3 == 0 { Some("p") } else { None }));
        }
        house.pass();
    });
    assert_eq!(house.sockets.writes, subscribers.div_ceil(2) + subscribers, "every subscriber got one write");
    counted.count_total
}

#[test]
fn ten_thousand_subscribers_allocate_as_much_as_two() {
    assert_eq!(allocations_with(10_000), allocations_with(2));
}
