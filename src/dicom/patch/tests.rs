use std::collections::BTreeMap;

use proptest::prelude::*;

use super::patch;
use crate::dicom::sample::{self, SYNTAXES, element, head};
use crate::dicom::scan::Error;
use crate::dicom::{DataSet, Element, Syntax, Tag, VR, Value};

const NAME: Tag = Tag(0x0010, 0x0010);

fn text(vr: VR, value: &str) -> Option<Element> {
    Some(Element { vr, value: Value::Bytes(value.as_bytes().to_vec()) })
}

#[test]
fn edits_and_nothing_else() {
    let before = [
        element(0x0008, 0x0000, "UL", &[9, 9, 9, 9]),
        element(0x0008, 0x0060, "CS", b"CT"),
        // Odd, badly padded, private, nested with a group length: kept as they are.
        element(0x0008, 0x1030, "LO", b"odd"),
        element(0x0009, 0x1001, "UN", b"\xFF\0"),
        element(0x0010, 0x0000, "UL", &[9, 9, 9, 9]),
        element(0x0010, 0x0010, "PN", b"OLD^NAME"),
        element(0x0010, 0x0020, "LO", b"OLD "),
        element(
            0x0010,
            0x1002,
            "SQ",
            &[
                head(0xFFFE, 0xE000, 24),
                element(0x0010, 0x0000, "UL", &[0; 4]),
                element(0x0010, 0x0010, "PN", b"KEEP"),
            ]
            .concat(),
        ),
        element(0x0020, 0x0010, "SH", b"1 "),
    ];
    let edits = BTreeMap::from([
        (Tag(0x0008, 0x0005), text(VR::CS, "ISO_IR 192")),
        (Tag(0x0008, 0x0050), None),
        (NAME, text(VR::PN, "New^Name!")),
        (Tag(0x0010, 0x0020), None),
        (Tag(0x0010, 0x0021), text(VR::LO, "HERE")),
        (Tag(0x0040, 0x0275), Some(Element { vr: VR::SQ, value: Value::Items(vec![]) })),
    ]);
    let after = [
        element(0x0008, 0x0005, "CS", b"ISO_IR 192"),
        before[1].clone(),
        before[2].clone(),
        before[3].clone(),
        element(0x0010, 0x0010, "PN", b"New^Name! "),
        element(0x0010, 0x0021, "LO", b"HERE"),
        before[7].clone(),
        before[8].clone(),
        element(0x0040, 0x0275, "SQ", b""),
    ];
    assert_eq!(patch(&before.concat(), Syntax::ExplicitLittle, &edits).unwrap(), after.concat());
}

#[test]
fn every_occurrence_of_an_edited_element_goes() {
    let before = [
        element(0x0010, 0x0010, "PN", b"ONE "),
        element(0x0020, 0x0010, "SH", b"1 "),
        element(0x0010, 0x0010, "PN", b"TWO "),
    ];
    let edits = BTreeMap::from([(NAME, text(VR::PN, "NEW "))]);
    let after = patch(&before.concat(), Syntax::ExplicitLittle, &edits).unwrap();
    assert_eq!(after, [element(0x0010, 0x0010, "PN", b"NEW "), before[1].clone()].concat());
}

#[test]
fn every_syntax_is_patched_in_itself() {
    for syntax in SYNTAXES {
        let mut image = sample::encapsulated();
        image.remove(Tag(0x7FE0, 0x0010));
        let edits = BTreeMap::from([
            (NAME, text(VR::PN, "New^Name")),
            (Tag(0x0028, 0x0010), Some(Element { vr: VR::US, value: Value::Bytes(vec![7, 0]) })),
            (Tag(0x0010, 0x1002), None),
        ]);
        let patched = patch(&image.write(syntax), syntax, &edits).unwrap();
        for (tag, edit) in edits {
            match edit {
                Some(element) => image.insert(tag, element),
                None => image.remove(tag),
            };
        }
        assert!(DataSet::read(&patched, syntax).unwrap() == image);
    }
}

#[test]
fn broken_headers_are_refused() {
    let cut = element(0x0010, 0x0010, "PN", b"ONE ");
    let result = patch(&cut[..10], Syntax::ExplicitLittle, &BTreeMap::new());
    assert!(matches!(result, Err(Error::Truncated)));
}

proptest! {
    #[test]
    fn without_edits_nothing_changes(data_set in sample::data_sets()) {
        for syntax in SYNTAXES {
            let header = data_set.write(syntax);
            prop_assert_eq!(&patch(&header, syntax, &BTreeMap::new()).unwrap(), &header);
        }
    }

    #[test]
    fn patching_is_the_same_as_writing_anew(data_set in sample::data_sets(), changes in sample::data_sets()) {
        let edits = changes.iter().map(|(tag, element)| (tag, Some(element.clone()))).collect();
        let mut expected = data_set.clone();
        for (tag, element) in changes.iter() {
            expected.insert(tag, element.clone());
        }
        for syntax in SYNTAXES {
            let patched = patch(&data_set.write(syntax), syntax, &edits).unwrap();
            prop_assert_eq!(patched, expected.write(syntax));
        }
    }
}
