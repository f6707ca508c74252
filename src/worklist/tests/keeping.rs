use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::seal::Vault;
use crate::sim::ris::{Fault, Ris};

fn vault(folder: &Path) -> Vault {
    Vault::open_or_create(&folder.join("keys"), &folder.join("master.key")).unwrap()
}

fn entries(count: usize) -> Vec<Entry> {
    let one = |n: usize| {
        let origin = Origin::Peer("ris".into());
        let set = entry(&format!("{n}"), &format!("A{n}"), "Müller^Änne");
        Entry::read(&set, &reading(), &origin).unwrap().remove(0)
    };
    (0..count).map(one).collect()
}

fn ris() -> Source {
    // Nobody listens on the discard port of loopback.
    ris_at("127.0.0.1:9".to_owned())
}

fn ris_at(address: String) -> Source {
    let remote = crate::dimse::Remote {
        address,
        called: AeTitle::new("RIS").unwrap(),
        calling: AeTitle::new("LOTSE").unwrap(),
        timeouts: crate::dimse::Timeouts::default(),
        max_pdu: crate::dimse::MAX_PDU,
        security: Default::default(),
    };
    Source::Peer { name: "ris".to_owned(), remote, manners: Manners::default() }
}

fn is_below(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[test]
fn an_entry_is_utf8_one_step_and_nothing_private() {
    let sets = CharacterSets::parse(Some(b"ISO_IR 100"));
    let mut set = entry_in("1", "A1", "Müller^Änne", &sets);
    set.put_bytes(crate::dicom::Tag(0x0009, 0x0010), VR::LO, b"PRIVATE".to_vec());
    set.put_items(
        tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE,
        vec![step("S1", "CT", "20240310"), step("S2", "MR", "20240311")],
    );
    for declared in [true, false] {
        if !declared {
            set.remove(tags::SPECIFIC_CHARACTER_SET);
        }
        let found = Entry::read(&set, &reading(), &Origin::Peer("ris".into())).unwrap();
        assert_eq!(found.len(), 2);
        let second = found[1].data_set();
        assert_eq!(second.text(tags::PATIENT_NAME).as_deref(), Some("Müller^Änne"));
        assert_eq!(second.text(tags::SPECIFIC_CHARACTER_SET).as_deref(), Some("ISO_IR 192"));
        assert!(second.get(crate::dicom::Tag(0x0009, 0x0010)).is_none());
        let steps = second.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE);
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0].text(tags::SCHEDULED_PROCEDURE_STEP_ID).as_deref(), Some("S2"));
        assert_eq!(found[1].day(), Some(date(2024, 3, 11)));
        assert_eq!(format!("{:?}", found[1]), "Entry(redacted)");
    }
    let huge = "x".repeat(70_000);
    let mut set = DataSet::default();
    assert!(set.put_text(tags::PATIENT_COMMENTS, VR::LT, &huge, &CharacterSets::utf8()));
    assert_eq!(Entry::new(set, Origin::Peer("ris".into())), Err(NoEntry::TooLarge));
    assert_eq!(Entry::new(DataSet::default(), Origin::Peer("ris".into())), Err(NoEntry::Empty));
}

#[test]
fn the_cache_survives_a_restart_and_nobody_reads_it_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.sealed");
    let now = clock().now();
    let cache = Cache::open(vault(folder.path()), &path).unwrap();
    cache.fill(&ris(), Extent::Whole, entries(300), now, Duration::ZERO);
    cache.save(now).unwrap();
    assert!(!is_below(folder.path(), "Müller".as_bytes()) && !is_below(folder.path(), b"A299"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let again = Cache::open(vault(folder.path()), &path).unwrap();
    let slot = again.slot(&ris()).unwrap();
    assert_eq!((slot.entries.len(), slot.filled, slot.extent), (300, now, Extent::Whole));
    assert!(*slot.entries == *entries(300));

    // Another installation's key opens nothing.
    let other = tempfile::tempdir().unwrap();
    assert!(Cache::open(vault(other.path()), &path).unwrap().slot(&ris()).is_none());
    // Cut anywhere, it is not taken for whole.
    let bytes = std::fs::read(&path).unwrap();
    for cut in [0, 4, 60, 200, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(Cache::open(vault(folder.path()), &path).unwrap().slot(&ris()).is_none(), "{cut}");
    }
    // A byte changed anywhere is seen.
    for at in [9, 80, bytes.len() / 3, bytes.len() - 20] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(Cache::open(vault(folder.path()), &path).unwrap().slot(&ris()).is_none(), "{at}");
    }
}

