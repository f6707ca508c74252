//! What goes wrong at a portal, each with its class and its sentence.

use super::*;

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
