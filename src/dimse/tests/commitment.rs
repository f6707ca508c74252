//! Storage commitment between two ends of our own, and data sets that are none.

use dicom_dictionary_std::tags;
use tokio::io::DuplexStream;

use super::command::Payload;
use super::*;
use crate::dicom::{DataSet, Syntax};

fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

fn reference(n: u32) -> Reference {
    Reference {
        sop_class: uid("1.2.840.10008.5.1.4.1.1.2"),
        sop_instance: uid(&format!("1.2.3.{n}")),
    }
}

fn wanted(instances: u32) -> Wanted {
    Wanted { transaction: uid("2.25.7"), instances: (0..instances).map(reference).collect() }
}

fn report() -> Report {
    let failed = vec![(reference(2), 0x0112), (reference(3), 0x0213)];
    Report { transaction: uid("2.25.7"), committed: vec![reference(0), reference(1)], failed }
}

async fn accepted(stream: DuplexStream) -> ServerAssociation {
    let offer = |_: &Caller| Ok(vec![Offer::commitment(), Offer::verification()]);
    accept(Box::new(stream), nowhere(), &Terms::default(), offer).await.unwrap()
}

async fn commit_of(association: &mut ServerAssociation) -> Asked<Wanted> {
    match association.next_request().await.unwrap() {
        Some(Request::Commit(wanted)) => wanted,
        _ => panic!("a request for commitment"),
    }
}

#[tokio::test]
async fn a_request_is_taken_and_reported_on_the_same_association() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let archive = tokio::spawn(async move {
        let mut association = accepted(far).await;
        let asked = commit_of(&mut association).await;
        assert_eq!(asked.content, wanted(4));
        association.respond_commit(&asked, Status::SUCCESS).await.unwrap();
        let told = association.report(&asked, &report()).await.unwrap();
        assert_eq!(told, Hearing::Answered(Status::SUCCESS));
        assert!(association.next_request().await.unwrap().is_none());
    });
    let (contexts, there) = (commitment_contexts(), remote(nowhere()));
    let heard = call_over::<_, Error>(Box::new(near), &there, &contexts, async |client| {
        assert!(client.takes_commitment());
        assert_eq!(client.commit(&wanted(4)).await?, Status::SUCCESS);
        let report = client.next_report(Duration::from_secs(30)).await?.unwrap();
        client.answer_report(&report, Status::SUCCESS).await?;
        Ok(report.content)
    });
    assert_eq!(heard.await.unwrap(), report());
    archive.await.unwrap();
}

#[tokio::test]
async fn who_does_not_report_at_once_is_left_in_order() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let archive = tokio::spawn(async move {
        let mut association = accepted(far).await;
        let asked = commit_of(&mut association).await;
        association.respond_commit(&asked, Status::SUCCESS).await.unwrap();
        assert!(association.next_request().await.unwrap().is_none(), "a release");
    });
    let (contexts, there) = (commitment_contexts(), remote(nowhere()));
    let heard = call_over::<_, Error>(Box::new(near), &there, &contexts, async |client| {
        client.commit(&wanted(1)).await?;
        client.next_report(Duration::from_millis(50)).await
    });
    assert!(heard.await.unwrap().is_none());
    archive.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_releases_instead_of_answering_a_report_is_let_go() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let archive = tokio::spawn(async move {
        let mut association = accepted(far).await;
        let asked = commit_of(&mut association).await;
        association.respond_commit(&asked, Status::SUCCESS).await.unwrap();
        let told = association.report(&asked, &report()).await.unwrap();
        assert!(association.next_request().await.unwrap().is_none(), "it ended in order");
        told
    });
    let (contexts, there) = (commitment_contexts(), remote(nowhere()));
    let released = call_over::<_, Error>(Box::new(near), &there, &contexts, async |client| {
        client.commit(&wanted(1)).await
    });
    released.await.unwrap();
    assert_eq!(archive.await.unwrap(), Hearing::Released);
}

