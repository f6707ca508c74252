use std::io::Cursor;

use dicom_dictionary_std::{tags, uids};

use super::*;
use crate::dicom::{DataSet, Syntax, Tag, VR};
use crate::forward::tests::{
    BIG, DEFLATED, EXPLICIT, IMPLICIT, JPEG, facts, layout, object, pixels, plan, uid,
};
use crate::import::Blob;

fn instance(bytes: &[u8], transfer_syntax: &str) -> Instance {
    Instance {
        sop_class: uid(uids::CT_IMAGE_STORAGE),
        sop_instance: uid("1.2.3.4.5.0"),
        series: uid("1.2.3.4.5"),
        blob: Blob {
            pack: 0,
            at: 0,
            length: u64::try_from(bytes.len()).unwrap(),
            digest: Default::default(),
        },
        origin: Origin::Received { layout: layout(bytes, transfer_syntax) },
    }
}

fn sent(bytes: &[u8], from: &str, to: &str, name: &str) -> Result<Vec<u8>, Fault> {
    sent_as(instance(&object(0, from, &pixels(300_000)), from), bytes, to, name)
}

#[expect(clippy::needless_pass_by_value, reason = "each is made for one call")]
fn sent_as(instance: Instance, bytes: &[u8], to: &str, name: &str) -> Result<Vec<u8>, Fault> {
    let (plan, facts, to) = (plan(name), facts(), uid(to));
    let job =
        Job { plan: &plan, facts: &facts, number: 0, instance: &instance, transfer_syntax: &to };
    let mut reader = Cursor::new(bytes);
    let prepared = prepare(&mut reader, &job)?;
    let mut all = Vec::new();
    prepared.stream(&mut reader, &mut |bytes| {
        assert!(bytes.len() <= 2 * PIECE);
        all.extend_from_slice(&bytes);
        Ok(())
    })?;
    Ok(all)
}

#[test]
fn pixel_data_and_what_follows_go_through_byte_for_byte() {
    for syntax in [EXPLICIT, IMPLICIT, JPEG] {
        let bytes = object(0, syntax, &pixels(300_000));
        let out = sent(&bytes, syntax, syntax, "Müller^Jörg").unwrap();
        let at = usize::try_from(layout(&bytes, syntax).pixel_data.unwrap().element_at).unwrap();
        assert!(out.ends_with(&bytes[at..]), "{syntax}");
        assert!(layout(&out, syntax).pixel_data.is_some());
    }
}

#[test]
fn every_rewriting_keeps_pixels_and_rest() {
    for (from, to) in [
        (EXPLICIT, IMPLICIT),
        (IMPLICIT, EXPLICIT),
        (DEFLATED, EXPLICIT),
        (DEFLATED, IMPLICIT),
        (BIG, EXPLICIT),
        (BIG, IMPLICIT),
    ] {
        for name in ["Müller^Jörg", "Иванов^Иван"] {
            let bytes = object(0, from, &pixels(300_000));
            let out = sent(&bytes, from, to, name).unwrap();
            let read = DataSet::read(&out, Syntax::of(&uid(to))).unwrap();
            assert!(
                read.get(tags::PIXEL_DATA).unwrap().bytes() == Some(&pixels(300_000)),
                "{from} {to}"
            );
            assert_eq!(read.text(tags::PATIENT_NAME).as_deref(), Some(name));
            assert_eq!(read.u16(tags::ROWS), Some(2));
            // Private elements lose their representation in Implicit VR, and UN is not converted.
            if from != IMPLICIT && to != IMPLICIT {
                assert_eq!(read.text(Tag(0x7FE1, 0x0010)).as_deref(), Some("Müller AG"));
            }
        }
    }
}

#[test]
fn values_of_signed_pixels_leave_signed() {
    let mut object =
        DataSet::read(&object(0, IMPLICIT, &pixels(300_000)), Syntax::ImplicitLittle).unwrap();
    object.put_bytes(tags::PIXEL_REPRESENTATION, VR::US, vec![1, 0]);
    object.put_bytes(tags::PIXEL_PADDING_VALUE, VR::US, vec![0x30, 0xF8]);
    let bytes = object.write(Syntax::ImplicitLittle);
    let written = crate::dicom::sample::element(0x0028, 0x0120, "SS", &[0x30, 0xF8]);
    // Under a wrong label it is written as a stream.
    for from in [IMPLICIT, BIG] {
        for name in ["Müller^Jörg", "Иванов^Иван"] {
            let out = sent_as(instance(&bytes, from), &bytes, EXPLICIT, name).unwrap();
            assert!(out.windows(written.len()).any(|found| found == written), "{from} {name}");
            let read = DataSet::read(&out, Syntax::ExplicitLittle).unwrap();
            assert!(read.get(tags::PIXEL_DATA).unwrap().bytes() == Some(&pixels(300_000)));
        }
    }
}

