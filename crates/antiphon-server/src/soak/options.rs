//! What `soak` may be told, and the plan that it makes.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    path::PathBuf,
    time::Duration,
};

use antiphon_protocol::TenantId;
use clap::{Args, value_parser};
use url::Url;

use crate::{
    config::{API_KEY_VARIABLE, Environment, Span},
    failure::Failure,
    words,
};

/// More nodes than that are worth more than one soak.
const NODES_MAX: usize = 16;
/// A longer key is no key of ours.
const KEY_BYTES_MAX: usize = 4096;
/// How much one connection publishes at most: far below the server's own `--rate-limit`.
const RATE_OF_ONE_MAX: u32 = 20;
/// The share of entries, in percent, that is published over HTTP.
const HTTP_PERCENT: u32 = 20;

/// Options of `soak`.
#[derive(Debug, Args)]
#[command(
    override_usage = "antiphon soak --node <URL> [--node <URL>]... [OPTIONS]",
    after_help = "The API key is read from the variable ANTIPHON_API_KEY, or from the file that ANTIPHON_API_KEY_FILE or \
                  --key-file names. It needs the scopes `publish` and `directory`, for all tenants.\n\n\
                  Exit status: 0 every promise was kept, 1 one was broken, 2 it could not run or not be judged."
)]
pub struct SoakArgs {
    /// The base URL of a node, or of a balancer before some, such as `https://rt1.example.com`; repeat it for each, up to
    /// 16.
    #[arg(long = "node", value_name = "URL", required = true)]
    nodes: Vec<Url>,
    /// The file with the API key.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The certificate, in PEM, of the authority that the nodes' own are signed by, if it is not a public one.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The tenant that is made, used and deleted; there is a second one beside it, with `-b` behind its name. Without it:
    /// `soak-` and a random number.
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Clients, each with a WebSocket and a user of its own: 12 to 1000.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = value_parser!(u32).range(12..=1000))]
    clients: u32,
    /// Entries a second, of all publishers together: 1 to 5000, and at most 20 for each client.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=5000))]
    rate: u32,
    /// For how long it publishes.
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    duration: Span,
    /// Entries that are judged at once and then forgotten: 100 to 200000. One takes about 2 kB of memory, and 100 bytes
    /// for each client that gets it.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = value_parser!(u64).range(100..=200_000))]
    round_entries: u64,
    /// How long the cluster may take, at the end of a round, to answer all publishes and to have all clients back.
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    patience: Span,
    /// Also write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Decides who says what and goes where when; without it a random one, which the report names.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Leave both tenants there at the end, to look at them.
    #[arg(long)]
    keep: bool,
}

/// What shall be done: all of it checked.
#[derive(Debug)]
pub struct Plan {
    /// The base URLs, without a slash at the end.
    pub nodes: Vec<Url>,
    /// The API key.
    pub key: String,
    /// The authority of the nodes' certificates, in PEM.
    pub ca: Option<PathBuf>,
    /// The tenant and the one beside it.
    pub tenants: [String; 2],
    /// How many clients, over both tenants.
    pub clients: usize,
    /// Between two publishes of one client.
    pub pace: Duration,
    /// Between two publishes of one tenant's application, over HTTP.
    pub http_pace: Duration,
    /// For how long it publishes.
    pub duration: Duration,
    /// Entries of a round.
    pub round_entries: u64,
    /// For how long a round may take to come to rest.
    pub patience: Duration,
    /// Where the JSON goes.
    pub report: Option<PathBuf>,
    /// Of all that is chosen.
    pub seed: u64,
    /// The tenants stay.
    pub keep: bool,
}

