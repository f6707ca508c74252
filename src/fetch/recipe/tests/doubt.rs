//! Answers that went out, and a portal that was then out of reach.

use bytes::Bytes;

use super::*;
use crate::fetch::Class;
use crate::web::{HeaderMap, Recorded, Recording};

const RECIPE: &str = r##"recipe = 1
title = "t"
[[inputs]]
name = "born"
kind = "birth-date"
[[steps]]
get = "{link}"
[[steps]]
submit = "form"
fields = { dob = "{born}" }
[[steps]]
download = "{link}"
"##;

/// A page with a form, and perhaps a redirect as answer to it; everything else is out of reach.
struct Portal {
    takes: &'static str,
}

impl Recording for Portal {
    fn answer(&self, method: &str, url: &Url, _: &HeaderMap, _: &[u8]) -> Option<Recorded> {
        let (status, headers, body) = match (method, url.path()) {
            ("GET", "/s/1") => {
                (200, vec![], "<form method=post action=/in><input name=dob></form>")
            }
            ("POST", path) if path == self.takes => {
                (303, vec![("location".to_owned(), "/away".to_owned())], "")
            }
            _ => return None,
        };
        Some(Recorded { status, headers, body: Bytes::from_static(body.as_bytes()) })
    }
}

/// The error, and whether the bookmark says that answers may be out.
async fn attempt(takes: &'static str) -> (Error, bool) {
    let recipe = Recipe::parse("x.toml", RECIPE).unwrap();
    let link = Link::new("https://p.example/s/1").unwrap();
    let client = web::Client::new(&BTreeMap::new()).unwrap();
    let hosts = recipe.hosts_for(link.url(), &[]);
    let visit = Visit::new(&client, &hosts, 5, web::Jar::default());
    let visit = visit.replayed(Arc::new(Portal { takes }));
    let answers = BTreeMap::from([("born".to_owned(), "1970-01-31".to_owned())]);
    let (section, keeper) = (FetchSection::default(), Silence::default());
    let state = recipe.start(&link);
    let run = recipe.run(&link, &answers, &section, (&keeper, &Silent), visit, state);
    let Err(Halt::Fault(error)) = Box::pin(run.go()).await else { panic!("no fault") };
    (error, State::unpack(&keeper.kept().unwrap()).unwrap().in_doubt)
}

#[tokio::test]
async fn answers_that_were_taken_are_not_sent_again_after_a_redirect_into_nowhere() {
    let (error, in_doubt) = attempt("/in").await;
    assert!(matches!(error, Error::LoginInDoubt { .. }), "{error}");
    assert!(in_doubt);
    // Nobody was reached: they may go out again.
    let (error, in_doubt) = attempt("/other").await;
    assert_eq!(error.class(), Class::Retry, "{error}");
    assert!(!in_doubt);
}
