use super::*;
use crate::dicom::AeTitle;
use crate::dimse::{Rejection, Timeouts};

fn instance() -> Uid {
    Uid::new("1.2.3").unwrap()
}

fn readings(pairs: &[(&str, Reading)]) -> Result<Readings, String> {
    let map: std::collections::BTreeMap<_, _> =
        pairs.iter().map(|(code, reading)| ((*code).to_owned(), *reading)).collect();
    Readings::try_from(map)
}

#[test]
fn every_status_has_a_verdict_and_only_stored_ones_are_delivered() {
    for code in 0..=u16::MAX {
        match Judge::default().of_status(Status(code), &instance()) {
            Verdict::Answered(InstanceOutcome::Delivered { status }) => {
                let stored = matches!(code, 0 | 0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF);
                assert!(stored && status == code, "{code:04X}");
            }
            Verdict::Doubtful => assert_eq!(code, 0x0111),
            Verdict::Answered(InstanceOutcome::Refused { sentence, .. })
            | Verdict::Later(sentence)
            | Verdict::Stop(sentence) => assert!(sentence.contains(&format!("{code:04X}"))),
        }
    }
    assert!(matches!(
        Judge::default().of_status(Status(0xA779), &instance()),
        Verdict::Answered(InstanceOutcome::Refused { .. })
    ));
    assert!(matches!(Judge::default().of_status(Status(0xA701), &instance()), Verdict::Stop(_)));
    assert!(matches!(Judge::default().of_status(Status(0x0110), &instance()), Verdict::Later(_)));
}

#[test]
fn what_concerns_the_whole_destination_pauses_it() {
    let remote = Remote {
        address: "pacs:104".into(),
        called: AeTitle::new("PACS").unwrap(),
        calling: AeTitle::new("LOTSE").unwrap(),
        timeouts: Timeouts::default(),
        max_pdu: 16384,
        security: Default::default(),
    };
    let paused = |error: dimse::Error, when| {
        matches!(
            of_error(&error, "pacs", &remote, when),
            Ended::Postponed { pause_destination: true, .. }
        )
    };
    assert!(paused(dimse::Error::Rejected(Rejection::CallingUnknown), When::Before));
    assert!(paused(dimse::Error::Refused("pacs:104".into()), When::Before));
    assert!(!paused(dimse::Error::Closed("sending"), When::During));
    assert!(!may_reconnect(&dimse::Error::TimedOut("waiting")));
    assert!(may_reconnect(&dimse::Error::Closed("sending")));
}

#[test]
fn a_processing_failure_is_tried_a_few_times_and_then_a_person_is_asked() {
    let judge = Judge::default();
    let other = Uid::new("1.2.4").unwrap();
    for _ in 1..FEW {
        assert!(matches!(judge.of_status(Status(0x0110), &instance()), Verdict::Later(_)));
    }
    assert!(matches!(judge.of_status(Status(0x0110), &other), Verdict::Later(_)));
    match judge.of_status(Status(0x0110), &instance()) {
        Verdict::Answered(InstanceOutcome::Refused { status: Some(0x0110), sentence }) => {
            assert!(sentence.contains("tried 5 times"), "{sentence}");
        }
        _ => panic!("a person is asked"),
    }
    // A person's retry begins anew.
    assert!(matches!(judge.of_status(Status(0x0110), &instance()), Verdict::Later(_)));
}

#[test]
fn a_destination_may_mean_something_else() {
    use Reading::{Delivered, Refused, Retry};
    let pairs = [("0111", Delivered), ("C3xx", Retry), ("C310", Refused), ("B000", Refused)];
    let judge = Judge::new(readings(&pairs).unwrap());
    let verdict = |code| judge.of_status(Status(code), &instance());
    assert!(matches!(
        verdict(0x0111),
        Verdict::Answered(InstanceOutcome::Delivered { status: 0x0111 })
    ));
    assert!(matches!(verdict(0xC311), Verdict::Later(_)));
    for code in [0xC310, 0xC400, 0xB000] {
        let refused = matches!(verdict(code), Verdict::Answered(InstanceOutcome::Refused { .. }));
        assert!(refused, "{code:04X}");
    }
    assert!(matches!(
        verdict(0xB006),
        Verdict::Answered(InstanceOutcome::Delivered { status: 0xB006 })
    ));
}

#[test]
fn what_is_no_status_is_refused_with_an_example() {
    for text in ["", "111", "01111", "xxxx", "x111", "G000", "0000", "-111", "+111", " 111"] {
        let error = readings(&[(text, Reading::Retry)]).unwrap_err();
        assert!(error.contains("C3xx"), "{text}: {error}");
    }
}
