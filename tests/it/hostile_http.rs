//! Portals that mean harm, or know no better: what each of their answers leads to.
//!
//! One daemon meets them all. Each case ends in the state that is told beside it, the daemon stays small, no
//! credential reaches another host, and none goes out twice.

mod server;
mod tls;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;

pub use self::server::archive;
use self::server::{Call, Reply, Script, Server, Then, questions};
use super::support::{Setup, eventually};

/// The longest that any case may take: the deadline of an attempt, and a machine with other work.
const LONGEST: Duration = Duration::from_secs(90);

/// Peak of the daemon in MiB.
const MEMORY: u64 = 256;

struct Case {
    name: &'static str,
    call: Call,
    reply: Reply,
    state: &'static str,
    /// What the sentence for a person holds.
    says: &'static str,
    logins: usize,
}

struct Cases(Vec<Case>);

impl Cases {
    fn add(
        &mut self,
        name: &'static str,
        call: Call,
        reply: Reply,
        (state, says): (&'static str, &'static str),
    ) {
        let logins = usize::from(call != Call::Link);
        self.0.push(Case { name, call, reply, state, says, logins });
    }
}

const FAILED: &str = "Failed";
/// A passing fault: it is tried again by itself.
const LATER: &str = "Requested";

/// Answers to the link.
fn at_the_link(cases: &mut Cases, witness: &str) {
    let mut redirect = |name, to: &str, says| {
        cases.add(name, Call::Link, Reply::redirect(to), (FAILED, says));
    };
    redirect("to-metadata", "http://169.254.169.254/latest/meta-data", "no TLS");
    redirect("to-metadata-tls", "https://169.254.169.254/latest/meta-data", "link-local");
    redirect("to-private", "https://10.0.0.1/", "allow-private");
    redirect("to-private-as-number", "https://167772161/", "allow-private");
    redirect("to-private-as-octal", "https://012.0.0.1/", "allow-private");
    redirect("to-mapped", "https://[::ffff:10.0.0.1]/", "allow-private");
    redirect("to-nat64", "https://[64:ff9b::a00:1]/", "allow-private");
    redirect("to-multicast", "https://224.0.0.1/", "multicast");
    redirect("to-name-of-this-machine", "https://localhost/", "allow-private");
    redirect("to-file", "file:///etc/passwd", "no address");
    redirect("to-script", "javascript:alert(1)", "no address");
    redirect("to-data", "data:text/html,x", "no address");
    redirect("to-itself", "/to-itself/portal?token=SECRET", "too often");
    redirect("to-user", "https://user:secret@portal.example.org/", "user name");
    redirect("to-witness", &format!("http://localhost{witness}/"), "no TLS");
    let mut link = |name, reply, state, says| cases.add(name, Call::Link, reply, (state, says));
    let ok = |headers: &str, body: &str| Reply::of("200 OK", headers, body);
    let raw = |text: &str, then| Reply::raw(text.as_bytes(), then);
    link("redirect-without-aim", Reply::of("302 Found", "", ""), FAILED, "302");
    link(
        "login-page",
        ok("Content-Type: text/html\r\n", "<html><form>"),
        FAILED,
        "does not speak DLX",
    );
    link("empty", ok("", ""), FAILED, "does not speak DLX");
    link("nonsense", ok("", "\u{1}\u{2}"), FAILED, "does not speak DLX");
    link("half-json", ok("", "{\"tfaQuestion\": ["), FAILED, "does not speak DLX");
    link("other-json", ok("", "{\"tfaQuestion\": 5}"), FAILED, "does not speak DLX");
    link("deep-json", ok("", &"[".repeat(500_000)), FAILED, "does not speak DLX");
    let many: Vec<_> = (0..5000).map(|n| json!({ "questionId": n })).collect();
    link(
        "many-questions",
        Reply::json(&json!({ "tfaQuestion": many })),
        FAILED,
        "does not speak DLX",
    );
    link(
        "endless-space",
        Reply::raw(padded("HTTP/1.1 200 OK\r\n\r\n", b' '), Then::Endless),
        FAILED,
        "does not speak DLX",
    );
    let text = padded("HTTP/1.1 200 OK\r\n\r\n{\"a\":\"", b'a');
    link("endless-text", Reply::raw(text, Then::Endless), FAILED, "more than");
    link(
        "length-of-4-gib",
        raw("HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n{}", Then::Hang),
        FAILED,
        "max-download",
    );
    link(
        "length-of-2-to-the-64",
        raw("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n{}", Then::Hang),
        FAILED,
        "HTTP server",
    );
    link(
        "negative-length",
        raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", Then::Hang),
        FAILED,
        "HTTP server",
    );
    link(
        "two-lengths",
        raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", Then::Hang),
        FAILED,
        "HTTP server",
    );
    link(
        "bad-chunk",
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", Then::Close),
        LATER,
        "cut",
    );
    link(
        "chunk-without-end",
        raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", Then::Hang),
        LATER,
        "stopped sending",
    );
    link("gzip-bomb", ok("Content-Encoding: gzip\r\n", "\u{1f}\u{8b}xxxx"), FAILED, "compressed");
    link("many-headers", ok(&"X-A: b\r\n".repeat(5000), "{}"), FAILED, "HTTP server");
    link(
        "huge-header",
        ok(&format!("X-A: {}\r\n", "b".repeat(4 << 20)), "{}"),
        FAILED,
        "HTTP server",
    );
    link(
        "endless-header",
        Reply::raw([b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 2000]].concat(), Then::Endless),
        FAILED,
        "HTTP server",
    );
    link("ssh", raw("SSH-2.0-OpenSSH_9.2\r\n", Then::Hang), FAILED, "HTTP server");
    link("tls-alert", Reply::raw([0x15, 3, 1, 0, 2, 2, 70], Then::Close), FAILED, "HTTP server");
    link("nothing", Reply::raw([], Then::Close), LATER, "cut");
    link("silence", Reply::raw([], Then::Hang), LATER, "in time");
    link("slow-header", raw("HTTP/1.1 200 OK\r\nX-A: b", Then::Drip), LATER, "in time");
    link("unauthorised", Reply::of("401 No", "WWW-Authenticate: Basic\r\n", ""), FAILED, "401");
    link("forbidden", Reply::of("403 No", "", ""), FAILED, "403");
    link("unknown", Reply::of("404 No", "", ""), FAILED, "does not know this link");
    link("gone", Reply::of("410 No", "", ""), FAILED, "does not know this link");
    link("fault", Reply::of("500 Oh", "", "<html>"), LATER, "fault of its own");
    link("busy", Reply::of("503 Oh", "Retry-After: soon\r\n", ""), LATER, "fault of its own");
    link(
        "busy-for-ages",
        Reply::of("429 Oh", "Retry-After: 99999999999\r\n", ""),
        "Preparing",
        "preparing",
    );
    link(
        "proxy-wants-login",
        Reply::of("407 No", "Proxy-Authenticate: Basic\r\n", ""),
        FAILED,
        "407",
    );
    for (name, base, says) in [
        ("base-elsewhere", format!("http://localhost{witness}/dlx/v1"), "another host"),
        ("base-metadata", "http://169.254.169.254/dlx".to_owned(), "another host"),
        ("base-file", "file:///etc".to_owned(), "no usable address"),
        ("base-user", "http://user:secret@127.0.0.1/dlx".to_owned(), "user name"),
        ("base-other-scheme", "gopher://127.0.0.1/dlx".to_owned(), "no usable address"),
    ] {
        link(name, Reply::json(&questions(&base)), FAILED, says);
    }
}

