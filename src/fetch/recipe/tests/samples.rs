//! What a sample that does not hold is told with: the step, where it looks, what is there, and no value.

use super::*;

/// A portal with a form, then a list, then files; the sample is `ends`, with these exchanges.
fn portal(ends: &str, exchanges: &str) -> String {
    format!(
        r##"recipe = 1
title = "t"
[match]
hosts = ["p.example"]
link = '^/s/'
[limits]
hosts = ["*.files.example"]
[[inputs]]
name = "born"
kind = "birth-date"
format = "DD.MM.YYYY"
[[steps]]
name = "page"
get = "{{link}}"
extract = {{ token = {{ css = "meta[name=csrf]", attribute = "content", optional = true }} }}
[[steps]]
name = "login"
submit = "form#login"
fields = {{ dob = "{{born}}" }}
extract = {{ session = {{ json = "/result/session", regex = "^s-(.+)$" }} }}
[steps.list.files]
json = "/files"
fields = {{ id = "/id" }}
[[steps]]
name = "fetch"
download = "https://a.files.example/{{item.id}}?s={{session}}"
each = "files"
headers = {{ Authorization = "Bearer {{session}}" }}
[[outcomes]]
outcome = "wrong-factor"
steps = ["login"]
when = {{ json = "/error", matches = "^wrong$" }}
[[samples]]
name = "s"
link = "https://p.example/s/QX7"
answers = {{ born = "1970-01-31" }}
ends = "{ends}"
{exchanges}"##
    )
}

const PAGE: &str = r##"[[samples.exchanges]]
request = "GET https://p.example/s/QX7"
answer = '<form id=login method=post action="/in"><input name=dob><input type=hidden name=t value=SECRET1></form>'
"##;

fn login(body: &str, answer: &str) -> String {
    format!(
        "{PAGE}[[samples.exchanges]]\nrequest = \"POST https://p.example/in\"\nbody = \"{body}\"\nanswer = '{answer}'\n"
    )
}

const BODY: &str = "dob=31.01.1970&t=SECRET1";
const FINE: &str = r#"{"result":{"session":"s-SECRET2"},"files":[{"id":"x1"}]}"#;

async fn told(ends: &str, exchanges: &str) -> Option<String> {
    let recipe = Recipe::parse("x.toml", &portal(ends, exchanges)).unwrap();
    recipe.replay().await.unwrap()[0].fault.clone()
}

