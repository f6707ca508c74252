//! What each fuzz target does with its bytes. The targets below `fuzz_targets` and the short form in
//! `tests/it/fuzz.rs` run the same functions.
//!
//! Whatever comes, it ends without a panic, and what is said about the bytes lies inside of them.

use std::sync::atomic::AtomicU64;

use lotse::dicom::inspect::inspect as facts_of;
use lotse::dicom::scan::{Limits as ScanLimits, scan_data_set, scan_file};
use lotse::dicom::{CharacterSets, Uid, VR};
use lotse::fetch::recipe;
use lotse::hl7::{Head, Message, reply};
use lotse::import::{File, ImportId};
use lotse::seal::Vault;
use lotse::spool::Spool;
use lotse::unpack::{Limits, ScanSection, Terms, unpack};
use lotse::worklist::hl7::{Rules, read};
use tokio_util::sync::CancellationToken;

/// Files of any kind: archives, disc images, objects, documents.
pub fn archive(bytes: &[u8]) {
    take_in("a.bin", bytes);
}

/// A file called DICOMDIR.
pub fn dicomdir(bytes: &[u8]) {
    take_in("DICOMDIR", bytes);
}

/// The walk over an object, with and without a header.
pub fn scanner(bytes: &[u8]) {
    let length = bytes.len() as u64;
    let limits = ScanLimits { inflated: 16 << 20, ..ScanLimits::default() };
    if let Ok(scan) = scan_file(&mut &*bytes, length, &limits) {
        assert!(scan.layout.data_set_at <= scan.layout.ends_at);
        if let Some(pixels) = scan.layout.pixel_data {
            assert!(pixels.element_at <= pixels.ends_at && pixels.ends_at <= scan.layout.ends_at);
        }
    }
    for syntax in ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"] {
        let syntax = Uid::new(syntax).expect("a UID");
        let _ = scan_data_set(&mut &*bytes, length, &syntax, &limits);
    }
}

/// From bytes to facts.
pub fn inspect(bytes: &[u8]) {
    let limits = ScanLimits { inflated: 16 << 20, ..ScanLimits::default() };
    if let Ok(scan) = scan_file(&mut &*bytes, bytes.len() as u64, &limits) {
        let _ = facts_of(scan);
    }
}

/// Character sets: a term, a NUL, and bytes in that set.
pub fn charset(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (term, rest) = bytes.split_at(at);
    let sets = CharacterSets::parse(Some(term));
    for vr in [VR::PN, VR::LO, VR::UT] {
        let text = sets.decode(rest, vr);
        let _ = sets.encode(&text, vr);
    }
}

/// What portals answer: JSON, session tokens, links, the name of a file.
pub fn dlx(bytes: &[u8]) {
    let read = lotse::fetch::understand(bytes);
    assert!(read.questions.is_none_or(|questions| questions <= 20));
    for offer in read.offers.iter().flatten() {
        // Keys go back into addresses.
        assert!(!offer.key.is_empty() && offer.key.len() <= 512 && offer.key != "..");
        let texts = [&offer.description, &offer.modalities, &offer.study_uid];
        assert!(texts.into_iter().flatten().all(|text| !text.chars().any(char::is_control)));
    }
    let token = read.token.as_deref().unwrap_or("a.b.c");
    assert!(token.bytes().all(|byte| byte.is_ascii_graphic()) && token.matches('.').count() == 2);
    assert!(read.link_token.is_none_or(|token| token.len() <= 1024));
    let name = &read.file_name;
    assert!(!name.is_empty() && name.chars().count() <= 200);
    assert!(!name.chars().any(char::is_control));
}

/// The head of an answer.
pub fn head(bytes: &[u8]) {
    let read = lotse::web::read_head(bytes);
    if let Some((first, Some(whole))) = read.rest {
        assert!(first < whole);
    }
}

/// A recipe file.
pub fn recipe(bytes: &[u8]) {
    recipe::look_at(&String::from_utf8_lossy(bytes));
}

/// A portal's page, and the forms on it as a recipe would send them.
pub fn form(bytes: &[u8]) {
    recipe::look_at_page(&String::from_utf8_lossy(bytes));
}

/// HL7 v2: any bytes are read as an order or a patient, or refused; the answer is always one that can be read.
pub fn hl7(bytes: &[u8]) {
    let rules = Rules::default();
    let fault = match Message::parse(bytes, &rules.fallback) {
        Ok(message) => read(&message, &rules, jiff::civil::date(2026, 3, 1)).err(),
        Err(fault) => Some(fault),
    };
    let answer = reply(&Head::peek(bytes), fault.as_ref(), "20260301120000+0100");
    assert!(Message::parse_answer(&answer).is_ok());
}

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
fn take_in(name: &str, bytes: &[u8]) {
    SPOOL.with(|(_, spool)| {
        let id = ImportId::new();
        let import = spool.create(id).expect("an import");
        let mut pack = import.pack().expect("a pack");
        let blob = pack.append(&mut &*bytes, u64::MAX).expect("a blob");
        pack.sync().expect("synced");
        let files = [File { name: name.to_owned(), blob }];
        let limits =
            Limits { entries: 1_000, entry_bytes: 16 << 20, total_bytes: 64 << 20, ratio: 100 };
        let scan = ScanSection::default();
        let terms = Terms { limits: &limits, scan: &scan, password: Some("secret") };
        let unpacked =
            unpack(&import, &files, &terms, &CancellationToken::new(), &AtomicU64::new(0));
        if let Ok(unpacked) = unpacked {
            for instance in &unpacked.instances {
                assert!(instance.layout.ends_at <= instance.blob.length);
            }
        }
        spool.destroy(id).expect("destroyed");
    });
}

/// A multipart body: a content type up to the first line break, then the body, in pieces of several sizes.
pub fn multipart(bytes: &[u8]) {
    use lotse::fetch::multipart::{Multipart, Step};
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (kind, body) = bytes.split_at(at);
    let mut totals = Vec::new();
    for size in [1, 7, 4096] {
        let Ok(mut parser) = Multipart::new(&String::from_utf8_lossy(kind), 100) else { return };
        let mut pieces = body.get(1..).unwrap_or_default().chunks(size);
        let (mut content, mut parts) = (Vec::new(), 0_u64);
        let end = loop {
            match parser.step() {
                Ok(Step::Part(_)) => parts += 1,
                Ok(Step::Bytes(bytes)) => content.extend_from_slice(&bytes),
                Ok(Step::PartEnds) => {}
                Ok(Step::Ends) => break parser.end().is_ok(),
                Ok(Step::More) => match pieces.next() {
                    Some(piece) => parser.push(piece),
                    None => break parser.end().is_ok(),
                },
                Err(_) => break false,
            }
        };
        assert!(content.len() <= body.len() && parts <= 100);
        totals.push(end.then_some((parts, content)));
    }
    // However a body is cut, it is read the same.
    assert!(totals.windows(2).all(|pair| pair[0] == pair[1]));
}
