//! A spool for one run.

use std::sync::atomic::AtomicU64;

use lotse::import::{File, ImportId};
use lotse::seal::Vault;
use lotse::spool::Spool;
use lotse::unpack::{Limits, ScanSection, Terms, unpack};
use tokio_util::sync::CancellationToken;

thread_local! {
    static SPOOL: (tempfile::TempDir, Spool) = {
        let dir = tempfile::tempdir().expect("a folder");
        let (keys, packs) = (dir.path().join("keys"), dir.path().join("spool"));
        std::fs::create_dir(&keys).expect("a folder");
        std::fs::create_dir(&packs).expect("a folder");
        let vault = Vault::open_or_create(&keys, &dir.path().join("master.key")).expect("a key");
        let spool = Spool::open(&packs, vault).expect("a spool");
        (dir, spool)
    };
}

/// Unpacks `bytes` under small bounds as a file of this name.
pub fn take_in(name: &str, bytes: &[u8]) {
    SPOOL.with(|(_, spool)| {
        let id = ImportId::new();
        let import = spool.create(id).expect("an import");
        let mut pack = import.pack().expect("a pack");
        let blob = pack.append(&mut &*bytes, u64::MAX).expect("a blob");
        pack.sync().expect("synced");
        let files = [File { name: name.to_owned(), blob }];
        let limits = Limits { entries: 1_000, entry_bytes: 16 << 20, total_bytes: 64 << 20, ratio: 100 };
        let scan = ScanSection::default();
        let terms = Terms { limits: &limits, scan: &scan, password: Some("secret") };
        let _ = unpack(&import, &files, &terms, &CancellationToken::new(), &AtomicU64::new(0));
        spool.destroy(id).expect("destroyed");
    });
}
