//! Redirects of a visit: what goes along, and where nothing goes. The wire is a recording; everything else is real.

use std::sync::Mutex;

use super::*;

const HOME: &str = "https://portal.example.org/login";

/// Answers the first request by a redirect and every other by a page; keeps what came.
struct Detour {
    status: u16,
    to: String,
    seen: Mutex<Vec<(String, HeaderMap, Vec<u8>)>>,
}

impl Recording for Detour {
    fn answer(
        &self,
        method: &str,
        url: &Url,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Recorded> {
        let mut seen = self.seen.lock().unwrap();
        seen.push((format!("{method} {url}"), headers.clone(), body.to_vec()));
        let (status, headers) = match seen.len() {
            1 => (self.status, vec![("location".to_owned(), self.to.clone())]),
            _ => (200, vec![]),
        };
        Some(Recorded { status, headers, body: bytes::Bytes::new() })
    }
}

/// What was asked for after the first request, and how it ended.
async fn detour(
    status: u16,
    to: &str,
    load: Load,
) -> (Vec<(String, HeaderMap, Vec<u8>)>, Result<(), Error>) {
    let open = PortalSection {
        hosts: vec!["portal.example.org".into(), "files.example.org".into()],
        allow_http: true,
        ..PortalSection::default()
    };
    let client = Client::new(&BTreeMap::from([("p".to_owned(), open)])).unwrap();
    let mut jar = Jar::default();
    jar.take(&url(HOME), "sid=COOKIE; Path=/");
    jar.take(&url(HOME), "wide=WIDE; Path=/; Domain=portal.example.org");
    let hosts = ["portal.example.org", "files.example.org"].map(str::to_owned);
    let tape = Arc::new(Detour { status, to: to.to_owned(), seen: Mutex::default() });
    let mut visit =
        Visit::new(&client, &hosts, 5, jar).replayed(Arc::clone(&tape) as Arc<dyn Recording>);
    let headers = vec![("authorization".to_owned(), "Bearer BEARER".to_owned())];
    let call = Call { url: url(HOME), load, headers, limits: Limits::SHORT };
    let ended = visit.send(call).await.map(drop);
    let mut seen = std::mem::take(&mut *tape.seen.lock().unwrap());
    let first = seen.remove(0);
    assert!(
        first.1.get("authorization").is_some() && first.1.get("cookie").is_some(),
        "all goes home"
    );
    (seen, ended)
}

fn answer() -> Load {
    let kind = "application/x-www-form-urlencoded".to_owned();
    Load::Post { kind, bytes: bytes::Bytes::from_static(b"dob=ANSWER") }
}

#[tokio::test]
async fn no_credential_goes_beside_the_hosts_or_out_of_tls() {
    let away = [
        "https://evil.example.org/x",
        "https://portal.example.org.evil.example/x",
        "https://sub.portal.example.org/x",
        "https://[2606:4700::1]/x",
        "//evil.example.org/x",
        "http://portal.example.org/x",
        "http://portal.example.org:443/x",
        "http://evil.example.org/x",
        "https://user:word@portal.example.org/x",
        "file:///etc/passwd",
    ];
    for status in [301, 302, 303, 307, 308] {
        for to in away {
            for load in [Load::Nothing, answer()] {
                let (seen, ended) = detour(status, to, load).await;
                assert!(
                    ended.is_err() && seen.is_empty(),
                    "{status} {to}: {:?}",
                    seen.first().map(|s| &s.0)
                );
            }
        }
    }
}

#[tokio::test]
async fn another_host_of_the_list_or_another_port_gets_no_answer_and_no_bearer() {
    for status in [301, 302, 303, 307, 308] {
        for (to, own) in [
            ("https://files.example.org/x", false),
            ("https://portal.example.org:8443/x", true),
            ("https://files.example.org:8443/x", false),
        ] {
            let (seen, ended) = detour(status, to, Load::Nothing).await;
            ended.unwrap();
            let (line, headers, _) = &seen[0];
            assert_eq!(line, &format!("GET {to}"));
            assert!(headers.get("authorization").is_none(), "{status} {to}");
            // Cookies belong to a host, whatever its port (RFC 6265 8.5).
            assert_eq!(headers.get("cookie").is_some(), own, "{status} {to}");

            let (seen, ended) = detour(status, to, answer()).await;
            if matches!(status, 307 | 308) {
                assert!(
                    matches!(ended, Err(Error::RedirectedPost { .. })),
                    "{status} {to}: {ended:?}"
                );
                assert!(seen.is_empty(), "{status} {to}");
                continue;
            }
            ended.unwrap();
            let (line, headers, body) = &seen[0];
            assert_eq!(line, &format!("GET {to}"));
            assert!(body.is_empty() && headers.get("authorization").is_none(), "{status} {to}");
        }
        let (seen, ended) = detour(status, "/next", answer()).await;
        ended.unwrap();
        let repeats = matches!(status, 307 | 308);
        assert_eq!(seen[0].2 == b"dob=ANSWER", repeats, "{status}");
        assert!(seen[0].1.get("authorization").is_some(), "{status}: at home it stays");
    }
}

/// Answers so many requests by a redirect; after them nobody is reached.
struct Dead(Mutex<usize>);

impl Recording for Dead {
    fn answer(&self, _: &str, _: &Url, _: &HeaderMap, _: &[u8]) -> Option<Recorded> {
        let mut left = self.0.lock().unwrap();
        *left = left.checked_sub(1)?;
        let headers = vec![("location".to_owned(), "/next".to_owned())];
        Some(Recorded { status: 303, headers, body: bytes::Bytes::new() })
    }
}

#[tokio::test]
async fn what_was_answered_by_a_redirect_was_sent() {
    let client = Client::new(&BTreeMap::new()).unwrap();
    let hosts = ["portal.example.org".to_owned()];
    let visit = Visit::new(&client, &hosts, 5, Jar::default());
    let mut visit = visit.replayed(Arc::new(Dead(Mutex::new(1))));
    let limits = Limits::SHORT;
    // The second call begins anew: what the first one reached is not held against it.
    for sent_nothing in [false, true] {
        let call = Call { url: url(HOME), load: answer(), headers: vec![], limits };
        let error = visit.send(call).await.err().unwrap();
        assert!(error.is_unsent(), "{error}");
        assert_eq!(visit.sent_nothing(&error), sent_nothing);
    }
}
