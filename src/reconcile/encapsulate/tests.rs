use super::{
    Cda, Codec, DocumentCode, DocumentFacts, Encapsulation, Error, FileKind, Image, Pixels, Shot,
    Text, Video, encapsulate, identifiers,
};
use crate::dicom::scan::{Limits, scan_data_set};
use crate::dicom::{
    BirthDate, DataSet, Patient, PatientId, PersonName, Sex, StudyFacts, Syntax, Tag, Uid, Value,
    inspect,
};
use crate::reconcile::{Change, NewElement, NewValue, Plan};

const TRANSFER_SYNTAX: &str = "1.2.840.10008.1.2.1";
const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.104.1";
const PDF: &[u8] = b"%PDF-1.4\n% nothing to see\n%%EOF";

fn study() -> StudyFacts {
    StudyFacts {
        study_uid: Uid::new("1.2.276.0.7230010.3.1.2.1").unwrap(),
        patient: Patient {
            id: Some(PatientId { id: "RP-0815".to_owned(), issuer: Some("PRAXIS".to_owned()) }),
            name: PersonName::new("MUSTERFRAU-GRÜN^ERIKA"),
            birth_date: BirthDate::parse("19640812"),
            sex: Sex::Female,
        },
        other_ids: Vec::new(),
        other_names: Vec::new(),
        accession_number: None,
        study_date: Some("20260915".to_owned()),
        study_description: Some("CT Thorax".to_owned()),
        modality: Some("CT".to_owned()),
        body_part: Some("CHEST".to_owned()),
        institution: Some("Radiologie am Markt".to_owned()),
        identity_removed: false,
    }
}

fn text(tag: (u16, u16), vr: &str, value: &str) -> NewElement {
    NewElement { tag, vr: vr.to_owned(), value: NewValue::Text(value.to_owned()) }
}

fn plan() -> Plan {
    let code = vec![
        text((0x0008, 0x0100), "SH", "CTTHX"),
        text((0x0008, 0x0102), "SH", "99LOCAL"),
        text((0x0008, 0x0104), "LO", "CT Thorax einlesen"),
    ];
    let request = vec![
        text((0x0008, 0x0050), "SH", "A2026004711"),
        NewElement {
            tag: (0x0032, 0x1064),
            vr: "SQ".to_owned(),
            value: NewValue::Items(vec![code]),
        },
        text((0x0040, 0x0009), "SH", "SPS1"),
        text((0x0040, 0x1001), "SH", "RP1"),
    ];
    let sequence = |tag| NewElement { tag, vr: "SQ".to_owned(), value: NewValue::Items(vec![]) };
    let empty = |tag, vr: &str| NewElement { tag, vr: vr.to_owned(), value: NewValue::Empty };
    let referenced = vec![
        text((0x0008, 0x0050), "SH", "A2026004711"),
        sequence((0x0008, 0x1110)),
        text((0x0020, 0x000D), "UI", "1.2.276.0.7230010.3.1.2.9"),
        text((0x0032, 0x1060), "LO", "CT Thorax einlesen"),
        sequence((0x0032, 0x1064)),
        text((0x0040, 0x1001), "SH", "RP1"),
        empty((0x0040, 0x2016), "LO"),
        empty((0x0040, 0x2017), "LO"),
    ];
    Plan {
        changes: vec![
            Change::Set(text((0x0008, 0x0005), "CS", "ISO_IR 100")),
            Change::Set(text((0x0008, 0x0015), "DT", "20260920101500")),
            Change::Set(text((0x0008, 0x0050), "SH", "A2026004711")),
            Change::Remove((0x0008, 0x0051)),
            Change::Remove((0x0008, 0x0090)),
            Change::Set(text((0x0010, 0x0010), "PN", "Musterfrau-Grün^Erika")),
            Change::Set(text((0x0010, 0x0020), "LO", "100234567")),
            Change::Set(text((0x0010, 0x0021), "LO", "KLINIKUM")),
            Change::Append(NewElement {
                tag: (0x0010, 0x1002),
                vr: "SQ".to_owned(),
                value: NewValue::Items(vec![vec![
                    text((0x0010, 0x0020), "LO", "RP-0815"),
                    text((0x0010, 0x0021), "LO", "PRAXIS"),
                    text((0x0010, 0x0022), "CS", "TEXT"),
                ]]),
            }),
            Change::Set(NewElement {
                tag: (0x0040, 0x0275),
                vr: "SQ".to_owned(),
                value: NewValue::Items(vec![request]),
            }),
            Change::Set(NewElement {
                tag: (0x0040, 0xA370),
                vr: "SQ".to_owned(),
                value: NewValue::Items(vec![referenced]),
            }),
            Change::Set(text((0x0400, 0x0600), "CS", "IMPORTED")),
        ],
        source_of_previous_values: None,
        modifying_system: "LOTSE".to_owned(),
        institution: "Klinikum Beispiel".to_owned(),
        date_time: "20260920101500.000000+0200".to_owned(),
    }
}

