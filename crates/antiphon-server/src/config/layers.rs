//! The sources of a configuration and their order: flags win over the environment, that over the file.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::{Table, Value};

use super::{
    Config, ConfigError, ENV_PREFIX,
    error::{did_you_mean, nearest},
    options,
    value::{check_alone, from_texts, in_form, nested},
};
use crate::words;

const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The one variable that is no option: it names the file of them.
const CONFIG_VARIABLE: &str = "ANTIPHON_CONFIG";
/// The variable that has the API key of a subcommand that asks the HTTP API.
pub const API_KEY_VARIABLE: &str = "ANTIPHON_API_KEY";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// The variables of the environment that begin with `ANTIPHON_`.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
    }

    /// The value of a variable, or what stands in the file that its `_FILE` twin names. An empty one is none.
    pub fn get(&self, name: &str) -> Result<Option<(String, Origin)>, ConfigError> {
        let set = |name: &str| self.0.get(name).filter(|value| !value.is_empty());
        let file_name = format!("{name}_FILE");
        match (set(name), set(&file_name)) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(ConfigError::check(format!("{name} and {file_name} are both set"))),
            (Some(value), None) => {
                let text = value.to_str().ok_or_else(|| ConfigError::check(format!("{name}: not UTF-8")))?;
                Ok(Some((text.to_owned(), Origin::Environment(name.to_owned()))))
            }
            (None, Some(path)) => {
                let text = read(Path::new(path), &file_name)?;
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                Ok(Some((text, Origin::Environment(file_name))))
            }
        }
    }

    /// A sentence about each variable that nothing knows.
    fn warnings(&self) -> Vec<String> {
        let mut known: Vec<String> = options().iter().filter_map(|option| option.env.clone()).collect();
        known.extend([CONFIG_VARIABLE, API_KEY_VARIABLE].map(str::to_owned));
        let is_known = |name: &str| {
            known.iter().any(|known| name == known || name.strip_suffix("_FILE") == Some(known.as_str()))
        };
        let unknown = self.0.keys().filter(|name| !is_known(name));
        unknown
            .map(|name| {
                // The prefix is no likeness, and `_FILE` may stand behind any of them.
                let (stem, end) =
                    name.strip_suffix("_FILE").map_or((name.as_str(), ""), |stem| (stem, "_FILE"));
                let found = nearest(bare(stem), known.iter().map(|known| bare(known)));
                let found = found.map(|found| format!("{ENV_PREFIX}{found}{end}"));
                format!("unknown environment variable `{name}`{}", did_you_mean(found.as_deref()))
            })
            .collect()
    }
}

fn bare(name: &str) -> &str {
    name.strip_prefix(ENV_PREFIX).unwrap_or(name)
}

impl FromIterator<(String, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, OsString)>>(all: I) -> Self {
        Self(all.into_iter().filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect())
    }
}

/// A configuration, and where each of its values comes from.
#[derive(Debug)]
pub struct Settings {
    /// The values.
    pub config: Config,
    /// What is worth a word, though nothing is wrong.
    pub warnings: Vec<String>,
    origins: BTreeMap<String, Origin>,
}

impl Settings {
    /// Puts the sources over each other. Flags are keys with the texts that were given.
    pub fn load(
        flags: &BTreeMap<String, Vec<String>>,
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let named = match file {
            Some(file) => Some((file.to_owned(), "--config".to_owned())),
            None => {
                let named = environment.get(CONFIG_VARIABLE)?;
                named.map(|(path, origin)| (PathBuf::from(path), origin.to_string()))
            }
        };
        let mut values = BTreeMap::new();
        if let Some((path, named_by)) = named {
            values = read_keys(&path, &read(&path, &named_by)?)?;
        }
        for option in options() {
            if let Some(flag) = flags.get(&option.key) {
                let origin = Origin::Flag(option.flag.clone().unwrap_or_default());
                let value = from_texts(option, flag, &origin)?;
                values.insert(option.key.clone(), (value, origin));
            } else if let Some(name) = &option.env
                && let Some((text, origin)) = environment.get(name)?
            {
                let value = from_texts(option, &[text], &origin)?;
                values.insert(option.key.clone(), (value, origin));
            }
        }
        for option in options() {
            if let Some((value, origin)) = values.get(&option.key) {
                check_alone(option, value, origin)?;
            }
        }
        let table = nested(values.iter().map(|(key, (value, _))| (key.as_str(), value.clone())));
        let config = Config::deserialize(table).map_err(|error| ConfigError::check(error.message()))?;
        let origins = values.into_iter().map(|(key, (_, origin))| (key, origin)).collect();
        Ok(Self { config, warnings: environment.warnings(), origins })
    }

    /// What is worth a word to whoever configures `serve`.
    pub fn warnings_for_serve(&self) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        if *self.origin("port") != Origin::Default {
            let origin = self.origin("port");
            warnings
                .push(format!("{origin}: `port` is the demo's alone; `serve` listens where `listen` says"));
        }
        warnings
    }

    /// Where an option's value comes from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }
}

fn read(path: &Path, named_by: &str) -> Result<String, ConfigError> {
    let what = format!("{} ({named_by})", path.display());
    let fail = |why: String| ConfigError::File { what: what.clone(), why };
    let size = std::fs::metadata(path).map_err(|error| fail(words::of_file(&error)))?.len();
    if size > FILE_BYTES_MAX {
        return Err(fail("it is too large".into()));
    }
    std::fs::read_to_string(path).map_err(|error| fail(words::of_file(&error)))
}

type Values = BTreeMap<String, (Value, Origin)>;

