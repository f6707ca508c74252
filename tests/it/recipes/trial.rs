//! `lotse portal test` and `lotse portal try`, as a person runs them.

use lotse::sim::pages::{SHARE, Twist};
use serde_json::json;

use super::desk;
use crate::support::{Setup, root};

#[tokio::test(flavor = "multi_thread")]
async fn shipped_recipes_and_the_eighth_hold_their_samples() {
    let site = Setup::new().write();
    let mut files: Vec<String> = std::fs::read_dir(root().join("config/portals"))
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    files.push(root().join("tests/it/recipes/sms-slip.toml").display().to_string());
    let arguments: Vec<&str> =
        ["portal", "test"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let told = site.cli(&arguments).await.ok();
    assert!(told.lines().filter(|line| line.starts_with("  ok")).count() >= 24, "{told}");
    assert!(!told.contains("FAILED"), "{told}");

    let broken = site.folder().join("broken.toml");
    std::fs::write(&broken, "recipe = 1\ntitle = \"x\"\n\n[[steps]]\ngte = \"{link}\"\n").unwrap();
    let ended = site.cli(&["portal", "test", broken.to_str().unwrap()]).await;
    assert_eq!(ended.code, 65);
    assert!(ended.stderr.contains("broken.toml:5: gte: unknown field"), "{}", ended.stderr);

    let text = std::fs::read_to_string(root().join("config/portals/birth-date-form.toml")).unwrap();
    let changed = site.folder().join("changed.toml");
    std::fs::write(&changed, text.replacen("form#login", "form#signin", 1)).unwrap();
    let ended = site.cli(&["portal", "test", changed.to_str().unwrap()]).await;
    assert_eq!(ended.code, 65);
    let wanted = "FAILED  the right birth date\n          step 2 \"login\": it ends `portal-changed`, and should end \
                  `done`: the page has no form form#signin; found instead: ";
    assert!(ended.stdout.contains(wanted), "{}", ended.stdout);
    let elsewhere = text.replacen("[match]", "[match]\nhosts = [\"portal.clinic.example\"]", 1);
    std::fs::write(&changed, elsewhere).unwrap();
    let ended = site.cli(&["portal", "test", changed.to_str().unwrap()]).await;
    let wanted = "its link goes to portal.example.org, which is not among hosts under [match]";
    assert!(ended.code == 65 && ended.stderr.contains(wanted), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_shows_the_way_and_no_secret_and_imports_nothing() {
    let desk = desk(Twist::None).await;
    let site = Setup::new().portals_on_loopback().write();
    let recipe = root().join("config/portals/birth-date-form.toml");
    let link = format!("{}/s/{SHARE}", desk.pages.origin());
    let birth_date = desk.hospital.world.sample.birth_date();
    let arguments = ["portal", "try", recipe.to_str().unwrap()];
    let input = json!({ "link": link, "answers": { "PAT_BIRTH_DATE": birth_date } }).to_string();
    let ended = site.cli_with(&arguments, &input).await;
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, 0, "{told}");
    for wanted in [
        "Step 1 \"page\": open {link}",
        "Step 2 \"login\": fill in and send the form form#login",
        "127.0.0.1 answered: status 200 (fine), a web page",
        "the list files has 1 entries",
        "Step 3 \"files\": download {item.address}, for each of the files",
        "File 1: ZIP, ",
        "The recipe works for this link: 1 file came. Nothing was imported.",
    ] {
        assert!(told.contains(wanted), "{wanted} is missing in\n{told}");
    }
    for secret in [SHARE, birth_date, "05.11.1956", "sid=", "/dl/", "csrf"] {
        assert!(!told.contains(secret), "{secret} is in\n{told}");
    }
    assert!(!site.data_dir().exists(), "nothing is kept");

    let ended = site.cli_with(&arguments, &link).await;
    assert_eq!(ended.code, 1);
    let wanted = "The recipe asks for birthDate (Geburtsdatum der Patientin oder des Patienten). Give it on \
                  standard input as {\"link\": \"…\", \"answers\": {\"birthDate\": \"1970-01-31\"}}";
    assert!(ended.stdout.contains(wanted), "{}", ended.stdout);
    let wrong = json!({ "link": link, "answers": { "birthDate": "1999-01-01" } }).to_string();
    let ended = site.cli_with(&arguments, &wrong).await;
    assert!(ended.stderr.contains("did not accept the answer"), "{}", ended.stderr);
    assert_eq!(desk.pages.logins(), 2);

    // A portal that has changed: where the trial ended, what it looked for, what is there.
    desk.pages.twist(Twist::Changed);
    let ended = site.cli_with(&arguments, &input).await;
    assert_eq!(ended.code, 1);
    for wanted in [
        "  found instead: the answer has status 200, is text/html, ",
        "the page has the forms form#login (fields: csrf, dob)",
        "The trial ended in step 2 \"login\". Nothing was imported.",
    ] {
        assert!(ended.stdout.contains(wanted), "{wanted} is missing in\n{}", ended.stdout);
    }
    assert!(
        ended.stderr.contains("the form form#login has no field `birthdate`"),
        "{}",
        ended.stderr
    );
    assert_eq!(desk.pages.logins(), 2);
    desk.hospital.stop().await;
}
