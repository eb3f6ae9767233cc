//! Where a node is: its WebSocket's address, read from what people write.

use http::Uri;

use crate::Error;

/// Reads an address: `ws`, `wss`, `http` or `https`; without a path it means `/ws`.
pub(crate) fn parse(url: &str) -> Result<Uri, Error> {
    let wrong = |why| Error::Address { url: url.to_owned(), why };
    let mut parts = url.parse::<Uri>().map_err(|_| wrong("not a URL"))?.into_parts();
    let scheme = match parts.scheme.as_ref().map(|scheme| scheme.as_str()) {
        Some("ws" | "http") => "ws",
        Some("wss" | "https") => "wss",
        _ => return Err(wrong("the scheme must be ws, wss, http or https")),
    };
    parts.scheme = Some(scheme.parse().map_err(|_| wrong("the scheme is not known"))?);
    if parts.authority.as_ref().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(wrong("names and passwords do not belong into it"));
    }
    if parts.path_and_query.as_ref().is_none_or(|path| path.as_str() == "/") {
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/ws"));
    }
    Uri::from_parts(parts).map_err(|_| wrong("it has no host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_means_the_socket_of_that_node() {
        for (written, meant) in [
            ("ws://127.0.0.1:1", "ws://127.0.0.1:1/ws"),
            ("http://127.0.0.1:1/", "ws://127.0.0.1:1/ws"),
            ("https://a.example", "wss://a.example/ws"),
            ("wss://a.example/here?x=1", "wss://a.example/here?x=1"),
        ] {
            assert_eq!(parse(written).unwrap().to_string(), meant);
        }
    }

    #[test]
    fn an_address_that_is_no_socket_is_refused() {
        for bad in ["", "127.0.0.1", "ftp://a", "ws://", "ws://user:pass@a", "ws://a b"] {
            assert!(matches!(parse(bad), Err(Error::Address { .. })), "{bad}");
        }
    }
}
