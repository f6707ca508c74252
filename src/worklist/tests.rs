use dicom_dictionary_std::tags;
use jiff::civil::date;

use super::query::{Query, Written, identifier, of_ask};
use super::*;
use crate::clock::Moment;
use crate::dicom::{AeTitle, CharacterSets, DataSet, Sex, Syntax, VR, Value};
use crate::dimse::{Found, Status};

mod folders;
mod keeping;
mod sent;

fn options() -> Options {
    WorklistSection::default().options(jiff::tz::TimeZone::UTC).unwrap()
}

fn entry(id: &str, number: &str, name: &str) -> DataSet {
    entry_in(id, number, name, &CharacterSets::parse(Some(b"ISO_IR 100")))
}

fn entry_in(id: &str, number: &str, name: &str, sets: &CharacterSets) -> DataSet {
    let mut set = DataSet::default();
    let mut put = |tag, vr, text: &str| assert!(set.put_text(tag, vr, text, sets));
    put(tags::SPECIFIC_CHARACTER_SET, VR::CS, &sets.term());
    put(tags::ACCESSION_NUMBER, VR::SH, number);
    put(tags::PATIENT_NAME, VR::PN, name);
    put(tags::PATIENT_ID, VR::LO, id);
    put(tags::ISSUER_OF_PATIENT_ID, VR::LO, "HOUSE");
    put(tags::PATIENT_BIRTH_DATE, VR::DA, "19700305");
    put(tags::PATIENT_SEX, VR::CS, "F");
    put(tags::REQUESTED_PROCEDURE_ID, VR::SH, "RP1");
    put(tags::REQUESTED_PROCEDURE_DESCRIPTION, VR::LO, "Import CT");
    put(tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3.4");
    put(tags::ADMISSION_ID, VR::LO, "V1");
    let mut code = DataSet::default();
    assert!(code.put_text(tags::CODE_VALUE, VR::SH, "IMP", sets));
    assert!(code.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "99L", sets));
    assert!(code.put_text(tags::CODE_MEANING, VR::LO, "Übernahme", sets));
    set.put_items(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, vec![code]);
    let mut qualifiers = DataSet::default();
    assert!(qualifiers.put_text(tags::UNIVERSAL_ENTITY_ID, VR::UT, "1.2.276.1", sets));
    assert!(qualifiers.put_text(tags::UNIVERSAL_ENTITY_ID_TYPE, VR::CS, "ISO", sets));
    set.put_items(tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, vec![qualifiers]);
    let mut issuer = DataSet::default();
    assert!(issuer.put_text(tags::LOCAL_NAMESPACE_ENTITY_ID, VR::UT, "KIS", sets));
    set.put_items(tags::ISSUER_OF_ADMISSION_ID_SEQUENCE, vec![issuer]);
    let study = |instance: &str| {
        let mut study = DataSet::default();
        assert!(study.put_text(
            tags::REFERENCED_SOP_CLASS_UID,
            VR::UI,
            "1.2.840.10008.3.1.2.3.1",
            sets
        ));
        assert!(study.put_text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance, sets));
        study
    };
    set.put_items(tags::REFERENCED_STUDY_SEQUENCE, vec![study("1.2.3.4.5"), study("")]);
    set.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step("S1", "OT", "20240310")]);
    set
}

fn step(id: &str, modality: &str, day: &str) -> DataSet {
    let sets = CharacterSets::utf8();
    let mut step = DataSet::default();
    assert!(step.put_text(tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, id, &sets));
    assert!(step.put_text(tags::MODALITY, VR::CS, modality, &sets));
    assert!(step.put_text(tags::SCHEDULED_STATION_AE_TITLE, VR::AE, "A1\\IMPORT", &sets));
    assert!(step.put_text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, day, &sets));
    step
}

fn reading() -> Reading {
    Reading::new("ISO_IR 100", &[AeTitle::new("IMPORT").unwrap()])
}

