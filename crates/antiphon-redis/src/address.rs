//! Where Redis is: the grammar of its URLs. A password of one is never shown.

use std::{fmt, str::FromStr, sync::Arc};

use url::Url;

/// Servers that a URL may name.
const SERVERS_MAX: usize = 64;
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// One Redis or one sentinel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Server {
    pub host: Arc<str>,
    pub port: u16,
}

impl Server {
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.trim_start_matches('[').trim_end_matches(']').into(), port }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// How the servers of a URL stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One Redis, in this database.
    Single { db: i64 },
    /// Sentinels that know where the master of this name is.
    Sentinel { master: String, db: i64, login: Login },
    /// Some of a cluster's servers.
    Cluster,
}

/// Who we say that we are.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub user: Option<String>,
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.password.is_some() { "***" } else { "none" })
    }
}

/// What a Redis URL says: `redis://`, `redis-sentinel://`, `redis-cluster://`, or one of these with `rediss` for TLS.
/// It is printed without its passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(crate) form: Form,
    pub(crate) servers: Vec<Server>,
    pub(crate) is_tls: bool,
    pub(crate) login: Login,
    text: String,
}

/// What is wrong with a URL; it repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisUrlError {
    /// Another scheme, or none.
    Scheme,
    /// No host, a bad one, or more than may be.
    Servers,
    /// A user or a password that is not percent-encoded text.
    Login,
    /// The path is no database, or names no master.
    Path,
    /// A parameter that is not known.
    Query,
}

impl RedisUrlError {
    /// What was expected.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheme => {
                "expected `redis://HOST:PORT`, `redis-sentinel://HOST:PORT,HOST:PORT/MASTER` or \
                 `redis-cluster://HOST:PORT,HOST:PORT`, each with USER:PASSWORD@ before the first host if need be, \
                 and with `rediss` for TLS"
            }
            Self::Servers => {
                "expected HOST:PORT behind the scheme; several, with commas between, for redis-sentinel:// and \
                 redis-cluster:// alone"
            }
            Self::Login => "expected USER:PASSWORD@ before the first host, percent-encoded",
            Self::Path => {
                "expected `/DATABASE` (a number) or nothing at the end of redis://, `/MASTER` or `/MASTER/DATABASE` at \
                 that of redis-sentinel://, and nothing at that of redis-cluster://"
            }
            Self::Query => {
                "behind `?` there may only be `sentinel_user` and `sentinel_password`, of redis-sentinel://"
            }
        }
    }
}

impl fmt::Display for RedisUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for RedisUrlError {}

impl RedisUrl {
    /// The URL with its passwords.
    pub fn secret(&self) -> &str {
        &self.text
    }

    /// Is it spoken to through TLS?
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    fn scheme(&self) -> &'static str {
        match (&self.form, self.is_tls) {
            (Form::Single { .. }, false) => "redis",
            (Form::Single { .. }, true) => "rediss",
            (Form::Sentinel { .. }, false) => "redis-sentinel",
            (Form::Sentinel { .. }, true) => "rediss-sentinel",
            (Form::Cluster, false) => "redis-cluster",
            (Form::Cluster, true) => "rediss-cluster",
        }
    }

    /// Scheme, hosts, ports and a master's name.
    pub(crate) fn shown(&self) -> String {
        let servers: Vec<String> = self.servers.iter().map(Server::to_string).collect();
        let shown = format!("{}://{}", self.scheme(), servers.join(","));
        match &self.form {
            Form::Sentinel { master, .. } => format!("{shown}/{master}"),
            _ => shown,
        }
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(RedisUrlError::Scheme)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, servers) = authority.rsplit_once('@').map_or(("", authority), |parts| parts);
        let kind = scheme.strip_prefix("redis").ok_or(RedisUrlError::Scheme)?;
        let (is_tls, kind) = kind.strip_prefix('s').map_or((false, kind), |kind| (true, kind));
        let form = form(kind, path, query)?;
        let port = if matches!(form, Form::Sentinel { .. }) { SENTINEL_PORT } else { PORT };
        let servers = servers.split(',').map(|server| self::server(server, port));
        let servers: Vec<Server> = servers.collect::<Option<_>>().ok_or(RedisUrlError::Servers)?;
        let too_many = if matches!(form, Form::Single { .. }) { 2 } else { SERVERS_MAX + 1 };
        if servers.len() >= too_many {
            return Err(RedisUrlError::Servers);
        }
        Ok(Self { form, servers, is_tls, login: self::login(login)?, text: text.to_owned() })
    }
}

