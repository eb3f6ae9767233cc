//! What is not a plain TCP socket (TLS, HTTP/2, an unknown acceptor) is pumped over a socket pair: a shard sees file
//! descriptors and nothing else.

use std::os::unix::net::UnixStream;

use tokio::io::{AsyncRead, AsyncWrite};

/// A shard's end of a pair, and the task that pumps between the other end and `io`.
pub(crate) fn pair<T>(mut io: T) -> Option<(UnixStream, impl Future<Output = ()> + Send + 'static)>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let made = UnixStream::pair().and_then(|(here, there)| {
        here.set_nonblocking(true)?;
        Ok((tokio::net::UnixStream::from_std(here)?, there))
    });
    match made {
        Ok((mut here, there)) => {
            let pump = async move {
                if let Err(error) = tokio::io::copy_bidirectional(&mut io, &mut here).await {
                    tracing::debug!(%error, "a pumped connection ended");
                }
            };
            Some((there, pump))
        }
        Err(error) => {
            tracing::warn!(%error, "a socket pair could not be made: the connection is dropped");
            None
        }
    }
}
