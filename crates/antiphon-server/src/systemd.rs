//! What systemd is told, where it started us with `Type=notify`.

use sd_notify::NotifyState;

/// Accepting connections.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Draining.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}
