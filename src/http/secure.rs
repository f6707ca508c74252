//! TLS of the web door: its keys, the handshake, and an answer for whoever speaks plain HTTP to it.
//!
//! Invariant: nothing but the sentence that says so is ever sent in the clear by a door that has TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::tls::{Acceptor, Client, Fault, ServerSection, ServerStream};

/// `[http.tls]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TlsSection {
    certificate: PathBuf,
    key: PathBuf,
    /// Who may have signed the certificates of browsers and programs.
    #[serde(default)]
    client_ca: Vec<PathBuf>,
    /// What these authorities have taken back.
    #[serde(default)]
    client_crl: Vec<PathBuf>,
    /// Without it, required if `client-ca` is there: the token is asked for in any case.
    client: Option<Client>,
}

impl TlsSection {
    /// As a listener of devices has it.
    pub fn listener(&self) -> ServerSection {
        let without = if self.client_ca.is_empty() { Client::None } else { Client::Required };
        ServerSection {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            client_ca: self.client_ca.clone(),
            client_crl: self.client_crl.clone(),
            client: self.client.unwrap_or(without),
        }
    }
}

/// Record type of a handshake (RFC 8446 5.1), with which every TLS connection begins.
const HANDSHAKE: u8 = 0x16;

/// Read of a plain request after it was answered, and for how long: closing with unread bytes would reset the
/// connection, and the answer be lost.
const REQUEST_LIMIT: u64 = 64 << 10;
const LINGER: Duration = Duration::from_secs(1);

/// How the bytes of a connection begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    Tls,
    /// A letter, as every method of HTTP begins.
    Http,
    Other,
    /// Nothing came.
    Nothing,
}

/// A connection with its handshake done within `patience`; the log has why there is none.
pub(super) async fn open(
    acceptor: Acceptor,
    mut stream: TcpStream,
    from: SocketAddr,
    patience: Duration,
) -> Option<ServerStream> {
    match timeout(patience, greeting(&stream)).await {
        // Whoever connects and says nothing is no news: load balancers do it all day.
        Err(_) | Ok(Greeting::Nothing) => return None,
        Ok(Greeting::Http) => {
            tracing::warn!(address = %from, "HTTP caller turned away: it speaks plain HTTP, and this address has TLS; write https:// there");
            refuse_plain(&mut stream).await;
            return None;
        }
        Ok(Greeting::Tls | Greeting::Other) => {}
    }
    match acceptor.accept(stream, patience).await {
        Ok((stream, _)) => Some(stream),
        Err(error @ (Fault::Closed | Fault::TimedOut)) => {
            tracing::debug!(address = %from, %error, "an HTTP connection ended early");
            None
        }
        Err(error) => {
            tracing::warn!(address = %from, "HTTP caller turned away: TLS: {error}");
            None
        }
    }
}

async fn greeting(stream: &TcpStream) -> Greeting {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => Greeting::Nothing,
        Ok(_) => match first {
            [HANDSHAKE] => Greeting::Tls,
            [byte] if byte.is_ascii_alphabetic() => Greeting::Http,
            _ => Greeting::Other,
        },
    }
}

async fn refuse_plain(stream: &mut TcpStream) {
    const BODY: &str = "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\
        \"detail\":\"this address has TLS; write https:// in place of http://\"}";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let said = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = stream.take(REQUEST_LIMIT);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    tokio::select! {
        // Who does not hear it has the log of its own side.
        _ = said => {}
        () = sleep(LINGER) => {}
    }
}
