mod deciding;

use std::sync::Arc;

use askama::Template as _;

use super::compare::{age, compare, person};
use super::pages::{ErrorPage, ImportPage, Login, Start};
use crate::clock::Moment;
use crate::dicom::PersonName;
use crate::http::api::{Filter, Listed};
use crate::http::view::samples::{
    START, STUDY, answering_two, awaiting_decision, forwarding, import, item, study,
};
use crate::http::view::{Detail, ForeignView, ImportView, PatientView, of_import, of_tombstone};
use crate::import::{
    Counts, DestinationName, End, Import, Kind, Question, QuestionKind, State, StudyState,
    Tombstone,
};

fn rendered(import: &Import) -> String {
    shown(of_import(import, None, Detail::Full))
}

fn shown(view: ImportView) -> String {
    let html = ImportPage::new(view, &jiff::tz::TimeZone::UTC).render().unwrap();
    keep("import", &html);
    html
}

fn start(imports: Vec<ImportView>, filter: &Filter) -> String {
    let total = imports.len();
    let listed = Listed { imports, page: 1, page_size: 50, total };
    let now = Moment { running_ms: START.running_ms + 90 * 60_000, ..START };
    let destinations = [DestinationName("pacs".into())];
    Start::new(&listed, filter, &destinations, now).render().unwrap()
}

/// For looking at the pages: set LOTSE_PAGES to a folder.
fn keep(name: &str, html: &str) {
    let Some(folder) = std::env::var_os("LOTSE_PAGES") else {
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let test = std::thread::current().name().unwrap_or("").replace("::", "-");
    let html = html.replace("\"/assets/", "\"");
    std::fs::write(folder.join(format!("{name}-{test}.html")), html).unwrap();
}

fn asking(kind: QuestionKind, format: &str, text: &str) -> Import {
    let question = Question { key: "q\"1".into(), kind, text: text.into(), format: format.into() };
    import(State::Asking { questions: vec![question], note: None, files: Vec::new() }, Vec::new())
}

#[test]
fn a_study_that_waits_shows_its_candidates_side_by_side() {
    let html = rendered(&awaiting_decision());
    for part in [
        "needs a decision",
        "Muster, Erika",
        "MUSTER, ERIKA",
        "best fit",
        "birth date differs",
        "class=\"differs\"",
        "File under this order",
        "Compare before filing",
        "Reject, do not send",
        "name agrees in other writing (+30)",
        "the worklist answer is incomplete",
    ] {
        assert!(html.to_lowercase().contains(&part.to_lowercase()), "{part}");
    }
    let action = "/studies/1.2.276.0.99.1/decision";
    assert_eq!(html.matches(action).count(), 4);
    assert_eq!(html.matches("value=\"Patient and order compared").count(), 1);
    assert!(!html.contains("http-equiv=\"refresh\""), "it would take the form away");
}

#[test]
fn several_orders_of_one_patient_can_be_ticked() {
    let one = rendered(&awaiting_decision());
    assert!(!one.contains("type=\"checkbox\" id=\"order-"), "two patients have one order each");
    let mut waiting = awaiting_decision();
    let StudyState::AwaitingDecision { outcome } =
        &mut Arc::make_mut(&mut waiting.studies[0]).state
    else {
        panic!()
    };
    for (candidate, number) in outcome.candidates.iter_mut().zip(["A100", "A200"]) {
        candidate.item = item(number, "Muster^Erika", "19801224");
        candidate.item_id = candidate.item.item_id();
    }
    let ids: Vec<String> = outcome.candidates.iter().map(|c| c.item_id.clone()).collect();
    let html = rendered(&waiting);
    assert!(html.contains("File it under several orders of <bdi>Muster, Erika</bdi>"));
    assert!(html.contains("name=\"choice\" value=\"items\""));
    for (rank, id) in (1..).zip(&ids) {
        let ticked = format!("name=\"order.{id}\" value=\"{rank}\"");
        assert!(html.contains(&ticked), "{ticked}");
    }
    assert_eq!(html.matches("/studies/1.2.276.0.99.1/decision").count(), 5);
    let html = rendered(&answering_two());
    assert!(html.contains("A100, A200"), "both are told once it is decided");
}

#[test]
fn a_study_on_its_way_shows_deliveries_and_changes() {
    let html = rendered(&forwarding());
    for part in [
        "The PACS refused the association.",
        "sending waits",
        "(0008,0050)",
        "Decided by rule.",
        "main attributes change in every header",
        "waiting",
    ] {
        assert!(html.contains(part), "{part}");
    }
    assert!(html.contains("http-equiv=\"refresh\""));
    assert!(!html.contains("File under this order"));
}

#[test]
fn questions_get_the_input_that_fits() {
    let html = rendered(&asking(QuestionKind::PatBirthDate, "STRING", "Geburtsdatum?"));
    assert!(html.contains("type=\"date\"") && html.contains("Geburtsdatum?"));
    assert!(html.contains("name=\"answer.q&#34;1\""));
    let html = rendered(&asking(QuestionKind::Password, "STRING", ""));
    assert!(html.contains("type=\"password\"") && html.contains("PASSWORD"));
    let html = rendered(&asking(QuestionKind::Custom, "STRING", "<b>Wohnort?"));
    assert!(html.contains("type=\"text\"") && html.contains("&#60;b&#62;Wohnort?"));
}

#[test]
fn foreign_text_stays_text() {
    let mut hostile = awaiting_decision();
    let text = "<script>alert(1)</script>\"'";
    let study = Arc::make_mut(&mut hostile.studies[0]);
    study.facts.patient.name = PersonName::new(text);
    study.facts.study_description = Some(text.into());
    study.facts.institution = Some(text.into());
    hostile.set_aside[0].name = text.into();
    hostile.kind = Kind::Link { host: text.into() };
    for html in [
        rendered(&hostile),
        start(
            vec![of_import(&hostile, None, Detail::Brief)],
            &Filter { q: Some(text.into()), ..Filter::default() },
        ),
        ErrorPage { title: "x", detail: text.into() }.render().unwrap(),
    ] {
        assert!(!html.contains("<script>alert") && html.contains("&#60;script&#62;alert"));
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains("<script src=\"/assets/live.js\" defer></script>"));
    }
}

