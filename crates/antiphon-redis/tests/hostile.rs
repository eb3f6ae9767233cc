//! What comes from Redis is untrusted, and what Redis refuses is refused alone.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::atomic::Ordering,
};

use antiphon_core::{Broker, BrokerState, Channel, PlainChannel};
use antiphon_testkit::{Redis, redis_or_skip, wait_until};
use bytes::Bytes;
use support::{PATIENCE, channel, node, tenant};

/// Publishes through a connection of a stranger's own; each answer is read.
fn publish(redis: &Redis, channel: &str, messages: impl Iterator<Item = Vec<u8>>) {
    let mut stranger = TcpStream::connect((Ipv4Addr::LOCALHOST, redis.port())).unwrap();
    let messages: Vec<Vec<u8>> = messages.collect();
    for batch in messages.chunks(1000) {
        let mut bytes = Vec::new();
        for message in batch {
            let head =
                format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{channel}\r\n${}\r\n", channel.len(), message.len());
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(message);
            bytes.extend_from_slice(b"\r\n");
        }
        stranger.write_all(&bytes).unwrap();
        let mut answers = vec![0; 4 * batch.len()];
        stranger.read_exact(&mut answers).unwrap();
        assert!(answers.starts_with(b":"), "{}", String::from_utf8_lossy(&answers));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_thousand_pieces_of_garbage_break_nothing() {
    let Some(redis) = redis_or_skip("two_hundred_thousand_pieces_of_garbage") else { return };
    let node = node(&redis.url());
    node.hear(&channel("news"));
    node.hear(&Channel::Nodes);
    node.broker.listen_plain(&tenant("acme"));
    wait_until(PATIENCE, "three channels", || redis.cli(&["PUBSUB", "CHANNELS"]).lines().count() == 3);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let garbage = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (0..seed % 90).map(|at| (seed.rotate_left(at as u32) & 0xff) as u8).collect::<Vec<u8>>()
    };
    let garbage: Vec<Vec<u8>> = std::iter::repeat_with(garbage).take(200_000).collect();
    publish(&redis, "antiphon:topic acme news", garbage[..100_000].iter().cloned());
    publish(&redis, "antiphon nodes", garbage[100_000..].iter().cloned());
    publish(&redis, "acme", garbage[..1000].iter().cloned());
    wait_until(4 * PATIENCE, "all came", || node.ear.count.load(Ordering::Relaxed) == 200_000);
    wait_until(PATIENCE, "the plain ones too", || node.ear.plain.lock().len() == 1000);
    node.ear.received.lock().clear();
    node.is_heard_on(&channel("news"), "as before");
    node.was_told(&[BrokerState::Up]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_larger_than_anything_of_ours_is_dropped_and_counted() {
    let Some(redis) = redis_or_skip("what_is_larger_than_anything_of_ours") else { return };
    let node = node(&redis.url());
    node.hear(&channel("news"));
    let sizes = [128 * 1024 + 1, 4 << 20, 128 * 1024, 0];
    publish(&redis, "antiphon:topic acme news", sizes.into_iter().map(|size| vec![b'x'; size]));
    wait_until(PATIENCE, "the last came", || node.ear.received.lock().len() == 2);
    let received: Vec<usize> = node.ear.received.lock().iter().map(Bytes::len).collect();
    assert_eq!((received, node.broker.dropped()), (vec![128 * 1024, 0], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tenants_name_makes_its_plain_channel_one_of_ours() {
    let Some(redis) = redis_or_skip("no_tenants_name_makes_its_plain_channel_one_of_ours") else { return };
    let node = node(&redis.url());
    node.hear(&channel("news"));
    node.hear(&Channel::Nodes);
    let names = ["antiphon:nodes", "antiphon:topic", "antiphon:topic:acme:news", "antiphon*", "[a]"];
    names.iter().for_each(|name| node.broker.listen_plain(&tenant(name)));
    wait_until(PATIENCE, "all listened to", || redis.cli(&["PUBSUB", "CHANNELS"]).lines().count() == 7);
    for name in names {
        node.broker.post_plain(&tenant(name), Bytes::from_static(b"{}"));
    }
    node.broker.post(&channel("news"), Bytes::from_static(b"ours"));
    wait_until(PATIENCE, "all came", || {
        node.ear.plain.lock().len() == names.len() && !node.ear.received.lock().is_empty()
    });
    assert_eq!(*node.ear.received.lock(), [&b"ours"[..]]);
    let heard: Vec<String> = node.ear.plain.lock().iter().map(|(tenant, _)| tenant.to_string()).collect();
    assert_eq!(heard, names);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_redis_refuses_takes_no_other_with_it_and_is_tried_again() {
    let Some(redis) = redis_or_skip("a_channel_that_redis_refuses_takes_no_other_with_it") else { return };
    redis.cli(&["ACL", "SETUSER", "node", "on", ">secret", "resetchannels", "&antiphon*", "+@all"]);
    let node = node(&redis.url().replace("redis://", "redis://node:secret@"));
    node.broker.listen_plain(&tenant("acme"));
    node.hear(&channel("news"));
    wait_until(PATIENCE, "up", || node.is_up());
    node.is_heard_on(&channel("news"), "heard beside a refused one");
    let dropped = node.broker.dropped();
    node.broker.post_plain(&tenant("acme"), Bytes::from_static(b"{}"));
    wait_until(PATIENCE, "the refused post is counted", || node.broker.dropped() > dropped);
    node.is_heard_on(&channel("news"), "heard behind a refused post");
    redis.cli(&["ACL", "SETUSER", "node", "&acme"]);
    wait_until(PATIENCE, "allowed now", || {
        redis.cli(&["PUBSUB", "CHANNELS"]).lines().any(|name| name == "acme")
    });
    node.was_told(&[BrokerState::Up]);
}
