use std::collections::HashSet;

use super::Sample;
use crate::dicom::scan::{Limits, scan_file};
use crate::dicom::{DataSet, Syntax, Tag, inspect};

fn read(bytes: &[u8]) -> (inspect::Found, DataSet) {
    let length = u64::try_from(bytes.len()).unwrap();
    let scan = || scan_file(&mut &*bytes, length, &Limits::default()).unwrap();
    let data_set = DataSet::read(&scan().header, Syntax::ExplicitLittle).unwrap();
    (inspect::inspect(scan()).unwrap(), data_set)
}

#[test]
fn slices_tell_one_series_of_one_patient() {
    let sample = Sample::new(4);
    let mut uids = HashSet::new();
    let mut positions = HashSet::new();
    for slice in 0..4 {
        let (found, data_set) = read(&sample.instance(slice));
        assert_eq!(found.facts.study_uid, sample.study_uid());
        assert_eq!(found.facts.patient, sample.foreign_patient());
        assert_eq!(found.series, sample.series_uid());
        assert_eq!(found.facts.modality.as_deref(), Some("CT"));
        assert_eq!(found.layout.pixel_data.unwrap().ends_at, found.layout.ends_at);
        assert_eq!(data_set.u16(Tag(0x0028, 0x0010)), Some(512));
        uids.insert(found.sop_instance);
        positions.insert(data_set.text(Tag(0x0020, 0x0032)).unwrap());
    }
    assert_eq!((uids.len(), positions.len()), (4, 4));
}

#[test]
fn same_seed_gives_the_same_bytes() {
    assert!(Sample::new(2).zip().unwrap() == Sample::new(2).zip().unwrap());
    assert_ne!(Sample::with_seed(2, 7).study_uid(), Sample::new(2).study_uid());
}

#[test]
fn worklist_knows_the_patient_under_another_name_and_others_like_her() {
    let sample = Sample::new(1);
    let (foreign, local) = (sample.foreign_patient(), sample.item().patient);
    assert_eq!(foreign.birth_date, local.birth_date);
    assert!(foreign.sex == local.sex && foreign.name != local.name && foreign.id != local.id);
    let worklist = sample.worklist();
    assert!(worklist.len() >= 3 && worklist[0] == sample.item());
    let ids: HashSet<_> = worklist.iter().map(|item| item.item_id()).collect();
    assert_eq!(ids.len(), worklist.len());
    assert_eq!(sample.birth_date(), foreign.birth_date.unwrap().date().to_string());
}

#[test]
fn report_is_a_whole_pdf() {
    let pdf = String::from_utf8(Sample::new(1).pdf()).unwrap();
    assert!(pdf.starts_with("%PDF-1.4\n") && pdf.ends_with("%%EOF\n"));
    let at: usize =
        pdf.rsplit("startxref\n").next().unwrap().split('\n').next().unwrap().parse().unwrap();
    assert!(pdf[at..].starts_with("xref\n"));
    let first: usize = pdf[at..].lines().nth(3).unwrap()[..10].parse().unwrap();
    assert!(pdf[first..].starts_with("1 0 obj"));
}

/// `dciodvfy` of the dicom3tools: not one error.
#[test]
fn slices_are_valid() {
    let sample = Sample::new(40);
    for slice in [0, 39] {
        verify(&format!("slice {slice}"), &sample.instance(slice));
    }
    verify("directory", &sample.directory());
}

/// Fails on lines that begin with `Error`.
fn verify(name: &str, file: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object");
    std::fs::write(&path, file).unwrap();
    let output = std::process::Command::new("dciodvfy")
        .arg(&path)
        .output()
        .expect("dciodvfy runs: install dicom3tools, or run tests/env");
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("Error")).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}
