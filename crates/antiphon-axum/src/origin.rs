//! Which pages may open a socket: exact origins, compared by scheme, host and port.

use axum::http::{HeaderMap, header};
use url::Url;

/// Why an upgrade's Origin was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForeignOrigin(pub String);

/// Absent is fine (no browser), so is the own host; all else has to be allowed.
pub(crate) fn check(headers: &HeaderMap, allowed: &[url::Origin]) -> Result<(), ForeignOrigin> {
    let mut claimed = headers.get_all(header::ORIGIN).iter();
    let Some(first) = claimed.next() else { return Ok(()) };
    let text = first.to_str().unwrap_or("(not text)");
    let refused = || Err(ForeignOrigin(text.to_owned()));
    if claimed.next().is_some() {
        return refused();
    }
    let Ok(url) = Url::parse(text) else { return refused() };
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && !text.ends_with('/');
    if !is_plain {
        return refused();
    }
    let is_own = headers.get(header::HOST).and_then(|host| host.to_str().ok()).is_some_and(|host| {
        Url::parse(&format!("{}://{host}/", url.scheme())).is_ok_and(|own| own.origin() == url.origin())
    });
    if is_own || allowed.contains(&url.origin()) { Ok(()) } else { refused() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(origins: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "chat.example.com".parse().unwrap());
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        check(&headers, &[Url::parse("https://app.example.com").unwrap().origin()]).is_ok()
    }

    #[test]
    fn only_exact_origins_get_in() {
        for good in [
            "https://app.example.com",
            "https://app.example.com:443",
            "HTTPS://APP.EXAMPLE.COM",
            "https://chat.example.com",
            "http://chat.example.com",
        ] {
            assert!(verdict(&[good]), "{good}");
        }
        assert!(verdict(&[]), "no browser, no origin");
        for bad in [
            "null",
            "",
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
}
