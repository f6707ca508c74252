//! What the doors hold: requests in, views out.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::refusal::Refusal;
use super::scheduler::Brought;
use super::shared::Shared;
use super::{Gate, Progress, Settings, Snapshot, Stay};
use crate::clock::Clock;
use crate::dicom::inspect::Found;
use crate::dicom::{Item, Patient};
use crate::expire;
use crate::fetch::Moves;
use crate::import::{
    Actor, DestinationName, Event, File, Import, ImportId, Inspected, Kind, Link, Request, Source,
    State, Tombstone,
};
use crate::spool::{Committer, ImportSpool, Promise, Sealed, Usage};
use crate::unpack::ScanSection;

/// What a person decided for a study.
#[derive(Clone)]
pub enum Choice {
    /// Items of the worklist by their IDs: one order, or several of one patient.
    Items {
        item_ids: Vec<String>,
        /// What the person saw of them, by item: see [`crate::matching::Outcome::seen`]. Those that are not in it
        /// are taken as they are.
        seen: BTreeMap<String, String>,
        /// How often the person has looked at those that are no candidates of the study.
        looked: Seen,
    },
    NoOrder {
        patient: Patient,
        seen: Seen,
    },
    Reject,
}

/// How often a person has looked at a patient whom the rules did not hold against the study: one who was typed, or of
/// an order that is no candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// While naming: enough if nothing speaks against it.
    Once,
    /// Again, beside the study: what differs is meant.
    Again,
}

/// An upload under way: write the file into `spool`, then [`Pipeline::finish_upload`].
pub struct Upload {
    pub id: ImportId,
    pub spool: ImportSpool,
    pub request: Request,
    pub actor: Actor,
    /// Room for what was announced.
    pub promise: Promise,
}

/// Where C-STORE objects of one peer go until it is quiet.
#[derive(Clone)]
pub struct Arrival {
    pub id: ImportId,
    pub spool: ImportSpool,
    gate: Arc<Gate>,
    committer: OnceLock<Committer>,
}

impl Arrival {
    /// `gate` is shared with whoever ends the arrival.
    pub fn new(id: ImportId, spool: ImportSpool, gate: Arc<Gate>) -> Self {
        Self { id, spool, gate, committer: OnceLock::new() }
    }

    /// What objects are committed by that come beside others; made for the first.
    pub fn committer(&self) -> &Committer {
        self.committer.get_or_init(|| self.spool.committer())
    }

    /// For one object: while the stay is held it is not quiet. `None` once the import takes no more.
    pub fn enter(&self) -> Option<Stay> {
        self.gate.enter()
    }
}

/// What the scheduler is asked to do.
pub(super) enum Command {
    /// Makes an import of its first events.
    Begin {
        id: ImportId,
        events: Vec<Event>,
        reply: Reply,
    },
    Report {
        id: ImportId,
        event: Box<Event>,
        reply: Reply,
    },
    Keep(Box<Brought>),
    Arrive {
        kind: Kind,
        reply: oneshot::Sender<Result<Arrival, Refusal>>,
    },
    Erase {
        id: ImportId,
        reply: Reply,
    },
    Reload {
        settings: Box<Settings>,
    },
    /// Makes durable which destinations are paused.
    KeepPaused {
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Stop,
}

pub(super) type Reply = Option<oneshot::Sender<Result<(), Refusal>>>;

/// The handle that the doors use. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Pipeline {
    /// A link of what a person pasted, typed or scanned: codes and payloads by the site's recipes.
    pub fn link(&self, text: &str) -> Option<Link> {
        self.shared.settings().recipes.link(text)
    }

    /// Admits a link. Durable when it returns.
    pub async fn admit(&self, request: Request, actor: Actor) -> Result<ImportId, Refusal> {
        let kind = self.kind(&request)?;
        self.check_destination(&request)?;
        self.check_space()?;
        let id = ImportId::new();
        self.create(id).await?;
        self.begin(id, vec![Event::Requested { kind, request }]).await?;
        tracing::info!(import = %id, actor = %actor.0, "import requested");
        Ok(id)
    }

    /// What is to be pulled.
    fn kind(&self, request: &Request) -> Result<Kind, Refusal> {
        let source = match (&request.link, &request.from) {
            (Some(link), None) => return Ok(Kind::Link { host: link.host().to_owned() }),
            (None, Some(from)) => &from.source,
            (None, None) | (Some(_), Some(_)) => {
                return Err(Refusal::Invalid(
                    "there is no link in the request; give `link` or `from`, or upload a file"
                        .into(),
                ));
            }
        };
        let settings = self.shared.settings();
        let sources = &settings.sources;
        if !sources.has(source) {
            return Err(Refusal::Invalid(format!(
                "{} is no source; a source is a peer with the key `retrieve`, or a [dicomweb.NAME] section; \
                 configured are: {}",
                source.name(),
                sources.names().join(", ")
            )));
        }
        Ok(match source {
            Source::Peer(peer) => Kind::Retrieval { peer: peer.clone() },
            Source::Dicomweb(service) => Kind::Dicomweb { service: service.clone() },
        })
    }

