//! `migrate`, `token issue`, `key issue`, `key list` and `key revoke`: they use the database beside a node.

use std::time::Duration;

use antiphon_auth::{KeyRing, issue};
use antiphon_core::{ApiKey, Scope};
use antiphon_protocol::now_ms;
use antiphon_sql::{Database, Engines};

use crate::{
    cli::{Flags, KeyCommand, KeyIssue, Subcommand, TokenIssue},
    config::{Config, ConfigError},
    database,
    failure::Failure,
    output,
};

/// How long a token is good if nothing is said.
const TOKEN_TTL: Duration = Duration::from_secs(3600);

/// Brings the database to this version.
pub async fn migrate(flags: &Flags<impl Subcommand>) -> Result<(), Failure> {
    let config = read(flags)?;
    let database = database::named(&config)?;
    let changed = database.migrate(&database::patience(&config.limits())).await?;
    output::print(&format!("{database} {}", if changed { "is migrated" } else { "was up to date" }))
}

/// Makes a token and prints it alone.
pub async fn issue_token(flags: &Flags<TokenIssue>) -> Result<(), Failure> {
    let config = read(flags)?;
    let tenant = config.tenant.as_ref().ok_or_else(|| missing("tenant"))?;
    let user = config.user.as_ref().ok_or_else(|| missing("user"))?;
    let ttl = config.ttl.map_or(TOKEN_TTL, |ttl| ttl.0);
    let engines = open(&config).await?;
    let issued = issue(&*engines.tokens, tenant, user, Some(ttl)).await;
    output::print(&issued.map_err(Failure::running)?.0)
}

fn missing(option: &str) -> ConfigError {
    let variable = option.to_ascii_uppercase();
    ConfigError::check(format!(
        "`{option}` is missing: give --{option}, or ANTIPHON_{variable}, or `{option}` in the configuration file"
    ))
}

/// Does what was asked for with API keys.
pub async fn key(command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Issue(flags) => issue_key(flags).await,
        KeyCommand::List(flags) => {
            let ring = KeyRing::new(open_existing(&read(flags)?).await?.keys);
            let keys = ring.list().await.map_err(Failure::running)?;
            output::print(table(&keys, now_ms()).trim_end())
        }
        KeyCommand::Revoke(args) => {
            let ring = KeyRing::new(open_existing(&read(&args.flags)?).await?.keys);
            match ring.revoke(&args.id).await.map_err(Failure::running)? {
                true => output::print(&format!("{} is revoked", args.id)),
                false => Err(Failure::Running(format!("there is no key with the id {}", args.id))),
            }
        }
    }
}

async fn issue_key(flags: &Flags<KeyIssue>) -> Result<(), Failure> {
    let config = read(flags)?;
    let ring = KeyRing::new(open(&config).await?.keys);
    let issued = ring.issue(&config.scope, config.tenant, config.ttl.map(|ttl| ttl.0)).await;
    let (key, kept) = issued.map_err(Failure::running)?;
    output::note(&format!("the key's id is {}, by which `antiphon key revoke` ends it", kept.id));
    output::print(&key)
}

fn read(flags: &Flags<impl Subcommand>) -> Result<Config, Failure> {
    let settings = flags.settings()?;
    output::warn(&settings.warnings);
    Ok(settings.config)
}

/// Opens a database in which something is looked for: a file that is not there has nothing, and is not made for it.
async fn open_existing(config: &Config) -> Result<Engines, Failure> {
    match database::named(config)? {
        Database::Sqlite(path) if !path.exists() => Err(Failure::Running(format!(
            "there is no database at {}: is --database the one of the server?",
            std::path::absolute(&path).unwrap_or(path).display()
        ))),
        _ => open(config).await,
    }
}

async fn open(config: &Config) -> Result<Engines, Failure> {
    let database = database::named(config)?;
    let is_new = matches!(&database, Database::Sqlite(path) if !path.exists());
    let engines = database.open(database::patience(&config.limits())).await?;
    if let (true, Database::Sqlite(path)) = (is_new, &database) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        output::note(&format!(
            "a new database was made, {}: only a `serve` on this very file knows what is in it",
            path.display()
        ));
    }
    Ok(engines)
}

/// The keys in columns; what a key itself is, is not known here.
fn table(keys: &[ApiKey], now: i64) -> String {
    let mut table = format!("{:<14}  {:<35}  {:<24}  {:<20}  EXPIRES\n", "ID", "SCOPES", "TENANT", "CREATED");
    for key in keys {
        let scopes: Vec<&str> = key.scopes.iter().copied().map(Scope::as_str).collect();
        let tenant = key.tenant.as_ref().map_or("all", |tenant| tenant.as_str());
        let expires = match key.expires_at {
            None => "never".to_owned(),
            Some(end) if end <= now => format!("{} (expired)", utc(end)),
            Some(end) => utc(end),
        };
        let (scopes, created) = (scopes.join(","), utc(key.created_at));
        table += &format!("{:<14}  {scopes:<35}  {tenant:<24}  {created:<20}  {expires}\n", key.id);
    }
    table
}

/// A time (ms) as `2026-01-31T12:00:00Z`.
fn utc(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // The civil calendar from days, in eras of 400 years that begin in March (H. Hinnant).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_764_000_000_999), "2025-11-24T16:00:00Z");
        assert_eq!(utc(4_102_444_799_000), "2099-12-31T23:59:59Z");
    }
}
