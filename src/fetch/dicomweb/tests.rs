//! Services that misbehave: each attempt ends in a named fault within its time.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use futures_util::stream;
use tokio::net::TcpListener;

use super::super::{Class, FetchSection, Observer};
use super::*;
use crate::dicom::{Syntax, Tag, VR, sample};
use crate::import::{ImportId, Selection};
use crate::seal::Vault;
use crate::spool::Spool;
use crate::web::{Client, PortalSection};

const STUDY: &str = "1.2.3";
const DEADLINE: Duration = Duration::from_secs(60);

struct Deaf;
impl Observer for Deaf {
    fn downloading(&self, _: Option<u64>, _: Option<u64>) {}
    fn received(&self, _: u64) {}
}

fn object(study: &str, instance: &str) -> Vec<u8> {
    let mut set = sample::image();
    set.put_bytes(Tag(0x0020, 0x000D), VR::UI, study.as_bytes().to_vec());
    set.put_bytes(Tag(0x0008, 0x0018), VR::UI, instance.as_bytes().to_vec());
    sample::file(sample::EXPLICIT, &set.write(Syntax::ExplicitLittle))
}

fn multipart(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend(b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend(part);
    }
    body.extend(b"\r\n--b--\r\n");
    body
}

fn whole() -> Vec<u8> {
    multipart(&[object(STUDY, "1.2.3.4"), object(STUDY, "1.2.3.5")])
}

fn list(uids: &[&str]) -> String {
    let entries = uids.iter().map(|uid| {
        format!(
            r#"{{"00080018":{{"vr":"UI","Value":["{uid}"]}},"0020000D":{{"vr":"UI","Value":["{STUDY}"]}}}}"#
        )
    });
    format!("[{}]", entries.collect::<Vec<_>>().join(","))
}

fn two() -> Said {
    (200, "application/dicom+json", list(&["1.2.3.4", "1.2.3.5"]).into())
}