fn named(number: &str) -> Query {
    Query::one(Some(number.into()), None)
}

fn window() -> Query {
    Query::Window { from: date(2024, 3, 1), to: date(2024, 3, 31), modality: None, station: None }
}

fn clock() -> Clock {
    let day = date(2024, 3, 10).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    Clock::simulated(Moment { wall_ms: day.timestamp().as_millisecond(), running_ms: 0 })
}

fn broad() -> Ask {
    Ask { broad: true, ..Ask::default() }
}

#[test]
fn an_entry_becomes_an_item() {
    let item = item_of(&entry("0042", "A1", "Müller^Änne"), &reading()).unwrap();
    let id = item.patient.id.clone().unwrap();
    assert_eq!((id.id.as_str(), id.issuer.as_deref()), ("0042", Some("HOUSE")));
    assert_eq!(item.issuer_universal, Some(("1.2.276.1".into(), "ISO".into())));
    assert_eq!(item.patient.name.unwrap().as_str(), "Müller^Änne");
    assert_eq!(item.patient.birth_date.unwrap().to_dicom(), "19700305");
    assert_eq!(item.patient.sex, Sex::Female);
    assert_eq!(item.accession_number.unwrap().number, "A1");
    assert_eq!(item.requested_procedure_id.as_deref(), Some("RP1"));
    assert_eq!(item.requested_procedure_codes[0].meaning, "Übernahme");
    assert_eq!(item.study_uid.unwrap().as_str(), "1.2.3.4");
    assert_eq!(item.admission_id.as_deref(), Some("V1"));
    assert_eq!(item.admission_issuer.as_deref(), Some("KIS"));
    let study = item.referenced_studies.iter().map(|(_, uid)| uid.as_str()).collect::<Vec<_>>();
    assert_eq!(study, ["1.2.3.4.5"], "one without a valid instance is left out");
    assert_eq!(item.steps.len(), 1);
    assert_eq!(item.steps[0].station.as_ref().unwrap().as_str(), "IMPORT");
}

#[test]
fn a_name_without_declared_character_set_is_read() {
    for sets in [CharacterSets::parse(Some(b"ISO_IR 100")), CharacterSets::utf8()] {
        let mut set = entry_in("1", "A1", "Müller^Änne", &sets);
        for declared in [None, Some(Vec::new())] {
            set.remove(tags::SPECIFIC_CHARACTER_SET);
            if let Some(empty) = declared {
                set.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, empty);
            }
            let item = item_of(&set, &reading()).unwrap();
            assert_eq!(item.patient.name.unwrap().as_str(), "Müller^Änne");
            assert_eq!(item.requested_procedure_codes[0].meaning, "Übernahme");
        }
    }
    let turkish = CharacterSets::parse(Some(b"ISO_IR 148"));
    let mut set = entry_in("1", "A1", "Yıldız^Şule", &turkish);
    set.remove(tags::SPECIFIC_CHARACTER_SET);
    // The code meaning of the sample has the same letter in both sets.
    let item = item_of(&set, &Reading::new("ISO_IR 148", &[])).unwrap();
    assert_eq!(item.patient.name.unwrap().as_str(), "Yıldız^Şule");
}

