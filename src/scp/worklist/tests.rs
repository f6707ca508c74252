use dicom_dictionary_std::tags;
use proptest::prelude::*;

use super::name::{NameKey, Pattern};
use super::question::Question;
use super::reply::reply;
use super::*;
use crate::dicom::{CharacterSets, DataSet, Syntax, VR};
use crate::dimse::NameMatching;
use crate::hl7::Message;
use crate::worklist::hl7::{Book, Rules};
use crate::worklist::{Local, Origin};

mod hostile;

fn set_of(values: &[(Tag, VR, &str)]) -> DataSet {
    let mut set = DataSet::default();
    for (tag, vr, text) in values {
        assert!(set.put_text(*tag, *vr, text, &CharacterSets::utf8()));
    }
    set
}

fn utf8(mut set: DataSet) -> DataSet {
    set.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, b"ISO_IR 192".to_vec());
    set
}

fn entry(name: &str) -> DataSet {
    let mut entry = utf8(set_of(&[
        (tags::ACCESSION_NUMBER, VR::SH, "A1"),
        (tags::PATIENT_NAME, VR::PN, name),
        (tags::PATIENT_ID, VR::LO, "1001"),
        (tags::PATIENT_WEIGHT, VR::DS, "62.50"),
    ]));
    let step = set_of(&[
        (tags::MODALITY, VR::CS, "CT"),
        (tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, "20261122"),
        (tags::SCHEDULED_PROCEDURE_STEP_START_TIME, VR::TM, "0930"),
        (tags::SCHEDULED_PROCEDURE_STEP_ID, VR::SH, "S1"),
    ]);
    entry.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step]);
    entry
}

fn parse(identifier: &DataSet) -> Result<Question, Refusal> {
    Question::parse(identifier, NameMatching::Literal)
}

fn matched(identifier: &DataSet) -> bool {
    matches::matches(&parse(identifier).unwrap(), &entry("Müller^Änne"))
}

fn step_query(values: &[(Tag, VR, &str)]) -> DataSet {
    let mut query = DataSet::default();
    query.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![set_of(values)]);
    query
}

