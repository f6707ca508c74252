mod numbers;

use dicom_dictionary_std::tags;
use jiff::civil::date;

use super::*;
use crate::dicom::{Item, Sex};
use crate::hl7::Verdict;
use crate::worklist::{Local, Origin, Reading};

const ZDS: &str = "ZDS|1.2.276.0.1.7^LOTSE^Application^DICOM\r";

fn head(kind: &str) -> String {
    format!("MSH|^~\\&|KIS|HAUS|LOTSE|RAD|20260301101500||{kind}|C1|P|2.5||||||UNICODE UTF-8\r")
}

const PID: &str =
    "PID|1||42^^^KLINIKUM&1.2.276.9&ISO^PI||Müller^Änne^Eva^Jr.^Dr.^MD^L||19700305|F\r";

fn order(control: &str, filler: &str, accession: &str) -> String {
    format!(
        "ORC|{control}|P{filler}^KIS|F{filler}^RIS||||^^^20260302093000\r\
         OBR|1|P{filler}^KIS|F{filler}^RIS|CTA^CT Abdomen^99RAD^CTP^CT Protokoll^99RAD||||||||||||\
         77^Überweis^Ute^^^Dr.||{accession}|RP{filler}|SPS{filler}||||CT|||||||^Verdacht auf Mögliches\r"
    )
}

fn new_order() -> String {
    format!(
        "{}{PID}PV1|1|I|STATION 3|||||88^Haus^Hugo|||||||||||V99\r{}{ZDS}",
        head("ORM^O01"),
        order("NW", "1", "A1")
    )
}

struct Desk {
    book: std::sync::Arc<Book>,
    local: Local,
}

impl Desk {
    fn new(rules: Rules) -> Self {
        let local = Local::in_memory();
        Self { book: Book::new(local.clone(), rules), local }
    }

    fn take(&self, text: &str) -> Result<(), Fault> {
        let message = Message::parse(text.as_bytes(), &self.book.rules().fallback)?;
        self.book.take(text.as_bytes(), &message, date(2026, 3, 1))
    }

    fn items(&self) -> Vec<Item> {
        let reading = Reading::new("ISO_IR 100", &[]);
        let mut items: Vec<Item> =
            self.local.entries().iter().map(|entry| entry.item(&reading).unwrap()).collect();
        items.sort_by_key(|item| item.accession_number.as_ref().map(|a| a.number.clone()));
        items
    }

    fn numbers(&self) -> Vec<String> {
        self.items().iter().map(|item| item.accession_number.clone().unwrap().number).collect()
    }
}

fn desk() -> Desk {
    Desk::new(Rules::default())
}

#[test]
fn an_order_becomes_an_entry() {
    let desk = desk();
    desk.take(&new_order()).unwrap();
    let item = desk.items().pop().unwrap();
    let id = item.patient.id.unwrap();
    assert_eq!((id.id.as_str(), id.issuer.as_deref()), ("42", Some("KLINIKUM")));
    assert_eq!(item.issuer_universal, Some(("1.2.276.9".into(), "ISO".into())));
    assert_eq!(item.patient.name.unwrap().as_str(), "Müller^Änne^Eva^Dr.^Jr. MD");
    assert_eq!(item.patient.birth_date.unwrap().to_dicom(), "19700305");
    assert_eq!(item.patient.sex, Sex::Female);
    assert_eq!(item.accession_number.unwrap().number, "A1");
    assert_eq!(item.requested_procedure_id.as_deref(), Some("RP1"));
    assert_eq!(item.requested_procedure_description.as_deref(), Some("CT Abdomen"));
    assert_eq!(item.requested_procedure_codes[0].value, "CTA");
    assert_eq!(item.reason.as_deref(), Some("Verdacht auf Mögliches"));
    assert_eq!(item.study_uid.unwrap().as_str(), "1.2.276.0.1.7");
    assert_eq!(item.referring_physician.as_deref(), Some("Haus^Hugo"));
    assert_eq!(item.requesting_physician.as_deref(), Some("Überweis^Ute^^Dr."));
    assert_eq!(item.admission_id.as_deref(), Some("V99"));
    let step = &item.steps[0];
    assert_eq!(step.modality.as_deref(), Some("CT"));
    assert_eq!(step.id.as_deref(), Some("SPS1"));
    assert_eq!(
        (step.start_date.as_deref(), step.start_time.as_deref()),
        (Some("20260302"), Some("093000"))
    );
    assert_eq!(step.protocol_codes[0].value, "CTP");
    assert!(step.is_open());
    let set = desk.local.entries()[0].data_set();
    assert_eq!(set.text(tags::PLACER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST).unwrap(), "P1");
    assert_eq!(set.text(tags::CURRENT_PATIENT_LOCATION).unwrap(), "STATION 3");
}