fn form(kind: &str, path: &str, query: &str) -> Result<Form, RedisUrlError> {
    if !query.is_empty() && kind != "-sentinel" {
        return Err(RedisUrlError::Query);
    }
    match kind {
        "" => Ok(Form::Single { db: database(path)? }),
        "-cluster" if path.is_empty() => Ok(Form::Cluster),
        "-cluster" => Err(RedisUrlError::Path),
        "-sentinel" => {
            let (master, db) = path.split_once('/').unwrap_or((path, ""));
            let master = decoded(master).filter(|name| !name.is_empty() && !name.contains(char::is_control));
            let master = master.ok_or(RedisUrlError::Path)?;
            let mut login = Login::default();
            for (key, value) in url::form_urlencoded::parse(query.replace('+', "%2B").as_bytes()) {
                let part = match key.as_ref() {
                    "sentinel_user" => &mut login.user,
                    "sentinel_password" => &mut login.password,
                    _ => return Err(RedisUrlError::Query),
                };
                *part = Some(value.into_owned()).filter(|value| !value.is_empty());
            }
            Ok(Form::Sentinel { master, db: database(db)?, login })
        }
        _ => Err(RedisUrlError::Scheme),
    }
}

fn database(path: &str) -> Result<i64, RedisUrlError> {
    if path.is_empty() { Ok(0) } else { path.parse::<u16>().map(i64::from).map_err(|_| RedisUrlError::Path) }
}

fn server(text: &str, port: u16) -> Option<Server> {
    // The web's own rules for hosts: brackets, ports, no odd characters.
    let url = Url::parse(&format!("http://{text}")).ok()?;
    let is_bare = url.username().is_empty() && url.password().is_none() && url.path() == "/";
    let is_bare = is_bare && url.query().is_none() && url.fragment().is_none() && !text.ends_with('/');
    // The scheme's own port is not told from none.
    let named = text.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    let port = match named {
        Some((_, port)) => port.parse().ok()?,
        None => port,
    };
    url.host_str().filter(|_| is_bare && port != 0).map(|host| Server::new(host, port))
}

fn login(text: &str) -> Result<Login, RedisUrlError> {
    let (user, password) = text.split_once(':').map_or((text, None), |(user, word)| (user, Some(word)));
    let part = |text: &str| match decoded(text) {
        None => Err(RedisUrlError::Login),
        Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
    };
    Ok(Login { user: part(user)?, password: password.map_or(Ok(None), part)? })
}

