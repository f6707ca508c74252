use super::{Error, Found, inspect};
use crate::dicom::sample::{self, BIG, EXPLICIT, IMPLICIT, file, uid};
use crate::dicom::scan::{Limits, scan_file};
use crate::dicom::{BirthDate, DataSet, PatientId, Sex, Syntax, Tag, VR};

fn found(image: &DataSet, transfer_syntax: &str) -> Result<Found, Error> {
    let bytes = file(transfer_syntax, &image.write(Syntax::of(&uid(transfer_syntax))));
    inspect(scan_file(&mut &*bytes, bytes.len() as u64, &Limits::default())?)
}

fn id(id: &str, issuer: Option<&str>) -> PatientId {
    PatientId { id: id.to_owned(), issuer: issuer.map(str::to_owned) }
}

#[test]
fn takes_the_facts() {
    for transfer_syntax in [IMPLICIT, EXPLICIT, BIG] {
        let found = found(&sample::image(), transfer_syntax).unwrap();
        assert_eq!(found.sop_class, uid("1.2.840.10008.5.1.4.1.1.2"));
        assert_eq!(found.sop_instance, uid("1.2.3.4"));
        assert_eq!(found.series, uid("1.2.3.1"));
        assert!(found.layout.pixel_data.is_some());
        let facts = found.facts;
        assert_eq!(facts.study_uid, uid("1.2.3"));
        assert_eq!(facts.patient.id, Some(id("P-1", Some("FOREIGN"))));
        assert_eq!(facts.patient.name.unwrap().as_str(), "Müller^Anna");
        assert_eq!(facts.patient.birth_date, BirthDate::parse("1970-01-02"));
        assert_eq!(facts.patient.sex, Sex::Female);
        assert_eq!(facts.other_ids, [id("OTHER-7", Some("ELSEWHERE"))]);
        let accession_number = facts.accession_number.unwrap();
        assert_eq!(accession_number.number, "A-1");
        assert_eq!(accession_number.issuer.as_deref(), Some("PORTAL"));
        assert_eq!(facts.study_date.as_deref(), Some("20260102"));
        assert_eq!(facts.study_description.as_deref(), Some("CT Schädel"));
        assert_eq!(facts.modality.as_deref(), Some("CT"));
        assert_eq!(facts.body_part.as_deref(), Some("HEAD"));
        assert_eq!(facts.institution.as_deref(), Some("Klinik Süd"));
        assert!(!facts.identity_removed);
    }
}

#[test]
fn other_names_are_taken_apart_and_counted() {
    let mut image = sample::image();
    image.put_bytes(Tag(0x0010, 0x1005), VR::PN, b"Schmidt".to_vec());
    image.put_bytes(Tag(0x0010, 0x1001), VR::PN, b"Meier^Anna\\^^\\Maier^Anna".to_vec());
    let names = found(&image, EXPLICIT).unwrap().facts.other_names;
    let names: Vec<&str> = names.iter().map(crate::dicom::PersonName::as_str).collect();
    assert_eq!(names, ["Schmidt", "Meier^Anna", "Maier^Anna"]);
    image.put_bytes(Tag(0x0010, 0x1001), VR::PN, b"A^B\\".repeat(400));
    assert_eq!(found(&image, EXPLICIT).unwrap().facts.other_names.len(), 8);
}

#[test]
fn what_is_missing_is_absent() {
    let mut image = DataSet::default();
    image.put_bytes(Tag(0x0020, 0x000D), VR::UI, b"1.2.3".to_vec());
    image.put_bytes(Tag(0x0020, 0x000E), VR::UI, b"1.2.3.1".to_vec());
    image.put_bytes(Tag(0x0010, 0x0021), VR::LO, b"ISSUER".to_vec());
    image.put_bytes(Tag(0x0010, 0x0030), VR::DA, b"19700230".to_vec());
    image.put_bytes(Tag(0x0010, 0x0010), VR::PN, b"^^=^ ".to_vec());
    image.put_bytes(Tag(0x0012, 0x0062), VR::CS, b"YES ".to_vec());
    // SOP class and instance come from the meta group.
    let found = found(&image, EXPLICIT).unwrap();
    assert_eq!(found.sop_instance, uid("1.2.3.4"));
    assert!(found.facts.patient == crate::dicom::Patient::default());
    assert!(found.facts.accession_number.is_none() && found.facts.other_ids.is_empty());
    assert!(found.facts.identity_removed);
}

#[test]
fn missing_uids_are_derived() {
    use crate::dicom::DerivedUid::{Series, Study};
    for (tag, which) in [(Tag(0x0020, 0x000D), Study), (Tag(0x0020, 0x000E), Series)] {
        for value in [None, Some("../../x"), Some(".."), Some("")] {
            let mut image = sample::image();
            match value {
                Some(value) => image.put_bytes(tag, VR::UI, value.as_bytes().to_vec()),
                None => {
                    image.remove(tag);
                }
            }
            let one = found(&image, EXPLICIT).unwrap();
            assert_eq!(one.layout.derived, [which]);
            let uid = if which == Study { &one.facts.study_uid } else { &one.series };
            assert!(uid.as_str().starts_with("2.25."));
            let again = found(&image, IMPLICIT).unwrap();
            assert_eq!((one.facts.study_uid, one.series), (again.facts.study_uid, again.series));
        }
    }
    let mut nobody = sample::image();
    for (group, number) in [(0x10, 0x10), (0x10, 0x20), (0x10, 0x30), (0x20, 0x0D)] {
        nobody.remove(Tag(group, number));
    }
    let error = found(&nobody, EXPLICIT).err().unwrap();
    assert!(matches!(error, Error::NoUid("Study Instance UID")));
    let mut bare = sample::image();
    bare.remove(Tag(0x0008, 0x0016));
    let bytes = bare.write(Syntax::ExplicitLittle);
    let scan = scan_file(&mut &*bytes, bytes.len() as u64, &Limits::default()).unwrap();
    assert!(matches!(inspect(scan), Err(Error::NoUid("SOP Class UID"))));
}

#[test]
fn items_have_their_own_character_set() {
    let mut image = sample::image();
    let mut other = DataSet::default();
    other.put_bytes(Tag(0x0008, 0x0005), VR::CS, b"ISO_IR 192".to_vec());
    other.put_bytes(Tag(0x0010, 0x0020), VR::LO, "Ä1".as_bytes().to_vec());
    let mut inherits = DataSet::default();
    inherits.put_bytes(Tag(0x0010, 0x0020), VR::LO, b"\xC42".to_vec());
    image.put_items(Tag(0x0010, 0x1002), vec![other, inherits]);
    let found = found(&image, EXPLICIT).unwrap();
    assert_eq!(found.facts.other_ids, [id("Ä1", None), id("Ä2", None)]);
}
