//! A WebSocket codec (RFC 6455) without I/O: the first and the last room in the walk of a message.
//!
//! [`handshake`] answers the upgrade, [`Decoder`] turns the bytes of a client into [`Event`]s, [`encode`] puts frames
//! around what goes back. Nothing here reads a socket, knows a clock or knows what a message means; the reactor owns
//! the buffers and the session owns the meaning. A connection at rest costs 16 bytes: all that is incomplete lives in
//! one box that exists only meanwhile. Strict throughout: what the RFC forbids ends the connection.
//!
//! ```
//! use antiphon_ws::{Decoder, Event, Opcode, Rules, client, encode};
//!
//! // What a socket gave, in a buffer that many connections share.
//! let mut buffer = client::frame(Opcode::Text, b"hello");
//! let mut decoder = Decoder::new();
//! let mut input = &mut buffer[..];
//! while let Some(event) = decoder.next_event(Rules::default(), &mut input)? {
//!     match event {
//!         Event::Text(text) => assert_eq!(text, "hello"),
//!         Event::Ping(payload) => drop(encode::frame(Opcode::Pong, &payload)),
//!         other => panic!("not sent: {other:?}"),
//!     }
//! }
//! assert!(input.is_empty() && decoder.is_idle());
//! # Ok::<(), antiphon_ws::Error>(())
//! ```

pub mod handshake;

mod decoder;
mod header;
mod mask;
mod message;
mod utf8;

mod close;
mod error;
mod event;
mod rules;

pub mod client;
pub mod encode;

pub use close::is_close_code;
pub use decoder::Decoder;
pub use error::Error;
pub use event::Event;
pub use header::Opcode;
pub use rules::Rules;
