//! Whatever an identifier holds: no panic, no stall, and an answer that a data set can be.

use super::*;

fn element() -> impl Strategy<Value = (Tag, VR, Vec<u8>)> {
    let tags = prop_oneof![
        Just((tags::PATIENT_NAME, VR::PN)),
        Just((tags::PATIENT_ID, VR::LO)),
        Just((tags::PATIENT_BIRTH_DATE, VR::DA)),
        Just((tags::STUDY_TIME, VR::TM)),
        Just((tags::STUDY_INSTANCE_UID, VR::UI)),
        Just((tags::PATIENT_WEIGHT, VR::DS)),
        Just((tags::PREGNANCY_STATUS, VR::US)),
        Just((tags::SPECIFIC_CHARACTER_SET, VR::CS)),
        Just((tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, VR::UN)),
        Just((Tag(0x0009, 0x1001), VR::UN)),
    ];
    let text = prop_oneof![
        "[0-9*?\\\\=^. -]{0,40}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..60),
    ];
    (tags, text).prop_map(|((tag, vr), bytes)| (tag, vr, bytes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_identifier_is_answered_or_refused(
        top in proptest::collection::vec(element(), 0..6),
        step in proptest::collection::vec(element(), 0..4),
    ) {
        let fill = |elements: Vec<(Tag, VR, Vec<u8>)>| {
            let mut set = DataSet::default();
            for (tag, vr, bytes) in elements {
                set.put_bytes(tag, vr, bytes);
            }
            set
        };
        let mut query = fill(top);
        query.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![fill(step)]);
        for names in [NameMatching::Literal, NameMatching::Fuzzy] {
            let Ok(question) = Question::parse(&query, names) else { continue };
            let entry = entry("Müller^Änne=山田^太郎");
            matches::matches(&question, &entry);
            let answer = reply(&question, &entry);
            for syntax in [Syntax::ExplicitLittle, Syntax::ImplicitLittle] {
                prop_assert!(DataSet::read(&answer.write(syntax), syntax).is_ok());
            }
        }
    }
}