type Said = (u16, &'static str, Body);

const RELATED: &str = "multipart/related; type=\"application/dicom\"; boundary=b";

struct Outcome {
    ended: Result<Retrieved, Error>,
    files: usize,
}

impl Outcome {
    fn sentence(&self) -> String {
        self.ended.as_ref().unwrap_err().to_string()
    }
}

/// What a service answers to WADO-RS and to QIDO-RS.
async fn attempt(
    wado: impl Fn() -> Said + Clone + Send + Sync + 'static,
    qido: impl Fn() -> Said + Clone + Send + Sync + 'static,
) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move |request: Request| {
        let path = request.uri().path().to_owned();
        let first = !request.uri().query().unwrap_or("").contains("offset=2");
        let is_query = path.ends_with("/instances") || path == "/dw/studies";
        let (status, kind, body) = match (is_query, first) {
            (true, true) => qido(),
            (true, false) => (200, "application/dicom+json", "[]".into()),
            (false, _) => wado(),
        };
        let mut answer = Response::builder().status(StatusCode::from_u16(status).unwrap());
        for line in kind.split('\n') {
            let (name, value) = line.split_once("=>").unwrap_or(("content-type", line));
            answer = answer.header(name, value);
        }
        std::future::ready(answer.body(body).unwrap())
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    crate::tls::install_provider();
    let site = PortalSection {
        hosts: vec!["127.0.0.1".to_owned()],
        allow_private: true,
        allow_http: true,
        ca_file: None,
        recipe: None,
    };
    let client = Client::new(&BTreeMap::from([("t".to_owned(), site)])).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let vault =
        Vault::open_or_create(&dir.path().join("keys"), &dir.path().join("master.key")).unwrap();
    let spool = Spool::open(&dir.path().join("spool"), vault).unwrap();
    let spool = spool.create(ImportId::new()).unwrap();
    let section = FetchSection {
        max_download: 4 << 20,
        answer_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_secs(2),
        ..FetchSection::default()
    };
    let mut sink = Sink::open(&spool, &section, &Deaf).await.unwrap();
    let base = Url::parse(&format!("http://{address}/dw")).unwrap();
    let service = Service { client, base, auth: None };
    let study = Uid::new(STUDY).unwrap();
    let work = retrieve(&service, &study, &mut sink);
    let ended = tokio::time::timeout(DEADLINE, work).await.expect("a deadline");
    Outcome { ended, files: sink.close().await.unwrap().len() }
}

async fn wado(answer: impl Fn() -> Said + Clone + Send + Sync + 'static) -> Outcome {
    attempt(answer, two).await
}

#[tokio::test]
async fn a_whole_study_comes_whole() {
    let outcome = wado(|| (200, RELATED, whole().into())).await;
    assert_eq!(outcome.ended.unwrap(), Retrieved { instances: 2, told: Some(2) });
    assert_eq!(outcome.files, 2);
    // Without queries the final boundary is what counts.
    let outcome =
        attempt(|| (200, RELATED, whole().into()), || (404, "text/plain", "".into())).await;
    assert_eq!(outcome.ended.unwrap(), Retrieved { instances: 2, told: None });
    // A count alone.
    let counts = || {
        let body =
            r#"[{"0020000D":{"vr":"UI","Value":["1.2.3"]},"00201208":{"vr":"IS","Value":[3]}}]"#;
        (200, "application/dicom+json", Body::from(body))
    };
    let short = attempt(|| (200, RELATED, whole().into()), counts).await;
    assert!(short.sentence().contains("holds 3 instances"), "{}", short.sentence());
}

#[tokio::test]
async fn what_is_missing_or_foreign_does_not_count() {
    let one = || (200, RELATED, multipart(&[object(STUDY, "1.2.3.4")]).into());
    let outcome = wado(one).await;
    assert!(outcome.sentence().contains("holds 2 instances"), "{}", outcome.sentence());
    let foreign = || {
        let parts = [object(STUDY, "1.2.3.4"), object("1.9", "1.2.3.5"), object("1.9", "1.9.1")];
        (200, RELATED, multipart(&parts).into())
    };
    let outcome = wado(foreign).await;
    assert!(outcome.sentence().contains("handed over 1 of them"), "{}", outcome.sentence());
    assert_eq!(outcome.files, 1, "nothing of another study is kept");
    let twice = || {
        let parts = [object(STUDY, "1.2.3.4"), object(STUDY, "1.2.3.4")];
        (200, RELATED, multipart(&parts).into())
    };
    assert!(wado(twice).await.sentence().contains("handed over 1 of them"));
    let page = || (200, RELATED, multipart(&[b"<html>login</html>".to_vec()]).into());
    assert!(wado(page).await.sentence().contains("handed over 0 of them"));
    let cut = object(STUDY, "1.2.3.4");
    let cut = move || {
        let short = cut[..cut.len() - 5].to_vec();
        (200, RELATED, multipart(&[short]).into())
    };
    assert!(wado(cut).await.sentence().contains("handed over 0 of them"));
}

#[tokio::test]
async fn without_a_list_an_answer_in_part_is_no_whole_study() {
    const OBJECT: &str = "application/dicom";
    let unlisted = || (404, "text/plain", "".into());
    let partial = || (206, RELATED, whole().into());
    let outcome = attempt(partial, unlisted).await;
    let words = "holds 3 instances of what was asked for and handed over 2 of them";
    assert!(outcome.sentence().contains(words), "{}", outcome.sentence());
    // With a list it is the list that counts.
    assert!(wado(partial).await.ended.is_ok());
    let broken = || {
        let parts = [object(STUDY, "1.2.3.4"), b"no object".to_vec(), b"nor this".to_vec()];
        (200, RELATED, multipart(&parts).into())
    };
    let outcome = attempt(broken, unlisted).await;
    let words = "holds 3 instances of what was asked for and handed over 1 of them";
    assert!(outcome.sentence().contains(words), "{}", outcome.sentence());
    // An answer that is one object.
    let outcome = attempt(|| (200, OBJECT, object(STUDY, "1.2.3.4").into()), unlisted).await;
    assert_eq!(outcome.ended.unwrap(), Retrieved { instances: 1, told: None });
    let outcome = attempt(|| (206, OBJECT, object(STUDY, "1.2.3.4").into()), unlisted).await;
    assert!(outcome.sentence().contains("handed over 1 of them"), "{}", outcome.sentence());
    let outcome = attempt(|| (200, OBJECT, "no object".into()), unlisted).await;
    assert!(outcome.sentence().contains("handed over 0 of them"), "{}", outcome.sentence());
}

#[tokio::test]
async fn bodies_that_lie_are_told_apart() {
    let other = "multipart/related; type=\"application/dicom\"; boundary=other";
    let unended = || {
        let mut body = whole();
        body.truncate(body.len() - 7);
        (200, RELATED, Body::from(body))
    };
    let lying = || {
        let body = b"--b\r\nContent-Length: 3\r\n\r\nabcdef\r\n--b--".to_vec();
        (200, RELATED, Body::from(body))
    };
    let bomb = || {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        zip.write_all(&vec![0; 8 << 20]).unwrap();
        let kind = "content-type=>multipart/related; boundary=b\ncontent-encoding=>gzip";
        (200, kind, Body::from(zip.finish().unwrap()))
    };
    let endless = || {
        let piece = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![7_u8; 64 << 10]));
        (200, RELATED, Body::from_stream(piece))
    };
    let endless_part = || {
        use futures_util::StreamExt as _;
        let head = stream::once(async { Ok::<_, std::io::Error>(b"--b\r\n\r\n".to_vec()) });
        let piece = stream::repeat_with(|| Ok::<_, std::io::Error>(vec![7_u8; 64 << 10]));
        (200, RELATED, Body::from_stream(head.chain(piece)))
    };
    let silent = || {
        use futures_util::StreamExt as _;
        let head = stream::once(async { Ok::<_, std::io::Error>(b"--b\r\n\r\n".to_vec()) });
        (200, RELATED, Body::from_stream(head.chain(stream::pending())))
    };
    let words: [(Outcome, &str); 10] = [
        (wado(move || (200, other, whole().into())).await, "boundary that it announces"),
        (wado(unended).await, "without its final boundary"),
        (wado(lying).await, "not as long as its header says"),
        (wado(bomb).await, "compressed though that was not asked for"),
        (wado(endless).await, "boundary that it announces"),
        (wado(endless_part).await, "max-download"),
        (wado(silent).await, "stopped sending in the middle"),
        (wado(|| (200, "text/html", "<html><body>login".into())).await, "web page"),
        (wado(|| (200, "multipart/related", whole().into())).await, "no multipart body"),
        (wado(|| (200, RELATED, "".into())).await, "boundary that it announces"),
    ];
    for (outcome, words) in words {
        assert!(outcome.sentence().contains(words), "{words}: {}", outcome.sentence());
    }
}

