//! Every answer that an N-ACTION may get, from the simulated PACS: what follows, and what people read.

use lotse::dimse::Status;
use lotse::sim::pacs::Fault;
use serde_json::{Value, json};

use super::*;

/// A status, the state of the study when the destination has to commit, and words of the sentence.
type Row = (u16, &'static str, &'static str);

const ROWS: &[Row] = &[
    (0x0105, "Quarantined", "misses an attribute of the request"),
    (0x0106, "Quarantined", "misses an attribute of the request"),
    (0x0110, "Confirming", "failed while it processed the request"),
    (0x0111, "Confirming", "has the same request already"),
    (0x0112, "Quarantined", "does not know the instance that takes such requests"),
    (0x0114, "Quarantined", "misses an argument"),
    (0x0115, "Quarantined", "a value of the request invalid"),
    (0x0117, "Quarantined", "the instance UID of the service invalid"),
    (0x0118, "Quarantined", "does not know the SOP class"),
    (0x0119, "Quarantined", "class and instance of the service differ"),
    (0x0120, "Quarantined", "misses an attribute of the request"),
    (0x0122, "Quarantined", "does not support the SOP class"),
    (0x0123, "Quarantined", "does not know the action"),
    (0x0124, "Quarantined", "allow our AE title"),
    (0x0131, "Confirming", "has seen the transaction UID before"),
    (0x0210, "Quarantined", "the number of our message"),
    (0x0211, "Quarantined", "does not know the operation"),
    (0x0212, "Quarantined", "cannot read an argument"),
    (0x0213, "Confirming", "lacks resources"),
    (0xA700, "Confirming", "lacks resources"),
    (0xC001, "Confirming", "for a reason that the standard does not know"),
];

async fn commits(keys: &'static str) -> (Hospital, Clock) {
    let (clock, source) = clock_at(some_moment());
    let change = move |text: String| {
        text.replace("[destinations.pacs]\n", &format!("[destinations.pacs]\n{keys}\n"))
    };
    (Hospital::start_with(1, source, change).await, clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_a_request_has_its_outcome_and_its_sentence() {
    let (hospital, _) = commits("commitment = \"require\"").await;
    for (code, state, words) in ROWS {
        hospital.world.pacs.set_fault(Fault::Commitment(Status(*code)));
        let id = hospital.admit(Answered::Yes, Order::Named).await;
        // The clock stands still, so whatever waits to be asked again is seen waiting.
        let (now, sentence) = until(&format!("{code:04X}"), async || {
            let shown = hospital.show(id).await;
            let study = &shown["studies"][0];
            let sentence = match study["state"].as_str()? {
                "Confirming" => study["deliveries"][0]["assuranceNote"].as_str()?,
                "Quarantined" => study["nextStep"].as_str()?,
                _ => return None,
            };
            Some((study["state"].as_str()?.to_owned(), sentence.to_owned()))
        })
        .await;
        assert_eq!(now, *state, "{code:04X}: {sentence}");
        assert!(sentence.contains(words), "{code:04X}: {sentence}");
        assert!(sentence.contains(&format!("(status {code:04X})")), "{sentence}");
        let import = hospital.import(id);
        let commitment = commitment(&import).unwrap();
        assert_eq!(commitment.asked.len(), 0, "{code:04X}: its transaction UID is dead");
        assert_eq!(commitment.assurance(), None, "{code:04X}: nothing vouches for it");
        let path = format!("/api/v1/imports/{id}/cancel");
        let _: Value = hospital.control.post_json(&path, &json!({})).await.unwrap();
        hospital.buried(id).await;
    }
    hospital.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_need_not_commit_is_asked_again_only_where_that_may_help() {
    let (hospital, clock) = commits("").await;
    for (code, state, words) in ROWS {
        hospital.world.pacs.set_fault(Fault::Commitment(Status(*code)));
        let id = hospital.admit(Answered::Yes, Order::Named).await;
        let shown = until(&format!("{code:04X}"), async || {
            let shown = hospital.show(id).await;
            let noted = shown["studies"][0]["deliveries"][0]["assuranceNote"].is_string();
            noted.then_some(shown)
        })
        .await;
        let note = &shown["studies"][0]["deliveries"][0]["assuranceNote"];
        assert!(note.as_str().unwrap().contains(words), "{code:04X}: {note}");
        let import = if *state == "Quarantined" {
            hospital.closed(id).await
        } else {
            let import = hospital.import(id);
            assert_eq!(import.studies[0].state.name(), "Confirming", "{code:04X}");
            moving(&hospital, &clock, id, "Closed", is_closed).await
        };
        assert_eq!(assurance(&import), Some(Assurance::Answered), "{code:04X}");
        // It is asked again after an hour at the earliest.
        clock.advance(HOUR);
    }
    hospital.stop().await;
}
