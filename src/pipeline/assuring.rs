//! Having a destination vouch for a study: storage commitment, a query, or its answers alone.
//!
//! Invariants: a request is in the journal before it leaves; a report is in the journal before it is answered.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::delivering::seed;
use super::stages::Stages;
use super::{Pipeline, Settings};
use crate::clock::Moment;
use crate::confirm::{self, Follows, Gone, Refusal, Witness};
use crate::dicom::Uid;
use crate::dimse::{self, Reference, Remote, Report, Status, Wanted};
use crate::forward::{ByQuery, Commitment, Destination, Target};
use crate::import::{
    Assurance, COMMITMENT_BATCH, COMMITMENT_REFUSALS, CommitmentFault, Delivery, DestinationName,
    Event, Import, ImportId, Stand, Study, StudyState,
};

/// Looks for what a query does not find yet: an archive may index later than it answers.
const LOOKS: u32 = 5;

/// Requests in a row that are refused, before a destination that need not commit counts as one that does not: many
/// accept the class from everybody and refuse those whom they do not know.
const REFUSALS: u32 = 3;

/// Associations in a row that break at the request for commitment, before it counts as not offered: some peers
/// abort when they are offered a class that they do not know.
const BREAKS: u32 = 2;

impl Stages {
    /// One attempt; what is left to report when it ends.
    pub(super) async fn assure(
        &self,
        id: ImportId,
        settings: &Settings,
        uid: Uid,
        name: DestinationName,
    ) -> Option<Event> {
        let lane = self.pipeline.shared.lanes.of(&name);
        let _one = lane.questions.acquire().await.ok()?;
        // It may have waited for long.
        let import = self.pipeline.import(id)?;
        let case = Case::find(&import, &uid, &name)?;
        let answered = |note: Option<String>| {
            let (study, destination, by) = (uid.clone(), name.clone(), Assurance::Answered);
            Some(Event::Assured { study, destination, by, note })
        };
        let Some(destination) = settings.destinations.get(&name) else {
            return answered(Some(format!("{name} is not configured any more")));
        };
        let Target::Peer { name: peer, remote } = &destination.target else {
            return answered(None);
        };
        let vouching = &destination.vouching;
        let now = self.pipeline.shared.clock.now();
        let tries = match vouching.commitment {
            Commitment::Off => false,
            Commitment::Ask => lane.may_offer(now),
            Commitment::Require => true,
        };
        if tries {
            let (peer, remote) = match &vouching.peer {
                Some((peer, remote)) => (peer, remote),
                None => (peer, remote),
            };
            match self.commit(&import, settings, &case, peer, remote, destination).await {
                Committing::Done => return None,
                Committing::Event(event) => return Some(*event),
                Committing::NotOffered(why) => lane.does_not_offer(now, why),
            }
        }
        let note =
            (vouching.commitment == Commitment::Ask).then(|| lane.why_not_offered()).flatten();
        match vouching.by_query {
            ByQuery::No => answered(note),
            ByQuery::Yes => self.look(settings, &case, destination, remote, note).await,
        }
    }