#[tokio::test]
async fn refusals_have_their_class() {
    let cases = [
        (401, Class::Quarantine, "check the credentials"),
        (403, Class::Quarantine, "check the credentials"),
        (404, Class::Quarantine, "has no study"),
        (406, Class::Quarantine, "refused the request"),
        (429, Class::Retry, "fault of its own"),
        (503, Class::Retry, "fault of its own"),
    ];
    for (status, class, words) in cases {
        let outcome = wado(move || (status, "text/plain", "".into())).await;
        assert!(outcome.sentence().contains(words), "{}", outcome.sentence());
        assert_eq!(outcome.ended.unwrap_err().class(), class, "{status}");
        // The same of the query before it, but that a service need not know queries.
        let whole = || (200, RELATED, whole().into());
        let outcome = attempt(whole, move || (status, "text/plain", "".into())).await;
        assert_eq!(outcome.ended.is_ok(), matches!(status, 404 | 406), "{status}");
    }
    let page = attempt(
        || (200, RELATED, whole().into()),
        || (200, "application/dicom+json", "<html>login</html>".into()),
    );
    assert!(page.await.sentence().contains("no list of studies"));
}

#[test]
fn a_selection_is_never_a_pattern() {
    let study = Uid::new(STUDY).unwrap();
    let by_patient = Selection { patient_id: Some("P-1".to_owned()), ..Selection::default() };
    assert!(by_patient.fits(&study, Some("P-1 ".to_owned()), None));
    assert!(!by_patient.fits(&study, Some("P-12".to_owned()), None));
    assert!(!by_patient.fits(&study, None, None));
}
