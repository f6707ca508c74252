//! Who numbered patients and orders.

use super::*;

#[test]
fn the_local_one_of_several_patient_ids_is_taken() {
    let several = PID.replace(
        "42^^^KLINIKUM&1.2.276.9&ISO^PI",
        "A1^^^KASSE~42^^^KLINIKUM&1.2.276.9&ISO~7^^^ANDERS",
    );
    let text = format!("{}{several}{}", head("ORM^O01"), order("NW", "1", "A1"));
    let with = |authority: &str| {
        Desk::new(Rules { authority: Some(authority.into()), ..Rules::default() })
    };
    for authority in ["KLINIKUM", "1.2.276.9"] {
        let desk = with(authority);
        desk.take(&text).unwrap();
        let id = desk.items()[0].patient.id.clone().unwrap();
        assert_eq!((id.id.as_str(), id.issuer.as_deref()), ("42", Some("KLINIKUM")));
    }
    for refused in [desk(), with("NIEMAND")] {
        let fault = refused.take(&text).unwrap_err();
        assert_eq!((fault.segment, fault.field), ("PID", Some(3)));
    }
    // A single number without an authority is local; of another authority it is not.
    let desk = with("KLINIKUM");
    desk.take(&format!("{}PID|||42\r{}", head("ORM^O01"), order("NW", "1", "A1"))).unwrap();
    assert_eq!(desk.items()[0].patient.id.as_ref().unwrap().issuer.as_deref(), Some("KLINIKUM"));
    let foreign = format!("{}PID|||42^^^ANDERS\r{}", head("ORM^O01"), order("NW", "1", "A1"));
    assert!(with("KLINIKUM").take(&foreign).is_err());
}

/// A desk of a site whose authority is this.
fn desk_of(authority: &str) -> Desk {
    Desk::new(Rules { authority: Some(authority.into()), ..Rules::default() })
}

#[test]
fn of_the_numbers_of_one_authority_the_patients_own_is_taken() {
    let told = |ids: &str| {
        let desk = desk_of("KLINIKUM");
        let text = format!("{}PID|||{ids}\r{}", head("ORM^O01"), order("NW", "1", "A1"));
        desk.take(&text).map(|()| desk.items()[0].patient.id.clone().unwrap().id)
    };
    for clear in [
        "4711^^^KLINIKUM^VN~42^^^KLINIKUM^PI",
        "4711^^^KLINIKUM^AN~42^^^KLINIKUM",
        "9^^^KLINIKUM~42^^^KLINIKUM^MR~7^^^KLINIKUM^SS",
        "42^^^KLINIKUM^PT~4711^^^KLINIKUM^PN",
        "42^^^KLINIKUM~42^^^KLINIKUM&1.2.276.9&ISO^PI~41^^^KLINIKUM",
    ] {
        assert_eq!(told(clear).unwrap(), "42", "{clear}");
    }
    for unclear in [
        "41^^^KLINIKUM^PI~42^^^KLINIKUM^MR",
        "41^^^KLINIKUM~42^^^KLINIKUM",
        "4711^^^KLINIKUM^VN",
        "4711^^^KLINIKUM^VN~42^^^ANDERS^PI",
    ] {
        let fault = told(unclear).unwrap_err();
        assert_eq!((fault.segment, fault.field), ("PID", Some(3)), "{unclear}");
        assert_eq!(fault.verdict, Verdict::Error);
    }
}

#[test]
fn a_merge_takes_all_numbers_of_the_local_authority() {
    let desk = desk_of("KLINIKUM");
    for (id, number) in [("77", "1"), ("78", "2"), ("79", "3")] {
        let pid = PID.replace("42^", &format!("{id}^"));
        desk.take(&format!(
            "{}{pid}{}",
            head("ORM^O01"),
            order("NW", number, &format!("A{number}"))
        ))
        .unwrap();
    }
    let mrg = "MRG|77^^^KLINIKUM~78^^^KLINIKUM~79^^^KLINIKUM^VN~42^^^ANDERS\r";
    desk.take(&format!("{}{PID}{mrg}", head("ADT^A40"))).unwrap();
    let ids: Vec<_> = desk.items().iter().map(|i| i.patient.id.clone().unwrap().id).collect();
    assert_eq!(ids, ["42", "42", "79"], "a visit number is nobody's");
}

#[test]
fn a_patient_is_the_same_by_either_name_of_the_issuer() {
    let desk = desk_of("1.2.276.9");
    desk.take(&new_order()).unwrap();
    let unnamed = PID.replace("KLINIKUM&", "&").replace("Müller", "Schmidt");
    desk.take(&format!("{}{unnamed}", head("ADT^A08"))).unwrap();
    let item = desk.items().remove(0);
    assert_eq!(item.patient.name.unwrap().family(), "Schmidt");
    // What the message leaves out of the issuer stays as it is known.
    assert_eq!(item.patient.id.unwrap().issuer.as_deref(), Some("KLINIKUM"));
    assert_eq!(item.issuer_universal, Some(("1.2.276.9".into(), "ISO".into())));
    let survivor = PID.replace("42^^^KLINIKUM&", "50^^^&");
    desk.take(&format!("{}{survivor}MRG|42^^^&1.2.276.9&ISO\r", head("ADT^A40"))).unwrap();
    assert_eq!(desk.items()[0].patient.id.as_ref().unwrap().id, "50");
    // And the same read from the store.
    let again = Book::new(desk.local.clone(), (*desk.book.rules()).clone());
    let desk = Desk { book: again, local: desk.local };
    let back = PID.replace("Müller", "Meier");
    desk.take(&format!("{}{back}MRG|50^^^KLINIKUM&1.2.276.9&ISO\r", head("ADT^A40"))).unwrap();
    assert_eq!(desk.items()[0].patient.name.as_ref().unwrap().family(), "Meier");
}

