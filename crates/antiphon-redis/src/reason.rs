//! Why Redis could not be used, in words for the log that can hold no password.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// The kind of an error and, of what the server says, only its code: the rest may repeat what was sent.
pub(crate) fn reason(error: &RedisError) -> String {
    let code = error.code().unwrap_or_default();
    match error.kind() {
        _ if error.is_timeout() => "it does not answer".to_owned(),
        ErrorKind::AuthenticationFailed => "it refuses the user or the password".to_owned(),
        ErrorKind::Server(ServerErrorKind::NoPerm) => "the user lacks a permission (NOPERM)".to_owned(),
        ErrorKind::RESP3NotSupported => "it is older than Redis 6".to_owned(),
        ErrorKind::Io if error.is_connection_refusal() => "the connection was refused".to_owned(),
        // An I/O error tells of the socket, of the name's resolution or of TLS.
        ErrorKind::Io => error.to_string(),
        // Words of ours.
        ErrorKind::Client | ErrorKind::UnexpectedReturnType => {
            error.detail().unwrap_or("it is not understood").to_owned()
        }
        _ if matches!(code, "NOAUTH" | "WRONGPASS") => "it refuses the user or the password".to_owned(),
        kind if code.is_empty() => format!("{kind:?}"),
        kind => format!("{kind:?} ({code})"),
    }
}
