//! The pure parts; whole pulls are tested against the simulated portal, in `sim::portal`.

use std::collections::BTreeMap;

use serde_json::json;
use url::Url;

use super::answers::{Prepared, prepare};
use super::content::{Content, Tail, judge};
use super::section::parse_size;
use super::*;
use crate::import::QuestionKind;
use crate::web::{Client, PortalSection};

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn languages() -> Vec<String> {
    FetchSection::default().languages
}

#[test]
fn the_token_is_found_wherever_it_stands() {
    let cases = [
        ("https://p/dlx/v1/token/ABC-1", "https://p/x", "ABC-1"),
        ("https://p/dlx/v1/token/A%2FB%20C/", "https://p/x", "A/B C"),
        ("https://p/portal?token=ABC-1&x=2", "https://p/x", "ABC-1"),
        ("https://p/portal/index.html", "https://p/?token=ABC-1", "ABC-1"),
        ("https://p/s/ABC-1", "https://p/y/ABC-2", "ABC-1"),
        ("https://p/", "https://p/s/ABC-2/", "ABC-2"),
        ("https://p/a?token=", "https://p/s/ABC-2/", "a"),
        ("https://p/t/%ZZ%4", "https://p/", "%ZZ%4"),
    ];
    for (answered, link, token) in cases {
        assert_eq!(locate::token(&url(answered), &url(link)).as_deref(), Some(token), "{answered}");
    }
    assert_eq!(locate::token(&url("https://p/"), &url("https://p/")), None);
    let long = format!("https://p/{}", "a".repeat(2000));
    assert_eq!(locate::token(&url(&long), &url("https://p/")), None);
}

#[test]
fn the_base_stays_with_the_portal() {
    let section = PortalSection {
        hosts: vec!["a.example".to_owned(), "api.example".to_owned()],
        ..PortalSection::default()
    };
    let client = Client::new(&BTreeMap::from([("a".to_owned(), section)])).unwrap();
    let base = |told: Option<&str>, answered: &str| {
        locate::base(&client, told, &url(answered), &url(answered)).map(|url| url.to_string())
    };
    assert_eq!(
        base(Some("/p/dlx/v1"), "https://p.example/x").unwrap(),
        "https://p.example/p/dlx/v1"
    );
    assert_eq!(
        base(None, "https://p.example/q/dlx/v1/token/T").unwrap(),
        "https://p.example/q/dlx/v1"
    );
    assert_eq!(
        base(Some("https://API.example/d"), "https://a.example/x").unwrap(),
        "https://api.example/d"
    );
    assert_eq!(
        base(Some("http://p.example/d"), "https://p.example/x").unwrap(),
        "https://p.example/d"
    );
    assert!(matches!(
        base(Some("https://evil.example/"), "https://p.example/"),
        Err(Error::Elsewhere { .. })
    ));
    assert!(matches!(
        base(Some("https://api.example/"), "https://p.example/"),
        Err(Error::Elsewhere { .. })
    ));
    for bad in ["http://p.example:8080/d", "file:///etc", "javascript:x", "https://"] {
        assert!(base(Some(bad), "https://p.example/x").is_err(), "{bad}");
    }
    assert!(base(None, "https://p.example/x?token=T").is_err());
    let call = locate::call(&url("https://p/dlx/v1/"), &["download", "../a?b#c/d%"]);
    assert_eq!(call.as_str(), "https://p/dlx/v1/download/..%2Fa%3Fb%23c%2Fd%25");
}

#[test]
fn questions_are_read_in_every_form() {
    let document = json!({
        "tfaQuestions": {
            "apiInfo": { "dlxVersion": "v1", "apiBasePath": "https://p/dlx/v1" },
            "tfaQuestion": [
                { "question": [{ "text": "When?", "language": "en" }, { "text": "Wann?\u{1b}[2J\u{202e}", "language": "de-DE" }],
                  "questionId": 1, "questionType": "pat_birth_date" },
                { "question": "Wer?", "questionId": "2", "questionType": "KV_NUMBER", "answerFormat": "STRING" },
            ],
        },
    });
    let read = wire::questions(&document, &languages()).unwrap();
    assert_eq!(read.base.as_deref(), Some("https://p/dlx/v1"));
    assert_eq!(read.questions[0].text, "Wann?[2J");
    assert_eq!((read.questions[0].id.as_str(), read.questions[0].format.as_str()), ("1", "DATE"));
    assert_eq!(answers::kind(&read.questions[1]), QuestionKind::Custom);
    assert_eq!(read.questions[1].text, "Wer?");
    let versions = json!({ "tfaQuestion": [], "apiInfo": [
        { "dlxVersion": "v2", "apiBasePath": "two" }, { "dlxVersion": 1, "apiBasePath": "one" },
    ]});
    assert_eq!(wire::questions(&versions, &languages()).unwrap().base.as_deref(), Some("one"));
    let many: Vec<_> = (0..50).map(|n| json!({ "questionId": n })).collect();
    for bad in
        [json!({}), json!([1]), json!({ "tfaQuestion": many }), json!({ "tfaQuestion": [{}] })]
    {
        assert!(wire::questions(&bad, &languages()).is_none(), "{bad}");
    }
}

