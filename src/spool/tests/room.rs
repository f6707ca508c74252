//! What is in the packs, and what may still come.

use super::*;

#[test]
fn every_byte_is_accounted_for() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    let blobs: Vec<Blob> =
        [0, 1, 65_536, 200_000].iter().map(|length| keep(&mut pack, &sample(*length))).collect();
    let mut other = import.pack().unwrap();
    let alone = keep(&mut other, &sample(10));
    let length = |pack: u32| fs::metadata(world.path(&import, pack)).unwrap().len();
    let held = length(1) + length(2);

    let account = import.account(blobs.iter().chain([&alone])).unwrap();
    assert_eq!((account.held, account.claimed, account.unclaimed), (held, held, 0));
    assert!(account.missing.is_empty());
    // Named twice, it is there once.
    let account = import.account([&alone, &alone]).unwrap();
    assert_eq!((account.claimed, account.unclaimed), (length(2), length(1)));
    assert_eq!(import.account([]).unwrap().unclaimed, held);

    fs::OpenOptions::new()
        .write(true)
        .open(world.path(&import, 1))
        .unwrap()
        .set_len(u64::try_from(sealed_end(&blobs[3])).unwrap() - 1)
        .unwrap();
    fs::remove_file(world.path(&import, 2)).unwrap();
    let account = import.account(blobs.iter().chain([&alone])).unwrap();
    let places: Vec<(u32, u64)> = account.missing.iter().map(|m| (m.pack, m.at)).collect();
    assert_eq!(places, [(1, blobs[3].at), (2, 0)]);
    let absurd = Blob { at: u64::MAX, length: u64::MAX, ..alone };
    assert_eq!(import.account([&absurd]).unwrap().missing.len(), 1);
}

#[test]
fn promised_room_is_not_given_twice() {
    let world = World::new();
    let spool = &world.spool;
    let free = spool.usage().unwrap().free;
    // Others write to this disk too, so the shares are coarse.
    let promise = spool.promise(free / 2).unwrap();
    assert!(matches!(spool.promise(free / 2), Err(Error::Reserved { .. })));
    assert!(spool.admits(free / 2).is_err() && spool.admits(0).is_ok());
    let mut promise = promise;
    promise.came(free / 2);
    promise.came(u64::MAX);
    drop(spool.promise(free / 2).unwrap());
    drop(promise);
    drop(spool.promise(free / 2).unwrap());
}