#[test]
fn an_imaging_order_has_a_step_for_each_ipc() {
    let ipc = |step: &str, station: &str| {
        format!("IPC|A77|RP9|1.2.3.{step}|S{step}|MR|^MR Kopf^99RAD|RAUM|ORT|{station}\r")
    };
    let message = format!(
        "{}{PID}ORC|NW|P7|F7\rTQ1|1||||||20260305\rOBR|1|P7|F7|MRK^MR Kopf^99RAD\r{}{}",
        head("OMI^O23^OMI_O23"),
        ipc("1", "MR1"),
        ipc("2", "MR2")
    );
    let desk = desk();
    desk.take(&message).unwrap();
    let items = desk.items();
    assert_eq!(desk.numbers(), ["A77", "A77"], "IPC-1 is the accession number");
    let other = Desk::new(Rules::default());
    other.take(&message.replacen("IPC|A77", "IPC|A78", 1)).unwrap();
    assert_eq!(other.numbers(), ["A77", "A78"], "each step has its own");
    assert_eq!(items[0].requested_procedure_id.as_deref(), Some("RP9"));
    let mut stations: Vec<_> =
        items.iter().map(|i| i.steps[0].station.as_ref().unwrap().as_str().to_owned()).collect();
    stations.sort();
    assert_eq!(stations, ["MR1", "MR2"]);
    assert_eq!(items[0].steps[0].start_date.as_deref(), Some("20260305"));
    assert_eq!(desk.book.len(), 1);
}

#[test]
fn one_message_may_hold_several_orders() {
    let desk = desk();
    let both = format!(
        "{}{PID}{}{}{ZDS}",
        head("ORM^O01"),
        order("NW", "1", "A1"),
        order("NW", "2", "A2")
    );
    desk.take(&both).unwrap();
    assert_eq!(desk.numbers(), ["A1", "A2"]);
    assert!(desk.items().iter().all(|item| item.study_uid.is_some()), "one ZDS for all");
    // Two requests under one order control, each with its own study.
    let two = format!(
        "{}{PID}ORC|NW|P3|F3\rOBR|1|||X^X^L||||||||||||||B1\rZDS|1.2.1\rOBR|2|||Y^Y^L||||||||||||||B2\rZDS|1.2.2\r",
        head("ORM^O01")
    );
    let other = Desk::new(Rules::default());
    other.take(&two).unwrap();
    assert_eq!(other.numbers(), ["B1", "B2"]);
    let uids: Vec<_> =
        other.items().iter().map(|item| item.study_uid.clone().unwrap().to_string()).collect();
    assert_eq!(uids, ["1.2.1", "1.2.2"]);
}

#[test]
fn orders_are_changed_cancelled_and_completed() {
    let desk = desk();
    let say = |text: String| desk.take(&format!("{}{PID}{text}", head("ORM^O01")));
    say(order("NW", "1", "A1")).unwrap();
    say(order("NW", "2", "A2")).unwrap();
    // The same number again is the same order.
    say(order("NW", "1", "A1").replace("CT Abdomen", "CT Becken")).unwrap();
    assert_eq!(desk.numbers(), ["A1", "A2"]);
    assert_eq!(desk.items()[0].requested_procedure_description.as_deref(), Some("CT Becken"));
    // A change with another accession number takes the place of the order.
    say(order("XO", "1", "A9")).unwrap();
    assert_eq!(desk.numbers(), ["A2", "A9"]);
    say("ORC|SC||F2||CM\r".into()).unwrap();
    assert!(!desk.items()[0].is_open());
    say(order("XO", "2", "A2")).unwrap();
    assert!(desk.items()[0].is_open());
    say("ORC|SC||F2||SC\r".into()).unwrap();
    say("ORC|CM||F2\r".into()).unwrap();
    assert!(!desk.items()[0].is_open());
    say("ORC|CA|P1\r".into()).unwrap();
    say("ORC|DC||F2\r".into()).unwrap();
    assert!(desk.numbers().is_empty() && desk.book.is_empty());
    // What was never known is gone already; a result changes nothing.
    say("ORC|CA|P77\r".into()).unwrap();
    say(order("RE", "5", "A5")).unwrap();
    assert!(desk.numbers().is_empty());
}

