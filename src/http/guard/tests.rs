use axum::Router;
use axum::body::Body;
use axum::http::HeaderName;
use axum::routing::{get, post};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::*;
use crate::clock::Moment;
use crate::http::request::small_body;

const HERE: &str = "127.0.0.1:8080";

pub(crate) struct House {
    pub(crate) guard: Guard,
    pub(crate) token: String,
    _folder: tempfile::TempDir,
}

/// A guard with a fresh token and a clock that stands.
pub(crate) fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.token");
    let token = ApiToken::load_or_create(&path).unwrap();
    let clock = Clock::simulated(Moment::default());
    let name = Some("lotse.example.org".to_owned());
    let guard = Guard::new(token, name, clock, &Metrics::default());
    House {
        guard: Guard { delay: Duration::from_millis(50), ..guard },
        token: std::fs::read_to_string(path).unwrap().trim().to_owned(),
        _folder: folder,
    }
}

/// A few addresses behind the guard; the protected ones tell the actor.
pub(crate) fn router(guard: &Guard) -> Router {
    async fn who(axum::Extension(actor): axum::Extension<Actor>) -> String {
        actor.0
    }
    let router = Router::new()
        .route("/healthz", get(|| async { "alive" }))
        .route("/login", get(|| async { "login" }))
        .route("/api/v1/who", get(who).post(who))
        .route("/api/v1/echo", post(|body: Body| small_body(body)))
        .route("/", get(who));
    crate::http::guarded(router, guard.clone())
}

async fn ask(
    house: &House,
    peer: Peer,
    method: Method,
    path: &str,
    headers: &[(HeaderName, &str)],
) -> Response {
    let mut request = axum::http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(peer);
    TowerToHyperService::new(router(&house.guard)).call(request).await.unwrap()
}

fn tcp() -> Peer {
    Peer::Tcp(HERE.parse().unwrap())
}

async fn get_with(house: &House, path: &str, headers: &[(HeaderName, &str)]) -> Response {
    let mut all = vec![(header::HOST, HERE)];
    all.extend_from_slice(headers);
    ask(house, tcp(), Method::GET, path, &all).await
}

