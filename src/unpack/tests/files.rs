//! Judging single files by their content.

use super::build::{World, aside, data_set, element, meta, object, reason_of, stored, zip};
use crate::unpack::content::Content;
use crate::unpack::document::Form;
use crate::unpack::name::Name;

fn content(name: &str, bytes: &[u8]) -> Content {
    Content::of(bytes, u64::try_from(bytes.len()).unwrap(), &Name::new(name))
}

fn is_aside(name: &str, bytes: &[u8], part: &str) {
    match content(name, bytes) {
        Content::Aside(reason) => assert!(reason.contains(part), "{name}: {reason}"),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn content_decides_and_not_the_name() {
    assert_eq!(content("BILD.JPG", &object(1)), Content::Dicom);
    assert_eq!(content("viewer.exe", &object(1)), Content::Dicom);
    assert_eq!(content("IM1", &data_set(1)), Content::Dicom);
    let without_preamble = [meta("1.2.840.10008.5.1.4.1.1.7", "1.2.3"), data_set(1)].concat();
    assert_eq!(content("IM1", &without_preamble), Content::Dicom);
    assert_eq!(content("IM1", b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100\x08\0\x16\0"), Content::Dicom);
    assert_eq!(content("BEFUND", b"\n\n%PDF-1.7\n"), Content::Pdf);
    assert_eq!(content("DICOMDIR", &object(1)), Content::Dicom);
    is_aside("BEFUND.PDF", b"no PDF at all", "neither");
    is_aside("IM0001", b"MZ\x90\0", "program");
}

#[test]
fn program_in_the_preamble_is_still_an_object() {
    let mut both = object(1);
    both[..4].copy_from_slice(b"MZ\x90\0");
    assert_eq!(content("IM1", &both), Content::Dicom);
}

#[test]
fn companions_of_a_medium_are_set_aside_with_a_reason() {
    is_aside("x", b"", "empty");
    for magic in [b"\x7fELF".as_slice(), b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!/bin/sh\n"] {
        is_aside("x", magic, "program");
    }
    is_aside("lib.dll", b"\x01\x02", "program");
    is_aside("run.bat", b"@echo off", "program");
    is_aside("AUTORUN.INF", b"[autorun]", "never run");
    is_aside("INDEX.HTM", b"<!DOCTYPE html>", "viewer");
    is_aside("noname", b"\xef\xbb\xbf  <HTML>", "viewer");
    is_aside("a.css", b"body{}", "viewer");
    is_aside("README.TXT", b"Hello", "text");
    is_aside("LIESMICH", b"Hallo", "text");
    is_aside("a", b"GIF89a", "picture");
    is_aside("a", b"\0\0\0\x18ftypheic", "picture");
    is_aside("a", b"\x1aE\xdf\xa3", "video");
    for name in ["IHE_PDI/thumb01.jpg", "viewer/x.jpg", "web/a.jpg", "logo.jpg", "icons/b.jpg"] {
        is_aside(name, b"\xff\xd8\xff\xe0", "viewer");
    }
    is_aside("DICOM/version.txt", b"1.0", "text");
    is_aside("a.xml", b"<?xml version=\"1.0\"?><html>", "viewer");
    is_aside("a.7z", b"7z\xbc\xaf\x27\x1c", "archive");
    is_aside("a/.DS_Store", b"\0\0\0\x01Bud1", "operating system");
    is_aside("__MACOSX/._IM1", b"\0\x05\x16\x07", "operating system");
    is_aside("what", b"\x01\x02\x03", "neither");
}

#[test]
fn documents_are_known_by_their_first_bytes() {
    assert_eq!(content("a", b"\xff\xd8\xff\xe0"), Content::Document(Form::Jpeg));
    assert_eq!(content("a", b"\x89PNG\r\n\x1a\n"), Content::Document(Form::Png));
    assert_eq!(content("a", b"II*\0\x08\0\0\0"), Content::Document(Form::Tiff));
    assert_eq!(content("a", b"\0\0\0\x18ftypmp42"), Content::Document(Form::Film));
    assert_eq!(content("METADATA.XML", b"<?xml version=\"1.0\"?>"), Content::Document(Form::Xml));
    let xml = b"<?xml version=\"1.0\"?><a>%PDF-</a>";
    assert_eq!(content("a.xml", xml), Content::Document(Form::Xml));
    assert_eq!(content("Befund.TXT", b"Lunge frei"), Content::Document(Form::Text));
}

#[test]
fn leaflets_are_told_from_reports() {
    for name in [
        "BEFUND.PDF",
        "IHE_PDI/Arztbrief Müller.pdf",
        "docs/Thorax.pdf",
        "Garcia_Eulalia_Befund.pdf",
        "Befund_Helpertz.pdf",
    ] {
        assert_eq!(content(name, b"%PDF-1.4"), Content::Pdf, "{name}");
    }
    for name in [
        "Viewer/doc.pdf",
        "help/en/index.pdf",
        "Benutzerhandbuch.pdf",
        "MicroViewer_Manual.pdf",
        "LICENSE.pdf",
        "Bedienungsanleitung.PDF",
        "EULA.pdf",
        "docs/help2.pdf",
    ] {
        is_aside(name, b"%PDF-1.4", "leaflet");
    }
    assert_eq!(content("skin.jpg", b"\xff\xd8\xff\xe0"), Content::Document(Form::Jpeg));
}

/// Their pictures without the letter would be worse than nothing.
#[test]
fn office_files_are_set_aside_whole() {
    let world = World::new();
    let png = b"\x89PNG\r\n\x1a\n";
    let entries =
        [stored("[Content_Types].xml", b"<Types/>"), stored("word/media/image1.png", png)];
    let word = zip(&entries);
    let other = zip(&[stored("docProps/app.xml", b"<a/>"), entries[1].clone()]);
    let open = stored("mimetype", b"application/vnd.oasis.opendocument.text");
    let calc = zip(&[open, entries[1].clone()]);
    for (name, bytes) in [
        ("Brief.docx", &word),
        ("Brief.zip", &word),
        ("Brief", &word),
        ("Brief.DOCX", &other),
        ("Brief.pages", &other),
        ("Werte.ods", &calc),
        ("Werte", &calc),
    ] {
        for (outer, bytes) in [(name, bytes.clone()), ("a.zip", zip(&[stored(name, bytes)]))] {
            let unpacked = world.unpack_one(outer, &bytes).unwrap();
            assert!(unpacked.documents.is_empty() && unpacked.set_aside.len() == 1, "{name}");
            assert!(reason_of(&unpacked, name).contains("save it as PDF"), "{name}");
        }
    }
}

#[test]
fn programs_in_archives_are_programs_and_patients_archives_are_opened() {
    let world = World::new();
    let (manifest, image) = (stored("META-INF/MANIFEST.MF", b"Main: x"), stored("I1", &object(1)));
    let program = zip(&[manifest.clone(), image.clone()]);
    for name in ["viewer.jar", "viewer"] {
        let unpacked = world.unpack_one(name, &program).unwrap();
        assert!(unpacked.instances.is_empty());
        assert!(reason_of(&unpacked, name).contains("program"));
    }
    let types = stored("[Content_Types].xml", b"<Types/>");
    let mimetype = stored("mimetype", b"notes");
    for entries in [
        [image.clone(), manifest.clone()],
        [image.clone(), types],
        [mimetype, image.clone()],
        [manifest, image],
    ] {
        let unpacked = world.unpack_one("study.zip", &zip(&entries)).unwrap();
        assert_eq!(unpacked.instances.len(), 1);
    }
}

#[test]
fn encrypted_pdfs_are_taken_with_a_remark() {
    let world = World::new();
    let locked = b"%PDF-1.4\ntrailer\n<</Encrypt 5 0 R>>\nstartxref\n0\n%%EOF";
    for (name, bytes) in
        [("Brief.pdf", locked.to_vec()), ("a.zip", zip(&[stored("Brief.pdf", locked)]))]
    {
        let unpacked = world.unpack_one(name, &bytes).unwrap();
        assert_eq!((unpacked.documents.len(), unpacked.set_aside.len()), (1, 1));
        assert!(reason_of(&unpacked, "Brief.pdf").contains("sent as it came"));
    }
}

fn letter(name: &str, birth_date: &str) -> Vec<u8> {
    let (family, given) = name.split_once('^').unwrap();
    format!(
        "<?xml version=\"1.0\"?><ClinicalDocument><id root=\"1.2.3\"/><recordTarget><patientRole><patient><name>\
         <given>{given}</given><family>{family}</family></name><birthTime value=\"{birth_date}\"/></patient>\
         </patientRole></recordTarget></ClinicalDocument>"
    )
    .into_bytes()
}

#[test]
fn clinical_documents_ride_only_with_their_patient() {
    let world = World::new();
    let born = element(0x10, 0x30, b"DA", b"19640812");
    let image = data_set(1);
    let at = image.windows(4).position(|tag| tag == b"\x20\0\x0d\0").unwrap();
    let image = [&image[..at], &born, &image[at..]].concat();
    for (name, birth_date, taken, words) in [
        ("Beispiel^Otto", "19640812", 1, ""),
        ("Beispiel^Otto", "19500101", 0, "another birth date"),
        ("Muster^Erika", "19710523", 0, "another birth date"),
        ("Beispiel^Otto", "19640813", 1, "only similar"),
        ("Muster^Erika", "19640812", 1, "another name"),
        ("Muster^Erika", "", 1, "another name"),
    ] {
        let archive = zip(&[
            stored("BRIEF.XML", &letter(name, birth_date)),
            stored("IM1", &image),
            stored("BEFUND.PDF", b"%PDF-1.4"),
        ]);
        let unpacked = world.unpack_one("a.zip", &archive).unwrap();
        let titles: Vec<&str> =
            unpacked.documents.iter().map(|(_, title, _)| title.as_str()).collect();
        assert_eq!(titles.len(), taken + 1, "{name} {birth_date}");
        assert_eq!(titles.last(), Some(&"BEFUND"));
        assert_eq!(unpacked.set_aside.len(), usize::from(!words.is_empty()), "{words}");
        if !words.is_empty() {
            assert!(reason_of(&unpacked, "BRIEF.XML").contains(words), "{words}");
        }
    }
    // Without images there is nothing to hold it against.
    let unpacked = world.unpack_one("BRIEF.XML", &letter("Muster^Erika", "19710523")).unwrap();
    assert_eq!(unpacked.documents.len(), 1);
}

#[test]
fn loose_files_are_not_written_again() {
    let world = World::new();
    let files = [
        world.put("IM1", &object(1)),
        world.put("Arztbrief.pdf", b"%PDF-1.4\n%%EOF"),
        world.put("leer", b""),
        world.put("foto.jpg", b"\xff\xd8\xff\xe0"),
        world.put("kaputt", &object(4)[..300]),
    ];
    let unpacked = world.unpack(&files).unwrap();
    assert_eq!(unpacked.instances[0].blob, files[0].blob);
    assert_eq!(unpacked.documents[0].1, "Arztbrief");
    assert_eq!(unpacked.documents[0].2, files[1].blob);
    assert_eq!(unpacked.set_aside.len(), 3);
    assert!(reason_of(&unpacked, "kaputt").contains("cannot be used"));
}

#[test]
fn objects_that_cannot_be_used_are_set_aside_and_the_others_go_on() {
    let world = World::new();
    let no_uids = [vec![0; 128], b"DICM".to_vec(), meta("1.2.3", "1.2.4")].concat();
    let archive = zip(&[
        stored("CUT", &object(1)[..object(1).len() - 5]),
        stored("NOUID", &no_uids),
        stored("NOISE", &[vec![0; 128], b"DICM".to_vec(), vec![0xA5; 900]].concat()),
        stored("GOOD", &object(2)),
        stored("ZERO", b""),
    ]);
    let unpacked = world.unpack_one("a.zip", &archive).unwrap();
    assert_eq!(unpacked.instances.len(), 1);
    let names: Vec<_> = aside(&unpacked).iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["CUT", "NOUID", "NOISE", "ZERO"]);
    for name in ["CUT", "NOUID", "NOISE"] {
        let reason = reason_of(&unpacked, name);
        assert!(reason.starts_with("looks like DICOM but cannot be used: "), "{reason}");
        assert!(!reason.contains("BEISPIEL") && !reason.contains("4711"));
    }
}

#[test]
fn names_are_text_and_bounded() {
    let shown = |text: &str| Name::new(text).shown().to_owned();
    assert_eq!(shown("..\\..\\windows\\x"), "../../windows/x");
    assert_eq!(shown("a\r\nb\0c\u{1b}[31m"), "a\u{fffd}\u{fffd}b\u{fffd}c\u{fffd}[31m");
    assert_eq!(shown("a\u{202e}fdp.exe"), "a\u{fffd}fdp.exe");
    assert_eq!(shown(""), "(no name)");
    let long = shown(&format!("{}/ENDE.PDF", "ä".repeat(70_000)));
    assert_eq!(long.chars().count(), 200);
    assert!(long.starts_with('…') && long.ends_with("/ENDE.PDF"));
    assert_eq!(Name::new("A/Brief.2026.pdf").title(), "Brief.2026");
    assert_eq!(Name::new(".pdf").title(), ".pdf");
    assert_eq!(Name::new("dicom/im1.;1").compared(), "DICOM/IM1");
    assert_eq!(Name::new("../../DICOM\\IM1").folder(), "DICOM/");
}