#[tokio::test]
async fn a_difference_is_told_with_step_place_and_what_is_there() {
    let download = "[[samples.exchanges]]\nrequest = \"GET https://a.files.example/x1?s=SECRET2\"\n\
                    headers = [\"Authorization: Bearer SECRET2\"]\nanswer-file = \"zip\"\n";
    let whole = login(BODY, FINE) + download;
    assert_eq!(told("done", &whole).await, None);
    let other = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1)
    };
    let cases: Vec<(&str, String, &str)> = vec![
        (
            "done",
            PAGE.replace("id=login", "id=signin"),
            "step 2 \"login\": it ends `portal-changed`, and should end `done`: the page has no \
             form form#login; found instead: the answer has status 200, is of no kind, 104 bytes; the page has \
             the forms form#signin (fields: dob, t)",
        ),
        (
            "done",
            PAGE.replace("name=dob", "name=birth"),
            "the form form#login has no field `dob`; found instead",
        ),
        (
            "done",
            login(BODY, r#"{"result":{"sid":"s-SECRET2"}}"#),
            "`session` is not at json `/result/session`, regex `^s-(.+)$`; found instead: `/result` has sid",
        ),
        (
            "done",
            login(BODY, r#"{"result":{"session":"SECRET2"},"files":[]}"#),
            "found instead: the regex fits nothing in `AAAAAA9` (7 characters)",
        ),
        ("done", login(BODY, "<html>SECRET3</html>"), "is of no kind, 20 bytes, and no JSON"),
        (
            "done",
            login(BODY, r#"{"result":{"session":"s-1"},"files":[{"name":"SECRET3"}]}"#),
            "the list `files` is not at json `/files`, fields id = `/id`; found instead: in an entry the document has name",
        ),
        (
            "wrong-factor",
            login(BODY, r#"{"error":"SECRET4"}"#),
            "the outcome `wrong-factor` looks for json `/error`, matches `^wrong$`; `/error` is a text of the form `AAAAAA9`",
        ),
        (
            "done",
            login("dob=1970-01-31&t=SECRET1", FINE),
            "step 2 \"login\": request 2 (POST https://p.example/in) has the field `dob` as `99.99.9999`, recorded is `9999-99-99`",
        ),
        (
            "done",
            login("dob=31.01.1970&t=SECRET9", FINE),
            "the field `t` with another value than recorded",
        ),
        ("done", login("dob=31.01.1970", FINE), "has the field `t`, which was not recorded"),
        (
            "done",
            login("t=SECRET1&dob=31.01.1970", FINE),
            "has the fields dob, t, recorded is the order t, dob",
        ),
        (
            "done",
            other("Bearer SECRET2", "Bearer SECRET3"),
            "step 3 \"fetch\": request 3 (GET https://a.files.example/a9?s=AAAAAA9) has the header `authorization` \
             with another value than recorded",
        ),
        (
            "done",
            other("/x1?s=SECRET2", "/x1/SECRET2"),
            "request 3 is GET https://a.files.example/a9?s=AAAAAA9, recorded is GET https://a.files.example/a9/AAAAAA9",
        ),
        (
            "done",
            other("answer-file = \"zip\"", "status = 418"),
            "it ends with: p.example refused the request (status 418)",
        ),
        (
            "done",
            whole.clone() + &download.replace("x1", "x2"),
            "it ends after 3 of 4 recorded requests; GET https://a.files.example/a9?s=AAAAAA9 is never made",
        ),
    ];
    let mut missed = Vec::new();
    for (ends, exchanges, wanted) in cases {
        let fault = told(ends, &exchanges).await.unwrap();
        if !fault.contains(wanted) {
            missed.push(format!("{fault}\nwanted: {wanted}"));
        }
        for secret in ["SECRET", "QX7", "1970"] {
            assert!(!fault.contains(secret), "{secret} is in {fault}");
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

#[tokio::test]
async fn an_answer_is_not_sent_where_a_form_leaves_tls_or_the_hosts() {
    for (action, wanted) in [
        ("http://p.example/in", "passed on from https to http"),
        ("https://q.example/in", "the portal leads to q.example, which its recipe does not name"),
        ("//p.example.evil.example/in", "which its recipe does not name"),
        ("https://u:w@p.example/in", "carries a user name or password"),
    ] {
        let exchanges =
            login(BODY, FINE).replace("action=\"/in\"", &format!("action=\"{action}\""));
        let fault = told("done", &exchanges).await.unwrap();
        assert!(fault.starts_with("step 2 \"login\": it ends with: "), "{fault}");
        assert!(fault.contains(wanted), "{fault}");
    }
}

#[test]
fn a_sample_that_leaves_the_hosts_is_refused_when_it_is_read() {
    let fault = |text: &str| Recipe::parse("x.toml", text).err().map(|fault| fault.to_string());
    let fine = portal("done", PAGE);
    assert_eq!(fault(&fine), None);
    for (from, to, wanted) in [
        (
            "link = \"https://p.example/s/QX7\"",
            "link = \"https://q.example/s/QX7\"",
            "x.toml:33: link: sample \"s\": its link goes to q.example, which is not among hosts under [match]",
        ),
        (
            "link = \"https://p.example/s/QX7\"",
            "link = \"QX7\"",
            "link: sample \"s\": this is no link",
        ),
        (
            "GET https://p.example/s/QX7",
            "GET https://cdn.example/s/QX7",
            "x.toml:38: request: sample \"s\": it sends a request to cdn.example, which the recipe does not allow; add it to hosts",
        ),
        (
            "GET https://p.example/s/QX7",
            "GET https://files.example/s/QX7",
            "request to files.example",
        ),
        ("GET https://p.example/s/QX7", "PUT https://p.example/s/QX7", "write a request as"),
    ] {
        let told = fault(&fine.replacen(from, to, 1)).unwrap();
        assert!(told.contains(wanted), "{told}\nwanted: {wanted}");
    }
    assert_eq!(
        fault(&fine.replacen("GET https://p.example/s/QX7", "GET https://x.files.example/s", 1)),
        None
    );
    // Without hosts of its own it is bound by [portals.NAME].
    let unbound = fine.replacen("hosts = [\"p.example\"]", "", 1);
    assert_eq!(fault(&unbound.replace("https://p.example", "https://q.example")), None);
}
