//! Portals that answer otherwise than they should: each ends in a sentence, and credentials go out once, to
//! the right host.

use lotse::import::{Import, State};
use lotse::sim::pages::{SHARE, Twist};

use super::{desk, links};

#[tokio::test(flavor = "multi_thread")]
async fn every_oddity_ends_in_its_sentence_and_credentials_go_once() {
    let desk = desk(Twist::None).await;
    let other = super::desk(Twist::None).await;
    // The same machine by another name is another host, which no recipe names.
    let away = other.pages.origin().replace("127.0.0.1", "[::1]");
    let mut cases = 0;
    for (name, link) in links(&desk.pages) {
        let twists: &[(Twist, &str, u32)] = &[
            (Twist::Locked, "locked", 0),
            (Twist::Expired, "expired", 0),
            (Twist::Changed, "does not look as its recipe says", 0),
            (Twist::LoginPage, "", 0),
            (Twist::Away(format!("{away}/x")), "", 0),
            // The same host on another port is somebody else.
            (Twist::Away(format!("{}/x", other.pages.origin())), "passed credentials on", 0),
            (Twist::Cut, "was cut off", 1),
        ];
        for (twist, wanted, logins) in twists {
            let fits = match (name, twist) {
                ("direct-zip", Twist::LoginPage | Twist::Expired) => true,
                ("direct-zip", _) => false,
                // What these pages show instead is their own business.
                ("entry-code", Twist::Expired) => false,
                _ => true,
            };
            if !fits {
                continue;
            }
            desk.pages.twist(twist.clone());
            let before = desk.pages.logins();
            let sentence = desk.failed(desk.import(&link).await).await;
            assert!(sentence.contains(wanted), "{name}, {twist:?}: {sentence}");
            for secret in [SHARE, "1956", "05.11", "3b1f", "token="] {
                assert!(!sentence.contains(secret), "{sentence}");
            }
            assert_eq!(desk.pages.logins() - before, *logins, "{name}, {twist:?}: {sentence}");
            cases += 1;
        }
    }
    assert!(other.pages.requests().is_empty(), "{:?}", other.pages.requests());
    println!("{cases} oddities");
    assert!(cases >= 20);
    other.hospital.stop().await;
    desk.hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_leads_elsewhere_is_not_sent() {
    let desk = desk(Twist::FormTo("http://[::1]:9/steal".to_owned())).await;
    let id = desk.import(&format!("{}/s/{SHARE}", desk.pages.origin())).await;
    let sentence = desk.failed(id).await;
    assert!(sentence.contains("its recipe does not name"), "{sentence}");
    assert_eq!(desk.pages.logins(), 0);
    desk.hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_factor_is_asked_again_and_never_tried_by_itself() {
    let desk = desk(Twist::None).await;
    let mut logins = 0;
    for (name, link) in links(&desk.pages).into_iter().skip(1) {
        let id = desk.import_as(&link, "1999-12-31").await;
        let (keys, note) = desk.asked(id).await;
        assert_eq!(keys.len(), 1, "{name}");
        assert!(note.unwrap().contains("did not accept"), "{name}");
        logins += 1;
        assert_eq!(desk.pages.logins(), logins, "{name}");
        let birth_date = desk.hospital.world.sample.birth_date().to_owned();
        let answers = [(keys[0].clone(), birth_date)].into();
        let pipeline = &desk.hospital.gateway.pipeline;
        pipeline.answer(id, answers, crate::hospital::actor()).await.unwrap();
        desk.delivered(id).await;
        logins += 1;
        assert_eq!(desk.pages.logins(), logins, "{name}");
    }
    desk.hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_download_goes_on_without_another_login() {
    // More cuts than one attempt takes: the next attempt goes on behind the login.
    let desk = desk(Twist::CutDownloads(4)).await;
    let id = desk.import(&format!("{}/s/{SHARE}", desk.pages.origin())).await;
    desk.delivered(id).await;
    assert_eq!(desk.pages.logins(), 1);
    let requests = desk.pages.requests();
    let downloads = requests.iter().filter(|line| line.contains("/dl/")).count();
    assert_eq!(downloads, 5, "{requests:?}");
    desk.hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_packs_is_waited_for_without_another_login() {
    let desk = desk(Twist::Packing(2)).await;
    let id = desk.import(&format!("{}/s/{SHARE}", desk.pages.origin())).await;
    desk.delivered(id).await;
    assert_eq!(desk.pages.logins(), 1);
    let requests = desk.pages.requests();
    assert_eq!(requests.iter().filter(|line| line.contains("/dl/")).count(), 3, "{requests:?}");
    assert_eq!(requests.iter().filter(|line| line.contains("GET /s/")).count(), 2, "{requests:?}");
    desk.hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_that_is_down_is_tried_again() {
    let desk = desk(Twist::Down).await;
    let id = desk.import(&format!("{}/s/{SHARE}", desk.pages.origin())).await;
    let waits = |import: &Import| matches!(&import.state, State::Requested { note: Some(_), .. });
    desk.hospital.wait(id, "a wait", waits).await;
    desk.pages.twist(Twist::None);
    desk.delivered(id).await;
    assert_eq!(desk.pages.logins(), 1);
    desk.hospital.stop().await;
}
