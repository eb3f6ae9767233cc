//! The log: one line an event, on standard error, so that standard output stays for what was asked for.
//! What clients say may stand in a line; no control character of theirs does.

use std::io::{self, Write};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::{Config, ConfigError, LogFormat};

/// Starts the log of this process.
pub fn start(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(config.log_level.as_str())
        .map_err(|error| ConfigError::check(format!("`log_level`: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Escaped).with_ansi(false);
    let started = match config.log {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Pretty => builder.try_init(),
    };
    started.map_err(|error| ConfigError::check(error.to_string()))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // The message may hold what a client said; only its place is sure not to.
        tracing::error!(%place, "a panic");
    }));
    Ok(())
}

/// Standard error, one event a write, control characters escaped.
struct Escaped;

impl<'a> MakeWriter<'a> for Escaped {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Escaped {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(&escape(event))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The event as one line.
fn escape(event: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(event);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let mut line = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        // The separators of lines and paragraphs, and what turns the direction of writing, too.
        let is_unseen =
            matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || is_unseen {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_a_client_said() {
        let line = escape("user=a\r\nERROR forged\u{1b}[2J\u{9b}\u{2028}é\n".as_bytes());
        assert_eq!(String::from_utf8(line).unwrap(), "user=a\\r\\nERROR forged\\u{1b}[2J\\u{9b}\\u{2028}é\n");
    }
}
