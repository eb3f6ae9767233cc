//! What is not a plain TCP socket (TLS, HTTP/2, an unknown acceptor) is pumped over a socket pair: a shard sees file
//! descriptors and nothing else. The task ends with either side, and with a client that takes nothing any more.

use std::{io, os::unix::net::UnixStream, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// Two of these for each pumped connection.
const BUFFER_BYTES: usize = 8 * 1024;

/// How long a client may take to close its side after the shard has closed ours.
const LINGER: Duration = Duration::from_secs(2);

/// A shard's end of a pair, and the task that pumps between the other end and `io`. `patience` is how long a side may
/// take nothing while something waits for it.
pub(crate) fn pair<T>(
    io: T,
    patience: Duration,
) -> io::Result<(UnixStream, impl Future<Output = ()> + Send + 'static)>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (here, there) = UnixStream::pair()?;
    here.set_nonblocking(true)?;
    let here = tokio::net::UnixStream::from_std(here)?;
    let task = async move {
        if let Err(error) = pump(io, here, patience).await {
            tracing::debug!(%error, "a pumped connection ended");
        }
    };
    Ok((there, task))
}

async fn pump<T: AsyncRead + AsyncWrite>(
    io: T,
    here: tokio::net::UnixStream,
    patience: Duration,
) -> io::Result<()> {
    let (mut client_read, mut client_write) = tokio::io::split(io);
    let (mut shard_read, mut shard_write) = here.into_split();
    {
        let down = carry(&mut shard_read, &mut client_write, patience);
        let up = carry(&mut client_read, &mut shard_write, patience);
        tokio::pin!(down);
        tokio::select! {
            ended = &mut down => ended?,
            ended = up => {
                // The client has closed its side, or the shard takes no more. Either way the shard may have said
                // something last, a close frame mostly.
                if ended.is_err() {
                    drop(shard_write.shutdown().await);
                }
                timeout(patience, down).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            }
        }
    }
    // What the client still sends is read away: a socket that closes over unread bytes resets, and takes the close
    // frame with it.
    let mut rest = [0; 1024];
    let drained = async { while client_read.read(&mut rest).await.is_ok_and(|len| len > 0) {} };
    drop(timeout(LINGER, drained).await);
    Ok(())
}

/// Carries all that comes, then the end of it.
async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    patience: Duration,
) -> io::Result<()> {
    let stuck = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 {
            return timeout(patience, to.shutdown()).await.map_err(stuck)?;
        }
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            let taken = timeout(patience, to.write(rest)).await.map_err(stuck)??;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[taken..];
        }
        timeout(patience, to.flush()).await.map_err(stuck)??;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn started(
        patience: Duration,
    ) -> (tokio::io::DuplexStream, tokio::net::UnixStream, tokio::task::JoinHandle<()>) {
        let (client, io) = tokio::io::duplex(64);
        let (there, task) = pair(io, patience).unwrap();
        there.set_nonblocking(true).unwrap();
        (client, tokio::net::UnixStream::from_std(there).unwrap(), tokio::spawn(task))
    }

    #[tokio::test]
    async fn bytes_come_through_both_ways_and_the_clients_end_ends_it() {
        let (mut client, mut shard, task) = started(PATIENCE).await;
        client.write_all(b"hello").await.unwrap();
        let mut got = [0; 5];
        shard.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"hello");
        shard.write_all(b"there").await.unwrap();
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"there");
        drop(client);
        assert_eq!(shard.read(&mut got).await.unwrap(), 0, "the shard sees the end");
        drop(shard);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn what_the_shard_said_last_arrives_though_the_client_still_talks() {
        let (mut client, mut shard, task) = started(PATIENCE).await;
        shard.write_all(b"bye").await.unwrap();
        drop(shard);
        client.write_all(b"still talking").await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"bye");
        drop(client);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_does_not_keep_the_task() {
        let (client, mut shard, task) = started(Duration::from_millis(50)).await;
        shard.write_all(&[0; 4096]).await.unwrap();
        drop(shard);
        task.await.unwrap();
        drop(client);
    }
}
