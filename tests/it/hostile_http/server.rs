//! A server that answers with bytes as they are told, and remembers what it was sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What follows the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Close,
    /// Keeps the connection open and says nothing.
    Hang,
    /// Repeats the last kilobyte of the bytes for ever.
    Endless,
    /// Sends the last byte again and again, two a second.
    Drip,
}

#[derive(Clone)]
pub struct Reply {
    pub bytes: Vec<u8>,
    pub then: Then,
}

impl Reply {
    pub fn raw(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        Self { bytes: bytes.into(), then }
    }

    /// A whole answer.
    pub fn of(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        Self::raw([head.as_bytes(), body].concat(), Then::Close)
    }

    pub fn json(body: &serde_json::Value) -> Self {
        Self::of("200 OK", "Content-Type: application/json\r\n", body.to_string())
    }

    pub fn redirect(to: &str) -> Self {
        Self::of("302 Found", &format!("Location: {to}\r\n"), "")
    }
}

/// The calls of a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Link,
    Login,
    List,
    Download,
    /// The rest of a download.
    Rest,
}

/// What one portal answers; what is not said is right.
pub type Script = BTreeMap<Call, Reply>;

/// Many portals behind one port, by the first part of the path.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub async fn start(scripts: impl FnOnce(SocketAddr) -> BTreeMap<String, Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scripts = Arc::new(scripts(address));
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let keep = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (scripts, keep) = (Arc::clone(&scripts), Arc::clone(&keep));
                tokio::spawn(async move { serve(stream, address, &scripts, &keep).await });
            }
        });
        Self { address, seen }
    }

    /// Every request, head and body.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub fn link(&self, name: &str) -> String {
        format!("http://{}/{name}/portal?token=SECRET-{name}", self.address)
    }
}

async fn serve(
    mut stream: TcpStream,
    address: SocketAddr,
    scripts: &BTreeMap<String, Script>,
    seen: &Mutex<Vec<String>>,
) {
    let Some(request) = read(&mut stream).await else { return };
    seen.lock().unwrap().push(request.clone());
    let path = request.split(' ').nth(1).unwrap_or("").to_owned();
    let name = path.split('/').nth(1).unwrap_or("").to_owned();
    let call = if path.contains("/tokentfa/") {
        Call::Login
    } else if path.ends_with("/list") {
        Call::List
    } else if path.contains("/download") && request.to_lowercase().contains("\r\nrange:") {
        Call::Rest
    } else if path.contains("/download") {
        Call::Download
    } else {
        Call::Link
    };
    let told = scripts.get(&name).and_then(|script| script.get(&call)).cloned();
    let reply = told.unwrap_or_else(|| right(&name, call, address));
    if stream.write_all(&reply.bytes).await.is_err() {
        return;
    }
    let tail = reply.bytes[reply.bytes.len().saturating_sub(1024)..].to_vec();
    match reply.then {
        Then::Close => drop(stream.shutdown().await),
        Then::Hang => tokio::time::sleep(Duration::from_secs(120)).await,
        Then::Endless => while stream.write_all(&tail).await.is_ok() {},
        Then::Drip => {
            while stream.write_all(&tail[tail.len() - 1..]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 8192];
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().lines().find_map(|line| {
            line.strip_prefix("content-length:").and_then(|n| n.trim().parse::<usize>().ok())
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text);
        }
    }
}

/// What a portal that does everything right answers.
fn right(name: &str, call: Call, address: SocketAddr) -> Reply {
    match call {
        Call::Link => Reply::json(&questions(&format!("http://{address}/{name}/dlx/v1"))),
        Call::Login => Reply::of("200 OK", "Content-Type: application/jwt\r\n", "eyJh.e30.SESSION"),
        Call::List => Reply::json(&serde_json::json!({
            "dataItem": [{ "id": "1", "mimeType": "application/zip", "description": "CT" }]
        })),
        Call::Download | Call::Rest => Reply::of("200 OK", "", archive()),
    }
}

/// The questions with this base of the interface.
pub fn questions(base: &str) -> serde_json::Value {
    serde_json::json!({
        "apiInfo": [{ "dlxVersion": "v1", "apiBasePath": base }],
        "tfaQuestion": [{
            "question": [{ "text": "Birth date?", "language": "en" }],
            "questionId": "1", "questionType": "PAT_BIRTH_DATE", "answerFormat": "DATE",
        }],
    })
}

/// A whole ZIP without anything that could be imported.
pub fn archive() -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer.start_file("READ.ME", options).unwrap();
    std::io::Write::write_all(&mut writer, &[b'x'; 20_000]).unwrap();
    writer.finish().unwrap().into_inner()
}
