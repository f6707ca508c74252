use super::*;
use dicom_ul::pdu::{
    AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason,
    AssociationRJSource, PresentationContextResultReason as Reason,
};

async fn answer_to(pdu: &Pdu) -> Option<Pdu> {
    let (address, _task) = acceptor(terms()).await;
    let mut raw = Raw::connect(address).await;
    raw.send(pdu).await;
    raw.read().await
}

fn changed(change: impl FnOnce(&mut AssociationRQ)) -> Pdu {
    let Pdu::AssociationRQ(mut rq) = request(vec![context(1, CT, &[EXPLICIT])]) else {
        unreachable!()
    };
    change(&mut rq);
    Pdu::AssociationRQ(rq)
}

fn rejection(pdu: Option<Pdu>) -> (AssociationRJResult, AssociationRJSource) {
    match pdu {
        Some(Pdu::AssociationRJ(AssociationRJ { result, source })) => (result, source),
        other => panic!("not rejected: {other:?}"),
    }
}

#[tokio::test]
async fn a_request_of_71_kilobytes_is_accepted() {
    let root = "1.2.840.10008.1.2.4.";
    let syntaxes: Vec<String> = (0..20).map(|i| format!("{root}{}", 1000 + i)).collect();
    let mut syntaxes: Vec<&str> = syntaxes.iter().map(String::as_str).collect();
    syntaxes.push(EXPLICIT);
    let contexts: Vec<_> = (1..=255).step_by(2).map(|id| context(id, CT, &syntaxes)).collect();
    let pdu = request(contexts);
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &pdu).unwrap();
    assert!(bytes.len() > 71_000, "{}", bytes.len());
    match answer_to(&pdu).await {
        Some(Pdu::AssociationAC(answer)) => {
            assert_eq!(answer.presentation_contexts.len(), 128);
            let accepted = |reason: &Reason| *reason == Reason::Acceptance;
            assert!(answer.presentation_contexts.iter().all(|result| accepted(&result.reason)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_first_syntax_is_taken_but_explicit_rather_than_implicit() {
    const JPEG: &str = uids::JPEG_BASELINE8_BIT;
    let contexts = vec![
        context(1, CT, &[IMPLICIT, EXPLICIT]),
        context(3, CT, &[JPEG, IMPLICIT, EXPLICIT]),
        context(5, CT, &[IMPLICIT]),
    ];
    let Some(Pdu::AssociationAC(answer)) = answer_to(&request(contexts)).await else { panic!() };
    let taken: Vec<_> =
        answer.presentation_contexts.iter().map(|result| result.transfer_syntax.as_str()).collect();
    assert_eq!(taken, [EXPLICIT, JPEG, IMPLICIT]);
}

#[tokio::test]
async fn numbers_that_are_even_zero_or_repeated_are_refused() {
    let contexts = vec![
        context(1, CT, &[EXPLICIT]),
        context(2, CT, &[EXPLICIT]),
        context(0, CT, &[EXPLICIT]),
        context(5, CT, &[EXPLICIT]),
        context(5, uids::VERIFICATION, &[IMPLICIT]),
    ];
    let Some(Pdu::AssociationAC(answer)) = answer_to(&request(contexts)).await else { panic!() };
    let found: Vec<(u8, bool)> = answer
        .presentation_contexts
        .iter()
        .map(|result| (result.id, result.reason == Reason::Acceptance))
        .collect();
    assert_eq!(found, [(1, true), (2, false), (0, false), (5, false)]);
}

#[tokio::test]
async fn only_bit_0_of_the_version_is_tested() {
    let three = answer_to(&changed(|rq| rq.protocol_version = 3)).await;
    assert!(matches!(three, Some(Pdu::AssociationAC(_))), "{three:?}");
    let two = rejection(answer_to(&changed(|rq| rq.protocol_version = 2)).await);
    let reason = AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported;
    assert_eq!(
        two,
        (AssociationRJResult::Permanent, AssociationRJSource::ServiceProviderASCE(reason))
    );
}

#[tokio::test]
async fn an_unknown_application_context_is_rejected() {
    let pdu = changed(|rq| rq.application_context_name = "1.2.3".to_owned());
    let reason = AssociationRJServiceUserReason::ApplicationContextNameNotSupported;
    assert_eq!(
        rejection(answer_to(&pdu).await),
        (AssociationRJResult::Permanent, AssociationRJSource::ServiceUser(reason))
    );
}

#[tokio::test]
async fn blank_titles_are_rejected() {
    // The codec does not write blank titles; the fields lie at 10 and 26.
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request(vec![context(1, CT, &[EXPLICIT])])).unwrap();
    bytes[26..42].fill(b' ');
    let (address, _task) = acceptor(terms()).await;
    let mut raw = Raw::connect(address).await;
    raw.bytes(&bytes).await;
    let reason = AssociationRJServiceUserReason::CallingAETitleNotRecognized;
    let (_, source) = rejection(raw.read().await);
    assert_eq!(source, AssociationRJSource::ServiceUser(reason));
}

#[tokio::test]
async fn maximum_lengths_none_zero_huge_and_tiny() {
    for length in [0, 128, 1024, u32::MAX] {
        let pdu = changed(|rq| rq.user_variables = vec![UserVariableItem::MaxLength(length)]);
        let answer = answer_to(&pdu).await;
        assert!(matches!(answer, Some(Pdu::AssociationAC(_))), "{length}: {answer:?}");
    }
    let none = answer_to(&changed(|rq| rq.user_variables.clear())).await;
    assert!(matches!(none, Some(Pdu::AssociationAC(_))), "{none:?}");
    for length in [1, 6, 127] {
        let pdu = changed(|rq| rq.user_variables = vec![UserVariableItem::MaxLength(length)]);
        let (_, source) = rejection(answer_to(&pdu).await);
        let reason = AssociationRJServiceProviderPresentationReason::LocalLimitExceeded;
        assert_eq!(source, AssociationRJSource::ServiceProviderPresentation(reason));
    }
}

#[tokio::test]
async fn unknown_items_are_ignored() {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request(vec![context(1, CT, &[EXPLICIT])])).unwrap();
    bytes.extend([0x99, 0, 0, 3, 1, 2, 3]);
    let length = u32::try_from(bytes.len() - 6).unwrap();
    bytes[2..6].copy_from_slice(&length.to_be_bytes());
    let (address, _task) = acceptor(terms()).await;
    let mut raw = Raw::connect(address).await;
    raw.bytes(&bytes).await;
    assert!(matches!(raw.read().await, Some(Pdu::AssociationAC(_))));
}

#[tokio::test]
async fn requests_cut_or_stretched_anywhere_end_without_panic() {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request(vec![context(1, CT, &[EXPLICIT])])).unwrap();
    for at in (0..bytes.len()).step_by(5) {
        let mut broken = bytes.clone();
        broken[at] ^= 0xff;
        let (address, task) = acceptor(terms()).await;
        let mut raw = Raw::connect(address).await;
        raw.bytes(&broken[..]).await;
        drop(raw);
        assert!(task.await.unwrap().end.is_some());
    }
}

#[tokio::test]
async fn rejections_reach_the_requestor_by_name() {
    for rejection in [
        Rejection::CallingUnknown,
        Rejection::CalledUnknown,
        Rejection::NotPermitted,
        Rejection::Congestion,
        Rejection::LimitExceeded,
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (stream, from) = listener.accept().await.unwrap();
            accept_tcp(stream, from, &terms(), |_| Err(rejection)).await.err()
        });
        let called: Result<Status, Error> =
            call(&remote(address), &storage(), async |client| client.echo().await).await;
        match called {
            Err(Error::Rejected(found)) => assert_eq!(found, rejection),
            other => panic!("{other:?}"),
        }
        assert!(matches!(task.await.unwrap(), Some(Error::Declined(found)) if found == rejection));
    }
}

