//! The error of a seam: by what its caller can do about it.

/// Something that a seam could not do.
#[derive(Debug, thiserror::Error)]
pub enum SeamError {
    /// For now: worth the same again later.
    #[error("{what} is not available: {cause}")]
    Unavailable {
        /// Which engine, without any password.
        what: &'static str,
        /// For the log alone.
        cause: String,
    },
    /// A broken promise or a bug: not worth the same again.
    #[error("{what} failed: {cause}")]
    Broken {
        /// Which engine.
        what: &'static str,
        /// For the log alone.
        cause: String,
    },
    /// This application keeps that itself.
    #[error("the application keeps this itself")]
    NotKept,
}

impl SeamError {
    /// Worth the same again later.
    pub fn unavailable(what: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Unavailable { what, cause: cause.to_string() }
    }

    /// Not worth the same again.
    pub fn broken(what: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Broken { what, cause: cause.to_string() }
    }
}
