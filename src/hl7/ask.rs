//! The requestor's side: one message out, its answer in.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frame::{Error, Frame, Link, Patience};
use crate::tls::{Dialer, Fault, Seen};

/// Whom to ask, and how patiently. `patience.idle` is the wait for the answer.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `host:port`.
    pub address: String,
    pub connect: std::time::Duration,
    pub patience: Patience,
    /// Plain without.
    pub tls: Option<Dialer>,
}

impl Remote {
    fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// Connects, sends one message, and gives the bytes of its answer.
///
/// # Errors
/// None of them holds a word of what was sent or answered.
pub async fn ask(remote: &Remote, message: &[u8]) -> Result<Vec<u8>, Error> {
    let stream = connect(remote).await?;
    let Some(dialer) = &remote.tls else {
        return converse(stream, remote.patience, message).await;
    };
    let seen = Seen::default();
    let dialled = dialer.dial(stream, remote.host(), remote.connect, &seen).await;
    let stream = dialled.map_err(Error::Tls)?;
    converse(stream, remote.patience, message).await.map_err(|error| {
        // With TLS 1.3 a certificate of ours is refused behind the handshake.
        match error {
            Error::Io(error) => Error::Tls(dialer.explain(&error, &seen)),
            Error::NoAnswer => match dialer.sharpen(Fault::Closed, &seen) {
                Fault::Closed => Error::NoAnswer,
                fault => Error::Tls(fault),
            },
            error => error,
        }
    })
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    patience: Patience,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut link = Link::new(stream, patience);
    link.send(message).await?;
    match link.next().await? {
        Some(Frame::Whole(answer)) => {
            link.close().await;
            Ok(answer)
        }
        Some(Frame::TooLarge(_)) => Err(Error::TooLarge),
        None => Err(Error::NoAnswer),
    }
}

async fn connect(remote: &Remote) -> Result<TcpStream, Error> {
    let address = &remote.address;
    let attempt = async {
        let found = tokio::net::lookup_host(address).await;
        let mut last = Error::Resolve(address.clone());
        for place in found.map_err(|_| Error::Resolve(address.clone()))? {
            match TcpStream::connect(place).await {
                Ok(stream) => return Ok(stream),
                Err(source) => last = Error::Unreachable { address: address.clone(), source },
            }
        }
        Err(last)
    };
    let stream =
        timeout(remote.connect, attempt).await.map_err(|_| Error::TimedOut("connecting"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
