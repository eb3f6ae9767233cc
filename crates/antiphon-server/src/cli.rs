//! The command line. Options that are settings too are made from [`crate::config::options`], so that a flag, a
//! variable and a key of the file can't drift apart.

use std::{collections::BTreeMap, marker::PhantomData, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser};

use crate::{
    config::{ConfigError, Environment, Kind, OptionInfo, Settings, options},
    soak::SoakArgs,
};

/// The realtime tier for a backend that runs as more than one instance.
#[derive(Parser)]
#[command(name = "antiphon", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Run a node until SIGTERM or SIGINT.
    Serve(Flags<Serve>),
    /// Show two nodes and four users on a page, on this machine alone.
    Demo(Flags<Demo>),
    /// Prove on a running cluster, in tenants of its own, that nothing is lost, doubled, reordered or leaked.
    Soak(SoakArgs),
    /// Bring a database to this version.
    Migrate(Flags<Plain>),
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

/// What to do with tokens.
#[derive(clap::Subcommand)]
pub enum TokenCommand {
    /// Make a token for a user, and tenant and user where missing; print the token alone.
    #[command(override_usage = "antiphon token issue --tenant <ID> --user <ID> [OPTIONS]")]
    Issue(Flags<TokenIssue>),
}

/// What to do with API keys.
#[derive(clap::Subcommand)]
pub enum KeyCommand {
    /// Make an API key; print the key alone, and its id on standard error.
    Issue(Flags<KeyIssue>),
    /// List the keys by id, with scopes, making and expiry; never the keys.
    List(Flags<Plain>),
    /// Revoke a key.
    Revoke(KeyRevokeArgs),
}

/// Options of `key revoke`.
#[derive(Args)]
pub struct KeyRevokeArgs {
    /// The key's id, as `key list` shows it.
    pub id: String,
    #[command(flatten)]
    pub flags: Flags<Plain>,
}

/// How to look at the configuration.
#[derive(clap::Subcommand)]
pub enum ConfigCommand {
    /// Say whether `serve` would take it; nothing is connected to.
    Check(Flags<Serve>),
    /// Print every value and where it comes from, without secrets.
    Show(Flags<Serve>),
    /// Print the JSON Schema of the configuration file.
    Schema(Flags<Plain>),
}

/// A subcommand, by which its flags are chosen.
pub trait Subcommand {
    /// Its name.
    const NAME: &'static str;
}

macro_rules! subcommands {
    ($($(#[$doc:meta])* $name:ident: $text:literal,)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Subcommand for $name {
            const NAME: &'static str = $text;
        }
    )*};
}

subcommands! {
    /// `serve`, and what looks at its configuration.
    Serve: "serve",
    /// `demo`.
    Demo: "demo",
    /// `token issue`.
    TokenIssue: "token issue",
    /// `key issue`.
    KeyIssue: "key issue",
    /// One that has no options of its own.
    Plain: "",
}

/// The flags of a subcommand that are settings.
#[derive(Debug)]
pub struct Flags<Of> {
    given: BTreeMap<String, Vec<String>>,
    file: Option<PathBuf>,
    of: PhantomData<Of>,
}

impl<Of: Subcommand> Flags<Of> {
    /// The configuration that these flags, the environment and the file make.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        Settings::load(&self.given, self.file.as_deref(), &Environment::of_process())
    }

    fn options() -> impl Iterator<Item = (&'static OptionInfo, &'static str)> {
        let is_taken = |option: &&OptionInfo| match Of::NAME {
            "serve" => option.of.is_empty(),
            "demo" => option.is_of("demo"),
            name => option.key == "database" || option.is_of(name),
        };
        options().iter().filter(is_taken).filter_map(|option| Some((option, option.flag.as_deref()?)))
    }
}

impl<Of: Subcommand> Args for Flags<Of> {
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
    let repeated = if option.kind == Kind::List { "; may be repeated" } else { "" };
    let arg = Arg::new(flag).long(flag).help(format!("{doc}{repeated}{default}{env}"));
    match option.kind {
        Kind::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL")
            .action(ArgAction::Set),
        Kind::List => arg.value_name(option.value_name.as_str()).action(ArgAction::Append),
        // What begins with a stroke may be a negative number: refused in words of its own.
        Kind::Number => arg.value_name(option.value_name.as_str()).allow_negative_numbers(true),
        _ => arg.value_name(option.value_name.as_str()).action(ArgAction::Set),
    }
}

impl<Of: Subcommand> FromArgMatches for Flags<Of> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Self::options().filter_map(|(option, flag)| {
            let values = matches.get_many::<String>(flag)?;
            Some((option.key.clone(), values.cloned().collect()))
        });
        Ok(Self {
            given: given.collect(),
            file: matches.get_one::<PathBuf>("config").cloned(),
            of: PhantomData,
        })
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

    /// The help of a subcommand, as one line.
    fn help(path: &[&str]) -> String {
        let mut command = Cli::command();
        let found =
            path.iter().fold(&mut command, |command, name| command.find_subcommand_mut(name).unwrap());
        found.render_long_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn says_all<Of: Subcommand>(path: &[&str]) {
        let help = help(path);
        for (option, flag) in Flags::<Of>::options() {
            assert!(help.contains(&format!("--{flag}")), "{path:?} {flag}");
            assert!(help.contains(&format!("[env: {}]", option.env.as_ref().unwrap())), "{path:?} {flag}");
            if let Some(default) = &option.default {
                assert!(help.contains(&format!("[default: {default}]")), "{path:?} {flag}");
            }
        }
    }

    #[test]
    fn every_flag_says_its_variable_and_its_default() {
        says_all::<Serve>(&["serve"]);
        says_all::<Demo>(&["demo"]);
        says_all::<TokenIssue>(&["token", "issue"]);
        says_all::<KeyIssue>(&["key", "issue"]);
        says_all::<Plain>(&["migrate"]);
    }

    #[test]
    fn the_help_of_soak_says_its_units_its_defaults_where_the_key_is_from_and_how_it_ends() {
        let help = help(&["soak"]);
        for part in [
            "--node <URL>",
            "[default: 24]",
            "Entries a second",
            "[default: 5m]",
            "<DURATION>",
            "ANTIPHON_API_KEY_FILE",
            "Exit status: 0",
        ] {
            assert!(help.contains(part), "no {part} in {help}");
        }
        assert!(!help.contains("--key "), "a command line is no place for a secret");
    }

    #[test]
    fn every_option_is_a_flag_of_what_it_is_for_and_of_nothing_else() {
        let all = [("serve", help(&["serve"])), ("demo", help(&["demo"])), ("migrate", help(&["migrate"]))];
        let issues =
            ["token issue", "key issue"].map(|name| (name, help(&name.split(' ').collect::<Vec<_>>())));
        for option in options().iter().filter(|option| option.key != "database") {
            let Some(flag) = &option.flag else { continue };
            for (name, help) in all.iter().chain(&issues) {
                let is_for = option.is_of(name) || (*name == "serve" && option.of.is_empty());
                let is_there = [" <", "[=<"].iter().any(|end| help.contains(&format!("--{flag}{end}")));
                assert_eq!(is_there, is_for, "{name} --{flag}");
            }
        }
    }
}
