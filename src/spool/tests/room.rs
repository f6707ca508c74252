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

#[test]
fn a_full_disk_is_told_as_such() {
    let world = World::new();
    let import = world.import();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut pack = Pack::new(import.clone(), 1, BlockFile::cached(full));
    pack.begin().unwrap();
    let error = pack.write(&sample(10 * CHUNK)).unwrap_err();
    assert!(matches!(error, Error::Full) && error.is_full(), "{error}");
    assert!(matches!(pack.finish(), Err(Error::OutOfTurn(_))));
    let error = io::Error::from(Error::Full);
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

#[test]
fn the_reserve_is_kept() {
    let world = World::new();
    let usage = world.spool.usage().unwrap();
    assert_eq!(usage.used, 0);
    assert!(usage.free > 0);
    world.spool.admits(0).unwrap();
    let error = world.spool.admits(u64::MAX).unwrap_err();
    assert!(matches!(error, Error::Reserved { .. }) && error.is_full());
    let import = world.import();
    let mut pack = import.pack().unwrap();
    keep(&mut pack, &sample(100_000));
    assert!(world.spool.usage().unwrap().used > 100_000);

    let at = tempfile::tempdir().unwrap();
    let reserve = Reserve::Percent(100);
    let spool = Spool::open_with(&at.path().join("spool"), vault(&at), reserve).unwrap();
    assert!(spool.admits(0).is_err());
}

#[test]
fn reserves_are_sizes_or_shares() {
    assert_eq!("10 GiB".parse(), Ok(Reserve::Bytes(10 << 30)));
    assert_eq!("1500kB".parse(), Ok(Reserve::Bytes(1_500_000)));
    assert_eq!(" 2 % ".parse(), Ok(Reserve::Percent(2)));
    for text in ["", "2", "%", "-1 %", "101 %", "1.5 GiB", "99999999999 TiB", "10 gigs", "ä"] {
        assert_eq!(text.parse::<Reserve>(), Err(Malformed), "{text}");
    }
    assert_eq!(Reserve::Standard.bytes(10 << 40), 1 << 30);
    assert_eq!(Reserve::Standard.bytes(1000), 20);
    assert_eq!(Reserve::Percent(50).bytes(1000), 500);
    let section: SpoolSection =
        toml::from_str("master-key-file = \"/k\"\nreserve = \"5 %\"").unwrap();
    assert_eq!(section.reserve, Some(Reserve::Percent(5)));
    assert!(toml::from_str::<SpoolSection>("master_key_file = \"/k\"").is_err());
    assert!(toml::from_str::<SpoolSection>("reserve = \"much\"").is_err());
}

#[test]
fn few_files_are_left_alone() {
    let space = |files| place::Space { total: 1 << 40, free: 1 << 39, files };
    let judged = |files| crate::spool::room::judge(space(files), LEAST_RESERVE, 1 << 30);
    let error = judged(Some(100)).unwrap_err();
    assert!(error.is_full() && error.to_string().contains("100 of its inodes"), "{error}");
    assert!(judged(Some(100_000)).is_ok());
    assert!(judged(None).is_ok(), "not counted is no limit");
    // As a key that finds no place is told.
    let error = Error::from(crate::seal::Error::from(place::Error::NoFiles { path: "/k".into() }));
    assert!(error.is_full() && error.to_string().contains("inodes"), "{error}");
}

#[test]
fn nothing_is_taken_while_the_disk_of_the_spool_is_away() {
    let world = World::new();
    let ids: Vec<ImportId> = (0..2)
        .map(|_| {
            let import = world.import();
            keep(&mut import.pack().unwrap(), b"some");
            import.id()
        })
        .collect();
    let (folder, away) = (world.at.path().join("spool"), world.at.path().join("away"));
    let take_away = || {
        fs::rename(&folder, &away).unwrap();
        fs::create_dir(&folder).unwrap();
        world.spool.expect_packs(ids.clone());
    };
    world.spool.expect_packs(ids.clone());
    world.spool.admits(0).unwrap();
    take_away();
    // An import of before makes its folder, and no pack.
    let import = world.spool.import(ids[0]).unwrap();
    let error = import.pack().err().unwrap();
    assert!(matches!(error, Error::Away { imports: 2, .. }), "{error}");
    assert!(world.spool.admits(0).is_err() && world.spool.promise(1).is_err());
    fs::remove_dir_all(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    world.spool.admits(0).unwrap();
    import.pack().unwrap();
    // What is missing for good holds up nobody when it is destroyed.
    take_away();
    world.spool.destroy(ids[0]).unwrap();
    assert!(matches!(world.spool.admits(0), Err(Error::Away { imports: 1, .. })));
    world.spool.destroy(ids[1]).unwrap();
    world.spool.admits(0).unwrap();
}