/// Percent-decoded text; none if it is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let pair = format!("_={}", text.replace('+', "%2B").replace('&', "%26"));
    let (_, text) = url::form_urlencoded::parse(pair.as_bytes()).next()?;
    Some(text.into_owned()).filter(|text| !text.contains(char::REPLACEMENT_CHARACTER))
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = match &self.login {
            Login { password: Some(_), user } => format!("{}:***@", user.as_deref().unwrap_or_default()),
            // A password in the place of the name is a common slip.
            Login { password: None, user: Some(_) } => "***@".to_owned(),
            Login { password: None, user: None } => String::new(),
        };
        let shown = self.shown();
        let (scheme, rest) = shown.split_once("://").unwrap_or_default();
        write!(f, "{scheme}://{login}{rest}")?;
        match &self.form {
            Form::Single { db } | Form::Sentinel { db, .. } if *db != 0 => write!(f, "/{db}")?,
            _ => {}
        }
        match &self.form {
            Form::Sentinel { login, .. } if *login != Login::default() => {
                f.write_str("?sentinel_password=***")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RedisUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn each_form_is_read() {
        let single = read("redis://redis.example");
        assert_eq!(single.servers, [Server::new("redis.example", 6379)]);
        assert!(single.form == Form::Single { db: 0 } && !single.is_tls && single.login == Login::default());
        let tls = read("rediss://app:p%40ss+1@[::1]:80/3");
        assert_eq!(tls.servers, [Server::new("::1", 80)]);
        assert_eq!((tls.login.user.as_deref(), tls.login.password.as_deref()), (Some("app"), Some("p@ss+1")));
        assert!(tls.is_tls && tls.form == Form::Single { db: 3 });
        let sentinel =
            "redis-sentinel://:one@a,b:7,[::1]/my%20master/2?sentinel_user=s&sentinel_password=t%26w+o";
        let sentinel = read(sentinel);
        assert_eq!(sentinel.servers.iter().map(|server| server.port).collect::<Vec<_>>(), [26379, 7, 26379]);
        assert_eq!(sentinel.login.password.as_deref(), Some("one"));
        let login = Login { user: Some("s".into()), password: Some("t&w+o".into()) };
        assert_eq!(sentinel.form, Form::Sentinel { master: "my master".into(), db: 2, login });
        let cluster = read("rediss-cluster://u:p@a:1,b:2,c:3");
        assert!(cluster.form == Form::Cluster && cluster.is_tls && cluster.servers.len() == 3);
    }

    #[test]
    fn what_is_wrong_is_told_and_nothing_of_it_repeated() {
        for (text, error) in [
            ("canary", RedisUrlError::Scheme),
            ("http://u:canary@h", RedisUrlError::Scheme),
            ("redisss://u:canary@h", RedisUrlError::Scheme),
            ("redis-ring://u:canary@h", RedisUrlError::Scheme),
            ("redis://", RedisUrlError::Servers),
            ("redis://u:canary@", RedisUrlError::Servers),
            ("redis://u:canary@h:port", RedisUrlError::Servers),
            ("redis://u:canary@h:0", RedisUrlError::Servers),
            ("redis://u:canary@a,b", RedisUrlError::Servers),
            ("redis-cluster://u:canary@a,,b", RedisUrlError::Servers),
            ("redis-cluster://u:canary@a,b:99999", RedisUrlError::Servers),
            ("redis://u:can%ffary@h", RedisUrlError::Login),
            ("redis://u:canary@h/x", RedisUrlError::Path),
            ("redis-cluster://u:canary@h/1", RedisUrlError::Path),
            ("redis-sentinel://u:canary@h", RedisUrlError::Path),
            ("redis-sentinel://u:canary@h/m/x", RedisUrlError::Path),
            ("redis://u:canary@h?password=canary", RedisUrlError::Query),
            ("redis-sentinel://h/m?sentinel=canary", RedisUrlError::Query),
        ] {
            let told = text.parse::<RedisUrl>().unwrap_err();
            assert_eq!(told, error, "{text}");
            assert!(!told.to_string().contains("canary"));
        }
        let many = vec!["h"; SERVERS_MAX + 1].join(",");
        assert_eq!(format!("redis-cluster://{many}").parse::<RedisUrl>(), Err(RedisUrlError::Servers));
    }

    #[test]
    fn no_password_is_ever_shown() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379"),
            ("redis://canary@localhost/1", "redis://***@localhost:6379/1"),
            ("rediss://app:canary@h:1/3", "rediss://app:***@h:1/3"),
            (
                "redis-sentinel://:canary@a,b/m?sentinel_password=canary",
                "redis-sentinel://:***@a:26379,b:26379/m?sentinel_password=***",
            ),
            ("redis-cluster://u:c%61nary@[::1],b", "redis-cluster://u:***@[::1]:6379,b:6379"),
        ] {
            let url = read(text);
            assert_eq!(url.to_string(), shown);
            for said in [url.shown(), format!("{url:?} {:?}", url.login)] {
                assert!(!said.contains("canary"), "{said}");
            }
            assert_eq!(url.secret(), text);
        }
    }
}
