//! Running one action and reporting what came of it.
//!
//! A stage holds a permit while it works, stops when its import is cancelled, and always reports: a fault
//! inside it becomes an event like any other, so no import waits for a task that is gone.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::earlier::{self, Earlier};
use super::judge::Judge;
use super::progress::Watch;
use super::pulling::least_wait;
use super::{Pipeline, Settings};
use crate::confirm;
use crate::dicom::Uid;
use crate::fetch::{self, Pulled};
use crate::forward::Brake;
use crate::import::{
    Action, DestinationName, Event, Import, ImportId, Kind, Stage, State, Study, StudyState,
};
use crate::matching::{
    self, Authority, Case, Completeness, Decision, Outcome, Policy, Target, Verdict, Witnesses,
};
use crate::worklist::{Answer, Ask, Freshness};

/// Imports that are pulled at the same time.
const PULLS: usize = 4;

/// Archives that are unpacked at the same time: as many as cores, more only fight for them.
const UNPACKS: usize = 2;

/// Studies that ask the worklist at the same time; a RIS is no search engine.
const QUERIES: usize = 4;

/// How many stages of a kind may run.
#[derive(Clone)]
pub(super) struct Permits {
    pulls: Arc<Semaphore>,
    pub(super) unpacks: Arc<Semaphore>,
    queries: Arc<Semaphore>,
}

impl Default for Permits {
    fn default() -> Self {
        let of = |permits| Arc::new(Semaphore::new(permits));
        Self { pulls: of(PULLS), unpacks: of(UNPACKS), queries: of(QUERIES) }
    }
}

/// What a stage needs to work and to report.
#[derive(Clone)]
pub(super) struct Stages {
    pub(super) pipeline: Pipeline,
    pub(super) permits: Permits,
    pub(super) judge: Judge,
}

/// An import keeps no more identities of a study than these. Those that it does not keep must not go unseen.
const _: () = assert!(Study::MAX_IDENTITIES > matching::IDENTITY_LIMIT);

impl Stages {
    /// Runs an action to its end.
    pub(super) async fn run(self, id: ImportId, action: Action, brake: Brake) {
        let (stage, study) = match &action {
            Action::Pull => (Stage::Pull, None),
            Action::Unpack => (Stage::Unpack, None),
            Action::AskWorklist { study } => (Stage::Worklist, Some(study.clone())),
            Action::Send { study, .. }
            | Action::Assure { study, .. }
            | Action::Confirm { study } => (Stage::Forward, Some(study.clone())),
            Action::Stop => return,
        };
        let sends = matches!(action, Action::Send { .. });
        let work = Box::pin(self.work(id, action, &brake));
        let worked = AssertUnwindSafe(work).catch_unwind();
        let event = tokio::select! {
            worked = worked => worked.unwrap_or_else(|_| {
                tracing::error!(import = %id, ?stage, "a stage panicked");
                let sentence = "a fault inside the gateway stopped this step; report it with the \
                                version, then press retry";
                Some(Event::Failed { stage, study, sentence: sentence.into() })
            }),
            () = ended_for_long(&brake, sends) => None,
        };
        if let Some(event) = event {
            // An import that was cancelled or erased meanwhile has no use for the report.
            let _ = self.pipeline.report(id, event).await;
        }
    }

    async fn work(&self, id: ImportId, action: Action, brake: &Brake) -> Option<Event> {
        let import = || self.pipeline.import(id);
        let settings = self.pipeline.shared.settings();
        match action {
            Action::Pull => self.pull(&*import()?, &settings, brake.either()).await,
            Action::Unpack => self.unpack(&*import()?, &settings, brake.either()).await,
            // Hundreds of studies may wait for a turn of these. None keeps the import meanwhile: each would keep a
            // state of its own that events have left behind.
            Action::AskWorklist { study } => self.ask(id, &settings, &study).await,
            Action::Send { study, destination } => self.send(id, study, destination, brake).await,
            Action::Assure { study, destination } => {
                tokio::select! {
                    event = self.assure(id, &settings, study, destination) => event,
                    // It is asked anew at the next start, or nobody wants it any more.
                    () = brake.stopped() => None,
                }
            }
            Action::Confirm { study } => {
                let import = import()?;
                let found = import.study(&study)?;
                let verdict = confirm::vouched(&found.work()?.deliveries, &found.instances);
                (verdict == confirm::Verdict::Vouched).then_some(Event::Confirmed { study })
            }
            Action::Stop => None,
        }
    }

    /// Makes durable that a stage has its turn: what cuts the gateway off from now on may be its doing. `None`
    /// if the import has moved on while it waited.
    pub(super) async fn begin(
        &self,
        id: ImportId,
        stage: Stage,
        study: Option<&Uid>,
        destination: Option<&DestinationName>,
    ) -> Option<()> {
        let (study, destination) = (study.cloned(), destination.cloned());
        self.pipeline.report(id, Event::Began { stage, study, destination }).await.ok()
    }

