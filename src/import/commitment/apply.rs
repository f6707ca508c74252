//! Applying the events of commitment to a study.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::event::{Action, Event};
use super::super::state::{Delivery, DestinationName, Study, StudyState, Work};
use super::{
    Asked, Assurance, COMMITMENT_REFUSALS, COMMITMENT_REQUESTS, Commitment, CommitmentFault,
    Follows, REMEMBERED, RESENDS, Stand, assure, follows, sentence,
};
use crate::clock::Moment;
use crate::dicom::Uid;

/// One event; `None` if it does not fit.
pub(in crate::import) fn apply(study: &mut Study, event: &Event) -> Option<Vec<Action>> {
    match event {
        Event::Assured { destination, by, note, .. } => {
            study.assured(destination, *by, note.as_ref())
        }
        Event::CommitmentAsked { destination, transaction, instances, due, .. } => {
            let (transaction, instances) = (transaction.clone(), instances.clone());
            let asked = Asked { transaction, instances, taken: false };
            study.commitment_asked(destination, asked, *due)
        }
        Event::CommitmentTaken { destination, transaction, .. } => {
            study.commitment_taken(destination, transaction)
        }
        Event::CommitmentPostponed { destination, fault, due, sentence, .. } => {
            study.commitment_postponed(destination, *fault, *due, sentence)
        }
        Event::CommitmentReported { destination, transaction, committed, failed, due, .. } => {
            let transaction = transaction.as_ref();
            let report = Reported { transaction, committed, failed, due: *due };
            study.commitment_reported(destination, &report)
        }
        _ => None,
    }
}

/// What a destination reported.
struct Reported<'a> {
    transaction: Option<&'a Uid>,
    committed: &'a [u32],
    failed: &'a [(u32, u16)],
    due: Moment,
}

impl Study {
    /// The work of a study whose deliveries go on, or may still hear from a destination.
    fn delivered_work(&mut self) -> Option<&mut Box<Work>> {
        match &mut self.state {
            StudyState::Forwarding(work)
            | StudyState::Confirming(work)
            | StudyState::Quarantined { work: Some(work), .. } => Some(work),
            _ => None,
        }
    }

    fn commitment(&mut self, destination: &DestinationName) -> Option<&mut Commitment> {
        let work = self.delivered_work()?;
        let delivery = work.deliveries.iter_mut().find(|d| d.destination == *destination)?;
        Some(&mut delivery.commitment)
    }

    fn assured(
        &mut self,
        destination: &DestinationName,
        by: Assurance,
        note: Option<&String>,
    ) -> Option<Vec<Action>> {
        let instances = self.instances.clone();
        let work = self.delivered_work()?;
        let delivery = work.deliveries.iter_mut().find(|d| d.destination == *destination)?;
        if !delivery.is_stored(&instances) {
            return None;
        }
        delivery.commitment.stand = Stand::Assured(by);
        delivery.commitment.asked.clear();
        delivery.commitment.note = note.cloned();
        Some(self.confirm_if_assured())
    }

    fn commitment_asked(
        &mut self,
        destination: &DestinationName,
        asked: Asked,
        due: Moment,
    ) -> Option<Vec<Action>> {
        let commitment = self.commitment(destination)?;
        if commitment.stand != Stand::Open {
            return None;
        }
        commitment.stand = Stand::Asked { due };
        commitment.asked.push(asked);
        if commitment.asked.len() > REMEMBERED {
            commitment.asked.remove(0);
        }
        Some(vec![])
    }

    fn commitment_taken(
        &mut self,
        destination: &DestinationName,
        transaction: &Uid,
    ) -> Option<Vec<Action>> {
        let commitment = self.commitment(destination)?;
        let asked = commitment.asked.iter_mut().find(|a| a.transaction == *transaction)?;
        asked.taken = true;
        (commitment.attempts, commitment.refusals, commitment.note) = (0, 0, None);
        Some(vec![])
    }

