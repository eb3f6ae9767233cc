//! The memory engines run the suites of the seams.

#![allow(missing_docs)]

use std::sync::Arc;

use antiphon_contract::{broker, directory, presence, store, tokens};
use antiphon_memory::{MemoryBus, MemoryDirectory, MemoryPresence, MemoryStore};
use antiphon_protocol::ClusterSecret;

#[tokio::test]
async fn the_store_keeps_its_promises() {
    let secret = ClusterSecret::new([3; 32]);
    assert_eq!(store::suite(&MemoryStore::new(secret.clone()), &secret).await, 75);
}

#[tokio::test]
async fn the_store_of_a_directorys_tenants_keeps_its_promises() {
    let directory = Arc::new(MemoryDirectory::default());
    let store = MemoryStore::beside(directory.clone(), ClusterSecret::new([3; 32]));
    assert_eq!(store::suite_with_tenants(&store, &*directory).await, 7);
}

#[tokio::test]
async fn the_directory_keeps_its_promises() {
    assert_eq!(directory::suite(&MemoryDirectory::default()).await, 72);
}

#[tokio::test]
async fn tokens_and_keys_keep_their_promises() {
    assert_eq!(tokens::suite(&MemoryDirectory::default()).await, 33);
}

#[tokio::test]
async fn leases_keep_their_promises() {
    assert_eq!(presence::suite(&MemoryPresence::default()).await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_keeps_its_promises() {
    let bus = MemoryBus::new();
    assert_eq!(broker::suite(Arc::new(bus.broker()), Arc::new(bus.broker())).await, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_hears_what_it_posts_to_itself() {
    assert_eq!(broker::echo(Arc::new(MemoryBus::new().broker())).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_was_down_is_heard_again() {
    let bus = MemoryBus::new();
    let (one, two) = (Arc::new(bus.broker()), Arc::new(bus.broker()));
    assert_eq!(broker::outage(one, two, async |is_there| bus.set_down(!is_there)).await, 20);
}
