//! Imports: requests, their refusals, questions, events, decisions, and what can be done to them.

use lotse::sim::{pacs, portal};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::desk::Hospital;
use super::super::support::eventually;
use super::{ask, get, post, waiting_study};

const IMPORTS: &str = "/api/v1/imports";

#[tokio::test]
async fn a_request_is_checked_at_the_door() {
    let desk = Hospital::open().await;
    let link = desk.world.portal.link();
    for (body, status) in [
        (json!({}), 422),
        (json!({"link": ""}), 422),
        (json!({"link": "portal"}), 422),
        (json!({"link": "javascript:alert(1)"}), 422),
        (json!({"link": "file:///etc/passwd"}), 422),
        (json!({"link": 1}), 400),
        (json!([]), 400),
        (json!({"link": link, "acessionNumber": "1"}), 400),
        (json!({"link": link, "patient": {"patientId": ""}}), 422),
        (json!({"link": link, "patient": {"id": "1"}}), 400),
        (json!({"link": link, "patient": {"patientId": "1\\2"}}), 422),
        (json!({"link": link, "accessionNumber": "x".repeat(65)}), 422),
        (json!({"link": link, "answers": {"PAT_BIRTH_DATE": "1980-02-30"}}), 422),
        (json!({"link": link, "destination": "nowhere"}), 422),
    ] {
        let answer = post(&desk, IMPORTS, body.clone()).await;
        let detail = answer.refused(status).to_owned();
        assert!(!detail.contains(&link), "{body}: {detail}");
    }
    let request = desk.daemon.api.request(Method::POST, IMPORTS);
    let answer = request.header("content-type", "application/json").body("{\"link\": ").send();
    super::Answer::of(answer.await.unwrap()).await.refused(400);
    let request = desk.daemon.api.request(Method::POST, IMPORTS).body("x");
    let answer = request.header("content-type", "text/plain").send().await.unwrap();
    super::Answer::of(answer).await.refused(415);
    assert_eq!(get(&desk, IMPORTS).await.body["total"], 0);
    assert_eq!(desk.keys(), 0, "nothing was begun");
    desk.close().await;
}

/// The states that an event stream tells, until it ends.
async fn told(desk: &Hospital, id: &str) -> Vec<Value> {
    let path = format!("{IMPORTS}/{id}/events");
    let stream = desk.daemon.api.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let text = stream.text().await.unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.map(|data| serde_json::from_str(data.trim()).unwrap()).collect()
}

