use super::*;
use crate::dicom::PatientId;
use crate::sim::his::{Fault, Index};

fn patient(id: &str, name: &str, day: &str) -> Patient {
    Patient {
        id: Some(PatientId { id: id.into(), issuer: Some("KLINIKUM".into()) }),
        name: PersonName::new(name),
        birth_date: BirthDate::parse(day),
        sex: crate::dicom::Sex::Female,
    }
}

fn people() -> Vec<Patient> {
    vec![
        patient("42", "Müller^Änne^^Dr.^Jr.", "1970-03-05"),
        patient("43", "Müller^Änne", "1970-03-06"),
        patient("44", "Schmidt^Ida", "1970-03-05"),
    ]
}

fn section(index: &Index) -> PdqSection {
    PdqSection {
        address: index.address().to_string(),
        application: "MPI".into(),
        facility: String::new(),
        sending_application: "LOTSE".into(),
        authority: Some("KLINIKUM".into()),
        timeout: Duration::from_millis(600),
        tls: None,
    }
}

async fn look_for(index: &Index, wanted: &Wanted) -> Result<Found, Error> {
    let now =
        jiff::Timestamp::from_second(1_770_000_000).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    ask(&PatientIndex::new(section(index)), wanted, &now).await
}

fn by_id(id: &str) -> Wanted {
    Wanted { patient_id: Some(id.into()), ..Wanted::default() }
}

#[tokio::test]
async fn patients_are_found_by_id_or_by_name_and_birth_date() {
    let index = Index::start(people(), Fault::None).await.unwrap();
    let found = look_for(&index, &by_id("42")).await.unwrap();
    assert!(found.patients == people()[..1] && !found.is_cut, "the whole name, in DICOM's order");
    let name = PersonName::new("Müller^Änne");
    let both = Wanted { name: name.clone(), ..Wanted::default() };
    assert_eq!(look_for(&index, &both).await.unwrap().patients.len(), 2);
    let one = Wanted { birth_date: BirthDate::parse("1970-03-06"), ..both };
    assert_eq!(look_for(&index, &one).await.unwrap().patients[0].id.as_ref().unwrap().id, "43");
    assert!(look_for(&index, &by_id("99")).await.unwrap().patients.is_empty());
    assert!(matches!(look_for(&index, &Wanted::default()).await, Err(Error::TooLittle)));
    let day = Wanted { birth_date: BirthDate::parse("1970-03-05"), ..Wanted::default() };
    assert!(matches!(look_for(&index, &day).await, Err(Error::TooLittle)));
    let asked = index.questions();
    assert!(asked[0].contains("|QBP^Q22^QBP_Q21|"), "{}", asked[0]);
    assert!(asked[0].contains("@PID.3.1^42~@PID.3.4.1^KLINIKUM|||||^^^KLINIKUM\r"), "{}", asked[0]);
    assert!(asked[2].contains("@PID.5.1^Müller~@PID.5.2^Änne~@PID.7^19700306"), "{}", asked[2]);
    assert!(asked[2].ends_with("RCP|I|25^RD\r"), "{}", asked[2]);
}

#[tokio::test]
async fn an_index_that_misbehaves_is_told_apart_from_nobody() {
    let index = Index::start(people(), Fault::IgnoreKeys).await.unwrap();
    let found = look_for(&index, &by_id("42")).await.unwrap();
    assert_eq!(found.patients.len(), 1, "filtered here again");
    index.set_fault(Fault::More);
    assert!(look_for(&index, &by_id("42")).await.unwrap().is_cut);
    for fault in [Fault::Stall, Fault::Cut, Fault::Refuse, Fault::OtherControlId, Fault::Nonsense] {
        index.set_fault(fault);
        let error = look_for(&index, &by_id("42")).await.err().unwrap();
        let told = match fault {
            Fault::Stall => matches!(error, Error::Wire(hl7::Error::TimedOut(_))),
            Fault::Cut => matches!(error, Error::Wire(hl7::Error::NoAnswer)),
            Fault::Refuse => matches!(error, Error::Refused("AE")),
            Fault::Nonsense => matches!(error, Error::Unreadable(_)),
            _ => matches!(error, Error::OtherAnswer),
        };
        assert!(told, "{fault:?}: {error}");
        assert!(!error.to_string().contains("42"));
    }
    let gone = section(&index);
    drop(index);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let now = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    assert!(matches!(ask(&PatientIndex::new(gone), &by_id("42"), &now).await, Err(Error::Wire(_))));
}

#[test]
fn answers_are_read_with_care() {
    let index = |text: &str| {
        let answer = Message::parse_answer(text.as_bytes()).unwrap();
        let section = PdqSection {
            tls: None,
            address: "x:1".into(),
            application: String::new(),
            facility: String::new(),
            sending_application: "LOTSE".into(),
            authority: Some("KLINIKUM".into()),
            timeout: Duration::from_secs(1),
        };
        read(&section, &Wanted::default(), "C1", &answer)
    };
    let head = "MSH|^~\\&|MPI||LOTSE||20260301||RSP^K22|1|P|2.5\rMSA|AA|C1\r";
    let found =
        index(&format!("{head}QAK|C1|OK\rPID|||42^^^KLINIKUM||A^B\rPID|||9^^^ANDERS||A^B\r"))
            .unwrap();
    assert_eq!(found.patients.len(), 1);
    assert!(found.is_cut, "somebody without a local number is left out, and told to be");
    let visit = format!("{head}PID|||4711^^^KLINIKUM^VN~42^^^KLINIKUM^PI||A^B\r");
    assert_eq!(index(&visit).unwrap().patients[0].id.as_ref().unwrap().id, "42");
    assert!(matches!(index(&format!("{head}QAK|C1|AE\r")), Err(Error::Refused(_))));
    assert!(matches!(index(&head.replace("RSP^K22", "ADT^A08")), Err(Error::OtherAnswer)));
    assert!(matches!(index(&head.replace("MSA|AA|C1\r", "")), Err(Error::OtherAnswer)));
    let many: String = (0..100).map(|n| format!("PID|||{n}^^^KLINIKUM||A^B\r")).collect();
    let found = index(&format!("{head}{many}")).unwrap();
    assert_eq!((found.patients.len(), found.is_cut), (LIMIT, true));
}