    async fn commit(
        &self,
        import: &Import,
        settings: &Settings,
        case: &Case<'_>,
        peer: &str,
        remote: &Remote,
        destination: &Destination,
    ) -> Committing {
        let shared = &self.pipeline.shared;
        let commitment = &case.delivery.commitment;
        let open = case.study.instances.iter().filter(|n| !commitment.committed.contains(*n));
        let numbers: Vec<u32> = open.take(COMMITMENT_BATCH).copied().collect();
        let references = numbers.iter().filter_map(|number| {
            let instance = import.instances.get(usize::try_from(*number).ok()?)?;
            let (sop_class, sop_instance) =
                (instance.sop_class.clone(), instance.sop_instance.clone());
            Some(Reference { sop_class, sop_instance })
        });
        // Named by a new random name each time: it is never used again.
        let transaction = Uid::derived(ImportId::new().as_bytes());
        let wanted = Wanted { transaction, instances: references.collect() };
        let record = Record {
            pipeline: self.pipeline.clone(),
            import: import.id,
            study: case.study.uid.clone(),
            destination: case.delivery.destination.clone(),
            peer: peer.to_owned(),
            numbers,
            due: shared.clock.now().after(destination.vouching.timeout),
            is_asked: AtomicBool::new(false),
        };
        let asked = confirm::ask(remote, &wanted, &record).await;
        let optional = destination.vouching.commitment == Commitment::Ask;
        let (fault, sentence) = match asked {
            Ok(confirm::Asked::Taken | confirm::Asked::Gone) => return Committing::Done,
            Ok(confirm::Asked::NotOffered) if optional => {
                return Committing::NotOffered(format!("{peer} does not offer storage commitment"));
            }
            Ok(confirm::Asked::Refused(refusal))
                if optional && is_given_up(&refusal, commitment.refusals) =>
            {
                let does = match refusal.follows {
                    Follows::Absent => "accepts storage commitment and does not offer it",
                    _ => "offers storage commitment and refuses our requests",
                };
                return Committing::NotOffered(format!("{peer} {does}: {}", refusal.sentence));
            }
            Ok(confirm::Asked::NotOffered) => (
                CommitmentFault::Refused,
                format!(
                    "{peer} does not offer storage commitment; enable it there for our AE title, or set \
                     `commitment = \"ask\"`"
                ),
            ),
            Ok(confirm::Asked::Refused(refusal)) => (
                match refusal.follows {
                    Follows::Absent | Follows::Person => CommitmentFault::Final,
                    Follows::Wait | Follows::AskAgain => CommitmentFault::Refused,
                },
                format!("{peer} refused the request for storage commitment: {}", refusal.sentence),
            ),
            Err(error) => {
                let breaks = matches!(
                    error,
                    dimse::Error::Aborted(_)
                        | dimse::Error::Closed(_)
                        | dimse::Error::Released(_)
                        | dimse::Error::Protocol { .. }
                );
                let never_asked = !record.is_asked.load(Ordering::Acquire);
                if optional && breaks && never_asked && commitment.attempts >= BREAKS {
                    return Committing::NotOffered(format!(
                        "{peer} ends the association when it is asked for storage commitment"
                    ));
                }
                let Remote { address, called, calling, .. } = remote;
                let sentence = format!(
                    "{peer} cannot be asked for storage commitment: {error} (called {called} at {address} as \
                     {calling})"
                );
                (CommitmentFault::Unreachable, sentence)
            }
        };
        Committing::Event(Box::new(self.later(settings, case, fault, sentence)))
    }

    async fn look(
        &self,
        settings: &Settings,
        case: &Case<'_>,
        destination: &Destination,
        remote: &Remote,
        note: Option<String>,
    ) -> Option<Event> {
        let name = &case.delivery.destination;
        let (asked, remote) = match &destination.check.query {
            Some((peer, remote)) => (peer.as_str(), remote),
            None => (name.0.as_str(), remote),
        };
        let sought = case.sought();
        let unreachable = CommitmentFault::Unreachable;
        let missing = match confirm::look(remote, &case.study.uid, &sought).await {
            Ok(confirm::Found::All) => vec![],
            Ok(confirm::Found::Missing(missing)) => missing,
            Ok(confirm::Found::Busy(why)) => {
                let sentence = format!("{asked} cannot say now what it holds: {why}");
                return Some(self.later(settings, case, unreachable, sentence));
            }
            Ok(confirm::Found::Unknown(why)) => {
                let also = note.map(|note| format!("{note}, and ")).unwrap_or_default();
                return Some(Event::Assured {
                    study: case.study.uid.clone(),
                    destination: name.clone(),
                    by: Assurance::Answered,
                    note: Some(format!("{also}{asked} cannot be asked what it holds: {why}")),
                });
            }
            Err(error) => {
                let sentence = format!("{asked} cannot be asked what it holds: {error}");
                return Some(self.later(settings, case, unreachable, sentence));
            }
        };
        if !missing.is_empty() && case.delivery.commitment.attempts < LOOKS {
            let sentence = format!(
                "{asked} does not show {} of {} instances yet; it is asked again",
                missing.len(),
                case.study.instances.len()
            );
            return Some(self.later(settings, case, unreachable, sentence));
        }
        let is_there = |number: &&u32| !missing.contains(*number);
        Some(Event::CommitmentReported {
            study: case.study.uid.clone(),
            destination: name.clone(),
            transaction: None,
            committed: case.study.instances.iter().filter(is_there).copied().collect(),
            failed: missing.iter().map(|number| (*number, Status::NO_SUCH_INSTANCE.0)).collect(),
            due: self.pipeline.shared.clock.now(),
        })
    }