#[test]
fn wildcards_fit_what_they_should() {
    let table = [
        ("*", "", true),
        ("*", "abc", true),
        ("a*c", "abc", true),
        ("a*c", "ac", true),
        ("a*c", "acb", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*b*", "abc", true),
        ("**", "x", true),
        ("a*b*c", "aXbYbZc", true),
        ("", "", true),
        ("", "a", false),
        ("?", "ü", true),
    ];
    for (pattern, text, fits) in table {
        assert_eq!(Pattern::new(pattern).fits(text), fits, "{pattern} {text}");
    }
}

#[test]
fn a_wildcard_bomb_is_quick() {
    let pattern = Pattern::new(&format!("{}b", "*a".repeat(2_000)));
    assert!(!pattern.fits(&"a".repeat(8_000)));
}

#[test]
fn names_are_compared_as_documented() {
    let table = [
        ("müller^änne", "Müller^Änne", true),
        ("MULLER^ANNE", "Müller^Änne", true),
        ("Müller", "Müller^Änne", false),
        ("Müller*", "Müller^Änne", true),
        ("Mueller*", "Müller^Änne", false),
        ("Strasse^A", "Straße^A", true),
        ("山田*", "Yamada^Tarou=山田^太郎", true),
        ("=山田*", "Yamada^Tarou=山田^太郎", true),
        ("山田*=", "Yamada^Tarou=山田^太郎", false),
        ("*", "", true),
        ("A^B", "A^B^^^", true),
        ("A^^B", "A^B", false),
        ("MÜLL*^*^*", "Müller^Änne", true),
        ("Müller^*", "Müller", true),
        ("Müller^?*", "Müller", false),
        ("Müller*^^^", "Müller^Änne", true),
        ("Müller^*^Eva", "Müller^Änne", false),
        ("=山田^*^*", "Yamada^Tarou=山田^太郎", true),
        ("=*^*", "Yamada^Tarou", false),
    ];
    for (asked, name, fits) in table {
        assert_eq!(NameKey::literal(asked).fits(name), fits, "{asked} {name}");
    }
    let table = [
        ("Änne Müller", "Müller^Änne", true),
        ("Mueller", "Müller^Änne", true),
        ("Muller, A*", "Müller^Änne", true),
        ("Mül", "Müller^Änne", true),
        ("Müllr", "Müller^Änne", true),
        ("Maier", "Müller^Änne", false),
        ("Müller Müller", "Müller^Änne", false),
    ];
    for (asked, name, fits) in table {
        assert_eq!(NameKey::fuzzy(asked).fits(name), fits, "{asked} {name}");
    }
}

#[test]
fn times_and_days_are_compared_by_meaning() {
    let date = tags::SCHEDULED_PROCEDURE_STEP_START_DATE;
    let time = tags::SCHEDULED_PROCEDURE_STEP_START_TIME;
    type Row<'a> = (&'a [(Tag, VR, &'a str)], bool);
    let table: [Row<'_>; 14] = [
        (&[(date, VR::DA, "20261122")], true),
        (&[(date, VR::DA, "2026.11.22")], true),
        (&[(date, VR::DA, "-20261121")], false),
        (&[(date, VR::DA, "20261122-")], true),
        (&[(time, VR::TM, "09")], true),
        (&[(time, VR::TM, "093000")], true),
        (&[(time, VR::TM, "09:30")], true),
        (&[(time, VR::TM, "093001")], false),
        (&[(time, VR::TM, "0930-0930")], true),
        (&[(time, VR::TM, "-0929")], false),
        (&[(date, VR::DA, "20261121-20261122"), (time, VR::TM, "1000-0930")], true),
        (&[(date, VR::DA, "20261121-20261122"), (time, VR::TM, "1000-0929")], false),
        (&[(date, VR::DA, "20261122-20261123"), (time, VR::TM, "1000-0930")], false),
        (&[(date, VR::DA, "20261122"), (time, VR::TM, "0900-1000")], true),
    ];
    for (keys, wanted) in table {
        assert_eq!(matched(&step_query(keys)), wanted, "{keys:?}");
    }
    let weight = |text| set_of(&[(tags::PATIENT_WEIGHT, VR::DS, text)]);
    assert!(matched(&weight("62.5")) && !matched(&weight("62")));
}

#[test]
fn what_was_asked_for_comes_back_and_nothing_else() {
    let mut query = set_of(&[(tags::PATIENT_NAME, VR::PN, ""), (tags::ALLERGIES, VR::LO, "")]);
    query.put_items(tags::REQUESTED_PROCEDURE_CODE_SEQUENCE, vec![]);
    query.put_items(
        tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE,
        vec![set_of(&[(tags::MODALITY, VR::CS, ""), (tags::SCHEDULED_STATION_NAME, VR::SH, "")])],
    );
    let question = parse(&query).unwrap();
    assert_eq!(question.pending(), Status::PENDING);
    let answer = reply(&question, &entry("Beispiel^Otto"));
    let mut tags_of: Vec<Tag> = answer.iter().map(|(tag, _)| tag).collect();
    tags_of.sort();
    assert_eq!(
        tags_of,
        [
            tags::PATIENT_NAME,
            tags::ALLERGIES,
            tags::REQUESTED_PROCEDURE_CODE_SEQUENCE,
            tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE
        ]
    );
    assert_eq!(answer.get(tags::ALLERGIES).unwrap().bytes(), Some(&[][..]));
    let step = &answer.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE)[0];
    assert_eq!(step.text(tags::MODALITY).as_deref(), Some("CT"));
    assert_eq!(step.get(tags::SCHEDULED_STATION_NAME).unwrap().bytes(), Some(&[][..]));
    assert_eq!(step.iter().count(), 2);
}

#[test]
fn a_whole_sequence_comes_back_when_asked_for_without_keys() {
    let mut query = DataSet::default();
    query.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![]);
    let answer = reply(&parse(&query).unwrap(), &entry("A^B"));
    assert_eq!(answer.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE)[0].iter().count(), 4);
}

#[test]
fn keys_that_are_not_supported_are_told() {
    let query = set_of(&[(tags::PATIENT_MOTHER_BIRTH_NAME, VR::PN, "X")]);
    let question = parse(&query).unwrap();
    assert_eq!(question.pending(), Status::PENDING_WARNING);
    let answer = reply(&question, &entry("A^B"));
    assert_eq!(answer.get(tags::PATIENT_MOTHER_BIRTH_NAME).unwrap().bytes(), Some(&[][..]));
}

