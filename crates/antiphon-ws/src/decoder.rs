//! A client's bytes become events. The bytes lie in a buffer that a whole thread shares: a frame that is whole in it
//! is unmasked where it lies and lent out, and only what is incomplete is copied, into a box that exists meanwhile.
//! It must never allocate for what was merely declared, and never decide differently for another splitting of the
//! same bytes. [`Header`] judges one frame, this file what may follow what.

use std::{borrow::Cow, mem};

use crate::{
    close,
    error::Error,
    event::Event,
    header::{HEADER_BYTES_MAX, Header, Opcode},
    mask,
    message::Message,
    rules::Rules,
};

/// The reading state of one connection: 16 bytes while nothing is incomplete.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Between two messages.
    #[default]
    Idle,
    /// Inside a head, a frame or a fragmented message.
    Partial(Box<Partial>),
    /// After a close or an error: nothing more counts.
    Ended,
}

/// What is incomplete. A control frame may come between the fragments of a message, so both can be under way.
#[derive(Debug, Default)]
struct Partial {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: u8,
    frame: Option<Frame>,
    message: Option<Message>,
    control: Vec<u8>,
}

/// A frame whose head has been read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    mask: [u8; 4],
    missing_bytes: usize,
}

impl Decoder {
    /// The state of a connection that has just been upgraded.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next event in `input`, which is cut down to what follows it.
    ///
    /// - `Some`: the event; the bytes behind it are left in `input`, untouched. A caller that has had enough stops
    ///   here, keeps them as they are and goes on with them later.
    /// - `None`: `input` is used up; what is incomplete has been taken in. The buffer may be used for others.
    /// - An error: close with [`Error::close_code`].
    ///
    /// After an error or a [`Event::Close`] the decoder is deaf: it uses up any input and has no more events.
    pub fn next_event<'i>(
        &mut self,
        rules: Rules,
        input: &mut &'i mut [u8],
    ) -> Result<Option<Event<'i>>, Error> {
        let result = self.read(rules, input);
        match (&result, &self.state) {
            (Err(_) | Ok(Some(Event::Close(..))), _) => self.state = State::Ended,
            (_, State::Partial(partial)) if partial.is_empty() => self.state = State::Idle,
            _ => {}
        }
        result
    }

    /// Whether nothing is incomplete and nothing is held.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether a close or an error has ended the reading.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// The bytes on the heap for what is incomplete, for whoever keeps account of memory. At most about twice what
    /// arrived of it, whatever was declared.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Partial(partial) => {
                let message_bytes = partial.message.as_ref().map_or(0, Message::capacity);
                size_of::<Partial>() + partial.control.capacity() + message_bytes
            }
            State::Idle | State::Ended => 0,
        }
    }

    fn read<'i>(&mut self, rules: Rules, input: &mut &'i mut [u8]) -> Result<Option<Event<'i>>, Error> {
        if self.has_ended() {
            mem::take(input);
        }
        loop {
            let frame = match self.take_frame() {
                Some(frame) => frame,
                None => match self.read_header(input)? {
                    Some(header) => self.admit(rules, &header)?,
                    None => return Ok(None),
                },
            };
            let part = take(input, frame.missing_bytes);
            mask::apply(part, frame.mask);
            let part = &*part;
            let missing_bytes = frame.missing_bytes - part.len();
            let mask = mask::advance(frame.mask, part.len());
            let whole = missing_bytes == 0;
            let event = if frame.opcode.is_control() {
                self.read_control(frame.opcode, part, whole)?
            } else {
                self.read_data(frame, part, whole)?
            };
            if event.is_some() {
                return Ok(event);
            }
            if !whole {
                self.partial().frame = Some(Frame { mask, missing_bytes, ..frame });
                return Ok(None);
            }
        }
    }

    /// Reads a head, of which an earlier input may have brought the beginning.
    fn read_header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, Error> {
        let earlier = match &self.state {
            State::Partial(partial) => usize::from(partial.header_bytes),
            State::Idle | State::Ended => 0,
        };
        if earlier == 0 {
            if let Some(header) = Header::parse(input)? {
                take(input, header.header_bytes);
                return Ok(Some(header));
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        let partial = self.partial();
        let end = HEADER_BYTES_MAX.min(earlier + input.len());
        partial.header[earlier..end].copy_from_slice(&input[..end - earlier]);
        let header = Header::parse(&partial.header[..end])?;
        match &header {
            Some(header) => {
                partial.header_bytes = 0;
                take(input, header.header_bytes - earlier);
            }
            // A head that is not whole is shorter than the longest, so the input ended before the array did.
            None => {
                partial.header_bytes = end as u8;
                mem::take(input);
            }
        }
        Ok(header)
    }

    /// Decides whether a frame may follow what came before, by its head alone.
    fn admit(&mut self, rules: Rules, header: &Header) -> Result<Frame, Error> {
        if !header.opcode.is_control() {
            let message = match &mut self.state {
                State::Partial(partial) => partial.message.as_mut(),
                State::Idle | State::Ended => None,
            };
            let earlier_bytes = match (header.opcode, message) {
                (Opcode::Continuation, None) => return Err(Error::Protocol("no message to continue")),
                (Opcode::Continuation, Some(message)) => {
                    message.fragments = message.fragments.saturating_add(1);
                    if message.fragments > rules.fragments_max {
                        return Err(Error::TooManyFragments);
                    }
                    message.len()
                }
                (_, Some(_)) => return Err(Error::Protocol("message begins inside another")),
                (Opcode::Binary, None) if !rules.binary => return Err(Error::Binary),
                (_, None) => 0,
            };
            if header.payload_bytes > rules.message_bytes_max.saturating_sub(earlier_bytes) as u64 {
                return Err(Error::TooBig);
            }
        }
        Ok(Frame {
            opcode: header.opcode,
            fin: header.fin,
            mask: header.mask,
            missing_bytes: usize::try_from(header.payload_bytes).map_err(|_| Error::TooBig)?,
        })
    }

    /// Takes a part of a control frame, the last one if it is `whole` now.
    fn read_control<'i>(
        &mut self,
        opcode: Opcode,
        part: &'i [u8],
        whole: bool,
    ) -> Result<Option<Event<'i>>, Error> {
        let begun = matches!(&self.state, State::Partial(partial) if !partial.control.is_empty());
        let payload = if whole && !begun {
            Cow::Borrowed(part)
        } else {
            let control = &mut self.partial().control;
            control.extend_from_slice(part);
            if !whole {
                return Ok(None);
            }
            Cow::Owned(mem::take(control))
        };
        Ok(Some(match opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            _ => close::parse(payload)?,
        }))
    }

    /// Takes a part of a data frame; gives the message if that was its last.
    fn read_data<'i>(
        &mut self,
        frame: Frame,
        part: &'i [u8],
        whole: bool,
    ) -> Result<Option<Event<'i>>, Error> {
        let last = whole && frame.fin;
        let begun = matches!(&self.state, State::Partial(partial) if partial.message.is_some());
        if last && !begun {
            return Ok(Some(match frame.opcode {
                Opcode::Text => {
                    Event::Text(simdutf8::basic::from_utf8(part).map_err(|_| Error::Utf8)?.into())
                }
                _ => Event::Binary(Cow::Borrowed(part)),
            }));
        }
        let slot = &mut self.partial().message;
        let message = slot.get_or_insert_with(|| match frame.opcode {
            Opcode::Text => Message::text(),
            _ => Message::binary(),
        });
        message.push(part)?;
        if last { slot.take().map(Message::finish).transpose() } else { Ok(None) }
    }

    /// The frame that is under way.
    fn take_frame(&mut self) -> Option<Frame> {
        match &mut self.state {
            State::Partial(partial) => partial.frame.take(),
            State::Idle | State::Ended => None,
        }
    }

    /// The box of what is incomplete, made if there is none.
    fn partial(&mut self) -> &mut Partial {
        if !matches!(self.state, State::Partial(_)) {
            self.state = State::Partial(Box::default());
        }
        match &mut self.state {
            State::Partial(partial) => partial,
            State::Idle | State::Ended => unreachable!("set just above"),
        }
    }
}

impl Partial {
    fn is_empty(&self) -> bool {
        self.header_bytes == 0 && self.frame.is_none() && self.message.is_none()
    }
}

/// Takes up to `bytes` bytes off the front of `input`.
fn take<'i>(input: &mut &'i mut [u8], bytes: usize) -> &'i mut [u8] {
    let middle = bytes.min(input.len());
    let (front, rest) = mem::take(input).split_at_mut(middle);
    *input = rest;
    front
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_at_rest_costs_sixteen_bytes() {
        assert_eq!(size_of::<Decoder>(), 16);
        assert!(size_of::<Partial>() <= 128, "{}", size_of::<Partial>());
    }
}