#[test]
fn answers_are_matched_and_never_guessed() {
    let document = json!({ "tfaQuestion": [
        { "questionId": "b", "questionType": "PAT_BIRTH_DATE", "answerFormat": "DATE" },
        { "questionId": 7, "questionType": "CUSTOM", "answerFormat": "STRING" },
        { "questionId": 8, "questionType": "CUSTOM", "answerFormat": "STRING" },
    ]});
    let asked = wire::questions(&document, &languages()).unwrap().questions;
    let with = |pairs: &[(&str, &str)]| {
        let answers =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        match prepare(&asked, &answers) {
            Prepared::Ready(body) => Ok(serde_json::from_str::<serde_json::Value>(&body).unwrap()),
            Prepared::Missing { questions, note } => {
                Err((questions.into_iter().map(|asked| asked.key).collect::<Vec<_>>(), note))
            }
        }
    };
    for date in ["1970-01-31", "31.01.1970", "19700131", " 1970-01-31 "] {
        let body = with(&[("PAT_BIRTH_DATE", date), ("7", "x"), ("8", "y")]).unwrap();
        let wanted = json!({ "tfaAnswer": [
            { "questionId": "b", "answer": "19700131" },
            { "questionId": "7", "answer": "x" },
            { "questionId": "8", "answer": "y" },
        ]});
        assert_eq!(body, wanted);
    }
    // Two questions of one type: the type names neither.
    let (keys, note) = with(&[("b", "1970-01-31"), ("CUSTOM", "x")]).unwrap_err();
    assert_eq!((keys, note), (vec!["7".to_owned(), "8".to_owned()], None));
    let (keys, note) = with(&[("b", "31 January"), ("7", "x"), ("8", " ")]).unwrap_err();
    assert_eq!(keys, ["b", "8"]);
    assert!(note.unwrap().contains("YYYY-MM-DD"));
}