fn wrap(pdf: &[u8], title: &str, plan: &Plan) -> (Encapsulation, Vec<u8>) {
    wrap_as(&FileKind::Pdf, pdf, title, plan)
}

fn wrap_as(kind: &FileKind, bytes: &[u8], title: &str, plan: &Plan) -> (Encapsulation, Vec<u8>) {
    let study = study();
    let (sop_instance, series) = identifiers(&study.study_uid, kind, "00ff");
    let length = u64::try_from(bytes.len()).unwrap();
    let (sop_instance, series) = (&sop_instance, &series);
    let document = DocumentFacts { kind, title, length, sop_instance, series, number: 1 };
    let around = encapsulate(&document, &study, plan).unwrap();
    let whole = [&around.before, bytes, &around.after].concat();
    (around, whole)
}

fn image(pixels: Pixels, origin: Shot, frames: u32) -> FileKind {
    let source = "5".repeat(64);
    let lossy = pixels.is_wrapped().then_some(1234);
    FileKind::Image(Image { source, rows: 3, columns: 5, frames, pixels, origin, lossy })
}

fn video(codec: Codec) -> FileKind {
    let source = "7".repeat(64);
    FileKind::Video(Video {
        source,
        rows: 480,
        columns: 640,
        frames: 50,
        frame_micros: 33_367,
        codec,
    })
}

/// Every kind, with bytes that fit it as far as a header tells.
pub(crate) fn kinds() -> Vec<(FileKind, Vec<u8>)> {
    let code = DocumentCode { value: "11490-0".into(), meaning: "Arztbrief".into() };
    let cda = Cda { id: "1.2.276.0.76.4.1^ä-77".into(), code: Some(code) };
    let mut kinds = vec![
        (FileKind::Pdf, PDF.to_vec()),
        (FileKind::Cda(cda), b"<ClinicalDocument/>".to_vec()),
        (FileKind::Cda(Cda { id: "1.2.3".into(), code: None }), b"<ClinicalDocument />".to_vec()),
        (FileKind::Text(Text { source: "6".repeat(64) }), "Grüße\r\nLunge frei.".into()),
        (video(Codec::H264High41), vec![1; 101]),
        (video(Codec::H264High42), vec![1; 101]),
        (video(Codec::H265Main51), vec![1; 101]),
    ];
    for (pixels, bytes) in [(Pixels::Gray8, 1), (Pixels::Gray16, 2), (Pixels::Rgb8, 3)] {
        kinds.push((image(pixels, Shot::Other, 1), vec![9; 15 * bytes]));
        kinds.push((image(pixels, Shot::Camera, 1), vec![9; 15 * bytes]));
        kinds.push((image(pixels, Shot::Other, 4), vec![9; 60 * bytes]));
    }
    for pixels in [Pixels::JpegGray, Pixels::JpegRgb, Pixels::JpegYbr] {
        kinds.push((image(pixels, Shot::Other, 1), vec![9; 77]));
        kinds.push((image(pixels, Shot::Camera, 1), vec![9; 77]));
    }
    kinds
}

fn read(whole: &[u8]) -> DataSet {
    DataSet::read(whole, Syntax::ExplicitLittle).unwrap()
}

#[test]
fn document_comes_back_whole_whether_odd_or_even() {
    for pdf in [PDF, &PDF[..30], &PDF[..5]] {
        let (around, whole) = wrap(pdf, "Befund", &plan());
        assert_eq!(around.length, u64::try_from(whole.len()).unwrap());
        assert_eq!(whole.len() % 2, 0);
        let data_set = read(&whole);
        let element = data_set.get(Tag(0x0042, 0x0011)).unwrap();
        let Value::Bytes(value) = &element.value else { panic!("bytes expected") };
        let length = data_set.get(Tag(0x0042, 0x0015)).unwrap();
        assert!(
            length.value == Value::Bytes(u32::try_from(pdf.len()).unwrap().to_le_bytes().to_vec())
        );
        assert_eq!(&value[..pdf.len()], pdf);
        assert_eq!(value.len(), pdf.len() + pdf.len() % 2);
    }
}

#[test]
fn scanner_finds_the_reconciled_study() {
    let (around, whole) = wrap(PDF, "Befund", &plan());
    let syntax = Uid::new(TRANSFER_SYNTAX).unwrap();
    let scan = scan_data_set(&mut &*whole, around.length, &syntax, &Limits::default()).unwrap();
    let found = inspect::inspect(scan).unwrap();
    assert_eq!(found.sop_class.as_str(), SOP_CLASS);
    assert_eq!(found.facts.study_uid, study().study_uid);
    let patient = found.facts.patient;
    assert_eq!(patient.id.unwrap().id, "100234567");
    assert_eq!(patient.name.unwrap().as_str(), "Musterfrau-Grün^Erika");
    assert_eq!(found.facts.accession_number.unwrap().number, "A2026004711");
}