#[tokio::test]
async fn a_link_is_followed_by_events_to_its_end() {
    let desk = Hospital::open().await;
    let (api, sample) = (&desk.daemon.api, desk.world.sample);
    let created = post(&desk, IMPORTS, json!({"link": desk.world.portal.link()})).await;
    assert_eq!(created.status, 202);
    let id = created.body["id"].as_str().unwrap().to_owned();
    assert_eq!(created.headers["location"], format!("{IMPORTS}/{id}"));
    let path = format!("{IMPORTS}/{id}");

    let walk = async {
        let asking = api.until_state(&id, "Asking").await;
        for key in [
            "kind", "created", "changed", "source", "progress", "nextStep", "counts", "studies",
            "setAside",
        ] {
            assert!(!asking[key].is_null(), "{key} in {asking}");
        }
        assert_eq!(asking["kind"], "link");
        assert_eq!(asking["source"], "127.0.0.1", "the host, never the link");
        // A person takes longer; the stream tells at most ten times a second.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let question = &asking["questions"][0];
        assert_eq!((&question["key"], &question["type"]), (&json!("1"), &json!("PAT_BIRTH_DATE")));
        assert_eq!(question["format"], "DATE");

        let answers = format!("{path}/answers");
        post(&desk, &answers, json!({})).await.refused(400);
        post(&desk, &answers, json!({"answers": {}})).await.refused(422);
        post(&desk, &answers, json!({"answers": {"7": "x"}})).await.refused(422);
        post(&desk, &answers, json!({"answers": {"1": "yesterday"}})).await.refused(422);
        let wrong = json!({"answers": {"PAT_BIRTH_DATE": "1999-12-31"}});
        assert_eq!(post(&desk, &answers, wrong).await.status, 200);
        let again = api
            .until(&id, "the question again", |import| {
                import["state"] == "Asking"
                    && import["nextStep"].as_str().unwrap().contains("did not accept")
            })
            .await;
        assert_eq!(again["questions"], asking["questions"]);
        // By the portal's own name of the question, this time.
        let right = json!({"answers": {"1": sample.birth_date()}});
        assert_eq!(post(&desk, &answers, right).await.status, 200);

        let waiting = api.until_studies(&id, "AwaitingDecision").await;
        post(&desk, &answers, json!({"answers": {"1": "1999-12-31"}})).await.refused(409);
        let study = &waiting["studies"][0];
        let best = &study["candidates"][0];
        for key in ["itemId", "rank", "score", "evidence", "seen", "patient", "accessionNumber"] {
            assert!(!best[key].is_null(), "{key} in {best}");
        }
        let decision = format!("{path}/studies/{}/decision", sample.study_uid());
        let item = best["itemId"].as_str().unwrap();
        let seen =
            |seen: &Value| json!({"item": item, "seen": {(item): seen}, "reason": "compared"});
        let stale = post(&desk, &decision, seen(&json!("0000"))).await;
        assert!(stale.refused(409).contains("has changed since you looked"));
        let body = seen(&best["seen"]);
        assert_eq!(post(&desk, &decision, body).await.status, 200);
        let closed = api.until_state(&id, "Closed").await;
        let study = &closed["studies"][0];
        assert_eq!(study["state"], "Confirmed");
        assert_eq!(study["decision"]["actor"], "token");
        let delivery = &study["deliveries"][0];
        assert_eq!(
            (&delivery["destination"], &delivery["state"]),
            (&json!("pacs"), &json!("Delivered"))
        );
        assert_eq!((&delivery["delivered"], &delivery["failed"]), (&json!(4), &json!(0)));
        let changed: Vec<_> =
            study["changes"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert!(changed.contains(&&json!("PatientID")), "{changed:?}");
        let late = json!({"reject": true, "reason": "late"});
        for (path, body) in [
            (&decision, late),
            (&format!("{path}/retry"), json!({})),
            (&format!("{path}/cancel"), json!({})),
        ] {
            let answer = post(&desk, path, body).await;
            let told = answer.refused(409);
            assert!(!told.contains("does not fit"), "for people, not of events: {told}");
        }
    };
    let (events, ()) = tokio::join!(told(&desk, &id), walk);

    let mut states: Vec<_> = events.iter().map(|event| event["state"].as_str().unwrap()).collect();
    states.dedup();
    // What lasts a tenth of a second may be skipped; a question lasts.
    assert!(states.contains(&"Asking"), "{states:?}");
    assert_eq!(states.last(), Some(&"Closed"), "the stream ends with the import");
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.to_lowercase().contains("musterfrau"), "events name no patient");
    assert_eq!(told(&desk, &id).await.len(), 1, "what has ended is told once");

    // Erased, and still known by its number.
    assert_eq!(ask(&desk, Method::DELETE, &path, None).await.status, 204);
    let erased = get(&desk, &path).await;
    assert_eq!((erased.status, &erased.body["state"]), (200, &json!("Erased")));
    assert!(!erased.body.to_string().to_lowercase().contains("musterfrau"));
    assert_eq!(desk.keys(), 0, "its key is gone");
    desk.close().await;
}

