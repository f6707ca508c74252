//! Applying events to one study.

use std::sync::Arc;

use super::commitment;
use super::event::{Action, Order, Stage};
use super::restart::{Restart, cut_off};
use super::state::{Delivery, DestinationName, InstanceOutcome, Study, StudyState, Work};
use crate::clock::Moment;
use crate::dicom::{Patient, Uid};

impl Study {
    pub(super) fn learn(&mut self, patient: &Patient, modality: Option<&str>) {
        if !self.identities.contains(patient) && self.identities.len() < Self::MAX_IDENTITIES {
            self.identities.push(patient.clone());
        }
        if let Some(modality) = modality
            && !self.modalities.iter().any(|known| known == modality)
        {
            self.modalities.push(modality.to_owned());
        }
    }

    pub(super) fn worklist_postponed(&mut self, at: Moment, sentence: &str) -> Option<Vec<Action>> {
        let StudyState::AwaitingWorklist { attempts, interrupted, due, note, began } =
            &mut self.state
        else {
            return None;
        };
        *attempts += 1;
        (*interrupted, *began) = (0, false);
        *due = Some(at);
        *note = Some(sentence.to_owned());
        Some(vec![])
    }

    /// A stage failed. A report from before the last change of state is old news and changes nothing: a
    /// worklist that failed must not stop a study that a person decided meanwhile.
    pub(super) fn failed(&mut self, stage: Stage, sentence: &str) -> Option<Vec<Action>> {
        let current = match stage {
            Stage::Worklist => matches!(self.state, StudyState::AwaitingWorklist { .. }),
            Stage::Forward => {
                matches!(self.state, StudyState::Forwarding(_) | StudyState::Confirming(_))
            }
            Stage::Pull | Stage::Unpack => false,
        };
        current.then(|| self.quarantine(sentence))
    }

    fn quarantine(&mut self, sentence: &str) -> Vec<Action> {
        let work = self.take_work();
        self.state = StudyState::Quarantined { sentence: sentence.to_owned(), work };
        vec![]
    }

    /// Takes out what is known of the delivery, for the state that comes next.
    pub(super) fn take_work(&mut self) -> Option<Box<Work>> {
        match std::mem::replace(&mut self.state, StudyState::Inspected) {
            StudyState::Forwarding(work)
            | StudyState::Confirming(work)
            | StudyState::Confirmed { work, .. } => Some(work),
            StudyState::Quarantined { work, .. }
            | StudyState::Rejected { work, .. }
            | StudyState::Cancelled { work, .. } => work,
            StudyState::Inspected
            | StudyState::AwaitingWorklist { .. }
            | StudyState::AwaitingDecision { .. } => None,
        }
    }

    pub(super) fn decided(&mut self, order: &Order) -> Option<Vec<Action>> {
        if !self.is_decidable() || !order.over.takes(&self.state) || order.destinations.is_empty() {
            return None;
        }
        // What left for a destination may be there, whoever decided it.
        let before = self.work().map_or(&[][..], |work| work.deliveries.as_slice());
        let delivery = |name: &DestinationName| {
            let known = before.iter().find(|delivery| delivery.destination == *name);
            let may_hold = known.map(|delivery| Arc::clone(&delivery.may_hold)).unwrap_or_default();
            Delivery { may_hold, ..Delivery::new(name.clone()) }
        };
        let deliveries = order.destinations.iter().map(delivery).collect();
        self.state = StudyState::Forwarding(Box::new(Work {
            decision: order.decision.clone(),
            plan: order.plan.clone(),
            plans: order.plans.clone(),
            deliveries,
            route: order.route.clone(),
            compressed: order.compressed,
            way: order.way.clone(),
        }));
        let send = |destination: &DestinationName| Action::Send {
            study: self.uid.clone(),
            destination: destination.clone(),
        };
        Some(order.destinations.iter().map(send).collect())
    }

    pub(super) fn rejected(&mut self, reason: &str, now: Moment) -> Option<Vec<Action>> {
        if !self.is_rejectable() {
            return None;
        }
        let work = self.take_work();
        self.state = StudyState::Rejected { reason: reason.to_owned(), at: now, work };
        Some(vec![])
    }

