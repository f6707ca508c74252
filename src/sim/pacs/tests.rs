use bytes::Bytes;
use dicom_dictionary_std::tags;
use tokio::sync::mpsc;

use super::*;
use crate::dicom::{AeTitle, VR};
use crate::dimse::{Chunk, Error, Proposed, Remote, Timeouts, call};

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn object(instance: &str) -> Vec<u8> {
    let mut set = DataSet::default();
    set.put_bytes(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE.as_bytes().to_vec());
    set.put_bytes(tags::SOP_INSTANCE_UID, VR::UI, instance.as_bytes().to_vec());
    set.put_bytes(tags::PIXEL_DATA, VR::OW, vec![8; 200_000]);
    set.write(Syntax::ExplicitLittle)
}

/// Sends instances 1.2.1 to 1.2.`count` on one association.
async fn send(pacs: &Pacs, count: u32) -> Result<Vec<Status>, Error> {
    let remote = Remote {
        address: pacs.address().to_string(),
        called: AeTitle::new("PACS").unwrap(),
        calling: AeTitle::new("LOTSE").unwrap(),
        timeouts: Timeouts { response: Duration::from_millis(1500), ..Timeouts::default() },
        max_pdu: dimse::MAX_PDU,
        security: Default::default(),
    };
    let (class, syntax) = (uid(uids::CT_IMAGE_STORAGE), uid(uids::EXPLICIT_VR_LITTLE_ENDIAN));
    let proposed = Proposed { sop_class: class.clone(), transfer_syntaxes: vec![syntax.clone()] };
    call(&remote, &[proposed], async |client| {
        let mut statuses = Vec::new();
        for number in 1..=count {
            let instance = format!("1.2.{number}");
            let (sender, mut receiver) = mpsc::channel(2);
            sender.send(Chunk::Bytes(Bytes::from(object(&instance)))).await.unwrap();
            sender.send(Chunk::End).await.unwrap();
            statuses.push(client.store(&class, &uid(&instance), &syntax, &mut receiver).await?);
        }
        Ok(statuses)
    })
    .await
}

#[tokio::test]
async fn what_is_stored_is_in_the_books_and_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let pacs = Pacs::start(Fault::None, Some(folder.path())).await.unwrap();
    assert_eq!(send(&pacs, 3).await.unwrap(), [Status::SUCCESS; 3]);
    send(&pacs, 1).await.unwrap();
    let received = pacs.received();
    assert_eq!(received.len(), 3);
    let first = &received[&uid("1.2.1")];
    assert_eq!((first.count, first.bytes), (2, object("1.2.1").len() as u64));
    let header = first.header.as_ref().unwrap();
    assert_eq!(header.uid(tags::SOP_INSTANCE_UID), Some(uid("1.2.1")));
    let file = std::fs::read(folder.path().join("1.2.2.dcm")).unwrap();
    assert!(file.ends_with(&object("1.2.2")));
    pacs.stop().await;
}

#[tokio::test]
async fn faults_are_told_apart() {
    let pacs = Pacs::start(Fault::OutOfResources { every: 2 }, None).await.unwrap();
    let full = Status::OUT_OF_RESOURCES;
    assert_eq!(send(&pacs, 4).await.unwrap(), [Status::SUCCESS, full, Status::SUCCESS, full]);
    assert_eq!(pacs.received().len(), 2);
    pacs.set_fault(Fault::Coerced);
    assert_eq!(send(&pacs, 1).await.unwrap(), [Status::COERCED]);
    pacs.set_fault(Fault::Answer(Status::NOT_AUTHORISED));
    assert_eq!(send(&pacs, 1).await.unwrap(), [Status::NOT_AUTHORISED]);
    pacs.set_fault(Fault::Late { millis: 100 });
    assert_eq!(send(&pacs, 1).await.unwrap(), [Status::SUCCESS]);
    pacs.set_fault(Fault::RefuseAssociation);
    assert!(matches!(send(&pacs, 1).await, Err(Error::Rejected(Rejection::CallingUnknown))));
    pacs.set_fault(Fault::Congested);
    assert!(matches!(send(&pacs, 1).await, Err(Error::Rejected(Rejection::Congestion))));
    pacs.set_fault(Fault::OnlyImplicit);
    assert!(matches!(send(&pacs, 1).await, Err(Error::ContextRefused { .. })));
    pacs.set_fault(Fault::Stall);
    assert!(matches!(send(&pacs, 1).await, Err(Error::TimedOut(_))));
    pacs.set_fault(Fault::AbortWithin { bytes: 1000 });
    assert!(matches!(send(&pacs, 1).await, Err(Error::Aborted(_) | Error::Closed(_))));
    let before = pacs.received()[&uid("1.2.1")].count;
    pacs.set_fault(Fault::AbortBeforeResponse);
    assert!(matches!(send(&pacs, 1).await, Err(Error::Aborted(_) | Error::Closed(_))));
    assert_eq!(pacs.received()[&uid("1.2.1")].count, before + 1);
}