    fn commitment_postponed(
        &mut self,
        destination: &DestinationName,
        fault: CommitmentFault,
        due: Moment,
        sentence: &str,
    ) -> Option<Vec<Action>> {
        let commitment = self.commitment(destination)?;
        if commitment.assurance().is_some() {
            return None;
        }
        commitment.stand = Stand::Postponed { due };
        commitment.note = Some(sentence.to_owned());
        commitment.attempts = commitment.attempts.saturating_add(1);
        if fault != CommitmentFault::Unreachable {
            commitment.refusals = commitment.refusals.saturating_add(1);
            // The transaction is dead: nothing will be reported on it (PS3.4 J.3.2.2).
            commitment.asked.pop();
        }
        if commitment.refusals >= COMMITMENT_REFUSALS || fault == CommitmentFault::Final {
            commitment.stand = Stand::Open;
            let sentence = format!(
                "{sentence}; look into its log, then press retry, or set `commitment = \"off\"` for {destination}"
            );
            return Some(self.hold(&sentence));
        }
        Some(vec![])
    }

    fn commitment_reported(
        &mut self,
        destination: &DestinationName,
        report: &Reported<'_>,
    ) -> Option<Vec<Action>> {
        let (uid, instances) = (self.uid.clone(), self.instances.clone());
        let held = matches!(self.state, StudyState::Quarantined { .. });
        let work = self.delivered_work()?;
        let delivery = work.deliveries.iter_mut().find(|d| d.destination == *destination)?;
        let follows = delivery.hear(report, &instances)?;
        match follows {
            Heard::Person(sentence) => Some(self.hold(&sentence)),
            Heard::SendAgain if held => Some(vec![]),
            Heard::SendAgain => Some(self.send_again(destination)),
            Heard::Everything => Some(self.confirm_if_assured()),
            Heard::Part if held => Some(vec![]),
            Heard::Part => Some(assure(&uid, &instances, delivery).into_iter().collect()),
        }
    }

    /// What is due of the commitments: asked again, or given to a person.
    pub(in crate::import) fn commitments_came_due(&mut self, now: Moment) -> Vec<Action> {
        let (uid, instances) = (self.uid.clone(), self.instances.clone());
        let (StudyState::Forwarding(work) | StudyState::Confirming(work)) = &mut self.state else {
            return vec![];
        };
        let mut actions = vec![];
        let mut silent = None;
        for delivery in &mut work.deliveries {
            let commitment = &mut delivery.commitment;
            if commitment.due().is_none_or(|due| !now.reached(due)) {
                continue;
            }
            if matches!(commitment.stand, Stand::Asked { .. }) {
                commitment.requests = commitment.requests.saturating_add(1);
                commitment.note = Some(format!(
                    "{} took the request for storage commitment and never reported; it is asked again",
                    delivery.destination
                ));
            }
            commitment.stand = Stand::Open;
            if commitment.requests >= COMMITMENT_REQUESTS {
                silent = Some(format!(
                    "{} was asked {COMMITMENT_REQUESTS} times to commit to the study and never reported; check that \
                     it knows our AE title, address and port for its report, and whether it keeps the study; then \
                     press retry, or set `commitment = \"off\"` for it and press retry",
                    delivery.destination
                ));
                continue;
            }
            actions.extend(assure(&uid, &instances, delivery));
        }
        match silent {
            Some(sentence) => self.hold(&sentence),
            None => actions,
        }
    }

    /// What a start makes of commitments that were being asked for.
    pub(in crate::import) fn commitments_resumed(&mut self) -> Vec<Action> {
        let (uid, instances) = (self.uid.clone(), self.instances.clone());
        let (StudyState::Forwarding(work) | StudyState::Confirming(work)) = &mut self.state else {
            return vec![];
        };
        let mut actions = vec![];
        for delivery in &mut work.deliveries {
            let commitment = &mut delivery.commitment;
            let taken = commitment.asked.last().is_some_and(|asked| asked.taken);
            if matches!(commitment.stand, Stand::Asked { .. }) && !taken {
                // Nobody knows whether the request left: the next one gets a transaction UID of its own.
                commitment.stand = Stand::Open;
            }
            actions.extend(assure(&uid, &instances, delivery));
        }
        actions
    }

    /// A person has to look; what else runs for the study may end.
    fn hold(&mut self, sentence: &str) -> Vec<Action> {
        if !matches!(self.state, StudyState::Quarantined { .. }) {
            let work = self.take_work();
            self.state = StudyState::Quarantined { sentence: sentence.to_owned(), work };
        }
        vec![]
    }

    fn send_again(&mut self, destination: &DestinationName) -> Vec<Action> {
        if let Some(work) = self.take_work() {
            self.state = StudyState::Forwarding(work);
        }
        vec![Action::Send { study: self.uid.clone(), destination: destination.clone() }]
    }