#[test]
fn the_key_of_a_file_that_was_replaced_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.sealed");
    let now = clock().now();
    let cache = Cache::open(vault(folder.path()), &path).unwrap();
    cache.fill(&ris(), Extent::Whole, entries(1), now, Duration::ZERO);
    cache.save(now).unwrap();
    // A second name stands for what is left on the device.
    let left = folder.path().join("left");
    std::fs::hard_link(&path, &left).unwrap();
    cache.fill(&ris(), Extent::Whole, entries(2), now, Duration::ZERO);
    cache.save(now).unwrap();
    assert!(Cache::open(vault(folder.path()), &left).unwrap().slot(&ris()).is_none());
    assert!(Cache::open(vault(folder.path()), &path).unwrap().slot(&ris()).is_some());
}

#[test]
fn a_part_does_not_drive_out_the_whole_until_it_is_overdue() {
    let cache = Cache::in_memory();
    let clock = clock();
    let overdue = Duration::from_secs(60);
    cache.fill(&ris(), Extent::Whole, entries(10), clock.now(), overdue);
    clock.advance(Duration::from_secs(30));
    cache.fill(&ris(), Extent::Part, entries(3), clock.now(), overdue);
    assert_eq!(cache.slot(&ris()).unwrap().entries.len(), 10);
    assert_eq!(cache.health(clock.now())[0].age_seconds, 30);
    clock.advance(Duration::from_secs(31));
    cache.fill(&ris(), Extent::Part, entries(3), clock.now(), overdue);
    assert_eq!(cache.slot(&ris()).unwrap().entries.len(), 3);
    cache.fill(&ris(), Extent::Whole, entries(1), clock.now(), overdue);
    assert_eq!(cache.slot(&ris()).unwrap().entries.len(), 1);
    clock.advance(Duration::from_secs(169 * 3600));
    cache.keep_only(&[ris()], clock.now());
    assert!(cache.slot(&ris()).is_none(), "nothing is kept longer than a week");
}

#[tokio::test]
async fn what_is_kept_answers_while_the_ris_is_down_and_proves_nothing() {
    let (clock, cache) = (clock(), Cache::in_memory());
    cache.fill(&ris(), Extent::Whole, entries(2), clock.now(), Duration::ZERO);
    let worklist = Worklist::new(vec![ris()], options(), clock.clone())
        .keeping(cache.clone(), Local::in_memory());
    clock.advance(Duration::from_secs(12 * 60));
    let answer = worklist.ask(&broad()).await.unwrap();
    assert_eq!((answer.items.len(), answer.completeness), (2, Completeness::Incomplete));
    assert_eq!(answer.freshness, Freshness::Kept);
    assert!(answer.notes.iter().any(|note| note.contains("12 min ago")), "{:?}", answer.notes);
    let narrow = Ask { accession_number: Some("A1".to_owned()), ..Ask::default() };
    assert_eq!(worklist.ask(&narrow).await.unwrap().items.len(), 1);
    // The order that was chosen is read again from the RIS, or not at all.
    assert!(matches!(worklist.reread(&answer.items[0]).await, Err(Error::Unreachable(_))));
    assert_eq!(worklist.listing().await.unwrap().items.len(), 2);
    // Beside a source that answers, it is there, and is told apart.
    let folder = tempfile::tempdir().unwrap();
    let sources = vec![ris(), Source::Folder { path: folder.path().to_owned() }];
    let beside =
        Worklist::new(sources, options(), clock.clone()).keeping(cache, Local::in_memory());
    let mixed = beside.ask(&narrow).await.unwrap();
    assert_eq!((mixed.items.len(), mixed.freshness), (1, Freshness::Mixed));
    let other = Ask { accession_number: Some("A77".to_owned()), ..Ask::default() };
    assert_eq!(beside.ask(&other).await.unwrap().freshness, Freshness::Live);
    assert!(matches!(beside.reread(&mixed.items[0]).await, Err(Error::Unreachable(_))));
    // Without anything kept, nobody answers.
    let empty = Worklist::new(vec![ris()], options(), clock);
    assert!(empty.ask(&broad()).await.is_err() && empty.kept().is_none());
}

