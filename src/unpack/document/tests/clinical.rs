//! Clinical documents, and the metadata of a medium.

use super::*;

fn read_xml(name: &str, text: &str) -> Result<xml::Document, Refused> {
    let length = u64::try_from(text.len()).unwrap();
    xml::read(&mut text.as_bytes(), length, &Name::new(name))
}

const CDA: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- made for a test --><ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2.276.0.76" extension="A&amp;7"/>
<code code="11490-0" codeSystem="2.16.840.1.113883.6.1" displayName="Arztbrief"/><title>Brief &lt;1&gt;
 M&#252;ller</title><component><section><title>Other</title><id root="9.9"/></section></component></ClinicalDocument>"#;

#[test]
fn clinical_documents_tell_their_identity() {
    let Ok(xml::Document::Clinical(cda, title, patient)) = read_xml("a.xml", CDA) else {
        panic!("CDA")
    };
    assert_eq!(patient, Patient::default());
    assert_eq!(cda.id, "1.2.276.0.76^A&7");
    assert_eq!(cda.code.unwrap().meaning, "Arztbrief");
    assert_eq!(title.as_deref(), Some("Brief <1> Müller"));
}

#[test]
fn clinical_documents_tell_their_patient() {
    let told = |targets: &str| {
        let target = "<component><section>";
        let text = CDA.replace(target, &format!("{targets}{target}"));
        match read_xml("a.xml", &text) {
            Ok(xml::Document::Clinical(_, _, patient)) => patient,
            other => panic!("{other:?}"),
        }
    };
    let target = |inner: &str| {
        let role = format!("<patientRole><id root=\"1.2\"/><patient>{inner}</patient>");
        format!("<recordTarget>{role}</patientRole></recordTarget>")
    };
    let erika = target(
        "<name><given>Erika</given> <given>Anna</given><family>Muster</family></name>
         <name use=\"BIR\"><family>Beispiel</family></name><birthTime value=\"19640812103000+0100\"/>",
    );
    let found = told(&erika);
    assert_eq!(found.birth_date, BirthDate::parse("19640812"));
    assert_eq!(found.name.unwrap().as_str(), "Muster^Erika Anna");
    // Twins say nothing, and neither does half a date.
    assert_eq!(told(&erika.repeat(2)), Patient::default());
    let half = target("<name>Erika Muster</name><birthTime value=\"1964\"/>");
    assert_eq!(told(&half), Patient::default());
    let author = erika.replace("recordTarget", "author");
    assert_eq!(told(&author), Patient::default());
}

/// A walk over all attributes for each that stands there twice would take minutes.
#[test]
fn attributes_by_the_hundred_thousand_are_read_once() {
    let many: String = (0..200_000).map(|n| format!(" a{n}=\"\"")).collect();
    let text = CDA.replace("<title>", &format!("<code{many}{many}/><title>"));
    let begun = std::time::Instant::now();
    assert!(matches!(read_xml("a.xml", &text), Ok(xml::Document::Clinical(..))));
    assert!(begun.elapsed().as_secs() < 20);
}

#[test]
fn hostile_xml_is_refused() {
    let root = CDA.find("<ClinicalDocument").unwrap();
    let outside = r#"<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>"#;
    let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>"#;
    for kind in [outside, bomb] {
        let text = format!("{}{kind}{}", &CDA[..root], &CDA[root..]);
        assert!(read_xml("a.xml", &text).unwrap_err().0.contains("document type"));
    }
    let entity = CDA.replace("&lt;", "&x;");
    assert!(read_xml("a.xml", &entity).is_err());
    let deep = format!("<ClinicalDocument>{}", "<a>".repeat(100_000));
    assert!(read_xml("a.xml", &deep).is_err());
    for end in 0..CDA.len() {
        if CDA.is_char_boundary(end) {
            assert!(read_xml("a.xml", &CDA[..end]).is_err(), "{end}");
        }
    }
    assert!(read_xml("a.xml", "<config/>").unwrap_err().0.contains("not a clinical"));
    assert!(read_xml("a.xml", "<ClinicalDocument/>").unwrap_err().0.contains("identifier"));
}

#[test]
fn metadata_of_a_medium_names_its_documents() {
    let text = r#"<lcm:SubmitObjectsRequest xmlns:lcm="l" xmlns:rim="r"><rim:RegistryObjectList>
        <rim:ExtrinsicObject mimeType="application/pdf"><rim:Slot name="hash"><rim:ValueList><rim:Value>ab</rim:Value>
        </rim:ValueList></rim:Slot><rim:Slot name="URI"><rim:ValueList><rim:Value>DOC0001.PDF</rim:Value></rim:ValueList>
        </rim:Slot><rim:Name><rim:LocalizedString value="Befund Thorax"/></rim:Name><rim:Classification><rim:Name>
        <rim:LocalizedString value="class"/></rim:Name></rim:Classification></rim:ExtrinsicObject>
        <rim:ExtrinsicObject><rim:Name><rim:LocalizedString value="no file"/></rim:Name></rim:ExtrinsicObject>
        </rim:RegistryObjectList></lcm:SubmitObjectsRequest>"#;
    let Ok(xml::Document::Titles(titles)) = read_xml("IHE_XDM/SUBSET01/METADATA.XML", text) else {
        panic!("titles")
    };
    let expected = ("IHE_XDM/SUBSET01/DOC0001.PDF".to_owned(), "Befund Thorax".to_owned());
    assert_eq!(titles.0.into_iter().collect::<Vec<_>>(), [expected]);
}