#[test]
fn a_bare_number_that_two_authorities_gave_is_nobodys() {
    let desk = desk();
    let of = |issuer: &str, number: &str| {
        let pid = format!("PID|1||42^^^{issuer}||Müller^Änne\r");
        format!("{}{pid}{}", head("ORM^O01"), order("NW", number, &format!("A{number}")))
    };
    desk.take(&of("HAUS-A", "1")).unwrap();
    let names = || {
        let items = desk.items();
        let name = |item: &Item| item.patient.name.as_ref().unwrap().family().to_owned();
        items.iter().map(name).collect::<Vec<_>>()
    };
    let issuers = || {
        let items = desk.items();
        let issuer = |item: &Item| item.patient.id.clone().unwrap().issuer.unwrap_or_default();
        items.iter().map(issuer).collect::<Vec<_>>()
    };
    // With one issuer it is clear whose it is, and whose it stays.
    desk.take(&format!("{}PID|1||42||Meier^Änne\r", head("ADT^A08"))).unwrap();
    assert_eq!((names(), issuers()), (vec!["Meier".to_owned()], vec!["HAUS-A".to_owned()]));
    desk.take(&of("HAUS-B", "2")).unwrap();
    let bare = format!("{}PID|1||42||Schmidt^Ida\r", head("ADT^A31"));
    let fault = desk.take(&bare).unwrap_err();
    assert_eq!((fault.verdict, fault.segment, fault.field), (Verdict::Error, "PID", Some(3)));
    let merge = format!("{}PID|1||50^^^HAUS-A||Schmidt^Ida\rMRG|42\r", head("ADT^A40"));
    let fault = desk.take(&merge).unwrap_err();
    assert_eq!((fault.verdict, fault.segment, fault.field), (Verdict::Error, "MRG", Some(1)));
    assert_eq!(names(), ["Meier", "Müller"], "nothing was changed");
    // An order of whose patient only the number is known is neither's.
    desk.take(&of("", "3")).unwrap();
    desk.take(&format!("{}PID|1||42^^^HAUS-B||Schmidt^Ida\r", head("ADT^A08"))).unwrap();
    assert_eq!(names(), ["Meier", "Schmidt", "Müller"]);
}

#[test]
fn orders_of_two_systems_with_one_number_are_two() {
    let desk = desk();
    let of = |control: &str, system: &str, accession: &str| {
        let numbers = format!("1^{system}|1^{system}");
        format!(
            "{}{PID}ORC|{control}|{numbers}\rOBR|1|{numbers}|X^{system}^L||||||||||||||{accession}\r",
            head("ORM^O01")
        )
    };
    desk.take(&of("NW", "RIS&1.2.3&ISO", "A1")).unwrap();
    desk.take(&of("NW", "RIS", "A1")).unwrap();
    desk.take(&of("NW", "CIS", "A2")).unwrap();
    assert_eq!(desk.numbers(), ["A1", "A2"]);
    // The same from the store.
    let again = Book::new(desk.local.clone(), Rules::default());
    let desk = Desk { book: again, local: desk.local };
    desk.take(&of("XO", "CIS", "A3")).unwrap();
    assert_eq!(desk.numbers(), ["A1", "A3"]);
    let fault = desk.take(&of("CA", "", "")).unwrap_err();
    assert_eq!((fault.verdict, fault.segment, fault.field), (Verdict::Error, "ORC", Some(2)));
    desk.take(&of("CA", "CIS", "")).unwrap();
    assert_eq!(desk.numbers(), ["A1"]);
    let fault = desk.take(&of("CA", "PACS", "")).unwrap_err();
    assert_eq!((fault.verdict, fault.segment, fault.field), (Verdict::Error, "ORC", Some(2)));
    assert_eq!(desk.numbers(), ["A1"], "nothing is taken for done that was not");
    // The accession number tells that only the authority is written otherwise.
    desk.take(&of("XO", "RADIS", "A1")).unwrap();
    assert_eq!(desk.numbers(), ["A1"]);
    desk.take(&of("CA", "", "")).unwrap();
    assert!(desk.numbers().is_empty(), "now it is clear which is meant");
}

#[test]
fn orders_that_were_stored_without_an_authority_are_found() {
    let desk = desk();
    desk.take(&new_order()).unwrap();
    let [entry] = &desk.local.entries()[..] else { panic!("one step") };
    let mut set = entry.data_set();
    set.remove(tags::ORDER_FILLER_IDENTIFIER_SEQUENCE);
    set.remove(tags::ORDER_PLACER_IDENTIFIER_SEQUENCE);
    let Origin::Local(key) = entry.origin() else { panic!("a local order") };
    let entry = crate::worklist::Entry::new(set, entry.origin().clone()).unwrap();
    desk.local.put(key, vec![entry]).unwrap();
    let again = Book::new(desk.local.clone(), Rules::default());
    let desk = Desk { book: again, local: desk.local };
    desk.take(&format!("{}{PID}{}", head("ORM^O01"), order("XO", "1", "A9"))).unwrap();
    assert_eq!(desk.numbers(), ["A9"]);
}
