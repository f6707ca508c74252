//! The other rows of the table: versions, sessions that end, lists to choose from, downloads that are cut.

use std::collections::BTreeSet;

use super::*;
use crate::import::{Chosen, Listing, Session};

fn studies() -> Vec<Item> {
    let study = |id: &str, date: &str, uid: &str, files: usize| Item {
        study_uid: Some(uid.to_owned()),
        date: Some(date.to_owned()),
        modalities: Some("CT".to_owned()),
        patient_name: Some("Musterfrau, Erika".to_owned()),
        patient_id: Some("P-1".to_owned()),
        accession_number: Some("A-1".to_owned()),
        ..Item::new(id, "application/zip", &format!("CT {id}"), archive(files))
    };
    let report = Item::new("report", "application/pdf", "Befund", &b"%PDF-1.4 synthetic"[..]);
    vec![study("one", "20240419", "2.25.1", 2), study("two", "20231001", "2.25.2", 3), report]
}

async fn desk_of(items: Vec<Item>, questions: Vec<Question>, faults: Faults) -> Desk {
    let mut desk = desk_with(faults.clone(), questions.clone()).await;
    let all = Content::Bytes(archive(5));
    let config = Config { token: TOKEN.to_owned(), questions, items, all, faults };
    desk.portal = Portal::start(config).await.unwrap();
    desk
}

async fn listed(desk: &Desk) -> (Listing, Option<Session>) {
    match desk.pull().await {
        Ok(Pulled::Listed { listing, session }) => (*listing, session),
        Ok(Pulled::Done { .. }) => panic!("done"),
        Ok(Pulled::Asked { note, .. }) => panic!("asked: {note:?}"),
        Ok(Pulled::Preparing { .. }) => panic!("preparing"),
        Err(error) => panic!("{error}"),
    }
}

fn only(keys: &[&str]) -> Option<Chosen> {
    Some(Chosen::Only(keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>()))
}

#[tokio::test]
async fn versions_differ_in_names_only() {
    for version in [Version::Zero9, Version::One, Version::Two] {
        for link in [AtLink::Questions, AtLink::Forward] {
            for api_info_missing in [false, true] {
                if api_info_missing && link == AtLink::Questions {
                    continue;
                }
                let faults =
                    Faults { version, link: link.clone(), api_info_missing, ..Faults::default() };
                let desk = desk(faults).await;
                let Ok(Pulled::Done { files, .. }) = desk.pull().await else { panic!("not done") };
                assert_eq!(files[0].name, "CT Thorax.bin");
                assert_eq!(desk.portal.counts().logins, 1);
            }
        }
    }
}

#[tokio::test]
async fn the_oldest_version_knows_a_token_or_not_and_asks_for_the_insurance_number() {
    let old = Faults { version: Version::Zero9, ..Faults::default() };
    let question = Question {
        id: "kv".to_owned(),
        kind: "KV_NUMBER".to_owned(),
        format: "STRING".to_owned(),
        texts: Vec::new(),
        answer: "A123456780".to_owned(),
    };
    let mut desk = desk_with(old, vec![question]).await;
    let unknown = desk.portal.link().replace(TOKEN, "NOT-THE-ONE");
    let error = desk.pull_link(&unknown).await.err().unwrap();
    assert!(error.sentence().contains("does not know this link"), "{error}");
    let Ok(Pulled::Asked { questions, .. }) = desk.pull().await else { panic!("not asked") };
    assert_eq!(questions[0].kind, QuestionKind::Custom);
    assert!(questions[0].text.contains("insurance"), "{}", questions[0].text);
    desk.answers.insert("KV_NUMBER".to_owned(), "a123456780".to_owned());
    desk.done().await;
    // It is no password: a session that ended is renewed with it.
    desk.portal.misbehave(Faults {
        version: Version::Zero9,
        session_requests: Some(2),
        ..Faults::default()
    });
    desk.done().await;
}