    fn later(
        &self,
        settings: &Settings,
        case: &Case<'_>,
        fault: CommitmentFault,
        sentence: String,
    ) -> Event {
        let attempts = case.delivery.commitment.attempts.saturating_add(1);
        Event::CommitmentPostponed {
            study: case.study.uid.clone(),
            destination: case.delivery.destination.clone(),
            fault,
            due: self
                .pipeline
                .shared
                .clock
                .now()
                .after(settings.backoff.jittered(attempts, seed(case.import.id))),
            sentence,
        }
    }
}

/// Whether a destination that need not commit counts as one that does not, after so many refusals before this one.
fn is_given_up(refusal: &Refusal, before: u32) -> bool {
    let refusals = before.saturating_add(1);
    match refusal.follows {
        Follows::Absent | Follows::Person => true,
        Follows::AskAgain => refusals >= REFUSALS,
        Follows::Wait => refusals >= COMMITMENT_REFUSALS,
    }
}

/// How a request for commitment went.
enum Committing {
    /// Everything about it is recorded.
    Done,
    Event(Box<Event>),
    /// Why, as a sentence.
    NotOffered(String),
}

/// A delivery that is to be vouched for.
struct Case<'a> {
    import: &'a Import,
    study: &'a Study,
    delivery: &'a Delivery,
}

impl<'a> Case<'a> {
    /// `None` if it is not open any more.
    fn find(import: &'a Import, uid: &Uid, name: &DestinationName) -> Option<Self> {
        let study = import.study(uid)?;
        let (StudyState::Forwarding(work) | StudyState::Confirming(work)) = &study.state else {
            return None;
        };
        let delivery = work.deliveries.iter().find(|delivery| delivery.destination == *name)?;
        (delivery.commitment.stand == Stand::Open).then_some(Self { import, study, delivery })
    }

    fn sought(&self) -> Vec<confirm::Sought> {
        let sought = self.study.instances.iter().filter_map(|number| {
            let instance = self.import.instances.get(usize::try_from(*number).ok()?)?;
            let (series, sop_instance) = (instance.series.clone(), instance.sop_instance.clone());
            Some(confirm::Sought { number: *number, series, sop_instance })
        });
        sought.collect()
    }
}

/// Makes the steps of a request durable.
struct Record {
    pipeline: Pipeline,
    import: ImportId,
    study: Uid,
    destination: DestinationName,
    peer: String,
    numbers: Vec<u32>,
    due: Moment,
    is_asked: AtomicBool,
}

#[async_trait]
impl Witness for Record {
    async fn asking(&self, transaction: &Uid) -> Result<(), Gone> {
        let event = Event::CommitmentAsked {
            study: self.study.clone(),
            destination: self.destination.clone(),
            transaction: transaction.clone(),
            instances: self.numbers.clone(),
            due: self.due,
        };
        self.is_asked.store(true, Ordering::Release);
        self.pipeline.report(self.import, event).await.map_err(|_| Gone)
    }

