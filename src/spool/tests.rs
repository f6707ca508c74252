use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::format::{CHUNK, HEADER_LEN, OVERHEAD, TRAILER_LEN};
use super::*;

/// A patient's name that must not be found on the disk.
const CANARY: &[u8] = b"CANARY^SYNTHETIC";
const NO_LIMIT: u64 = u64::MAX;

struct World {
    at: TempDir,
    spool: Spool,
}

impl World {
    fn new() -> Self {
        let at = tempfile::tempdir().unwrap();
        let spool = open(&at);
        Self { at, spool }
    }

    fn import(&self) -> ImportSpool {
        self.spool.create(ImportId::new()).unwrap()
    }

    fn path(&self, import: &ImportSpool, pack: u32) -> PathBuf {
        self.at.path().join(format!("spool/{}/{pack:04}.pack", import.id()))
    }
}

fn vault(at: &TempDir) -> Vault {
    Vault::open_or_create(&at.path().join("keys"), &at.path().join("master.key")).unwrap()
}

fn open(at: &TempDir) -> Spool {
    Spool::open(&at.path().join("spool"), vault(at)).unwrap()
}

/// Bytes that differ everywhere, with the canary in front.
fn sample(length: usize) -> Vec<u8> {
    let mut bytes = CANARY.to_vec();
    bytes.extend((0_u32..).flat_map(u32::to_le_bytes).take(length));
    bytes.truncate(length);
    bytes
}

/// Behind its trailer; zeros follow up to the end of the block.
fn sealed_end(blob: &Blob) -> usize {
    usize::try_from(format::Frames::new(blob).trailer().unwrap()).unwrap() + TRAILER_LEN
}

fn all(import: &ImportSpool, blob: &Blob) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    import.read(blob)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn keep(pack: &mut Pack, bytes: &[u8]) -> Blob {
    pack.append(&mut &*bytes, NO_LIMIT).unwrap()
}

const LENGTHS: [usize; 9] = [0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK, 700_001];

#[test]
fn a_spool_that_is_cleared_is_empty_and_goes_on() {
    let world = World::new();
    let import = world.import();
    for _ in 0..2 {
        let mut pack = import.pack().unwrap();
        pack.append(&mut &*sample(100_000), u64::MAX).unwrap();
        pack.sync().unwrap();
    }
    assert!(world.spool.usage().unwrap().used > 200_000);
    import.clear().unwrap();
    assert!(world.spool.usage().unwrap().used < 10_000);
    let mut pack = import.pack().unwrap();
    let blob = pack.append(&mut &b"later"[..], u64::MAX).unwrap();
    pack.sync().unwrap();
    assert_eq!(all(&import, &blob).unwrap(), b"later");
}

#[test]
fn an_import_that_gets_no_folder_leaves_no_key() {
    let at = tempfile::tempdir().unwrap();
    let keys = at.path().join("keys");
    let vault = Vault::open_or_create(&keys, &at.path().join("master.key")).unwrap();
    let spool = Spool::open(&at.path().join("spool"), vault).unwrap();
    fs::remove_dir_all(at.path().join("spool")).unwrap();
    fs::write(at.path().join("spool"), b"").unwrap();
    for _ in 0..3 {
        assert!(spool.create(ImportId::new()).is_err());
    }
    assert_eq!(fs::read_dir(&keys).unwrap().count(), 0);
}

#[test]
fn blobs_come_back() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    let blobs: Vec<Blob> = LENGTHS.map(|length| keep(&mut pack, &sample(length))).to_vec();
    for (blob, length) in blobs.iter().zip(LENGTHS) {
        assert_eq!(blob.length, u64::try_from(length).unwrap());
        assert_eq!(all(&import, blob).unwrap(), sample(length), "readable before the sync");
    }
    pack.sync().unwrap();
    drop(pack);
    drop(import);
    let id = world.spool.list().unwrap()[0];
    drop(world.spool);
    let again = open(&world.at).import(id).unwrap();
    for (blob, length) in blobs.iter().zip(LENGTHS) {
        assert_eq!(all(&again, blob).unwrap(), sample(length));
        again.read(blob).unwrap().verify(blob).unwrap();
    }
}

#[test]
fn the_hash_is_that_of_the_plain_bytes() {
    let world = World::new();
    let blob = keep(&mut world.import().pack().unwrap(), b"abc");
    assert_eq!(
        blob.digest.to_string(),
        "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
    );
}

