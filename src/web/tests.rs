//! The guard against raw TCP servers that answer what they are told.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::*;

/// Answers each connection with the same bytes; keeps the requests.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

async fn server(answer: impl Into<String>) -> Server {
    server_that(answer.into(), false).await
}

async fn server_that(answer: String, hangs: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&seen);
    let answer = answer.replace("{port}", &address.port().to_string());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, keep) = (answer.clone(), Arc::clone(&keep));
            tokio::spawn(async move {
                let mut buffer = vec![0; 8192];
                let n = stream.read(&mut buffer).await.unwrap_or(0);
                keep.lock().unwrap().push(String::from_utf8_lossy(&buffer[..n]).into_owned());
                let _ = stream.write_all(answer.as_bytes()).await;
                if hangs {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            });
        }
    });
    Server { address, seen }
}

fn section(hosts: &[&str]) -> PortalSection {
    PortalSection {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        allow_private: true,
        allow_http: true,
        ca_file: None,
        recipe: None,
    }
}

fn client(hosts: &[&str]) -> Client {
    Client::new(&BTreeMap::from([("test".to_owned(), section(hosts))])).unwrap()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

async fn fail(client: &Client, address: &str) -> Error {
    match client.get(url(address)).limits(quick()).send().await {
        Ok(answer) => panic!("answered with {}", answer.status()),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains("secret"), "{text}");
            error
        }
    }
}

fn quick() -> Limits {
    Limits {
        answer: Duration::from_millis(500),
        stall: Duration::from_millis(300),
        total: Duration::from_secs(5),
        body: 1 << 20,
    }
}

#[tokio::test]
async fn addresses_inside_are_refused_by_default_with_the_key_that_allows_them() {
    let client = Client::new(&BTreeMap::new()).unwrap();
    for inside in [
        "https://127.0.0.1/secret",
        "https://127.1/secret",
        "https://2130706433/secret",
        "https://0x7f000001/secret",
        "https://0177.0.0.1/secret",
        "https://127.0.0.1./secret",
        "https://169.254.169.254/secret",
        "https://10.1.2.3/secret",
        "https://172.31.0.1/secret",
        "https://192.168.1.1/secret",
        "https://100.64.0.1/secret",
        "https://0.0.0.0/secret",
        "https://224.0.0.1/secret",
        "https://255.255.255.255/secret",
        "https://[::1]/secret",
        "https://[::]/secret",
        "https://[::ffff:10.0.0.1]/secret",
        "https://[::ffff:7f00:1]/secret",
        "https://[::7f00:1]/secret",
        "https://[64:ff9b::a00:1]/secret",
        "https://[2002:a00:1::]/secret",
        "https://[2001:0:1::1]/secret",
        "https://[fe80::1]/secret",
        "https://[fd00::1]/secret",
        "https://[ff02::1]/secret",
        "https://localhost/secret",
    ] {
        let error = fail(&client, inside).await;
        assert!(matches!(error, Error::Address { .. }), "{inside}: {error}");
        assert!(error.to_string().contains("allow-private"), "{error}");
        assert!(error.is_unsent() && !error.is_passing());
    }
}

#[test]
fn public_addresses_pass_and_some_never_do() {
    for public in ["93.184.216.34", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808"] {
        assert_eq!(forbidden(public.parse().unwrap(), Reach::Public), None, "{public}");
    }
    for site in ["127.0.0.1", "10.0.0.1", "::1", "fd12::1", "192.168.0.9", "::ffff:10.0.0.1"] {
        assert!(forbidden(site.parse().unwrap(), Reach::Public).is_some(), "{site}");
        assert_eq!(forbidden(site.parse().unwrap(), Reach::Site), None, "{site}");
    }
    for never in
        ["169.254.169.254", "0.0.0.0", "::", "224.0.0.1", "fe80::1", "ff02::1", "240.0.0.1"]
    {
        assert!(forbidden(never.parse().unwrap(), Reach::Site).is_some(), "{never}");
    }
}

