//! What really arrives: the sample sets of pydicom and the Debian packages, disc images, large and bad media, the
//! same medium again, and a real virus scanner.
//!
//! `tests/golden` says of every sample and every bad medium what becomes of it; see the README there. A change of
//! it has to be looked at.

mod again;
mod bad;
mod large;
mod scanner;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use lotse::import::{File, ImportId};
use lotse::seal::Vault;
use lotse::spool::{ImportSpool, Spool};
use lotse::unpack::{Error, Limits, ScanSection, Terms, Unpacked, unpack};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::peers::python;

struct World {
    _dir: TempDir,
    spool: ImportSpool,
    scan: ScanSection,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (keys, packs) = (dir.path().join("keys"), dir.path().join("spool"));
        std::fs::create_dir(&keys).unwrap();
        std::fs::create_dir(&packs).unwrap();
        let vault = Vault::open_or_create(&keys, &dir.path().join("master.key")).unwrap();
        let spool = Spool::open(&packs, vault).unwrap().create(ImportId::new()).unwrap();
        Self { _dir: dir, spool, scan: ScanSection::default() }
    }

    fn put(&self, name: &str, path: &Path) -> File {
        let mut pack = self.spool.pack().unwrap();
        let blob = pack.append(&mut std::fs::File::open(path).unwrap(), u64::MAX).unwrap();
        pack.sync().unwrap();
        File { name: name.to_owned(), blob }
    }

    fn unpack(&self, files: &[File]) -> Result<Unpacked, Error> {
        let terms = Terms { limits: &Limits::default(), scan: &self.scan, password: None };
        unpack(&self.spool, files, &terms, &CancellationToken::new(), &AtomicU64::new(0))
    }
}

fn test_env() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("test-env")
}

fn site_packages() -> PathBuf {
    let lib = test_env().join("venv/lib");
    let mut found =
        std::fs::read_dir(&lib).expect("run tests/env").map(|entry| entry.unwrap().path());
    found.next().unwrap().join("site-packages")
}

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|_| panic!("{} is missing", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, into),
            false => into.push(path),
        }
    }
}

/// What became of one file, in a line.
fn outcome(unpacked: &Result<Unpacked, Error>) -> String {
    let unpacked = match unpacked {
        Ok(unpacked) => unpacked,
        Err(error) => return format!("failed: {error}"),
    };
    let mut line = match unpacked.instances.len() {
        0 => String::new(),
        1 => "imported".to_owned(),
        many => format!("{many} imported"),
    };
    for instance in &unpacked.instances {
        if !instance.layout.derived.is_empty() {
            let _ = write!(line, ", derived {:?}", instance.layout.derived);
        }
    }
    if !unpacked.documents.is_empty() {
        let _ = write!(line, "{} documents", unpacked.documents.len());
    }
    // Lists of missing files are long.
    for file in unpacked.set_aside.iter().take(2) {
        let space = if line.is_empty() { "" } else { "; " };
        let _ = write!(line, "{space}set aside: {}", file.reason);
    }
    if line.is_empty() { "read, nothing to import".to_owned() } else { line }
}

/// What DCMTK, GDCM and pydicom say of every file (see `peers/judges.py`), by path.
fn opinions<'a>(folders: impl Iterator<Item = &'a PathBuf>) -> BTreeMap<String, String> {
    let folders: Vec<&str> = folders.map(|folder| folder.to_str().unwrap()).collect();
    let told = python("judges.py", &folders).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let text = String::from_utf8(told.stdout).unwrap();
    let lines = text.lines().map(|line| line.split_once('\t').unwrap());
    lines.map(|(path, opinion)| (path.to_owned(), opinion.to_owned())).collect()
}