#[tokio::test]
async fn a_step_of_the_window_is_kept_once_whatever_was_asked_with_it() {
    let order = |number: &str, day: &str| {
        let mut item = item_of(&entry("1", number, "Müller^Eva"), &reading()).unwrap();
        // No station: one that matches every question for one.
        item.steps[0].station = None;
        item.steps[0].start_date = Some(day.to_owned());
        item
    };
    let ask = |number: Option<&str>| Ask { accession_number: number.map(str::to_owned), ..broad() };
    let by_patient = Ask { patient_id: Some("1".to_owned()), ..ask(Some("A1")) };
    let stations = |titles: &[&str]| {
        let stations = titles.iter().map(|title| AeTitle::new(title).unwrap()).collect();
        Options { stations, ..options() }
    };
    // The second order is of another year; the RIS does not look at days.
    let (in_window, late) = (order("A1", "20240310"), order("A9", "20250310"));
    for (why, options, ask, fault, told) in [
        ("by number too", options(), ask(Some("A1")), Fault::None, 1),
        ("by number and patient too", options(), by_patient, Fault::None, 2),
        ("two stations", stations(&["CT1", "CT2"]), ask(None), Fault::None, 1),
        ("a RIS that repeats itself", options(), ask(None), Fault::Twice, 1),
        ("an order out of the window", options(), ask(Some("A9")), Fault::None, 2),
    ] {
        let ris = Ris::start(vec![in_window.clone(), late.clone()], fault).await.unwrap();
        let source = ris_at(ris.address().to_string());
        let worklist = Worklist::new(vec![source], options, clock());
        let answer = worklist.ask(&ask).await.unwrap();
        assert_eq!(answer.items.len(), told, "{why}");
        let kept: Vec<Entry> =
            worklist.kept().unwrap().entries.iter().flat_map(|e| e.iter()).cloned().collect();
        assert_eq!(kept.len(), 1, "{why}");
        assert_eq!(kept[0].data_set().text(tags::ACCESSION_NUMBER).as_deref(), Some("A1"), "{why}");
        ris.stop().await;
    }
    // So it is with a folder, where one order may lie in two files.
    let folder = tempfile::tempdir().unwrap();
    let mut late = entry("1", "A9", "Müller^Eva");
    late.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step("S1", "OT", "20250310")]);
    let first = entry("1", "A1", "Müller^Eva");
    for (name, set) in [("1.wl", &first), ("2.wl", &first), ("9.wl", &late)] {
        std::fs::write(folder.path().join(name), set.write(Syntax::ExplicitLittle)).unwrap();
    }
    let source = Source::Folder { path: folder.path().to_owned() };
    let worklist = Worklist::new(vec![source], options(), clock());
    assert_eq!(worklist.ask(&ask(Some("A9"))).await.unwrap().items.len(), 2);
    assert_eq!(worklist.kept().unwrap().entries.iter().map(|e| e.len()).sum::<usize>(), 1);
}

