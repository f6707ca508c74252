//! What a crash leaves in a pack, and what others put there.

use super::*;

#[test]
fn a_torn_tail_is_cut_wherever_it_is_torn() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    let whole = [keep(&mut pack, &sample(CHUNK + 5)), keep(&mut pack, b"")];
    let torn = keep(&mut pack, &sample(CHUNK + 300));
    drop(pack);
    let path = world.path(&import, 1);
    let good = fs::read(&path).unwrap();
    let start = usize::try_from(torn.at).unwrap();
    let cuts = [1, 7, 8, HEADER_LEN, HEADER_LEN + 3, 5000, HEADER_LEN + CHUNK + OVERHEAD, 65_900];
    for cut in cuts.into_iter().chain([sealed_end(&torn) - start - 1]) {
        // A crash may leave the length and lose the bytes.
        for tail in [&[][..], &[0; 5000]] {
            fs::write(&path, [&good[..start + cut], tail].concat()).unwrap();
            let recovery = import.recover().unwrap();
            assert_eq!(recovery.blobs, whole, "{cut}");
            assert!(recovery.damaged.is_empty());
            assert_eq!(recovery.torn.len(), 1);
            assert_eq!(recovery.torn[0].at, torn.at);
            assert_eq!(fs::metadata(&path).unwrap().len(), torn.at);
            let again = import.recover().unwrap();
            assert!(again.torn.is_empty());
            assert_eq!(again.blobs, whole);
        }
    }
}

#[test]
fn damage_before_whole_blobs_is_reported_and_left() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack().unwrap();
    let blobs: Vec<Blob> = (0..4).map(|_| keep(&mut pack, &sample(2 * CHUNK))).collect();
    drop(pack);
    let path = world.path(&import, 1);
    let good = fs::read(&path).unwrap();
    for place in [0, 9, 40, CHUNK, 2 * CHUNK + 60] {
        let mut bent = good.clone();
        let start = usize::try_from(blobs[1].at).unwrap();
        bent[start + place] ^= 0xff;
        if place == 9 {
            bent[start + place] = 1;
        }
        fs::write(&path, &bent).unwrap();
        let recovery = import.recover();
        let recovery = recovery.unwrap();
        assert_eq!(recovery.blobs, [&blobs[..1], &blobs[2..]].concat(), "{place}");
        assert!(recovery.torn.is_empty());
        let length = blobs[2].at - blobs[1].at;
        assert_eq!(recovery.damaged, [Damage { pack: 1, at: blobs[1].at, length }]);
        assert_eq!(fs::read(&path).unwrap(), bent);
    }
}

#[test]
fn garbage_is_no_blob() {
    let world = World::new();
    let import = world.import();
    let path = world.path(&import, 1);
    let headers =
        [format::magic().as_slice(), &[1, 0, 0, 0, 0, 0, 0, 0, b'l']].concat().repeat(5000);
    // Zeros were written ahead of what did not come.
    for (bytes, torn) in
        [(vec![0; 3_000_000], 0), (vec![0xff; 10], 1), (headers, 1), (sample(2_000_000), 1)]
    {
        fs::write(&path, &bytes).unwrap();
        let recovery = import.recover().unwrap();
        assert!(recovery.blobs.is_empty());
        assert_eq!(recovery.torn.len(), torn);
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }
    // What a newer version wrote is not ours to cut.
    let newer = [format::magic().as_slice(), &[2; 100]].concat();
    fs::write(&path, &newer).unwrap();
    assert!(matches!(import.recover(), Err(Error::Newer)));
    assert_eq!(fs::read(&path).unwrap(), newer);
}
