//! The simulated hospital with a gateway in the process of the test, so that the clock and every state can be
//! held and looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lotse::clock::{Clock, Moment};
use lotse::gateway::{ClockSource, Config, Environment, Gateway};
use lotse::import::{Actor, Import, ImportId, Link, Request, State, StudyState, Tombstone};
use lotse::sim::world::World;
use lotse::web::control::Control;
use serde_json::Value;

/// What takes longer on a busy machine with two cores hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// How often something is looked at that does not tell of itself.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Waits until `found` gives something.
pub(crate) async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(DEADLINE, looking).await {
        Ok(found) => found,
        Err(_) => panic!("in vain: {what}"),
    }
}

pub(crate) fn actor() -> Actor {
    Actor("test".to_owned())
}

/// A moment as the machine's, for simulated clocks.
pub(crate) fn some_moment() -> Moment {
    Moment { wall_ms: jiff::Timestamp::now().as_millisecond(), running_ms: 1_000_000 }
}

/// The world's configuration, changed by `change`, as a file in its folder.
pub(crate) fn configure(world: &World, change: impl FnOnce(String) -> String) -> PathBuf {
    let file = world.configure().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    // Waits between attempts cost the test its time.
    let text = text.replace("longest = \"30s\"", "longest = \"1s\"");
    std::fs::write(&file, change(text)).unwrap();
    file
}

/// What a link is requested with.
pub(crate) fn request(world: &World, answered: Answered, order: Order) -> Request {
    let mut request = Request { link: Link::new(&world.portal.link()), ..Request::default() };
    if answered == Answered::Yes {
        let answer = world.sample.birth_date().to_owned();
        request.answers.insert("PAT_BIRTH_DATE".to_owned(), answer);
    }
    if order == Order::Named {
        let item = world.sample.item();
        request.patient = item.patient.id;
        request.accession_number = item.accession_number.map(|number| number.number);
    }
    request
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    Yes,
    No,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Named,
    Open,
}

pub(crate) struct Hospital {
    pub(crate) world: World,
    pub(crate) gateway: Gateway,
    pub(crate) control: Control,
    pub(crate) file: PathBuf,
}

impl Hospital {
    pub(crate) async fn start(slices: u16) -> Self {
        Self::start_with(slices, ClockSource::System, |text| text).await
    }

    pub(crate) async fn start_with(
        slices: u16,
        clock: ClockSource,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let world = World::start(slices).await.unwrap();
        let file = configure(&world, change);
        let gateway = open(&file, clock).await;
        let control = Control::connect(&gateway.addresses.control).await.unwrap();
        Self { world, gateway, control, file }
    }

    /// Ends the gateway and starts it again on what it left.
    pub(crate) async fn restart(self, clock: ClockSource) -> Self {
        self.gateway.stop().await.unwrap();
        let gateway = open(&self.file, clock).await;
        let control = Control::connect(&gateway.addresses.control).await.unwrap();
        Self { gateway, control, ..self }
    }

    pub(crate) async fn stop(self) {
        self.gateway.stop().await.unwrap();
        self.world.stop().await;
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.world.folder().join("data")
    }

    pub(crate) fn master_key(&self) -> PathBuf {
        self.world.folder().join("master.key")
    }

    pub(crate) fn import(&self, id: ImportId) -> Arc<Import> {
        self.gateway.pipeline.import(id).expect("the import is alive")
    }

    pub(crate) async fn admit(&self, answered: Answered, order: Order) -> ImportId {
        let request = request(&self.world, answered, order);
        self.gateway.pipeline.admit(request, actor()).await.unwrap()
    }

    /// Waits for a state of the import; its instances are conserved all the way.
    pub(crate) async fn wait(
        &self,
        id: ImportId,
        what: &str,
        reached: impl Fn(&Import) -> bool,
    ) -> Arc<Import> {
        let mut last = String::new();
        let looking = async {
            loop {
                let import = self.import(id);
                assert!(import.counts().is_conserved(), "{:?}", import.counts());
                if reached(&import) {
                    return import;
                }
                last = shown(&import);
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(DEADLINE, looking).await {
            Ok(import) => import,
            Err(_) => panic!("waited in vain for {what}; it was {last}"),
        }
    }

    pub(crate) async fn closed(&self, id: ImportId) -> Arc<Import> {
        self.wait(id, "Closed", |import| matches!(import.state, State::Closed { .. })).await
    }

    pub(crate) async fn buried(&self, id: ImportId) -> Tombstone {
        until("a tombstone", async || {
            self.gateway.pipeline.tombstones().into_iter().find(|stone| stone.id == id)
        })
        .await
    }

    /// Waits until the scheduler has looked at what is due a few times.
    pub(crate) async fn turns(&self) {
        let before = self.gateway.pipeline.beats();
        until("turns of the scheduler", async || {
            (self.gateway.pipeline.beats() > before + 3).then_some(())
        })
        .await;
    }

    pub(crate) async fn show(&self, id: ImportId) -> Value {
        self.control.get_json(&format!("/api/v1/imports/{id}")).await.unwrap()
    }
}

pub(crate) async fn open(file: &Path, clock: ClockSource) -> Gateway {
    let config = Config::load(Some(file), &Environment::default()).unwrap();
    Gateway::start(config, clock).await.unwrap()
}

/// A simulated clock and its source.
pub(crate) fn clock_at(moment: Moment) -> (Clock, ClockSource) {
    let clock = Clock::simulated(moment);
    (clock.clone(), ClockSource::Given(clock))
}

pub(crate) fn shown(import: &Import) -> String {
    let studies = import.studies.iter().map(|study| study.state.name());
    let why = match &import.state {
        State::Failed { sentence, .. } => sentence.as_str(),
        _ => "",
    };
    let held = import.studies.iter().find_map(|study| match &study.state {
        StudyState::Quarantined { sentence, .. } => Some(sentence.as_str()),
        _ => None,
    });
    let studies = studies.collect::<Vec<_>>();
    format!("{} {studies:?} {why}{} {:?}", import.state.name(), held.unwrap_or(""), import.counts())
}

/// The files of keys.
pub(crate) fn keys_of(data_dir: &Path) -> Vec<PathBuf> {
    let mut files = files_below(&data_dir.join("keys"));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "key"));
    files
}

/// All files below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            match path.symlink_metadata() {
                Ok(what) if what.is_dir() => folders.push(path),
                // Gone between listing and looking.
                Err(_) => {}
                Ok(_) => found.push(path),
            }
        }
    }
    found
}

/// Copies a folder as it lies there, sockets left out.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for path in files_below(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        if path.metadata().is_ok_and(|what| what.is_file()) {
            std::fs::copy(&path, &target).unwrap();
        }
    }
    // Folders that only their owner may enter are a demand of those who open them.
    let mut folders = vec![to.to_owned()];
    while let Some(folder) = folders.pop() {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        let inner = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(inner.filter(|path| path.is_dir()));
    }
}