#[test]
fn a_repeated_message_does_not_bring_back_what_was_cancelled() {
    let desk = desk();
    desk.take(&new_order()).unwrap();
    desk.take(&format!("{}{PID}ORC|CA|P1|F1\r", head("ORM^O01").replace("|C1|", "|C2|"))).unwrap();
    desk.take(&new_order()).unwrap();
    assert!(desk.items().is_empty());
    // The same control ID with other content is another message: engines count from 1 after a restart.
    desk.take(&new_order().replace("20260301101500", "20260301111500")).unwrap();
    assert_eq!(desk.items().len(), 1);
}

#[test]
fn an_order_of_another_patient_is_not_touched() {
    let desk = desk();
    desk.take(&new_order()).unwrap();
    let other = PID.replace("42^^^", "43^^^");
    for control in ["NW", "CA", "CM"] {
        let text = format!("{}{other}{}", head("ORM^O01"), order(control, "1", "A1"));
        let fault = desk.take(&text).unwrap_err();
        assert_eq!((fault.segment, fault.field), ("PID", Some(3)), "{control}");
    }
    assert_eq!(desk.items()[0].patient.id.as_ref().unwrap().id, "42");
    desk.take(&format!("{}{other}{}", head("ORM^O01"), order("XO", "1", "A1"))).unwrap();
    assert_eq!(desk.items()[0].patient.id.as_ref().unwrap().id, "43");
    assert_eq!(desk.items().len(), 1);
}

#[test]
fn patient_messages_correct_and_merge_entries() {
    let desk = desk();
    desk.take(&new_order()).unwrap();
    desk.take(&format!(
        "{}{}{}",
        head("ORM^O01"),
        PID.replace("42^", "77^"),
        order("NW", "2", "A2")
    ))
    .unwrap();
    let married = PID.replace("Müller^Änne", "Schmidt^Änne").replace("19700305", "19700306");
    for event in ["A08", "A01", "A31"] {
        desk.take(&format!("{}EVN|{event}\r{married}", head(&format!("ADT^{event}")))).unwrap();
    }
    let items = desk.items();
    assert_eq!(items[0].patient.name.as_ref().unwrap().family(), "Schmidt");
    assert_eq!(items[0].patient.birth_date.unwrap().to_dicom(), "19700306");
    assert_eq!(items[1].patient.name.as_ref().unwrap().family(), "Müller", "another patient");
    // What is left out stays, what is deleted goes.
    desk.take(&format!("{}PID|1||42^^^KLINIKUM||||\"\"\r", head("ADT^A08"))).unwrap();
    let item = desk.items().remove(0);
    assert_eq!(item.patient.name.unwrap().family(), "Schmidt");
    assert_eq!(item.patient.birth_date, None);

    let merge =
        format!("{}{}MRG|77^^^KLINIKUM&1.2.276.9&ISO^PI\r", head("ADT^A40^ADT_A39"), married);
    desk.take(&merge).unwrap();
    let items = desk.items();
    assert!(items.iter().all(|item| item.patient.id.as_ref().unwrap().id == "42"));
    assert!(items.iter().all(|item| item.patient.name.as_ref().unwrap().family() == "Schmidt"));
    // The merged patient is no more; the survivor is who later messages mean.
    desk.take(&format!("{}{}", head("ADT^A08"), PID.replace("42^", "77^"))).unwrap();
    assert!(desk.items().iter().all(|i| i.patient.name.as_ref().unwrap().family() == "Schmidt"));
    desk.take(&format!("{}{PID}", head("ADT^A24"))).unwrap();
}

#[test]
fn patient_events_that_are_none_of_ours_are_taken_and_those_that_move_things_are_not() {
    let desk = desk();
    desk.take(&new_order()).unwrap();
    let say = |event: &str| desk.take(&format!("{}{PID}", head(&format!("ADT^{event}"))));
    for event in [
        "A15", "A16", "A17", "A20", "A21", "A22", "A23", "A24", "A25", "A26", "A27", "A29", "A32",
        "A33", "A35", "A37", "A38", "A41", "A42", "A50", "A51", "A52", "A53", "A54", "A55", "A60",
        "A61", "A62",
    ] {
        assert!(say(event).is_ok(), "{event}");
    }
    for event in ["A43", "A44", "A45", "A19", "A99"] {
        let fault = say(event).unwrap_err();
        assert_eq!((fault.verdict, fault.field), (Verdict::Reject, Some(9)), "{event}");
    }
    assert_eq!(desk.items()[0].patient.name.as_ref().unwrap().family(), "Müller");
}

