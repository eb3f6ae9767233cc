//! All that crosses a process boundary is defined here, and nothing else is: ids and topics, positions and
//! the chain behind them, entries, the frames of the native WebSocket protocol, the codes a client may see,
//! and the envelope in which nodes tell each other of entries, signals and control messages.
//!
//! `docs/protocol.md` is normative; the files in `fixtures/` are its golden examples.

mod chain;
mod code;
mod command;
mod content;
mod control;
mod entry;
mod envelope;
mod frame;
mod id;
mod json;
mod position;

pub use chain::ClusterSecret;
pub use code::{CloseCode, ErrorCode, ProblemCode, Refusal, ResetReason, TerminateReason};
pub use command::{
    Command, CommandError, CommandFrame, HistoryAsk, MAX_REF_CHARS, MessageDraft, SubscribeAsk, page_limit,
};
pub use content::{Content, ContentError, ContentKind};
pub use control::{Control, PresentUser};
pub use entry::{Audience, Draft, Entry, Signal, now_ms};
pub use envelope::{Envelope, EnvelopeError, Parcel};
pub use frame::{
    EntryRef, FRAME_TYPES, ServerFrame, SubscribedTopic, SystemEntry, content_range, encode_message,
    encode_plain_message, encode_signal, find_content, message_with_key,
};
pub use id::{
    IdError, Key, NodeId, ProjectId, SYSTEM_PROJECT, TenantId, Topic, TopicKind, TopicName, UserId,
};
pub use json::{MAX_DEPTH, check_nesting};
pub use position::{Epoch, Head, Link, Position, PositionError};
