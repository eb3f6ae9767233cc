//! The command line. Options that are settings too are made from [`crate::config::options`], so that a flag, a
//! variable and a key of the file can't drift apart.

use std::{collections::BTreeMap, path::PathBuf};

use antiphon_core::Scope;
use antiphon_protocol::{TenantId, UserId};
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use crate::config::{ConfigError, Environment, Kind, Lifetime, OptionInfo, Settings, options};

/// The realtime tier for a backend that runs as more than one instance.
#[derive(Parser)]
#[command(name = "antiphon", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Run a node until SIGTERM or SIGINT.
    Serve(Flags<true>),
    /// Show two nodes and four users on a page, on this machine alone.
    Demo(DemoArgs),
    /// Bring a database to this version.
    Migrate(Flags<false>),
    /// Tokens for users.
    #[command(subcommand)]
    Token(TokenCommand),
    /// API keys for backends.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Options of `demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// The port of the page on the loopback; 0 takes a free one.
    #[arg(long, value_name = "PORT", env = "ANTIPHON_PORT", hide_env_values = true, default_value_t = 8080)]
    pub port: u16,
}

/// What to do with tokens.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token for a user, and tenant and user where missing; print the token alone.
    Issue(TokenIssueArgs),
}

/// Options of `token issue`.
#[derive(Args)]
pub struct TokenIssueArgs {
    /// The tenant.
    #[arg(long, value_name = "ID", env = "ANTIPHON_TENANT", hide_env_values = true)]
    pub tenant: TenantId,
    /// The user.
    #[arg(long, value_name = "ID", env = "ANTIPHON_USER", hide_env_values = true)]
    pub user: UserId,
    /// How long the token is good.
    #[arg(long, value_name = "DURATION", env = "ANTIPHON_TTL", hide_env_values = true, default_value = "1h")]
    pub ttl: Lifetime,
    #[command(flatten)]
    pub flags: Flags<false>,
}

/// What to do with API keys.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make an API key; print the key alone.
    Issue(KeyIssueArgs),
    /// List the keys by id, with scopes and expiry; never the keys.
    List(Flags<false>),
    /// Revoke a key.
    Revoke(KeyRevokeArgs),
}

/// Options of `key issue`.
#[derive(Args)]
pub struct KeyIssueArgs {
    /// What it may do: publish, directory, metrics, admin. May be repeated; without it: all.
    #[arg(long, value_name = "SCOPE", env = "ANTIPHON_SCOPE", hide_env_values = true)]
    #[arg(value_parser = parse_scope, value_delimiter = ',')]
    pub scope: Vec<Scope>,
    /// The one tenant it is for; without it: all.
    #[arg(long, value_name = "ID", env = "ANTIPHON_TENANT", hide_env_values = true)]
    pub tenant: Option<TenantId>,
    /// How long it is good; without it: until it is revoked.
    #[arg(long, value_name = "DURATION", env = "ANTIPHON_TTL", hide_env_values = true)]
    pub ttl: Option<Lifetime>,
    #[command(flatten)]
    pub flags: Flags<false>,
}

/// Options of `key revoke`.
#[derive(Args)]
pub struct KeyRevokeArgs {
    /// The key's id, as `key list` shows it.
    pub id: String,
    #[command(flatten)]
    pub flags: Flags<false>,
}

/// How to look at the configuration.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Say whether `serve` would take it.
    Check(Flags<true>),
    /// Print every value and where it comes from, without secrets.
    Show(Flags<true>),
    /// Print the JSON Schema of the configuration file.
    Schema(Flags<false>),
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "expected publish, directory, metrics or admin".to_owned())
}

/// The flags that are settings: all of them, or those that every subcommand takes.
#[derive(Debug, Default)]
pub struct Flags<const ALL: bool> {
    given: BTreeMap<String, Vec<String>>,
    file: Option<PathBuf>,
}

impl<const ALL: bool> Flags<ALL> {
    /// The configuration that these flags, the environment and the file make.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        Settings::load(&self.given, self.file.as_deref(), &Environment::of_process())
    }

    fn options() -> impl Iterator<Item = (&'static OptionInfo, &'static str)> {
        options()
            .iter()
            .filter(|option| ALL || option.key == "database")
            .filter_map(|option| Some((option, option.flag.as_deref()?)))
    }
}

impl<const ALL: bool> Args for Flags<ALL> {
    fn augment_args(command: clap::Command) -> clap::Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The configuration file, in TOML [env: ANTIPHON_CONFIG]");
        Self::options()
            .fold(command.arg(config), |command, (option, flag)| command.arg(argument(option, flag)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

fn argument(option: &'static OptionInfo, flag: &'static str) -> Arg {
    let default = option.default.as_ref().map(|value| format!(" [default: {value}]")).unwrap_or_default();
    let env = option.env.as_ref().map(|name| format!(" [env: {name}]")).unwrap_or_default();
    let doc = option.doc.trim_end_matches('.');
    let arg = Arg::new(flag).long(flag).help(format!("{doc}{default}{env}"));
    match option.kind {
        Kind::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL")
            .action(ArgAction::Set),
        Kind::List => arg.value_name(option.value_name.as_str()).action(ArgAction::Append),
        _ => arg.value_name(option.value_name.as_str()).action(ArgAction::Set),
    }
}

impl<const ALL: bool> FromArgMatches for Flags<ALL> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Self::options().filter_map(|(option, flag)| {
            let values = matches.get_many::<String>(flag)?;
            Some((option.key.clone(), values.cloned().collect()))
        });
        Ok(Self { given: given.collect(), file: matches.get_one::<PathBuf>("config").cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_serve_says_its_variable_and_its_default() {
        let mut command = Cli::command();
        let serve = command.find_subcommand_mut("serve").unwrap();
        let help = serve.render_long_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        for (option, flag) in Flags::<true>::options() {
            assert!(help.contains(&format!("--{flag}")), "{flag}");
            assert!(help.contains(&format!("[env: {}]", option.env.as_ref().unwrap())), "{flag}");
            if let Some(default) = &option.default {
                assert!(help.contains(&format!("[default: {default}]")), "{flag}");
            }
        }
    }
}
