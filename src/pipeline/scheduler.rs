//! The one thread that owns every import.
//!
//! It blocks while the disk works, with all that came together behind one sync: each change of threads costs an object
//! as much as a sync does. Stages run elsewhere.

mod disk;
mod look;
mod objects;
mod records;
mod start;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::disk::Disk;
use self::objects::BATCH_BYTES;
pub(super) use self::objects::Brought;
use self::records::Record;
pub use self::start::{Error, Running, start};
use super::due::Due as DueIndex;
use super::handle::{Arrival, Command, Reply};
use super::shared::Shared;
use super::stages::Stages;
use super::{Gate, Refusal};
use crate::clock::Moment;
use crate::forward::Brake;
use crate::import::{Action, End, Event, Illegal, Import, ImportId, Kind, State, Times};
use crate::journal::{Entry, Journal};
use crate::spool::{GroupPack, ImportSpool};

/// Requests and reports that may wait. A door that finds the queue full waits, and so does its peer.
const QUEUE: usize = 1024;

/// Events that share one sync at most; more would make the first of them wait too long.
const BATCH: usize = 256;

/// How often the due times are looked at.
const TICK: Duration = Duration::from_millis(200);

/// How long objects that are on the wire may take to end when the gateway stops, and their answers to come. What
/// is not answered then is sent again at the next start.
const LAST_OBJECTS: Duration = Duration::from_secs(8);

/// How long running stages may take in all. Doors take ten seconds before; both fit into `gateway`'s grace.
const DRAIN: Duration = Duration::from_secs(12);

/// What the scheduler knows of an import beside its state.
#[derive(Default)]
pub(super) struct Slot {
    /// Sequence of the next event.
    pub(super) next: u64,
    pub(super) brake: Brake,
    /// Passed by every object that comes in from a peer; shut with the receiving.
    pub(super) gate: Arc<Gate>,
    /// Where its objects go, opened once and not for each object.
    pub(super) spool: Option<ImportSpool>,
    /// Of the small ones; made for the first.
    pub(super) pack: Option<GroupPack>,
}

impl Slot {
    fn pack(&mut self) -> Option<&mut GroupPack> {
        let spool = self.spool.as_ref()?;
        Some(self.pack.get_or_insert_with(|| spool.group_pack()))
    }

    /// No object comes any more.
    fn close(&mut self) {
        (self.spool, self.pack) = (None, None);
    }
}

struct Scheduler {
    shared: Arc<Shared>,
    journal: Journal,
    disk: Arc<Disk>,
    stages: Stages,
    /// Where stages run.
    runtime: Handle,
    /// Ends with that.
    life: oneshot::Receiver<Infallible>,
    queue: mpsc::Receiver<Command>,
    /// What came while a full disk was waited for.
    held: VecDeque<Command>,
    slots: HashMap<ImportId, Slot>,
    /// Imports that are nothing but a key any more, and when it dies.
    unreadable: Vec<(ImportId, Moment)>,
    /// Imports whose destruction was begun and did not succeed, how they end, and when it is tried again. They take no
    /// event: it could not be sealed.
    dying: HashMap<ImportId, (End, Moment)>,
    running: JoinSet<()>,
    due: DueIndex,
    looked: Moment,
    kept: Moment,
}

/// Where the answer to a command goes.
type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// What one batch of commands came to, before it is durable.
#[derive(Default)]
struct Turn {
    entries: Vec<Entry>,
    brought: Vec<Brought>,
    brought_bytes: usize,
    actions: Vec<(ImportId, Action)>,
    replies: Vec<(ImportId, Answer<()>, Result<(), Refusal>)>,
    arrivals: Vec<(Answer<Arrival>, Result<Arrival, Refusal>)>,
    deaths: Vec<(ImportId, End, Reply)>,
    /// Who waits until it is durable which destinations are paused.
    pauses: Vec<Answer<()>>,
    stop: bool,
}