impl SoakArgs {
    /// Checks them.
    ///
    /// # Errors
    /// When one of them can't be meant, or there is no key.
    pub fn plan(&self) -> Result<Plan, Failure> {
        if self.nodes.len() > NODES_MAX {
            return Err(wrong(format!(
                "--node: at most {NODES_MAX} can be given, these are {}",
                self.nodes.len()
            )));
        }
        let nodes = self.nodes.iter().map(node).collect::<Result<Vec<_>, _>>()?;
        if let Some(twice) = nodes.iter().enumerate().find(|(at, node)| nodes[..*at].contains(node)) {
            return Err(wrong(format!("--node {}: it is given twice", twice.1)));
        }
        if self.rate > RATE_OF_ONE_MAX * self.clients {
            return Err(wrong(format!(
                "--rate {} is more than {RATE_OF_ONE_MAX} a second for each of {} clients: give more --clients",
                self.rate, self.clients
            )));
        }
        if self.duration.0 < Duration::from_secs(1) || self.patience.0 < Duration::from_secs(1) {
            return Err(wrong("--duration and --patience: expected at least `1s`"));
        }
        let tenant = match &self.tenant {
            Some(tenant) => tenant.to_string(),
            None => format!("soak-{:08x}", random() as u32),
        };
        let beside = format!("{tenant}-b");
        TenantId::parse(&beside)
            .map_err(|error| wrong(format!("--tenant: {beside} is beside it: {error}")))?;
        let pace = |percent: u32, publishers: u32| {
            Duration::from_secs_f64(f64::from(publishers) * 100.0 / f64::from(self.rate * percent))
        };
        Ok(Plan {
            nodes,
            key: self.key()?,
            ca: self.ca.clone(),
            tenants: [tenant, beside],
            clients: self.clients as usize,
            pace: pace(100 - HTTP_PERCENT, self.clients),
            http_pace: pace(HTTP_PERCENT, 2),
            duration: self.duration.0,
            round_entries: self.round_entries,
            patience: self.patience.0,
            report: self.report.clone(),
            seed: self.seed.unwrap_or_else(random),
            keep: self.keep,
        })
    }

    fn key(&self) -> Result<String, Failure> {
        let text = match &self.key_file {
            Some(file) => std::fs::read_to_string(file).map_err(|error| {
                wrong(format!("--key-file {}: {}", file.display(), words::of_file(&error)))
            })?,
            None => Environment::of_process().get(API_KEY_VARIABLE)?.map(|(text, _)| text).ok_or_else(|| {
                wrong(format!(
                    "an API key is missing: set {API_KEY_VARIABLE}, or name its file with {API_KEY_VARIABLE}_FILE or --key-file; \
                     `antiphon key issue --scope publish --scope directory` makes one"
                ))
            })?,
        };
        let key = text.trim();
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("the API key is not one: expected one line of printable characters"));
        }
        Ok(key.to_owned())
    }
}

fn wrong(text: impl Into<String>) -> Failure {
    Failure::Usage(text.into())
}

/// A base URL without what does not belong there.
fn node(url: &Url) -> Result<Url, Failure> {
    let no = |why: &str| {
        // What stands before the `@` may be a secret.
        let shown = url.host_str().unwrap_or(url.as_str());
        Err(wrong(format!("--node {shown}: {why}; expected a base URL such as `https://rt1.example.com`")))
    };
    if !matches!(url.scheme(), "http" | "https") {
        return no("the scheme must be http or https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return no("names and passwords do not belong into it");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return no("it has a query or a fragment");
    }
    let mut url = url.clone();
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// A number that another run does not have: each of these hashers begins elsewhere.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_base_url_alone() {
        let read = |text: &str| node(&text.parse().unwrap());
        assert_eq!(read("http://a:1/").unwrap().path(), "/");
        assert_eq!(read("https://a.example/rt/").unwrap().path(), "/rt");
        for bad in ["ws://a", "http://u:canary@a", "http://a/?x=1", "http://a/#x"] {
            let said = read(bad).unwrap_err().to_string();
            assert!(said.contains("expected a base URL") && !said.contains("canary"), "{bad}: {said}");
        }
    }
}