#[tokio::test]
async fn a_request_beside_our_report_is_served_and_the_late_answer_forgiven() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let archive = tokio::spawn(async move {
        let mut association = accepted(far).await;
        let asked = commit_of(&mut association).await;
        association.respond_commit(&asked, Status::SUCCESS).await.unwrap();
        assert_eq!(association.report(&asked, &report()).await.unwrap(), Hearing::Unheard);
        let Some(Request::Echo(echo)) = association.next_request().await.unwrap() else {
            panic!("an echo")
        };
        association.respond_echo(echo, Status::SUCCESS).await.unwrap();
        assert!(association.next_request().await.unwrap().is_none());
    });
    let (contexts, there) = (commitment_contexts(), remote(nowhere()));
    call_over::<_, Error>(Box::new(near), &there, &contexts, async |client| {
        client.commit(&wanted(4)).await?;
        // Both speak at once.
        let context = client.contexts.iter().find(|c| c.sop_class.as_str() == uids::VERIFICATION);
        let context = context.unwrap().id;
        client.voice.command(context, &Command::EchoRq { message_id: 9 }).await?;
        let report = client.next_report(Duration::from_secs(30)).await?.unwrap();
        client.answer_report(&report, Status::SUCCESS).await?;
        assert!(matches!(client.answer().await?, Command::EchoRsp { responded: 9, .. }));
        Ok(())
    })
    .await
    .unwrap();
    archive.await.unwrap();
}

/// An answer to a report, with the event reply that PS3.7 10.3.1 allows.
fn with_reply(responded: u16) -> (Command, Vec<u8>) {
    let (kind, status, payload) = (Some(1), Status::SUCCESS, Payload::Follows);
    let answer = Command::EventRsp { responded, kind, status, payload };
    (answer, report().write(Syntax::ExplicitLittle))
}

#[tokio::test]
async fn an_answer_with_an_event_reply_is_an_answer_on_the_association_of_the_request() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let archive = tokio::spawn(async move {
        let mut association = accepted(far).await;
        for _ in 0..2 {
            let asked = commit_of(&mut association).await;
            association.respond_commit(&asked, Status::SUCCESS).await.unwrap();
            let told = association.report(&asked, &report()).await.unwrap();
            assert_eq!(told, Hearing::Answered(Status::SUCCESS));
        }
        assert!(association.next_request().await.unwrap().is_none());
    });
    let (contexts, there) = (commitment_contexts(), remote(nowhere()));
    call_over::<_, Error>(Box::new(near), &there, &contexts, async |client| {
        for _ in 0..2 {
            client.commit(&wanted(4)).await?;
            let report = client.next_report(Duration::from_secs(30)).await?.unwrap();
            let (answer, reply) = with_reply(report.message_id);
            client.voice.command(report.context, &answer).await?;
            client.voice.data(report.context, &reply).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    archive.await.unwrap();
}

#[tokio::test]
async fn a_late_answer_with_an_event_reply_is_forgiven() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let archive = tokio::spawn(async move {
        let mut association = accepted(far).await;
        let asked = commit_of(&mut association).await;
        association.respond_commit(&asked, Status::SUCCESS).await.unwrap();
        assert_eq!(association.report(&asked, &report()).await.unwrap(), Hearing::Unheard);
        for _ in 0..2 {
            let Some(Request::Echo(echo)) = association.next_request().await.unwrap() else {
                panic!("an echo")
            };
            association.respond_echo(echo, Status::SUCCESS).await.unwrap();
        }
        assert!(association.next_request().await.unwrap().is_none());
    });
    let (contexts, there) = (commitment_contexts(), remote(nowhere()));
    call_over::<_, Error>(Box::new(near), &there, &contexts, async |client| {
        client.commit(&wanted(4)).await?;
        let context = client.contexts.iter().find(|c| c.sop_class.as_str() == uids::VERIFICATION);
        let context = context.unwrap().id;
        client.voice.command(context, &Command::EchoRq { message_id: 9 }).await?;
        let report = client.next_report(Duration::from_secs(30)).await?.unwrap();
        let (answer, reply) = with_reply(report.message_id);
        client.voice.command(report.context, &answer).await?;
        client.voice.data(report.context, &reply).await?;
        client.voice.command(context, &Command::EchoRq { message_id: 10 }).await?;
        assert!(matches!(client.answer().await?, Command::EchoRsp { responded: 9, .. }));
        assert!(matches!(client.answer().await?, Command::EchoRsp { responded: 10, .. }));
        Ok(())
    })
    .await
    .unwrap();
    archive.await.unwrap();
}

#[tokio::test]
async fn an_answer_with_an_event_reply_is_an_answer_on_an_association_of_ours() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let modality = tokio::spawn(async move {
        let mut association = accepted(far).await;
        for _ in 0..2 {
            let Some(Request::Report(told)) = association.next_request().await.unwrap() else {
                panic!("a report")
            };
            assert_eq!(told.content, report());
            let (answer, reply) = with_reply(told.message_id);
            association.voice.command(told.context, &answer).await.unwrap();
            association.voice.data(told.context, &reply).await.unwrap();
        }
        assert!(association.next_request().await.unwrap().is_none());
    });
    let (contexts, there) = (commitment_contexts(), remote(nowhere()));
    call_over::<_, Error>(Box::new(near), &there, &contexts, async |client| {
        for _ in 0..2 {
            assert_eq!(client.report(&report()).await?, Status::SUCCESS);
        }
        Ok(())
    })
    .await
    .unwrap();
    modality.await.unwrap();
}