#[test]
fn writes_of_any_size_make_the_same_blob() {
    let world = World::new();
    let import = world.import();
    let bytes = sample(3 * CHUNK + 17);
    for piece in [1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, bytes.len()] {
        let mut pack = import.pack().unwrap();
        pack.begin().unwrap();
        bytes.chunks(piece).for_each(|piece| pack.write(piece).unwrap());
        pack.write(b"").unwrap();
        let blob = pack.finish().unwrap();
        assert_eq!(all(&import, &blob).unwrap(), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn a_reader_reads_as_from_a_vector(
        length in prop_oneof![0..300_usize, 60_000..200_000_usize],
        steps in proptest::collection::vec((any::<u32>(), 0..3_u8, 0..100_000_usize), 0..24),
    ) {
        let world = World::new();
        let import = world.import();
        let bytes = sample(length);
        let blob = keep(&mut import.pack().unwrap(), &bytes);
        let mut ours = import.read(&blob).unwrap();
        let mut theirs = io::Cursor::new(&bytes);
        for (to, from, read) in steps {
            let to = i64::from(to) % (i64::try_from(length).unwrap() + 10);
            let to = match from {
                0 => SeekFrom::Start(to.unsigned_abs()),
                1 => SeekFrom::Current(to - i64::try_from(length / 2).unwrap()),
                _ => SeekFrom::End(-to),
            };
            prop_assert_eq!(ours.seek(to).ok(), theirs.seek(to).ok());
            let (mut a, mut b) = (Vec::new(), Vec::new());
            let limit = u64::try_from(read).unwrap();
            (&mut ours).take(limit).read_to_end(&mut a).unwrap();
            (&mut theirs).take(limit).read_to_end(&mut b).unwrap();
            prop_assert_eq!(a, b);
        }
    }
}

#[test]
fn no_changed_byte_is_handed_out() {
    let world = World::new();
    let import = world.import();
    let bytes = sample(2 * CHUNK + 100);
    let mut pack = import.pack().unwrap();
    let blob = keep(&mut pack, &bytes);
    let path = world.path(&import, 1);
    let good = fs::read(&path).unwrap();
    let places = (0..HEADER_LEN + 40)
        .chain(HEADER_LEN + CHUNK - 4..HEADER_LEN + CHUNK + 2 * OVERHEAD)
        .chain(sealed_end(&blob) - TRAILER_LEN - 30..sealed_end(&blob));
    for place in places {
        let mut bent = good.clone();
        bent[place] ^= 0x10;
        fs::write(&path, bent).unwrap();
        let error = all(&import, &blob).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{place}: {error}");
    }
    for length in [0, 10, HEADER_LEN, 5000, HEADER_LEN + CHUNK, sealed_end(&blob) - 1] {
        fs::write(&path, &good[..length]).unwrap();
        let error = all(&import, &blob).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{length}: {error}");
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(all(&import, &blob).unwrap(), bytes);
}

#[test]
fn frames_cant_be_exchanged() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    let first = keep(&mut pack, &sample(3 * CHUNK));
    let second = keep(&mut pack, &vec![5; 3 * CHUNK]);
    let path = world.path(&import, 1);
    let good = fs::read(&path).unwrap();
    let frame = CHUNK + OVERHEAD;
    let start =
        |blob: &Blob, index: usize| usize::try_from(blob.at).unwrap() + HEADER_LEN + index * frame;
    let swaps = [
        (start(&first, 0), start(&first, 1)),
        (start(&first, 1), start(&first, 2)),
        (start(&first, 0), start(&second, 0)),
    ];
    for (a, b) in swaps {
        let mut bent = good.clone();
        bent[a..a + frame].copy_from_slice(&good[b..b + frame]);
        bent[b..b + frame].copy_from_slice(&good[a..a + frame]);
        fs::write(&path, bent).unwrap();
        let error = all(&import, &first).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
}

#[test]
fn a_wrong_record_of_a_blob_is_refused() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    let blob = keep(&mut pack, &sample(1000));
    let other = keep(&mut pack, &sample(1000));
    let huge = u64::MAX - 5;
    let wrong = [
        Blob { at: other.at + 1, ..blob.clone() },
        Blob { at: huge, ..blob.clone() },
        Blob { at: 1 << 62, ..blob.clone() },
        Blob { length: 999, ..blob.clone() },
        Blob { length: 1_000_000, ..blob.clone() },
        Blob { length: huge, ..blob.clone() },
        Blob { digest: Default::default(), ..blob.clone() },
    ];
    for blob in wrong {
        assert!(matches!(import.read(&blob), Err(Error::Damaged(_))), "{blob:?}");
    }
    assert!(matches!(import.read(&Blob { pack: 7, ..blob }), Err(Error::Absent { .. })));
}

#[test]
fn another_import_can_t_read_it() {
    let world = World::new();
    let (mine, yours) = (world.import(), world.import());
    let blob = keep(&mut mine.pack().unwrap(), &sample(1000));
    fs::copy(world.path(&mine, 1), world.path(&yours, 1)).unwrap();
    assert!(matches!(yours.read(&blob), Err(Error::Damaged(_))));
}

#[test]
fn a_destroyed_import_is_gone_for_good() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    let blob = keep(&mut pack, &sample(3 * CHUNK));
    pack.sync().unwrap();
    let mut reader = import.read(&blob).unwrap();
    reader.read_exact(&mut [0; 10]).unwrap();
    pack.begin().unwrap();
    let kept = world.at.path().join("kept");
    fs::copy(world.path(&import, 1), &kept).unwrap();

    world.spool.destroy(import.id()).unwrap();
    assert!(world.spool.list().unwrap().is_empty());
    assert!(!world.path(&import, 1).exists());
    assert!(pack.write(&sample(CHUNK + 1)).is_err());
    assert!(reader.read_to_end(&mut Vec::new()).is_err());
    assert!(import.pack().is_err());
    let back = world.at.path().join(format!("spool/{}", import.id()));
    fs::create_dir(&back).unwrap();
    fs::rename(kept, back.join("0001.pack")).unwrap();
    assert!(matches!(import.read(&blob), Err(Error::Seal(_))));
    assert!(world.spool.import(import.id()).is_err());
    assert_eq!(world.spool.list().unwrap(), [import.id()], "packs without a key are listed");
    world.spool.destroy(import.id()).unwrap();
    world.spool.destroy(import.id()).unwrap();
    assert!(world.spool.list().unwrap().is_empty());
}

#[test]
fn given_up_blobs_leave_no_trace() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    let first = keep(&mut pack, b"first");
    pack.begin().unwrap();
    pack.write(&sample(10 * CHUNK)).unwrap();
    assert!(matches!(pack.begin(), Err(Error::OutOfTurn(_))));
    pack.abandon().unwrap();
    pack.abandon().unwrap();
    assert!(matches!(pack.write(b"x"), Err(Error::OutOfTurn(_))));
    assert!(matches!(pack.finish(), Err(Error::OutOfTurn(_))));
    let second = keep(&mut pack, b"second");
    let error = pack.append(&mut &*sample(CHUNK + 1), 1000).unwrap_err();
    assert!(matches!(error, Error::TooLong { limit: 1000 }));
    keep(&mut pack, &sample(1000));
    pack.append(&mut &*sample(1000), 1000).unwrap();
    pack.begin().unwrap();
    pack.write(&sample(10 * CHUNK)).unwrap();
    drop(pack);
    assert_eq!(all(&import, &first).unwrap(), b"first");
    assert_eq!(all(&import, &second).unwrap(), b"second");
    let recovery = import.recover().unwrap();
    assert_eq!(recovery.blobs.len(), 4);
    assert!(recovery.torn.is_empty() && recovery.damaged.is_empty());
    drop(import.pack().unwrap());
    assert_eq!(import.pack().unwrap().number(), 3);
    assert!(!world.path(&import, 2).exists(), "no empty pack stays");
}

