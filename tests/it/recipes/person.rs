//! A recipe that pauses for a person, over a restart; and one whose portal shows somebody else.

use lotse::gateway::ClockSource;
use lotse::import::{Import, ImportId, StudyState};
use lotse::sim::pages::{CODES, SHARE, Twist};

use super::{Desk, desk};
use crate::hospital::actor;

async fn answer(desk: &Desk, id: ImportId, key: &str, value: &str) {
    let answers = [(key.to_owned(), value.to_owned())].into();
    desk.hospital.gateway.pipeline.answer(id, answers, actor()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_by_sms_is_waited_for_even_over_a_restart() {
    let mut desk = desk(Twist::None).await;
    let id = desk.import(&format!("{}/slip?user={SHARE}", desk.pages.origin())).await;
    let (keys, note) = desk.asked(id).await;
    assert_eq!((keys, note), (vec!["tan".to_owned()], None));
    assert_eq!((desk.pages.logins(), desk.pages.codes()), (1, 1));

    // Cookies, form and place are in the journal, sealed; nothing is begun anew.
    desk.hospital = desk.hospital.restart(ClockSource::System).await;
    desk.asked(id).await;
    answer(&desk, id, "tan", "000000").await;
    let refused = |import: &Import| match &import.state {
        lotse::import::State::Asking { note, .. } => note.is_some(),
        _ => false,
    };
    desk.hospital.wait(id, "the question again", refused).await;
    assert_eq!((desk.pages.logins(), desk.pages.codes()), (2, 1), "the same SMS still counts");

    desk.hospital = desk.hospital.restart(ClockSource::System).await;
    answer(&desk, id, "tan", CODES[0]).await;
    desk.delivered(id).await;
    assert_eq!((desk.pages.logins(), desk.pages.codes()), (3, 1));
    let forms = desk.pages.requests().iter().filter(|line| line.starts_with("GET /slip")).count();
    assert_eq!(forms, 1, "the portal was entered once");
    desk.hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_patient_on_the_page_goes_to_a_person() {
    let desk = desk(Twist::Shows("Beispiel, Otto".to_owned())).await;
    let link = format!("{}/s/{SHARE}", desk.pages.origin());
    // Order, birth date and headers agree; only the portal says otherwise.
    let id = desk.import(&link).await;
    let waits = |import: &Import| {
        import
            .studies
            .iter()
            .any(|study| matches!(study.state, StudyState::AwaitingDecision { .. }))
    };
    desk.hospital.wait(id, "a decision", waits).await;
    let shown = desk.hospital.show(id).await.to_string();
    assert!(shown.contains("the portal tells another name than the header"), "{shown}");
    desk.hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_patient_on_the_page_changes_nothing() {
    let desk = desk(Twist::Shows("Musterfrau-Grün, Erika".to_owned())).await;
    let id = desk.import(&format!("{}/s/{SHARE}", desk.pages.origin())).await;
    let import = desk.delivered(id).await;
    assert!(import.portal.is_some());
    desk.hospital.stop().await;
}