#[test]
fn sets_survive_both_syntaxes() {
    for syntax in [Syntax::ExplicitLittle, Syntax::ImplicitLittle] {
        assert_eq!(Wanted::read(&wanted(300).write(syntax), syntax), Some(wanted(300)));
        assert_eq!(Report::read(&report().write(syntax), syntax), Some(report()));
        let all = Report { failed: vec![], ..report() };
        assert_eq!(Report::read(&all.write(syntax), syntax), Some(all));
    }
}

#[test]
fn sets_that_are_none_are_refused_and_a_missing_reason_is_a_failure() {
    let syntax = Syntax::ExplicitLittle;
    assert_eq!(Wanted::read(&[], syntax), None);
    assert_eq!(Wanted::read(&[0xFF; 64], syntax), None);
    let none = Wanted { instances: vec![], ..wanted(0) };
    assert_eq!(Wanted::read(&none.write(syntax), syntax), None, "nothing is asked for");
    // One unreadable reference spoils the request: half an answer would look whole.
    let mut set = DataSet::read(&wanted(2).write(syntax), syntax).unwrap();
    let mut items = set.items(tags::REFERENCED_SOP_SEQUENCE).to_vec();
    items[1].remove(tags::REFERENCED_SOP_INSTANCE_UID);
    set.put_items(tags::REFERENCED_SOP_SEQUENCE, items);
    assert_eq!(Wanted::read(&set.write(syntax), syntax), None);
    let mut set = DataSet::read(&report().write(syntax), syntax).unwrap();
    let mut items = set.items(tags::FAILED_SOP_SEQUENCE).to_vec();
    items[0].remove(tags::FAILURE_REASON);
    set.put_items(tags::FAILED_SOP_SEQUENCE, items);
    let read = Report::read(&set.write(syntax), syntax).unwrap();
    assert_eq!(read.failed[0].1, 0x0110);
    let whole = wanted(50).write(syntax);
    for cut in 0..whole.len() {
        // Never a panic; what is cut within its items is not taken for a whole.
        if let Some(read) = Wanted::read(&whole[..cut], syntax) {
            assert!(read.instances.len() <= 50);
        }
    }
}