/// The keys of the file, `-` and `_` being the same in them.
fn read_keys(path: &Path, text: &str) -> Result<Values, ConfigError> {
    let origin = Origin::File(path.to_owned());
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        // Without the line itself, in which a password may stand.
        let line =
            error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count()) + 1;
        let why = format!("this is no TOML: {}", error.message());
        ConfigError::File { what: format!("{}:{line}", path.display()), why }
    })?;
    let mut values = Values::new();
    collect("", table, &origin, &mut values)?;
    Ok(values)
}

fn collect(prefix: &str, table: Table, origin: &Origin, into: &mut Values) -> Result<(), ConfigError> {
    for (written, value) in table {
        let key = format!("{prefix}{}", written.replace('-', "_"));
        if let Some(option) = options().iter().find(|option| option.key == key) {
            let twice = || ConfigError::Value {
                origin: origin.clone(),
                key: key.clone(),
                why: "it stands there twice".into(),
            };
            let value = in_form(option, value);
            if into.insert(key.clone(), (value, origin.clone())).is_some() {
                return Err(twice());
            }
            continue;
        }
        let section = format!("{key}.");
        let is_section = options().iter().any(|option| option.key.starts_with(&section));
        match value {
            Value::Table(table) if is_section => collect(&section, table, origin, into)?,
            _ if is_section => {
                let why = format!("expected a section: `[{key}]`");
                return Err(ConfigError::Value { origin: origin.clone(), key, why });
            }
            _ => {
                let known = options().iter().map(|option| option.key.as_str());
                let written = format!("{prefix}{written}");
                let nearest = nearest(&key, known);
                return Err(ConfigError::UnknownKey { origin: origin.clone(), key: written, nearest });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect()
    }

    fn load_env(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::load(&BTreeMap::new(), None, &environment(variables))
    }

    fn file(text: &str) -> Result<Values, String> {
        read_keys(Path::new("a.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_of_value_is_read_from_the_environment() {
        let settings = load_env(&[
            ("ANTIPHON_RATE_LIMIT", "7"),
            ("ANTIPHON_REDIS_PLAIN_TOPICS", "yes"),
            ("ANTIPHON_TRUSTED_PROXY", "10.0.0.0/8, ::1/128"),
            ("ANTIPHON_LIMITS_TICK", "1s"),
            ("ANTIPHON_JWT_TENANT_CLAIM", "org"),
            ("ANTIPHON_LOG", ""),
        ])
        .unwrap();
        let config = &settings.config;
        assert!(config.redis_plain_topics && config.trusted_proxy.len() == 2);
        assert_eq!((config.limits().rate_per_second, config.jwt.tenant_claim.as_str()), (7, "org"));
        assert_eq!(config.limits().tick.as_secs(), 1);
        assert_eq!(*settings.origin("log"), Origin::Default);
        assert!(settings.warnings.is_empty());
    }

    #[test]
    fn a_wrong_value_is_blamed_on_its_source() {
        let error = load_env(&[("ANTIPHON_RATE_LIMIT", "many")]).unwrap_err().to_string();
        assert_eq!(error, "ANTIPHON_RATE_LIMIT: `rate_limit`: expected a whole number from 0 to 4294967295");
        let error = load_env(&[("ANTIPHON_DRAIN", "10")]).unwrap_err().to_string();
        assert!(error.starts_with("ANTIPHON_DRAIN: `drain`: expected a duration"), "{error}");
        let error = load_env(&[("ANTIPHON_ALLOWED_ORIGIN", "*")]).unwrap_err().to_string();
        assert!(error.starts_with("ANTIPHON_ALLOWED_ORIGIN: `allowed_origin`: `*` is no origin"), "{error}");
        assert!(load_env(&[("ANTIPHON_RATE_LIMIT", "-1")]).is_err());
    }

    #[test]
    fn an_unknown_variable_is_worth_a_word_and_no_more() {
        let settings = load_env(&[("ANTIPHON_LISTNE", "x"), ("ANTIPHON_TENANT", "t")]).unwrap();
        assert_eq!(
            settings.warnings,
            ["unknown environment variable `ANTIPHON_LISTNE`, did you mean `ANTIPHON_LISTEN`?"]
        );
    }

    #[test]
    fn a_key_may_be_written_with_either_stroke_but_not_with_both() {
        assert_eq!(file("drain-delay = '1s'").unwrap(), file("drain_delay = '1s'").unwrap());
        assert!(file("drain-delay = '1s'\ndrain_delay = '1s'").unwrap_err().contains("twice"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_known_one() {
        let unknown = |text: &str| file(text).unwrap_err();
        assert_eq!(unknown("lisen = 'x'"), "a.toml: unknown key `lisen`, did you mean `listen`?");
        assert_eq!(
            unknown("[jwt]\ntenant_clam = 'x'"),
            "a.toml: unknown key `jwt.tenant_clam`, did you mean `jwt.tenant_claim`?"
        );
        assert_eq!(unknown("quite_different = 1"), "a.toml: unknown key `quite_different`");
        assert!(unknown("jwt = 1").contains("`[jwt]`"));
    }

    #[test]
    fn an_error_never_repeats_a_secret() {
        assert!(!file("x = 1\ndatabase = \"postgres://u:canary@h").unwrap_err().contains("canary"));
        let origin = Origin::File("a.toml".into());
        for key in ["database", "redis", "jwt.secret"] {
            let option = options().iter().find(|option| option.key == key).unwrap();
            let error = check_alone(option, &Value::Array(vec!["canary".into()]), &origin).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        let error = load_env(&[("ANTIPHON_DATABASE", "mysql://u:canary@h")]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