#[tokio::test]
async fn version_two_tells_more_and_its_dicomweb_has_to_be_its_own() {
    let own = |desk: &Desk| format!("http://{}/dicomweb", desk.portal.address());
    let mut desk =
        desk_of(studies(), vec![Question::birth_date("19700131")], Faults::default()).await;
    desk.section.choose = crate::fetch::Choose::Always;
    let two = |dicomweb| Faults { version: Version::Two, dicomweb, ..Faults::default() };
    desk.portal.misbehave(two(Some(own(&desk))));
    let (listing, session) = listed(&desk).await;
    let first = &listing.offers[0];
    assert_eq!(first.patient.id.as_ref().unwrap().id, "P-1");
    assert_eq!(first.accession_number.as_deref(), Some("A-1"));
    let dicomweb = listing.dicomweb.unwrap();
    assert!(dicomweb.wado_rs.unwrap().url().path().ends_with("/dicomweb/wado"));
    assert!(dicomweb.qido_rs.unwrap().url().path().ends_with("/dicomweb/qido"));
    assert!(session.is_some_and(|session| !session.token.is_empty()));
    // The token goes to no other host.
    desk.portal.misbehave(two(Some("https://evil.example/dicomweb".to_owned())));
    assert!(listed(&desk).await.0.dicomweb.is_none());
    desk.portal.misbehave(two(None));
    assert!(listed(&desk).await.0.dicomweb.is_none());
}

#[tokio::test]
async fn a_session_token_that_tells_its_end_is_renewed_before() {
    // Two seconds behind the margin: the second file is slow, the third asks for a new session in time.
    for token_without_iat in [false, true] {
        let faults = Faults {
            token_lifetime: Some(11),
            token_without_iat,
            slow: Some(Duration::from_millis(1700)),
            ..Faults::default()
        };
        let mut desk = desk_of(studies(), vec![Question::birth_date("19700131")], faults).await;
        desk.section.stall_timeout = Duration::from_secs(30);
        desk.chosen = Some(Chosen::All);
        assert!(matches!(desk.pull().await, Ok(Pulled::Done { .. })));
        let counts = desk.portal.counts();
        assert!((2..=4).contains(&counts.logins), "{counts:?}");
        assert_eq!((counts.lists, counts.downloads), (1, 3), "nothing was refused and asked again");
    }
    // One that says it ended long ago, or in a moment, is used until the portal says so.
    for lifetime in [-3600, 0, 3] {
        let desk = desk(Faults { token_lifetime: Some(lifetime), ..Faults::default() }).await;
        desk.done().await;
        assert_eq!(desk.portal.counts().logins, 1);
    }
}

#[tokio::test]
async fn several_days_are_shown_and_some_are_taken() {
    let mut desk =
        desk_of(studies(), vec![Question::birth_date("19700131")], Faults::default()).await;
    let (listing, session) = listed(&desk).await;
    let shown: Vec<_> = listing.offers.iter().map(|offer| offer.key.as_str()).collect();
    assert_eq!(shown, ["one", "two", "report"]);
    assert_eq!(listing.offers[1].date, Some(jiff::civil::date(2023, 10, 1)));
    assert_eq!(desk.portal.counts().downloads, 0);
    // The choice goes on in the same session: the birth date is not posted again.
    (desk.session, desk.chosen) = (session, only(&["two"]));
    let Ok(Pulled::Done { files, portal }) = desk.pull().await else { panic!("not done") };
    assert_eq!((files.len(), files[0].name.as_str()), (1, "CT two.bin"));
    assert_eq!(portal.unwrap().name.unwrap().as_str(), "Musterfrau^Erika");
    let counts = desk.portal.counts();
    assert_eq!((counts.logins, counts.downloads), (1, 1));
    // A session that has ended meanwhile is renewed.
    desk.portal.misbehave(Faults { session_requests: Some(9), ..Faults::default() });
    desk.session.as_mut().unwrap().token = "eyJh.e30.old".to_owned();
    desk.chosen = only(&["one", "report"]);
    let Ok(Pulled::Done { files, .. }) = desk.pull().await else { panic!("not done") };
    assert_eq!(files.len(), 2);
    assert_eq!(desk.portal.counts().logins, 2);
    // What was chosen and is gone is asked again.
    desk.chosen = only(&["two", "three"]);
    assert!(listed(&desk).await.0.note.unwrap().contains("choose again"));
}

