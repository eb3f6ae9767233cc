//! A raw socket: TCP, or one end of a pair whose other end a task pumps (TLS, HTTP/2, an unknown acceptor).

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
};

use mio::{Interest, Registry, Token, event::Source};

/// A socket that a shard takes over.
#[derive(Debug)]
pub enum RawSocket {
    /// A TCP connection.
    Tcp(std::net::TcpStream),
    /// One end of a pumped pair.
    Unix(std::os::unix::net::UnixStream),
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(mio::net::TcpStream),
    Unix(mio::net::UnixStream),
}

impl Socket {
    pub fn new(raw: RawSocket) -> io::Result<Self> {
        match raw {
            RawSocket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                Ok(Self::Tcp(mio::net::TcpStream::from_std(socket)))
            }
            RawSocket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Ok(Self::Unix(mio::net::UnixStream::from_std(socket)))
            }
        }
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Self::Tcp(socket) => socket.register(registry, token, interest),
            Self::Unix(socket) => socket.register(registry, token, interest),
        }
    }

    pub fn deregister(&mut self, registry: &Registry) {
        let result = match self {
            Self::Tcp(socket) => socket.deregister(registry),
            Self::Unix(socket) => socket.deregister(registry),
        };
        drop(result);
    }

    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(into),
            Self::Unix(socket) => socket.read(into),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    pub fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write_vectored(pieces),
            Self::Unix(socket) => socket.write_vectored(pieces),
        }
    }

    pub fn shutdown_write(&self) {
        let result = match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Self::Unix(socket) => socket.shutdown(Shutdown::Write),
        };
        drop(result);
    }
}