#[tokio::test]
async fn a_person_decides_in_three_ways() {
    let desk = Hospital::open().await;
    let api = &desk.daemon.api;
    let (first, uid, import) = waiting_study(&desk, 11).await;
    let decision = |id: &str, uid: &str| format!("{IMPORTS}/{id}/studies/{uid}/decision");
    let here = decision(&first, &uid);
    let item = import["studies"][0]["candidates"][0]["itemId"].clone();
    let patient = json!({"patientId": "4711", "issuer": "KB", "name": "Muster^Erika", "birthDate": "1964-08-12", "sex": "F"});

    for (body, status) in [
        (json!({"item": item}), 400),
        (json!({"item": item, "reason": " "}), 422),
        (json!({"item": item, "reason": "x".repeat(501)}), 422),
        (json!({"item": item, "reject": true, "reason": "x"}), 422),
        (json!({"reject": false, "reason": "x"}), 422),
        (json!({"reason": "x"}), 422),
        (json!({"item": "0000000000000000", "reason": "x"}), 422),
        (json!({"noOrder": {"patientId": "1"}, "reason": "x"}), 400),
        (json!({"noOrder": {"patientId": "1", "name": "^"}, "reason": "x"}), 422),
        (json!({"noOrder": {"patientId": "1", "name": "A^B", "sex": "W"}, "reason": "x"}), 422),
        (
            json!({"noOrder": {"patientId": "1", "name": "A^B", "birthDate": "1980-13-01"}, "reason": "x"}),
            422,
        ),
        (json!({"because": "x"}), 400),
    ] {
        post(&desk, &here, body).await.refused(status);
    }
    let body = json!({"reject": true, "reason": "x"});
    post(&desk, &decision(&first, "1.2.3"), body.clone()).await.refused(404);
    post(&desk, &decision(&first, "no-uid"), body).await.refused(404);
    assert_eq!(
        api.import(&first).await["studies"][0]["state"],
        "AwaitingDecision",
        "nothing moved"
    );

    let mut body = json!({"noOrder": patient, "confirmed": false, "reason": "no order will come"});
    let answer = post(&desk, &here, body.clone()).await;
    assert!(answer.refused(409).contains("look again at the patient"), "another name");
    body.as_object_mut().unwrap().remove("confirmed");
    assert_eq!(post(&desk, &here, body).await.status, 200);
    let import = api.until_state(&first, "Closed").await;
    let made = &import["studies"][0]["decision"];
    assert_eq!(
        (&made["patient"]["patientId"], &made["accessionNumber"]),
        (&json!("4711"), &Value::Null)
    );
    assert_eq!(desk.world.pacs.received().len(), 1);

    let (second, uid, _) = waiting_study(&desk, 12).await;
    let body = json!({"reject": true, "reason": "of somebody else"});
    assert_eq!(post(&desk, &decision(&second, &uid), body).await.status, 200);
    let import = api.until_state(&second, "Closed").await;
    assert_eq!(import["studies"][0]["state"], "Rejected");
    assert_eq!(import["counts"]["rejected"], 1);
    assert_eq!(desk.world.pacs.received().len(), 1, "nothing of it was sent");

    let (third, uid, import) = waiting_study(&desk, 13).await;
    let last = import["studies"][0]["candidates"].as_array().unwrap().last().unwrap().clone();
    let body = json!({"item": last["itemId"], "reason": "the name was misspelt there"});
    assert_eq!(post(&desk, &decision(&third, &uid), body).await.status, 200);
    let import = api.until_state(&third, "Closed").await;
    let made = &import["studies"][0]["decision"];
    assert_eq!(made["accessionNumber"], last["accessionNumber"]);
    assert!(
        !made["overridden"].as_array().unwrap().is_empty(),
        "what spoke against it is kept: {made}"
    );
    desk.close().await;
}

