//! The head of the answer to an upgrade, read beside the one who parses it: of a refusal that keeps only the status.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes of a head that are looked at.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The longest that a client stays away because a server said so.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// What has come so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head(Arc<Mutex<Vec<u8>>>);

impl Head {
    /// How long a server that has no room asks to stay away, in seconds and with a bound; dates are not read.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let bytes = self.0.lock();
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
        let status = lines.next()?.split(' ').nth(1)?;
        let value = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("retry-after").then(|| value.trim().to_owned())
        })?;
        let seconds = Duration::from_secs(value.parse().ok()?);
        matches!(status, "429" | "503").then(|| seconds.min(RETRY_AFTER_MAX))
    }
}

/// A stream whose first bytes are kept until the head was taken for good.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    head: Option<Head>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, head: Head) -> Self {
        Self { stream, head: Some(head) }
    }

    /// Keeps no more.
    pub(crate) fn look_away(&mut self) {
        self.head = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        if let Some(head) = &self.head {
            let mut kept = head.0.lock();
            let new = &into.filled()[before..];
            let room = HEAD_BYTES_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(&new[..new.len().min(room)]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_without_room_is_believed_and_for_a_minute_at_most() {
        let said = |head: &str| {
            let kept = Head(Arc::new(Mutex::new(head.as_bytes().to_vec())));
            kept.retry_after().map(|wait| wait.as_secs())
        };
        assert_eq!(said("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n\r\n"), Some(7));
        assert_eq!(said("HTTP/1.1 429 x\r\na: b\r\nretry-after:900000\r\n\r\nretry-after: 1"), Some(60));
        assert_eq!(said("HTTP/1.1 503 x\r\na: b\r\n\r\nretry-after: 7\r\n"), None, "of the body");
        assert_eq!(said("HTTP/1.1 403 x\r\nretry-after: 7\r\n\r\n"), None);
        assert_eq!(said("HTTP/1.1 503 x\r\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n"), None);
        assert_eq!(said(""), None);
    }
}