    pub(super) fn sent(
        &mut self,
        destination: &DestinationName,
        outcomes: &[(u32, InstanceOutcome)],
    ) -> Option<Vec<Action>> {
        let ours = outcomes.iter().all(|(number, _)| self.instances.contains(number));
        let (work, forwarding) = match &mut self.state {
            StudyState::Forwarding(work) => (work, true),
            // Another destination failed while this one was still answering: what it has, it has.
            StudyState::Quarantined { work: Some(work), .. } => (work, false),
            _ => return None,
        };
        let delivery = work.deliveries.iter_mut().find(|d| d.destination == *destination)?;
        if !ours {
            return None;
        }
        (delivery.interrupted, delivery.fails_since) = (0, None);
        delivery.outcomes.extend(outcomes.iter().cloned());
        if !forwarding {
            return Some(vec![]);
        }
        let expected = self.instances.len();
        if delivery.outcomes.len() >= expected {
            // A run beside this one may have put it off meanwhile.
            (delivery.began, delivery.due) = (false, None);
        }
        // Whoever has stored everything is asked to vouch for it, whatever the others do.
        let assure = commitment::assure(&self.uid, &self.instances, delivery);
        if work.deliveries.iter().any(|delivery| delivery.outcomes.len() < expected) {
            return Some(assure.into_iter().collect());
        }
        if work.deliveries.iter().all(|delivery| delivery.refused() == 0) {
            let work = work.clone();
            self.state = StudyState::Confirming(work);
            return Some(assure.into_iter().chain(self.confirm_if_assured()).collect());
        }
        let sentence = refusals(&work.deliveries, expected);
        let work = Some(work.clone());
        self.state = StudyState::Quarantined { sentence, work };
        Some(vec![])
    }

    pub(super) fn delivery_postponed(
        &mut self,
        destination: &DestinationName,
        due: Moment,
        sentence: &str,
        now: Moment,
    ) -> Option<&mut Delivery> {
        let expected = self.instances.len();
        // In quarantine, because another destination failed, it is noted so that it is known to rest.
        let (StudyState::Forwarding(work) | StudyState::Quarantined { work: Some(work), .. }) =
            &mut self.state
        else {
            return None;
        };
        let delivery = work.deliveries.iter_mut().find(|d| d.destination == *destination)?;
        delivery.attempts += 1;
        (delivery.interrupted, delivery.began) = (0, false);
        if delivery.outcomes.len() >= expected {
            // A run beside this one brought what was left.
            return Some(delivery);
        }
        delivery.due = Some(due);
        delivery.fails_since.get_or_insert(now);
        delivery.last_error = Some(sentence.to_owned());
        Some(delivery)
    }

    pub(super) fn held(
        &mut self,
        destination: &DestinationName,
        sentence: &str,
    ) -> Option<Vec<Action>> {
        let (work, forwarding) = match &mut self.state {
            StudyState::Forwarding(work) => (work, true),
            // Another destination held it a moment before.
            StudyState::Quarantined { work: Some(work), .. } => (work, false),
            _ => return None,
        };
        let delivery = work.deliveries.iter_mut().find(|d| d.destination == *destination)?;
        (delivery.interrupted, delivery.began) = (0, false);
        delivery.due = None;
        delivery.last_error = Some(sentence.to_owned());
        delivery.held = Some(sentence.to_owned());
        if forwarding {
            self.quarantine(sentence);
        }
        Some(vec![])
    }

    pub(super) fn confirmed(&mut self, now: Moment) -> Option<Vec<Action>> {
        let StudyState::Confirming(work) = &self.state else {
            return None;
        };
        self.state = StudyState::Confirmed { work: work.clone(), at: now };
        Some(vec![])
    }

    fn ask_again(&mut self) -> Vec<Action> {
        self.state = awaiting_worklist();
        vec![Action::AskWorklist { study: self.uid.clone() }]
    }

    /// Only a study that waits for a person looks again: all others found their order, or ask by themselves.
    pub(super) fn order_came(&mut self) -> Option<Vec<Action>> {
        matches!(self.state, StudyState::AwaitingDecision { .. }).then(|| self.ask_again())
    }

    /// What a person's retry does for this study; `None` if there is nothing to try.
    pub(super) fn retried(&mut self) -> Option<Vec<Action>> {
        let uid = self.uid.clone();
        let instances = self.instances.len();
        match &mut self.state {
            StudyState::AwaitingWorklist { due: Some(_), .. }
            | StudyState::AwaitingDecision { .. }
            | StudyState::Quarantined { work: None, .. } => Some(self.ask_again()),
            StudyState::Forwarding(work) | StudyState::Confirming(work) => {
                let mut actions = vec![];
                // What stands in a lane already is sent once, but need not wait until its destination has rested.
                let waits = work.deliveries.iter().any(|delivery| delivery.awaits_turn(instances));
                for delivery in &mut work.deliveries {
                    delivery.fails_since = None;
                    actions.extend(start_delivery(&uid, delivery));
                    if delivery.commitment.due().is_some() {
                        delivery.commitment.reset();
                        actions.extend(commitment::assure(&uid, &self.instances, delivery));
                    }
                }
                (waits || !actions.is_empty()).then_some(actions)
            }
            StudyState::Quarantined { work: Some(work), .. } => {
                let mut work = work.clone();
                let mut actions = vec![];
                for delivery in &mut work.deliveries {
                    if delivery.began {
                        delivery.any_may_have_left(&self.instances);
                    }
                    delivery.outcomes.retain(|_, outcome| outcome.is_delivered());
                    (delivery.interrupted, delivery.began) = (0, false);
                    (delivery.due, delivery.fails_since) = (None, None);
                    delivery.held = None;
                    delivery.commitment.reset();
                    actions.extend(commitment::assure(&uid, &self.instances, delivery));
                    if delivery.outcomes.len() < instances {
                        let destination = delivery.destination.clone();
                        actions.push(Action::Send { study: uid.clone(), destination });
                    }
                }
                if work.deliveries.iter().all(|d| d.outcomes.len() >= instances) {
                    // Everything was answered before it was quarantined: a run would have nothing to do.
                    self.state = StudyState::Confirming(work);
                    actions.extend(self.confirm_if_assured());
                } else {
                    self.state = StudyState::Forwarding(work);
                }
                (!actions.is_empty()).then_some(actions)
            }
            StudyState::Inspected
            | StudyState::AwaitingWorklist { due: None, .. }
            | StudyState::Confirmed { .. }
            | StudyState::Rejected { .. }
            | StudyState::Cancelled { .. } => None,
        }
    }

