//! Pages as portals of every age write them: other encodings than UTF-8, addresses relative to a base.

use bytes::Bytes;

use super::*;
use crate::dicom::Patient;
use crate::web::{HeaderMap, Recorded, Recording};

const RECIPE: &str = r##"recipe = 1
title = "t"
[limits]
hosts = ["files.example"]
[[steps]]
get = "{link}"
extract = { who = { css = "#who" }, next = { css = "a", attribute = "href" } }
[[steps]]
submit = "form"
[[steps]]
download = "{next}"
[patient]
name = "{who}"
[[outcomes]]
outcome = "locked"
when = { body = "gesperrt für" }
"##;

/// What the link shows, byte for byte; everything else is a file. Keeps what was asked.
struct Portal {
    kind: &'static str,
    page: Vec<u8>,
    made: Mutex<Vec<String>>,
}

impl Recording for Portal {
    fn answer(&self, method: &str, url: &Url, _: &HeaderMap, body: &[u8]) -> Option<Recorded> {
        let body = String::from_utf8_lossy(body);
        self.made.lock().unwrap().push(format!("{method} {url} {body}").trim_end().to_owned());
        let (kind, body) = match (method, url.path()) {
            ("GET", "/s/1") => (self.kind, self.page.clone()),
            ("POST", _) => ("text/html", b"<p>fine</p>".to_vec()),
            _ => ("application/zip", [b"PK\x05\x06".as_slice(), &[0; 18]].concat()),
        };
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        Some(Recorded { status: 200, headers, body: Bytes::from(body) })
    }
}

/// How a visit to this page ends, and what was asked.
async fn visited(kind: &'static str, page: &[u8]) -> (Result<Option<Patient>, Error>, Vec<String>) {
    let recipe = Recipe::parse("x.toml", RECIPE).unwrap();
    let link = Link::new("https://p.example/s/1").unwrap();
    let client = web::Client::new(&BTreeMap::new()).unwrap();
    let hosts = recipe.hosts_for(link.url(), &[]);
    let portal = Arc::new(Portal { kind, page: page.to_vec(), made: Mutex::default() });
    let visit = Visit::new(&client, &hosts, 5, web::Jar::default());
    let visit = visit.replayed(Arc::clone(&portal) as Arc<dyn Recording>);
    let (section, keeper, answers) = (FetchSection::default(), Silence::default(), BTreeMap::new());
    let state = recipe.start(&link);
    let run = recipe.run(&link, &answers, &section, (&keeper, &Silent), visit, state);
    let ended = match Box::pin(run.go()).await {
        Ok(Ending::Done { portal, .. }) => Ok(portal),
        Err(Halt::Fault(error)) => Err(error),
        _ => panic!("neither done nor a fault"),
    };
    let made = portal.made.lock().unwrap().clone();
    (ended, made)
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

#[tokio::test]
async fn a_page_in_latin_1_is_read_and_answered_in_it() {
    let page = "<p id=who>Müller^Jörg</p><a href='/f/1.zip'>x</a>\
        <form method=post action=/in><input type=hidden name=größe value=für></form>";
    let meta = format!("<meta charset=iso-8859-1>{page}");
    for (kind, page) in
        [("text/html; charset=ISO-8859-1", page), ("text/html", meta.as_str()), ("text/html", page)]
    {
        let (ended, made) = visited(kind, &latin1(page)).await;
        let name = ended.unwrap().unwrap().name.unwrap();
        assert_eq!(name.as_str(), "Müller^Jörg", "{kind}");
        assert_eq!(made[1], "POST https://p.example/in gr%F6%DFe=f%FCr", "{kind}");
    }
    let (_, made) = visited("text/html", page.as_bytes()).await;
    assert_eq!(made[1], "POST https://p.example/in gr%C3%B6%C3%9Fe=f%C3%BCr");
    // A pattern is held against what a person would read.
    let (ended, _) = visited("text/html", &latin1("<p>gesperrt für heute")).await;
    assert!(matches!(ended, Err(Error::Portal { outcome: Outcome::Locked, .. })));
}

fn with_base(base: &str) -> String {
    format!(
        "<head>{base}</head><p id=who>Muster^Eva</p><a href='1.zip'>x</a>\
         <form method=post action='in'><input type=hidden name=t value=1></form>"
    )
}

#[tokio::test]
async fn addresses_are_relative_to_the_page_s_own_base() {
    for (base, wanted) in [
        ("", "https://p.example/s/"),
        ("<base target=x><base href='/app/v2/'><base href='/other/'>", "https://p.example/app/v2/"),
        ("<base href='https://files.example/x/y'>", "https://files.example/x/"),
        ("<base href='javascript:x'>", "https://p.example/s/"),
    ] {
        let (ended, made) = visited("text/html", with_base(base).as_bytes()).await;
        assert!(ended.is_ok(), "{base}");
        let wanted = [format!("POST {wanted}in t=1"), format!("GET {wanted}1.zip")];
        assert_eq!(made[1..], wanted, "{base}");
    }
}

#[tokio::test]
async fn a_base_leads_nowhere_else() {
    for base in ["<base href='https://evil.example/'>", "<base href='http://p.example/'>"] {
        let (ended, made) = visited("text/html", with_base(base).as_bytes()).await;
        assert!(matches!(ended, Err(Error::Web(_))), "{base}");
        assert_eq!(made.len(), 1, "{base}");
    }
}
