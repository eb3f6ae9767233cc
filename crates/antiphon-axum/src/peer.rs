//! Who is at the other end: the socket's address, or what a trusted proxy says of it; and what it claims of itself.

use std::net::IpAddr;

use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// As much of what a header claims as a log should repeat.
pub(crate) const CLAIM_CHARS: usize = 256;

/// The address of a connection, put into each request's extensions by whoever accepts.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub IpAddr);

/// The address that is believed: walking back X-Forwarded-For through trusted proxies.
pub(crate) fn believed(extensions: &Extensions, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let connect_info = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
    let mut address = match extensions.get::<PeerAddress>() {
        Some(PeerAddress(address)) => *address,
        None => connect_info?.0.ip(),
    };
    let claimed: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in claimed.iter().rev() {
        if !is_trusted(&address) {
            break;
        }
        match hop.trim().parse() {
            Ok(before) => address = before,
            Err(_) => break,
        }
    }
    Some(address)
}

/// What a header says, for the log alone.
pub(crate) fn claimed(headers: &HeaderMap, name: &str) -> Option<Box<str>> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.chars().take(CLAIM_CHARS).collect::<String>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, forwarded: &str) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(PeerAddress(peer.parse().unwrap()));
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        believed(&extensions, &headers, &["10.0.0.0/8".parse().unwrap()]).unwrap().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(address("192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(address("10.0.0.1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(address("10.0.0.1", "203.0.113.5, 198.51.100.7, 10.0.0.2"), "198.51.100.7");
        assert_eq!(address("10.0.0.1", "nonsense"), "10.0.0.1");
    }
}