async fn body(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn only_the_open_addresses_answer_without_credentials() {
    let house = house();
    assert_eq!(get_with(&house, "/healthz", &[]).await.status(), StatusCode::OK);
    assert_eq!(get_with(&house, "/login", &[]).await.status(), StatusCode::OK);
    let refused = get_with(&house, "/api/v1/who", &[]).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers()[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(&body(refused).await).unwrap();
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["title"], "Unauthorized");
    assert!(problem["detail"].as_str().unwrap().contains("api.token"));
    for path in ["/healthz/", "//healthz", "/healthz/../api/v1/who", "/nothing", "/HEALTHZ"] {
        let status = get_with(&house, path, &[]).await.status();
        assert!(
            status == StatusCode::SEE_OTHER || status == StatusCode::UNAUTHORIZED,
            "{path} {status}"
        );
    }
}

#[tokio::test]
async fn the_token_opens_and_a_wrong_one_waits() {
    let house = house();
    let bearer = format!("Bearer {}", house.token);
    let answer = get_with(&house, "/api/v1/who", &[(header::AUTHORIZATION, &bearer)]).await;
    assert_eq!(body(answer).await, "token");
    for wrong in ["Bearer", "Bearer ", "Bearer x", &house.token, "Basic eA==", &bearer[..70]] {
        let began = tokio::time::Instant::now();
        let answer = get_with(&house, "/api/v1/who", &[(header::AUTHORIZATION, wrong)]).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{wrong}");
        assert!(began.elapsed() >= house.guard.delay);
    }
    assert_eq!(house.guard.wrong_tokens.get(), 6);
}

#[tokio::test]
async fn many_wrong_tokens_are_turned_away_and_the_right_one_is_not() {
    let house = house();
    let tries = (0..WRONG_TOKEN_WAITERS + 3).map(|_| house.guard.check_token("x"));
    let answers = futures_util::future::join_all(tries).await;
    let turned_away = |problem: &&Result<(), Problem>| {
        problem.as_ref().is_err_and(|p| p.status == StatusCode::TOO_MANY_REQUESTS)
    };
    assert_eq!(answers.iter().filter(turned_away).count(), 3);
    assert!(house.guard.check_token(&house.token).await.is_ok());
}

#[tokio::test]
async fn host_must_be_one_of_ours() {
    let house = house();
    for host in [
        HERE,
        "127.0.0.1",
        "localhost:8080",
        "LOCALHOST",
        "lotse.example.org",
        "lotse.example.org:443",
    ] {
        let answer = ask(&house, tcp(), Method::GET, "/healthz", &[(header::HOST, host)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.2:8080",
        "localhost.evil.example",
        "",
        ":8080",
        "localhost:x",
        "localhost:99999",
        "lotse.example.org@evil.example",
        "[::1]:8080",
        "[::1",
        "a]b",
        "127.0.0.1.evil.example",
        "0x7f000001",
    ] {
        let answer = ask(&house, tcp(), Method::GET, "/healthz", &[(header::HOST, host)]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{host}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
    let none = ask(&house, tcp(), Method::GET, "/healthz", &[]).await;
    assert_eq!(none.status(), StatusCode::FORBIDDEN);
    let two = [(header::HOST, HERE), (header::HOST, "evil.example")];
    assert_eq!(
        ask(&house, tcp(), Method::GET, "/healthz", &two).await.status(),
        StatusCode::FORBIDDEN
    );
    let absolute = "http://evil.example/healthz";
    let answer = ask(&house, tcp(), Method::GET, absolute, &[(header::HOST, HERE)]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let v6 = Peer::Tcp("[::1]:8080".parse().unwrap());
    let answer = ask(&house, v6, Method::GET, "/healthz", &[(header::HOST, "[::1]:8080")]).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn origin_must_be_the_same_site() {
    let house = house();
    let bearer = format!("Bearer {}", house.token);
    for (origin, status) in [
        ("http://127.0.0.1:8080", StatusCode::OK),
        ("https://127.0.0.1:8080", StatusCode::OK),
        ("http://localhost:8080", StatusCode::FORBIDDEN),
        ("http://127.0.0.1:9090", StatusCode::FORBIDDEN),
        ("https://evil.example", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
        ("", StatusCode::FORBIDDEN),
    ] {
        let headers = [(header::AUTHORIZATION, bearer.as_str()), (header::ORIGIN, origin)];
        assert_eq!(get_with(&house, "/api/v1/who", &headers).await.status(), status, "{origin}");
    }
}

#[tokio::test]
async fn a_session_reads_and_changes_only_from_the_console() {
    let house = house();
    let set = house.guard.sessions.begin(Moment::default(), Channel::Plain).unwrap();
    let cookie = set.split(';').next().unwrap();
    let answer = get_with(&house, "/", &[(header::COOKIE, cookie)]).await;
    assert_eq!(body(answer).await, "console");
    let headers = [(header::HOST, HERE), (header::COOKIE, cookie)];
    let bare = ask(&house, tcp(), Method::POST, "/api/v1/who", &headers).await;
    assert_eq!(bare.status(), StatusCode::FORBIDDEN);
    let own = "http://127.0.0.1:8080";
    let headers = [(header::HOST, HERE), (header::COOKIE, cookie), (header::ORIGIN, own)];
    let form = ask(&house, tcp(), Method::POST, "/api/v1/who", &headers).await;
    assert_eq!(form.status(), StatusCode::OK);
    house.guard.clock.advance(Duration::from_secs(13 * 3600));
    let late = get_with(&house, "/", &[(header::COOKIE, cookie)]).await;
    assert_eq!(late.headers()[header::LOCATION], "/login");
}

#[tokio::test]
async fn the_control_socket_knows_who_is_there() {
    let house = house();
    let answer = ask(&house, Peer::Control { uid: 1000 }, Method::POST, "/api/v1/who", &[]).await;
    assert_eq!(body(answer).await, "uid:1000");
    let answer = ask(&house, Peer::Stranger, Method::GET, "/healthz", &[]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(body(answer).await.contains("sudo"));
}

#[tokio::test]
async fn refusals_are_worded_for_programs_and_for_people() {
    let house = house();
    let bearer = format!("Bearer {}", house.token);
    let headers = [(header::AUTHORIZATION, bearer.as_str())];
    let missing = get_with(&house, "/api/v1/nothing", &headers).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(missing.headers()[header::CONTENT_TYPE], "application/problem+json");
    let page = get_with(&house, "/nothing", &headers).await;
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    assert!(page.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
    assert!(body(page).await.contains("That did not work"));
    let method = get_with(&house, "/api/v1/echo", &headers).await;
    assert_eq!(method.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(method.headers()[header::ALLOW], "POST");
    assert!(body(method).await.contains("does not take this method"));
}

#[tokio::test]
async fn every_answer_is_hardened() {
    let house = house();
    for path in ["/healthz", "/", "/api/v1/nothing"] {
        let answer = get_with(&house, path, &[]).await;
        let headers = answer.headers();
        assert!(
            headers[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .starts_with("default-src 'self'")
        );
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(headers[header::REFERRER_POLICY], "same-origin");
    }
}

#[tokio::test]
async fn behind_tls_only_pages_of_tls_act_and_browsers_stay_there() {
    let house = house();
    let peer = Peer::Tls(HERE.parse().unwrap());
    let set = house.guard.sessions.begin(Moment::default(), Channel::Tls).unwrap();
    let cookie = set.split(';').next().unwrap();
    for (origin, status) in [
        ("https://127.0.0.1:8080", StatusCode::OK),
        ("http://127.0.0.1:8080", StatusCode::FORBIDDEN),
    ] {
        let headers = [(header::HOST, HERE), (header::COOKIE, cookie), (header::ORIGIN, origin)];
        let answer = ask(&house, peer, Method::POST, "/api/v1/who", &headers).await;
        assert_eq!(answer.status(), status, "{origin}");
    }
    let headers = [(header::HOST, HERE), (header::COOKIE, cookie)];
    let without = ask(&house, tcp(), Method::GET, "/", &headers).await;
    assert_eq!(without.headers()[header::LOCATION], "/login");
    for (peer, host, expected) in [
        (peer, "lotse.example.org", true),
        (peer, "LOTSE.example.org:8443", true),
        // They are those of other services too.
        (peer, "localhost:8080", false),
        (peer, HERE, false),
        (tcp(), "lotse.example.org", false),
    ] {
        for path in ["/healthz", "/api/v1/who"] {
            let answer = ask(&house, peer, Method::GET, path, &[(header::HOST, host)]).await;
            let told = answer.headers().get(header::STRICT_TRANSPORT_SECURITY);
            assert_eq!(told.is_some(), expected, "{peer:?} {host} {path}");
        }
    }
}