#[tokio::test]
async fn one_day_or_a_word_goes_straight_on() {
    let mut same_day = studies();
    same_day[1].date = Some("20240419".to_owned());
    let birth_date = || vec![Question::birth_date("19700131")];
    let mut desk = desk_of(same_day, birth_date(), Faults::default()).await;
    let Ok(Pulled::Done { files, .. }) = desk.pull().await else { panic!("not done") };
    assert_eq!(files.len(), 3);
    desk.section.choose = crate::fetch::Choose::Always;
    listed(&desk).await;
    desk.chosen = Some(Chosen::All);
    assert!(matches!(desk.pull().await, Ok(Pulled::Done { .. })));
    let mut desk = desk_of(studies(), birth_date(), Faults::default()).await;
    desk.section.choose = crate::fetch::Choose::Never;
    assert!(matches!(desk.pull().await, Ok(Pulled::Done { .. })));
}

#[tokio::test]
async fn a_one_time_password_outlives_the_choice_but_not_the_session() {
    let mut desk = desk_of(studies(), password(), Faults::default()).await;
    desk.answers.insert("otp".to_owned(), "s3cret".to_owned());
    let (_, session) = listed(&desk).await;
    assert!(session.as_ref().is_some_and(|session| session.one_time));
    (desk.session, desk.chosen) = (session, only(&["one"]));
    assert!(matches!(desk.pull().await, Ok(Pulled::Done { .. })));
    assert_eq!(desk.portal.counts().logins, 1);
    desk.session.as_mut().unwrap().token = "eyJh.e30.old".to_owned();
    let Ok(Pulled::Asked { questions, note }) = desk.pull().await else { panic!("not asked") };
    assert_eq!((questions.len(), questions[0].key.as_str()), (1, "otp"));
    assert!(note.unwrap().contains("new password"));
    assert_eq!(desk.portal.counts().logins, 1, "the used password is not posted again");
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_was_cut() {
    for ranges in [Ranges::ByTag, Ranges::ByDate] {
        let faults =
            Faults { ranges, cut: Cut::Connection, cut_times: Some(3), ..Faults::default() };
        let desk = desk(faults).await;
        let attempt = desk.attempt(&desk.portal.link(), CancellationToken::new());
        let files = match pull(&desk.client, &attempt).await {
            Ok(Pulled::Done { files, .. }) => files,
            Ok(_) => panic!("not done"),
            Err(error) => panic!("{error:?}"),
        };
        // The bytes are those of the file, and each was counted once.
        let mut bytes = Vec::new();
        attempt.spool.read(&files[0].blob).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, archive(4));
        let received: u64 = files.iter().map(|file| file.blob.length).sum();
        assert_eq!(desk.seen.bytes.load(Ordering::SeqCst), received);
        let counts = desk.portal.counts();
        assert_eq!((counts.logins, counts.downloads), (1, 5));
    }
}

#[tokio::test]
async fn what_is_not_surely_the_rest_is_never_put_behind_the_beginning() {
    for ranges in [Ranges::Never, Ranges::Changed, Ranges::Ignored, Ranges::Lying] {
        let faults =
            Faults { ranges, cut: Cut::Connection, cut_times: Some(1), ..Faults::default() };
        let desk = desk(faults).await;
        let (class, sentence) = desk.fault().await;
        assert_eq!(class, Class::Retry, "{sentence}");
        desk.done().await;
    }
}

#[tokio::test]
async fn going_on_ends_when_nothing_comes() {
    let faults = Faults { ranges: Ranges::ByTag, cut: Cut::Connection, ..Faults::default() };
    let desk = desk(faults).await;
    let (class, _) = desk.fault().await;
    assert_eq!(class, Class::Retry);
    assert_eq!(desk.portal.counts().downloads, 7);
}

