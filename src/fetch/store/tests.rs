//! Downloads that are cut, against a server that answers one connection after the other as it is told.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::import::ImportId;
use crate::seal::Vault;
use crate::spool::Spool;
use crate::web::{Client, PortalSection};

struct Deaf;
impl Observer for Deaf {
    fn downloading(&self, _: Option<u64>, _: Option<u64>) {}
    fn received(&self, _: u64) {}
}

struct Portal {
    client: Client,
    url: Url,
}

impl Source for Portal {
    async fn rest(&mut self, from: u64, validator: &Validator) -> Result<Answer, Halt> {
        let request = self.client.get(self.url.clone()).resume(from, validator);
        Ok(request.send().await?)
    }
}

const LENGTH: usize = 8192;
const HALF: usize = 4096;

/// What begins like a document.
fn whole() -> String {
    format!("{:x<LENGTH$}", "%PDF-1.7 ")
}

/// The length of what was stored after these answers.
async fn download(answers: &[String]) -> Result<u64, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    let answers = answers.to_vec();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 8192];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    crate::tls::install_provider();
    let section = PortalSection {
        hosts: vec!["127.0.0.1".to_owned()],
        allow_private: true,
        allow_http: true,
        ..PortalSection::default()
    };
    let client = Client::new(&BTreeMap::from([("t".to_owned(), section)])).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let vault =
        Vault::open_or_create(&dir.path().join("keys"), &dir.path().join("master.key")).unwrap();
    let spool = Spool::open(&dir.path().join("spool"), vault).unwrap();
    let mut pack = pack(&spool.create(ImportId::new()).unwrap()).await.unwrap();
    let url = Url::parse(&url).unwrap();
    let answer = client.get(url.clone()).send().await.unwrap();
    let mut portal = Portal { client, url };
    match file(answer, &mut portal, &mut pack, None, &Deaf).await {
        Ok(stored) => Ok(stored.file.blob.length),
        Err(Halt::Fault(error)) => Err(error),
        Err(Halt::Ended(_)) => panic!("neither a file nor a fault"),
    }
}

const RANGES: &str = "Accept-Ranges: bytes\r\nConnection: close\r\n";

/// The first half, cut off.
fn half(headers: &str) -> String {
    let body = &whole()[..HALF];
    format!("HTTP/1.1 200 OK\r\n{RANGES}{headers}Content-Length: {LENGTH}\r\n\r\n{body}")
}

/// The first half of what has no length told, cut off.
fn chunked() -> String {
    let (body, headers) = (&whole()[..HALF], "ETag: \"a\"\r\nTransfer-Encoding: chunked\r\n");
    format!("HTTP/1.1 200 OK\r\n{RANGES}{headers}\r\n{HALF:x}\r\n{body}\r\n")
}

/// A rest from byte `from` on that is said to go to the end of `length` bytes, and does.
fn rest_of(from: usize, length: usize, headers: &str) -> String {
    let (last, left) = (length - 1, length - from);
    let body = "x".repeat(left);
    format!(
        "HTTP/1.1 206 Partial Content\r\n{RANGES}{headers}Content-Range: bytes {from}-{last}/{length}\r\n\
         Content-Length: {left}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn the_rest_of_another_version_is_not_appended() {
    let date = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let later = "Last-Modified: Mon, 07 Nov 1994 08:49:37 GMT\r\n";
    let dated = format!("{date}Date: Tue, 08 Nov 1994 08:49:37 GMT\r\n");
    for (first, second, fits) in [
        ("ETag: \"a\"\r\n", "ETag: \"a\"\r\n", true),
        ("ETag: \"a\"\r\n", "ETag: W/\"a\"\r\n", true),
        ("ETag: \"a\"\r\n", "", true),
        ("ETag: \"a\"\r\n", "ETag: \"b\"\r\n", false),
        (dated.as_str(), date, true),
        (dated.as_str(), later, false),
    ] {
        let ended = download(&[half(first), rest_of(HALF, LENGTH, second)]).await;
        if fits {
            assert_eq!(ended.unwrap(), LENGTH as u64, "{second}");
        } else {
            assert!(matches!(ended, Err(Error::Cut { .. })), "{second}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn a_length_that_is_told_late_is_held_against_what_comes() {
    const MORE: usize = HALF + 500;
    // A rest that is cut itself.
    let mut cut = rest_of(HALF, LENGTH, "");
    cut.truncate(cut.len() - (LENGTH - MORE));
    let end = rest_of(MORE, LENGTH, "");
    let ended = download(&[chunked(), cut.clone(), end.clone()]).await;
    assert_eq!(ended.unwrap(), LENGTH as u64);
    let ended = download(&[chunked(), cut.clone(), rest_of(MORE, LENGTH + 5, "")]).await;
    assert!(matches!(ended, Err(Error::Cut { .. })), "{ended:?}");
    // One that tells no length of its own, and ends well before the end that it announced.
    let short = cut.replace("Content-Length", "X-Length");
    assert_eq!(download(&[chunked(), short, end]).await.unwrap(), LENGTH as u64);
}
