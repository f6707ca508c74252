use super::*;

fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

fn row(study: &str, id: &[u8], issuer: &[u8]) -> DataSet {
    let mut row = DataSet::default();
    row.put_bytes(tags::STUDY_INSTANCE_UID, VR::UI, study.as_bytes().to_vec());
    row.put_bytes(tags::PATIENT_ID, VR::LO, id.to_vec());
    row.put_bytes(tags::ISSUER_OF_PATIENT_ID, VR::LO, issuer.to_vec());
    row
}

fn judged(rows: &[DataSet], issuer: Option<&str>) -> Held {
    let study = uid("1.2.3");
    let patient = PatientId { id: "4711".into(), issuer: issuer.map(Into::into) };
    judge(rows, Subject { study: &study, instance: None }, Some(&patient))
}

#[test]
fn a_patient_is_the_same_only_by_id_and_issuer() {
    assert_eq!(judged(&[], None), Held::Not);
    assert_eq!(judged(&[row("1.2.4", b"X", b"")], None), Held::Not, "keys may be ignored");
    assert_eq!(judged(&[row("1.2.3", b" 4711 ", b"")], Some("KLINIK")), Held::Ours);
    assert_eq!(judged(&[row("1.2.3", b"4711", b"KLINIK")], None), Held::Ours);
    assert_eq!(judged(&[row("1.2.3", b"4711", b"FREMD")], Some("KLINIK")), Held::Foreign);
    assert_eq!(judged(&[row("1.2.3", b"04711", b"")], None), Held::Foreign);
    assert_eq!(judged(&[row("1.2.3", b"", b"")], None), Held::Foreign, "nobody is not ours");
    let both = [row("1.2.3", b"4711", b""), row("1.2.3", b"0815", b"")];
    assert_eq!(judged(&both, None), Held::Foreign, "one study of two patients");
}

#[test]
fn the_query_names_every_unique_key_of_its_level() {
    let (study, series, instance) = (uid("1.2.3"), uid("1.2.3.4"), uid("1.2.3.4.5"));
    let of_study = identifier(Subject { study: &study, instance: None });
    assert_eq!(of_study.text(tags::QUERY_RETRIEVE_LEVEL).as_deref(), Some("STUDY"));
    assert!(
        of_study.get(tags::PATIENT_ID).is_some() && of_study.get(tags::SOP_INSTANCE_UID).is_none()
    );
    let instance = Some((&series, &instance));
    let of_image = identifier(Subject { study: &study, instance });
    assert_eq!(of_image.uid(tags::SERIES_INSTANCE_UID), Some(series.clone()));
    assert!(of_image.get(tags::PATIENT_ID).is_none(), "of a level above");
}
