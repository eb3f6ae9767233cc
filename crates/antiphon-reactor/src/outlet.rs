//! A connection's sending side: the socket, and what it has not taken yet. Shared bytes wait as they are, uncopied.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    time::Instant,
};

use bytes::{Buf, Bytes};

use crate::socket::Socket;

/// Pieces of one vectored write.
const PIECES_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Outlet {
    pub socket: Socket,
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// Since when the socket has taken nothing although something waits.
    pub stuck_since: Option<Instant>,
}

impl Outlet {
    pub fn new(socket: Socket) -> Self {
        Self { socket, waiting: VecDeque::new(), waiting_bytes: 0, stuck_since: None }
    }

    /// True if the socket did not take what came before.
    pub fn is_blocked(&self) -> bool {
        self.stuck_since.is_some()
    }

    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Writes now what nothing waits before; what is not taken is kept. Returns what was taken.
    pub fn send(&mut self, bytes: &Bytes) -> io::Result<usize> {
        if !self.waiting.is_empty() {
            self.keep(bytes.clone());
            return Ok(0);
        }
        let taken = match self.socket.write(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        if taken < bytes.len() {
            self.keep(bytes.slice(taken..));
            self.stuck_since.get_or_insert_with(Instant::now);
        }
        Ok(taken)
    }

    /// Keeps bytes for the next [`Outlet::flush`].
    pub fn keep(&mut self, bytes: Bytes) {
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
    }

    /// Waits with what waits, as if the socket took nothing.
    pub fn hold(&mut self) {
        if !self.waiting.is_empty() {
            self.stuck_since.get_or_insert_with(Instant::now);
        }
    }

    /// Writes what waits, as far as the socket takes it. Returns what was taken.
    pub fn flush(&mut self) -> io::Result<usize> {
        let mut total = 0;
        while !self.waiting.is_empty() {
            let pieces: Vec<IoSlice<'_>> =
                self.waiting.iter().take(PIECES_MAX).map(|bytes| IoSlice::new(bytes)).collect();
            let taken = match self.socket.write_vectored(&pieces) {
                Ok(taken) => taken,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if total > 0 || self.stuck_since.is_none() {
                        self.stuck_since = Some(Instant::now());
                    }
                    return Ok(total);
                }
                Err(error) => return Err(error),
            };
            total += taken;
            self.advance(taken);
        }
        self.stuck_since = None;
        // An idle connection holds no memory for what it once waited for.
        self.waiting.shrink_to(0);
        Ok(total)
    }

    fn advance(&mut self, mut taken: usize) {
        self.waiting_bytes -= taken;
        while let Some(first) = self.waiting.front_mut() {
            if taken < first.len() {
                first.advance(taken);
                return;
            }
            taken -= first.len();
            self.waiting.pop_front();
        }
    }
}
