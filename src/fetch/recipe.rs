//! Recipes: portals without DLX, driven as a text file says.
//!
//! Owns the recipes there are, which link each is for, and how one is carried out. A recipe is read as a
//! whole or refused with file, line and key; nothing in it is code, and nothing of it goes around the guarded
//! client. Invariants: requests go to the hosts of the recipe, its link and its `[portals.NAME]` section
//! only; every loop, size, wait and pattern is bounded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Error, FetchSection, Halt, Observer, Pull, Pulled};
use crate::import::{Bookmark, Link, Question};
use crate::web::{self, PortalSection, Visit};

mod file;
mod hosts;
mod html;
mod input;
mod outcome;
mod page;
mod patient;
mod run;
mod sample;
mod shelf;
mod shipped;
mod state;
mod template;
mod told;
mod trace;

pub use file::Fault;
pub use outcome::Outcome;
pub use sample::Replayed;
pub use shelf::Seen;
pub use trace::{Silent, Trace};

use run::{Ending, Pace, Run};
use shelf::Shelf;
use state::State;

/// A site has a handful.
const MOST_RECIPES: usize = 500;

/// One recipe.
pub struct Recipe {
    name: String,
    file: file::File,
    digest: String,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipe({})", self.name)
    }
}

/// Why the recipes of a site cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("{0}")]
    Fault(#[from] Fault),
    #[error("the folder of recipes {path} cannot be read: {why}")]
    Folder { path: String, why: String },
    #[error(
        "[portals.{section}] names the recipe `{recipe}`, which does not exist; there are {known}"
    )]
    Missing { section: String, recipe: String, known: String },
    #[error("there are more than {MOST_RECIPES} recipes in {path}")]
    TooMany { path: String },
}

impl Recipe {
    /// Reads a recipe; `file` is how a person knows it, its stem is the recipe's name.
    ///
    /// # Errors
    /// The first fault with line and key.
    pub fn parse(file: &str, text: &str) -> Result<Self, Fault> {
        let name = Path::new(file).file_stem().map_or(file.into(), |stem| stem.to_string_lossy());
        let digest = Sha256::digest(text.as_bytes());
        let digest = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name: name.into_owned(), file: file::parse(file, text)?, digest })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// How many recorded samples it has.
    pub fn samples(&self) -> usize {
        self.file.samples.len()
    }

    /// A link made of a typed code or of what a QR code says.
    pub fn link(&self, text: &str) -> Option<Link> {
        self.file.rules.made(text)
    }

    /// Why the gateway would not use this recipe for a link by itself; `None` if it would, or if
    /// `[portals.NAME]` has to say so.
    pub fn passes_over(&self, link: &Link) -> Option<String> {
        let (rules, host) = (&self.file.rules, host_of(link.url()));
        if !rules.names(&host) {
            return Some(format!(
                "{host} is not among hosts under [match], so the gateway uses this recipe for the link only if a \
                 [portals.NAME] section with this host names it"
            ));
        }
        let pattern = rules.link.as_ref().filter(|pattern| !pattern.is_match(&tail(link.url())))?;
        Some(format!(
            "the link does not fit `link` under [match], which is `{}`, so the gateway would not use this recipe for it",
            pattern.as_str()
        ))
    }

    fn fits(&self, link: &Url) -> bool {
        self.file.rules.link.as_ref().is_none_or(|pattern| pattern.is_match(&tail(link)))
    }

    /// All hosts that a visit may reach.
    fn hosts_for(&self, link: &Url, section: &[String]) -> Vec<String> {
        let own = self.file.rules.hosts.iter().chain(&self.file.limits.hosts);
        let mut hosts: Vec<String> = own.map(|host| host.name().to_owned()).collect();
        hosts.extend(section.iter().cloned());
        hosts.extend(link.host_str().map(str::to_owned));
        hosts
    }

    /// Whether a step before this one brings files, which a bookmark of an earlier release does not tell of.
    fn brought_before(&self, step: usize) -> bool {
        self.file.steps.iter().take(step).any(|step| step.get_ref().brings())
    }

    /// The state before the first step.
    fn start(&self, link: &Link) -> State {
        let groups =
            self.file.rules.link.as_ref().and_then(|link_of| link_of.groups(&tail(link.url())));
        State {
            recipe: self.name.clone(),
            digest: self.digest.clone(),
            values: groups.unwrap_or_default(),
            ..State::default()
        }
    }

    fn run<'a>(
        &'a self,
        link: &'a Link,
        answers: &'a BTreeMap<String, String>,
        section: &'a FetchSection,
        (observer, trace): (&'a dyn Observer, &'a dyn Trace),
        visit: Visit,
        state: State,
    ) -> Run<'a> {
        Run {
            recipe: self,
            link,
            answers,
            section,
            observer,
            trace,
            visit,
            state,
            shelf: Shelf::nowhere(),
            before_files: None,
            pace: Pace::Real,
            requests: 0,
            announced: false,
        }
    }
}