#[test]
fn bad_entries_are_normal_entries() {
    let mut set = entry("1", "A1", "Müller^Eva");
    set.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, Vec::new());
    assert!(item_of(&set, &reading()).unwrap().steps.is_empty());
    set.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![DataSet::default()]);
    assert!(item_of(&set, &reading()).unwrap().steps.is_empty());
    let two = vec![step("S1", "CT", "20240310"), step("S2", "MR", "20240311")];
    set.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, two);
    assert_eq!(item_of(&set, &reading()).unwrap().steps.len(), 2);
    set.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step("S", "CT", "x"); 1000]);
    assert_eq!(item_of(&set, &reading()).unwrap().steps.len(), 64);
    // A sequence that is none.
    set.put_bytes(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, VR::UN, vec![1, 2]);
    assert!(item_of(&set, &reading()).unwrap().steps.is_empty());

    for day in
        ["00000000", "19700230", "1970", "19700101-19701231", "\0\0", "x".repeat(70_000).as_str()]
    {
        set.put_bytes(tags::PATIENT_BIRTH_DATE, VR::DA, day.as_bytes().to_vec());
        assert_eq!(item_of(&set, &reading()).unwrap().patient.birth_date, None, "{day:.20}");
    }
    set.put_bytes(tags::PATIENT_NAME, VR::PN, vec![b'x'; 100_000]);
    assert_eq!(item_of(&set, &reading()).unwrap().patient.name, None);
    set.put_bytes(tags::PATIENT_NAME, VR::PN, b"a=b=c=d^^^^^^^".to_vec());
    assert!(item_of(&set, &reading()).unwrap().patient.name.is_some());
    for id in [&b""[..], b"  ", b"\0\0", &[b'1'; 2000]] {
        set.put_bytes(tags::PATIENT_ID, VR::LO, id.to_vec());
        assert!(item_of(&set, &reading()).is_none());
    }
    set.remove(tags::PATIENT_ID);
    assert!(item_of(&set, &reading()).is_none());
    assert!(item_of(&DataSet::default(), &reading()).is_none());
}

#[test]
fn the_identifier_asks_for_everything_and_matches_one_thing() {
    let set = identifier(&named("A1"), &Written::default()).unwrap();
    assert_eq!(set.text(tags::ACCESSION_NUMBER).as_deref(), Some("A1"));
    for tag in
        [tags::PATIENT_ID, tags::PATIENT_NAME, tags::PATIENT_BIRTH_DATE, tags::STUDY_INSTANCE_UID]
    {
        assert!(matches!(&set.get(tag).unwrap().value, Value::Bytes(bytes) if bytes.is_empty()));
    }
    let step = &set.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE)[0];
    assert!(step.get(tags::MODALITY).is_some());
    assert!(step.text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE).is_none());

    let asked = Query::Window {
        from: date(2024, 3, 1),
        to: date(2024, 3, 31),
        modality: Some("OT".into()),
        station: Some("IMPORT".into()),
    };
    let set = identifier(&asked, &Written::default()).unwrap();
    let step = &set.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE)[0];
    let text = |tag| step.text(tag).unwrap();
    assert_eq!(text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE), "20240301-20240331");
    assert_eq!(text(tags::MODALITY), "OT");
    assert_eq!(text(tags::SCHEDULED_STATION_AE_TITLE), "IMPORT");
    assert!(identifier(&named("Ä1"), &Written::default()).is_none());
    assert!(identifier(&Query::one(None, None), &Written::default()).is_none());
    // What is written can be read.
    let bytes = set.write(Syntax::ImplicitLittle);
    assert_eq!(
        DataSet::read(&bytes, Syntax::ImplicitLittle).unwrap().write(Syntax::ImplicitLittle),
        bytes
    );
}

#[test]
fn a_question_becomes_queries() {
    let mut options = options();
    let today = date(2024, 3, 10);
    let ask = Ask {
        accession_number: Some(" A1 ".into()),
        patient_id: Some("42".into()),
        modalities: vec!["CT".into()],
        broad: true,
    };
    let queries = of_ask(&ask, &options, today);
    assert_eq!(queries.len(), 3);
    assert!(queries[0] == named("A1"));
    assert!(queries[1] == Query::one(None, Some("42".into())));
    assert!(matches!(&queries[2], Query::Window { from, to, modality: None, .. }
        if *from == date(2024, 2, 25) && *to == date(2024, 3, 24)));
    options.modalities = vec!["CT".into(), "OT".into()];
    options.stations = vec![AeTitle::new("A").unwrap(), AeTitle::new("B").unwrap()];
    assert_eq!(of_ask(&ask, &options, today).len(), 6);
    // Patterns and lists would ask for more than one.
    for wild in ["*", "A?", "A\\B", "", " ", "A\r\nB", &"9".repeat(65)] {
        let ask = Ask { accession_number: Some(wild.to_owned()), ..Ask::default() };
        assert!(of_ask(&ask, &options, today).is_empty(), "{wild}");
    }
}