#[tokio::test]
async fn local_orders_are_part_of_the_worklist_and_survive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local.sealed");
    let key = LocalKey::new("kis|4711").unwrap();
    let local = Local::open(vault(folder.path()), &path).unwrap();
    local.put(&key, entries(2)).unwrap();
    local.put(&LocalKey::new("kis|4712").unwrap(), entries(1)).unwrap();
    assert!(local.remove(&LocalKey::new("kis|4712").unwrap()).unwrap());
    assert!(!local.remove(&LocalKey::new("kis|4712").unwrap()).unwrap());
    assert!(!is_below(folder.path(), "Müller".as_bytes()));
    drop(local);

    let local = Local::open(vault(folder.path()), &path).unwrap();
    assert_eq!((local.len(), local.get(&key).len(), local.orders().len()), (2, 2, 1));
    assert_eq!(local.get(&key)[0].origin(), &Origin::Local(key.clone()));
    let worklist =
        Worklist::new(vec![], options(), clock()).keeping(Cache::in_memory(), local.clone());
    let answer = worklist.ask(&broad()).await.unwrap();
    // What was put here never proves that there is nothing else.
    assert_eq!((answer.items.len(), answer.completeness), (2, Completeness::Incomplete));
    assert_eq!(worklist.reread(&answer.items[0]).await.unwrap().as_ref(), Some(&answer.items[0]));
    // With a RIS that is down they are there, but prove nothing.
    let worklist =
        Worklist::new(vec![ris()], options(), clock()).keeping(Cache::in_memory(), local.clone());
    let answer = worklist.ask(&broad()).await.unwrap();
    assert_eq!((answer.items.len(), answer.completeness), (2, Completeness::Incomplete));
    assert_eq!(local.forget_before(date(2024, 3, 10)).unwrap(), 0);
    assert_eq!(local.forget_before(date(2024, 3, 11)).unwrap(), 1);
    assert!(Local::open(vault(folder.path()), &path).unwrap().is_empty());
}

#[test]
fn a_torn_change_costs_itself_and_a_foreign_key_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local.sealed");
    let local = Local::open(vault(folder.path()), &path).unwrap();
    let keys: Vec<LocalKey> = (0..20).map(|n| LocalKey::new(&format!("k{n}")).unwrap()).collect();
    for key in &keys {
        local.put(key, entries(1)).unwrap();
    }
    drop(local);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    assert_eq!(Local::open(vault(folder.path()), &path).unwrap().len(), 19);
    // A wrong key is no reason to start empty: nothing is overwritten.
    let other = tempfile::tempdir().unwrap();
    assert!(matches!(Local::open(vault(other.path()), &path), Err(StoreError::Sealed { .. })));
    assert_eq!(Local::open(vault(folder.path()), &path).unwrap().len(), 19);
}

/// Where the records of a file begin, and its end.
fn records(bytes: &[u8]) -> Vec<usize> {
    let mut at = 8 + crate::seal::FileKey::WRAPPED_LEN;
    let mut found = vec![at];
    while at < bytes.len() {
        at +=
            4 + usize::try_from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap();
        found.push(at);
    }
    found
}

#[test]
fn damage_in_the_middle_is_told_and_nothing_behind_it_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local.sealed");
    let local = Local::open(vault(folder.path()), &path).unwrap();
    for n in 0..20 {
        local.put(&LocalKey::new(&format!("k{n}")).unwrap(), entries(1)).unwrap();
    }
    drop(local);
    let good = std::fs::read(&path).unwrap();
    let begins = records(&good);
    assert_eq!(begins.len(), 21);
    let (fifth, sixth, last) = (begins[4], begins[5], begins[19]);
    let changed = |at: usize, with: &dyn Fn(&mut [u8])| {
        let mut bytes = good.clone();
        with(&mut bytes[at..]);
        bytes
    };
    let damaged = [
        ("a byte of the content", changed(fifth + 100, &|bytes| bytes[0] ^= 1)),
        ("a byte of the length", changed(fifth, &|bytes| bytes[0] ^= 1)),
        ("a length far beyond the end", changed(fifth, &|bytes| bytes[2] ^= 64)),
        ("no length at all", changed(fifth, &|bytes| bytes[3] ^= 64)),
        ("a sector of nothing", changed(fifth, &|bytes| bytes[..512].fill(0))),
        ("the last but one", changed(begins[18] + 50, &|bytes| bytes[0] ^= 1)),
    ];
    for (what, bytes) in damaged {
        std::fs::write(&path, &bytes).unwrap();
        let Err(error) = Local::open(vault(folder.path()), &path) else { panic!("{what}") };
        assert!(matches!(error, StoreError::Damaged { .. }), "{what}: {error}");
        assert!(error.to_string().contains("move it away"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{what}: the file is left alone");
    }
    let torn = [
        ("within the content", good[..last + 30].to_vec()),
        ("within the length", good[..last + 2].to_vec()),
        ("never written", [&good[..last], &[0; 4096]].concat()),
        ("written in part", changed(last + 40, &|bytes| bytes.fill(0))),
        ("written in part, with room behind", [&good[..last + 40], &[0; 9000]].concat()),
    ];
    for (what, bytes) in torn {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Local::open(vault(folder.path()), &path).unwrap().len(), 19, "{what}");
    }
    std::fs::write(&path, &good[..sixth]).unwrap();
    assert_eq!(Local::open(vault(folder.path()), &path).unwrap().len(), 5);
}

