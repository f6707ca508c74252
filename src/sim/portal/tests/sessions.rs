//! Logins and sessions: how often one is begun, and what a one-time password is good for.

use super::*;

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

fn reports(count: usize) -> Config {
    let report =
        |n| Item::new(&format!("r{n}"), "application/pdf", "Befund", &b"%PDF-1.4 synthetic"[..]);
    Config {
        token: TOKEN.to_owned(),
        questions: vec![Question::birth_date("19700131")],
        items: (0..count).map(report).collect(),
        all: Content::Bytes(archive(5)),
        faults: Faults::default(),
    }
}

#[tokio::test]
async fn a_session_for_each_file_brings_all_of_them() {
    for empty_when_ended in [false, true] {
        let mut desk = desk(Faults::default()).await;
        let faults = Faults { session_requests: Some(1), empty_when_ended, ..Faults::default() };
        desk.portal = Portal::start(Config { faults, ..reports(15) }).await.unwrap();
        let Ok(Pulled::Done { files, .. }) = desk.pull().await else { panic!("not done") };
        assert_eq!((files.len(), desk.portal.counts().logins), (15, 16));
    }
}

#[tokio::test]
async fn a_wrong_answer_after_files_came_is_no_first_login() {
    // The answers are right until files are here: then it is the session that was lost.
    let mut desk = desk(Faults::default()).await;
    let faults = Faults { session_requests: Some(2), ..Faults::default() };
    desk.portal = Portal::start(Config { faults: faults.clone(), ..reports(9) }).await.unwrap();
    let attempt = desk.attempt(&desk.portal.link(), CancellationToken::new());
    let (ended, ()) = tokio::join!(pull(&desk.client, &attempt), async {
        while desk.portal.counts().downloads < 2 {
            tokio::task::yield_now().await;
        }
        desk.portal.misbehave(Faults { login_status: Some(401), ..faults.clone() });
    });
    assert!(matches!(ended, Err(Error::SessionLost { .. })));
}

#[tokio::test]
async fn a_portal_that_prepares_for_long_sees_the_birth_date_once() {
    let preparing = Faults { preparing: 5, preparing_seconds: Some(2), ..Faults::default() };
    let mut desk = desk(preparing.clone()).await;
    for _ in 0..5 {
        let Ok(Pulled::Preparing { session, .. }) = desk.pull().await else {
            panic!("not preparing")
        };
        assert!(session.as_ref().is_some_and(|session| !session.one_time));
        desk.session = session;
    }
    desk.done().await;
    assert_eq!(desk.portal.counts().logins, 1);
    // A session that has ended meanwhile is begun anew.
    desk.portal.misbehave(preparing);
    desk.session.as_mut().unwrap().token = "eyJh.e30.old".to_owned();
    assert_eq!(desk.wait().await, 2);
    assert_eq!(desk.portal.counts().logins, 2);
}
