//! What really arrives: the sample sets of pydicom and the Debian packages, disc images, and a real virus scanner.
//!
//! `tests/golden/samples.tsv` says of every sample file what becomes of it. A change of it has to be looked at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use lotse::import::{File, ImportId};
use lotse::seal::Vault;
use lotse::spool::{ImportSpool, Spool};
use lotse::unpack::{Error, Limits, ScanSection, Terms, Unpacked, unpack};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

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

#[test]
fn every_sample_ends_as_it_was_looked_at() {
    let packages = site_packages();
    let sets = [
        ("pydicom", packages.join("pydicom/data/test_files")),
        ("charset", packages.join("pydicom/data/charset_files")),
        ("palettes", packages.join("pydicom/data/palettes")),
        ("pydicom-data", packages.join("data_store")),
        ("dicom3tools", PathBuf::from("/usr/share/doc/dicom3tools/examples")),
    ];
    let mut table = BTreeMap::new();
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
            table.insert(format!("{set}/{inside}"), outcome(&unpacked));
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

/// clamd with one signature: that of the EICAR test file.
struct Clamd {
    child: Child,
    dir: TempDir,
}

impl Clamd {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        std::fs::create_dir(dir.path().join("db")).unwrap();
        std::fs::write(
            dir.path().join("db/test.hdb"),
            "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n",
        )
        .unwrap();
        let config = format!(
            "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nTemporaryDirectory {}\nLogFile {}\n",
            path("clamd.ctl"),
            path("db"),
            dir.path().display(),
            path("log")
        );
        std::fs::write(dir.path().join("clamd.conf"), config).unwrap();
        let child = Command::new("/usr/sbin/clamd")
            .arg(format!("--config-file={}", path("clamd.conf")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("clamd is missing; run tests/env");
        let clamd = Self { child, dir };
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(clamd.socket()).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "clamd did not start: {}",
                clamd.log()
            );
            let (_keep, wait) = std::sync::mpsc::channel::<()>();
            let _ = wait.recv_timeout(Duration::from_millis(50));
        }
        clamd
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("clamd.ctl")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn clamd_finds_the_test_file_and_holds_the_import_when_it_is_gone() {
    let clamd = Clamd::start();
    let mut world = World::new();
    world.scan = ScanSection { clamd_socket: Some(clamd.socket()), clamd_required: true };
    let dir = tempfile::tempdir().unwrap();
    let eicar = dir.path().join("eicar.com");
    // In two parts, so that no scanner takes this source for it.
    let parts = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"];
    std::fs::write(&eicar, parts.concat()).unwrap();
    let image = site_packages().join("pydicom/data/test_files/CT_small.dcm");
    let files = [world.put("eicar.com", &eicar), world.put("IM1", &image)];
    let unpacked = world.unpack(&files).unwrap();
    assert_eq!(unpacked.instances.len(), 1);
    let [file] = &unpacked.set_aside[..] else { panic!("one file is infected") };
    assert!(file.reason.contains("infected") && file.reason.contains("Eicar"), "{}", file.reason);
    drop(clamd);
    assert!(matches!(world.unpack(&files).err(), Some(Error::Scanner)));
    world.scan.clamd_required = false;
    assert_eq!(world.unpack(&files).unwrap().instances.len(), 1);
}