#[test]
fn implicit_elements_around_compressed_pixels_leave_explicit() {
    let good = object(0, JPEG, &pixels(3_000));
    let bytes = DataSet::read(&good, Syntax::ExplicitLittle).unwrap().write(Syntax::ImplicitLittle);
    for name in ["Müller^Jörg", "Иванов^Иван"] {
        let out = sent_as(instance(&bytes, JPEG), &bytes, JPEG, name).unwrap();
        let layout = layout(&out, JPEG);
        assert!(!layout.is_implicit);
        let read = DataSet::read(&out, Syntax::ExplicitLittle).unwrap();
        assert_eq!(read.text(tags::PATIENT_NAME).as_deref(), Some(name));
        let before = DataSet::read(&good, Syntax::ExplicitLittle).unwrap();
        assert!(read.get(tags::PIXEL_DATA) == before.get(tags::PIXEL_DATA));
    }
}

#[test]
fn the_rest_behind_the_pixel_data_follows_the_character_set() {
    let bytes = object(0, EXPLICIT, &pixels(300_000));
    let out = sent(&bytes, EXPLICIT, EXPLICIT, "Иванов^Иван").unwrap();
    let read = DataSet::read(&out, Syntax::ExplicitLittle).unwrap();
    assert_eq!(read.text(tags::SPECIFIC_CHARACTER_SET).as_deref(), Some("ISO_IR 192"));
    assert_eq!(read.text(Tag(0x7FE1, 0x0010)).as_deref(), Some("Müller AG"));
}

#[test]
fn a_copy_that_is_cut_short_never_looks_whole() {
    for syntax in [EXPLICIT, IMPLICIT, JPEG, BIG, DEFLATED] {
        let bytes = object(0, syntax, &pixels(300_000));
        let target = if syntax == BIG || syntax == DEFLATED { EXPLICIT } else { syntax };
        let whole = sent(&bytes, syntax, target, "M").unwrap();
        for keep in [0, 50, bytes.len() / 2, bytes.len() - 1] {
            let cut = sent(&bytes[..keep], syntax, target, "M");
            // The last bits of a deflated stream only say that it ends.
            assert!(
                cut.is_err() || cut.is_ok_and(|cut| syntax == DEFLATED && cut == whole),
                "{syntax} {keep}"
            );
        }
    }
}

#[test]
fn a_receiver_that_is_gone_ends_the_reading() {
    for syntax in [EXPLICIT, DEFLATED] {
        let bytes = object(0, syntax, &pixels(300_000));
        let instance = instance(&bytes, syntax);
        let (plan, facts, to) = (plan("M"), facts(), uid(EXPLICIT));
        let job = Job {
            plan: &plan,
            facts: &facts,
            number: 0,
            instance: &instance,
            transfer_syntax: &to,
        };
        let mut reader = Cursor::new(&bytes);
        let prepared = prepare(&mut reader, &job).unwrap();
        let ended = prepared.stream(&mut reader, &mut |_| Err(Closed));
        assert!(matches!(ended, Err(Fault::Closed)));
    }
}

/// An encapsulated document of some megabytes with elements behind it: it is never in memory as a whole.
#[test]
fn large_documents_are_spliced_like_pixels() {
    let document = pixels(3 << 20);
    for (from, to) in
        [(EXPLICIT, EXPLICIT), (IMPLICIT, IMPLICIT), (EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)]
    {
        let syntax = Syntax::of(&uid(from));
        let mut data =
            DataSet::read(&object(0, EXPLICIT, &[1, 2]), Syntax::ExplicitLittle).unwrap();
        data.remove(Tag(0x7FE0, 0x0010));
        data.put_bytes(Tag(0x0042, 0x0011), VR::OB, document.clone());
        data.put_bytes(Tag(0x0042, 0x0012), VR::LO, b"application/pdf ".to_vec());
        let bytes = data.write(syntax);
        let instance = instance(&bytes, from);
        let Origin::Received { layout } = &instance.origin else { unreachable!() };
        assert_eq!(layout.bulk.len(), 1);
        assert!(layout.header_length() < 1000);
        for name in ["Meier^Hans", "Ørsted^Łucja"] {
            let out = sent_as(instance.clone(), &bytes, to, name).unwrap();
            let read = DataSet::read(&out, Syntax::of(&uid(to))).unwrap();
            let sent = read.get(Tag(0x0042, 0x0011)).and_then(|element| element.bytes());
            assert!(sent == Some(&document[..]), "{from} {to}");
            assert!(read.text(Tag(0x0042, 0x0012)).as_deref() == Some("application/pdf"));
            assert!(read.get(Tag(0x0400, 0x0561)).is_some());
        }
    }
}

