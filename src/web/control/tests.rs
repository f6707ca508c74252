use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;

struct Daemon {
    _folder: tempfile::TempDir,
    path: PathBuf,
    seen: Arc<Mutex<Vec<u8>>>,
}

/// Reads until `until` bytes or the end marker came, then answers.
fn daemon(answer: &'static str, end: &'static [u8]) -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
    let keep = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 1 << 16];
            let mut all = Vec::new();
            loop {
                let n = stream.read(&mut buffer).await.unwrap_or(0);
                all.extend_from_slice(&buffer[..n]);
                if n == 0 || all.ends_with(end) {
                    break;
                }
            }
            if !all.is_empty() {
                *keep.lock().unwrap() = all;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    Daemon { _folder: folder, path, seen }
}

#[tokio::test]
async fn without_a_daemon_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let error = Control::connect(&path).await.err().unwrap();
    assert!(matches!(error, Error::NoDaemon { .. }), "{error}");
    // A socket that nobody listens on any more.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = Control::connect(&path).await.err().unwrap();
    assert!(matches!(error, Error::NoDaemon { .. }), "{error}");
}

#[tokio::test]
async fn answers_and_problems() {
    let daemon_ok = daemon("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", b"\r\n\r\n");
    let control = Control::connect(&daemon_ok.path).await.unwrap();
    let value: serde_json::Value = control.get_json("/status?x=1").await.unwrap();
    assert_eq!(value["a"], 1);
    let seen = String::from_utf8(daemon_ok.seen.lock().unwrap().clone()).unwrap();
    assert!(seen.starts_with("GET /status?x=1 HTTP/1.1\r\n"), "{seen}");
    let problem = daemon(
        "HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n{\"title\":\"t\",\"detail\":\"wait\"}",
        b"\r\n\r\n",
    );
    let control = Control::connect(&problem.path).await.unwrap();
    let error = control.delete::<serde_json::Value>("/x").await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 409, .. }));
    assert_eq!(error.to_string(), "wait");
    let empty = daemon("HTTP/1.1 204 No Content\r\n\r\n", b"\r\n\r\n");
    let control = Control::connect(&empty.path).await.unwrap();
    control.delete::<Option<u8>>("/x").await.unwrap();
}

#[tokio::test]
async fn a_file_is_streamed_as_multipart() {
    let daemon =
        daemon("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}", b"--\r\n\r\n0\r\n\r\n");
    let control = Control::connect(&daemon.path).await.unwrap();
    let bytes = vec![b'x'; 1 << 20];
    let request = serde_json::json!({ "accessionNumber": "A1" });
    let file = io::Cursor::new(bytes);
    let _: serde_json::Value =
        control.post_stream("/api/v1/imports", &request, "a \"b\".zip", file, None).await.unwrap();
    let seen = String::from_utf8(daemon.seen.lock().unwrap().clone()).unwrap();
    assert!(seen.len() > 1 << 20);
    let seen: String = seen.chars().take(900).collect();
    for part in [
        "name=\"request\"\r\nContent-Type: application/json\r\n\r\n",
        "{\"accessionNumber\":\"A1\"}",
    ] {
        assert!(seen.contains(part), "{seen}");
    }
    assert!(seen.contains("name=\"file\"; filename="), "{seen}");
}

struct Failing;

impl AsyncRead for Failing {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Err(io::Error::from(io::ErrorKind::PermissionDenied)))
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_told() {
    let daemon = daemon("", b"never");
    let control = Control::connect(&daemon.path).await.unwrap();
    let sent = control.post_stream::<_, _, ()>("/x", &(), "a", Failing, None).await;
    assert!(matches!(sent, Err(Error::Read(_))), "{sent:?}");
}

#[tokio::test]
async fn events_come_one_by_one() {
    let daemon = daemon(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n: hello\n\nevent: state\nid: 7\ndata: {\"a\":\ndata: 1}\n\ndata:x\r\n\r\ndata: cut",
        b"\r\n\r\n",
    );
    let control = Control::connect(&daemon.path).await.unwrap();
    let mut events = control.events("/x").await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert_eq!((first.name.as_str(), first.text.as_str()), ("state", "{\"a\":\n1}"));
    assert_eq!(first.id.as_deref(), Some("7"));
    assert_eq!(events.next().await.unwrap().unwrap().text, "x");
    assert!(matches!(events.next().await, Ok(None) | Err(Error::Broken)));
}