/// A beginning that ends with two kilobytes of `filler`.
fn padded(beginning: &str, filler: u8) -> Vec<u8> {
    let mut bytes = beginning.as_bytes().to_vec();
    bytes.resize(bytes.len() + 2048, filler);
    bytes
}

/// Answers to the login.
fn at_the_login(cases: &mut Cases, witness: &str) {
    let mut login = |name, reply, state, says| cases.add(name, Call::Login, reply, (state, says));
    let to_witness = |status: &str| {
        Reply::of(status, &format!("Location: http://127.0.0.1{witness}/steal\r\n"), "")
    };
    login("login-passed-on", to_witness("302 Found"), FAILED, "passed credentials on");
    login("login-passed-on-as-is", to_witness("307 Go"), FAILED, "passed credentials on");
    login("login-passed-on-for-good", to_witness("308 Go"), FAILED, "passed credentials on");
    login("login-html", Reply::of("200 OK", "", "<html>a.b.c</html>"), FAILED, "no session token");
    login("login-empty", Reply::of("200 OK", "", ""), FAILED, "no session token");
    login(
        "login-injects",
        Reply::of("200 OK", "", "a.b\r\nX-Evil: y.c"),
        FAILED,
        "no session token",
    );
    login("login-long", Reply::of("200 OK", "", "a.".repeat(100_000)), FAILED, "press retry");
    login("login-fault", Reply::of("500 Oh", "", ""), FAILED, "press retry");
    login("login-nothing", Reply::raw([], Then::Close), FAILED, "press retry");
    login("login-silence", Reply::raw([], Then::Hang), FAILED, "press retry");
    login("login-wrong", Reply::of("401 No", "", ""), "Asking", "did not accept");
    login("login-expired", Reply::of("403 No", "", ""), FAILED, "expired");
}

