//! Whole pulls over real HTTP: table 1.4 of `reference/dlx-and-portals.md`, row by row.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::*;
use crate::fetch::{Class, Error, FetchSection, Observer, Pull, Pulled, pull};
use crate::import::{ImportId, Link, QuestionKind};
use crate::seal::Vault;
use crate::spool::Spool;
use crate::web::{Client, PortalSection};

const TOKEN: &str = "ABC-S1Z-98A";

#[derive(Default)]
struct Seen {
    bytes: AtomicU64,
    total_bytes: AtomicU64,
    total_files: AtomicU64,
    notes: Mutex<Vec<String>>,
}

impl Observer for Seen {
    fn downloading(&self, total_bytes: Option<u64>, total_files: Option<u64>) {
        self.total_bytes.store(total_bytes.unwrap_or(0), Ordering::SeqCst);
        self.total_files.store(total_files.unwrap_or(0), Ordering::SeqCst);
    }
    fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }
    fn noted(&self, notes: Vec<String>) {
        self.notes.lock().unwrap().extend(notes);
    }
}

/// A portal, a spool, and what a person typed.
struct Desk {
    portal: Portal,
    client: Client,
    spool: Spool,
    section: FetchSection,
    answers: BTreeMap<String, String>,
    chosen: Option<crate::import::Chosen>,
    session: Option<crate::import::Session>,
    seen: Arc<Seen>,
    _folder: tempfile::TempDir,
}

fn archive(files: usize) -> Bytes {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for n in 0..files {
        writer.start_file(format!("IMG{n:05}"), options).unwrap();
        std::io::Write::write_all(&mut writer, &vec![7; 50_000]).unwrap();
    }
    writer.finish().unwrap().into_inner().into()
}

fn items() -> Vec<Item> {
    let study = Item {
        study_uid: Some("2.25.1".to_owned()),
        date: Some("20240419".to_owned()),
        modalities: Some("CT".to_owned()),
        patient_name: Some("Musterfrau, Erika".to_owned()),
        birth_date: Some("19700131".to_owned()),
        sex: Some("F".to_owned()),
        file_count: Some(4),
        ..Item::new("a/../b?c", "application/zip", "CT Thorax", archive(4))
    };
    let report = Item {
        patient_name: Some("Musterfrau^Erika".to_owned()),
        birth_date: Some("19700131".to_owned()),
        ..Item::new("report", "application/pdf", "Befund", &b"%PDF-1.4 synthetic"[..])
    };
    vec![study, report]
}

async fn desk(faults: Faults) -> Desk {
    desk_with(faults, vec![Question::birth_date("19700131")]).await
}

async fn desk_with(faults: Faults, questions: Vec<Question>) -> Desk {
    let config = Config {
        token: TOKEN.to_owned(),
        questions,
        items: items(),
        all: Content::Bytes(archive(5)),
        faults,
    };
    let portal = Portal::start(config).await.unwrap();
    let section = PortalSection {
        hosts: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        allow_private: true,
        allow_http: true,
        ca_file: None,
        recipe: None,
    };
    let client = Client::new(&BTreeMap::from([("sim".to_owned(), section)])).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let vault =
        Vault::open_or_create(&folder.path().join("keys"), &folder.path().join("master.key"))
            .unwrap();
    let spool = Spool::open(&folder.path().join("spool"), vault).unwrap();
    Desk {
        portal,
        client,
        spool,
        section: FetchSection {
            stall_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(2),
            ..FetchSection::default()
        },
        answers: BTreeMap::from([("PAT_BIRTH_DATE".to_owned(), "1970-01-31".to_owned())]),
        chosen: None,
        session: None,
        seen: Arc::default(),
        _folder: folder,
    }
}

impl Desk {
    async fn pull(&self) -> Result<Pulled, Error> {
        self.pull_link(&self.portal.link()).await
    }