    async fn pull(
        &self,
        import: &Import,
        settings: &Settings,
        cancel: &CancellationToken,
    ) -> Option<Event> {
        let _permit = self.permits.pulls.acquire().await.ok()?;
        let shared = &self.pipeline.shared;
        let counters = shared.counters(import.id);
        counters.reset();
        let spool = match shared.spool.import(import.id) {
            Ok(spool) => spool,
            Err(error) if error.is_passing() => {
                return Some(self.unpulled(import, settings, cancel, &error.into()));
            }
            Err(error) => return Some(failed(Stage::Pull, None, error.to_string())),
        };
        if import.instances.is_empty() {
            // What earlier attempts fetched is named by nothing, and each of them may have filled the disk.
            let packs = spool.clone();
            let cleared = tokio::task::spawn_blocking(move || packs.clear()).await;
            if let Ok(Err(error)) = cleared {
                tracing::warn!(import = %import.id, %error, "what an earlier attempt left stays for now");
            }
        }
        let observer: Arc<dyn fetch::Observer> =
            Arc::new(Watch::new(&counters, self.pipeline.clone(), import.id));
        let mut pulling = self.pulling(import, settings, spool, cancel, observer)?;
        let pulled = loop {
            tokio::select! {
                pulled = &mut pulling => break pulled,
                () = counters.downloading.notified() => {
                    // Refused only if the import was cancelled, which the pull sees by itself.
                    let _ = self.pipeline.report(import.id, Event::Downloading).await;
                }
            }
        };
        let notes = counters.take_notes();
        if !notes.is_empty() {
            let _ = self.pipeline.report(import.id, Event::Noted { notes }).await;
        }
        let studies = counters.take_promised();
        if !studies.is_empty() || !import.promised.is_empty() {
            let _ = self.pipeline.report(import.id, Event::Promised { studies }).await;
        }
        let now = shared.clock.now();
        Some(match pulled {
            Ok(Pulled::Asked { questions, note }) => Event::Asked { questions, note },
            Ok(Pulled::Listed { listing, session }) => Event::Listed { listing: *listing, session },
            Ok(Pulled::Preparing { wait, session }) => {
                let wait = wait.max(least_wait(import));
                Event::Preparing { due: now.after(wait), session }
            }
            Ok(Pulled::Done { files, portal }) => Event::Received { files, portal },
            Err(error) => self.unpulled(import, settings, cancel, &error),
        })
    }

    fn unpulled(
        &self,
        import: &Import,
        settings: &Settings,
        cancel: &CancellationToken,
        error: &fetch::Error,
    ) -> Event {
        let (now, sentence) = (self.pipeline.shared.clock.now(), error.sentence());
        if cancel.is_cancelled() {
            // Stopped, not failed: the next start goes on at once.
            Event::Postponed { stage: Stage::Pull, study: None, due: now, sentence }
        } else if error.class() == fetch::Class::Retry {
            let failures = match &import.state {
                State::Requested { attempts, .. } => attempts + 1,
                _ => 1,
            };
            let due = now.after(settings.backoff.after(failures));
            Event::Postponed { stage: Stage::Pull, study: None, due, sentence }
        } else {
            failed(Stage::Pull, None, sentence)
        }
    }