/// Answers to the list.
fn at_the_list(cases: &mut Cases, witness: &str) {
    let mut list = |name, reply, state, says| cases.add(name, Call::List, reply, (state, says));
    let many: Vec<_> = (0..5000).map(|n| json!({ "id": n })).collect();
    list("list-of-many", Reply::json(&json!({ "dataItem": many })), FAILED, "usable form");
    list(
        "list-of-paths",
        Reply::json(&json!({ "dataItem": [{ "id": ".." }] })),
        FAILED,
        "usable form",
    );
    list("list-html", Reply::of("200 OK", "", "<html>"), FAILED, "not JSON");
    list(
        "list-endless",
        Reply::raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'['; 2000]].concat(), Then::Endless),
        FAILED,
        "more than",
    );
    list(
        "list-elsewhere",
        Reply::redirect(&format!("http://127.0.0.1{witness}/steal")),
        FAILED,
        "not JSON",
    );
    list("list-forbidden", Reply::of("403 No", "", ""), FAILED, "refused");
}

/// Answers to a download.
fn at_the_download(cases: &mut Cases, witness: &str) {
    let mut get = |name, reply, state, says| cases.add(name, Call::Download, reply, (state, says));
    let zip = archive();
    get(
        "file-html",
        Reply::of("200 OK", "Content-Type: application/zip\r\n", "<html>"),
        FAILED,
        "web page instead",
    );
    get("file-json", Reply::of("200 OK", "", "{\"error\":1}"), FAILED, "JSON instead");
    get(
        "file-elsewhere",
        Reply::redirect(&format!("http://127.0.0.1{witness}/steal")),
        FAILED,
        "JSON instead",
    );
    get("file-unknown", Reply::of("400 No", "", ""), FAILED, "does not hand out");
    get("file-cut-silently", Reply::of("200 OK", "", &zip[..10_000]), LATER, "ends in the middle");
    let head = |headers: &str, length: usize| {
        format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\n\r\n").into_bytes()
    };
    let half = |headers| [head(headers, zip.len()), zip[..10_000].to_vec()].concat();
    get("file-cut", Reply::raw(half(""), Then::Close), LATER, "cut");
    get("file-stalls", Reply::raw(half(""), Then::Hang), LATER, "stopped sending");
    get("file-gzip", Reply::of("200 OK", "Content-Encoding: gzip\r\n", &zip), FAILED, "compressed");
    get(
        "file-too-long",
        Reply::raw([head("", 1 << 40), zip.clone()].concat(), Then::Hang),
        FAILED,
        "max-download",
    );
    get(
        "file-endless",
        Reply::raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), zip.clone()].concat(), Then::Endless),
        FAILED,
        "max-download",
    );
    get(
        "file-drips",
        Reply::raw([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), zip.clone()].concat(), Then::Drip),
        FAILED,
        "deadline",
    );
    let path = "Content-Disposition: attachment; filename=\"../../../../etc/cron.d/x\"\r\n";
    get("file-named-as-path", Reply::of("200 OK", path, &zip), FAILED, "DICOM object was found");
}

