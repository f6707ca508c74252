use super::*;
use crate::dicom::sample;
use crate::import::{DestinationName, Way, Why};

fn routes(text: &str) -> Vec<RouteSection> {
    #[derive(Deserialize)]
    struct File {
        routes: Vec<RouteSection>,
    }
    toml::from_str::<File>(text).unwrap().routes
}

fn facts(modality: &str, institution: &str) -> StudyFacts {
    StudyFacts {
        modality: Some(modality.into()),
        body_part: Some("HEAD".into()),
        institution: Some(institution.into()),
        ..sample::facts("1.2.3")
    }
}

const RULES: &str = r#"
[[routes]]
name = "breast"
modalities = ["MG"]
destinations = ["breast", "pacs"]
compressed = "native"
[[routes]]
name = "clinic"
institutions = ["Klinik *", "praxis ?"]
decided = ["person", "no-order"]
destinations = ["review"]
[[routes]]
name = "mobile"
sources = ["ct1"]
tags = [{ tag = "StationName", is = ["MOB*"] }, { tag = "0008,1090", not = true }]
destinations = ["mobile"]
"#;

fn chosen(source: &str, facts: &StudyFacts, decided: &[Decided], station: &str) -> String {
    let text = |tag: Tag| (tag == Tag(0x0008, 0x1010)).then(|| station.to_owned());
    let modalities: Vec<String> = facts.modality.iter().cloned().collect();
    let traits = Traits { source, facts, modalities: &modalities, decided, text: &text };
    choose(&routes(RULES), &traits).map_or_else(|| "all".to_owned(), |route| route.name.clone())
}

#[test]
fn the_first_route_that_fits_counts() {
    let (rule, person) = ([Decided::RequestedOrder], [Decided::Person]);
    assert_eq!(chosen("upload", &facts("MG", "Klinik Nord"), &person, ""), "breast");
    assert_eq!(chosen("upload", &facts("CT", "KLINIK Nord"), &person, ""), "clinic");
    assert_eq!(chosen("upload", &facts("CT", "Praxis B"), &[Decided::NoOrder], ""), "clinic");
    assert_eq!(chosen("upload", &facts("CT", "Praxis BB"), &person, ""), "all");
    assert_eq!(chosen("upload", &facts("CT", "Klinik Nord"), &rule, ""), "all");
    assert_eq!(chosen("ct1", &facts("CT", "X"), &rule, "A\\mob7"), "mobile");
    assert_eq!(chosen("ct2", &facts("CT", "X"), &rule, "MOB7"), "all");
    assert_eq!(chosen("ct1", &facts("CT", "X"), &rule, "FIX"), "all");
}

#[test]
fn what_cannot_be_meant_is_told() {
    let told = |text: &str| {
        let known = |name: &str| name == "pacs";
        let found = faults(&routes(text), known, |name| name == "ct1" || name == "upload");
        found
            .into_iter()
            .map(|(n, sentence)| format!("{n}: {sentence}"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let route = |name: &str, more: &str| {
        format!("[[routes]]\nname = \"{name}\"\ndestinations = [\"pacs\"]\n{more}\n")
    };
    assert_eq!(told(&route("a", "sources = [\"ct1\"]")), "");
    assert!(
        told("[[routes]]\nname = \"a\"\ndestinations = [\"pax\"]").contains("[destinations.pax]")
    );
    assert!(told("[[routes]]\nname = \"a\"\ndestinations = []").contains("at least one"));
    assert!(told(&route("a", "sources = [\"ct9\"]")).contains("no import comes from `ct9`"));
    for bad in ["0008", "8,1010", "0008,10G0", "StationNam", "", "0008,+101"] {
        let tags = format!("tags = [{{ tag = \"{bad}\" }}]");
        assert!(told(&route("a", &tags)).contains("is no attribute"), "{bad}");
    }
    for good in ["0008,1010", "(0008,1010)", "StationName", "0029,1010"] {
        assert_eq!(told(&route("a", &format!("tags = [{{ tag = \"{good}\" }}]"))), "", "{good}");
    }
    let two = |first: &str, second: &str| told(&(route("a", first) + &route("b", second)));
    for (first, second) in [
        ("", ""),
        ("", "modalities = [\"CT\"]"),
        ("modalities = [\"CT\", \"MR\"]", "modalities = [\"ct\"]"),
        ("institutions = [\"Kli*\"]", "institutions = [\"Klinik\"]\nmodalities = [\"CT\"]"),
        ("decided = [\"person\", \"earlier\"]", "decided = [\"person\"]"),
    ] {
        assert!(
            two(first, second).starts_with("1: nothing gets here: route `a`"),
            "{first} {second}"
        );
    }
    for (first, second) in [
        ("modalities = [\"CT\"]", ""),
        ("modalities = [\"CT\"]", "modalities = [\"CT\", \"MR\"]"),
        ("tags = [{ tag = \"StationName\" }]", "modalities = [\"CT\"]"),
        ("decided = [\"person\"]", "decided = [\"person\", \"earlier\"]"),
    ] {
        assert_eq!(two(first, second), "", "{first} {second}");
    }
    assert!(
        told(&(route("a", "modalities = [\"CT\"]") + &route("a", ""))).contains("another route")
    );
}

#[test]
fn patterns_end_whatever_they_are() {
    for (pattern, value, like) in [
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("?", "", false),
        ("a*b*c", "aXbXbXc", true),
        ("a*b*c", "aXbXbX", false),
        ("ÄRZTE*", "ärzte am markt", true),
        ("**?", "x", true),
    ] {
        assert_eq!(is_like(pattern, value), like, "{pattern} {value}");
    }
    assert!(!is_like(&("*a".repeat(60) + "b"), &"a".repeat(20_000)));
}

#[test]
fn a_person_reads_why_a_study_goes_where_it_goes() {
    let met = |source: &str, facts: &StudyFacts, decided: &[Decided], station: &str| {
        let text = |tag: Tag| (tag == Tag(0x0008, 0x1010)).then(|| station.to_owned());
        let modalities: Vec<String> = facts.modality.iter().cloned().collect();
        let traits = Traits { source, facts, modalities: &modalities, decided, text: &text };
        let routes = routes(RULES);
        let route = choose(&routes, &traits).unwrap();
        let way = Way { why: Why::Route { met: route.met(&traits) }, not_back: vec![] };
        way.sentence(Some(&route.name))
    };
    let told = met("upload", &facts("MG", "Klinik Nord"), &[], "");
    assert_eq!(told, "route breast: modality MG");
    let told = met("upload", &facts("CT", "KLINIK Nord"), &[Decided::Person], "");
    assert_eq!(told, "route clinic: institution Klinik *, decided by a person");
    let told = met("ct1", &facts("CT", "Klinik Nord"), &[], "MOBIL 1");
    assert_eq!(told, "route mobile: source ct1, StationName is MOB*, 0008,1090 is not there");
    let back = Way { why: Why::NoRoutes, not_back: vec![DestinationName("pacs".into())] };
    let told = back.sentence(None);
    assert!(told.contains("everywhere; not back to pacs, where it comes from"), "{told}");
    let kept = serde_json::to_string(&back).unwrap();
    assert_eq!(serde_json::from_str::<Way>(&kept).unwrap(), back);
}
