//! The HTTP API of the nodes, each question with a deadline.

use std::{sync::Arc, time::Duration};

pub use reqwest::Method;
use reqwest::{Client, RequestBuilder, Response};
use rustls::ClientConfig;
use serde_json::Value;
use url::Url;

use crate::failure::Failure;

/// How long one question may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// A page of 200 of our own entries is far below it.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// All nodes.
#[derive(Debug)]
pub struct Api {
    http: Client,
    nodes: Vec<Url>,
    key: String,
}

/// What became of a question.
#[derive(Debug)]
pub enum Answer {
    /// It was done: the status, and the JSON.
    Done(u16, Value),
    /// It was not, and another try changes nothing.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code of the problem document.
        code: String,
        /// What it says.
        detail: String,
    },
    /// It may have been done; the same again is worth it.
    Unknown {
        /// `UNAVAILABLE`, `RATE_LIMITED`, `NO_ANSWER`.
        code: &'static str,
        /// In words.
        why: String,
    },
}

impl Api {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(nodes: Vec<Url>, key: String, tls: &Arc<ClientConfig>) -> Result<Self, Failure> {
        let http = Client::builder()
            .tls_backend_preconfigured((**tls).clone())
            .timeout(DEADLINE)
            .connect_timeout(DEADLINE)
            // The sockets take no proxy, and what answers for another address is not the node that was named.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Failure::running)?;
        Ok(Self { http, nodes, key })
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A node's URL, as it is shown.
    pub fn name(&self, node: usize) -> &str {
        self.nodes[node].as_str().trim_end_matches('/')
    }

    /// The URL of a node's sockets.
    pub fn socket(&self, node: usize) -> String {
        self.name(node).to_owned() + "/ws"
    }

    /// Asks for something to be done: PUT, POST or DELETE.
    pub async fn change(&self, node: usize, method: Method, path: &[&str], body: Option<&Value>) -> Answer {
        let request = self.http.request(method, self.url(node, path));
        self.ask(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Reads something.
    pub async fn get(&self, node: usize, path: &[&str], query: &[(&str, &str)]) -> Answer {
        let mut url = self.url(node, path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.ask(self.http.get(url)).await
    }

    fn url(&self, node: usize, path: &[&str]) -> Url {
        let mut url = self.nodes[node].clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        url
    }

    async fn ask(&self, request: RequestBuilder) -> Answer {
        match Self::answer(request.bearer_auth(&self.key)).await {
            Ok((status, json)) => sorted(status, json),
            Err(why) => Answer::Unknown { code: "NO_ANSWER", why },
        }
    }

    async fn answer(request: RequestBuilder) -> Result<(u16, Value), String> {
        let mut response: Response = request.send().await.map_err(|error| words(&error))?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| words(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err("the answer is too long".to_owned());
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

fn sorted(status: u16, json: Value) -> Answer {
    let said = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
    match status {
        200..300 => Answer::Done(status, json),
        429 => Answer::Unknown { code: "RATE_LIMITED", why: format!("HTTP 429 {}", said("detail")) },
        // What a balancer says of a node that is away is among them.
        500.. => Answer::Unknown { code: "UNAVAILABLE", why: format!("HTTP {status} {}", said("detail")) },
        _ => Answer::Refused { status, code: said("code"), detail: said("detail") },
    }
}

/// The innermost cause says it in the fewest words.
fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", DEADLINE.as_secs());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