    async fn pull_link(&self, link: &str) -> Result<Pulled, Error> {
        let ended = pull(&self.client, &self.attempt(link, CancellationToken::new())).await;
        if let Err(error) = &ended {
            // Nothing secret in what a person or a log reads.
            let told = format!("{} {error:?}", error.sentence());
            for secret in [TOKEN, "1970", "portal?", "dlx/v1", "eyJ", "Muster"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
        ended
    }

    fn attempt(&self, link: &str, cancel: CancellationToken) -> Pull {
        Pull {
            link: Link::new(link).unwrap(),
            answers: self.answers.clone(),
            chosen: self.chosen.clone(),
            session: self.session.clone(),
            spool: self.spool.create(ImportId::new()).unwrap(),
            cancel,
            observer: Arc::clone(&self.seen) as Arc<dyn Observer>,
            recipes: Default::default(),
            bookmark: None,
            section: self.section.clone(),
        }
    }

    async fn done(&self) {
        match self.pull().await {
            Ok(Pulled::Done { files, .. }) => assert_eq!(files.len(), 2),
            Ok(Pulled::Asked { note, .. }) => panic!("asked: {note:?}"),
            Ok(Pulled::Preparing { .. }) => panic!("preparing"),
            Ok(Pulled::Listed { .. }) => panic!("listed"),
            Err(error) => panic!("{error}"),
        }
    }

    async fn fault(&self) -> (Class, String) {
        match self.pull().await {
            Err(error) => (error.class(), error.sentence()),
            Ok(_) => panic!("no fault"),
        }
    }

    async fn note(&self) -> String {
        match self.pull().await {
            Ok(Pulled::Asked { questions, note }) => {
                assert!(!questions.is_empty());
                note.unwrap_or_default()
            }
            Ok(Pulled::Done { .. }) => panic!("done"),
            Ok(Pulled::Preparing { .. }) => panic!("preparing"),
            Ok(Pulled::Listed { .. }) => panic!("listed"),
            Err(error) => panic!("{error}"),
        }
    }

    async fn wait(&self) -> u64 {
        match self.pull().await {
            Ok(Pulled::Preparing { wait }) => wait.as_secs(),
            Ok(_) => panic!("not preparing"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_link_becomes_files_in_the_spool() {
    let desk = desk(Faults::default()).await;
    let attempt = desk.attempt(&desk.portal.link(), CancellationToken::new());
    let Ok(Pulled::Done { files, portal }) = pull(&desk.client, &attempt).await else {
        panic!("not done");
    };
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["CT Thorax.bin", "Befund.bin"]);
    let mut bytes = Vec::new();
    attempt.spool.read(&files[0].blob).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, archive(4));
    let patient = portal.unwrap();
    assert_eq!(patient.name.unwrap().as_str(), "Musterfrau^Erika");
    assert_eq!(patient.birth_date.unwrap().to_dicom(), "19700131");
    assert_eq!(patient.sex.as_str(), "F");
    let counts = desk.portal.counts();
    assert_eq!(counts, Counts { links: 1, logins: 1, lists: 1, downloads: 2, download_alls: 0 });
    let posted = json!({ "tfaAnswer": [{ "questionId": "1", "answer": "19700131" }] });
    assert_eq!(desk.portal.posted().unwrap(), posted);
    let received: u64 = files.iter().map(|file| file.blob.length).sum();
    assert_eq!(desk.seen.bytes.load(Ordering::SeqCst), received);
    assert_eq!(desk.seen.total_files.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn without_answers_it_asks_in_german_and_posts_nothing() {
    let mut desk = desk(Faults::default()).await;
    desk.answers.clear();
    let Ok(Pulled::Asked { questions, note }) = desk.pull().await else { panic!("not asked") };
    assert_eq!(note, None);
    assert_eq!(questions.len(), 1);
    assert_eq!((questions[0].key.as_str(), questions[0].format.as_str()), ("1", "DATE"));
    assert_eq!(questions[0].kind, QuestionKind::PatBirthDate);
    assert!(questions[0].text.starts_with("Wann"));
    assert_eq!(desk.portal.counts().logins, 0);
    desk.answers.insert("1".to_owned(), "31.01.1970".to_owned());
    desk.done().await;
}

#[tokio::test]
async fn a_wrong_answer_and_an_unknown_token_look_the_same_and_cost_one_login() {
    let mut desk = desk(Faults::default()).await;
    desk.answers.insert("PAT_BIRTH_DATE".to_owned(), "1970-02-01".to_owned());
    let wrong = desk.note().await;
    assert!(wrong.contains("did not accept the answer, or does not know the link"), "{wrong}");
    assert_eq!(desk.portal.counts().logins, 1);
    let unknown = desk.portal.link().replace(TOKEN, "NOT-THE-ONE");
    let Ok(Pulled::Asked { note, .. }) = desk.pull_link(&unknown).await else {
        panic!("not asked")
    };
    assert_eq!(note.unwrap(), wrong);
    assert_eq!(desk.portal.counts().logins, 2);
}

#[tokio::test]
async fn forms_of_the_documents_do_not_matter() {
    for faults in [
        Faults { api_info_object: true, ..Faults::default() },
        Faults { numbers: true, ..Faults::default() },
        Faults { iso_dates: true, ..Faults::default() },
        Faults { wrong_media_types: true, ..Faults::default() },
        Faults { token_form: TokenForm::Quoted, ..Faults::default() },
        Faults { token_form: TokenForm::Wrapped, ..Faults::default() },
        Faults { link: AtLink::Forward, ..Faults::default() },
        Faults { link: AtLink::Forward, api_info_missing: true, ..Faults::default() },
        Faults { base: Some("/portal/dlx/v1/".to_owned()), ..Faults::default() },
        Faults { slow: Some(Duration::from_millis(10)), ..Faults::default() },
    ] {
        let desk = desk(faults).await;
        desk.done().await;
        assert_eq!(desk.portal.counts().logins, 1);
    }
}

#[tokio::test]
async fn every_kind_of_link_works() {
    let desk = desk(Faults::default()).await;
    let link = format!("http://{}/portal/dlx/v1/token/{TOKEN}", desk.portal.address());
    assert!(matches!(desk.pull_link(&link).await, Ok(Pulled::Done { .. })));
    // Another host of the same section passes the link on, the header goes along.
    let first = Portal::start(Config {
        token: TOKEN.to_owned(),
        questions: Vec::new(),
        items: Vec::new(),
        all: Content::Bytes(Bytes::new()),
        faults: Faults { link: AtLink::Redirect(desk.portal.link()), ..Faults::default() },
    })
    .await
    .unwrap();
    let link = first.link().replace("127.0.0.1", "localhost");
    assert!(matches!(desk.pull_link(&link).await, Ok(Pulled::Done { .. })));
}

#[tokio::test]
async fn an_expired_link_is_its_own_state() {
    let desk = desk(Faults { expired: true, ..Faults::default() }).await;
    let (class, sentence) = desk.fault().await;
    assert_eq!(class, Class::Quarantine);
    assert_eq!(desk.portal.counts().logins, 1);
    assert!(sentence.contains("expired") && sentence.contains("reactivate"), "{sentence}");
    // Whom to turn to, as the portal says: a remark, which is not logged as the sentence is.
    assert!(!sentence.contains("simulated portal"), "{sentence}");
    let notes = desk.seen.notes.lock().unwrap().join("");
    assert!(notes.contains("Lotse simulated portal"), "{notes}");
}

#[tokio::test]
async fn a_portal_that_prepares_is_asked_later() {
    for (seconds, retry_after, wanted) in [
        (Some(7), None, 7),
        (None, Some(RetryAfter::Seconds(9)), 9),
        (None, Some(RetryAfter::Date(9)), 9),
        (Some(7), Some(RetryAfter::Seconds(9)), 7),
        (None, None, 30),
        (Some(99_999), None, 900),
        (Some(0), None, 1),
    ] {
        let faults =
            Faults { preparing: 1, preparing_seconds: seconds, retry_after, ..Faults::default() };
        let desk = desk(faults).await;
        assert_eq!(desk.wait().await, wanted);
        desk.done().await;
    }
    let busy = Faults {
        login_status: Some(429),
        retry_after: Some(RetryAfter::Seconds(3)),
        ..Faults::default()
    };
    let desk = desk(busy).await;
    assert_eq!(desk.wait().await, 3);
    assert_eq!(desk.portal.counts().logins, 1);
}

#[tokio::test]
async fn an_ended_session_is_renewed_once() {
    for empty_when_ended in [false, true] {
        let faults = Faults { session_requests: Some(2), empty_when_ended, ..Faults::default() };
        let desk = desk(faults).await;
        desk.done().await;
        assert_eq!(desk.portal.counts().logins, 2);
        desk.portal.misbehave(Faults {
            session_requests: Some(0),
            empty_when_ended,
            ..Faults::default()
        });
        let (class, sentence) = desk.fault().await;
        assert_eq!(class, Class::Quarantine);
        assert!(sentence.contains("press retry"), "{sentence}");
        assert_eq!(desk.portal.counts().logins, 4);
    }
}

fn password() -> Vec<Question> {
    let question = Question {
        id: "otp".to_owned(),
        kind: "PASSWORD".to_owned(),
        format: "STRING".to_owned(),
        texts: vec![("en".to_owned(), "Code from the letter".to_owned())],
        answer: "s3cret".to_owned(),
    };
    vec![Question::birth_date("19700131"), question]
}

#[tokio::test]
async fn a_one_time_password_is_posted_once() {
    let mut desk = desk_with(Faults::default(), password()).await;
    // Only what is missing is asked.
    let Ok(Pulled::Asked { questions, .. }) = desk.pull().await else { panic!("not asked") };
    assert_eq!(questions.len(), 1);
    assert_eq!(
        (questions[0].key.as_str(), questions[0].text.as_str()),
        ("otp", "Code from the letter")
    );
    desk.answers.insert("PASSWORD".to_owned(), "s3cret".to_owned());
    // Everything at once: the session cannot be renewed between two files.
    let Ok(Pulled::Done { files, .. }) = desk.pull().await else { panic!("not done") };
    assert_eq!(files.len(), 1);
    let counts = desk.portal.counts();
    assert_eq!((counts.logins, counts.downloads, counts.download_alls), (1, 0, 1));
    // One by one if there is no such thing.
    desk.portal.misbehave(Faults { no_download_all: true, ..Faults::default() });
    desk.done().await;
    assert_eq!(desk.portal.counts().logins, 2);
    for faults in [
        Faults { session_requests: Some(1), ..Faults::default() },
        Faults { cut: Cut::Connection, ..Faults::default() },
        Faults { login_page: true, ..Faults::default() },
    ] {
        let before = desk.portal.counts().logins;
        desk.portal.misbehave(faults);
        // Only the password is asked again, and why is said.
        let note = desk.note().await;
        assert!(note.contains("new password"), "{note}");
        assert_eq!(desk.portal.counts().logins, before + 1);
    }
    // Preparing is sat out, because coming back would need a new password.
    let preparing = Faults { preparing: 1, preparing_seconds: Some(1), ..Faults::default() };
    desk.portal.misbehave(preparing);
    let before = desk.portal.counts().logins;
    assert!(matches!(desk.pull().await, Ok(Pulled::Done { .. })));
    assert_eq!(desk.portal.counts().logins, before + 1);
}

#[tokio::test]
async fn a_login_in_doubt_is_not_repeated() {
    for faults in [
        Faults { login_cut: true, ..Faults::default() },
        Faults { login_status: Some(500), ..Faults::default() },
        Faults { login_status: Some(502), ..Faults::default() },
    ] {
        let desk = desk(faults).await;
        let (class, sentence) = desk.fault().await;
        assert_eq!(class, Class::Quarantine);
        assert!(sentence.contains("press retry"), "{sentence}");
        assert_eq!(desk.portal.counts().logins, 1);
    }
}

#[tokio::test]
async fn a_cut_download_may_be_tried_again() {
    for cut in [Cut::Connection, Cut::Silently] {
        let desk = desk(Faults { cut, cut_times: Some(1), ..Faults::default() }).await;
        let (class, _) = desk.fault().await;
        assert_eq!(class, Class::Retry);
        desk.done().await;
    }
}

#[tokio::test]
async fn a_portal_that_stalls_is_left() {
    let mut desk = desk(Faults { slow: Some(Duration::from_secs(30)), ..Faults::default() }).await;
    desk.section.stall_timeout = Duration::from_millis(200);
    let (class, sentence) = desk.fault().await;
    assert_eq!(class, Class::Retry);
    assert!(sentence.contains("stopped sending"), "{sentence}");
}

#[tokio::test]
async fn without_a_list_everything_comes_at_once() {
    let desk = desk(Faults { no_list: true, ..Faults::default() }).await;
    let Ok(Pulled::Done { files, portal }) = desk.pull().await else { panic!("not done") };
    assert_eq!((files.len(), files[0].name.as_str()), (1, "all.zip"));
    assert!(portal.is_none());
    assert_eq!(desk.portal.counts().download_alls, 1);
    let length = u64::try_from(archive(5).len()).unwrap();
    assert_eq!(desk.seen.total_bytes.load(Ordering::SeqCst), length);
}

#[tokio::test]
async fn answers_that_are_no_examination_say_what_to_do() {
    for (faults, wanted, expected) in [
        (
            Faults { link: AtLink::Page, ..Faults::default() },
            "does not speak DLX",
            Class::Quarantine,
        ),
        (Faults { link: AtLink::Loop, ..Faults::default() }, "too often", Class::Quarantine),
        (
            Faults { link: AtLink::Endless, ..Faults::default() },
            "does not speak DLX",
            Class::Quarantine,
        ),
        (
            Faults { link: AtLink::Status(404), ..Faults::default() },
            "does not know this link",
            Class::Quarantine,
        ),
        (Faults { link: AtLink::Status(403), ..Faults::default() }, "refused", Class::Quarantine),
        (
            Faults { link: AtLink::Status(500), ..Faults::default() },
            "fault of its own",
            Class::Retry,
        ),
        (
            Faults { link: AtLink::Status(503), ..Faults::default() },
            "fault of its own",
            Class::Retry,
        ),
        (
            Faults { link: AtLink::Raw(b"{\"a\":1}"[..].into()), ..Faults::default() },
            "does not speak DLX",
            Class::Quarantine,
        ),
        (
            Faults { link: AtLink::Raw(b"{\"a\":"[..].into()), ..Faults::default() },
            "does not speak DLX",
            Class::Quarantine,
        ),
        (
            Faults {
                link: AtLink::Raw(format!("[{}]", "1,".repeat(1 << 20)).into()),
                ..Faults::default()
            },
            "more than",
            Class::Quarantine,
        ),
        (
            Faults {
                link: AtLink::Redirect("https://169.254.169.254/x".to_owned()),
                ..Faults::default()
            },
            "link-local",
            Class::Quarantine,
        ),
        (
            Faults { link: AtLink::Redirect("https://10.0.0.1/x".to_owned()), ..Faults::default() },
            "allow-private",
            Class::Quarantine,
        ),
        (
            Faults { base: Some("https://evil.example/dlx".to_owned()), ..Faults::default() },
            "evil.example",
            Class::Quarantine,
        ),
        (
            Faults { base: Some("http://10.0.0.1/dlx".to_owned()), ..Faults::default() },
            "10.0.0.1",
            Class::Quarantine,
        ),
        (Faults { login_page: true, ..Faults::default() }, "web page instead", Class::Quarantine),
        (
            Faults { content_encoding: Some("gzip"), ..Faults::default() },
            "compressed",
            Class::Quarantine,
        ),
        (
            Faults { unknown_items: true, ..Faults::default() },
            "does not hand out",
            Class::Quarantine,
        ),
    ] {
        let desk = desk(faults).await;
        let (class, sentence) = desk.fault().await;
        assert!(sentence.contains(wanted), "{wanted}: {sentence}");
        assert_eq!(class, expected, "{sentence}");
    }
}

#[tokio::test]
async fn a_link_may_be_the_download_itself() {
    let desk = desk(Faults { link: AtLink::Raw(archive(2)), ..Faults::default() }).await;
    let Ok(Pulled::Done { files, .. }) = desk.pull().await else { panic!("not done") };
    assert_eq!((files.len(), files[0].name.as_str()), (1, "download.zip"));
    let cut = archive(2).slice(..60_000);
    desk.portal.misbehave(Faults { link: AtLink::Raw(cut), ..Faults::default() });
    let (class, sentence) = desk.fault().await;
    assert_eq!(class, Class::Retry);
    assert!(sentence.contains("ends in the middle"), "{sentence}");
}

#[tokio::test]
async fn limits_hold() {
    let mut desk = desk(Faults::default()).await;
    desk.section.max_download = 100_000;
    let (class, sentence) = desk.fault().await;
    assert_eq!(class, Class::Quarantine);
    assert!(sentence.contains("max-download"), "{sentence}");
    desk.section = FetchSection { deadline: Duration::from_millis(300), ..FetchSection::default() };
    desk.portal.misbehave(Faults { slow: Some(Duration::from_millis(150)), ..Faults::default() });
    let (class, sentence) = desk.fault().await;
    assert_eq!(class, Class::Quarantine);
    assert!(sentence.contains("deadline"), "{sentence}");
}

#[tokio::test]
async fn a_portal_that_is_down_is_tried_later() {
    let desk = desk(Faults::default()).await;
    let link = desk.portal.link();
    let Desk { portal, client, spool, section, answers, seen, _folder, .. } = desk;
    portal.stop().await;
    let attempt = Pull {
        link: Link::new(&link).unwrap(),
        answers,
        chosen: None,
        session: None,
        spool: spool.create(ImportId::new()).unwrap(),
        cancel: CancellationToken::new(),
        observer: seen,
        section,
        recipes: Default::default(),
        bookmark: None,
    };
    let error = pull(&client, &attempt).await.err().unwrap();
    assert_eq!(error.class(), Class::Retry, "{error}");
}

#[tokio::test]
async fn cancelling_stops_it() {
    let desk = desk(Faults { slow: Some(Duration::from_secs(1)), ..Faults::default() }).await;
    let cancel = CancellationToken::new();
    let attempt = desk.attempt(&desk.portal.link(), cancel.clone());
    let (ended, ()) = tokio::join!(pull(&desk.client, &attempt), async {
        while desk.portal.counts().downloads == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    });
    assert!(matches!(ended, Err(Error::Cancelled)));
}

#[tokio::test]
async fn loopback_is_refused_without_a_section() {
    let mut desk = desk(Faults::default()).await;
    desk.client = Client::new(&BTreeMap::new()).unwrap();
    let link = desk.portal.link().replace("http:", "https:");
    let error = desk.pull_link(&link).await.err().unwrap();
    assert!(error.sentence().contains("allow-private = true"), "{error}");
    assert_eq!(error.class(), Class::Quarantine);
    let error = desk.pull().await.err().unwrap();
    assert!(error.sentence().contains("allow-http = true"), "{error}");
    assert_eq!(desk.portal.counts(), Counts::default());
}

mod matrix;
