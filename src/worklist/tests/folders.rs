use std::fs;
use std::path::Path;

use super::*;

fn part_10(set: &DataSet, transfer_syntax: &str, syntax: Syntax) -> Vec<u8> {
    let mut meta = DataSet::default();
    let padded = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        bytes
    };
    meta.put_bytes(tags::TRANSFER_SYNTAX_UID, VR::UI, padded(transfer_syntax));
    let meta = meta.write(Syntax::ExplicitLittle);
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    bytes.extend([2, 0, 0, 0, b'U', b'L', 4, 0]);
    bytes.extend(u32::try_from(meta.len()).unwrap().to_le_bytes());
    bytes.extend(meta);
    bytes.extend(set.write(syntax));
    bytes
}

fn folder_list(path: &Path) -> Worklist {
    Worklist::new(vec![Source::Folder { path: path.to_owned() }], options(), clock())
}

#[tokio::test]
async fn a_folder_is_read_as_wlmscpfs_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).unwrap();
    fs::create_dir(folder.path().join("OFFIS")).unwrap();
    fs::create_dir_all(folder.path().join("deep/er")).unwrap();
    let set = |n: &str| entry(n, &format!("A{n}"), "Müller^Eva");
    write("1.wl", part_10(&set("1"), "1.2.840.10008.1.2.1", Syntax::ExplicitLittle));
    write("2.WL", part_10(&set("2"), "1.2.840.10008.1.2", Syntax::ImplicitLittle));
    write("3.wl", set("3").write(Syntax::ExplicitLittle));
    write("OFFIS/4.wl", set("4").write(Syntax::ImplicitLittle));
    write("OFFIS/lockfile", Vec::new());
    write("lockfile", Vec::new());
    write("5.txt", b"nothing".to_vec());
    write("deep/er/6.wl", set("6").write(Syntax::ImplicitLittle));

    let list = folder_list(folder.path());
    let answer = list.ask(&broad()).await.unwrap();
    assert_eq!(answer.completeness, Completeness::Complete);
    assert!(answer.notes.is_empty());
    let mut ids: Vec<_> = answer.items.iter().map(|i| i.patient.id.clone().unwrap().id).collect();
    ids.sort();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    assert_eq!(answer.items[0].patient.name.as_ref().unwrap().as_str(), "Müller^Eva");

    let one = Ask { accession_number: Some("A3".into()), ..Ask::default() };
    let answer = list.ask(&one).await.unwrap();
    assert_eq!(answer.items.len(), 1);
    // One order proves nothing about others.
    assert_eq!(answer.completeness, Completeness::Incomplete);

    let item = answer.items[0].clone();
    assert_eq!(list.reread(&item).await.unwrap(), Some(item.clone()));
    write("3.wl", entry("3", "A3", "Schmidt^Eva").write(Syntax::ExplicitLittle));
    let now = list.reread(&item).await.unwrap().unwrap();
    assert_eq!(now.patient.name.unwrap().as_str(), "Schmidt^Eva");
    fs::remove_file(folder.path().join("3.wl")).unwrap();
    assert_eq!(list.reread(&item).await.unwrap(), None);
}

#[tokio::test]
async fn unreadable_entries_are_told_and_make_the_answer_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let good = entry("1", "A1", "Müller^Eva").write(Syntax::ExplicitLittle);
    fs::write(folder.path().join("good.wl"), &good).unwrap();
    fs::write(folder.path().join("cut.wl"), &good[..good.len() - 3]).unwrap();
    fs::write(folder.path().join("empty.wl"), b"").unwrap();
    fs::write(folder.path().join("text.wl"), b"This is no DICOM at all, whatever it says.")
        .unwrap();
    fs::write(folder.path().join("large.wl"), vec![0; (1 << 20) + 2]).unwrap();
    fs::create_dir(folder.path().join("folder.wl")).unwrap();
    let answer = folder_list(folder.path()).ask(&broad()).await.unwrap();
    assert_eq!(answer.items.len(), 1);
    assert_eq!(answer.completeness, Completeness::Incomplete);
    assert_eq!(answer.notes.len(), 1);
    assert!(answer.notes[0].contains("4 .wl files"), "{}", answer.notes[0]);
}

#[tokio::test]
async fn a_missing_folder_is_unreachable_and_one_of_two_makes_it_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let Err(Error::Unreachable(told)) = folder_list(&missing).ask(&broad()).await else { panic!() };
    assert!(told.contains("create it"), "{told}");
    let both = Worklist::new(
        vec![Source::Folder { path: missing }, Source::Folder { path: folder.path().to_owned() }],
        options(),
        clock(),
    );
    let answer = both.ask(&broad()).await.unwrap();
    assert_eq!(answer.completeness, Completeness::Incomplete);
    assert_eq!(answer.notes.len(), 1);
    let none = Worklist::new(Vec::new(), options(), clock());
    assert!(none.ask(&broad()).await.is_err());
}

#[test]
fn a_subfolder_that_cannot_be_read_hides_no_other() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let good = entry("1", "A1", "Müller^Eva").write(Syntax::ExplicitLittle);
    for name in ["OFFIS", "lost+found", "CLOSED"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("OFFIS/1.wl"), &good).unwrap();
    let allow = |name: &str, mode| {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    allow("", 0o755);
    allow("OFFIS", 0o755);
    allow("lost+found", 0o700);
    allow("CLOSED", 0o700);
    // In a thread of its own as nobody, whoever runs this.
    let listed = std::thread::scope(|scope| {
        let nobody = scope.spawn(|| {
            let nobody = nix::unistd::Uid::from_raw(65534);
            if nix::unistd::geteuid().is_root() {
                nix::unistd::setfsuid(nobody);
            } else {
                allow("lost+found", 0);
                allow("CLOSED", 0);
            }
            folder::entry_files(folder.path()).unwrap()
        });
        nobody.join().unwrap()
    });
    allow("lost+found", 0o700);
    allow("CLOSED", 0o700);
    assert_eq!((listed.files.len(), listed.closed), (1, 1), "lost+found is no station");
    assert!(listed.within_limit);
}

#[test]
fn hostile_entry_bytes_are_errors() {
    let good =
        part_10(&entry("1", "A1", "Müller^Eva"), "1.2.840.10008.1.2", Syntax::ImplicitLittle);
    for length in 0..good.len() {
        let _ = folder::parse_entry(&good[..length]);
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] = 0xFF;
        if let Ok(set) = folder::parse_entry(&bad) {
            let _ = item_of(&set, &reading());
        }
    }
}
