//! Recipes, each from the link to the PACS: simulated portals over real HTTP, and a real Orthanc.

mod hostile;
mod orthanc;
mod person;
mod trial;

use std::io::Cursor;
use std::path::Path;

use lotse::gateway::ClockSource;
use lotse::import::{Import, ImportId, Request, State, StudyState};
use lotse::sim::pages::{self, Pages, SHARE, Twist};

use crate::hospital::{self, Answered, Hospital, Order, actor};
use crate::support::root;

const SLICES: u16 = 3;

/// A gateway whose folder of recipes has the shipped ones, for the hosts of the simulated portals.
pub(super) struct Desk {
    pub(super) hospital: Hospital,
    pub(super) pages: Pages,
    _recipes: tempfile::TempDir,
}

/// The shipped recipe, for a host on loopback: what a site does that copies it.
fn copied(name: &str, host: &str) -> String {
    let text = std::fs::read_to_string(root().join("config/portals").join(name)).unwrap();
    let hosts = format!("hosts = [\"{host}\"]");
    let text = text.replace("hosts = [\"code.portal.example.org\"]", "");
    if text.contains("[match]") {
        return text.replacen("[match]", &format!("[match]\n{hosts}"), 1);
    }
    text.replacen("[limits]", &format!("[match]\n{hosts}\nlink = '^/zip/'\n[limits]"), 1)
}

/// The form for the birth date, with the patient whom its list of files may show.
fn witnessed(text: &str) -> String {
    let fields = "fields = { birthdate = \"{birthDate}\" }";
    let shown = format!("{fields}\nextract = {{ who = {{ css = \"#who\", optional = true }} }}");
    let text = text.replacen("[[samples]]", "[patient]\nname = \"{who}\"\n[[samples]]", 1);
    if text.contains(fields) {
        text.replacen(fields, &shown, 1)
    } else {
        text.replacen("[patient]\nname = \"{who}\"\n", "", 1)
    }
}

/// Without the samples, whose links belong to the recipe as shipped.
fn unsampled(text: &str) -> String {
    text.split("[[samples]]").next().unwrap().to_owned()
}

pub(super) async fn desk(twist: Twist) -> Desk {
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().to_owned();
    let hospital = Hospital::start_with(SLICES, ClockSource::System, |text| {
        let text =
            text.replace("hosts = [\"127.0.0.1\"]", "hosts = [\"127.0.0.1\", \"localhost\"]");
        format!("{text}\n[fetch]\nrecipes = {written:?}\n")
    });
    // The portal's address stands in the recipe for codes, so it is there before the gateway.
    let sample = lotse::sim::sample::Sample::new(SLICES);
    let mut zip = Cursor::new(Vec::new());
    sample.write_zip(&mut zip).unwrap();
    let config = pages::Config {
        zip: zip.into_inner().into(),
        birth_date: sample.birth_date().to_owned(),
        twist,
        packing: 3,
    };
    let pages = Pages::start(config).await.unwrap();
    write_recipes(folder.path(), &pages);
    let hospital = hospital.await;
    Desk { hospital, pages, _recipes: folder }
}

fn write_recipes(folder: &Path, pages: &Pages) {
    let shipped = [
        "direct-zip",
        "birth-date-form",
        "entry-code",
        "packaging-api",
        "ambra",
        "orthanc-archive",
    ];
    for name in shipped {
        let text = copied(&format!("{name}.toml"), "127.0.0.1");
        let text = text.replace("https://code.portal.example.org", &pages.origin());
        let text = witnessed(&text);
        std::fs::write(folder.join(format!("{name}.toml")), unsampled(&text)).unwrap();
    }
    for name in ["orthanc-dicomweb", "share-dicomweb"] {
        let text = copied(&format!("{name}.toml"), "localhost");
        std::fs::write(folder.join(format!("{name}.toml")), unsampled(&text)).unwrap();
    }
    let text = std::fs::read_to_string(root().join("tests/it/recipes/sms-slip.toml")).unwrap();
    let text = text.replace("hosts = [\"slip.portal.example.org\"]", "hosts = [\"127.0.0.1\"]");
    std::fs::write(folder.join("sms-slip.toml"), unsampled(&text)).unwrap();
}

impl Desk {
    /// What a person pastes or types, with the right birth date.
    pub(super) async fn import(&self, text: &str) -> ImportId {
        self.import_as(text, self.hospital.world.sample.birth_date()).await
    }

    pub(super) async fn import_as(&self, text: &str, birth_date: &str) -> ImportId {
        let pipeline = &self.hospital.gateway.pipeline;
        let link = pipeline.link(text).unwrap_or_else(|| panic!("{text} is no link"));
        let named = hospital::request(&self.hospital.world, Answered::No, Order::Named);
        let answers = [("PAT_BIRTH_DATE".to_owned(), birth_date.to_owned())].into();
        pipeline.admit(Request { link: Some(link), answers, ..named }, actor()).await.unwrap()
    }

    /// Waits until the PACS has it all.
    pub(super) async fn delivered(&self, id: ImportId) -> std::sync::Arc<Import> {
        let import = self.hospital.closed(id).await;
        assert_eq!(import.instances.len(), usize::from(SLICES) + 1, "slices and the report");
        for study in &import.studies {
            let StudyState::Confirmed { work, .. } = &study.state else {
                panic!("{}", hospital::shown(&import));
            };
            let delivered: usize =
                work.deliveries.iter().map(|delivery| delivery.delivered()).sum();
            assert_eq!(delivered, study.instances.len());
        }
        import
    }

    /// Waits until a person has to look, and gives the sentence.
    pub(super) async fn failed(&self, id: ImportId) -> String {
        let failed = |import: &Import| matches!(import.state, State::Failed { .. });
        match &self.hospital.wait(id, "Failed", failed).await.state {
            State::Failed { sentence, .. } => sentence.clone(),
            _ => unreachable!(),
        }
    }

    pub(super) async fn asked(&self, id: ImportId) -> (Vec<String>, Option<String>) {
        let asking = |import: &Import| matches!(import.state, State::Asking { .. });
        match &self.hospital.wait(id, "Asking", asking).await.state {
            State::Asking { questions, note, .. } => {
                (questions.iter().map(|asked| asked.key.clone()).collect(), note.clone())
            }
            _ => unreachable!(),
        }
    }
}

/// What opens each simulated portal.
pub(super) fn links(pages: &Pages) -> [(&'static str, String); 5] {
    let at = |path: &str| format!("{}{path}", pages.origin());
    [
        ("direct-zip", at("/zip/3b1f?token=T")),
        ("birth-date-form", at(&format!("/s/{SHARE}"))),
        ("entry-code", "qx7a-b3c9 4d2e".to_owned()),
        ("packaging-api", at(&format!("/app?share={SHARE}"))),
        ("ambra", at("/link/1a2b3c4d-0000-4000-8000-5e6f7a8b9c0d")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn five_kinds_of_portals_end_in_the_pacs() {
    let desk = desk(Twist::None).await;
    let mut logins = 0;
    for (name, link) in links(&desk.pages) {
        let id = desk.import(&link).await;
        let import = desk.delivered(id).await;
        assert!(import.bookmark.is_none(), "{name}");
        logins += u32::from(name != "direct-zip");
        assert_eq!(desk.pages.logins(), logins, "{name}: credentials go once");
        println!("{name}: {} instances delivered", import.instances.len());
    }
    desk.hospital.stop().await;
}
