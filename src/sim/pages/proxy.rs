//! A reverse proxy that lets through who has the token: what stands before an Orthanc that shares studies.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A request's header is shorter.
const LONGEST_HEAD: usize = 32 << 10;

/// A running proxy. It stops when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    refused: Arc<AtomicU32>,
    stop: CancellationToken,
}

impl Proxy {
    /// Stands before `behind`; the token comes as `auth-token`, or as bearer.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(behind: SocketAddr, token: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (refused, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let (count, stopped, token) = (Arc::clone(&refused), stop.clone(), token.to_owned());
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stopped.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else { continue };
                let (count, token) = (Arc::clone(&count), token.clone());
                tokio::spawn(async move {
                    // Whoever hangs up has seen enough.
                    let _ = pass(stream, behind, &token, &count).await;
                });
            }
        });
        Ok(Self { address, refused, stop })
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests without the token.
    pub fn refused(&self) -> u32 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn pass(
    mut from: TcpStream,
    behind: SocketAddr,
    token: &str,
    refused: &AtomicU32,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        let n = from.read(&mut piece).await?;
        if n == 0 {
            return Ok(());
        }
        head.extend_from_slice(piece.get(..n).unwrap_or(&[]));
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let has = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let bearer = format!("Bearer {token}");
        let named = |wanted: &str| name.trim().eq_ignore_ascii_case(wanted);
        named("auth-token") && value.trim() == token
            || named("authorization") && value.trim() == bearer
    };
    if !text.lines().any(has) {
        refused.fetch_add(1, Ordering::Relaxed);
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return from.write_all(answer).await;
    }
    let mut to = TcpStream::connect(behind).await?;
    // One request a connection: what comes after the header is its body.
    let head = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    to.write_all(head.as_bytes()).await?;
    tokio::io::copy_bidirectional(&mut from, &mut to).await?;
    Ok(())
}