#[test]
fn a_cache_that_is_damaged_is_asked_for_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.sealed");
    let now = clock().now();
    let cache = Cache::open(vault(folder.path()), &path).unwrap();
    cache.fill(&ris(), Extent::Whole, entries(5), now, Duration::ZERO);
    cache.save(now).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let third = records(&bytes)[2];
    bytes[third + 60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(Cache::open(vault(folder.path()), &path).unwrap().slot(&ris()).is_none());
}

#[test]
fn nothing_is_put_into_a_file_that_lost_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local.sealed");
    let local = Local::open(vault(folder.path()), &path).unwrap();
    let key = |n: usize| LocalKey::new(&format!("k{n}")).unwrap();
    local.put(&key(1), entries(2)).unwrap();
    // As after a replacement that failed with the new file in place.
    let copy = folder.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::rename(&copy, &path).unwrap();
    let obstacle = path.with_extension("new");
    std::fs::create_dir_all(obstacle.join("full")).unwrap();
    local.put(&key(3), entries(1)).unwrap();
    assert!(local.remove(&key(3)).is_ok());
    let old = local.orders();
    let [(_, of_old)] = &old[..] else { panic!("one order") };
    let newest = of_old.iter().filter_map(|entry| entry.day()).max().unwrap();
    assert!(local.forget_before(newest.tomorrow().unwrap()).is_err());
    assert!(local.put(&key(2), entries(1)).is_err(), "it could not be kept");
    std::fs::remove_dir_all(&obstacle).unwrap();
    local.put(&key(2), entries(1)).unwrap();
    drop(local);
    let local = Local::open(vault(folder.path()), &path).unwrap();
    assert_eq!(local.get(&key(2)).len(), 1);
}

#[test]
fn a_key_that_changes_for_ever_does_not_fill_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local.sealed");
    let local = Local::open(vault(folder.path()), &path).unwrap();
    let key = LocalKey::new("k").unwrap();
    for _ in 0..1_100 {
        local.put(&key, entries(1)).unwrap();
    }
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 1_100 * 600, "{size} bytes");
    assert_eq!(local.len(), 1);
}

/// By hand: `cargo test --release --lib a_hundred_thousand -- --ignored --nocapture`.
#[test]
#[ignore = "takes a while; prints figures"]
fn a_hundred_thousand_entries() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.sealed");
    let all = entries(100_001);
    let bytes: usize = all.iter().map(|entry| entry.encoded().len()).sum();
    let now = clock().now();
    let cache = Cache::open(vault(folder.path()), &path).unwrap();
    cache.fill(&ris(), Extent::Whole, all, now, Duration::ZERO);
    let begun = std::time::Instant::now();
    cache.save(now).unwrap();
    let saved = begun.elapsed();
    let begun = std::time::Instant::now();
    let again = Cache::open(vault(folder.path()), &path).unwrap();
    assert_eq!(again.slot(&ris()).unwrap().entries.len(), 100_000);
    println!(
        "100,000 entries: {} MiB in memory, {} MiB on disk, saved in {saved:?}, read in {:?}",
        bytes >> 20,
        std::fs::metadata(&path).unwrap().len() >> 20,
        begun.elapsed()
    );
}