    /// Our C-MOVEs that are under way.
    pub fn moves(&self) -> Moves {
        self.shared.moves.clone()
    }

    /// The names of the configured sources.
    pub fn sources(&self) -> Vec<String> {
        self.shared.settings().sources.names().into_iter().map(str::to_owned).collect()
    }

    /// `expected` bytes were announced; 0 if nobody knows.
    pub async fn begin_upload(
        &self,
        request: Request,
        actor: Actor,
        expected: u64,
    ) -> Result<Upload, Refusal> {
        self.check_destination(&request)?;
        let promise = self.shared.spool.promise(expected);
        let promise = promise.map_err(|error| Refusal::Full(error.to_string()))?;
        let id = ImportId::new();
        let spool = self.create(id).await?;
        Ok(Upload { id, spool, request, actor, promise })
    }

    /// `files` are synced in the upload's spool. Durable when it returns.
    pub async fn finish_upload(
        &self,
        upload: Upload,
        files: Vec<File>,
    ) -> Result<ImportId, Refusal> {
        if files.is_empty() {
            self.abandon_upload(upload).await;
            return Err(Refusal::Invalid("the upload holds no file".into()));
        }
        let Upload { id, request, actor, .. } = upload;
        let requested = Event::Requested { kind: Kind::Upload, request };
        self.begin(id, vec![requested, Event::Received { files, portal: None }]).await?;
        tracing::info!(import = %id, actor = %actor.0, "upload received");
        Ok(id)
    }

    /// Gives an upload up and destroys what came of it.
    pub async fn abandon_upload(&self, upload: Upload) {
        let (spool, id) = (self.shared.spool.clone(), upload.id);
        drop(upload);
        let destroyed = tokio::task::spawn_blocking(move || expire::purge(&spool, id)).await;
        match destroyed {
            Ok(Ok(left)) => left.log(id),
            // Its key lives: the scheduler tries again until it does not.
            Ok(Err(_)) | Err(_) => drop(self.send(Command::Erase { id, reply: None }).await),
        }
    }

