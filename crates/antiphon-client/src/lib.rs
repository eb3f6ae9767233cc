//! The Rust client: connect, subscribe, publish, reconnect with backoff, resume.
