//! What one attempt brings is whole, whatever happened between two files.

use bytes::Bytes;

use super::*;
use crate::fetch::Class;
use crate::web::{HeaderMap, Recorded, Recording};

const LOGIN: &str = r##"recipe = 1
title = "t"
[[inputs]]
name = "born"
kind = "birth-date"
[[steps]]
post = "{link.origin}/in"
json = { born = "{born}" }
"##;

/// Answers by path; each has so many others before the right one.
struct Portal {
    first: Mutex<BTreeMap<&'static str, (u32, Recorded)>>,
    made: Mutex<Vec<String>>,
}

impl Portal {
    fn new(first: impl IntoIterator<Item = (&'static str, u32, u16, &'static str)>) -> Arc<Self> {
        let answer = |(path, times, status, body): (_, _, _, &'static str)| {
            (
                path,
                (
                    times,
                    Recorded { status, headers: vec![], body: Bytes::from_static(body.as_bytes()) },
                ),
            )
        };
        let first = first.into_iter().map(answer).collect();
        Arc::new(Self { first: Mutex::new(first), made: Mutex::default() })
    }

    fn made(&self, path: &str) -> usize {
        self.made.lock().unwrap().iter().filter(|made| *made == path).count()
    }
}

impl Recording for Portal {
    fn answer(&self, _: &str, url: &Url, _: &HeaderMap, _: &[u8]) -> Option<Recorded> {
        self.made.lock().unwrap().push(url.path().to_owned());
        let mut first = self.first.lock().unwrap();
        if let Some((left, first)) = first.get_mut(url.path())
            && *left > 0
        {
            *left -= 1;
            let Recorded { status, headers, body } = &*first;
            return Some(Recorded {
                status: *status,
                headers: headers.clone(),
                body: body.clone(),
            });
        }
        let body = match url.path() {
            path if path.ends_with(".zip") => {
                Bytes::from([b"PK\x05\x06".as_slice(), &[0; 18]].concat())
            }
            _ => Bytes::from_static(b"{\"state\":\"ready\"}"),
        };
        Some(Recorded { status: 200, headers: vec![], body })
    }
}

/// Attempts until all is here, each from where the one before left its bookmark: how many, and the files of the last.
async fn attempts(steps: &str, portal: &Arc<Portal>) -> (u32, usize) {
    let recipe = Recipe::parse("x.toml", &format!("{LOGIN}{steps}")).unwrap();
    let link = Link::new("https://p.example/s/1").unwrap();
    let client = web::Client::new(&BTreeMap::new()).unwrap();
    let hosts = recipe.hosts_for(link.url(), &[]);
    let answers = BTreeMap::from([("born".to_owned(), "1970-01-31".to_owned())]);
    let (section, keeper) = (FetchSection::default(), Silence::default());
    for attempt in 1..=9 {
        let Resumed::From(state) = (match resumed(&recipe, keeper.kept().as_ref()) {
            Resumed::Start => Resumed::From(Box::new(recipe.start(&link))),
            other => other,
        }) else {
            panic!("begun anew by a person");
        };
        let visit = Visit::new(&client, &hosts, 5, state.jar.clone());
        let visit = visit.replayed(Arc::clone(portal) as Arc<dyn Recording>);
        let run = recipe.run(&link, &answers, &section, (&keeper, &Silent), visit, *state);
        let run = Run { pace: Pace::Counted, ..run };
        match Box::pin(run.go()).await {
            Ok(Ending::Done { seen, .. }) => return (attempt, seen.len()),
            Ok(Ending::Preparing { .. }) => {}
            Err(Halt::Fault(error)) if error.class() == Class::Retry => {}
            Err(Halt::Fault(error)) => panic!("{error}"),
            Ok(Ending::Asked { .. }) | Err(Halt::Ended(_)) => panic!("asked"),
        }
    }
    panic!("never whole");
}

const TWO: &str = r##"[[steps]]
download = "{link.origin}/report.zip"
[[steps]]
get = "{link.origin}/list"
[[steps]]
download = "{link.origin}/archive.zip"
[[outcomes]]
outcome = "preparing"
when = { status = [425] }
"##;