/// As hosts are compared.
fn host_of(link: &Url) -> String {
    let host = link.host_str().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Path and query, which the `link` pattern looks at.
fn tail(link: &Url) -> String {
    match link.query() {
        Some(query) => format!("{}?{query}", link.path()),
        None => link.path().to_owned(),
    }
}

/// A recipe for a link, with the hosts of the `[portals.NAME]` section that bound it.
#[derive(Clone)]
pub(super) struct Chosen {
    recipe: Arc<Recipe>,
    hosts: Vec<String>,
}

/// All recipes of a site. Cheap to clone; empty by default.
#[derive(Clone, Default)]
pub struct Recipes {
    all: Arc<Vec<Arc<Recipe>>>,
    /// Hosts of `[portals.NAME]` sections that name a recipe.
    bound: Arc<Vec<Chosen>>,
}

impl Recipes {
    /// Those that come with Lotse, and those of the site's folder, which take the place of shipped ones of
    /// the same name; `[portals.NAME] recipe` binds hosts to one.
    ///
    /// # Errors
    /// The first recipe that cannot be used.
    pub fn load(
        folder: Option<&Path>,
        portals: &BTreeMap<String, PortalSection>,
    ) -> Result<Self, Unusable> {
        let mut all = BTreeMap::new();
        for (file, text) in shipped::SHIPPED {
            let recipe = Recipe::parse(file, text)?;
            all.insert(recipe.name.clone(), Arc::new(recipe));
        }
        for recipe in folder.map(of_folder).transpose()?.unwrap_or_default() {
            all.insert(recipe.name.clone(), Arc::new(recipe));
        }
        let mut bound = Vec::new();
        for (section, portal) in portals {
            let Some(name) = &portal.recipe else { continue };
            let recipe = all.get(name).ok_or_else(|| Unusable::Missing {
                section: section.clone(),
                recipe: name.clone(),
                known: all.keys().cloned().collect::<Vec<_>>().join(", "),
            })?;
            bound.push(Chosen { recipe: Arc::clone(recipe), hosts: portal.hosts.clone() });
        }
        Ok(Self { all: Arc::new(all.into_values().collect()), bound: Arc::new(bound) })
    }

    pub fn all(&self) -> impl Iterator<Item = &Recipe> {
        self.all.iter().map(Arc::as_ref)
    }

    /// A link made of a code or of what a QR code says; what is a link already stays one.
    pub fn link(&self, text: &str) -> Option<Link> {
        Link::new(text).or_else(|| self.all.iter().find_map(|recipe| recipe.link(text)))
    }

    /// The recipe for a link: one that its portal section names, else one that names the host.
    pub(super) fn of(&self, link: &Url) -> Option<Chosen> {
        let host = link.has_host().then(|| host_of(link))?;
        let is_host =
            |named: &String| named.trim().trim_end_matches('.').eq_ignore_ascii_case(&host);
        let bound = self.bound.iter().find(|chosen| chosen.hosts.iter().any(is_host));
        if let Some(chosen) = bound {
            return chosen.recipe.fits(link).then(|| chosen.clone());
        }
        let names = |recipe: &&Arc<Recipe>| {
            recipe.file.rules.hosts.iter().any(|named| named.covers(&host)) && recipe.fits(link)
        };
        let recipe = self.all.iter().find(names)?;
        Some(Chosen { recipe: Arc::clone(recipe), hosts: vec![] })
    }
}

fn of_folder(folder: &Path) -> Result<Vec<Recipe>, Unusable> {
    let path = || folder.display().to_string();
    let unreadable =
        |error: std::io::Error| Unusable::Folder { path: path(), why: error.to_string() };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|ending| ending == "toml") {
            files.push(file);
        }
        if files.len() > MOST_RECIPES {
            return Err(Unusable::TooMany { path: path() });
        }
    }
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let unreadable = |error: std::io::Error| Unusable::Folder {
            path: file.display().to_string(),
            why: error.to_string(),
        };
        let length = std::fs::metadata(file).map_err(unreadable)?.len();
        if length > file::LARGEST as u64 {
            let why = "it is too large for a recipe".to_owned();
            return Err(Unusable::Folder { path: file.display().to_string(), why });
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        Ok(Recipe::parse(&file.display().to_string(), &text)?)
    };
    files.iter().map(read).collect()
}

