//! What others say of their errors, in words for whoever runs this: what is wrong and, where it is known, what to do.

use std::io;

use antiphon_sql::SqlError;

/// Of a file that can't be read.
pub fn of_file(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder, not a file".to_owned(),
        io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => bare(&error.to_string()),
    }
}

/// Of an address that can't be listened on.
pub fn of_address(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use; another program listens there, maybe another antiphon".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "this user may not; a port below 1024 needs CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => bare(&error.to_string()),
    }
}

/// Of a database that can't be used.
pub fn of_database(error: &SqlError) -> String {
    match error {
        SqlError::Unavailable { database, cause } => {
            let advice = match database.starts_with("SQLite") {
                true => "is its folder there, and may this user write to it?",
                false => "does it run, and is that its address?",
            };
            format!("{database} is not available: {}; {advice}", bare(cause))
        }
        SqlError::Broken { database, cause } => format!("{database} failed: {}", bare(cause)),
        _ => error.to_string(),
    }
}

/// The cause alone: without what the layers between have put before it, and numbers that say the same once more.
fn bare(text: &str) -> String {
    const LAYERS: [&str; 4] = [
        "error communicating with database: ",
        "error returned from database: ",
        "error occurred while attempting to establish a TLS connection: ",
        "failed to lookup address information: ",
    ];
    let mut text = text;
    while let Some(rest) = LAYERS.iter().find_map(|layer| text.strip_prefix(layer)) {
        text = rest;
    }
    if let Some((_, rest)) = text.strip_prefix("(code: ").and_then(|rest| rest.split_once(") ")) {
        text = rest;
    }
    let end = text.find(" (os error ").unwrap_or(text.len());
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_layers_have_put_around_a_cause_is_left_out() {
        for (text, words) in [
            ("error communicating with database: Connection refused (os error 111)", "Connection refused"),
            ("error returned from database: (code: 26) file is not a database", "file is not a database"),
            ("pool timed out", "pool timed out"),
        ] {
            assert_eq!(bare(text), words);
        }
    }
}
