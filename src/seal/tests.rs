use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn vault(at: &Path) -> Vault {
    Vault::open_or_create(&at.join("keys"), &at.join("master.key")).unwrap()
}

fn write_key(path: &Path, bytes: &[u8], mode: u32) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn open(at: &Path) -> Result<Vault, Error> {
    Vault::open(&at.join("keys"), &at.join("master.key"))
}

#[test]
fn records_come_back() {
    let at = folder();
    let vault = vault(at.path());
    let key = vault.create(ImportId::new()).unwrap();
    for length in [0, 1, 15, 16, 17, 70_000] {
        let plain = vec![7; length];
        let sealed = key.seal(b"here", &plain).unwrap();
        assert_eq!(sealed.len(), length + ImportKey::OVERHEAD);
        assert_eq!(key.open(b"here", &sealed).unwrap(), plain);
    }
    assert_ne!(key.seal(b"", b"same").unwrap(), key.seal(b"", b"same").unwrap());
}

#[test]
fn a_changed_record_is_refused() {
    let at = folder();
    let vault = vault(at.path());
    let key = vault.create(ImportId::new()).unwrap();
    let other = vault.create(ImportId::new()).unwrap();
    let sealed = key.seal(b"here", b"Doe^Jane").unwrap();
    assert!(matches!(key.open(b"there", &sealed), Err(Error::Forged)));
    assert!(matches!(other.open(b"here", &sealed), Err(Error::Forged)));
    for at in 0..sealed.len() {
        let mut bent = sealed.clone();
        bent[at] ^= 1;
        assert!(matches!(key.open(b"here", &bent), Err(Error::Forged)));
        assert!(matches!(key.open(b"here", &sealed[..at]), Err(Error::Forged)));
    }
}

#[test]
fn a_key_survives_a_restart() {
    let at = folder();
    let import = ImportId::new();
    let sealed = vault(at.path()).create(import).unwrap().seal(b"c", b"Doe^Jane").unwrap();
    let again = open(at.path()).unwrap();
    assert_eq!(again.list().unwrap(), [import]);
    assert_eq!(again.get(import).unwrap().open(b"c", &sealed).unwrap(), b"Doe^Jane");
    assert!(matches!(again.create(import), Err(Error::Exists(_))));
}

#[test]
fn a_destroyed_key_reads_nothing_any_more() {
    let at = folder();
    let vault = vault(at.path());
    let import = ImportId::new();
    let key = vault.create(import).unwrap();
    let sealed = key.seal(b"c", b"Doe^Jane").unwrap();
    let stream = key.stream(&[1; 16]).unwrap();
    let path = at.path().join(format!("keys/{import}.key"));
    let wrapped = fs::read(&path).unwrap();
    let link = at.path().join("kept");
    fs::hard_link(&path, &link).unwrap();

    vault.destroy(import).unwrap();
    assert!(!path.exists());
    assert_ne!(fs::read(&link).unwrap(), wrapped, "overwritten before it was removed");
    assert!(matches!(key.open(b"c", &sealed), Err(Error::Destroyed(_))));
    assert!(matches!(key.seal(b"c", b"x"), Err(Error::Destroyed(_))));
    assert!(matches!(stream.seal(Part::Chunk, 0, b"", &mut [0; 4]), Err(Error::Destroyed(_))));
    assert!(matches!(vault.get(import), Err(Error::Unknown(_))));
    assert!(vault.list().unwrap().is_empty());
    vault.destroy(import).unwrap();
}

#[test]
fn what_is_made_is_ours_alone() {
    let at = folder();
    let vault = vault(&at.path().join("data"));
    let import = ImportId::new();
    vault.create(import).unwrap();
    assert_eq!(mode(&at.path().join("data")), 0o700);
    assert_eq!(mode(&at.path().join("data/master.key")), 0o600);
    assert_eq!(mode(&at.path().join("data/keys")), 0o700);
    assert_eq!(mode(&at.path().join(format!("data/keys/{import}.key"))), 0o600);
    assert_eq!(fs::read_dir(at.path().join("data")).unwrap().count(), 2, "no draft stays");
}

#[test]
fn a_folder_that_others_may_enter_is_closed_to_them() {
    let at = folder();
    let keys = at.path().join("keys");
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, Permissions::from_mode(0o755)).unwrap();
    vault(at.path());
    assert_eq!(mode(&keys), 0o700);
}