/// One attempt at a link that has a recipe.
pub(super) async fn pull(
    client: &web::Client,
    pull: &Pull,
    chosen: &Chosen,
) -> Result<Pulled, Halt> {
    let recipe = chosen.recipe.as_ref();
    let state = match resumed(recipe, pull.bookmark.as_ref()) {
        Resumed::From(state) => *state,
        Resumed::Start => recipe.start(&pull.link),
        Resumed::Changed => {
            return Err(Error::RecipeChanged { host: pull.link.host().to_owned() }.into());
        }
    };
    let hosts = recipe.hosts_for(pull.link.url(), &chosen.hosts);
    let visit = Visit::new(client, &hosts, recipe.file.limits.redirects, state.jar.clone());
    let (observer, trace) = (pull.observer.as_ref(), &Silent);
    let run = recipe.run(&pull.link, &pull.answers, &pull.section, (observer, trace), visit, state);
    let run = Run { shelf: Shelf::of(pull.spool.clone()), ..run };
    let time = recipe.file.limits.time.unwrap_or(pull.section.deadline).min(pull.section.deadline);
    Ok(match Box::pin(run.within(time)).await? {
        Ending::Asked { questions, note } => Pulled::Asked { questions, note },
        Ending::Preparing { wait } => Pulled::Preparing { wait, session: None },
        Ending::Done { files, portal, .. } => Pulled::Done { files, portal },
    })
}

enum Resumed {
    Start,
    From(Box<State>),
    /// The steps are not those that were begun.
    Changed,
}

/// Where a bookmark goes on. One that waits for an answer, and got one, goes on with it; one that waits and
/// got none asks again.
fn resumed(recipe: &Recipe, bookmark: Option<&Bookmark>) -> Resumed {
    let Some(bookmark) = bookmark else {
        return Resumed::Start;
    };
    match State::unpack(bookmark) {
        Some(state)
            if (&state.recipe, &state.digest) == (&recipe.name, &recipe.digest)
                && (state.empty || !recipe.brought_before(state.next)) =>
        {
            Resumed::From(Box::new(State { answered: bookmark.answered, ..state }))
        }
        // Nothing was sent that must not be sent again.
        Some(state) if !state.spent => Resumed::Start,
        Some(_) if bookmark.answered => Resumed::Start,
        _ => Resumed::Changed,
    }
}

/// How a trial ended.
pub enum Tried {
    Asked { questions: Vec<Question>, note: Option<String>, bookmark: Option<Bookmark> },
    Preparing { wait: std::time::Duration, bookmark: Option<Bookmark> },
    Done { files: Vec<Seen> },
}

/// One attempt without an import: every request is made, the files are looked at and let go.
///
/// # Errors
/// As a pull.
pub async fn try_link(
    client: &web::Client,
    recipe: &Recipe,
    (link, answers, bookmark): (&Link, &BTreeMap<String, String>, Option<&Bookmark>),
    section: &FetchSection,
    hosts: &[String],
    trace: &dyn Trace,
) -> Result<Tried, Error> {
    let state = match resumed(recipe, bookmark) {
        Resumed::From(state) => *state,
        Resumed::Start | Resumed::Changed => recipe.start(link),
    };
    let hosts = recipe.hosts_for(link.url(), hosts);
    let visit = Visit::new(client, &hosts, recipe.file.limits.redirects, state.jar.clone());
    let keeper = Silence::default();
    let run = recipe.run(link, answers, section, (&keeper, trace), visit, state);
    match Box::pin(run.within(section.deadline)).await {
        Ok(Ending::Asked { questions, note }) => {
            Ok(Tried::Asked { questions, note, bookmark: keeper.kept() })
        }
        Ok(Ending::Preparing { wait }) => Ok(Tried::Preparing { wait, bookmark: keeper.kept() }),
        Ok(Ending::Done { seen, .. }) => Ok(Tried::Done { files: seen }),
        Err(Halt::Fault(error)) => Err(error),
        Err(Halt::Ended(_)) => Err(Error::Cancelled),
    }
}

/// Keeps a bookmark in memory, for trials and recordings.
#[derive(Default)]
struct Silence(Mutex<Option<Bookmark>>);

impl Silence {
    fn kept(&self) -> Option<Bookmark> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait::async_trait]
impl Observer for Silence {
    fn downloading(&self, _: Option<u64>, _: Option<u64>) {}

    fn received(&self, _: u64) {}

    async fn keep(&self, bookmark: &Bookmark) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bookmark.clone());
        true
    }
}

/// For fuzzing: reads a recipe, and a page as a recipe would.
pub fn look_at(text: &str) {
    let _ = file::parse("fuzzed.toml", text);
}

/// For fuzzing: a page with its forms; what would be sent has every name that was filled in.
pub fn look_at_page(text: &str) {
    let Ok(page) = html::Page::parse(text) else { return };
    for css in ["form", "form input[name]", "#a > b.c, a[href^='/']", "*"] {
        let Ok(selector) = html::select::Selector::try_from(css.to_owned()) else { continue };
        for id in page.select(&selector) {
            let _ = (page.text(id), page.attribute(id, "href"));
        }
        if let Ok(form) = page.fill(&selector, &html::Fields::new(), None) {
            let utf_8 = encoding_rs::UTF_8;
            let _ = (form.urlencoded(utf_8), form.multipart(utf_8));
        }
    }
}

#[cfg(test)]
mod tests;