#[test]
fn plan_gives_identity_and_order_but_no_traces_of_a_change() {
    let data_set = read(&wrap(PDF, "Befund", &plan()).1);
    assert_eq!(data_set.text(Tag(0x0008, 0x0005)).as_deref(), Some("ISO_IR 192"));
    assert_eq!(data_set.text(Tag(0x0010, 0x0021)).as_deref(), Some("KLINIKUM"));
    assert_eq!(data_set.items(Tag(0x0010, 0x1002)).len(), 1);
    let [request] = data_set.items(Tag(0x0040, 0x0275)) else { panic!("one request expected") };
    assert_eq!(request.items(Tag(0x0032, 0x1064)).len(), 1);
    for absent in [Tag(0x0008, 0x0015), Tag(0x0400, 0x0600), Tag(0x0008, 0x0051)] {
        assert!(data_set.get(absent).is_none());
    }
    // Removed by the plan, but type 2.
    assert!(data_set.get(Tag(0x0008, 0x0090)).is_some());
    assert_eq!(data_set.text(Tag(0x0008, 0x1030)).as_deref(), Some("CT Thorax"));
}

#[test]
fn foreign_issuer_does_not_stay_on_a_local_id() {
    let mut plan = plan();
    for change in &mut plan.changes {
        if matches!(change, Change::Set(new) if new.tag == (0x0010, 0x0021)) {
            *change = Change::Remove((0x0010, 0x0021));
        }
    }
    let data_set = read(&wrap(PDF, "Befund", &plan).1);
    assert!(data_set.get(Tag(0x0010, 0x0021)).is_none());
}

#[test]
fn same_document_has_the_same_identity() {
    let study = study().study_uid;
    let other = Uid::new("1.2.3").unwrap();
    assert_eq!(
        identifiers(&study, &FileKind::Pdf, "aa"),
        identifiers(&study, &FileKind::Pdf, "aa")
    );
    assert_ne!(
        identifiers(&study, &FileKind::Pdf, "aa").0,
        identifiers(&study, &FileKind::Pdf, "ab").0
    );
    assert_eq!(
        identifiers(&study, &FileKind::Pdf, "aa").1,
        identifiers(&study, &FileKind::Pdf, "ab").1
    );
    assert_ne!(
        identifiers(&study, &FileKind::Pdf, "aa").1,
        identifiers(&other, &FileKind::Pdf, "aa").1
    );
    assert_ne!(
        identifiers(&study, &FileKind::Pdf, "aa").0,
        identifiers(&other, &FileKind::Pdf, "aa").0
    );
    assert!(wrap(PDF, "Befund", &plan()).1 == wrap(PDF, "Befund", &plan()).1);
}

#[test]
fn sizes_that_no_element_holds_are_refused() {
    let uid = Uid::new("1.2.3").unwrap();
    let kind = &FileKind::Pdf;
    let (sop_instance, series) = (&uid, &uid);
    let length =
        |length| DocumentFacts { kind, title: "", length, sop_instance, series, number: 1 };
    let error = |bytes| encapsulate(&length(bytes), &study(), &plan()).err();
    assert_eq!(error(0), Some(Error::Empty));
    assert_eq!(error(0xFFFF_FFFE), None);
    for bytes in [0xFFFF_FFFF, 1 << 32, u64::MAX] {
        assert_eq!(error(bytes), Some(Error::TooLarge(bytes)));
    }
}

#[test]
fn endless_plans_and_titles_stay_bounded() {
    let mut deep = text((0x0008, 0x0104), "LO", "end");
    for _ in 0..100 {
        let value = NewValue::Items(vec![vec![deep]]);
        deep = NewElement { tag: (0x0040, 0x0275), vr: "SQ".to_owned(), value };
    }
    let plan = Plan { changes: vec![Change::Set(deep)], ..plan() };
    let data_set = read(&wrap(PDF, &"ä".repeat(9_000), &plan).1);
    assert!(data_set.items(Tag(0x0040, 0x0275)).is_empty());
    assert!(data_set.text(Tag(0x0042, 0x0010)).unwrap().chars().count() <= 1024);
}