    /// Asks the worklist and lets the rules decide, or follows the decision of an earlier import.
    async fn ask(&self, id: ImportId, settings: &Settings, uid: &Uid) -> Option<Event> {
        let import = self.pipeline.import(id)?;
        let study = import.study(uid)?;
        let shared = &self.pipeline.shared;
        let filed = match shared.earlier_decision(&import, study) {
            Some(Earlier::Agrees(target)) => {
                let decision = decision(target, Authority::Earlier, vec![], shared.clock.now());
                return Some(self.order(&import, study, decision).await);
            }
            Some(Earlier::Differs(target)) => Some(target),
            None => None,
        };
        drop(import);
        let _permit = self.permits.queries.acquire().await.ok()?;
        self.begin(id, Stage::Worklist, Some(uid), None).await?;
        let import = &*self.pipeline.import(id)?;
        let study = import.study(uid)?;
        let case = case(import, study);
        let targeted = Ask {
            accession_number: import.request.accession_number.clone(),
            patient_id: import.request.patient.as_ref().map(|patient| patient.id.clone()),
            modalities: study.modalities.clone(),
            broad: false,
        };
        let named = targeted.accession_number.is_some() || targeted.patient_id.is_some();
        let mut judged = None;
        let mut freshness = Freshness::Live;
        for ask in [named.then(|| targeted.clone()), Some(Ask { broad: true, ..targeted })] {
            let Some(ask) = ask else { continue };
            let answer = match settings.worklist.ask(&ask).await {
                Ok(answer) => answer,
                Err(error) => {
                    let sentence = error.to_string();
                    shared.log(|log| {
                        log.worklist.reachable = Some(false);
                        log.worklist.notes = vec![sentence.clone()];
                    });
                    return Some(self.postpone(study, settings, sentence));
                }
            };
            if answer.freshness == Freshness::Kept {
                // What is kept decides nothing, and nothing is sent before the order was read again: it is
                // asked again by itself instead of bothering a person.
                let sentence = answer.notes.join("; ");
                shared.log(|log| {
                    log.worklist.reachable = Some(false);
                    log.worklist.notes = answer.notes;
                });
                return Some(self.postpone(study, settings, sentence));
            }
            freshness = answer.freshness;
            let policy = settings.matching.of(source(import));
            let mut outcome = self.judged(case.clone(), answer, policy, &ask).await;
            if let Some(filed) = &filed {
                outcome = earlier::hold(outcome, filed);
            }
            let automatic = outcome.verdict == Verdict::Automatic;
            judged = Some(outcome);
            if automatic {
                break;
            }
        }
        let mut outcome = judged?;
        if let (Verdict::Automatic, Freshness::Mixed, Some(best)) =
            (outcome.verdict, freshness, outcome.candidates.first())
        {
            // It may be one of those that are only kept, and its source may tell otherwise by now.
            match settings.worklist.reread(&best.item).await {
                Ok(Some(now)) if now.patient == best.item.patient && now.is_open() => {}
                Ok(_) => outcome.verdict = Verdict::Person,
                Err(error) => return Some(self.postpone(study, settings, error.to_string())),
            }
        }
        let first = outcome.candidates.first();
        match (outcome.verdict, first) {
            (Verdict::Automatic, Some(best)) => {
                let authority =
                    Authority::Rule { tier: outcome.tier, version: matching::RULES_VERSION };
                let target = Target::Order(Box::new(best.item.clone()));
                let evidence = best.evidence.clone();
                let mut decision = decision(target, authority, evidence, shared.clock.now());
                decision.rejected = matching::rejected(&outcome.candidates, &best.item_id);
                Some(self.order(import, study, decision).await)
            }
            _ => Some(Event::Ranked { study: uid.clone(), outcome: Box::new(outcome) }),
        }
    }

    /// Asks again later, and ever later.
    fn postpone(&self, study: &Study, settings: &Settings, sentence: String) -> Event {
        let failures = match &study.state {
            StudyState::AwaitingWorklist { attempts, .. } => attempts + 1,
            _ => 1,
        };
        let due = self.pipeline.shared.clock.now().after(settings.backoff.after(failures));
        Event::Postponed { stage: Stage::Worklist, study: Some(study.uid.clone()), due, sentence }
    }

    async fn judged(&self, case: Case, answer: Answer, policy: Policy, ask: &Ask) -> Outcome {
        self.pipeline.shared.log(|log| {
            log.worklist.reachable = Some(true);
            log.worklist.notes = answer.notes;
        });
        // A targeted answer holds only what was asked for, so it can't prove that nobody else fits.
        let completeness = if ask.broad { answer.completeness } else { Completeness::Incomplete };
        self.judge.decide(case, answer.items, completeness, policy).await
    }

    async fn order(&self, import: &Import, study: &Study, decision: Decision) -> Event {
        match self.pipeline.order(import, study, decision).await {
            Ok(event) => event,
            Err(refusal) => failed(Stage::Worklist, Some(study.uid.clone()), refusal.to_string()),
        }
    }
}

/// Stages look at the token themselves; one that does not within this time is dropped.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

async fn ended_for_long(brake: &Brake, sends: bool) {
    match sends {
        // Whoever sends finishes the object that is on the wire.
        true => brake.cancelled().await,
        false => brake.stopped().await,
    }
    tokio::time::sleep(CANCEL_GRACE).await;
}

pub(super) fn failed(stage: Stage, study: Option<Uid>, sentence: String) -> Event {
    Event::Failed { stage, study, sentence }
}

fn decision(
    target: Target,
    authority: Authority,
    evidence: Vec<matching::Evidence>,
    at: crate::clock::Moment,
) -> Decision {
    Decision { target, authority, evidence, overridden: vec![], rejected: vec![], at }
}

/// What a policy of its own may be given to.
pub(super) fn source(import: &Import) -> Option<&str> {
    match &import.kind {
        Kind::Link { host } => Some(host),
        Kind::Association { peer, .. } | Kind::Retrieval { peer } => Some(peer),
        Kind::Dicomweb { service } => Some(service),
        Kind::Upload => None,
    }
}

pub(super) fn case(import: &Import, study: &Study) -> Case {
    Case {
        facts: study.facts.clone(),
        modalities: study.modalities.clone(),
        witnesses: Witnesses {
            requested_patient: import.request.patient.clone(),
            requested_accession_number: import.request.accession_number.clone(),
            typed_birth_date: import.request.typed_birth_date(),
            portal: import.portal.clone(),
            identities: study.identities.clone(),
        },
    }
}