fn whole(found: &[DataSet]) -> Found {
    Found { identifiers: found.to_vec(), status: Status::SUCCESS, cut: false }
}

#[test]
fn answers_that_were_not_asked_for_are_dropped() {
    let options = options();
    let found = [
        entry("1", "A1", "Müller^Eva"),
        entry("2", "A2", "Schmidt^Ida"),
        entry("3", "A1 2", "X^Y"),
    ];
    let mut tally = peer::Tally::new("ris", &Manners::default(), &options);
    tally.take(&named("A1"), &whole(&found));
    let gathered = tally.finish(None);
    assert_eq!(gathered.items.len(), 1);
    assert_eq!(gathered.reached, Reached::Whole);
    assert!(gathered.notes.is_empty());

    let mut tally = peer::Tally::new("ris", &Manners::default(), &options);
    let mut late = entry("9", "A9", "Late^One");
    late.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step("S", "OT", "20250101")]);
    let found = [entry("1", "A1", "Müller^Eva"), late];
    tally.take(&window(), &whole(&found));
    assert_eq!(tally.finish(None).items.len(), 1);
    let wants = Query::Window {
        from: date(2024, 3, 1),
        to: date(2024, 3, 31),
        modality: Some("MR".into()),
        station: None,
    };
    let mut tally = peer::Tally::new("ris", &Manners::default(), &options);
    tally.take(&wants, &whole(&found));
    assert!(tally.finish(None).items.is_empty());
}

#[test]
fn failures_caps_and_cuts_are_not_whole() {
    let options = options();
    let one = [entry("1", "A1", "Müller^Eva")];
    let gather = |found: &[DataSet], status, cut, error: Option<&str>| {
        let mut tally = peer::Tally::new("ris", &Manners::default(), &options);
        tally.take(&window(), &Found { identifiers: found.to_vec(), status, cut });
        tally.finish(error.map(str::to_owned))
    };
    let check = |gathered: Gathered, reached, notes: usize| {
        assert_eq!((gathered.reached, gathered.notes.len()), (reached, notes));
    };
    check(gather(&one, Status::SUCCESS, false, None), Reached::Whole, 0);
    check(gather(&[], Status::SUCCESS, false, None), Reached::Whole, 0);
    check(gather(&one, Status(0xFE00), true, None), Reached::Partly, 1);
    check(gather(&one, Status::OUT_OF_RESOURCES, false, None), Reached::Partly, 1);
    check(gather(&[], Status::OUT_OF_RESOURCES, false, None), Reached::Not, 1);
    check(gather(&[], Status(0xFE00), false, None), Reached::Not, 1);
    check(gather(&one, Status::SUCCESS, false, Some("aborted")), Reached::Partly, 1);
    check(
        gather(&vec![entry("1", "A1", "M^E"); 100], Status::SUCCESS, false, None),
        Reached::Partly,
        1,
    );
    check(
        gather(&vec![entry("1", "A1", "M^E"); 99], Status::SUCCESS, false, None),
        Reached::Whole,
        0,
    );
    check(
        gather(&vec![entry("1", "A1", "M^E"); 500], Status::SUCCESS, false, None),
        Reached::Partly,
        1,
    );
    check(gather(&[DataSet::default()], Status::SUCCESS, false, None), Reached::Partly, 1);
    let tally = peer::Tally::new("ris", &Manners::default(), &options);
    check(tally.finish(Some("connection refused".into())), Reached::Not, 1);
}

