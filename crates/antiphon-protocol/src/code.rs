//! The codes that leave the process: each has a text and says whether the same again is worth it.

use std::fmt;

use serde::Serialize;

/// The code of an ERROR frame or of a problem document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The frame or request is wrong in itself.
    Invalid,
    /// Not allowed, or not there.
    Forbidden,
    /// The same key with other content.
    Conflict,
    /// Over a size bound.
    TooLarge,
    /// Over a rate.
    RateLimited,
    /// Something that is needed is away for now.
    Unavailable,
}

impl ErrorCode {
    /// The code as it stands in frames.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::Invalid => "INVALID",
            ErrorCode::Forbidden => "FORBIDDEN",
            ErrorCode::Conflict => "CONFLICT",
            ErrorCode::TooLarge => "TOO_LARGE",
            ErrorCode::RateLimited => "RATE_LIMITED",
            ErrorCode::Unavailable => "UNAVAILABLE",
        }
    }
}

/// The code of a problem document: those of frames, and those that only HTTP has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemCode {
    /// One that frames have too.
    Refused(ErrorCode),
    /// No valid key or token was shown.
    Unauthorized,
    /// Not there, and whoever asks may know.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// Something broke here.
    Internal,
}

impl ProblemCode {
    /// The code as it stands in problem documents.
    pub fn as_str(self) -> &'static str {
        match self {
            ProblemCode::Refused(code) => code.as_str(),
            ProblemCode::Unauthorized => "UNAUTHORIZED",
            ProblemCode::NotFound => "NOT_FOUND",
            ProblemCode::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            ProblemCode::Internal => "INTERNAL",
        }
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            ProblemCode::Refused(ErrorCode::Invalid) => 400,
            ProblemCode::Unauthorized => 401,
            ProblemCode::Refused(ErrorCode::Forbidden) => 403,
            ProblemCode::NotFound => 404,
            ProblemCode::MethodNotAllowed => 405,
            ProblemCode::Refused(ErrorCode::Conflict) => 409,
            ProblemCode::Refused(ErrorCode::TooLarge) => 413,
            ProblemCode::Refused(ErrorCode::RateLimited) => 429,
            ProblemCode::Internal => 500,
            ProblemCode::Refused(ErrorCode::Unavailable) => 503,
        }
    }
}

/// What a client is told when something was refused: a code and a text, never an inner cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", code.as_str())]
pub struct Refusal {
    /// What kind of refusal.
    pub code: ErrorCode,
    /// What is wrong and what to do.
    pub text: String,
    /// After how many milliseconds the same again is worth it; none: it is not.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    fn new(code: ErrorCode, text: impl fmt::Display) -> Self {
        Self { code, text: text.to_string(), retry_after_ms: None }
    }

    /// Wrong in itself.
    pub fn invalid(text: impl fmt::Display) -> Self {
        Self::new(ErrorCode::Invalid, text)
    }

    /// Not allowed or not there: one text for both, so that nobody can probe for what exists.
    pub fn forbidden() -> Self {
        Self::new(ErrorCode::Forbidden, "this does not exist or is not yours to use")
    }

    /// The key was used with other content.
    pub fn conflict() -> Self {
        Self::new(ErrorCode::Conflict, "this key was used before in this topic, with other content")
    }

    /// Over a size bound.
    pub fn too_large(text: impl fmt::Display) -> Self {
        Self::new(ErrorCode::TooLarge, text)
    }

    /// Over a rate.
    pub fn rate_limited(retry_after_ms: u64) -> Self {
        let refusal = Self::new(ErrorCode::RateLimited, "too many at once; slow down");
        Self { retry_after_ms: Some(retry_after_ms), ..refusal }
    }

    /// Something that is needed is away for now.
    pub fn unavailable(retry_after_ms: u64) -> Self {
        let refusal = Self::new(ErrorCode::Unavailable, "not possible at the moment; try again");
        Self { retry_after_ms: Some(retry_after_ms), ..refusal }
    }
}

impl From<crate::ContentError> for Refusal {
    fn from(error: crate::ContentError) -> Self {
        match error {
            crate::ContentError::TooLarge { .. } => Self::too_large(error),
            _ => Self::invalid(error),
        }
    }
}

/// Why a stream could not be continued from a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResetReason {
    /// Entries after it are no longer kept.
    Retention,
    /// It belongs to another incarnation of the log, or to another topic.
    Epoch,
    /// The history behind it is not the log's.
    Fork,
    /// The log has not come that far.
    Ahead,
}

/// Why a connection is ended for its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TerminateReason {
    /// No frame had a token.
    NoTokenProvided,
    /// A token that is unknown, expired, revoked or another user's.
    InvalidToken,
    /// The token ended while connected.
    TokenExpired,
    /// The token was revoked, or its user deleted.
    TokenRevoked,
}

impl TerminateReason {
    /// As it stands in frames.
    pub fn as_str(self) -> &'static str {
        match self {
            TerminateReason::NoTokenProvided => "NO_TOKEN_PROVIDED",
            TerminateReason::InvalidToken => "INVALID_TOKEN",
            TerminateReason::TokenExpired => "TOKEN_EXPIRED",
            TerminateReason::TokenRevoked => "TOKEN_REVOKED",
        }
    }
}

/// WebSocket close codes in use. All but 4401 are worth a reconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// A close that the client began is answered with its own kind.
    Normal = 1000,
    /// RFC 6455: broken framing.
    Protocol = 1002,
    /// RFC 6455: a kind of data that is not taken.
    Unsupported = 1003,
    /// RFC 6455: not UTF-8.
    NotUtf8 = 1007,
    /// RFC 6455: too big.
    TooBig = 1009,
    /// Something broke here.
    Internal = 1011,
    /// The node goes away, or the application disconnected the user.
    Restart = 1012,
    /// The client took nothing for 30 seconds.
    NoProgress = 4008,
    /// Over its rate again and again.
    TooManyFrames = 4029,
    /// After TERMINATE_CONNECTION.
    Terminated = 4401,
}

impl CloseCode {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }
}