#[test]
fn lists_are_read_in_every_form() {
    let document = json!({ "dataItem": [
        { "id": 5, "mimeType": "x", "description": "CT", "patientsName": "Muster,Erika",
          "patientsBirthdate": 19700131, "patientsSex": "F", "fileCount": "12" },
        { "id": "6", "name": "Befund", "patientsName": "Muster^Erika",
          "patientsBirthdate": "1970-01-31T00:00:00Z", "fileCount": null },
    ]});
    let items = wire::items(&document).unwrap();
    assert_eq!((items[0].id.as_str(), items[0].files), ("5", Some(12)));
    assert_eq!(items[1].description.as_deref(), Some("Befund"));
    let patient = wire::common_patient(&items.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(patient.name.unwrap().as_str(), "Muster^Erika");
    assert_eq!(patient.birth_date.unwrap().to_dicom(), "19700131");
    assert_eq!(patient.sex.as_str(), "F");
    let mixed = json!({ "dataItem": [
        { "id": "1", "patientsName": "A^B", "patientsSex": "M" }, { "id": "2", "patientsName": "C^D" },
    ]});
    let patient =
        wire::common_patient(&wire::items(&mixed).unwrap().iter().collect::<Vec<_>>()).unwrap();
    assert!(patient.name.is_none());
    let many: Vec<_> = (0..3000).map(|n| json!({ "id": n })).collect();
    for bad in [
        json!({}),
        json!("x"),
        json!({ "dataItem": [{}] }),
        json!({ "dataItem": [{ "id": ".." }] }),
        json!({ "dataItem": many }),
    ] {
        assert!(wire::items(&bad).is_none());
    }
    assert!(wire::items(&json!({ "dataItem": null })).unwrap().is_empty());
}

#[test]
fn session_tokens_are_read_in_every_form() {
    for told in [
        "eyJh.e30.sig",
        "\"eyJh.e30.sig\"\n",
        "{\"access_token\":\"eyJh.e30.sig\"}",
        "{\"jwt\": \"Bearer eyJh.e30.sig\"}",
        "\u{feff} eyJh.e30.sig ",
    ] {
        assert_eq!(wire::session_token(told).as_deref(), Some("eyJh.e30.sig"), "{told}");
    }
    for bad in
        ["", "<html>a.b.c</html>", "a.b", "a.b.c.d", "..", "{}", "{\"token\":5}", "a.b\r\nX: y.c"]
    {
        assert_eq!(wire::session_token(bad), None, "{bad}");
    }
}

#[test]
fn content_is_judged_by_itself() {
    let mut dicom = vec![0; 128];
    dicom.extend_from_slice(b"DICM");
    let cases: [(&[u8], Content); 11] = [
        (b"PK\x03\x04rest", Content::Zip),
        (&dicom, Content::Dicom),
        (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", Content::Dicom),
        (b"%PDF-1.7", Content::Pdf),
        (b"\xff\xd8\xff\xe0", Content::Image),
        (b"\n <!DOCTYPE HTML><p>", Content::Page),
        (b"\xef\xbb\xbf<?xml version='1.0'?><html lang='de'>", Content::Page),
        (b"{\"error\":1}", Content::Json),
        (b"<?xml version='1.0'?><ClinicalDocument>", Content::Other),
        (b"", Content::Empty),
        (b"  \r\n ", Content::Empty),
    ];
    for (head, content) in cases {
        assert_eq!(judge(head), content, "{}", String::from_utf8_lossy(head));
    }
}

#[test]
fn a_cut_archive_has_no_end() {
    let mut archive = b"PK\x03\x04".to_vec();
    archive.resize(300_000, 7);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    archive.extend_from_slice(&100_u32.to_le_bytes());
    archive.extend_from_slice(&299_900_u32.to_le_bytes());
    archive.extend_from_slice(&[3, 0]);
    archive.extend_from_slice(b"abc");
    let ends = |bytes: &[u8]| {
        let mut tail = Tail::new();
        bytes.chunks(1000).for_each(|piece| tail.push(piece));
        assert_eq!(tail.length(), u64::try_from(bytes.len()).unwrap());
        tail.ends_zip()
    };
    assert!(ends(&archive));
    assert!(!ends(&archive[..archive.len() - 1]));
    assert!(!ends(&archive[..300_000]));
    assert!(!ends(b"PK\x05\x06"));
    // An archive inside the cut one ends somewhere, but its directory lies elsewhere.
    let mut lying = archive.clone();
    let at = lying.len() - 13;
    lying[at..at + 4].copy_from_slice(&1_000_000_u32.to_le_bytes());
    assert!(!ends(&lying));
}

#[test]
fn names_are_for_display() {
    let show = |disposition: Option<&str>, description: Option<&str>| {
        name::display(disposition, description, Content::Zip)
    };
    assert_eq!(
        show(Some("attachment; filename=\"a;b \\\"c\\\".zip\"; x=1"), None),
        "a;b \"c\".zip"
    );
    assert_eq!(
        show(Some("attachment; filename=x.zip; filename*=UTF-8''M%C3%BCller.zip"), None),
        "Müller.zip"
    );
    assert_eq!(show(Some("inline"), Some("CT Thorax")), "CT Thorax.zip");
    assert_eq!(show(None, Some("CT\r\n\u{1b}[31m\u{202e}x")), "CT[31mx.zip");
    assert_eq!(show(Some("attachment; filename=\"\""), None), "download.zip");
    assert_eq!(show(None, Some(&"ä".repeat(5000))).chars().count(), 200);
}

#[test]
fn the_section_has_units_and_refuses_strays() {
    let section: FetchSection =
        toml::from_str("max-download = \"2GiB\"\ndeadline = \"2h\"\nlanguages = [\"en\"]").unwrap();
    assert_eq!((section.max_download, section.deadline.as_secs()), (2 << 30, 7200));
    assert_eq!(section.stall_timeout, FetchSection::default().stall_timeout);
    for bad in [
        "max-download = \"2\"",
        "max-download = \"0GiB\"",
        "deadline = \"0s\"",
        "dead-line = \"2h\"",
    ] {
        assert!(toml::from_str::<FetchSection>(bad).is_err(), "{bad}");
    }
    assert_eq!(parse_size("99999999999TiB"), None);
}

#[test]
fn a_proxy_is_checked_before_it_is_used() {
    let section = |text: &str| toml::from_str::<FetchSection>(text).unwrap();
    let choose = |text: &str| section(text).choose;
    assert_eq!(choose(""), Choose::SeveralDates);
    assert_eq!(choose("choose = \"never\""), Choose::Never);
    assert!(toml::from_str::<FetchSection>("choose = \"sometimes\"").is_err());
    assert!(section("").proxy().unwrap().is_none());
    assert!(section("proxy = \"http://proxy:3128\"").proxy().unwrap().is_some());
    for (text, key) in [
        ("proxy = \"proxy:3128\"", "proxy"),
        ("proxy = \"http://user:word@proxy:3128\"", "proxy"),
        ("proxy-credentials-file = \"/nowhere\"", "proxy-credentials-file"),
    ] {
        assert_eq!(section(text).fault().unwrap().0, key);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let with = || {
        section(&format!(
            "proxy = \"http://proxy:3128\"\nproxy-credentials-file = {:?}",
            file.path()
        ))
    };
    assert!(with().fault().is_none());
    assert_eq!(with().proxy().unwrap_err().0, "proxy-credentials-file");
    std::fs::write(file.path(), "lotse:s3cret\n").unwrap();
    assert!(with().proxy().unwrap().is_some());
}