    /// The end, if every destination vouches for every instance. A report that comes after a person was asked
    /// takes the question back.
    pub(in crate::import) fn confirm_if_assured(&mut self) -> Vec<Action> {
        let instances = self.instances.clone();
        let Some(work) = self.delivered_work() else { return vec![] };
        let is_assured = |delivery: &Delivery| {
            delivery.is_stored(&instances) && delivery.commitment.assurance().is_some()
        };
        if !work.deliveries.iter().all(is_assured) {
            return vec![];
        }
        if let Some(work) = self.take_work() {
            self.state = StudyState::Confirming(work);
        }
        vec![Action::Confirm { study: self.uid.clone() }]
    }
}

/// What follows from a report.
enum Heard {
    /// Every instance is committed.
    Everything,
    /// Not yet every one.
    Part,
    SendAgain,
    Person(String),
}

impl Delivery {
    /// Takes a report; `None` if it is about nothing that was asked.
    fn hear(&mut self, report: &Reported<'_>, instances: &[u32]) -> Option<Heard> {
        let (destination, commitment) = (&self.destination, &mut self.commitment);
        let about: BTreeSet<u32> = match report.transaction {
            Some(transaction) => {
                let known = commitment.asked.iter().position(|a| a.transaction == *transaction)?;
                commitment.asked.remove(known).instances.into_iter().collect()
            }
            None => instances.iter().copied().collect(),
        };
        let before = commitment.committed.len();
        let failed: BTreeMap<u32, u16> =
            report.failed.iter().filter(|(number, _)| about.contains(number)).copied().collect();
        let committed = Arc::make_mut(&mut commitment.committed);
        committed.extend(report.committed.iter().filter(|n| about.contains(n)));
        // In both lists: failed.
        committed.retain(|number| !failed.contains_key(number));
        (commitment.requests, commitment.refusals, commitment.note) = (0, 0, None);
        commitment.attempts = match commitment.committed.len() > before {
            true => 0,
            false => commitment.attempts.saturating_add(1),
        };
        let why = |wanted: Follows| {
            let found = failed.values().find(|reason| follows(**reason) == wanted);
            found.map(|reason| format!("{} ({reason:04X}H)", sentence(*reason)))
        };
        let all = instances.len();
        if let Some(why) = why(Follows::Person) {
            commitment.stand = Stand::Open;
            return Some(Heard::Person(format!(
                "{destination} does not commit to {} of {all} instances: {why}; look there whether it keeps them, \
                 then press retry, or set `commitment = \"off\"` for {destination} and press retry",
                failed.len(),
            )));
        }
        if let Some(why) = why(Follows::SendAgain) {
            let lost = failed.iter().filter(|(_, reason)| follows(**reason) == Follows::SendAgain);
            let lost: Vec<u32> = lost.map(|(number, _)| *number).collect();
            // What was asked before they are sent again tells nothing of them.
            commitment.asked.clear();
            commitment.stand = Stand::Open;
            let told = format!(
                "{destination} answered success, but has not kept {} of {all} instances: {why}",
                lost.len()
            );
            self.outcomes.retain(|number, _| !lost.contains(&number));
            Arc::make_mut(&mut self.may_hold).extend(lost);
            if commitment.resent >= RESENDS {
                return Some(Heard::Person(format!(
                    "{told}; they were sent {RESENDS} times again; look into its log and at its disk, then press \
                     retry"
                )));
            }
            commitment.resent = commitment.resent.saturating_add(1);
            commitment.note = Some(format!("{told}; they are sent again"));
            return Some(Heard::SendAgain);
        }
        if instances.iter().all(|number| commitment.committed.contains(number)) {
            commitment.asked.clear();
            let by = report.transaction.map_or(Assurance::Found, |_| Assurance::Committed);
            commitment.stand = Stand::Assured(by);
            return Some(Heard::Everything);
        }
        if about.iter().all(|number| commitment.committed.contains(number)) {
            // The next batch.
            commitment.stand = Stand::Open;
        } else if commitment.asked.is_empty() {
            commitment.note = Some(match why(Follows::AskAgain) {
                None => {
                    format!("{destination} did not report on every instance; it is asked again")
                }
                Some(why) => format!("{destination} does not commit yet: {why}; it is asked again"),
            });
            commitment.stand = Stand::Postponed { due: report.due };
        }
        Some(Heard::Part)
    }
}
