//! `config check`, `config show` and `config schema`.

use crate::{
    cli::ConfigCommand,
    config::{self, Settings},
    failure::Failure,
    output, tls,
};

/// Runs one of them.
pub fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(flags) => check(&flags.settings()?),
        ConfigCommand::Show(flags) => {
            let settings = flags.settings()?;
            output::warn(&settings.warnings_for_serve());
            output::print(config::show(&settings).trim_end())
        }
        ConfigCommand::Schema(_) => {
            let schema = serde_json::to_string_pretty(&config::schema()).map_err(Failure::running)?;
            output::print(&schema)
        }
    }
}

fn check(settings: &Settings) -> Result<(), Failure> {
    output::warn(&settings.warnings_for_serve());
    settings.config.check()?;
    settings.config.jwt.parts()?;
    tls::Certificate::read(&settings.config)?;
    if let Some(file) = &settings.config.redis_ca {
        tls::check_certificates("redis_ca", file)?;
    }
    output::print(
        "the configuration is good; whether database, Redis and issuer can be reached, and the ports are free, is not checked",
    )
}
