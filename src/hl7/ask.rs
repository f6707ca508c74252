//! The requestor's side: one message out, its answer in.

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frame::{Error, Frame, Link, Patience};

/// Whom to ask, and how patiently. `patience.idle` is the wait for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `host:port`.
    pub address: String,
    pub connect: std::time::Duration,
    pub patience: Patience,
}

/// Connects, sends one message, and gives the bytes of its answer.
///
/// # Errors
/// None of them holds a word of what was sent or answered.
pub async fn ask(remote: &Remote, message: &[u8]) -> Result<Vec<u8>, Error> {
    let stream = connect(remote).await?;
    let mut link = Link::new(stream, remote.patience);
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
