use futures_util::future::join_all;

use super::*;

fn sealed(import: &ImportSpool, bytes: &[u8]) -> Sealed {
    let mut draft = import.draft(bytes.len()).unwrap();
    // In two parts, of which one may be empty.
    let (first, rest) = bytes.split_at(bytes.len() / 3);
    draft.write(first).unwrap();
    draft.write(rest).unwrap();
    draft.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_bring_lies_in_one_pack_and_comes_back() {
    let world = World::new();
    let import = world.import();
    let committer = import.committer();
    let objects: Vec<Vec<u8>> = (0..60).map(|n| sample(n * 2_500)).collect();
    let commits = objects.iter().map(|bytes| committer.commit(sealed(&import, bytes)));
    let blobs: Vec<Blob> = join_all(commits).await.into_iter().map(Result::unwrap).collect();
    for (blob, bytes) in blobs.iter().zip(&objects) {
        assert_eq!(blob.pack, blobs[0].pack);
        assert_eq!(&all(&import, blob).unwrap(), bytes);
        import.read(blob).unwrap().verify(blob).unwrap();
    }
    let recovery = import.recover().unwrap();
    assert_eq!((recovery.blobs.len(), recovery.torn.len(), recovery.damaged.len()), (60, 0, 0));
}

#[tokio::test]
async fn a_draft_is_the_same_blob_as_one_that_was_written() {
    let world = World::new();
    let import = world.import();
    let bytes = sample(2 * CHUNK);
    let drafted = import.committer().commit(sealed(&import, &bytes)).await.unwrap();
    let written = keep(&mut import.pack().unwrap(), &bytes);
    assert_eq!((drafted.length, &drafted.digest), (written.length, &written.digest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_small_ones_lie_behind_each_other_whatever_was_expected() {
    let world = World::new();
    let import = world.import();
    let committer = import.committer();
    let lengths = [700_000, 10, 3 * CHUNK, 2_000_000, 0, 1_000_000, 100_000, CHUNK];
    let objects: Vec<Vec<u8>> = lengths.into_iter().map(sample).collect();
    let drafted = objects.iter().enumerate().map(|(number, bytes)| {
        // What outgrows its room lies where no block may.
        let expected = if number.is_multiple_of(2) { bytes.len() } else { 0 };
        let mut draft = import.draft(expected).unwrap();
        bytes.chunks(7_777).for_each(|part| draft.write(part).unwrap());
        committer.commit(draft.finish().unwrap())
    });
    let blobs: Vec<Blob> = join_all(drafted).await.into_iter().map(Result::unwrap).collect();
    for (blob, bytes) in blobs.iter().zip(&objects) {
        assert!(&all(&import, blob).unwrap() == bytes, "{}", bytes.len());
    }
    let recovery = import.recover().unwrap();
    assert_eq!((recovery.blobs.len(), recovery.torn.len(), recovery.damaged.len()), (8, 0, 0));
}

#[tokio::test]
async fn all_who_hold_it_share_it_and_it_ends_with_the_last() {
    let world = World::new();
    let import = world.import();
    let (one, two) = (import.committer(), import.clone().committer());
    let first = one.commit(sealed(&import, b"1")).await.unwrap();
    drop(one);
    let second = two.commit(sealed(&import, b"2")).await.unwrap();
    assert_eq!(first.pack, second.pack);
    drop(two);
    let third = import.committer().commit(sealed(&import, b"3")).await.unwrap();
    assert_ne!(first.pack, third.pack);
    for (blob, bytes) in [(first, b"1"), (second, b"2"), (third, b"3")] {
        assert_eq!(all(&import, &blob).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_folder_that_is_gone_is_an_error_for_the_object_only() {
    let world = World::new();
    let import = world.import();
    let committer = import.committer();
    let folder = world.path(&import, 1).parent().unwrap().to_owned();
    let away = folder.with_extension("away");
    fs::rename(&folder, &away).unwrap();
    assert!(committer.commit(sealed(&import, b"lost")).await.is_err());
    fs::rename(&away, &folder).unwrap();
    let blob = committer.commit(sealed(&import, b"kept")).await.unwrap();
    assert_eq!(all(&import, &blob).unwrap(), b"kept");
}

#[tokio::test]
async fn nothing_is_sealed_for_an_import_that_was_destroyed() {
    let world = World::new();
    let import = world.import();
    let mut draft = import.draft(3).unwrap();
    draft.write(b"abc").unwrap();
    import.spool().destroy(import.id()).unwrap();
    assert!(matches!(draft.finish(), Err(Error::Seal(_))));
    assert!(import.draft(3).is_err());
}

#[tokio::test]
async fn small_ones_overwrite_zeros_that_go_with_the_pack_or_with_recovery() {
    let world = World::new();
    let import = world.import();
    let committer = import.committer();
    let mut blobs = Vec::new();
    let path = world.path(&import, 1);
    let length = || fs::metadata(&path).unwrap().len();
    let mut lengths = Vec::new();
    for bytes in [sample(10_000), sample(9_000), sample(20_000), sample(400_000), sample(5)] {
        blobs.push(committer.commit(sealed(&import, &bytes)).await.unwrap());
        lengths.push(length());
        assert_eq!(all(&import, blobs.last().unwrap()).unwrap(), bytes);
    }
    let end = |blob: &Blob| blocks::block_end(u64::try_from(sealed_end(blob)).unwrap());
    let ahead = u64::try_from(blocks::AHEAD).unwrap();
    // The first may be the only one, and the third has room in what the second prepared.
    assert_eq!(lengths[..3], [end(&blobs[0]), end(&blobs[1]) + ahead, end(&blobs[1]) + ahead]);
    assert_eq!(lengths[3..], [lengths[1]; 2]);

    // As a crash leaves it.
    let left = fs::read(&path).unwrap();
    drop(committer);
    for _ in 0..1000 {
        if length() == end(&blobs[4]) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(length(), end(&blobs[4]));
    fs::write(&path, left).unwrap();
    let recovery = import.recover().unwrap();
    assert_eq!(recovery.blobs, blobs);
    assert_eq!((recovery.torn, recovery.damaged), (vec![], vec![]));
    assert_eq!(length(), end(&blobs[4]));
}
