//! Long objects beside short ones, past the cache and through it.

use super::*;

#[test]
fn long_and_short_objects_share_a_pack() {
    let world = World::new();
    let import = world.import();
    let mut pack = import.pack_synced_often().unwrap();
    // Past the cache, over to it within the object, and back for the next.
    let objects = [500_000, 9_000_001, 700_000, 5 << 20, 3, 4 << 20].map(sample);
    let mut blobs = Vec::new();
    for object in &objects {
        blobs.push(pack.append(&mut object.as_slice(), NO_LIMIT).unwrap());
        pack.sync().unwrap();
    }
    for (blob, object) in blobs.iter().zip(&objects) {
        assert!(all(&import, blob).unwrap() == *object, "{} bytes", object.len());
    }
    // One that is given up in the middle leaves nothing behind.
    let end = fs::metadata(world.path(&import, pack.number())).unwrap().len();
    pack.begin().unwrap();
    pack.write(&sample(9 << 20)).unwrap();
    pack.abandon().unwrap();
    assert_eq!(fs::metadata(world.path(&import, pack.number())).unwrap().len(), end);
    blobs.push(pack.append(&mut objects[0].as_slice(), NO_LIMIT).unwrap());
    assert!(all(&import, &blobs[objects.len()]).unwrap() == objects[0]);
    drop(pack);
    let found = import.recover().unwrap();
    assert!(found.torn.is_empty() && found.damaged.is_empty());
    assert_eq!(found.blobs, blobs);
}