#[tokio::test]
async fn what_came_before_a_fault_comes_again() {
    // Not ready, down, or told by an outcome: each time beyond what one attempt sits out.
    for (status, times) in [(503, 3), (500, 1), (425, 1)] {
        let portal = Portal::new([("/archive.zip", times, status, "")]);
        assert_eq!(attempts(TWO, &portal).await, (2, 2), "{status}");
        assert_eq!((portal.made("/in"), portal.made("/report.zip")), (1, 2), "{status}");
    }
    let portal = Portal::new([("/list", 1, 500, "")]);
    assert_eq!(attempts(TWO, &portal).await, (2, 2));
    // Nothing is fetched twice if nothing was here.
    let portal = Portal::new([("/report.zip", 1, 503, "")]);
    assert_eq!(attempts(TWO, &portal).await, (2, 2));
    assert_eq!((portal.made("/in"), portal.made("/report.zip")), (1, 2));
}

#[tokio::test]
async fn packing_is_waited_for_where_going_back_would_cost_a_file() {
    let poll = r##"[[steps]]
post = "{link.origin}/pack"
[[steps]]
get = "{link.origin}/job"
until = { json = "/state", matches = "^ready$" }
every = "5s"
within = "1h"
"##;
    let download = |name: &str| format!("[[steps]]\ndownload = \"{{link.origin}}/{name}.zip\"\n");
    let packing = |polls| Portal::new([("/job", polls, 200, "{\"state\":\"packing\"}")]);
    let portal = packing(100);
    let steps = format!("{}{poll}{}", download("report"), download("archive"));
    assert_eq!(attempts(&steps, &portal).await, (1, 2));
    assert_eq!((portal.made("/pack"), portal.made("/report.zip")), (1, 1));
    // Without a file the import rests, and goes on at the same job.
    let portal = packing(12);
    let (attempts, files) = attempts(&format!("{poll}{}", download("archive")), &portal).await;
    assert_eq!((attempts > 2, files, portal.made("/pack")), (true, 1, 1));
}

#[tokio::test]
async fn a_step_that_brought_nothing_is_passed_for_good() {
    let steps = r##"[[steps]]
get = "{link.origin}/reports"
[steps.list.reports]
json = ""
optional = true
fields = { id = "" }
[[steps]]
download = "{link.origin}/{item.id}.zip"
each = "reports"
[[steps]]
post = "{link.origin}/pack"
[[steps]]
get = "{link.origin}/job"
until = { json = "/state", matches = "^ready$" }
every = "5s"
within = "1h"
[[steps]]
download = "{link.origin}/archive.zip"
"##;
    let portal =
        Portal::new([("/reports", 9, 200, "[]"), ("/job", 12, 200, "{\"state\":\"packing\"}")]);
    let (attempts, files) = attempts(steps, &portal).await;
    assert_eq!((attempts > 2, files, portal.made("/pack")), (true, 1, 1));
}

#[test]
fn no_bookmark_stands_behind_a_file() {
    // As an earlier release kept it.
    let recipe = Recipe::parse("x.toml", &format!("{LOGIN}{TWO}")).unwrap();
    let link = Link::new("https://p.example/s/1").unwrap();
    let kept = |next, spent| State { next, spent, ..recipe.start(&link) }.pack().unwrap();
    assert!(matches!(resumed(&recipe, Some(&kept(1, true))), Resumed::From(_)));
    assert!(matches!(resumed(&recipe, Some(&kept(2, true))), Resumed::Changed));
    assert!(matches!(resumed(&recipe, Some(&kept(2, false))), Resumed::Start));
}

#[test]
fn answers_go_out_before_the_first_file() {
    let with =
        |step: &str| format!("{LOGIN}[[steps]]\ndownload = \"{{link}}\"\n[[steps]]\n{step}\n");
    for (step, key) in [
        ("ask = [\"born\"]", "ask"),
        ("post = \"{link}\"\njson = { born = \"{born}\" }", "steps"),
        ("get = \"{link}/{born}\"", "steps"),
    ] {
        let told = fault(&with(step));
        assert!(told.contains(&format!("x.toml:11: {key}: an answer is sent once")), "{told}");
    }
    assert!(Recipe::parse("x.toml", &with("get = \"{link}\"")).is_ok());
}