#[test]
fn names_of_several_scripts_and_kinds() {
    let name = |field: &str| {
        let desk = desk();
        let text = format!("{}PID|||42||{field}\r{}", head("ORM^O01"), order("NW", "1", "A1"));
        desk.take(&text).unwrap();
        desk.items()[0].patient.name.as_ref().map(|name| name.as_str().to_owned())
    };
    assert_eq!(name("Alias^A^^^^^A~Recht^R^^^^^L").unwrap(), "Recht^R");
    assert_eq!(name("von Muster&von&Muster^Max").unwrap(), "von Muster^Max");
    assert_eq!(
        name("Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P").unwrap(),
        "Yamada^Tarou=山田^太郎=やまだ^たろう"
    );
    assert_eq!(name("Geb^Eva^^^^^M"), None, "a maiden name alone is no name");
    assert_eq!(name("A\\S\\B^C\\E\\D").unwrap(), "A B^C D", "no delimiters of DICOM");
    assert_eq!(name(""), None);
}

#[test]
fn the_accession_number_is_where_the_site_says() {
    let text = format!("{}{PID}ORC|NW|PL1|FI1\rOBR|1|PL1|FI1|X^X^L\r", head("ORM^O01"));
    let number = |from| {
        let desk = Desk::new(Rules { accession_number: from, ..Rules::default() });
        desk.take(&text).map(|()| desk.numbers())
    };
    assert_eq!(number(AccessionNumberFrom::FillerNumber).unwrap(), ["FI1"]);
    assert_eq!(number(AccessionNumberFrom::PlacerNumber).unwrap(), ["PL1"]);
    let fault = number(AccessionNumberFrom::PlacerField).unwrap_err();
    assert_eq!((fault.segment, fault.field), ("OBR", Some(18)));
}

#[test]
fn orders_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let vault = || {
        crate::seal::Vault::open_or_create(
            &folder.path().join("keys"),
            &folder.path().join("master.key"),
        )
        .unwrap()
    };
    let file = folder.path().join("local.sealed");
    let open = || {
        let local = Local::open(vault(), &file).unwrap();
        Desk { book: Book::new(local.clone(), Rules::default()), local }
    };
    let desk = open();
    desk.take(&new_order()).unwrap();
    drop(desk);
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(4).any(|four| four == b"Anne" || four == b"ller"), "sealed at rest");
    let desk = open();
    assert_eq!(desk.items()[0].patient.name.as_ref().unwrap().given(), "Änne");
    assert_eq!(desk.book.len(), 1);
    // What was known before is found by later messages.
    desk.take(&format!("{}{}MRG|42^^^KLINIKUM\r", head("ADT^A40"), PID.replace("42^", "50^")))
        .unwrap();
    drop(desk);
    let desk = open();
    assert_eq!(desk.items()[0].patient.id.as_ref().unwrap().id, "50");
    desk.take(&format!("{}{}ORC|CA|P1|F1\r", head("ORM^O01"), PID.replace("42^", "50^"))).unwrap();
    drop(desk);
    assert!(open().items().is_empty());
}

