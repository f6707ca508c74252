//! Recipes as text; whole visits are tested against simulated portals and a real Orthanc, in `tests/it/recipes`.

use super::*;

fn fault(text: &str) -> String {
    Recipe::parse("/etc/lotse/portals/x.toml", text).unwrap_err().to_string()
}

fn recipe(rest: &str) -> String {
    format!("recipe = 1\ntitle = \"t\"\n{rest}\n[[steps]]\ndownload = \"{{link}}\"\n")
}

#[tokio::test]
async fn every_shipped_recipe_does_what_was_recorded() {
    let mut samples = 0;
    for (name, text) in shipped::SHIPPED {
        let recipe = Recipe::parse(name, text).unwrap();
        assert!(recipe.samples() > 0, "{name} has no sample");
        for replayed in recipe.replay().await.unwrap() {
            assert_eq!(replayed.fault, None, "{name}, {}", replayed.name);
            samples += 1;
        }
    }
    assert!(samples >= 20, "{samples}");
}

#[test]
fn the_folder_and_the_binary_have_the_same_recipes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/portals");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, shipped::SHIPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[test]
fn faults_name_file_line_and_key() {
    for (text, wanted) in [
        (
            "recipe = 2\ntitle = \"t\"\n[[steps]]\nget = \"x\"",
            "x.toml:1: recipe: this release reads",
        ),
        (&recipe("[limits]\nhots = []"), "x.toml:4: hots: unknown field `hots`"),
        (&recipe("[limits]\nsize = \"5\""), "x.toml:4: size: a size has a unit"),
        (&recipe("[match]\nlink = '('"), "x.toml:4: link: this pattern cannot be read"),
        (&recipe("[match]\nhosts = [\"https://x\"]"), "x.toml:4: hosts: a host is a name"),
        (&recipe("[[inputs]]\nname = \"a b\"\nkind = \"text\""), "x.toml:3: name: an input's name"),
        (
            &recipe("[[steps]]\nget = \"{nope}\""),
            "x.toml:3: get: nothing before this step gives `{nope}`",
        ),
        (&recipe("[[steps]]\nget = \"{\""), "x.toml:4: get: a value stands in braces"),
        (
            &recipe("[[steps]]\nsubmit = \"form\""),
            "x.toml:3: submit: no step before this one reads",
        ),
        (&recipe("[[steps]]\nget = \"a\"\npost = \"b\""), "x.toml:3: steps: a step is one of"),
        (
            &recipe("[[steps]]\nget = \"a\"\nfields = { a = \"b\" }"),
            "x.toml:3: fields: this key does not go",
        ),
        (
            &recipe("[[steps]]\nget = \"a\"\nheaders = { Cookie = \"b\" }"),
            "x.toml:3: headers: `Cookie` is set",
        ),
        (
            &recipe("[[steps]]\nget = \"a\"\nextract = { v = { json = \"a\" } }"),
            "x.toml:5: extract: a JSON pointer",
        ),
        (
            &recipe("[[steps]]\nget = \"a\"\nextract = { v = {} }"),
            "x.toml:3: extract.v: name one place",
        ),
        (
            &recipe("[[outcomes]]\noutcome = \"odd\"\nwhen = {}"),
            "x.toml:4: outcome: unknown variant `odd`",
        ),
        (
            &recipe("[[outcomes]]\noutcome = \"locked\"\nwhen = {}"),
            "x.toml:3: when: say what holds",
        ),
        (
            "recipe = 1\ntitle = \"t\"\n[[inputs]]\nname = \"pin\"\nkind = \"password\"\n[[steps]]\ndownload = \"/{pin}\"",
            "x.toml:6: download: an answer is sent once",
        ),
        ("recipe = 1\ntitle = \"t\"\n[[steps]]\nget = \"{link}\"", "steps: no step brings a file"),
        ("recipe = ", "x.toml:1: recipe"),
    ] {
        let told = fault(text);
        assert!(told.contains(wanted), "{told}\nwanted: {wanted}");
    }
    assert!(fault(&"#".repeat(2 << 20)).contains("larger"));
}

#[test]
fn recipes_are_found_by_section_host_and_pattern() {
    let folder = tempfile::tempdir().unwrap();
    let own = recipe("[match]\nhosts = [\"*.clinic.example\"]\nlink = '^/s/'");
    std::fs::write(folder.path().join("own.toml"), own).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no recipe").unwrap();
    let section = PortalSection {
        hosts: vec!["Bound.example.".to_owned()],
        recipe: Some("direct-zip".to_owned()),
        ..PortalSection::default()
    };
    let portals = BTreeMap::from([("bound".to_owned(), section.clone())]);
    let recipes = Recipes::load(Some(folder.path()), &portals).unwrap();
    let of = |link: &str| {
        recipes.of(&Url::parse(link).unwrap()).map(|chosen| chosen.recipe.name().to_owned())
    };
    assert_eq!(of("https://a.clinic.example/s/1").as_deref(), Some("own"));
    assert_eq!(of("https://a.clinic.example/t/1"), None);
    assert_eq!(of("https://clinic.example/s/1"), None);
    assert_eq!(of("https://evilclinic.example/s/1"), None);
    assert_eq!(of("https://bound.EXAMPLE/x").as_deref(), Some("direct-zip"));
    assert_eq!(of("https://portal.example.org/s/1"), None);

    let made = recipes.link(" ab12-cd34 ef56 ").unwrap();
    assert_eq!(made.url().as_str(), "https://code.portal.example.org/entry?code=AB12CD34EF56");
    assert!(recipes.link("SHARE:AB12CD34EF56").is_some());
    assert!(recipes.link("ab12").is_none());
    assert_eq!(recipes.link("https://x.example/").unwrap().host(), "x.example");

    let missing = PortalSection { recipe: Some("nope".to_owned()), ..section };
    let error = Recipes::load(None, &BTreeMap::from([("x".to_owned(), missing)])).err().unwrap();
    assert!(error.to_string().contains("[portals.x] names the recipe `nope`"), "{error}");
    std::fs::write(folder.path().join("bad.toml"), "recipe = 1\nwhat = 2\n").unwrap();
    let error = Recipes::load(Some(folder.path()), &BTreeMap::new()).err().unwrap();
    assert!(error.to_string().contains("bad.toml:2: what: "), "{error}");
}

#[tokio::test]
async fn a_sample_that_does_not_hold_is_told() {
    let text = recipe(
        "[[samples]]\nname = \"s\"\nlink = \"https://p.example/x\"\nends = \"done\"\nexchanges = []",
    );
    let replayed = Recipe::parse("x.toml", &text).unwrap().replay().await.unwrap();
    let fault = replayed[0].fault.clone().unwrap();
    assert!(fault.contains("request 1 was not recorded: GET https://p.example/x"), "{fault}");
}

#[test]
fn a_session_is_no_text_for_a_log() {
    let bookmark = Bookmark { state: "secret".to_owned(), answered: false };
    assert!(!format!("{bookmark:?}").contains("secret"));
}

mod dicomweb;
mod doubt;
mod pages;
mod patient;
mod samples;
mod whole;