#[test]
fn every_kind_is_one_data_set_of_its_class() {
    for (kind, bytes) in kinds() {
        let (around, whole) = wrap_as(&kind, &bytes, "Titel", &plan());
        assert_eq!(around.length, u64::try_from(whole.len()).unwrap());
        let length = around.length;
        let scan = scan_data_set(&mut &*whole, length, &kind.transfer_syntax(), &Limits::default());
        let found = inspect::inspect(scan.unwrap()).unwrap();
        assert_eq!(found.sop_class, kind.sop_class());
        assert_eq!(found.facts.patient.id.unwrap().id, "100234567");
        let data_set = read(&whole);
        let tags: Vec<Tag> = data_set.iter().map(|(tag, _)| tag).collect();
        assert!(tags.is_sorted(), "{kind:?}");
        if let Some(pixels) = data_set.get(Tag(0x7FE0, 0x0010)) {
            let held = match &pixels.value {
                Value::Bytes(held) => held.clone(),
                Value::Fragments(parts) => {
                    assert!(parts[0].is_empty() && parts.len() == 2);
                    parts[1].clone()
                }
                Value::Items(_) => panic!("pixels expected"),
            };
            assert!(held.starts_with(&bytes) && held.len() - bytes.len() == bytes.len() % 2);
        }
    }
}

#[test]
fn every_kind_names_its_order_where_its_class_has_a_place() {
    for (kind, bytes) in kinds() {
        let data_set = read(&wrap_as(&kind, &bytes, "Titel", &plan()).1);
        let (there, absent) = match kind {
            FileKind::Text(_) => (Tag(0x0040, 0xA370), Tag(0x0040, 0x0275)),
            _ => (Tag(0x0040, 0x0275), Tag(0x0040, 0xA370)),
        };
        let [request] = data_set.items(there) else { panic!("one request expected") };
        assert_eq!(request.text(Tag(0x0008, 0x0050)).as_deref(), Some("A2026004711"));
        assert!(data_set.get(absent).is_none(), "{kind:?}");
    }
}

#[test]
fn text_is_the_only_item_of_its_report() {
    let kind = FileKind::Text(Text { source: String::new() });
    let data_set = read(&wrap_as(&kind, "Grüße\r\nEnde.".as_bytes(), "x", &plan()).1);
    let [item] = data_set.items(Tag(0x0040, 0xA730)) else { panic!("one item expected") };
    let sets = data_set.character_sets();
    assert_eq!(item.text_in(Tag(0x0040, 0xA160), &sets).unwrap(), "Grüße\r\nEnde.");
}

#[test]
fn identity_is_that_of_the_file_and_not_of_what_was_decoded() {
    let study = study().study_uid;
    let kind = image(Pixels::Rgb8, Shot::Other, 1);
    assert_eq!(identifiers(&study, &kind, "aa"), identifiers(&study, &kind, "bb"));
    let mut series: Vec<Uid> =
        kinds().iter().map(|(kind, _)| identifiers(&study, kind, "aa").1).collect();
    series.sort();
    series.dedup();
    assert_eq!(series.len(), 6, "one series a modality and kind");
}

/// `dciodvfy` of the dicom3tools: not one error, with a plan and without facts.
#[test]
fn objects_are_valid() {
    let mut faults = Vec::new();
    for (kind, bytes) in kinds() {
        for (title, plan) in [("Befund Müller", plan()), ("", Plan::default())] {
            faults.extend(verify(&kind, &wrap_as(&kind, &bytes, title, &plan).1));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn verify(kind: &FileKind, data_set: &[u8]) -> Vec<String> {
    let element = |number: u8, vr: &[u8; 2], value: &str| {
        let padding = if value.len() % 2 == 1 { "\0" } else { "" };
        let length = u8::try_from(value.len() + padding.len()).unwrap();
        [&[2, 0, number, 0], vr.as_slice(), &[length, 0], value.as_bytes(), padding.as_bytes()]
            .concat()
    };
    // The program is older than the syntax of H.265; the data set is that of any film.
    let syntax = match kind {
        FileKind::Video(_) => video(Codec::H264High41).transfer_syntax(),
        kind => kind.transfer_syntax(),
    };
    let meta = [
        b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01".to_vec(),
        element(2, b"UI", kind.sop_class().as_str()),
        element(3, b"UI", identifiers(&study().study_uid, kind, "00ff").0.as_str()),
        element(0x10, b"UI", syntax.as_str()),
        element(0x12, b"UI", "2.25.1"),
    ]
    .concat();
    let length = u32::try_from(meta.len()).unwrap().to_le_bytes();
    let file = [&[0; 128], b"DICM\x02\0\0\0UL\x04\0".as_slice(), &length, &meta, data_set].concat();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object");
    std::fs::write(&path, file).unwrap();
    let output = std::process::Command::new("dciodvfy")
        .arg(&path)
        .output()
        .expect("dciodvfy runs: install dicom3tools, or run tests/env");
    let report = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    let errors = report.lines().filter(|line| line.starts_with("Error"));
    errors.map(|line| format!("{kind:?}: {line}")).collect()
}