    async fn taken(&self, transaction: &Uid) -> Result<(), Gone> {
        let event = Event::CommitmentTaken {
            study: self.study.clone(),
            destination: self.destination.clone(),
            transaction: transaction.clone(),
        };
        self.pipeline.report(self.import, event).await.map_err(|_| Gone)
    }

    async fn reported(&self, report: Report) -> Status {
        self.pipeline.commitment_reported(&self.peer, report).await
    }
}

impl Pipeline {
    /// Whether a peer's reports on commitments are awaited, now or later.
    pub fn awaits_reports(&self, peer: &str) -> bool {
        let settings = self.shared.settings();
        let names = settings.destinations.names();
        names.iter().any(|name| {
            settings.destinations.get(name).is_some_and(|destination| reports(destination, peer))
        })
    }

    /// Takes what a peer reports on a commitment; gives the answer to it. Durable when it returns.
    pub async fn commitment_reported(&self, peer: &str, report: Report) -> Status {
        let finished = (peer.to_owned(), report.transaction.clone());
        let Some((id, event)) = self.find_report(peer, &report) else {
            if self.shared.lanes.is_finished(&finished) {
                // Our answer got lost.
                return Status::SUCCESS;
            }
            // It is answered all the same, since a peer that hears nothing repeats itself.
            tracing::warn!(peer, "a report on an unknown commitment was answered with 0110");
            return Status::PROCESSING_FAILURE;
        };
        match self.report(id, event).await {
            Ok(()) => {
                tracing::info!(import = %id, peer, "commitment reported");
                self.shared.lanes.finish(finished);
                Status::SUCCESS
            }
            Err(_) => Status::PROCESSING_FAILURE,
        }
    }

    fn find_report(&self, peer: &str, report: &Report) -> Option<(ImportId, Event)> {
        let settings = self.shared.settings();
        for import in self.imports() {
            for study in &import.studies {
                let deliveries = study.work().map_or(&[][..], |work| &work.deliveries);
                let about = |delivery: &&Delivery| {
                    let mut asked = delivery.commitment.asked.iter();
                    asked.any(|asked| asked.transaction == report.transaction)
                };
                let Some(delivery) = deliveries.iter().find(about) else { continue };
                let destination = settings.destinations.get(&delivery.destination)?;
                if !reports(destination, peer) {
                    return None;
                }
                return Some((import.id, event(&import, study, delivery, &settings, report, self)));
            }
        }
        None
    }
}

/// Whether this peer may report for a destination.
fn reports(destination: &Destination, peer: &str) -> bool {
    let Target::Peer { name, .. } = &destination.target else { return false };
    let asked = destination.vouching.peer.as_ref().map(|(name, _)| name.as_str());
    destination.vouching.commitment != Commitment::Off && (name == peer || asked == Some(peer))
}

fn event(
    import: &Import,
    study: &Study,
    delivery: &Delivery,
    settings: &Settings,
    report: &Report,
    pipeline: &Pipeline,
) -> Event {
    let by_uid: std::collections::HashMap<&Uid, u32> = study
        .instances
        .iter()
        .filter_map(|number| {
            let instance = import.instances.get(usize::try_from(*number).ok()?)?;
            Some((&instance.sop_instance, *number))
        })
        .collect();
    let number = |reference: &Reference| by_uid.get(&reference.sop_instance).copied();
    let attempts = delivery.commitment.attempts.saturating_add(1);
    let failed = report.failed.iter();
    Event::CommitmentReported {
        study: study.uid.clone(),
        destination: delivery.destination.clone(),
        transaction: Some(report.transaction.clone()),
        committed: report.committed.iter().filter_map(number).collect(),
        failed: failed.filter_map(|(one, reason)| Some((number(one)?, *reason))).collect(),
        due: pipeline.shared.clock.now().after(settings.backoff.after(attempts)),
    }
}