#[test]
fn master_keys_of_every_form_are_read() {
    let digits = "00112233445566778899aAbBcCdDeEfF00112233445566778899aabbccddeeff";
    let raw: Vec<u8> = {
        let mut bytes = Vec::new();
        hex::decode_into(digits.as_bytes(), &mut bytes).unwrap();
        bytes
    };
    assert_eq!(raw.len(), 32);
    assert_eq!(hex::encode(&raw), digits.to_lowercase());
    let at = folder();
    let path = at.path().join("master.key");
    let import = ImportId::new();
    write_key(&path, &raw, 0o600);
    let sealed = open(at.path()).unwrap().create(import).unwrap().seal(b"", b"x").unwrap();
    for form in [digits.to_owned(), format!("{digits}\n"), format!("{digits}\r\n")] {
        write_key(&path, form.as_bytes(), 0o400);
        let key = open(at.path()).unwrap().get(import).unwrap();
        assert_eq!(key.open(b"", &sealed).unwrap(), b"x");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_master_key_that_others_can_touch_is_refused() {
    let at = folder();
    let path = at.path().join("master.key");
    for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o660, 0o610, 0o440, 0o666] {
        write_key(&path, &[7; 32], mode);
        let error = open(at.path()).unwrap_err();
        assert!(matches!(error, Error::MasterOpen { .. }), "{mode:o}");
        let sentence = error.to_string();
        assert!(sentence.contains(&format!("chmod 0600 {}", path.display())), "{sentence}");
    }
    write_key(&path, &[7; 32], 0o600);
    open(at.path()).unwrap();
}

#[test]
fn a_malformed_master_key_is_refused() {
    let at = folder();
    let path = at.path().join("master.key");
    let long = [b'a'; 100];
    let odd = [b'g'; 64];
    for bytes in [&b""[..], &[7; 31], &[7; 33], &long[..63], &long[..65], &long, &odd] {
        write_key(&path, bytes, 0o600);
        let error = open(at.path()).unwrap_err();
        assert!(matches!(error, Error::MasterMalformed { .. }), "{}", bytes.len());
        assert!(error.to_string().contains("openssl rand -hex 32"));
    }
}

#[test]
fn a_missing_master_key_names_the_step() {
    let at = folder();
    let sentence = open(at.path()).unwrap_err().to_string();
    assert!(sentence.contains("master.key does not exist"), "{sentence}");
    let deep = at.path().join("etc/lotse/master.key");
    let error = Vault::open(&at.path().join("keys"), &deep).unwrap_err();
    let Error::MasterMissing { step, .. } = error else { panic!("{error}") };
    assert_eq!(step, at.path().join("etc"));

    fs::write(at.path().join("file"), "").unwrap();
    let error =
        Vault::open(&at.path().join("keys"), &at.path().join("file/master.key")).unwrap_err();
    assert!(error.to_string().contains("file is not a folder"), "{error}");
    let error = Vault::open(&at.path().join("keys"), at.path()).unwrap_err();
    assert!(matches!(error, Error::MasterNotAFile { .. }), "{error}");
}

#[test]
fn a_pipe_is_no_master_key() {
    let at = folder();
    let path = at.path().join("master.key");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(open(at.path()), Err(Error::MasterNotAFile { .. })));
}

#[test]
fn a_lost_master_key_is_not_replaced_silently() {
    let at = folder();
    vault(at.path()).create(ImportId::new()).unwrap();
    fs::remove_file(at.path().join("master.key")).unwrap();
    let again = Vault::open_or_create(&at.path().join("keys"), &at.path().join("master.key"));
    assert!(matches!(again, Err(Error::MasterLost { .. })));
}

#[test]
fn another_master_key_is_noticed() {
    let at = folder();
    let import = ImportId::new();
    vault(at.path()).create(import).unwrap();
    write_key(&at.path().join("master.key"), &[9; 32], 0o600);
    assert!(matches!(open(at.path()), Err(Error::NoKeyOpens { .. })));
}

#[test]
fn the_only_key_file_may_be_damaged() {
    let at = folder();
    let import = ImportId::new();
    let made = vault(at.path());
    made.create(import).unwrap();
    let path = at.path().join(format!("keys/{import}.key"));
    let good = fs::read(&path).unwrap();
    let mut bent = good.clone();
    bent[40] ^= 1;
    // An earlier version left no mark, so it may be either.
    fs::write(&path, &bent).unwrap();
    let told = open(at.path()).unwrap_err().to_string();
    assert!(told.contains(&format!("damaged: {import}.key;")), "{told}");
    fs::write(&path, &good).unwrap();
    open(at.path()).unwrap().mark().unwrap();
    fs::write(&path, &bent).unwrap();
    let again = open(at.path()).unwrap();
    assert!(matches!(again.get(import), Err(Error::Damaged(_))));
    again.mark().unwrap();

    let master = at.path().join("master.key");
    let right = fs::read(&master).unwrap();
    write_key(&master, &[9; 32], 0o600);
    assert!(matches!(open(at.path()), Err(Error::WrongMaster { .. })));
    // Without keys there may be another one, and the mark follows it; keys that open say more than the mark.
    fs::remove_file(&path).unwrap();
    open(at.path()).unwrap().mark().unwrap();
    fs::write(&path, &good).unwrap();
    write_key(&master, &right, 0o600);
    open(at.path()).unwrap().mark().unwrap();
    fs::write(&path, &bent).unwrap();
    open(at.path()).unwrap();
}