impl Scheduler {
    async fn run(mut self, actions: Vec<(ImportId, Action)>) -> Result<(), Error> {
        for (id, action) in actions {
            self.act(id, action);
        }
        self.index_all();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut turn = Turn::default();
            tokio::select! {
                command = next(&mut self.held, &mut self.queue) => match command {
                    Some(command) => {
                        self.take(command, &mut turn);
                        // Those who were answered together come again together; and without a pause of its own this
                        // loop would hear of no time that is over while there is more to do.
                        std::thread::yield_now();
                        tokio::task::yield_now().await;
                        while turn.takes_more() {
                            let next = self.held.pop_front().or_else(|| self.queue.try_recv().ok());
                            let Some(command) = next else { break };
                            self.take(command, &mut turn);
                        }
                    }
                    None => turn.stop = true,
                },
                _ = tick.tick() => self.look(&mut turn)?,
                Some(_) = self.running.join_next() => {}
                _ = &mut self.life => return Err(Error::Fault),
            }
            let stop = turn.stop;
            self.finish(turn).await?;
            self.shared.beats.fetch_add(1, Ordering::Relaxed);
            if stop {
                return self.drain().await;
            }
        }
    }

    /// Applies what one command asks for; nothing of it is visible outside before [`Self::finish`].
    fn take(&mut self, command: Command, turn: &mut Turn) {
        match command {
            Command::Begin { id, events, reply } => {
                let begun = self.begin(id, &events, turn).map_err(|illegal| not_now(&illegal));
                turn.replies.extend(reply.map(|reply| (id, reply, begun)));
            }
            Command::Report { id, event, reply } => {
                let applied = self.apply(id, *event, turn);
                turn.replies.extend(reply.map(|reply| (id, reply, applied)));
            }
            Command::Keep(brought) => {
                turn.brought_bytes = turn.brought_bytes.saturating_add(brought.sealed.size());
                turn.brought.push(*brought);
            }
            Command::Arrive { kind, reply } => {
                let arrival = self.arrive(kind, turn);
                turn.arrivals.push((reply, arrival));
            }
            Command::Erase { id, reply } => turn.deaths.push((id, End::Erased, reply)),
            Command::Reload { settings } => {
                let mut now = self.shared.settings.write().unwrap_or_else(PoisonError::into_inner);
                *now = Arc::from(settings);
                drop(now);
                // Times may be others now.
                self.index_all();
                tracing::info!("settings reloaded");
            }
            Command::KeepPaused { reply } => turn.pauses.push(reply),
            Command::Stop => turn.stop = true,
        }
    }

    fn begin(&mut self, id: ImportId, events: &[Event], turn: &mut Turn) -> Result<(), Illegal> {
        let now = self.shared.clock.now();
        let mut events = events.iter();
        let none = Illegal { event: "nothing", state: "not begun" };
        let (mut import, mut actions) = Import::begin(id, events.clone().next().ok_or(none)?, now)?;
        for event in events.clone().skip(1) {
            actions.extend(import.apply(event, now)?);
        }
        self.imports().insert(id, Arc::new(import));
        self.index(id);
        let slot = self.slots.entry(id).or_default();
        for event in events.by_ref() {
            turn.entries.push(Entry {
                import: id,
                sequence: slot.next,
                at: now,
                event: event.clone(),
            });
            slot.next += 1;
        }
        turn.actions.extend(actions.into_iter().map(|action| (id, action)));
        Ok(())
    }

    fn apply(&mut self, id: ImportId, event: Event, turn: &mut Turn) -> Result<(), Refusal> {
        self.check_living(id)?;
        let now = self.shared.clock.now();
        let (actions, before, after, shuts) = {
            let mut imports = self.imports();
            let import = imports.get_mut(&id).ok_or(Refusal::Unknown)?;
            let import = Arc::make_mut(import);
            let receives = |import: &Import| matches!(import.state, State::Receiving { .. });
            let (before, received) = (import.state.name(), receives(import));
            let actions = import.apply(&event, now).map_err(|illegal| {
                tracing::debug!(import = %id, %illegal, "event refused");
                not_now(&illegal)
            })?;
            (actions, before, import.state.name(), received && !receives(import))
        };
        self.index(id);
        if before != after {
            tracing::info!(import = %id, event = event.name(), state = after, "import moved");
        }
        if let Some((stage, sentence)) = event.fault() {
            self.shared.note(id, &format!("{stage:?}"), sentence);
        }
        let slot = self.slots.entry(id).or_default();
        if shuts {
            slot.gate.shut();
        }
        turn.entries.push(Entry { import: id, sequence: slot.next, at: now, event });
        slot.next += 1;
        turn.actions.extend(actions.into_iter().map(|action| (id, action)));
        Ok(())
    }

    fn check_living(&self, id: ImportId) -> Result<(), Refusal> {
        if self.dying.contains_key(&id) {
            return Err(Refusal::NotNow(
                "the import is being destroyed, which the disk has not taken yet; it is tried again by itself".into(),
            ));
        }
        Ok(())
    }

    fn arrive(&mut self, kind: Kind, turn: &mut Turn) -> Result<Arrival, Refusal> {
        let slots = &self.slots;
        let receiving = |import: &&Arc<Import>| {
            import.kind == kind
                && matches!(import.state, State::Receiving { .. })
                // One that waits for its last objects takes no others: they open the next import.
                && slots.get(&import.id).is_none_or(|slot| !slot.gate.is_shut())
        };
        let known = self.imports().values().rev().find(receiving).map(|import| import.id);
        let id = known.unwrap_or_default();
        if let Some(Slot { gate, spool: Some(spool), .. }) = self.slots.get(&id) {
            return Ok(Arrival::new(id, spool.clone(), Arc::clone(gate)));
        }
        let opened = self.disk.work(|| match known {
            Some(_) => self.shared.spool.import(id),
            None => self.shared.spool.create(id),
        });
        let spool = opened.map_err(|error| Refusal::Full(error.to_string()))?;
        if known.is_none() {
            let requested = Event::Requested { kind, request: Default::default() };
            self.begin(id, &[requested], turn).map_err(|illegal| not_now(&illegal))?;
        }
        let slot = self.slots.entry(id).or_default();
        slot.spool = Some(spool.clone());
        Ok(Arrival::new(id, spool, Arc::clone(&slot.gate)))
    }

    /// Makes a turn durable, then visible.
    async fn finish(&mut self, mut turn: Turn) -> Result<(), Error> {
        self.place_brought(&mut turn);
        self.keep_events(&mut turn).await?;
        if !turn.pauses.is_empty() {
            self.keep(Record::Paused(self.shared.lanes.paused())).await?;
        }
        for reply in turn.pauses {
            let _ = reply.send(Ok(()));
        }
        for (_, reply, result) in turn.replies {
            // A door that hung up does not want the answer any more.
            let _ = reply.send(result);
        }
        for (reply, result) in turn.arrivals {
            let _ = reply.send(result);
        }
        if !turn.stop {
            for (id, action) in turn.actions {
                self.act(id, action);
            }
        }
        for (id, end, reply) in turn.deaths {
            self.bury_and_tell(id, end, reply).await?;
        }
        self.shared.changes.send_modify(|turns| *turns += 1);
        Ok(())
    }

    fn act(&mut self, id: ImportId, action: Action) {
        let slot = self.slots.entry(id).or_default();
        if action == Action::Stop {
            std::mem::take(&mut slot.brake).cancel();
            return;
        }
        let stage = self.stages.clone().run(id, action, slot.brake.clone());
        self.running.spawn_on(stage, &self.runtime);
    }

    /// Lets running stages end, records what they still report, and keeps the clock's reading.
    async fn drain(mut self) -> Result<(), Error> {
        self.slots.values().for_each(|slot| slot.brake.stop());
        let (last_objects, deadline) = (sleep(LAST_OBJECTS), sleep(DRAIN));
        tokio::pin!(last_objects, deadline);
        let mut cancelled = false;
        while !self.running.is_empty() {
            let mut turn = Turn { stop: true, ..Turn::default() };
            tokio::select! {
                () = &mut deadline => break,
                () = &mut last_objects, if !cancelled => {
                    cancelled = true;
                    self.slots.values().for_each(|slot| slot.brake.cancel());
                    continue;
                }
                Some(command) = next(&mut self.held, &mut self.queue) => {
                    self.take(command, &mut turn);
                }
                _ = self.running.join_next() => continue,
            }
            turn.stop = true;
            self.finish(turn).await?;
        }
        self.running.shutdown().await;
        let last = self.shared.clock.reading().last();
        self.disk.work(|| self.journal.keep_reading(&last))?;
        Ok(())
    }

    fn times(&self) -> Times {
        self.shared.settings.read().unwrap_or_else(PoisonError::into_inner).times
    }

    /// Notes when an import that was changed is due.
    fn index(&mut self, id: ImportId) {
        let times = self.times();
        let due = self.shared.import(id).map(|import| import.next_due(&times));
        match due {
            Some(due) => self.due.set(id, due),
            None => self.due.remove(id),
        }
    }

    fn index_all(&mut self) {
        let ids: Vec<ImportId> = self.imports().keys().copied().collect();
        ids.into_iter().for_each(|id| self.index(id));
    }

    fn imports(
        &self,
    ) -> std::sync::RwLockWriteGuard<'_, std::collections::BTreeMap<ImportId, Arc<Import>>> {
        self.shared.imports.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Whether more may share its syncs.
    fn takes_more(&self) -> bool {
        self.entries.len().saturating_add(self.brought.len()) < BATCH
            && self.brought_bytes < BATCH_BYTES
            && !self.stop
    }
}

/// The next command, in the order in which they came.
async fn next(
    held: &mut VecDeque<Command>,
    queue: &mut mpsc::Receiver<Command>,
) -> Option<Command> {
    match held.pop_front() {
        Some(command) => Some(command),
        None => queue.recv().await,
    }
}

fn not_now(illegal: &Illegal) -> Refusal {
    Refusal::NotNow(format!(
        "this is not possible now: {illegal}; look at its state with `lotse show`"
    ))
}
