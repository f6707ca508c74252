//! Holds the drawing of the house against the code: who uses whom, and who may name which outside crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The floors, ground first. A room may use rooms of lower floors only.
const FLOORS: &[&[&str]] = &[
    &["dicom", "tls", "metrics", "clock"],
    &["matching", "reconcile"],
    &["import"],
    &["seal"],
    &["spool", "journal", "dimse", "hl7", "web"],
    &["fetch", "unpack", "worklist", "forward", "confirm", "expire"],
    &["pipeline"],
    &["http", "mllp", "scp"],
    &["gateway", "sim"],
    &["cli"],
    &["main"],
];

/// Outside crates with the rooms that own them.
const OWNERS: &[(&str, &[&str])] = &[
    ("sled", &["journal"]),
    ("blake3", &["journal", "spool"]),
    ("dicom_ul", &["dimse"]),
    ("axum", &["http", "sim"]),
    ("hyper", &["http", "sim", "web"]),
    ("hyper_util", &["http", "sim"]),
    ("askama", &["http"]),
    ("reqwest", &["web"]),
    ("rustls", &["tls", "web"]),
    ("tokio_rustls", &["tls"]),
    ("x509_cert", &["tls"]),
    ("webpki_roots", &["tls", "web"]),
    ("ring", &["seal", "tls"]),
    ("config", &["gateway"]),
    ("sd_notify", &["gateway"]),
    ("nix", &["clock", "dimse", "gateway", "http", "journal", "seal", "spool"]),
    ("tracing_subscriber", &["main"]),
    ("tikv_jemallocator", &["main"]),
    ("clap", &["cli", "main"]),
    ("indicatif", &["cli"]),
    ("anyhow", &["cli", "gateway", "main"]),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its room and its text without comments and string literals' contents.
fn files() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = vec![];
    sources(&root, &mut found);
    // A test may use what stands above the room it tests.
    let is_test = |path: &Path| {
        path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
    };
    found.retain(|path| !is_test(path));
    let room = |path: &Path| {
        let inner = path.strip_prefix(&root).unwrap();
        let first = inner.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        first.trim_end_matches(".rs").to_owned()
    };
    let code = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or("");
        let lines = text.lines().map(|line| line.split("//").next().unwrap_or(""));
        lines.collect::<Vec<_>>().join("\n")
    };
    let files: Vec<_> =
        found.into_iter().map(|path| (room(&path), path.clone(), code(&path))).collect();
    assert!(files.len() > 50, "the sources were not found");
    files
}

/// The rooms named behind `crate::`, in paths and in braces: `crate::{clock, dicom::Uid}`.
fn used(text: &str) -> Vec<String> {
    let mut rooms = vec![];
    for part in text.split("crate::").skip(1) {
        let word = |s: &str| {
            s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        };
        let Some(inner) = part.strip_prefix('{') else {
            rooms.push(word(part));
            continue;
        };
        let (mut depth, mut start) = (0usize, true);
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && c.is_alphabetic() => {
                    rooms.push(word(&inner[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    rooms
}

#[test]
fn arrows_point_down() {
    let floor: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor)))
        .collect();
    let mut wrong = vec![];
    for (room, path, text) in files() {
        if room == "lib" {
            continue;
        }
        let Some(own) = floor.get(room.as_str()) else {
            wrong.push(format!("{} is in no room of the drawing", path.display()));
            continue;
        };
        for other in used(&text) {
            match floor.get(other.as_str()) {
                _ if other == room => {}
                Some(below) if below < own => {}
                Some(_) => wrong.push(format!("{} uses {other}", path.display())),
                None => wrong.push(format!("{} uses {other}, which is no room", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn outside_crates_have_owners() {
    let mut wrong = vec![];
    for (room, path, text) in files() {
        for (outside, owners) in OWNERS {
            let named = text.match_indices(&format!("{outside}::")).any(|(at, _)| {
                let before = text[..at].chars().next_back().unwrap_or(' ');
                !before.is_alphanumeric() && !matches!(before, '_' | ':')
            });
            if named && !owners.contains(&room.as_str()) {
                wrong.push(format!("{} names {outside}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_drawing_in_the_readme_is_this_one() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for rooms in FLOORS {
        let line = rooms.join("   ");
        assert!(readme.contains(&line), "the README's drawing lacks the floor `{line}`");
    }
}

#[test]
fn the_entry_is_small_and_files_are_readable() {
    let mut long = vec![];
    for (_, path, _) in files() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        let most = if path.ends_with("src/main.rs") { 80 } else { 500 };
        if lines > most {
            long.push(format!("{} has {lines} lines", path.display()));
        }
        assert!(!path.ends_with("mod.rs"), "{}", path.display());
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_reading_of_use_lines_works() {
    assert_eq!(used("use crate::{clock, dicom::{Uid, Tag}, web};"), ["clock", "dicom", "web"]);
    assert_eq!(used("crate::import::Event and crate::spool"), ["import", "spool"]);
}