#[test]
fn a_damaged_key_file_harms_one_import_only() {
    let at = folder();
    let vault = vault(at.path());
    let (torn, renamed, newer, good) =
        (ImportId::new(), ImportId::new(), ImportId::new(), ImportId::new());
    for import in [torn, renamed, newer, good] {
        vault.create(import).unwrap();
    }
    let path = |import: ImportId| at.path().join(format!("keys/{import}.key"));
    let bytes = fs::read(path(torn)).unwrap();
    fs::write(path(torn), &bytes[..20]).unwrap();
    fs::copy(path(good), path(renamed)).unwrap();
    let mut bytes = fs::read(path(newer)).unwrap();
    bytes[8] = 2;
    fs::write(path(newer), bytes).unwrap();
    fs::write(at.path().join("keys/notes.txt"), "not ours").unwrap();
    fs::write(at.path().join("keys/x.key"), "not ours").unwrap();

    let again = open(at.path()).unwrap();
    assert_eq!(again.list().unwrap().len(), 4);
    assert!(matches!(again.get(torn), Err(Error::Damaged(_))));
    assert!(matches!(again.get(renamed), Err(Error::Damaged(_))));
    assert!(matches!(again.get(newer), Err(Error::Newer(_))));
    again.get(good).unwrap();
    again.destroy(torn).unwrap();
}

#[test]
fn stream_pieces_keep_their_places() {
    let at = folder();
    let key = vault(at.path()).create(ImportId::new()).unwrap();
    let stream = key.stream(&[1; 16]).unwrap();
    let mut bytes = b"Doe^Jane".to_vec();
    let tag = stream.seal(Part::Chunk, 3, b"c", &mut bytes).unwrap();
    bytes.extend_from_slice(&tag);
    assert!(!bytes.windows(3).any(|w| w == b"Doe"));
    let open = |stream: &StreamKey, part, index, context: &[u8]| {
        let mut copy = bytes.clone();
        stream.open(part, index, context, &mut copy).map(|length| copy[..length].to_vec())
    };
    assert_eq!(open(&stream, Part::Chunk, 3, b"c").unwrap(), b"Doe^Jane");
    assert!(open(&stream, Part::Chunk, 2, b"c").is_err());
    assert!(open(&stream, Part::Last, 3, b"c").is_err());
    assert!(open(&stream, Part::Trailer, 3, b"c").is_err());
    assert!(open(&stream, Part::Chunk, 3, b"d").is_err());
    assert!(open(&key.stream(&[2; 16]).unwrap(), Part::Chunk, 3, b"c").is_err());
}

#[test]
fn nothing_secret_is_printed() {
    let at = folder();
    let vault = vault(at.path());
    let import = ImportId::new();
    let key = vault.create(import).unwrap();
    assert_eq!(format!("{key:?}"), format!("ImportKey({import}, redacted)"));
    assert!(!format!("{vault:?}").contains("master"));
    let stream = key.stream(&[1; 16]).unwrap();
    assert_eq!(format!("{stream:?}"), format!("StreamKey({import}, redacted)"));
}

#[test]
fn keys_are_destroyed_while_others_ask_for_them() {
    let at = folder();
    let vault = vault(at.path());
    for _ in 0..20 {
        let import = ImportId::new();
        vault.create(import).unwrap();
        std::thread::scope(|scope| {
            let asks = scope.spawn(|| {
                let mut keys = Vec::new();
                while let Ok(key) = vault.get(import) {
                    keys.push(key);
                    keys.truncate(64);
                }
                keys
            });
            vault.destroy(import).unwrap();
            for key in asks.join().unwrap() {
                assert!(matches!(key.seal(b"", b"x"), Err(Error::Destroyed(_))));
            }
        });
    }
}

#[test]
fn unusable_folders_are_explained() {
    let at = folder();
    fs::write(at.path().join("file"), "").unwrap();
    for path in ["file", "file/keys"] {
        let error = place::private_folder(&at.path().join(path)).unwrap_err();
        assert!(matches!(error, place::Error::NotAFolder { .. }), "{error}");
        assert!(error.to_string().contains("file is not a folder"), "{error}");
    }
    let error = place::private_folder(Path::new("/proc/lotse/keys")).unwrap_err();
    assert!(error.to_string().contains("/proc/lotse"), "{error}");
    assert!(place::space(at.path()).unwrap().total > 0);
}
