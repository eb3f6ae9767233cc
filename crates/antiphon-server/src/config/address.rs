//! Addresses of the things around: the database, Redis, an issuer's keys. Their passwords are never shown:
//! whatever prints one of these prints `***` instead.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use antiphon_webhook::SigningSecret;
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use url::Url;

/// The URL with its password, and whatever else in it is a secret, left out.
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() {
        // These fail only for URLs that can't have a password.
        let _ = shown.set_password(Some("***"));
    }
    if shown.query().is_some() {
        let pairs: Vec<(String, String)> = shown
            .query_pairs()
            .map(|(key, value)| {
                let secret = ["password", "pass", "secret", "token", "key"]
                    .iter()
                    .any(|word| key.to_ascii_lowercase().contains(word));
                (key.into_owned(), if secret { "***".to_owned() } else { value.into_owned() })
            })
            .collect();
        shown.query_pairs_mut().clear().extend_pairs(pairs);
    }
    shown.to_string()
}

/// Where the log, the directory and the tokens are kept.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres(Url),
}

impl DatabaseUrl {
    /// The URL with its password.
    pub fn secret(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(url) => url.to_string(),
        }
    }

    /// Is it a file?
    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }
}

impl FromStr for DatabaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains('?') {
                return Err("expected `sqlite:PATH`");
            }
            return Ok(Self::Sqlite(path.into()));
        }
        let url = Url::parse(text).map_err(|_| EXPECTED_DATABASE)?;
        match url.scheme() {
            "postgres" | "postgresql" if url.host_str().is_some() || url.query().is_some() => {
                Ok(Self::Postgres(url))
            }
            _ => Err(EXPECTED_DATABASE),
        }
    }
}

const EXPECTED_DATABASE: &str = "expected `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`";

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(_) => f.write_str(&self.secret()),
            Self::Postgres(url) => f.write_str(&redacted(url)),
        }
    }
}

/// Where nodes hear each other.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct RedisUrl(antiphon_redis::RedisUrl);

impl RedisUrl {
    /// The URL with its passwords.
    pub fn secret(&self) -> &str {
        self.0.secret()
    }

    /// Is it spoken to through TLS?
    pub fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

impl FromStr for RedisUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(antiphon_redis::RedisUrlError::as_str)
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An HTTP address.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct HttpUrl(pub Url);

impl FromStr for HttpUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host_str().is_some() => Ok(Self(url)),
            _ => Err("expected `https://HOST/PATH`"),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        if !shown.username().is_empty() {
            // A token often stands in the place of the name. It fails only for URLs that can't have one.
            let _ = shown.set_username("***");
        }
        f.write_str(&redacted(&shown))
    }
}

macro_rules! text_like {
    ($name:ident, $value:literal) => {
        impl TryFrom<String> for $name {
            type Error = &'static str;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "x-value": $value })
            }
        }
    };
}

pub(super) use text_like;

text_like!(DatabaseUrl, "URL");
text_like!(RedisUrl, "URL");
text_like!(HttpUrl, "URL");
text_like!(ListenAddress, "ADDR");
text_like!(Hidden, "SECRET");
text_like!(HookSecret, "SECRET");

/// Where to listen: `HOST:PORT`.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct ListenAddress(String);

impl ListenAddress {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED_LISTEN)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || (host.contains(':') && !bracketed) || port.parse::<u16>().is_err() {
            return Err(EXPECTED_LISTEN);
        }
        Ok(Self(text.to_owned()))
    }
}

const EXPECTED_LISTEN: &str = "expected `ADDRESS:PORT`, such as `127.0.0.1:8080` or `[::]:8080`";

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret of the configuration.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Hidden(String);

impl Hidden {
    /// The secret itself.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hidden {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err("it is empty") } else { Ok(Self(text.to_owned())) }
    }
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secret of a webhook.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct HookSecret(SigningSecret);

impl HookSecret {
    /// The secret itself.
    pub fn secret(&self) -> &SigningSecret {
        &self.0
    }
}

impl FromStr for HookSecret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected `whsec_` and the base64 of 24 to 64 random bytes";
        SigningSecret::parse(text).map(Self).map_err(|_| expected)
    }
}

impl fmt::Display for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Networks, each of which may be one address.
pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let one = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| one()).map_err(|_| {
            let shown = text.replace(char::is_control, "?");
            D::Error::custom(format!(
                "`{shown}` is no network; expected an address, or a network such as `10.0.0.0/8`"
            ))
        })
    };
    Vec::<String>::deserialize(from)?.iter().map(network).collect()
}

/// Origins. Each is compared whole, so one with a path or a star would silently never fit.
pub(super) fn origins<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<String>::deserialize(from)?;
    let is_origin = |text: &&String| {
        Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && !text.contains('*')
                && url.origin().ascii_serialization() == text.trim_end_matches('/').to_ascii_lowercase()
        })
    };
    match origins.iter().find(|text| !is_origin(text)) {
        None => Ok(origins),
        Some(other) => {
            let shown = other.replace(char::is_control, "?");
            Err(D::Error::custom(format!(
                "`{shown}` is no origin; expected scheme, host and port alone, such as `https://app.example.com`"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_ever_shown() {
        let shown = |text: &str| redacted(&text.parse().unwrap());
        for text in [
            "postgres://app:canary@db/antiphon",
            "postgres://app:can%61ry%40canary@db/antiphon",
            "postgres:///antiphon?host=/run&user=app&password=canary",
            "https://issuer.example/keys?api_key=canary&Token=canary",
        ] {
            let shown = shown(text);
            assert!(!shown.contains("canary") && shown.contains("***"), "{shown}");
        }
        for text in ["https://app:canary@hook.example/", "https://canary@hook.example/?key=canary"] {
            let url: HttpUrl = text.parse().unwrap();
            assert!(!format!("{url} {url:?}").contains("canary"), "{url}");
        }
        let secret: HookSecret = "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5".parse().unwrap();
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(shown("postgres://app@db/antiphon"), "postgres://app@db/antiphon");
        for text in [
            "redis://canary@localhost",
            "rediss://:canary@localhost:6380/0",
            "redis-sentinel://u:canary@a,b:1/m?sentinel_password=canary",
            "rediss-cluster://u:c%61nary@a:1,b",
        ] {
            let redis: RedisUrl = text.parse().unwrap();
            assert!(
                !format!("{redis} {redis:?}").contains("canary") && redis.to_string().contains("***"),
                "{redis}"
            );
            assert_eq!((redis.secret(), redis.is_tls()), (text, text.starts_with("rediss")));
        }
        let database: DatabaseUrl = "postgres://app:canary@db/antiphon".parse().unwrap();
        assert!(!format!("{database} {database:?}").contains("canary"));
        assert!(database.secret().contains("canary"));
    }

    #[test]
    fn an_address_of_another_kind_is_refused_without_being_repeated() {
        for text in ["mysql://u:canary@h/d", "canary", "sqlite:", "postgres://u:canary@h:port/d"] {
            assert!(!text.parse::<DatabaseUrl>().unwrap_err().contains("canary"), "{text}");
        }
        for text in
            ["http://h", "redis://", "canary", "redis-sentinel://canary@h", "redis-cluster://h,:canary"]
        {
            assert!(!text.parse::<RedisUrl>().unwrap_err().contains("canary"), "{text}");
        }
        for text in ["8080", ":8080", "::1:8080", "h:99999", "h:"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
        assert!(
            "[::1]:0".parse::<ListenAddress>().is_ok() && "localhost:80".parse::<ListenAddress>().is_ok()
        );
    }
}