#[tokio::test]
async fn fewer_files_than_announced_are_a_remark() {
    let mut items = items();
    items[0].file_count = Some(100);
    let desk = desk_of(items, vec![Question::birth_date("19700131")], Faults::default()).await;
    desk.done().await;
    let notes = desk.seen.notes.lock().unwrap().clone();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("announced 100 files, 4 came"), "{notes:?}");
    let desk = super::desk(Faults::default()).await;
    desk.done().await;
    assert!(desk.seen.notes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_empty_success_of_an_ended_session_is_no_list_and_no_file() {
    let faults = Faults { session_requests: Some(0), empty_when_ended: true, ..Faults::default() };
    let mut desk = desk_with(faults, password()).await;
    desk.answers.insert("otp".to_owned(), "s3cret".to_owned());
    let note = desk.note().await;
    assert!(note.contains("new password"), "{note}");
    assert_eq!(desk.portal.counts().logins, 1);
}

#[tokio::test]
async fn what_was_not_chosen_does_not_come_when_the_list_is_gone() {
    let mut desk =
        desk_of(studies(), vec![Question::birth_date("19700131")], Faults::default()).await;
    let (_, session) = listed(&desk).await;
    (desk.session, desk.chosen) = (session, only(&["two"]));
    desk.portal.misbehave(Faults { no_list: true, ..Faults::default() });
    let (class, sentence) = desk.fault().await;
    assert_eq!(class, Class::Quarantine);
    assert!(sentence.contains("does not list any more what was chosen"), "{sentence}");
    let empty = Config {
        token: TOKEN.to_owned(),
        questions: vec![Question::birth_date("19700131")],
        items: vec![],
        all: Content::Bytes(archive(5)),
        faults: Faults::default(),
    };
    let before = std::mem::replace(&mut desk.portal, Portal::start(empty).await.unwrap());
    desk.session = None;
    desk.fault().await;
    assert_eq!((before.counts().download_alls, desk.portal.counts().download_alls), (0, 0));
    // Who wants everything gets it so.
    desk.chosen = Some(Chosen::All);
    assert!(matches!(desk.pull().await, Ok(Pulled::Done { .. })));
    assert_eq!(desk.portal.counts().download_alls, 1);
}

#[tokio::test]
async fn a_sentence_in_the_place_of_a_study_is_no_file() {
    let told = "Studie nicht im Archiv";
    let long = format!("<error>{told}</error>\n").repeat(500);
    for (mime, body) in [
        ("text/plain", told),
        ("text/plain; charset=utf-8", long.as_str()),
        ("application/octet-stream", told),
        ("application/xml", "<?xml version=\"1.0\"?><error>no study</error>"),
    ] {
        let mut items = studies();
        items[1].content = Content::Bytes(Bytes::from(body.to_owned()));
        items[1].mime = mime.to_owned();
        // The list says otherwise, or nothing.
        let faults = Faults { listed_as: Some("application/zip"), ..Faults::default() };
        let mut desk = desk_of(items, vec![Question::birth_date("19700131")], faults).await;
        desk.chosen = Some(Chosen::All);
        let (class, sentence) = desk.fault().await;
        assert_eq!(class, Class::Quarantine, "{mime}");
        assert!(sentence.contains("a text instead of a file"), "{sentence}");
    }
    // A document that is text, and a text that the list promises.
    for (mime, body) in [
        ("text/xml", "<?xml version=\"1.0\"?><cda:ClinicalDocument xmlns:cda=\"urn:hl7-org:v3\"/>"),
        ("text/plain", "Befund: unauffaellig"),
    ] {
        let mut items = studies();
        items[1].content = Content::Bytes(Bytes::from(body.to_owned()));
        items[1].mime = mime.to_owned();
        let mut desk =
            desk_of(items, vec![Question::birth_date("19700131")], Faults::default()).await;
        desk.chosen = Some(Chosen::All);
        assert!(matches!(desk.pull().await, Ok(Pulled::Done { files, .. }) if files.len() == 3));
    }
}

#[tokio::test]
async fn studies_that_were_taken_of_the_list_are_promised() {
    let mut desk =
        desk_of(studies(), vec![Question::birth_date("19700131")], Faults::default()).await;
    desk.chosen = only(&["two", "report"]);
    assert!(matches!(desk.pull().await, Ok(Pulled::Done { .. })));
    assert_eq!(*desk.seen.promised.lock().unwrap(), ["CT two of 2023-10-01"]);
}
