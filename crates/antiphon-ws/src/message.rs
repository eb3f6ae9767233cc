//! The message under way: what its fragments, or the parts of its only frame, have brought so far. It grows with what
//! arrived, never with what was declared, and it does not outlive the message.

use std::borrow::Cow;

use crate::{error::Error, event::Event, utf8::TextBuffer};

/// A message of which a part is missing.
#[derive(Debug)]
pub(crate) struct Message {
    body: Body,
    /// The frames begun, the first one too.
    pub(crate) fragments: u32,
}

#[derive(Debug)]
enum Body {
    Text(TextBuffer),
    Binary(Vec<u8>),
}

impl Message {
    pub(crate) fn text() -> Self {
        Self { body: Body::Text(TextBuffer::default()), fragments: 1 }
    }

    pub(crate) fn binary() -> Self {
        Self { body: Body::Binary(Vec::new()), fragments: 1 }
    }

    /// Takes the next part, unmasked.
    pub(crate) fn push(&mut self, part: &[u8]) -> Result<(), Error> {
        match &mut self.body {
            Body::Text(text) => text.push(part),
            Body::Binary(bytes) => {
                bytes.extend_from_slice(part);
                Ok(())
            }
        }
    }

    /// The event of a message whose last part has been taken.
    pub(crate) fn finish(self) -> Result<Event<'static>, Error> {
        match self.body {
            Body::Text(text) => Ok(Event::Text(Cow::Owned(text.finish()?))),
            Body::Binary(bytes) => Ok(Event::Binary(Cow::Owned(bytes))),
        }
    }

    /// The bytes taken so far.
    pub(crate) fn len(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.len(),
            Body::Binary(bytes) => bytes.len(),
        }
    }

    /// The bytes allocated.
    pub(crate) fn capacity(&self) -> usize {
        match &self.body {
            Body::Text(text) => text.capacity(),
            Body::Binary(bytes) => bytes.capacity(),
        }
    }
}
