//! A copy of the folder, taken while the journal is open, is what a kill would have left.

use super::*;

fn recovered(at: &TempDir, vault: &Vault) -> Recovered {
    let left = folder();
    copy(&path(at), &path(&left));
    fs::set_permissions(path(&left), fs::Permissions::from_mode(0o700)).unwrap();
    Journal::open(&path(&left), vault.clone()).unwrap().1
}

#[test]
fn all_that_was_answered_is_there() {
    let at = folder();
    let vault = vault(&at);
    let (mut journal, _) = Journal::open(&path(&at), vault.clone()).unwrap();
    let imports = [ImportId::new(), ImportId::new()];
    let mut kept = [vec![], vec![]];
    for (import, kept) in imports.iter().zip(&mut kept) {
        vault.create(*import).unwrap();
        kept.push(requested(*import));
        journal.append(kept).unwrap();
    }
    // More than is kept ahead of the store, several times over.
    for sequence in 1..80 {
        for (import, kept) in imports.iter().zip(&mut kept) {
            let entry = answered(*import, sequence, 40_000);
            journal.append(std::slice::from_ref(&entry)).unwrap();
            kept.push(entry);
        }
        if sequence % 13 == 1 {
            let found = recovered(&at, &vault);
            assert_eq!(found.imports.len(), 2);
            assert!(found.unreadable.is_empty());
            for (import, entries) in &found.imports {
                let place = imports.iter().position(|id| id == import).unwrap();
                assert!(same(entries, &kept[place]), "up to {sequence}");
            }
        }
    }
    journal.bury(&tombstone(imports[0], 9)).unwrap();
    let found = recovered(&at, &vault);
    assert_eq!(found.tombstones.len(), 1);
    assert_eq!(found.imports.len(), 1);
    assert!(same(&found.imports[0].1, &kept[1]));
    drop(journal);
    let (_, found) = Journal::open(&path(&at), vault).unwrap();
    assert!(same(&found.imports[0].1, &kept[1]));
}

#[test]
fn what_is_pending_is_seen_as_if_it_were_in_the_store() {
    let at = folder();
    let mut store = Store::open(&path(&at)).unwrap();
    let put = |key: &str, value: &str| (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
    let gone = |key: &str| (key.as_bytes().to_vec(), None);
    store.commit([vec![put("x/1", "a"), put("x/3", "b"), put("x/5", "c"), put("y", "d")]]).unwrap();
    drop(store);
    // All of the above is in sled now.
    let mut store = Store::open(&path(&at)).unwrap();
    store
        .commit([vec![put("x/0", "e"), gone("x/3"), put("x/5", "f")], vec![put("x/9", "g")]])
        .unwrap();
    store.commit([vec![put("w", "h"), put("z", "i"), gone("nothing")]]).unwrap();
    let mut found = Vec::new();
    store
        .scan(b"x/", |key, value| {
            found.push([key, b"=", value].concat());
            Ok(())
        })
        .unwrap();
    assert_eq!(found, [&b"x/0=e"[..], b"x/1=a", b"x/5=f", b"x/9=g"]);
    assert_eq!(store.get(b"x/3").unwrap(), None);
    assert_eq!(store.get(b"x/5").unwrap().as_deref(), Some(&b"f"[..]));
    assert_eq!(store.get(b"y").unwrap().as_deref(), Some(&b"d"[..]));
}
