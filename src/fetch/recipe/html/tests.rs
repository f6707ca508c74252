use encoding_rs::{UTF_8, WINDOWS_1252};

use super::form::{Encoding, Form, Method, Missing};
use super::select::Selector;
use super::*;

fn selector(text: &str) -> Selector {
    Selector::try_from(text.to_owned()).unwrap()
}

fn texts(page: &str, css: &str) -> Vec<String> {
    let page = Page::parse(page).unwrap();
    page.select(&selector(css)).into_iter().map(|id| page.text(id)).collect()
}

fn fill(page: &str, css: &str, filled: &[(&str, &str)]) -> Result<Form, Missing> {
    let filled = filled.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Page::parse(page).unwrap().fill(&selector(css), &filled.collect(), None)
}

#[test]
fn selectors_find_what_they_say() {
    let page = "<div id=a class='x y'><p>one<span lang=de>two</span></p></div>\
                <ul><li>three<li class=y>four <b>five</b></ul><a href='/d/1.zip'>six</a>";
    for (css, wanted) in [
        ("p", &["onetwo"][..]),
        ("#a p > span", &["two"]),
        ("#a > span", &[]),
        ("div span, a", &["two", "six"]),
        (".y", &["onetwo", "four five"]),
        ("li.y > b", &["five"]),
        ("ul *", &["three", "four five", "five"]),
        ("[lang]", &["two"]),
        ("a[href$='.zip']", &["six"]),
        ("a[href^=\"/d/\"]", &["six"]),
        ("a[href*=d]", &["six"]),
        ("div[class~=y]", &["onetwo"]),
        ("span[lang=en]", &[]),
        ("body div p span", &["two"]),
    ] {
        assert_eq!(texts(page, css), wanted, "{css}");
    }
    let deep = "a ".repeat(100);
    for bad in
        ["", ">", "a >", "a[", "a[b", "a[b=", "a[b='c]", "a:hover", "a,,b", "..", deep.as_str()]
    {
        assert!(Selector::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn a_form_sends_what_a_browser_would() {
    let page = "<form id=login method=POST action='/in?x=1'><input type=hidden name=csrf value='a&amp;b'>\
        <input name=born><input name=off disabled value=1><input type=submit name=go value=Go>\
        <input type=checkbox name=no value=1><input type=checkbox name=yes checked>\
        <input type=radio name=r value=1><input type=radio name=r value=2 checked>\
        <select name=s><option value=1>a<option selected>b</select><select name=t><option>c<option>d</select>\
        <textarea name=u>\nv\nw</textarea></form><input name=other>";
    let form = fill(page, "#login", &[("born", "31.01.1970")]).unwrap();
    assert_eq!((form.action.as_str(), form.method), ("/in?x=1", Method::Post));
    assert_eq!(form.encoding, Encoding::Urlencoded);
    assert_eq!(form.urlencoded(UTF_8), "csrf=a%26b&born=31.01.1970&yes=on&r=2&s=b&t=c&u=v%0Aw");
    assert_eq!(fill(page, "input[name=born]", &[]).unwrap().fields.len(), 7);
    assert_eq!(fill(page, "#nope", &[]).err(), Some(Missing::Form));
    assert_eq!(fill(page, "#login", &[("pin", "1")]).err(), Some(Missing::Field("pin".into())));
    let page = Page::parse(page).unwrap();
    let button = selector("[type=submit]");
    let pressed = page.fill(&selector("#login"), &Fields::new(), Some(&button)).unwrap();
    assert_eq!(pressed.fields.last(), Some(&("go".to_owned(), "Go".to_owned())));
    let none = page.fill(&selector("#login"), &Fields::new(), Some(&selector(".none")));
    assert_eq!(none.err(), Some(Missing::Button));
}

#[test]
fn fields_outside_of_their_form_belong_to_it_all_the_same() {
    // Tables tear forms apart, and `form=` ties fields to one elsewhere.
    let table = "<table><form id=f><tr><td><input name=a value=1></td></tr></form></table>";
    assert_eq!(fill(table, "#f", &[]).unwrap().urlencoded(UTF_8), "a=1");
    let tied = "<form id=f enctype=multipart/form-data></form><input form=f name='b\"' value=2>";
    let form = fill(tied, "form", &[]).unwrap();
    assert_eq!(form.encoding, Encoding::Multipart);
    let (kind, body) = form.multipart(UTF_8);
    let body = String::from_utf8(body).unwrap();
    assert_eq!(kind, "multipart/form-data; boundary=lotse-form-boundary");
    assert!(body.contains("name=\"b%22\"\r\n\r\n2\r\n--lotse-form-boundary--"), "{body}");
}

#[test]
fn pages_that_keep_the_parser_busy_are_refused_fast() {
    let took = |page: &str| {
        let before = computing_time();
        let read = Page::parse(page);
        (read.is_ok(), computing_time().saturating_sub(before))
    };
    let attributes: String = (0..140_000).map(|n| format!("a{n:x} ")).collect();
    let tag = format!("<p {attributes}>");
    assert!(tag.len() < 1 << 20, "{}", tag.len());
    let (read, time) = took(&tag);
    assert!(!read && time < 3 * LONGEST, "{time:?}");
    let texts = format!("{}{}", "<br>".repeat(19_000), "&amp;".repeat(190_000));
    let (_, time) = took(&texts);
    assert!(time < 3 * LONGEST, "{time:?}");
    // It is the children that cost, not the text.
    let texts = format!("{}{}", "<br>".repeat(10_000), "&amp;".repeat(10_000));
    assert_eq!(Page::parse(&texts).unwrap().text(ROOT).len(), 10_000);
}

#[test]
fn text_is_put_before_the_table_that_it_was_torn_out_of() {
    assert_eq!(texts("<p>a<table>b<tr><td>c</table>d", "body"), ["abcd"]);
    assert_eq!(texts("<div><table><b>x</b>y<i>z</i><tr><td>c</table></div>", "div"), ["xyzc"]);
}

#[test]
fn pages_beyond_reason_are_refused_fast() {
    let nested = "<x>".repeat(100_000);
    let wide = "<p>a".repeat(30_000);
    let formatting: String = (0..20_000).map(|n| format!("<b a={n}>")).collect();
    let rebuilt = format!("{formatting}{}", "<p>".repeat(20_000));
    let closing = format!("{}{}", "<x>".repeat(500), "</y>".repeat(20_000));
    let table = format!("<table>{}", "<table><a>".repeat(20_000));
    for page in [nested, wide, rebuilt, table] {
        assert!(Page::parse(&page).is_err());
    }
    assert!(Page::parse(&closing).is_ok());
    let odd =
        Page::parse("<form><form><template><input name=a></template><svg><input name=b>").unwrap();
    assert_eq!(odd.fill(&selector("form"), &Fields::new(), None).unwrap().urlencoded(UTF_8), "b=");
}

#[test]
fn a_form_goes_back_in_what_its_page_is_written_in() {
    let page = "<form><input name=n value='M\u{fc}ller \u{161}\u{142}'></form>";
    let form = fill(page, "form", &[]).unwrap();
    assert_eq!(form.urlencoded(UTF_8), "n=M%C3%BCller+%C5%A1%C5%82");
    assert_eq!(form.urlencoded(WINDOWS_1252), "n=M%FCller+%9A%26%23322%3B");
    let (_, body) = form.multipart(WINDOWS_1252);
    assert!(body.windows(7).any(|seven| seven == b"M\xFCller "), "{body:?}");
    let own = page.replace("<form>", "<form accept-charset='x utf-8 latin1'>");
    assert_eq!(fill(&own, "form", &[]).unwrap().urlencoded(WINDOWS_1252), form.urlencoded(UTF_8));
}
