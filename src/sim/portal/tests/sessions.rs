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
