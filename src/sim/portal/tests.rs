//! Whole pulls over real HTTP: table 1.4 of `reference/dlx-and-portals.md`, row by row.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::*;
use crate::fetch::{Class, Error, FetchSection, Observer, Pull, Pulled, pull};
use crate::import::{ImportId, Link, Promised, QuestionKind};
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
    promised: Mutex<Vec<String>>,
}

impl Observer for Seen {
    fn downloading(&self, total_bytes: Option<u64>, total_files: Option<u64>) {
        self.total_bytes.store(total_bytes.unwrap_or(0), Ordering::SeqCst);
        self.total_files.store(total_files.unwrap_or(0), Ordering::SeqCst);
    }
    fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }
    fn promised(&self, studies: Vec<Promised>) {
        *self.promised.lock().unwrap() = studies.into_iter().map(|study| study.shown).collect();
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
            Ok(Pulled::Preparing { wait, .. }) => wait.as_secs(),
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

mod faults;
mod matrix;
mod sessions;