/// The name in the answer to a query in these sets, raw, and the answer's own character set.
fn answered(charset: Option<&str>, name: &str) -> (Vec<u8>, Option<String>) {
    let mut query = set_of(&[(tags::PATIENT_NAME, VR::PN, "")]);
    if let Some(charset) = charset {
        query.put_bytes(tags::SPECIFIC_CHARACTER_SET, VR::CS, charset.as_bytes().to_vec());
    }
    let answer = reply(&parse(&query).unwrap(), &entry(name));
    let bytes = answer.get(tags::PATIENT_NAME).unwrap().bytes().unwrap();
    let bytes = bytes.strip_suffix(b" ").unwrap_or(bytes).to_vec();
    let told = answer
        .get(tags::SPECIFIC_CHARACTER_SET)
        .map(|element| String::from_utf8_lossy(element.bytes().unwrap()).trim().to_owned());
    (bytes, told)
}

#[test]
fn the_answer_is_in_what_the_asker_reads() {
    let latin = b"M\xFCller^\xC4nne".to_vec();
    let utf8 = "Müller^Änne".as_bytes().to_vec();
    let name = "Müller^Änne";
    assert_eq!(answered(Some("ISO_IR 100"), name), (latin.clone(), Some("ISO_IR 100".into())));
    assert_eq!(answered(Some("ISO_IR 192"), name), (utf8, Some("ISO_IR 192".into())));
    assert_eq!(answered(None, name), (latin.clone(), Some("ISO_IR 100".into())));
    assert_eq!(answered(Some(""), name), (latin, Some("ISO_IR 100".into())));
    assert_eq!(answered(None, "Beispiel^Otto"), (b"Beispiel^Otto".to_vec(), None));
    assert_eq!(answered(Some(""), "Beispiel^Otto").1.as_deref(), Some(""));
    assert_eq!(answered(None, "Иванов^Иван").1.as_deref(), Some("ISO_IR 192"));
    // A set that nobody knows tells nothing of what the asker reads.
    assert_eq!(answered(Some("ISO_IR 999"), name).1.as_deref(), Some("ISO_IR 100"));
}

#[test]
fn what_the_asker_can_not_read_is_replaced_visibly() {
    let (name, set) = answered(Some("ISO_IR 100"), "Müller^Иван");
    assert_eq!((name.as_slice(), set.as_deref()), (&b"M\xFCller^????"[..], Some("ISO_IR 100")));
    let (name, _) = answered(Some("ISO_IR 6"), "Müller^Änne");
    assert_eq!(name, b"M?ller^?nne");
    let japanese = "Yamada^Tarou=山田^太郎";
    let (name, set) = answered(Some("\\ISO 2022 IR 87"), japanese);
    assert_eq!(set.as_deref(), Some("\\ISO 2022 IR 87"));
    let sets = CharacterSets::parse(Some(b"\\ISO 2022 IR 87"));
    assert_eq!(sets.decode(&name, VR::PN), japanese);
    let (name, _) = answered(Some("ISO 2022 IR 6\\ISO 2022 IR 100"), "Müller^Иван");
    let sets = CharacterSets::parse(Some(b"ISO 2022 IR 6\\ISO 2022 IR 100"));
    assert_eq!(sets.decode(&name, VR::PN), "Müller^????");
}

#[test]
fn a_refusal_names_the_attribute() {
    let table = [
        (tags::PATIENT_BIRTH_DATE, VR::DA, "1970-03-05"),
        (tags::PATIENT_BIRTH_DATE, VR::DA, "20261399"),
        (tags::PATIENT_BIRTH_DATE, VR::DA, "-"),
        (tags::PATIENT_BIRTH_DATE, VR::DA, "19700305-19700304"),
        (tags::STUDY_TIME, VR::TM, "25"),
        (tags::STUDY_TIME, VR::TM, "2200-0200"),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.*"),
        (tags::PATIENT_WEIGHT, VR::DS, "heavy"),
        (tags::PATIENT_ID, VR::LO, "1\\\\2"),
    ];
    for (tag, vr, text) in table {
        let refusal = parse(&set_of(&[(tag, vr, text)])).unwrap_err();
        assert_eq!((refusal.tag, refusal.status), (Some(tag), Status::DOES_NOT_MATCH_CLASS));
        assert!(refusal.comment.len() <= 64 && refusal.comment.is_ascii(), "{}", refusal.comment);
    }
    let mut query = DataSet::default();
    query.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![DataSet::default(); 2]);
    assert_eq!(parse(&query).unwrap_err().tag, Some(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE));
    assert!(parse(&DataSet::default()).is_err());
}

