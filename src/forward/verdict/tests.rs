use super::*;
use crate::dicom::AeTitle;
use crate::dimse::{Rejection, Timeouts};

#[test]
fn every_status_has_a_verdict_and_only_stored_ones_are_delivered() {
    for code in 0..=u16::MAX {
        match of_status(Status(code)) {
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
        of_status(Status(0xA779)),
        Verdict::Answered(InstanceOutcome::Refused { .. })
    ));
    assert!(matches!(of_status(Status(0xA701)), Verdict::Stop(_)));
    assert!(matches!(of_status(Status(0x0110)), Verdict::Later(_)));
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
