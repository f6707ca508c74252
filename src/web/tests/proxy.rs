//! Through a proxy: what it is asked for, what it never is, and who is asked without it.

use super::*;

/// Names inside are known, those outside are not, as in a hospital.
struct Inside;

impl Lookup for Inside {
    fn lookup(&self, name: &str) -> Found {
        let known = name.ends_with(".klinikum.example");
        Box::pin(async move {
            if known {
                Ok(vec!["10.0.0.8".parse().unwrap()])
            } else {
                Err(std::io::Error::other("no such name"))
            }
        })
    }
}

/// With nothing in it.
fn upload(to: &str) -> Upload<'static> {
    let (_, body) = tokio::sync::mpsc::channel(1);
    let short = Duration::from_secs(5);
    let limits = UploadLimits { stall: short, answer: short, body: 1000 };
    let (content_type, accept) = ("multipart/related", "application/dicom+json");
    Upload { url: url(to), content_type, accept, credentials: None, body, limits }
}

async fn client_at(proxy: &Server, sections: &BTreeMap<String, PortalSection>) -> Client {
    let proxy = Proxy::new(&format!("http://{}", proxy.address)).unwrap();
    let proxy = proxy.with_credentials("lotse:s3cret\n").unwrap();
    Client::built(sections, Arc::new(Inside), Some(&proxy)).unwrap()
}

#[tokio::test]
async fn hosts_outside_are_asked_for_by_name_and_credentials_stay_at_the_proxy() {
    let proxy = server("HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let client = client_at(&proxy, &BTreeMap::new()).await;
    let error = fail(&client, "https://portal.example.org/secret").await;
    assert!(matches!(error, Error::Proxy { .. }), "{error:?}");
    assert!(error.is_passing() && error.is_unsent() && error.to_string().contains("[fetch]"));
    let seen = proxy.seen.lock().unwrap().join("");
    assert!(seen.starts_with("CONNECT portal.example.org:443"), "{seen}");
    assert!(seen.to_lowercase().contains("proxy-authorization: basic"), "{seen}");
    assert!(!seen.contains("secret"), "the proxy sees no path: {seen}");
}

#[tokio::test]
async fn a_proxy_is_no_way_round_the_guard() {
    let proxy = server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let client = client_at(&proxy, &BTreeMap::new()).await;
    for inside in [
        "https://pacs.klinikum.example/secret",
        "https://10.0.0.8/secret",
        "https://169.254.169.254/secret",
        "https://[::1]/secret",
    ] {
        let error = fail(&client, inside).await;
        assert!(matches!(error, Error::Address { .. }), "{inside}: {error:?}");
        let mut visit = Visit::new(&client, &[host_of(&url(inside))], 5, Jar::default());
        let call =
            Call { url: url(inside), load: Load::Nothing, headers: vec![], limits: Limits::SHORT };
        let error = visit.send(call).await.err();
        assert!(matches!(error, Some(Error::Address { .. })), "visit, {inside}: {error:?}");
        let error = client.upload(upload(inside)).await.err();
        assert!(matches!(error, Some(Error::Address { .. })), "upload, {inside}: {error:?}");
    }
    assert!(proxy.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_inside_is_reached_directly() {
    let proxy = server("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await;
    let portal =
        server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").await;
    let sections = BTreeMap::from([("inside".to_owned(), section(&["127.0.0.1"]))]);
    let client = client_at(&proxy, &sections).await;
    let answer = client.get(url(&format!("http://{}/x", portal.address))).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(proxy.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_tls_the_proxy_is_asked_for_the_whole_address() {
    let proxy = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").await;
    let open = PortalSection { allow_private: false, ..section(&["portal.example.org"]) };
    let sections = BTreeMap::from([("open".to_owned(), open)]);
    let client = client_at(&proxy, &sections).await;
    let answer = client.get(url("http://portal.example.org/x")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let seen = proxy.seen.lock().unwrap().join("");
    assert!(seen.starts_with("GET http://portal.example.org/x"), "{seen}");
}

#[tokio::test]
async fn a_proxy_that_knows_nobody_is_told_as_such_in_every_way() {
    let asks = "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let proxy = server(asks).await;
    let open = PortalSection { allow_private: false, ..section(&["plain.example.org"]) };
    let client = client_at(&proxy, &BTreeMap::from([("open".to_owned(), open)])).await;
    for outside in ["https://portal.example.org/secret", "http://plain.example.org/secret"] {
        let error = fail(&client, outside).await;
        assert!(matches!(error, Error::Proxy { .. }), "{outside}: {error:?}");
        let mut visit = Visit::new(&client, &[host_of(&url(outside))], 5, Jar::default());
        let call =
            Call { url: url(outside), load: Load::Nothing, headers: vec![], limits: Limits::SHORT };
        let error = visit.send(call).await.err();
        assert!(matches!(error, Some(Error::Proxy { .. })), "visit, {outside}: {error:?}");
        let error = client.upload(upload(outside)).await.err();
        assert!(matches!(error, Some(Error::Proxy { .. })), "upload, {outside}: {error:?}");
    }
}
