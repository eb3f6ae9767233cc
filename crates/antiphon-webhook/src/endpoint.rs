//! An endpoint of the application: one signed POST, one bounded answer. The address is the operator's, never a user's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use url::Url;

use crate::SigningSecret;

/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Servers close a connection that idles for five seconds or more; one that is closed while it is taken is a lost call.
const IDLE_MAX: Duration = Duration::from_secs(4);

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Where calls go, and how they are signed.
pub struct Endpoint {
    url: Url,
    secret: SigningSecret,
    client: reqwest::Client,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type, in small letters and without parameters; empty where none was said.
    pub media_type: String,
    /// After which time to come back, where it says so in seconds.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer. Without the URL, in which there might be a password.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The client could not be made, or the URL is not one it can call.
    #[error("the URL must be http or https")]
    Url,
    /// The id can't stand in a header.
    #[error("the id of a call must be visible ASCII")]
    Id,
    /// No answer in time, or none at all.
    #[error("{0}")]
    Call(&'static str),
    /// More bytes than are taken.
    #[error("the answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

impl Endpoint {
    /// One whose answer has to be there as a whole within this time.
    pub fn new(url: Url, secret: SigningSecret, timeout: Duration) -> Result<Self, EndpointError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Url);
        }
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .pool_idle_timeout(IDLE_MAX)
            // The address is meant as it stands: neither another that it points to, nor a proxy of the environment.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|_| EndpointError::Url)?;
        Ok(Self { url, secret, client })
    }

    /// Posts JSON with this id, which is the same where the same is said again.
    pub async fn post(&self, id: &str, json: impl Into<Bytes>) -> Result<Answer, EndpointError> {
        let json = json.into();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let text = |text: &str| HeaderValue::from_str(text).map_err(|_| EndpointError::Id);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ID, text(id)?);
        headers.insert(TIMESTAMP, HeaderValue::from(now));
        headers.insert(SIGNATURE, text(&self.secret.sign(id, now, &json))?);
        let call = self.client.post(self.url.clone()).headers(headers).body(json);
        let mut answer = call.send().await.map_err(|error| why(&error))?;
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
        let (status, media_type) = (answer.status().as_u16(), media_type.trim().to_ascii_lowercase());
        let retry_after =
            answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| why(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(EndpointError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, media_type, retry_after, body })
    }
}

fn why(error: &reqwest::Error) -> EndpointError {
    EndpointError::Call(if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the answer broke off"
    })
}