#[tokio::test]
async fn every_answer_ends_in_its_state() {
    let stolen = Reply::of("200 OK", "", "{\"stolen\":");
    let script = Script::from([(Call::Link, stolen)]);
    let witness = Server::start(|_| BTreeMap::from([("steal".to_owned(), script)])).await;
    let port = format!(":{}", witness.address.port());
    let mut cases = Cases(Vec::new());
    at_the_link(&mut cases, &port);
    at_the_login(&mut cases, &port);
    at_the_list(&mut cases, &port);
    at_the_download(&mut cases, &port);
    let mut cases = cases.0;
    for case in &mut cases {
        // Nothing is posted to a portal that is not understood.
        case.logins = usize::from(case.call != Call::Link);
    }
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut names: Vec<_> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "each case has a name of its own");
    let mut scripts: BTreeMap<String, Script> = cases
        .iter()
        .map(|case| (case.name.to_owned(), Script::from([(case.call, case.reply.clone())])))
        .collect();
    // A download that goes on wrongly has two answers of its own.
    let whole = archive();
    let cut = [
        format!(
            "HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nETag: \"a\"\r\nContent-Length: {}\r\n\r\n",
            whole.len()
        )
        .into_bytes(),
        whole[..10_000].to_vec(),
    ]
    .concat();
    for (name, status, range) in [
        ("rest-elsewhere", "206 Partial Content", "Content-Range: bytes 9000-20131/20132\r\n"),
        ("rest-of-another", "206 Partial Content", "Content-Range: bytes 10000-99998/99999\r\n"),
        ("rest-without-range", "206 Partial Content", ""),
        ("rest-anew", "200 OK", ""),
        ("rest-refused", "416 No", "Content-Range: bytes */5\r\n"),
    ] {
        let rest = Reply::of(status, range, &whole[10_000..]);
        let replies =
            [(Call::Download, Reply::raw(cut.clone(), Then::Close)), (Call::Rest, rest.clone())];
        scripts.insert(name.to_owned(), Script::from(replies));
        let (state, says) = (LATER, "ends in the middle");
        cases.push(Case { name, call: Call::Rest, reply: rest, state, says, logins: 1 });
    }
    // An empty success again and again: one more login, then no more.
    let nothing = Reply::of("200 OK", "", "");
    scripts.insert("file-empty".to_owned(), Script::from([(Call::Download, nothing.clone())]));
    let (name, state, says) = ("file-empty", FAILED, "ended the session");
    cases.push(Case { name, call: Call::Download, reply: nothing, state, says, logins: 2 });

    let server = Server::start(|_| scripts).await;
    let daemon = Setup::new()
        .portals_on_loopback()
        .retry("1h", "1h")
        .table(
            "[fetch]\nanswer-timeout = \"4s\"\nstall-timeout = \"4s\"\ndeadline = \"20s\"\nmax-download = \"32MiB\"",
        )
        .start()
        .await;
    let mut begun = Vec::new();
    for case in &cases {
        let request = json!({ "link": server.link(case.name), "answers": { "PAT_BIRTH_DATE": "1970-01-31" } });
        begun.push((case, daemon.api.import_link(&request).await, Instant::now()));
    }
    let mut wrong = Vec::new();
    for (case, id, at) in &begun {
        let seen = eventually(case.name, || async {
            let import = daemon.api.import(id).await;
            let text = import["nextStep"].as_str().unwrap_or("").to_owned();
            let state = import["state"].as_str().unwrap_or("").to_owned();
            let ended = match state.as_str() {
                "Requested" => text.contains("tried again"),
                state => !matches!(state, "Downloading" | "Received"),
            };
            ended.then_some((state, text))
        })
        .await;
        if seen.0 != case.state || !seen.1.contains(case.says) {
            wrong.push(format!("{}: {} {}", case.name, seen.0, seen.1));
        }
        assert!(!seen.1.contains("SECRET") && !seen.1.contains("1970"), "{}", case.name);
        assert!(at.elapsed() < LONGEST + LONGEST, "{}", case.name);
    }
    let requests = server.seen();
    for case in &cases {
        let login = format!("POST /{}/dlx/v1/tokentfa/", case.name);
        let logins = requests.iter().filter(|request| request.starts_with(&login)).count();
        if logins != case.logins {
            wrong.push(format!("{}: {logins} logins", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let witnessed = witness.seen();
    assert!(!witnessed.is_empty(), "what was passed on without credentials arrived");
    for request in &witnessed {
        let request = request.to_lowercase();
        assert!(!request.contains("authorization") && !request.contains("session"), "{request}");
        assert!(!request.contains("19700131") && !request.contains("tfaanswer"), "{request}");
    }
    let log = daemon.log();
    for secret in ["SECRET", "19700131", "1970-01-31", "SESSION", "tokentfa"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let peak = daemon.peak_memory();
    println!("{} hostile answers, peak of {} MiB", cases.len(), peak >> 20);
    assert!(peak >> 20 < MEMORY, "{peak} bytes");
    daemon.stop().await;
}