#[test]
fn entries_of_one_procedure_are_one_item() {
    let read = |set: &DataSet| item_of(set, &reading()).unwrap();
    let first = read(&entry("1", "A1", "Müller^Eva"));
    let mut second = entry("1", "A1", "Müller^Eva");
    second.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step("S2", "OT", "20240311")]);
    let second = read(&second);
    let renamed = read(&entry("1", "A1", "Schmidt^Eva"));
    let other = read(&entry("1", "A2", "Müller^Eva"));
    let joined = join(vec![first.clone(), second, first.clone(), renamed, other]);
    assert_eq!(joined.iter().map(|item| item.steps.len()).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!(joined[0].item_id(), joined[1].item_id());
}

#[test]
fn a_step_that_one_source_closed_stays_closed() {
    let of = |status: Option<&str>, modality: Option<&str>| {
        let mut item = item_of(&entry("1", "A1", "Müller^Eva"), &reading()).unwrap();
        assert!(item.steps[0].id.is_some());
        item.steps[0].status = status.map(str::to_owned);
        item.steps[0].modality = modality.map(str::to_owned);
        item
    };
    for stale in [None, Some("SCHEDULED")] {
        let (closed, stale) = (of(Some("CANCELED"), None), of(stale, Some("CT")));
        for entries in [[&closed, &stale], [&stale, &closed]] {
            let joined = join(entries.map(Clone::clone).to_vec());
            let [item] = joined.as_slice() else { panic!("one item expected") };
            let [step] = item.steps.as_slice() else { panic!("one step expected") };
            assert!(!item.is_open() && step.status.as_deref() == Some("CANCELED"));
            assert_eq!(step.modality.as_deref(), Some("CT"));
        }
    }
    // Nor are those of two modalities, which some systems give one ID.
    let joined = join(vec![of(Some("COMPLETED"), Some("CT")), of(Some("SCHEDULED"), Some("PT"))]);
    assert!(joined[0].steps.len() == 2 && joined[0].is_open());
    // Steps that nobody numbered are not taken for one.
    let (mut one, mut other) = (of(Some("CANCELED"), None), of(None, None));
    (one.steps[0].id, other.steps[0].id) = (None, None);
    assert_eq!(join(vec![one, other])[0].steps.len(), 2);
}

#[test]
fn the_section_is_checked() {
    let section = |text: &str| toml::from_str::<WorklistSection>(text);
    let good = section(
        "modalities = [\"OT\"]\nstation-ae = [\"IMPORT\"]\nwindow = \"30days\"\nlimit = 200\n\
         fallback-character-set = \"ISO_IR 148\"\n[[sources]]\npeer = \"ris\"\n[[sources]]\nfolder = \"/x\"",
    )
    .unwrap();
    let options = good.options(jiff::tz::TimeZone::UTC).unwrap();
    assert_eq!((options.window_days, options.limit, good.sources.len()), (30, 200, 2));
    assert!(section("moralities = []").is_err());
    assert!(section("[[sources]]\npear = \"ris\"").is_err());
    for bad in [
        "[[sources]]",
        "[[sources]]\npeer = \"ris\"\nfolder = \"/x\"",
        "window = \"2years\"",
        "limit = 0",
        "modalities = [\"ct*\"]",
        "fallback-character-set = \"latin one\"",
        "modalities = [\"A\",\"B\",\"C\",\"D\",\"E\"]\nstation-ae = [\"A\",\"B\",\"C\",\"D\"]",
    ] {
        assert_eq!(
            section(bad).unwrap().options(jiff::tz::TimeZone::UTC).unwrap_err().len(),
            1,
            "{bad}"
        );
    }
}

#[test]
fn asking_can_run_on_any_thread() {
    fn assert_send(_: &impl Send) {}
    let list = Worklist::new(Vec::new(), options(), clock());
    let ask = broad();
    assert_send(&list.ask(&ask));
    assert_send(&list.reread(&Item::default()));
}