/// A deformable registration with its grid, which may be longer than any header.
#[test]
fn large_values_inside_of_sequences_are_spliced_too() {
    let grid = pixels(3 << 20);
    for (from, to) in
        [(EXPLICIT, EXPLICIT), (IMPLICIT, IMPLICIT), (EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)]
    {
        let syntax = Syntax::of(&uid(from));
        let mut data = DataSet::read(&object(0, from, &[1, 2]), syntax).unwrap();
        data.remove(tags::PIXEL_DATA);
        let mut inner = DataSet::default();
        inner.put_bytes(tags::VECTOR_GRID_DATA, VR::OF, grid.clone());
        let mut outer = DataSet::default();
        outer.put_items(tags::DEFORMABLE_REGISTRATION_GRID_SEQUENCE, vec![inner.clone()]);
        data.put_items(tags::DEFORMABLE_REGISTRATION_SEQUENCE, vec![outer.clone(), outer]);
        let bytes = data.write(syntax);
        let instance = instance(&bytes, from);
        let Origin::Received { layout } = &instance.origin else { unreachable!() };
        assert_eq!(layout.bulk.len(), 2);
        assert!(layout.header_length() < 1000);
        for name in ["Meier^Hans", "Ørsted^Łucja"] {
            let out = sent_as(instance.clone(), &bytes, to, name).unwrap();
            let read = DataSet::read(&out, Syntax::of(&uid(to))).unwrap();
            let sent = read.items(tags::DEFORMABLE_REGISTRATION_SEQUENCE);
            let expected = data.items(tags::DEFORMABLE_REGISTRATION_SEQUENCE);
            assert!(sent == expected, "{from} {to}");
            assert!(read.get(Tag(0x0400, 0x0561)).is_some());
        }
    }
}

#[test]
fn derived_uids_are_written_and_traced() {
    let mut data = DataSet::read(&object(0, EXPLICIT, &[1, 2]), Syntax::ExplicitLittle).unwrap();
    data.put_bytes(Tag(0x0008, 0x0018), VR::UI, b"not.a.uid".to_vec());
    let bytes = data.write(Syntax::ExplicitLittle);
    let mut instance = instance(&bytes, EXPLICIT);
    let Origin::Received { layout } = &mut instance.origin else { unreachable!() };
    layout.derived = vec![DerivedUid::SopInstance];
    instance.sop_instance = uid("2.25.77");
    let out = sent_as(instance, &bytes, EXPLICIT, "Meier^Hans").unwrap();
    let read = DataSet::read(&out, Syntax::ExplicitLittle).unwrap();
    assert_eq!(read.uid(Tag(0x0008, 0x0018)), Some(uid("2.25.77")));
    let originals = read.items(Tag(0x0400, 0x0561));
    let modified = originals[0].items(Tag(0x0400, 0x0550));
    let old = modified[0].get(Tag(0x0008, 0x0018)).and_then(|element| element.bytes());
    assert!(old.is_some_and(|old| old.starts_with(b"not.a.uid")));
}

/// A query answers from it, so it has to be readable on its own, whatever opens behind it.
#[test]
fn the_header_of_every_created_object_can_be_read() {
    for (kind, bytes) in encapsulate::tests::kinds() {
        let mut instance = instance(&object(0, EXPLICIT, &pixels(8)), EXPLICIT);
        instance.sop_class = kind.sop_class();
        instance.blob.length = u64::try_from(bytes.len()).unwrap();
        let title = "Befund".to_owned();
        instance.origin = Origin::Created { kind: kind.clone(), title };
        let (plan, facts, to) = (plan("Müller^Jörg"), facts(), kind.transfer_syntax());
        let (plan, facts, instance) = (&plan, &facts, &instance);
        let job = Job { plan, facts, number: 0, instance, transfer_syntax: &to };
        let header = header(&mut Cursor::new(&bytes), &job).unwrap_or_else(|fault| {
            panic!("{kind:?}: {fault}");
        });
        assert_eq!(header.uid(tags::SOP_CLASS_UID), Some(kind.sop_class()), "{kind:?}");
        assert_eq!(header.text(tags::PATIENT_NAME).as_deref(), Some("Müller^Jörg"));
        for held in [tags::PIXEL_DATA, tags::ENCAPSULATED_DOCUMENT, tags::CONTENT_SEQUENCE] {
            assert!(header.get(held).is_none(), "{kind:?}");
        }
    }
}
