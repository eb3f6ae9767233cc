//! The Rust client: connect, subscribe, publish, reconnect with backoff, resume.
//!
//! A [`Client`] is a handle to one connection that comes back by itself. What it subscribed to goes on from where
//! it was, at whichever node answers; what was published twice because an answer got lost is stored once.
//!
//! ```no_run
//! # async fn example() -> Result<(), antiphon_client::Error> {
//! use antiphon_client::{Client, Draft, Event};
//!
//! let client = Client::builder("ws://127.0.0.1:8080").token("a token").connect().await?;
//! let mut news = client.subscribe(["news"]).await?;
//! client.publish(Draft::text("hello").topic("news")).await?;
//! while let Some(event) = news.next().await {
//!     if let Event::Message(message) = event {
//!         println!("{:?}, position {}", message.content, message.position);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The walk of a frame: a publish goes to the outbox, everything else to the driver as a wish; the driver says it
//! through the ledger on a line, and keeps it there until it is answered. What the server says is read into `Says`; an
//! answer goes to whom the ledger names, all else to the stream of its topic, which drops what was seen before, and into
//! the inbox of its [`Subscription`]. [`Raw`] is a bare connection beside all that, for tests.

mod address;
mod ask;
mod backoff;
mod builder;
mod client;
mod dial;
mod driver;
mod error;
mod event;
mod head;
mod inbox;
mod interest;
mod leaving;
mod ledger;
mod line;
mod lines;
mod outbox;
mod place;
mod positions;
mod raw;
mod renewal;
mod says;
mod state;
mod stream;
mod subscription;
mod token;
mod wish;

pub use antiphon_protocol::{ErrorCode, Refusal, TerminateReason};
pub use ask::{Draft, HistoryPage};
pub use backoff::Backoff;
pub use builder::ClientBuilder;
pub use client::Client;
pub use error::Error;
pub use event::{Accepted, Content, EntryInfo, Event, Message, Signal};
pub use outbox::Publishing;
pub use place::Start;
pub use positions::{Kept, PositionStore};
pub use raw::{Raw, Received};
pub use state::State;
pub use subscription::Subscription;

/// The guide's own example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/rust-client.md")]
struct Guide;