/// Every bad message is answered with AE or AR, a place and a sentence, and changes nothing.
#[test]
fn bad_messages() {
    let orm = |pid: &str, rest: &str| format!("{}{pid}{rest}", head("ORM^O01"));
    let one = order("NW", "1", "A1");
    let long = "9".repeat(65);
    let name = "N".repeat(65);
    let swapped = |from: &str, to: &str| orm(PID, &one).replace(from, to);
    let table: Vec<(&str, String, &str, Option<usize>)> = vec![
        ("no control ID", swapped("|C1|", "||"), "MSH", Some(10)),
        ("training", swapped("|C1|P|", "|C1|T|"), "MSH", Some(11)),
        ("debugging", swapped("|C1|P|", "|C1|D|"), "MSH", Some(11)),
        ("version 3", swapped("|P|2.5|", "|P|3.0|"), "MSH", Some(12)),
        ("no version", swapped("|P|2.5|", "|P||"), "MSH", Some(12)),
        ("an observation", swapped("ORM^O01", "ORU^R01"), "MSH", Some(9)),
        ("no kind", swapped("ORM^O01", ""), "MSH", Some(9)),
        ("an unknown event", swapped("ORM^O01", "ADT^A99"), "MSH", Some(9)),
        ("an order response", swapped("ORM^O01", "ORM^O02"), "MSH", Some(9)),
        ("an unknown set", swapped("UNICODE UTF-8", "KLINGON"), "MSH", Some(18)),
        ("no patient", orm("", &one), "PID", None),
        ("two patients", orm(&PID.repeat(2), &one), "PID", None),
        ("no patient ID", orm("PID|1||||Muster^M\r", &one), "PID", Some(3)),
        ("a deleted patient ID", orm("PID|1||\"\"||Muster^M\r", &one), "PID", Some(3)),
        ("an ID without number", orm("PID|1||^^^KLINIKUM\r", &one), "PID", Some(3)),
        ("two patient IDs", orm("PID|1||1^^^A~2^^^B\r", &one), "PID", Some(3)),
        ("a long patient ID", orm(&format!("PID|1||{long}\r"), &one), "PID", Some(3)),
        ("a patient ID of two values", orm("PID|1||1\\E\\2\r", &one), "PID", Some(3)),
        ("a long name", orm(&format!("PID|1||1||{name}\r"), &one), "PID", Some(5)),
        ("no such day", orm("PID|1||1||M^M||19700230\r", &one), "PID", Some(7)),
        ("a day of zeros", orm("PID|1||1||M^M||00000000\r", &one), "PID", Some(7)),
        ("a birth date in German", orm("PID|1||1||M^M||05.03.1970\r", &one), "PID", Some(7)),
        ("a short birth date", orm("PID|1||1||M^M||197\r", &one), "PID", Some(7)),
        ("a birth date with umlauts", orm("PID|1||1||M^M||ÄÖÜÄÖÜÄÖÜ\r", &one), "PID", Some(7)),
        ("no order", orm(PID, ""), "ORC", None),
        ("a request without control", orm(PID, "OBR|1|||X^X^L\r"), "ORC", None),
        ("no order control", orm(PID, "ORC||P1\rOBR|1\r"), "ORC", Some(1)),
        ("an unknown control", orm(PID, "ORC|QQ|P1\rOBR|1\r"), "ORC", Some(1)),
        ("no request", orm(PID, "ORC|NW|P1\r"), "OBR", Some(18)),
        ("no number", orm(PID, "ORC|CA\r"), "ORC", Some(2)),
        ("no accession number", orm(PID, "ORC|NW|P1\rOBR|1|||X^X^L\r"), "OBR", Some(18)),
        (
            "a long accession number",
            orm(PID, &order("NW", "1", "12345678901234567")),
            "OBR",
            Some(18),
        ),
        ("an accession number of two", orm(PID, &order("NW", "1", "A\\E\\B")), "OBR", Some(18)),
        ("a long order number", orm(PID, &format!("ORC|CA|{long}\r")), "ORC", Some(2)),
        ("a bad study UID", orm(PID, &format!("{one}ZDS|1.2.x\r")), "ZDS", Some(1)),
        ("a study UID that is a path", orm(PID, &format!("{one}ZDS|../../etc\r")), "ZDS", Some(1)),
        ("a bad time", swapped("20260302093000", "20261302093000"), "ORC", Some(7)),
        ("a bad hour", swapped("20260302093000", "20260302993000"), "ORC", Some(7)),
        ("a merge without the other", format!("{}{PID}", head("ADT^A40")), "MRG", None),
        ("a merge of nothing", format!("{}{PID}MRG|\r", head("ADT^A40")), "MRG", Some(1)),
        ("two merges", format!("{}{PID}MRG|1\rMRG|2\r", head("ADT^A40")), "MRG", None),
        ("too many orders", orm(PID, &order("NW", "1", "A1").repeat(201)), "ORC", None),
        ("no segment", swapped("OBR|1", "obr|1"), "MSH", None),
    ];
    assert!(table.len() >= 25);
    let desk = desk();
    for (what, text, segment, field) in table {
        let fault = desk.take(&text).expect_err(what);
        assert_eq!((fault.segment, fault.field), (segment, field), "{what}: {fault}");
        assert_ne!(fault.verdict, Verdict::Accept);
        assert!(fault.sentence.split(' ').count() >= 4, "{what} is told in a sentence");
        assert!(!fault.to_string().contains("Müller"), "{what}");
    }
    assert!(desk.items().is_empty() && desk.book.is_empty());
}

#[test]
fn mutated_orders_never_panic() {
    let good = new_order();
    let rules = Rules::default();
    for at in 0..good.len() {
        for with in *b"\0|^~&\\\r9" {
            let mut bad = good.clone().into_bytes();
            bad[at] = with;
            if let Ok(message) = Message::parse(&bad, &rules.fallback) {
                let _ = read(&message, &rules, date(2026, 3, 1));
            }
        }
    }
}
