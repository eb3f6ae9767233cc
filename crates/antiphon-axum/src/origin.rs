//! Which pages may open a socket: exact origins, compared by scheme, host and port.

use axum::{extract::Request, http::header};
use url::Url;

/// Why an upgrade's Origin was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForeignOrigin(pub String);

/// Absent is fine (no browser), so is the own host; all else has to be allowed. Browsers write an origin in one way
/// only, so whatever differs from that by a letter is none.
pub(crate) fn check(request: &Request, allowed: &[url::Origin]) -> Result<(), ForeignOrigin> {
    let mut claimed = request.headers().get_all(header::ORIGIN).iter();
    let Some(first) = claimed.next() else { return Ok(()) };
    let text = first.to_str().unwrap_or("(not text)");
    let refused = || Err(ForeignOrigin(text.to_owned()));
    if claimed.next().is_some() {
        return refused();
    }
    let Ok(url) = Url::parse(text) else { return refused() };
    let origin = url.origin();
    if !matches!(url.scheme(), "http" | "https") || origin.ascii_serialization() != text {
        return refused();
    }
    let is_own = own_host(request).is_some_and(|host| {
        Url::parse(&format!("{}://{host}/", url.scheme())).is_ok_and(|own| own.origin() == origin)
    });
    if is_own || allowed.contains(&origin) { Ok(()) } else { refused() }
}

/// `Host`, or over HTTP/2 `:authority`.
fn own_host(request: &Request) -> Option<&str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (request.uri().authority(), hosts.next(), hosts.next()) {
        (Some(authority), _, _) => Some(authority.as_str()),
        (None, Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(origins: &[&str]) -> bool {
        let mut request = Request::new(axum::body::Body::empty());
        request.headers_mut().insert(header::HOST, "chat.example.com".parse().unwrap());
        for origin in origins {
            request
                .headers_mut()
                .append(header::ORIGIN, axum::http::HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        check(&request, &[Url::parse("https://app.example.com").unwrap().origin()]).is_ok()
    }

    #[test]
    fn only_exact_origins_get_in() {
        for good in ["https://app.example.com", "https://chat.example.com", "http://chat.example.com"] {
            assert!(verdict(&[good]), "{good}");
        }
        assert!(verdict(&[]), "no browser, no origin");
        for bad in [
            "null",
            "",
            "https://app.example.com:443",
            "HTTPS://APP.EXAMPLE.COM",
            "https://App.example.com",
            "https://app.example.com.",
            "https://ａpp.example.com",
            "app.example.com",
            "https://app.example.com.evil",
            "https://evil-app.example.com",
            "https://app.example.com.evil.test",
            "https://app.example.comevil",
            "https://evil.test/https://app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "https://user@app.example.com",
            "https://app.example.com@evil.test",
            "https://app.example.com:444",
            "http://app.example.com",
            "ftp://app.example.com",
            "ws://app.example.com",
            "https://example.com",
            "https://sub.app.example.com",
            "https://app.example.com\\.evil.test",
            "https://app.example.com%2eevil.test",
            "https://xn--pp-oia.example.com",
            "https://chat.example.com:8443",
            "https://chat.example.com.evil.test",
            "file://",
            "chrome-extension://abcdef",
            "https://",
            "*",
            "https://*.example.com",
        ] {
            assert!(!verdict(&[bad]), "{bad}");
        }
        assert!(!verdict(&["https://app.example.com", "https://app.example.com"]), "two origins");
    }

    #[test]
    fn over_http_2_the_own_host_is_the_authority() {
        let mut request = Request::new(axum::body::Body::empty());
        *request.uri_mut() = "https://chat.example.com/ws".parse().unwrap();
        request.headers_mut().insert(header::ORIGIN, "https://chat.example.com".parse().unwrap());
        assert_eq!(check(&request, &[]), Ok(()));
        request.headers_mut().insert(header::ORIGIN, "https://evil.example".parse().unwrap());
        request.headers_mut().insert(header::HOST, "evil.example".parse().unwrap());
        assert!(check(&request, &[]).is_err(), "a Host beside the authority counts for nothing");
    }
}
