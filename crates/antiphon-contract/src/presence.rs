//! What a Presence owes.

use antiphon_core::{Lease, Presence};
use antiphon_protocol::NodeId;

use crate::{Promises, names::answered};

/// Runs the suite; how many promises were kept.
pub async fn suite(presence: &dyn Presence) -> usize {
    let mut promises = Promises::default();
    let id = |salt: u64| {
        NodeId(u64::from_be_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().expect("16 bytes")) ^ salt)
    };
    let (one, two) = (id(1), id(2));
    let lease = |node, connections| Lease { node, connections };
    let alone = answered(presence.renew(lease(one, 3), 60_000).await);
    promises.keep("a node that renews is alive", alone.contains(&lease(one, 3)));
    let both = answered(presence.renew(lease(two, 4), 60_000).await);
    promises.keep(
        "all that are alive are listed",
        both.contains(&lease(one, 3)) && both.contains(&lease(two, 4)),
    );
    let grown = answered(presence.renew(lease(one, 5), 60_000).await);
    promises.keep(
        "the last count is the one that counts",
        grown.contains(&lease(one, 5)) && !grown.contains(&lease(one, 3)),
    );
    answered(presence.release(two).await);
    let rest = answered(presence.renew(lease(one, 5), 60_000).await);
    promises.keep("a released lease ends at once", rest.iter().all(|lease| lease.node != two));
    let dead = id(3);
    answered(presence.renew(lease(dead, 9), 50).await);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let mut listed = true;
    while listed && std::time::Instant::now() < until {
        // poll: a lease ends by the engine's own clock.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        listed = answered(presence.renew(lease(one, 5), 60_000).await).iter().any(|lease| lease.node == dead);
    }
    promises.keep("a lease that is not renewed ends", !listed);
    let high = NodeId(u64::MAX ^ one.0 >> 8);
    let listed = answered(presence.renew(lease(high, u64::from(u32::MAX)), 60_000).await);
    promises.keep(
        "a node's whole number and a large count come back",
        listed.contains(&lease(high, u64::from(u32::MAX)))
            && listed.iter().filter(|lease| lease.node == one).count() == 1,
    );
    answered(presence.release(high).await);
    answered(presence.release(high).await);
    let back = answered(presence.renew(lease(high, 1), 60_000).await);
    promises.keep(
        "releasing twice is no error, and who comes back is listed again",
        back.contains(&lease(high, 1)),
    );
    answered(presence.release(high).await);
    answered(presence.release(one).await);
    promises.count()
}