#[tokio::test]
async fn imports_are_listed_retried_cancelled_and_erased() {
    let desk = Hospital::open().await;
    let api = &desk.daemon.api;
    let (waiting, ..) = waiting_study(&desk, 21).await;
    let asking = api.import_link(&json!({"link": desk.world.portal.link()})).await;
    api.until_state(&asking, "Asking").await;

    let list = async |query: &str| {
        let answer = get(&desk, &format!("{IMPORTS}?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let imports = answer.body["imports"].as_array().unwrap().clone();
        imports.iter().map(|import| import["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (both, first, second) =
        (vec![asking.clone(), waiting.clone()], [asking.clone()], [waiting.clone()]);
    assert_eq!(list("").await, both, "the newest first");
    assert_eq!(list("state=Asking").await, first);
    assert_eq!(list("state=awaitingdecision").await, second);
    assert_eq!(list("state=Closed").await, [""; 0]);
    assert_eq!(list("q=erika%20musterfrau").await, second);
    assert_eq!(list("q=127.0.0").await, first);
    assert_eq!(list("q=nobody").await, [""; 0]);
    assert_eq!(list("page=2").await, [""; 0]);
    for query in ["page=0", "page=x", "size=3", &format!("q={}", "a".repeat(200))] {
        let answer = get(&desk, &format!("{IMPORTS}?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
    }

    // Trying again asks the worklist again.
    let queries = desk.world.ris.queries();
    assert_eq!(post(&desk, &format!("{IMPORTS}/{waiting}/retry"), json!({})).await.status, 200);
    api.until_studies(&waiting, "AwaitingDecision").await;
    assert!(desk.world.ris.queries() > queries);

    let cancel = format!("{IMPORTS}/{asking}/cancel");
    let cancelled = ask(&desk, Method::POST, &cancel, None).await;
    assert_eq!(
        (cancelled.status, &cancelled.body["state"]),
        (200, &json!("Cancelled")),
        "{}",
        cancelled.body
    );
    let status = ask(&desk, Method::POST, &cancel, None).await.status;
    assert!(matches!(status, 200 | 404 | 409), "{status}");
    assert_eq!(api.import(&asking).await["state"], "Cancelled");

    let path = format!("{IMPORTS}/{waiting}");
    assert_eq!(ask(&desk, Method::DELETE, &path, None).await.status, 204);
    assert_eq!(get(&desk, &path).await.body["state"], "Erased");
    let status = ask(&desk, Method::DELETE, &path, None).await.status;
    assert!(matches!(status, 204 | 404 | 409), "{status}");
    eventually("both keys to be gone", || async { (desk.keys() == 0).then_some(()) }).await;
    assert_eq!(list("state=Erased").await, second);
    desk.close().await;
}

#[tokio::test]
async fn what_fails_says_so_and_can_be_tried_again() {
    let desk = Hospital::with(|setup| setup.retry("5m", "5m")).await;
    let api = &desk.daemon.api;
    // The portal is down.
    let faults = portal::Faults { link: portal::AtLink::Status(500), ..portal::Faults::default() };
    desk.world.portal.misbehave(faults);
    let id = api.import_link(&json!({"link": desk.world.portal.link()})).await;
    let held = api
        .until(&id, "a note", |import| {
            import["state"] == "Failed"
                || import["nextStep"].as_str().unwrap().contains("tried again")
        })
        .await;
    assert!(held["nextStep"].as_str().unwrap().len() > 20, "{held}");
    desk.world.portal.misbehave(portal::Faults::default());
    let retry = format!("{IMPORTS}/{id}/retry");
    assert_eq!(post(&desk, &retry, json!({})).await.status, 200);
    api.until_state(&id, "Asking").await;

    // The PACS refuses, then comes back.
    desk.world.pacs.set_fault(pacs::Fault::OutOfResources { every: 1 });
    let answers = json!({"answers": {"PAT_BIRTH_DATE": desk.world.sample.birth_date()}});
    assert_eq!(post(&desk, &format!("{IMPORTS}/{id}/answers"), answers).await.status, 200);
    let import = api.until_studies(&id, "AwaitingDecision").await;
    let item = &import["studies"][0]["candidates"][0]["itemId"];
    let decision = format!("{IMPORTS}/{id}/studies/{}/decision", desk.world.sample.study_uid());
    assert_eq!(post(&desk, &decision, json!({"item": item, "reason": "x"})).await.status, 200);
    let held = api
        .until(&id, "an error of the delivery", |import| {
            !import["studies"][0]["deliveries"][0]["lastError"].is_null()
        })
        .await;
    assert_eq!(held["counts"]["delivered"], 0);
    desk.world.pacs.set_fault(pacs::Fault::None);
    assert_eq!(post(&desk, &retry, json!({})).await.status, 200);
    api.until_state(&id, "Closed").await;
    desk.close().await;
}
