//! The portal's patient as a witness.

use super::*;

const STEPS: &str = r##"[[inputs]]
name = "born"
kind = "birth-date"
[[steps]]
post = "{link.origin}/in"
form = { dob = "{born}" }
[steps.extract]
family = { json = "/family", optional = true }
given = { json = "/given", optional = true }
date = { json = "/born", optional = true }
sex = { json = "/sex", optional = true }
number = { json = "/pid", optional = true }
[steps.list.studies]
json = "/studies"
fields = { id = "/id", who = "/who" }
[[steps]]
download = "/f/{item.id}"
each = "studies"
"##;

fn recipe_of(patient: &str, answer: &str, wanted: &str) -> String {
    format!(
        "recipe = 1\ntitle = \"t\"\n{STEPS}{patient}\n[[samples]]\nname = \"s\"\nlink = \"https://p.example/x\"\n\
         answers = {{ born = \"1970-01-31\" }}\nends = \"done\"\n{wanted}\n\
         [[samples.exchanges]]\nrequest = \"POST https://p.example/in\"\nanswer = '{answer}'\n\
         [[samples.exchanges]]\nrequest = \"GET https://p.example/f/1\"\nanswer-file = \"zip\"\n\
         [[samples.exchanges]]\nrequest = \"GET https://p.example/f/2\"\nanswer-file = \"zip\"\n"
    )
}

const ALL: &str = "[patient]\nname = \"{family}, {given}\"\nbirth-date = \"{date}\"\nformat = \"MM/DD/YYYY\"\n\
                   sex = \"{sex}\"\nid = \"{number}\"";

fn answer(fields: &str) -> String {
    format!(
        r#"{{{fields}"studies":[{{"id":1,"who":"Muster^Eva"}},{{"id":2,"who":"Muster^Eva"}}]}}"#
    )
}

async fn told(patient: &str, answer: &str, wanted: &str) -> Option<String> {
    let text = recipe_of(patient, answer, wanted);
    Recipe::parse("x.toml", &text).unwrap().replay().await.unwrap()[0].fault.clone()
}

#[tokio::test]
async fn what_the_portal_shows_becomes_a_patient() {
    let fields =
        r#""family":"Muster","given":"Eva","born":"02/01/1970","sex":"weiblich","pid":"F-77","#;
    let wanted = |text: &str| format!("patient = {{ {text} }}");
    let whole =
        wanted("name = \"Muster^Eva\", birth-date = \"1970-02-01\", sex = \"F\", id = \"F-77\"");
    assert_eq!(told(ALL, &answer(fields), &whole).await, None);
    let other =
        wanted("name = \"Muster^Eva\", birth-date = \"1970-01-02\", sex = \"F\", id = \"F-77\"");
    let fault = told(ALL, &answer(fields), &other).await.unwrap();
    assert!(fault.contains("[patient] gives another `birth-date`"), "{fault}");
    // What is not there, or cannot be read, is no witness.
    assert_eq!(told(ALL, &answer(""), &wanted("")).await, None);
    let unread = r#""born":"31.02.1970","sex":"eins","#;
    assert_eq!(told(ALL, &answer(unread), &wanted("")).await, None);
    // Of a list, what all entries agree on.
    let each = "[patient]\neach = \"studies\"\nname = \"{item.who}\"";
    assert_eq!(told(each, &answer(""), &wanted("name = \"Muster^Eva\"")).await, None);
    let mixed = answer("").replacen("Muster", "Beispiel", 1);
    assert_eq!(told(each, &mixed, &wanted("")).await, None);
}

#[test]
fn what_was_typed_is_no_witness_and_what_is_not_extracted_neither() {
    for (patient, wanted) in [
        ("[patient]\nbirth-date = \"{born}\"", "birth-date: what a person typed proves nothing"),
        ("[patient]\nname = \"{nobody}\"", "name: no step gives `{nobody}` a value"),
        ("[patient]\nname = \"{item.who}\"", "name: no step gives `{item.who}`"),
        (
            "[patient]\neach = \"files\"\nname = \"{item.who}\"",
            "each: no step makes a list `files`",
        ),
        ("[patient]\nname = \"{family}\"\nformat = \"YYYYMMDD\"", "format: this is how"),
        ("[patient]\nbirth-date = \"{date}\"\nformat = \"YYYY\"", "format: this is how"),
        ("[patient]\neach = \"studies\"", "patient: say what the portal shows"),
        ("[patient]\nborn = \"{date}\"", "born: unknown field"),
    ] {
        let error = Recipe::parse("x.toml", &recipe_of(patient, "{}", "")).err().unwrap();
        let told = error.to_string();
        assert!(told.contains(wanted), "{told}\nwanted: {wanted}");
    }
}