#[test]
fn pairs_get_contexts_of_their_own_while_they_fit() {
    let syntaxes: Vec<Uid> = (0..10).map(|i| uid(&format!("1.2.840.10008.1.2.{i}"))).collect();
    let class = |i: usize| uid(&format!("1.2.840.10008.5.1.4.1.1.{i}"));
    let wanted = |n: usize| -> Vec<Proposed> {
        let proposed = |i| Proposed { sop_class: class(i), transfer_syntaxes: syntaxes.clone() };
        (0..n).map(proposed).collect()
    };
    let few = negotiate::propose(&wanted(12)).unwrap();
    assert_eq!(few.len(), 120);
    assert!(few.iter().all(|context| context.transfer_syntaxes.len() == 1));
    let many = negotiate::propose(&wanted(100)).unwrap();
    assert!(many.len() <= 128);
    assert!(many.iter().all(|context| context.id % 2 == 1));
    let ids: std::collections::BTreeSet<u8> = many.iter().map(|context| context.id).collect();
    assert_eq!(ids.len(), many.len());
    assert_eq!(negotiate::propose(&wanted(128)).unwrap().len(), 128);
    assert!(matches!(negotiate::propose(&wanted(129)), Err(Error::TooManyContexts(129))));
    assert!(matches!(negotiate::propose(&[]), Err(Error::TooManyContexts(0))));
}

#[test]
fn every_stored_syntax_and_storage_class_of_the_dictionary_is_taken() {
    assert!(is_stored_syntax(IMPLICIT));
    assert!(is_stored_syntax(uids::JPEG2000_LOSSLESS));
    assert!(is_stored_syntax(uids::HTJ2K));
    assert!(is_stored_syntax(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN));
    assert!(!is_stored_syntax(uids::JPIP_REFERENCED));
    assert!(!is_stored_syntax("1.2.840.10008.1.20"));
    assert!(is_storage(CT));
    assert!(is_storage("1.3.12.2.1107.5.9.1"));
    assert!(is_storage(uids::RT_BEAMS_DELIVERY_INSTRUCTION_STORAGE));
    assert!(!is_storage(uids::VERIFICATION));
    assert!(!is_storage(uids::STORAGE_COMMITMENT_PUSH_MODEL));
    assert!(!is_storage(uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND));
    assert!(!is_storage("1.2.840.10008.5.1.4.1.2.2.1"));
}