#[tokio::test]
async fn http_needs_leave_and_user_info_is_refused() {
    let client = Client::new(&BTreeMap::new()).unwrap();
    let error = fail(&client, "http://portal.example.org/secret").await;
    assert!(error.to_string().contains("allow-http"), "{error}");
    let error = fail(&client, "https://user:secret@portal.example.org/").await;
    assert!(matches!(error, Error::UserInfo { .. }));
}

#[test]
fn a_section_without_hosts_opens_nothing() {
    let sections = BTreeMap::from([("all".to_owned(), section(&[" "]))]);
    assert!(matches!(Client::new(&sections), Err(Error::NoHosts { .. })));
}

#[test]
fn a_ca_file_that_is_none_is_named() {
    let mut section = section(&["a"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    section.ca_file = Some(file.path().to_owned());
    let error = Client::new(&BTreeMap::from([("x".to_owned(), section)])).err().unwrap();
    assert!(error.to_string().contains("holds no certificate"), "{error}");
}

/// A name that is public at first and private later.
struct Rebinding(AtomicUsize);

impl Lookup for Rebinding {
    fn lookup(&self, name: &str) -> Found {
        let turn = self.0.fetch_add(1, Ordering::SeqCst);
        let both = name.starts_with("both");
        Box::pin(async move {
            let inside: IpAddr = "127.0.0.1".parse().unwrap();
            // Reserved for documentation, so nobody answers there.
            Ok(if turn == 0 && !both {
                Vec::new()
            } else {
                vec![inside, "10.0.0.8".parse().unwrap()]
            })
        })
    }
}

#[tokio::test]
async fn a_name_is_judged_by_the_address_that_is_used() {
    let lookup = Arc::new(Rebinding(AtomicUsize::new(0)));
    let client = Client::with_lookup(&BTreeMap::new(), lookup).unwrap();
    let error = fail(&client, "https://rebind.example.org/secret").await;
    assert!(matches!(error, Error::Unreachable { .. } | Error::Dns { .. }), "{error:?}");
    for _ in 0..2 {
        let error = fail(&client, "https://rebind.example.org/secret").await;
        assert!(matches!(error, Error::Address { .. }), "{error:?}");
    }
    let error = fail(&client, "https://both.example.org/secret").await;
    assert!(matches!(error, Error::Address { .. }), "{error:?}");
}

#[tokio::test]
async fn redirects_are_judged_anew() {
    let client = client(&["127.0.0.1"]);
    for (location, wanted) in [
        ("https://169.254.169.254/latest/secret", "link-local"),
        ("https://10.0.0.1/secret", "private network"),
        ("http://[::1]:{port}/secret", "no TLS"),
        ("file:///etc/secret", "no address"),
        ("http://localhost:{port}/secret", "no TLS"),
        ("http://127.0.0.1:{port}/secret", "too often"),
        ("/secret", "too often"),
    ] {
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let server = server(answer).await;
        let error = fail(&client, &format!("http://{}/secret", server.address)).await;
        assert!(error.to_string().contains(wanted), "{location}: {error}");
        assert!(server.seen.lock().unwrap().len() <= 6);
    }
}

#[tokio::test]
async fn a_stranger_cannot_point_at_a_host_that_a_section_opens() {
    // `localhost` is a section of its own, so a redirect from 127.0.0.1 to it leaves the section.
    let sections = BTreeMap::from([
        ("one".to_owned(), section(&["127.0.0.1"])),
        ("two".to_owned(), section(&["localhost"])),
    ]);
    let client = Client::new(&sections).unwrap();
    let target = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://localhost:{}/\r\nContent-Length: 0\r\n\r\n",
        target.address.port()
    );
    let server = server(answer).await;
    let error = fail(&client, &format!("http://{}/", server.address)).await;
    assert!(matches!(error, Error::RedirectInside { .. }), "{error:?}");
    assert!(target.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn headers_go_along_and_the_token_does_not_leave_its_origin() {
    let client = client(&["127.0.0.1", "localhost"]);
    let target =
        server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").await;
    let answer = format!(
        "HTTP/1.1 307 Go\r\nLocation: http://localhost:{}/x\r\nContent-Length: 0\r\n\r\n",
        target.address.port()
    );
    let first = server(answer).await;
    let start = url(&format!("http://{}/a#secret", first.address));
    let bearer = Bearer::new("a.b.c").unwrap();
    let answer = client
        .get(start.clone())
        .header("x-dicom-link-exchange", "1")
        .bearer(&bearer)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.url().host_str(), Some("localhost"));
    let seen = first.seen.lock().unwrap()[0].to_lowercase();
    assert!(seen.contains("authorization: bearer a.b.c"), "{seen}");
    assert!(!seen.contains("secret"));
    let seen = target.seen.lock().unwrap()[0].to_lowercase();
    assert!(seen.contains("x-dicom-link-exchange: 1"), "{seen}");
    assert!(!seen.contains("authorization"), "{seen}");
    // Credentials in a body are not passed on at all.
    let error = client.post_json(start, "{}").send().await.err().unwrap();
    assert!(matches!(error, Error::RedirectedPost { .. }));
    assert_eq!(target.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn bodies_are_bounded_and_lies_are_found() {
    let client = client(&["127.0.0.1"]);
    let get = |answer: String, hangs| {
        let client = client.clone();
        async move {
            let server = server_that(answer, hangs).await;
            let start = url(&format!("http://{}/secret", server.address));
            let mut answer = client.get(start).limits(quick()).send().await?;
            answer.json::<serde_json::Value>().await
        }
    };
    let huge = format!("HTTP/1.1 200 OK\r\n\r\n[{}]", " ".repeat(2 << 20));
    assert!(matches!(get(huge, false).await, Err(Error::TooLarge { .. })));
    let lie = "HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n{}".to_owned();
    assert!(matches!(get(lie, true).await, Err(Error::TooLarge { .. })));
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}".to_owned();
    assert!(matches!(get(short.clone(), false).await, Err(Error::Cut { .. })));
    assert!(matches!(get(short, true).await, Err(Error::Stalled { .. })));
    let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n".to_owned();
    assert!(matches!(get(cut, false).await, Err(Error::Cut { .. })));
    let gzip =
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}".to_owned();
    assert!(matches!(get(gzip, false).await, Err(Error::Encoded { .. })));
    let html = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>".to_owned();
    assert!(matches!(get(html, false).await, Err(Error::NotJson { .. })));
    let deep = "[".repeat(100_000);
    let deep = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{deep}", deep.len());
    assert!(matches!(get(deep, false).await, Err(Error::NotJson { .. })));
    let headers = "X-A: b\r\n".repeat(500);
    let many = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\n{{}}");
    assert!(matches!(get(many, false).await, Err(Error::Protocol { .. })));
    assert!(matches!(get("SSH-2.0-x\r\n".to_owned(), false).await, Err(Error::Protocol { .. })));
    assert!(matches!(get(String::new(), true).await, Err(Error::Timeout { .. })));
    assert!(matches!(get(String::new(), false).await, Err(Error::Cut { .. })));
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\u{feff}{}".to_owned();
    assert_eq!(get(good, false).await.unwrap(), serde_json::json!({}));
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_no_tls() {
    let client = client(&["127.0.0.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = fail(&client, &format!("https://{address}/secret")).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let plain = server("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n").await;
    let error = fail(&client, &format!("https://{}/secret", plain.address)).await;
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
}

#[test]
fn tokens_with_line_breaks_are_no_header() {
    assert!(Bearer::new("a.b.c").is_some());
    for bad in ["", "a\r\nX: y", "a b", "ä", &"a".repeat(20_000)] {
        assert!(Bearer::new(bad).is_none());
    }
}

mod proxy;
mod visits;
