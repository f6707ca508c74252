//! A DICOMweb step whose service hands over something else than it lists.

use bytes::Bytes;

use super::*;
use crate::dicom::{Syntax, Tag, VR, sample};
use crate::import::ImportId;
use crate::seal::Vault;
use crate::spool::Spool;
use crate::web::{HeaderMap, Recorded, Recording};

const RECIPE: &str = r##"recipe = 1
title = "t"
[[steps]]
dicomweb = "{link}"
study = "1.2.3"
"##;

/// Lists two instances, and hands over these.
struct Service(&'static [&'static str]);

impl Recording for Service {
    fn answer(&self, _: &str, url: &Url, _: &HeaderMap, _: &[u8]) -> Option<Recorded> {
        let of = |kind: &str, body: Vec<u8>| {
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            Some(Recorded { status: 200, headers, body: Bytes::from(body) })
        };
        if url.path().ends_with("/instances") {
            let listed = ["1.2.3.4", "1.2.3.5"]
                .map(|uid| serde_json::json!({ "00080018": { "vr": "UI", "Value": [uid] } }));
            return of("application/dicom+json", serde_json::to_vec(&listed).unwrap());
        }
        let mut body = Vec::new();
        for instance in self.0 {
            let mut set = sample::image();
            set.put_bytes(Tag(0x0020, 0x000D), VR::UI, b"1.2.3".to_vec());
            set.put_bytes(Tag(0x0008, 0x0018), VR::UI, instance.as_bytes().to_vec());
            body.extend(b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n");
            body.extend(sample::file(sample::EXPLICIT, &set.write(Syntax::ExplicitLittle)));
        }
        body.extend(b"\r\n--b--\r\n");
        of("multipart/related; type=\"application/dicom\"; boundary=b", body)
    }
}

/// How many files come.
async fn fetched(instances: &'static [&'static str]) -> Result<usize, Error> {
    let recipe = Recipe::parse("x.toml", RECIPE).unwrap();
    let link = Link::new("https://p.example/dw").unwrap();
    let client = web::Client::new(&BTreeMap::new()).unwrap();
    let hosts = recipe.hosts_for(link.url(), &[]);
    let visit = Visit::new(&client, &hosts, 5, web::Jar::default());
    let visit = visit.replayed(Arc::new(Service(instances)));
    let dir = tempfile::tempdir().unwrap();
    let vault =
        Vault::open_or_create(&dir.path().join("keys"), &dir.path().join("master.key")).unwrap();
    let spool = Spool::open(&dir.path().join("spool"), vault).unwrap();
    let shelf = Shelf::of(spool.create(ImportId::new()).unwrap());
    let (section, keeper, answers) = (FetchSection::default(), Silence::default(), BTreeMap::new());
    let state = recipe.start(&link);
    let run = recipe.run(&link, &answers, &section, (&keeper, &Silent), visit, state);
    match Box::pin(Run { shelf, pace: Pace::Recorded, ..run }.go()).await {
        Ok(Ending::Done { files, .. }) => Ok(files.len()),
        Err(Halt::Fault(error)) => Err(error),
        _ => panic!("neither files nor a fault"),
    }
}

#[tokio::test]
async fn what_comes_has_to_be_what_is_listed() {
    assert_eq!(fetched(&["1.2.3.4", "1.2.3.5"]).await.unwrap(), 2);
    for other in [&["1.2.3.4", "1.2.3.4"], &["1.2.3.4", "1.2.3.6"]] {
        let told = fetched(other).await.unwrap_err().to_string();
        let words = "holds 2 instances of what was asked for and handed over 1 of them";
        assert!(told.contains(words), "{other:?}: {told}");
    }
    assert!(matches!(fetched(&["1.2.3.4"]).await, Err(Error::Cut { .. })));
}
