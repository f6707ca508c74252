use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::http::guard::tests::{House, house, router};

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
    answer
}

fn doors(house: &House, stop: &CancellationToken) -> Connections {
    let doors = Connections::of(router(&house.guard), stop, TaskTracker::new());
    let short = Duration::from_millis(200);
    Connections { header_limit: short, write_limit: short, ..doors }
}

/// One connection, served as the real loop does.
async fn tcp(house: &House, stop: &CancellationToken) -> (Connections, TcpStream, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let doors = doors(house, stop);
    let client = TcpStream::connect(address).await.unwrap();
    let (served, _) = listener.accept().await.unwrap();
    let permit = doors.permit().await.unwrap();
    doors.spawn(served, Peer::Tcp(address), permit);
    (doors, client, address.port())
}

#[tokio::test]
async fn a_request_over_tcp_is_guarded_and_answered() {
    let (house, stop) = (house(), CancellationToken::new());
    let (_doors, client, port) = tcp(&house, &stop).await;
    let token = &house.token;
    let request = format!(
        "GET /api/v1/who HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let answer = talk(client, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("token"), "{answer}");
}

#[tokio::test]
async fn what_is_not_http_is_turned_away() {
    for noise in ["\0\0\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let (house, stop) = (house(), CancellationToken::new());
        let (_doors, client, _) = tcp(&house, &stop).await;
        let answer = talk(client, noise).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}

#[tokio::test]
async fn a_header_without_end_and_a_large_body_are_refused() {
    let (house, stop) = (house(), CancellationToken::new());
    let (_doors, client, _) = tcp(&house, &stop).await;
    let answer = talk(client, &format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(2 * BUFFER))).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let (_doors, client, port) = tcp(&house, &stop).await;
    let (token, length) = (&house.token, 10_u64 << 30);
    let request = format!(
        "POST /api/v1/echo HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let answer = talk(client, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("application/problem+json"));
}

#[tokio::test]
async fn who_says_nothing_is_cut_off() {
    let (house, stop) = (house(), CancellationToken::new());
    let (mut client, served) = tokio::io::duplex(1024);
    let doors = doors(&house, &stop);
    let permit = doors.permit().await.unwrap();
    doors.spawn(served, Peer::Control { uid: 0 }, permit);
    client.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let began = tokio::time::Instant::now();
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    assert!(began.elapsed() >= doors.header_limit && began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let (house, stop) = (house(), CancellationToken::new());
    // Room for less than one answer.
    let (mut client, served) = tokio::io::duplex(64);
    let doors = doors(&house, &stop);
    let permit = doors.permit().await.unwrap();
    doors.spawn(served, Peer::Control { uid: 0 }, permit);
    client.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let began = tokio::time::Instant::now();
    doors.tasks.close();
    doors.tasks.wait().await;
    assert!(began.elapsed() >= doors.write_limit && began.elapsed() < Duration::from_secs(10));
    drop(client);
}

#[tokio::test]
async fn a_stop_ends_idle_connections() {
    let (house, stop) = (house(), CancellationToken::new());
    let (doors, mut client, port) = tcp(&house, &stop).await;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0_u8; 12];
    client.read_exact(&mut first).await.unwrap();
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), doors.drain()).await.unwrap();
}

#[tokio::test]
async fn connections_are_bounded() {
    let (house, stop) = (house(), CancellationToken::new());
    let doors = doors(&house, &stop);
    let held: Vec<_> =
        futures_util::future::join_all((0..CONNECTIONS).map(|_| doors.permit())).await;
    assert!(held.iter().all(Option::is_some));
    let more = tokio::time::timeout(Duration::from_millis(20), doors.permit()).await;
    assert!(more.is_err());
    stop.cancel();
    assert!(doors.permit().await.is_none());
}

#[tokio::test]
async fn the_control_socket_is_bound_once_and_knows_the_peer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let listener = bind_control(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o660);
    assert!(matches!(bind_control(&path), Err(Error::ControlTaken { .. })));

    let (house, stop) = (house(), CancellationToken::new());
    let client = UnixStream::connect(&path).await.unwrap();
    let mut served = listener.accept().await.unwrap().0;
    // The one that asked whether somebody is there comes first.
    if served.peer_cred().is_err() || client.peer_addr().is_err() {
        served = listener.accept().await.unwrap().0;
    }
    drop(served);
    drop(client);
    drop(listener);
    // A daemon that was killed leaves its socket behind.
    let listener = bind_control(&path).unwrap();
    let client = UnixStream::connect(&path).await.unwrap();
    let (served, _) = listener.accept().await.unwrap();
    let uid = served.peer_cred().unwrap().uid();
    let doors = doors(&house, &stop);
    let permit = doors.permit().await.unwrap();
    doors.spawn(served, Peer::Control { uid }, permit);
    let request = "GET /api/v1/who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = talk(client, request).await;
    assert!(answer.ends_with(&format!("uid:{uid}")), "{answer}");
    assert!(bind_control(&folder.path().join("no/control.sock")).is_err());
}