/// Holds an outcome against the opinions of others: what all of them read is imported, and a reason is one that
/// they can see too.
fn fits(outcome: &str, opinion: &str) -> Result<(), &'static str> {
    let told = opinion.rsplit(' ').next().unwrap();
    let holds = |letter| told != "no" && told != "directory" && told.contains(letter);
    let refused = opinion.matches("refuses").count();
    let whole = "CIST".chars().all(holds);
    let wrong = |is_wrong: bool, why| if is_wrong { Err(why) } else { Ok(()) };
    let starts = |start| outcome.starts_with(start);
    wrong(whole && refused == 0 && !starts("imported"), "all others read it")?;
    wrong(outcome == "imported" && !whole && told != "no", "others miss UIDs")?;
    wrong(
        outcome.contains("valid Study Instance UID") && (holds('T') || holds('p')),
        "it has one",
    )?;
    wrong(outcome.contains("valid SOP Class UID") && (holds('C') || holds('c')), "it has one")?;
    wrong(
        outcome.contains("middle of an element") && opinion.contains("dcmdump reads"),
        "it is whole",
    )?;
    wrong(outcome.contains("neither DICOM") && refused < 2, "others read it")
}

#[test]
fn every_sample_ends_as_it_was_looked_at() {
    let packages = site_packages();
    let sets = [
        ("pydicom", packages.join("pydicom/data/test_files")),
        ("charset", packages.join("pydicom/data/charset_files")),
        ("palettes", packages.join("pydicom/data/palettes")),
        ("pydicom-data", packages.join("data_store")),
        ("dicom3tools", PathBuf::from("/usr/share/doc/dicom3tools/examples")),
        ("dicomscope", test_env().join("debian/usr/share/dicomscope/reports")),
        (
            "nibabel",
            test_env().join("debian/usr/lib/python3/dist-packages/nibabel/nicom/tests/data"),
        ),
    ];
    let mut table = BTreeMap::new();
    let opinions = opinions(sets.iter().map(|(_, folder)| folder));
    for (set, folder) in sets {
        let mut files = Vec::new();
        files_below(&folder, &mut files);
        for path in files {
            let inside = path.strip_prefix(&folder).unwrap().display().to_string();
            if inside.contains("__pycache__") || inside.ends_with(".py") {
                continue;
            }
            let world = World::new();
            let started = Instant::now();
            let unpacked = world.unpack(&[world.put(&inside, &path)]);
            assert!(started.elapsed() < Duration::from_secs(60), "{inside}");
            let (outcome, opinion) = (outcome(&unpacked), &opinions[&path.display().to_string()]);
            fits(&outcome, opinion)
                .unwrap_or_else(|why| panic!("{inside}: {outcome}, but {why}: {opinion}"));
            table.insert(format!("{set}/{inside}"), format!("{outcome}\t{opinion}"));
        }
    }
    let found: String =
        table.iter().map(|(name, outcome)| format!("{name}\t{outcome}\n")).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/samples.tsv");
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    let kept = test_env().join("samples.tsv");
    std::fs::write(&kept, &found).unwrap();
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let changed: Vec<_> = new.iter().filter(|line| !old.contains(line)).collect();
    assert!(
        old == new,
        "{} samples end otherwise; look at each, then copy {}:\n{changed:#?}",
        changed.len(),
        kept.display()
    );
}

#[test]
fn disc_images_of_genisoimage_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let medium = site_packages().join("pydicom/data/test_files/dicomdirtests");
    let mut wanted = None;
    for options in
        [&["-quiet"][..], &["-quiet", "-J"], &["-quiet", "-R"], &["-quiet", "-J", "-R", "-udf"]]
    {
        let image = dir.path().join("cd.iso");
        let mut made = Command::new("genisoimage");
        made.args(options).arg("-o").arg(&image).arg(&medium).stderr(Stdio::null());
        assert!(made.status().expect("genisoimage is missing; run tests/env").success());
        let world = World::new();
        let unpacked = world.unpack(&[world.put("cd.iso", &image)]).unwrap();
        let mut uids: Vec<_> = unpacked.instances.iter().map(|i| i.sop_instance.clone()).collect();
        uids.sort();
        assert!(uids.len() > 50, "{options:?}: {}", uids.len());
        assert_eq!(*wanted.get_or_insert(uids.clone()), uids, "{options:?}");
        assert!(
            !unpacked.set_aside.iter().any(|file| file.reason.contains("damaged")),
            "{options:?}"
        );
    }
}
