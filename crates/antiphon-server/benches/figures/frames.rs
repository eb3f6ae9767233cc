//! Frames of a server, of which only the beginning and the end are kept: a crowd reads more than it can look at.

/// As much as any frame but a MESSAGE has.
const START: usize = 1024;
/// A MESSAGE's position and offset stand at its end.
const END: usize = 256;

/// What was read of a frame.
pub struct Frame<'a> {
    pub opcode: u8,
    pub start: &'a [u8],
    pub end: &'a [u8],
}

/// A frame under way.
#[derive(Default)]
pub struct Frames {
    head: Vec<u8>,
    /// Of its payload; none: its head is not whole.
    len: Option<usize>,
    read: usize,
    start: Vec<u8>,
    end: Vec<u8>,
}

impl Frames {
    /// Takes bytes until a frame is whole.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Frame<'_>> {
        let len = match self.len {
            Some(len) => len,
            None => self.begin(bytes)?,
        };
        let (chunk, rest) = bytes.split_at(bytes.len().min(len - self.read));
        *bytes = rest;
        self.start.extend_from_slice(&chunk[..chunk.len().min(START - self.start.len())]);
        let from = len.saturating_sub(END).saturating_sub(self.read);
        self.end.extend_from_slice(chunk.get(from..).unwrap_or_default());
        self.read += chunk.len();
        if self.read < len {
            return None;
        }
        let opcode = self.head[0] & 0xf;
        self.head.clear();
        self.len = None;
        Some(Frame { opcode, start: &self.start, end: &self.end })
    }

    /// Takes a head; the length of its payload.
    fn begin(&mut self, bytes: &mut &[u8]) -> Option<usize> {
        loop {
            let wanted = match self.head.get(1) {
                None => 2,
                Some(126) => 4,
                Some(127) => 10,
                Some(_) => 2,
            };
            if self.head.len() == wanted {
                break;
            }
            let (first, rest) = bytes.split_first()?;
            self.head.push(*first);
            *bytes = rest;
        }
        let len = match self.head[1] {
            126 | 127 => self.head[2..].iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
            len => usize::from(len),
        };
        (self.len, self.read) = (Some(len), 0);
        self.start.clear();
        self.end.clear();
        Some(len)
    }
}

/// A client's frame; its mask is nought.
pub fn frame_of(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(len) if len < 126 => frame.push(0x80 | len),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// What stands behind this mark, up to a quote, comma or bracket.
pub fn field<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (_, behind) = text.rsplit_once(mark)?;
    behind.split(['"', ',', '}']).next()
}