    /// The import that objects of this peer go to: the one still receiving, or a new one.
    pub async fn arrival(&self, kind: Kind) -> Result<Arrival, Refusal> {
        self.check_space()?;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Arrive { kind, reply }).await?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }

    /// How what arrives is scanned for viruses, as configured now.
    pub fn scan(&self) -> ScanSection {
        self.shared.settings().scan.clone()
    }

    /// One small object, sealed for the arrival's spool. Durable when it returns.
    ///
    /// # Errors
    /// Nothing of it is kept, unless it is [`Refusal::Stopping`]: then nobody knows.
    pub async fn keep(
        &self,
        arrival: &Arrival,
        found: Found,
        sealed: Sealed,
    ) -> Result<(), Refusal> {
        // The scheduler syncs the bytes of one import after those of another. Each by itself, all do so together.
        if self.shared.is_one_of_several(arrival.id) {
            let blob = arrival.committer().commit(sealed).await?;
            return self.stored(arrival, Inspected::new(found, blob)).await;
        }
        let (reply, answer) = oneshot::channel();
        let brought = Brought { import: arrival.id, found, sealed, reply };
        self.send(Command::Keep(Box::new(brought))).await?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }

    /// One object, synced in the arrival's spool. Durable when it returns.
    pub async fn stored(&self, arrival: &Arrival, instance: Inspected) -> Result<(), Refusal> {
        self.report(arrival.id, Event::Stored { instance: Box::new(instance) }).await
    }

    pub async fn answer(
        &self,
        id: ImportId,
        answers: BTreeMap<String, String>,
        actor: Actor,
    ) -> Result<(), Refusal> {
        let import = self.import(id).ok_or(Refusal::Unknown)?;
        let State::Asking { questions, .. } = &import.state else {
            return Err(Refusal::NotNow("the portal asks nothing of this import now".into()));
        };
        if answers.values().all(|answer| answer.trim().is_empty()) {
            return Err(Refusal::Invalid(format!(
                "there is no answer; the portal asks {} question(s)",
                questions.len()
            )));
        }
        self.report(id, Event::Answered { answers, actor }).await
    }

    pub async fn cancel(&self, id: ImportId, actor: Actor) -> Result<(), Refusal> {
        let cancelled = self.report(id, Event::Cancelled { actor }).await;
        cancelled.map_err(|refusal| {
            refusal.in_words("this import has come to its end already; there is nothing to cancel")
        })
    }

    /// Destroys the key and everything under it, whatever the state.
    pub async fn erase(&self, id: ImportId, actor: Actor) -> Result<(), Refusal> {
        tracing::info!(import = %id, actor = %actor.0, "erasure requested");
        let (reply, answer) = oneshot::channel();
        self.send(Command::Erase { id, reply: Some(reply) }).await?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }

    /// The clock that everything goes by.
    pub fn clock(&self) -> Clock {
        self.shared.clock.clone()
    }

    /// All living imports, newest first.
    pub fn imports(&self) -> Vec<Arc<Import>> {
        let imports = self.shared.imports.read().unwrap_or_else(PoisonError::into_inner);
        imports.values().rev().cloned().collect()
    }

    pub fn import(&self, id: ImportId) -> Option<Arc<Import>> {
        self.shared.import(id)
    }

    /// What is left of imports whose key is gone, newest first.
    pub fn tombstones(&self) -> Vec<Tombstone> {
        let stones = self.shared.tombstones.read().unwrap_or_else(PoisonError::into_inner);
        stones.iter().rev().cloned().collect()
    }

    /// How far the running stage of an import is.
    pub fn progress(&self, id: ImportId) -> Option<Progress> {
        let import = self.import(id)?;
        let total = u64::try_from(import.instances.len()).ok();
        let counters = self.shared.counters(id);
        match &import.state {
            State::Downloading { .. } => Some(counters.show_moving("Downloading")),
            State::Received { .. } => Some(counters.show("Received", None)),
            State::Receiving { .. } => {
                let mut progress = counters.show("Receiving", None);
                progress.instances = total.unwrap_or(0);
                Some(progress)
            }
            State::Unpacked | State::Closed { .. } => {
                let counts = import.counts();
                let mut progress = counters.show("Forwarding", total);
                progress.instances = counts.delivered + counts.created_delivered;
                Some(progress)
            }
            State::Requested { .. }
            | State::Asking { .. }
            | State::Choosing { .. }
            | State::Preparing { .. }
            | State::Failed { .. }
            | State::Cancelled { .. } => None,
        }
    }

    /// Changes whenever any import changes; the value is a counter.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    pub fn snapshot(&self) -> Snapshot {
        super::snapshot::take(&self.shared)
    }

    /// The parts that fail; empty means ready.
    pub fn failing(&self) -> Vec<String> {
        super::snapshot::failing(&self.shared)
    }

    pub fn usage(&self) -> Usage {
        self.shared.spool.usage().unwrap_or_default()
    }

    pub fn destinations(&self) -> Vec<DestinationName> {
        self.shared.settings().destinations.names()
    }

    /// Archives that studies can be asked of.
    pub fn archives(&self) -> Vec<Source> {
        self.shared.settings().sources.all()
    }

    /// Turns of the scheduler so far: a watchdog feeds on their growing.
    pub fn beats(&self) -> u64 {
        self.shared.beats.load(Ordering::Relaxed)
    }

    /// What the gateway sees of the local worklist, and notes on what it could not see or how old it is.
    pub async fn worklist(
        &self,
        date: Option<String>,
        name: Option<String>,
    ) -> Result<(Vec<Item>, Vec<String>), Refusal> {
        let answer = self.shared.settings().worklist.listing().await;
        let mut answer = answer.map_err(|error| Refusal::NotNow(error.to_string()))?;
        let date = date.map(|date| date.replace('-', ""));
        let name = name.map(|name| name.to_lowercase());
        answer.items.retain(|item| {
            let on = |date: &str| item.steps.iter().any(|s| s.start_date.as_deref() == Some(date));
            let named = |part: &str| {
                let whole = item.patient.name.as_ref().map_or("", |name| name.as_str());
                whole.to_lowercase().contains(part)
            };
            date.as_deref().is_none_or(on) && name.as_deref().is_none_or(named)
        });
        Ok((answer.items, answer.notes))
    }

    /// New settings for everything that starts from now on.
    pub async fn reload(&self, settings: Settings) -> Result<(), Refusal> {
        self.send(Command::Reload { settings: Box::new(settings) }).await
    }

    /// Asks the scheduler to end; [`super::Running::ended`] tells when it has.
    pub async fn stop(&self) {
        // A scheduler that is gone already has nothing to stop.
        let _ = self.commands.send(Command::Stop).await;
    }

    /// Makes an event durable and applied.
    pub(super) async fn report(&self, id: ImportId, event: Event) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Report { id, event: Box::new(event), reply: Some(reply) }).await?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }

    async fn begin(&self, id: ImportId, events: Vec<Event>) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Begin { id, events, reply: Some(reply) }).await?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }

    pub(super) async fn send(&self, command: Command) -> Result<(), Refusal> {
        self.commands.send(command).await.map_err(|_| Refusal::Stopping)
    }

    async fn create(&self, id: ImportId) -> Result<ImportSpool, Refusal> {
        let spool = self.shared.spool.clone();
        let created = tokio::task::spawn_blocking(move || spool.create(id)).await;
        match created {
            Ok(Ok(spool)) => Ok(spool),
            Ok(Err(error)) => Err(Refusal::Full(error.to_string())),
            Err(_) => Err(Refusal::Stopping),
        }
    }

    fn check_space(&self) -> Result<(), Refusal> {
        self.shared.spool.admits(0).map_err(|error| Refusal::Full(error.to_string()))
    }

    fn check_destination(&self, request: &Request) -> Result<(), Refusal> {
        let known = self.destinations();
        match &request.destination {
            Some(name) if !known.contains(name) => {
                let names = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                Err(Refusal::Invalid(format!(
                    "there is no destination of that name; configured are: {names}"
                )))
            }
            _ => Ok(()),
        }
    }
}
