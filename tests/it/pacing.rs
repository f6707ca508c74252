//! Destinations that fail, rest, are paused or slow: each by itself, and what people read of it.

use std::time::Duration;

use lotse::dimse::Status;
use lotse::import::{Import, StudyState};
use lotse::sim::pacs::{Fault, Pacs};
use serde_json::{Value, json};

use crate::hospital::{Answered, Hospital, Order, clock_at, some_moment, until};

const SLICES: u16 = 12;

/// With a second destination, and waits as in a hospital.
fn two(archive: &Pacs, retry: &str) -> impl FnOnce(String) -> String + use<> {
    let (address, retry) = (archive.address(), retry.to_owned());
    move |text| {
        let text = text.replace("longest = \"1s\"", "longest = \"15m\"");
        format!(
            "{text}\n[peers.archive]\nae-title = \"ARCHIVE\"\naddress = \"{address}\"\n\
             [destinations.archive]\npeer = \"archive\"\n{retry}\n"
        )
    }
}

fn attempts(import: &Import, destination: &str) -> u32 {
    let deliveries = import.studies.iter().filter_map(|s| s.work()).flat_map(|w| &w.deliveries);
    deliveries.filter(|d| d.destination.0 == destination).map(|d| d.attempts).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_destination_is_down_for_an_hour_and_the_other_does_not_notice() {
    let archive = Pacs::start(Fault::Congested, None).await.unwrap();
    let (clock, source) = clock_at(some_moment());
    let change = two(&archive, "retry = \"10s x2 up to 15m\"");
    let hospital = Hospital::start_with(SLICES, source, change).await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let all = usize::from(SLICES) + 1;
    // At full speed: not a second of simulated time passes before the other has everything.
    until("everything at the PACS", async || {
        (hospital.world.pacs.received().len() == all).then_some(())
    })
    .await;
    until("a first attempt", async || {
        (attempts(&hospital.import(id), "archive") > 0).then_some(())
    })
    .await;
    let shown = hospital.control.get_json::<Value>("/status").await.unwrap();
    assert_eq!(shown["destinations"]["archive"]["state"], "resting", "{shown}");
    assert_eq!(shown["destinations"]["pacs"]["state"], "ready", "{shown}");
    for _ in 0..360 {
        clock.advance(Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
        if clock.now().running_ms % 200_000 == 0 {
            hospital.turns().await;
        }
    }
    hospital.turns().await;
    let import = hospital.import(id);
    assert_eq!(archive.requests(), 0);
    // 10 s, 20 s, 40 s … 15 min, each up to a fifth shorter: eight to eleven in an hour, if every one was seen.
    let tried = attempts(&import, "archive");
    assert!((4..=12).contains(&tried), "{tried} attempts in an hour");
    assert_eq!(import.counts().quarantined, 0, "it needs no person");

    archive.set_fault(Fault::None);
    until("Closed", async || {
        clock.advance(Duration::from_secs(5));
        (hospital.import(id).state.name() == "Closed").then_some(())
    })
    .await;
    for pacs in [&hospital.world.pacs, &archive] {
        let received = pacs.received();
        assert_eq!(received.len(), all);
        assert!(received.values().all(|object| object.count == 1), "nothing twice");
    }
    hospital.stop().await;
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_destination_waits_for_its_resumption_and_the_other_does_not() {
    let archive = Pacs::start(Fault::None, None).await.unwrap();
    let mut hospital =
        Hospital::start_with(SLICES, lotse::gateway::ClockSource::System, two(&archive, "")).await;
    let path = |word: &str| format!("/api/v1/destinations/archive/{word}");
    let paused: Value = hospital.control.post_json(&path("pause"), &json!({})).await.unwrap();
    assert_eq!(paused, json!({"destination": "archive", "paused": true}));
    let unknown = hospital
        .control
        .post_json::<_, Value>("/api/v1/destinations/nowhere/pause", &json!({}))
        .await;
    assert!(unknown.unwrap_err().to_string().contains("archive, pacs"));
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let all = usize::from(SLICES) + 1;
    until("everything at the PACS", async || {
        (hospital.world.pacs.received().len() == all).then_some(())
    })
    .await;
    let is_paused = async |hospital: &Hospital| {
        let status: Value = hospital.control.get_json("/status").await.unwrap();
        let health = &status["destinations"]["archive"];
        (health["state"] == "paused" && health["waitingStudies"] == 1).then_some(())
    };
    is_paused(&hospital).await.unwrap();
    // Whoever stopped it does not want a restart to let it go.
    hospital = hospital.restart(lotse::gateway::ClockSource::System).await;
    until("the study to wait again", async || is_paused(&hospital).await).await;
    assert_eq!(archive.requests(), 0);
    let _: Value = hospital.control.post_json(&path("resume"), &json!({})).await.unwrap();
    let import = hospital.closed(id).await;
    assert_eq!(import.counts().delivered, u64::from(SLICES));
    assert!(archive.received().values().all(|object| object.count == 1));
    assert!(hospital.world.pacs.received().values().all(|object| object.count == 1));
    hospital.stop().await;
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_its_turn_is_not_cut_off_by_restarts() {
    let archive = Pacs::start(Fault::None, None).await.unwrap();
    let change = two(&archive, "paused = true");
    let mut hospital =
        Hospital::start_with(SLICES, lotse::gateway::ClockSource::System, change).await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let all = usize::from(SLICES) + 1;
    until("everything at the PACS", async || {
        (hospital.world.pacs.received().len() == all).then_some(())
    })
    .await;
    // More than a study that was cut off while it was sent may see.
    for _ in 0..4 {
        hospital = hospital.restart(lotse::gateway::ClockSource::System).await;
    }
    assert_eq!(archive.requests(), 0);
    let resume = "/api/v1/destinations/archive/resume";
    let refused = hospital.control.post_json::<_, Value>(resume, &json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("take `paused = true` out"), "{refused}");
    let text = std::fs::read_to_string(&hospital.file).unwrap();
    std::fs::write(&hospital.file, text.replace("paused = true", "")).unwrap();
    hospital = hospital.restart(lotse::gateway::ClockSource::System).await;
    let import = hospital.closed(id).await;
    assert_eq!(import.counts().delivered, u64::from(SLICES));
    assert!(archive.received().values().all(|object| object.count == 1));
    assert!(hospital.world.pacs.received().values().all(|object| object.count == 1));
    hospital.stop().await;
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_opens_by_the_clock_of_the_site() {
    let archive = Pacs::start(Fault::None, None).await.unwrap();
    // 12:00 in UTC, which is the zone of this site.
    let noon = lotse::clock::Moment { wall_ms: 1_767_268_800_000, running_ms: 1_000_000 };
    let (clock, source) = clock_at(noon);
    let change = two(&archive, "window = \"20:00-06:00\"");
    let hospital = Hospital::start_with(SLICES, source, |text| {
        change(text).replace("[gateway]\n", "[gateway]\ntimezone = \"Etc/UTC\"\n")
    })
    .await;
    let id = hospital.admit(Answered::Yes, Order::Open).await;
    decide(&hospital, id).await;
    let all = usize::from(SLICES) + 1;
    until("everything at the PACS", async || {
        (hospital.world.pacs.received().len() == all).then_some(())
    })
    .await;
    clock.advance(Duration::from_secs(7 * 3600));
    hospital.turns().await;
    let status: Value = hospital.control.get_json("/status").await.unwrap();
    assert_eq!(status["destinations"]["archive"]["state"], "closed");
    assert_eq!(archive.requests(), 0, "it is seven in the evening");
    clock.advance(Duration::from_secs(3600));
    hospital.closed(id).await;
    assert_eq!(archive.received().len(), all);
    hospital.stop().await;
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_that_ends_gives_the_study_to_a_person() {
    let archive = Pacs::start(Fault::Congested, None).await.unwrap();
    let (clock, source) = clock_at(some_moment());
    let change = two(&archive, "retry = \"10s, 30s, then every 1m for 10m\"");
    let hospital = Hospital::start_with(SLICES, source, change).await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    until("a first attempt", async || {
        (attempts(&hospital.import(id), "archive") > 0).then_some(())
    })
    .await;
    // Another one waits behind it, and may never get its turn.
    let behind = hospital.admit(Answered::Yes, Order::Named).await;
    let forwards = |import: &Import| {
        import.studies.first().is_some_and(|study| study.state.name() == "Forwarding")
    };
    hospital.wait(behind, "Forwarding", forwards).await;
    let began = clock.now();
    let held = |id| match &hospital.import(id).studies.first()?.state {
        StudyState::Quarantined { sentence, .. } => Some(sentence.clone()),
        _ => None,
    };
    let (sentence, other) = until("Quarantined", async || {
        clock.advance(Duration::from_secs(1));
        held(id).zip(held(behind))
    })
    .await;
    assert!(sentence.contains("archive") && sentence.contains("10m"), "{sentence}");
    assert!(other.contains("archive") && other.contains("10m"), "{other}");
    let tried = [&sentence, &other].iter().any(|sentence| {
        sentence.contains("congested for the moment") && sentence.contains("was tried for 10m")
    });
    let waited = clock.now().since(began);
    assert!(waited >= Duration::from_secs(590), "{waited:?}, tried: {tried}");
    let tried = attempts(&hospital.import(id), "archive");
    assert!((2..=16).contains(&tried), "{tried} attempts in ten minutes");
    archive.set_fault(Fault::None);
    for id in [id, behind] {
        let path = format!("/api/v1/imports/{id}/retry");
        let _: Value = hospital.control.post_json(&path, &json!({})).await.unwrap();
        until("Closed", async || {
            clock.advance(Duration::from_secs(5));
            (hospital.import(id).state.name() == "Closed").then_some(())
        })
        .await;
    }
    assert_eq!(archive.received().len(), usize::from(SLICES) + 1);
    hospital.stop().await;
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_does_not_end_while_its_window_is_closed() {
    let archive = Pacs::start(Fault::Congested, None).await.unwrap();
    // 12:00 in UTC, which is the zone of this site.
    let noon = lotse::clock::Moment { wall_ms: 1_767_268_800_000, running_ms: 1_000_000 };
    let (clock, source) = clock_at(noon);
    let change = two(&archive, "window = \"08:00-12:30\"\nretry = \"every 30m for 3h\"");
    let hospital = Hospital::start_with(SLICES, source, |text| {
        change(text).replace("[gateway]\n", "[gateway]\ntimezone = \"Etc/UTC\"\n")
    })
    .await;
    let first = hospital.admit(Answered::Yes, Order::Open).await;
    decide(&hospital, first).await;
    // The same study again is filed as it was.
    let second = hospital.admit(Answered::Yes, Order::Open).await;
    let filed = |import: &Import| {
        import.studies.first().is_some_and(|study| study.state.name() == "Forwarding")
    };
    hospital.wait(second, "Forwarding", filed).await;
    let ids = [first, second];
    // One was tried, the other may wait behind it.
    until("a first attempt", async || {
        let tried = |id: &lotse::import::ImportId| attempts(&hospital.import(*id), "archive");
        (ids.iter().map(tried).sum::<u32>() > 0).then_some(())
    })
    .await;
    // Both come due and wait for the morning.
    clock.advance(Duration::from_secs(40 * 60));
    looked(&hospital).await;
    clock.advance(Duration::from_secs(19 * 3600));
    looked(&hospital).await;
    let forwards = |id| hospital.import(id).studies[0].state.name() == "Forwarding";
    assert!(ids.into_iter().all(forwards), "it was closed for nearly all of the time");
    // The first attempt of the morning fails as well: it is not the last one.
    let before: u32 = ids.iter().map(|id| attempts(&hospital.import(*id), "archive")).sum();
    clock.advance(Duration::from_secs(40 * 60));
    until("an attempt in the morning", async || {
        let now: u32 = ids.iter().map(|id| attempts(&hospital.import(*id), "archive")).sum();
        (now > before).then_some(())
    })
    .await;
    looked(&hospital).await;
    assert!(ids.into_iter().all(forwards));
    archive.set_fault(Fault::None);
    for id in ids {
        until("Closed", async || {
            clock.advance(Duration::from_secs(5));
            (hospital.import(id).state.name() == "Closed").then_some(())
        })
        .await;
    }
    hospital.stop().await;
    archive.stop().await;
}

/// Gives what waits for its turn the time to look at the clock.
async fn looked(hospital: &Hospital) {
    hospital.turns().await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
}

/// By a person, since the worklist is that of another day.
async fn decide(hospital: &Hospital, id: lotse::import::ImportId) {
    let waiting = |import: &Import| {
        import.studies.iter().any(|s| matches!(s.state, StudyState::AwaitingDecision { .. }))
    };
    let import = hospital.wait(id, "AwaitingDecision", waiting).await;
    let study = import.studies[0].uid.to_string();
    let path = format!("/api/v1/imports/{id}/studies/{study}/decision");
    let patient = json!({"patientId": "4711007", "name": "Beispiel^Eva", "birthDate": "1964-08-12", "sex": "F"});
    let decision = json!({"noOrder": patient, "reason": "asked", "confirmed": true});
    let _: Value = hospital.control.post_json(&path, &decision).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_is_back_with_the_first_object_that_it_stores() {
    let archive = Pacs::start(Fault::Congested, None).await.unwrap();
    let (clock, source) = clock_at(some_moment());
    let change = two(&archive, "retry = \"every 1m\"");
    let hospital = Hospital::start_with(SLICES, source, change).await;
    let id = hospital.admit(Answered::Yes, Order::Named).await;
    let state = async || {
        let status: Value = hospital.control.get_json("/status").await.unwrap();
        (status["destinations"]["archive"]["state"].clone(), status["alarms"].to_string())
    };
    until("an alarm", async || {
        let (state, alarms) = state().await;
        (state == "resting" && alarms.contains("archive takes nothing now")).then_some(())
    })
    .await;
    // Thirteen objects of a second each: the first is recorded long before the run ends.
    archive.set_fault(Fault::Late { millis: 1_000 });
    until("the end of the alarm", async || {
        clock.advance(Duration::from_secs(5));
        let (_, alarms) = state().await;
        (!alarms.contains("archive takes nothing now")).then_some(())
    })
    .await;
    assert_eq!(hospital.import(id).state.name(), "Unpacked");
    assert!(archive.received().len() <= usize::from(SLICES), "not all of it is there");
    archive.set_fault(Fault::None);
    hospital.closed(id).await;
    hospital.stop().await;
    archive.stop().await;
}

/// One row of the table: how it is provoked, the state of the study, and words of the sentence.
type Row = (Fault, &'static str, &'static str);

const ROWS: &[Row] = &[
    (Fault::None, "Closed", ""),
    (Fault::Answer(Status(0xB000)), "Closed", "changed elements"),
    (Fault::Answer(Status(0xB006)), "Closed", "left elements out"),
    (Fault::Answer(Status(0xB007)), "Closed", "does not fit its class"),
    (Fault::Answer(Status(0xA700)), "Forwarding", "out of resources; it is tried again"),
    (Fault::Answer(Status(0xA7FE)), "Forwarding", "out of resources; it is tried again"),
    (Fault::Answer(Status(0xA779)), "Quarantined", "holds other patient data"),
    (Fault::Answer(Status(0xA900)), "Quarantined", "does not fit its class"),
    (Fault::Answer(Status(0xA9FE)), "Quarantined", "does not fit its class"),
    (Fault::Answer(Status(0xC000)), "Quarantined", "cannot understand the object"),
    (Fault::Answer(Status(0xC123)), "Quarantined", "cannot understand the object"),
    (Fault::Answer(Status(0x0110)), "Forwarding", "failed while processing"),
    (Fault::Answer(Status(0x0117)), "Quarantined", "refuses the instance UID"),
    (Fault::Answer(Status(0x0122)), "Quarantined", "does not take this kind of object"),
    (Fault::Answer(Status(0x0124)), "Quarantined", "allow our AE title"),
    (Fault::Answer(Status(0x0111)), "Quarantined", "has this instance already"),
    (Fault::Answer(Status(0x0112)), "Quarantined", "does not know this instance"),
    (Fault::Answer(Status(0x0210)), "Quarantined", "misunderstood the other"),
    (Fault::Answer(Status(0x0211)), "Quarantined", "misunderstood the other"),
    (Fault::Answer(Status(0x0212)), "Quarantined", "misunderstood the other"),
    (Fault::AbortWithin { bytes: 1 }, "Forwarding", "aborted the association"),
    (Fault::AbortBeforeResponse, "Forwarding", "aborted the association"),
    (Fault::Congested, "Forwarding", "congested for the moment"),
    (Fault::RefuseAssociation, "Forwarding", "does not know our AE title"),
    (Fault::NoStorage, "Quarantined", "does not take SOP class"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_the_status_table_has_its_outcome_and_its_sentence() {
    let hospital = Hospital::start(1).await;
    for (fault, state, words) in ROWS {
        hospital.world.pacs.set_fault(*fault);
        let before = hospital.world.pacs.received();
        let id = hospital.admit(Answered::Yes, Order::Named).await;
        let told = until(&format!("{fault:?}"), async || {
            let shown = hospital.show(id).await;
            let study = &shown["studies"][0];
            let delivery = &study["deliveries"][0];
            let now =
                if shown["state"] == "Closed" { "Closed" } else { study["state"].as_str()? };
            let sentence = match now {
                "Closed" => delivery["warning"].as_str().unwrap_or(""),
                "Quarantined" => study["nextStep"].as_str()?,
                // Not while the other object is on its way.
                "Forwarding" if delivery["state"] == "Waiting" => delivery["lastError"].as_str()?,
                _ => return None,
            };
            Some((now.to_owned(), sentence.to_owned()))
        })
        .await;
        assert_eq!(told.0, *state, "{fault:?}: {}", told.1);
        assert!(told.1.contains(words), "{fault:?}: {}", told.1);
        let counts = hospital.import(id).counts();
        assert!(counts.is_conserved());
        let stored = hospital.world.pacs.received().len() > before.len()
            || hospital.world.pacs.received().values().map(|o| o.count).sum::<u32>()
                > before.values().map(|o| o.count).sum();
        let stores = *state == "Closed" || *fault == Fault::AbortBeforeResponse;
        assert_eq!(stored, stores, "{fault:?}");
        if *state != "Closed" {
            assert_eq!(counts.delivered, 0, "{fault:?}: nothing counts that was not answered for");
            let path = format!("/api/v1/imports/{id}/cancel");
            let _: Value = hospital.control.post_json(&path, &json!({})).await.unwrap();
            hospital.buried(id).await;
        }
    }
    hospital.stop().await;
}