#[test]
fn a_reader_that_fails_harms_the_blob_only() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("cut"))
        }
    }
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    let mut reader = (&b"some"[..]).chain(Fails);
    assert!(matches!(pack.append(&mut reader, NO_LIMIT), Err(Error::Source(_))));
    let blob = keep(&mut pack, b"next");
    assert_eq!(blob.at, 0);
    assert_eq!(all(&import, &blob).unwrap(), b"next");
}

#[test]
fn packs_are_written_at_the_same_time() {
    let world = World::new();
    let import = world.import();
    let other = world.spool.import(import.id()).unwrap();
    let blobs: Vec<Blob> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8_u8)
            .map(|number| {
                let import = if number % 2 == 0 { &import } else { &other };
                scope.spawn(move || {
                    let mut pack = import.pack().unwrap();
                    let blobs: Vec<Blob> =
                        (0..10).map(|_| keep(&mut pack, &vec![number; 100_000])).collect();
                    pack.sync().unwrap();
                    assert_eq!(all(import, &blobs[3]).unwrap(), vec![number; 100_000]);
                    blobs
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let mut packs: Vec<u32> = blobs.iter().map(|blob| blob.pack).collect();
    packs.dedup();
    packs.sort_unstable();
    assert_eq!(packs, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(import.recover().unwrap().blobs.len(), 80);
}

#[test]
fn one_process_at_a_time() {
    let world = World::new();
    let folder = world.at.path().join("spool");
    let error = Spool::open(&folder, vault(&world.at)).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    let import = world.import();
    let World { at, spool } = world;
    drop(spool);
    assert!(Spool::open(&folder, vault(&at)).is_err(), "a part is still in use");
    drop(import);
    Spool::open(&folder, vault(&at)).unwrap();
}

#[test]
fn unusable_folders_are_explained() {
    let at = tempfile::tempdir().unwrap();
    fs::write(at.path().join("file"), "").unwrap();
    let error = Spool::open(&at.path().join("file/spool"), vault(&at)).unwrap_err();
    assert!(error.to_string().contains("file is not a folder"), "{error}");
}

#[test]
fn nothing_readable_lies_on_the_disk() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    keep(&mut pack, &sample(200_000));
    pack.sync().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = world.at.path().join("spool").join(import.id().to_string());
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&world.path(&import, 1)), 0o600);
    let bytes = fs::read(world.path(&import, 1)).unwrap();
    assert!(!bytes.windows(6).any(|found| found == &CANARY[..6]));
}

mod committer;
mod long;
mod recovered;
mod room;
mod streams;
