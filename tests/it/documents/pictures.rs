//! Pictures as scanners and cameras really write them: every compression and layout of TIFF that libtiff and
//! Pillow have, and a fax of so many pages that it is stored as bits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::peers::{python, run_python};

use super::{House, decodes, orthanc_takes};

/// Pages of A4 at 300 dpi: more than 100 million pixels, where bits begin.
const PAGES: &str = "12";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_of_every_kind_show_the_same_as_before() {
    let folder = tempfile::tempdir().unwrap();
    run_python("pictures.py", &[folder.path().to_str().unwrap(), PAGES]).await.ok();
    let mut pictures: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        // Titles of documents are their names without the ending.
        let other = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let ending = path.extension().unwrap().to_str().unwrap();
        let title = if ending == "png" { format!("{other} png") } else { other };
        pictures.insert(title, path);
    }
    assert!(pictures.len() >= 23, "{}", pictures.len());
    let house = House::new();
    let names: Vec<String> = pictures
        .iter()
        .map(|(title, path)| format!("{title}.{}", path.extension().unwrap().to_str().unwrap()))
        .collect();
    let files: Vec<(&str, Vec<u8>)> = names
        .iter()
        .zip(pictures.values())
        .map(|(name, path)| (name.as_str(), std::fs::read(path).unwrap()))
        .collect();
    let unpacked = house.unpack(&files);
    // No library decodes the older fax coding.
    let aside: Vec<_> = unpacked.set_aside.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(aside, ["fax-g3.tif"], "{:?}", unpacked.set_aside);
    pictures.remove("fax-g3");
    let objects = house.deliver(&unpacked).await;
    assert_eq!(objects.len(), pictures.len());
    let faults: Vec<String> = objects
        .iter()
        .filter_map(|(title, (kind, path))| {
            decodes(path, kind).err().map(|fault| format!("{title}: {fault}"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let classes: BTreeMap<&str, String> = objects
        .iter()
        .map(|(title, (kind, _))| (title.as_str(), kind.sop_class().to_string()))
        .collect();
    assert!(classes["fax-long"].ends_with("1.1.7.1"), "{}", classes["fax-long"]);
    assert!(classes["fax-pages"].ends_with("1.1.7.2"), "{}", classes["fax-pages"]);
    let mut pairs = Vec::new();
    for (title, (_, path)) in &objects {
        pairs.extend([pictures[title].to_str().unwrap(), path.to_str().unwrap()]);
    }
    let told = python("same_pictures.py", &pairs).output().unwrap();
    let said = String::from_utf8_lossy(&told.stdout) + String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{said}");
    orthanc_takes(&objects).await;
}
