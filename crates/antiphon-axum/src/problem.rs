//! Problem documents (RFC 9457): what is wrong and what to do, never an inner cause.

use antiphon_core::SeamError;
use antiphon_protocol::{ErrorCode, ProblemCode, Refusal};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// An answer that says no.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: ProblemCode,
    detail: String,
    retry_after_ms: Option<u64>,
}

/// A problem document.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemBody {
    /// The status' own text.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// One of the protocol's codes.
    code: &'static str,
    /// What is wrong and what to do.
    detail: String,
    /// After how many milliseconds the same request is worth it.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Problem {
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, detail: detail.into(), retry_after_ms: None }
    }

    /// The same with a status of its own.
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::Refused(ErrorCode::Invalid), detail)
    }

    pub fn unauthorized() -> Self {
        let detail = "a valid API key or token is needed: Authorization: Bearer <key>";
        Self::new(ProblemCode::Unauthorized, detail)
    }

    pub fn forbidden() -> Self {
        Refusal::forbidden().into()
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemCode::NotFound, detail)
    }

    /// There is nothing of this kind by that name.
    pub fn no_such(what: &str) -> Self {
        Self::not_found(format!("there is no such {what}"))
    }

    pub fn no_tenant() -> Self {
        Self::not_found("there is no such tenant: PUT it first")
    }

    pub fn method_not_allowed() -> Self {
        Self::new(ProblemCode::MethodNotAllowed, "this path has no such method")
    }

    pub fn unavailable(retry_after_ms: u64) -> Self {
        Refusal::unavailable(retry_after_ms).into()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, text, retry_after_ms } = refusal;
        Self { retry_after_ms, ..Self::new(ProblemCode::Refused(code), text) }
    }
}

impl From<SeamError> for Problem {
    fn from(error: SeamError) -> Self {
        if let SeamError::NotKept = error {
            return Self::not_found("the application keeps this itself, not here");
        }
        tracing::error!(%error, "a request could not be answered");
        Self::unavailable(1000)
    }
}

/// Where an answer is due rather than a problem; responses are large, so it is boxed.
impl From<Problem> for Box<Response> {
    fn from(problem: Problem) -> Self {
        Box::new(problem.into_response())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, detail, retry_after_ms } = self;
        let title = status.canonical_reason().unwrap_or("Error");
        let body =
            ProblemBody { title, status: status.as_u16(), code: code.as_str(), detail, retry_after_ms };
        let json = serde_json::to_vec(&body).expect("a problem is plain data");
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait_ms) = retry_after_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000).max(1)));
        }
        response
    }
}

/// What the routers here answer for a path that is not there; whoever serves nothing else gives it to `Router::fallback`.
pub async fn not_found() -> impl IntoResponse {
    Problem::not_found(
        "there is nothing at this path: /api is a page of the HTTP API, and sockets connect to /ws",
    )
}