    pub(super) fn restarted(&mut self, how: Restart) -> Vec<Action> {
        let uid = self.uid.clone();
        let expected = self.instances.len();
        match &mut self.state {
            StudyState::AwaitingWorklist { due: None, interrupted, began, .. } => {
                if how.counts(std::mem::take(began), interrupted) {
                    return self.quarantine(&cut_off("matching it"));
                }
                vec![Action::AskWorklist { study: uid }]
            }
            StudyState::Forwarding(work) => {
                let mut actions = vec![];
                // While the gateway was not there nothing was tried, and nobody can tell how long.
                work.deliveries.iter_mut().for_each(|delivery| delivery.fails_since = None);
                for delivery in &mut work.deliveries {
                    if delivery.due.is_some() || delivery.outcomes.len() >= expected {
                        continue;
                    }
                    if delivery.began {
                        delivery.any_may_have_left(&self.instances);
                    }
                    if how.counts(std::mem::take(&mut delivery.began), &mut delivery.interrupted) {
                        return self.quarantine(&cut_off("sending it"));
                    }
                    let destination = delivery.destination.clone();
                    actions.push(Action::Send { study: uid.clone(), destination });
                }
                actions.extend(self.commitments_resumed());
                actions
            }
            StudyState::Confirming(_) => {
                let mut actions = self.commitments_resumed();
                actions.extend(self.confirm_if_assured());
                actions
            }
            StudyState::Inspected
            | StudyState::AwaitingWorklist { due: Some(_), .. }
            | StudyState::AwaitingDecision { .. }
            | StudyState::Confirmed { .. }
            | StudyState::Quarantined { .. }
            | StudyState::Rejected { .. }
            | StudyState::Cancelled { .. } => vec![],
        }
    }

    /// A stage has got its turn.
    pub(super) fn began(
        &mut self,
        stage: Stage,
        destination: Option<&DestinationName>,
    ) -> Option<Vec<Action>> {
        let began = match (&mut self.state, stage) {
            (StudyState::AwaitingWorklist { due: None, began, .. }, Stage::Worklist) => began,
            (StudyState::Forwarding(work), Stage::Forward) => {
                // One run at a time, and only for what is left.
                let expected = self.instances.len();
                let waits = |delivery: &&mut Delivery| {
                    Some(&delivery.destination) == destination && delivery.awaits_turn(expected)
                };
                &mut work.deliveries.iter_mut().find(waits)?.began
            }
            _ => return None,
        };
        *began = true;
        Some(vec![])
    }
}

/// Starts a delivery that waits; `None` if it does not.
pub(super) fn start_delivery(study: &Uid, delivery: &mut Delivery) -> Option<Action> {
    delivery.due.take()?;
    Some(Action::Send { study: study.clone(), destination: delivery.destination.clone() })
}

pub(super) fn awaiting_worklist() -> StudyState {
    StudyState::AwaitingWorklist {
        attempts: 0,
        interrupted: 0,
        due: None,
        note: None,
        began: false,
    }
}

fn refusals(deliveries: &[Delivery], expected: usize) -> String {
    let told = deliveries.iter().filter_map(|delivery| {
        let first = delivery.outcomes.values().find_map(|outcome| match outcome {
            InstanceOutcome::Refused { sentence, .. } => Some(sentence),
            InstanceOutcome::Delivered { .. } => None,
        })?;
        let (name, refused) = (&delivery.destination, delivery.refused());
        Some(format!("{name} refused {refused} of {expected} instances: {first}"))
    });
    let mut sentence = told.collect::<Vec<_>>().join("; ");
    sentence.push_str("; mend the cause and press retry, or cancel the import");
    sentence
}
