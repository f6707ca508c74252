//! What looks hold together, and that each gets its turn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dicom_dictionary_std::tags;

use super::*;
use crate::dicom::sample::{self, DEFLATED, EXPLICIT, uid};
use crate::dicom::{DataSet, Syntax, Tag, VR};
use crate::import::ImportId;
use crate::seal::Vault;
use crate::spool::Spool;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn looks_never_hold_more_than_one_alone_may() {
    let looks = Looks::new();
    let (held, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let header = Limits::default().header;
    let lengths = [1, 300 << 10, 20 << 20, header - 1, header, header + 1, 1 << 40, u64::MAX];
    let tasks = (0..20).flat_map(|_| lengths).map(|length| {
        let (looks, held, most) = (looks.clone(), Arc::clone(&held), Arc::clone(&most));
        tokio::spawn(async move {
            let turn = looks.turn(length).await.unwrap();
            let memory = length.min(header);
            most.fetch_max(held.fetch_add(memory, Ordering::SeqCst) + memory, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
            held.fetch_sub(memory, Ordering::SeqCst);
            drop(turn);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        tokio::time::timeout(SOON, task).await.expect("everybody's turn comes").unwrap();
    }
    assert!(most.load(Ordering::SeqCst) <= header, "{most:?}");
    assert_eq!(looks.0.available_permits(), usize::try_from(room()).unwrap());
}

/// An object with this much in front of its pixels, in values that are not left out of the header.
fn object(header: usize, pixels: usize) -> DataSet {
    let mut object = sample::image();
    for number in 0..header.div_ceil(500_000) {
        let tag = Tag(0x0009, 0x1010 + u16::try_from(number).unwrap());
        object.put_bytes(tag, VR::OB, vec![7; header.min(500_000)]);
    }
    object.put_bytes(tags::PIXEL_DATA, VR::OW, vec![3; pixels]);
    object
}

fn import(at: &std::path::Path) -> ImportSpool {
    let vault = Vault::open_or_create(&at.join("keys"), &at.join("master.key")).unwrap();
    Spool::open(&at.join("spool"), vault).unwrap().create(ImportId::new()).unwrap()
}

#[tokio::test]
async fn a_long_header_waits_for_its_turn_and_an_image_does_not() {
    let at = tempfile::tempdir().unwrap();
    let spool = import(at.path());
    let looks = Looks::new();
    let mut pack = spool.pack().unwrap();
    let mut stored = |object: &DataSet| {
        let blob = pack.append(&mut &*object.write(Syntax::ExplicitLittle), u64::MAX).unwrap();
        pack.sync().unwrap();
        blob
    };
    let (plan, image) = (stored(&object(2_000_000, 2)), stored(&object(100, 3_000_000)));
    let explicit = uid(EXPLICIT);
    let others = looks.turn(u64::MAX).await.unwrap();
    let found = tokio::time::timeout(SOON, looks.at_spooled(&spool, &image, &explicit)).await;
    assert_eq!(found.unwrap().unwrap().unwrap().unwrap().sop_instance, uid("1.2.3.4"));
    let mut look = std::pin::pin!(looks.at_spooled(&spool, &plan, &explicit));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut look).await;
    assert!(early.is_err(), "nothing is left for it");
    drop(others);
    let found = tokio::time::timeout(SOON, look).await.unwrap().unwrap().unwrap();
    assert_eq!(found.unwrap().sop_instance, uid("1.2.3.4"));
    assert_eq!(looks.0.available_permits(), usize::try_from(room()).unwrap());
}

#[tokio::test]
async fn a_usual_long_header_leaves_room_for_others() {
    let at = tempfile::tempdir().unwrap();
    let spool = import(at.path());
    let looks = Looks::new();
    let mut pack = spool.pack().unwrap();
    let object = object(2_000_000, 20_000_000).write(Syntax::ExplicitLittle);
    let blob = pack.append(&mut &*object, u64::MAX).unwrap();
    pack.sync().unwrap();
    let others = looks.turn(Limits::default().header - USUAL).await.unwrap();
    let explicit = uid(EXPLICIT);
    let look = tokio::time::timeout(SOON, looks.at_spooled(&spool, &blob, &explicit)).await;
    assert_eq!(look.unwrap().unwrap().unwrap().unwrap().sop_instance, uid("1.2.3.4"));
    drop(others);
}

#[tokio::test]
async fn what_inflates_in_memory_waits_too() {
    let at = tempfile::tempdir().unwrap();
    let spool = import(at.path());
    let looks = Looks::new();
    let bytes = sample::deflate(&object(5_000_000, 2).write(Syntax::ExplicitLittle));
    let mut plain = Plain::new(Arc::new(Semaphore::new(plain::ROOM)), 0);
    assert!(plain.hold(bytes.into(), &spool).unwrap().is_none());
    let others = looks.turn(1).await.unwrap();
    let deflated = uid(DEFLATED);
    let mut look = std::pin::pin!(looks.at_plain(&plain, &deflated));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut look).await;
    assert!(early.is_err(), "it may inflate to all there is");
    drop(others);
    assert_eq!(look.await.unwrap().unwrap().sop_instance, uid("1.2.3.4"));
}