#[test]
fn the_day_alone_is_a_quick_look() {
    let day = |text: &str| span::date(text);
    let question =
        parse(&step_query(&[(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, "20261122")]));
    let question = question.unwrap();
    assert!(question.may_match_day(day("20261122")) && question.may_match_day(None));
    assert!(!question.may_match_day(day("20261123")));
}

/// How many entries a modality gets that asks for the CTs of the day, and for a status if one is given.
fn offered(kept: Vec<Vec<Entry>>, status: Option<&str>) -> usize {
    let mut keys = vec![
        (tags::MODALITY, VR::CS, "CT"),
        (tags::SCHEDULED_PROCEDURE_STEP_START_DATE, VR::DA, "20261122"),
    ];
    keys.extend(status.map(|status| (tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS, status)));
    let kept = Kept { entries: kept.into_iter().map(Into::into).collect() };
    select(&parse(&step_query(&keys)).unwrap(), &kept, 10).0.len()
}

#[test]
fn an_order_that_is_done_is_not_offered_again() {
    let local = Local::in_memory();
    let book = Book::new(local.clone(), Rules::default());
    let say = |text: &str| {
        let bytes = format!(
            "MSH|^~\\&|KIS|HAUS|LOTSE|RAD|20261122||ORM^O01|1|P|2.5||||||UNICODE UTF-8\r\
             PID|1||42^^^KLINIKUM||Müller^Änne\r{text}"
        );
        let message = Message::parse(bytes.as_bytes(), &book.rules().fallback).unwrap();
        book.take(bytes.as_bytes(), &message, jiff::civil::date(2026, 11, 22)).unwrap();
    };
    let offered = |status| offered(vec![local.entries()], status);
    say("ORC|NW|P1|F1||||^^^20261122093000\r\
         OBR|1|P1|F1|CTA^CT Abdomen^99RAD||||||||||||||A1|RP1|S1||||CT\r");
    assert_eq!((offered(None), offered(Some("SCHEDULED"))), (1, 1));
    say("ORC|CM||F1\r");
    assert_eq!(local.len(), 1);
    for (status, count) in [
        (None, 0),
        (Some(""), 0),
        (Some("*"), 0),
        (Some("SCHEDULED"), 0),
        (Some("COMPLETED"), 1),
        (Some("SCHEDULED\\COMPLETED"), 1),
    ] {
        assert_eq!(offered(status), count, "{status:?}");
    }
}

#[test]
fn a_step_is_over_by_its_status_and_by_any_source_that_tells_it() {
    let of = |status: &str| {
        let mut set = entry("Müller^Änne");
        let mut step = set.items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE)[0].clone();
        step.put_bytes(tags::SCHEDULED_PROCEDURE_STEP_STATUS, VR::CS, status.as_bytes().to_vec());
        set.put_items(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, vec![step]);
        vec![Entry::new(set, Origin::Peer("ris".into())).unwrap()]
    };
    for (status, count) in [
        ("", 1),
        ("SCHEDULED", 1),
        ("ARRIVED", 1),
        ("STARTED", 1),
        ("COMPLETED", 0),
        ("completed ", 0),
        ("CANCELED", 0),
        ("CANCELLED", 0),
        ("DISCONTINUED", 0),
    ] {
        assert_eq!(offered(vec![of(status)], None), count, "{status}");
    }
    assert_eq!(offered(vec![of("COMPLETED"), of("SCHEDULED")], None), 0);
    assert_eq!(offered(vec![of("SCHEDULED"), of("COMPLETED")], None), 0);
    assert_eq!(offered(vec![of("COMPLETED"), of("SCHEDULED")], Some("SCHEDULED")), 0);
    let without_step =
        Entry::new(set_of(&[(tags::PATIENT_ID, VR::LO, "1")]), Origin::Peer("ris".into()));
    let kept = Kept { entries: vec![vec![without_step.unwrap()].into()] };
    let all = parse(&set_of(&[(tags::PATIENT_ID, VR::LO, "")])).unwrap();
    assert_eq!(select(&all, &kept, 10).0.len(), 1);
}