#[test]
fn the_list_shows_state_source_patient_age_and_progress() {
    let ended = of_tombstone(&Tombstone {
        id: "0198c0de000070008000000000000002".parse().unwrap(),
        kind: Some(Kind::Upload),
        created: START,
        ended: START,
        end: End::Expired,
        counts: Counts { received: 4, delivered: 4, ..Counts::default() },
    });
    let failed = State::Failed {
        sentence: "the link has expired; ask the sender for a new one".into(),
        again: None,
    };
    let closed = import(
        State::Closed { at: START },
        vec![study(StudyState::Rejected { reason: "x".into(), at: START, work: None })],
    );
    let downloading = import(State::Downloading { interrupted: 0 }, Vec::new());
    let progress = crate::pipeline::Progress {
        stage: "download".into(),
        bytes: 120_000_000,
        total_bytes: Some(480_000_000),
        ..Default::default()
    };
    let brief = |import: &Import| of_import(import, None, Detail::Brief);
    let html = start(
        vec![
            brief(&awaiting_decision()),
            of_import(&downloading, Some(progress), Detail::Brief),
            brief(&asking(QuestionKind::PatBirthDate, "DATE", "?")),
            brief(&forwarding()),
            brief(&import(failed, Vec::new())),
            brief(&closed),
            ended,
        ],
        &Filter::default(),
    );
    keep("start", &html);
    for part in [
        "needs a decision",
        "portal.example.org",
        "Muster, Erika",
        "1980-12-24",
        "1 h",
        "120 of 480 MB",
        "has a question",
        "failed",
        "expired",
        "7 imports",
        "page 1 of 1",
    ] {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn an_empty_list_says_what_to_do() {
    assert!(start(Vec::new(), &Filter::default()).contains("Paste a link"));
    let html = start(Vec::new(), &Filter { state: Some("Failed".into()), ..Filter::default() });
    assert!(html.contains("Nothing fits") && html.contains("<option value=\"Failed\" selected>"));
}

#[test]
fn a_tombstone_offers_no_action() {
    let ended = of_tombstone(&Tombstone {
        id: "0198c0de000070008000000000000002".parse().unwrap(),
        kind: Some(Kind::Upload),
        created: START,
        ended: START,
        end: End::Cancelled,
        counts: Counts::default(),
    });
    let html = shown(ended);
    assert!(
        !html.contains("/erase\"") && !html.contains("/cancel\"") && !html.contains("/retry\"")
    );
}

#[test]
fn the_login_page_says_where_the_token_is() {
    let html = Login { fault: Some("This is not the token.".into()) }.render().unwrap();
    keep("login", &html);
    assert!(html.contains("api.token") && html.contains("role=\"alert\""));
    assert!(!html.contains("Log out"));
}

#[test]
fn sides_are_compared_by_what_they_mean() {
    let foreign = ForeignView {
        patient: PatientView {
            name: Some("MUSTER^ERIKA".into()),
            birth_date: Some("1980-12-24".into()),
            patient_id: Some("1".into()),
            ..PatientView::default()
        },
        ..ForeignView::default()
    };
    let local = PatientView {
        name: Some("Muster^Erika".into()),
        birth_date: Some("1980-12-25".into()),
        patient_id: Some("2".into()),
        sex: Some("F"),
        ..PatientView::default()
    };
    let marks: Vec<_> = compare(&foreign, &local, None, &[]).iter().map(|row| row.mark).collect();
    assert_eq!(marks, ["same", "differs", "missing", "replaced", "", ""]);
}

#[test]
fn names_and_ages_are_for_people() {
    assert_eq!(person("Muster^Erika^^Dr."), "Muster, Erika, Dr.");
    assert_eq!(
        person("Yamada^Tarou=山田^太郎=やまだ^たろう"),
        "Yamada, Tarou (山田, 太郎) (やまだ, たろう)"
    );
    assert_eq!(person("^^^"), "");
    let minutes = |minutes: u64| age(std::time::Duration::from_secs(minutes * 60));
    assert_eq!(
        [minutes(0), minutes(59), minutes(60), minutes(2879), minutes(2880)],
        ["just now", "59 min", "1 h", "47 h", "2 days"]
    );
}

#[test]
fn no_page_has_inline_script_or_style() {
    for html in [
        rendered(&awaiting_decision()),
        rendered(&forwarding()),
        start(Vec::new(), &Filter::default()),
    ] {
        for forbidden in ["style=\"", "onclick", "onload", "<style", "javascript:"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        assert!(html.contains("lang=\"en\""));
    }
    assert!(rendered(&awaiting_decision()).contains(STUDY));
}
