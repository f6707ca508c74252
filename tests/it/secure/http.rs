//! The web door by TLS, with curl at the other end.

use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{House, fingerprint, hang_up, logs, text, wrong_pair_refused};
use crate::support::ca::{Authority, Pair, Valid};
use crate::support::{Daemon, Ended, Setup, program, run};

impl House {
    /// `[http.tls]` with our certificate, and more lines of it.
    fn web(&self, more: &str) -> String {
        let (certificate, key) = (&self.ours.certificate, &self.ours.key);
        format!("[http.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n{more}\n")
    }

    /// curl at `https://localhost`, which knows only the house's authority.
    async fn curl(&self, daemon: &Daemon, path: &str, more: &[&str]) -> Ended {
        curl(&format!("https://localhost:{}{path}", daemon.http.port()), &self.ca, more).await
    }
}

async fn curl(url: &str, ca: &Authority, more: &[&str]) -> Ended {
    let mut command = Command::new(program("curl"));
    command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "60", "--cacert", text(&ca.file)]);
    run(command.args(more).arg(url), "").await
}

fn token(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.site().data_dir().join("api.token")).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_and_the_api_answer_by_tls_and_commands_go_on() {
    let house = House::new();
    let name = house.ca.pair("lotse.klinikum.example", Valid::Now);
    let site = Setup::new().table(&house.web("")).write();
    site.edit(|text| {
        text.replace("[http]\n", "[http]\nname = \"lotse.klinikum.example\"\n")
            .replace(&format!("{:?}", house.ours.certificate), &format!("{:?}", name.certificate))
            .replace(&format!("{:?}", house.ours.key), &format!("{:?}", name.key))
    });
    let daemon = site.start().await;
    assert_eq!(house.curl(&daemon, "/healthz", &[]).await.ok(), "alive\n");
    let status = house.curl(&daemon, "/status", &[]).await.json();
    assert_eq!(status["certificates"][0]["place"], "http.tls");
    let metrics = house.curl(&daemon, "/metrics", &[]).await.ok();
    assert!(
        metrics.contains("lotse_certificate_remaining_seconds{place=\"http.tls\""),
        "{metrics}"
    );

    // The API with the token, and not without.
    let imports = "/api/v1/imports";
    let bearer = format!("Authorization: Bearer {}", token(&daemon));
    assert!(house.curl(&daemon, imports, &["-H", &bearer]).await.json()["imports"].is_array());
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(house.curl(&daemon, imports, &code).await.ok(), "401");

    // The console: a session whose cookie stays with TLS.
    let jar = site.folder().join("jar");
    let origin = format!("Origin: https://localhost:{}", daemon.http.port());
    let form = format!("token={}", token(&daemon));
    let login = ["-D", "-", "-c", text(&jar), "-H", &origin, "--data", &form];
    let answer = house.curl(&daemon, "/login", &login).await.ok();
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie:")).unwrap();
    assert!(cookie.contains("__Host-lotse-session="), "{answer}");
    assert!(cookie.contains("; Secure") && cookie.contains("HttpOnly"), "{answer}");
    let console = house.curl(&daemon, "/", &["-b", text(&jar)]).await.ok();
    assert!(console.contains("<html"), "{console}");
    let out = ["-b", text(&jar), "-H", &origin, "-X", "POST"];
    house.curl(&daemon, "/logout", &out).await.ok();
    let gone = [&code[..], &["-b", text(&jar)]].concat();
    assert_eq!(house.curl(&daemon, "/", &gone).await.ok(), "303");

    // Browsers are told to stay, under our name only.
    let port = daemon.http.port();
    let place = format!("lotse.klinikum.example:{port}:127.0.0.1");
    let head = ["-D", "-", "-o", "/dev/null", "--resolve", &place];
    let url = format!("https://lotse.klinikum.example:{port}/login");
    let told = curl(&url, &house.ca, &head).await.ok().to_lowercase();
    assert!(told.contains("strict-transport-security: max-age=15552000"), "{told}");
    let told = house.curl(&daemon, "/login", &head).await.ok().to_lowercase();
    assert!(!told.contains("strict-transport-security"), "{told}");

    // Commands use the control socket.
    daemon.cli(&["imports"]).await.ok();
    let told = daemon.cli(&["status", "--json"]).await.json();
    assert_eq!(told["certificates"][0]["place"], "http.tls");
    daemon.cli(&["check"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_caller_is_named() {
    let house = House::new();
    let daemon = Setup::new().table(&house.web("")).start().await;
    // curl ends with 60 where it does not trust the certificate.
    let stranger = Authority::new(&house.ca.file.with_file_name("other"), "stranger");
    let url = format!("https://localhost:{}/healthz", daemon.http.port());
    assert_eq!(curl(&url, &stranger, &[]).await.code, 60);
    logs(&daemon, &["HTTP caller turned away: TLS: it refused our certificate (UnknownCA)"]).await;

    // Plain HTTP hears a sentence, a large request too.
    let plain = format!("http://localhost:{}/login", daemon.http.port());
    let upload = "x".repeat(40_000);
    for more in [&[][..], &["--data", &upload]] {
        let told = curl(&plain, &house.ca, &[&["-D", "-"], more].concat()).await.ok();
        assert!(told.starts_with("HTTP/1.1 400 "), "{told}");
        assert!(told.contains("this address has TLS; write https://"), "{told}");
    }
    logs(&daemon, &["it speaks plain HTTP, and this address has TLS"]).await;

    // Bytes that are neither, and nothing at all, cost nobody anything.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(tokio::net::TcpStream::connect(daemon.http).await.unwrap());
        let mut noise = tokio::net::TcpStream::connect(daemon.http).await.unwrap();
        noise.write_all(&[0; 64]).await.unwrap();
        let mut rest = Vec::new();
        let _ = noise.read_to_end(&mut rest).await;
    }
    logs(&daemon, &["HTTP caller turned away: TLS: the other side does not speak TLS here"]).await;
    assert_eq!(house.curl(&daemon, "/healthz", &[]).await.ok(), "alive\n");
    let old =
        house.curl(&daemon, "/healthz", &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"]);
    assert_ne!(old.await.code, 0);
    let log = daemon.log();
    assert!(!log.contains(&token(&daemon)), "the token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_show_certificates_where_an_authority_is_named() {
    let house = House::new();
    let web = house.web(&format!("client-ca = [{:?}]", house.ca.file));
    let daemon = Setup::new().table(&web).start().await;
    let show = |pair: &Pair| {
        ["--cert", text(&pair.certificate), "--key", text(&pair.key)].map(str::to_owned)
    };
    let ask = async |pair: Option<&Pair>| {
        let more = pair.map(show).into_iter().flatten().collect::<Vec<_>>();
        let more: Vec<_> = more.iter().map(String::as_str).collect();
        house.curl(&daemon, "/healthz", &more).await
    };
    assert_eq!(ask(Some(&house.station)).await.ok(), "alive\n");
    assert_ne!(ask(None).await.code, 0);
    assert_ne!(ask(Some(&house.ca.pair("once", Valid::Once))).await.code, 0);
    let stranger = Authority::new(&house.ca.file.with_file_name("other"), "stranger");
    assert_ne!(ask(Some(&stranger.pair("station", Valid::Now))).await.code, 0);
    let turned = "HTTP caller turned away: TLS: ";
    logs(
        &daemon,
        &[
            &format!("{turned}it showed no certificate"),
            &format!("{turned}its certificate has expired on 2021-01-01"),
            &format!("{turned}its certificate is signed by none of the authorities"),
        ],
    )
    .await;
    daemon.cli(&["status"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_renews_the_web_certificate_or_takes_tls_away() {
    let house = House::new();
    let daemon = Setup::new().table(&house.web("")).start().await;
    let port = daemon.http.port();
    let renewed = house.ca.pair("renewed", Valid::Now);
    let take = |pair: &Pair| {
        std::fs::copy(&pair.certificate, &house.ours.certificate).unwrap();
        std::fs::copy(&pair.key, &house.ours.key).unwrap();
    };
    assert_eq!(fingerprint(&house, port).await, house.ours.fingerprint);
    take(&renewed);
    // A request that began before goes on.
    let mut held = hold(&house, port).await;
    hang_up(&daemon).await;
    let rest = format!("Authorization: Bearer {}\r\nConnection: close\r\n\r\n", token(&daemon));
    held.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    held.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(fingerprint(&house, port).await, renewed.fingerprint);
    assert_eq!(house.curl(&daemon, "/healthz", &[]).await.ok(), "alive\n");

    let told = wrong_pair_refused(&house, &daemon, port).await;
    assert!(told.contains("http.tls: the key"), "{told}");

    // One that has ended is served, told, and not trusted.
    take(&house.ca.pair("once", Valid::Once));
    hang_up(&daemon).await;
    let expired = house.curl(&daemon, "/healthz", &[]).await;
    assert_eq!(expired.code, 60, "{expired:?}");
    logs(&daemon, &["http.tls: the certificate", "has expired on 2021-01-01"]).await;
    let status = daemon.cli(&["status"]).await.ok();
    assert!(status.contains("! http.tls"), "{status}");
    assert_eq!(daemon.cli(&["check"]).await.code, 78);

    let web = house.web("");
    daemon.site().edit(|text| text.replace(&web, ""));
    hang_up(&daemon).await;
    let plain = curl(&format!("http://localhost:{port}/healthz"), &house.ca, &[]).await;
    assert_eq!(plain.ok(), "alive\n");
}

/// A connection by TLS with half a request on it.
async fn hold(
    house: &House,
    port: u16,
) -> impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {
    lotse::tls::install_provider();
    let section = lotse::tls::ClientSection {
        ca_files: vec![house.ca.file.clone()],
        ..lotse::tls::ClientSection::default()
    };
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let dialer = lotse::tls::Dialer::new(section);
    let patience = crate::support::PATIENCE;
    let seen = lotse::tls::Seen::default();
    let mut stream = dialer.dial(stream, "localhost", patience, &seen).await.unwrap();
    let begun = format!("GET /api/v1/imports HTTP/1.1\r\nHost: localhost:{port}\r\n");
    stream.write_all(begun.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    stream
}
