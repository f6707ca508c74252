//! Applying events to one study.

use super::apply::{INTERRUPTIONS, cut_off};
use super::event::{Action, Order, Stage};
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
        let StudyState::AwaitingWorklist { attempts, interrupted, due, note } = &mut self.state
        else {
            return None;
        };
        *attempts += 1;
        *interrupted = 0;
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
        let open = match &self.state {
            StudyState::AwaitingWorklist { .. }
            | StudyState::AwaitingDecision { .. }
            | StudyState::Quarantined { work: None, .. } => true,
            // Held before anything was sent: the decision may have been the wrong one.
            StudyState::Quarantined { work: Some(work), .. } => work.is_untouched(),
            StudyState::Inspected
            | StudyState::Forwarding(_)
            | StudyState::Confirming(_)
            | StudyState::Confirmed { .. }
            | StudyState::Rejected { .. }
            | StudyState::Cancelled { .. } => false,
        };
        if !open || order.destinations.is_empty() {
            return None;
        }
        self.state = StudyState::Forwarding(Box::new(Work {
            decision: order.decision.clone(),
            plan: order.plan.clone(),
            plans: order.plans.clone(),
            deliveries: order.destinations.iter().cloned().map(Delivery::new).collect(),
            route: order.route.clone(),
            compressed: order.compressed,
        }));
        let send = |destination: &DestinationName| Action::Send {
            study: self.uid.clone(),
            destination: destination.clone(),
        };
        Some(order.destinations.iter().map(send).collect())
    }

    pub(super) fn rejected(&mut self, reason: &str, now: Moment) -> Option<Vec<Action>> {
        let open = matches!(
            self.state,
            StudyState::AwaitingWorklist { .. }
                | StudyState::AwaitingDecision { .. }
                | StudyState::Quarantined { .. }
        );
        if !open {
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
        delivery.interrupted = 0;
        delivery.outcomes.extend(outcomes.iter().cloned());
        if !forwarding {
            return Some(vec![]);
        }
        let expected = self.instances.len();
        if work.deliveries.iter().any(|delivery| delivery.outcomes.len() < expected) {
            return Some(vec![]);
        }
        if work.deliveries.iter().all(|delivery| delivery.refused() == 0) {
            let work = work.clone();
            self.state = StudyState::Confirming(work);
            return Some(vec![Action::Confirm { study: self.uid.clone() }]);
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
    ) -> Option<Vec<Action>> {
        // In quarantine, because another destination failed, it is noted so that it is known to rest.
        let (StudyState::Forwarding(work) | StudyState::Quarantined { work: Some(work), .. }) =
            &mut self.state
        else {
            return None;
        };
        let delivery = work.deliveries.iter_mut().find(|d| d.destination == *destination)?;
        delivery.attempts += 1;
        delivery.interrupted = 0;
        delivery.due = Some(due);
        delivery.last_error = Some(sentence.to_owned());
        Some(vec![])
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
        delivery.interrupted = 0;
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

    /// What a person's retry does for this study.
    pub(super) fn retried(&mut self) -> Vec<Action> {
        let uid = self.uid.clone();
        match &mut self.state {
            StudyState::AwaitingWorklist { due: Some(_), .. }
            | StudyState::AwaitingDecision { .. }
            | StudyState::Quarantined { work: None, .. } => self.ask_again(),
            StudyState::Forwarding(work) => {
                work.deliveries.iter_mut().filter_map(|d| start_delivery(&uid, d)).collect()
            }
            StudyState::Quarantined { work: Some(work), .. } => {
                let mut work = work.clone();
                let instances = self.instances.len();
                let mut actions = vec![];
                for delivery in &mut work.deliveries {
                    delivery
                        .outcomes
                        .retain(|_, outcome| matches!(outcome, InstanceOutcome::Delivered { .. }));
                    delivery.interrupted = 0;
                    delivery.due = None;
                    delivery.held = None;
                    if delivery.outcomes.len() < instances {
                        let destination = delivery.destination.clone();
                        actions.push(Action::Send { study: uid.clone(), destination });
                    }
                }
                if actions.is_empty() {
                    // Everything was answered before it was quarantined: a run would have nothing to do.
                    self.state = StudyState::Confirming(work);
                    return vec![Action::Confirm { study: uid }];
                }
                self.state = StudyState::Forwarding(work);
                actions
            }
            StudyState::Inspected
            | StudyState::AwaitingWorklist { due: None, .. }
            | StudyState::Confirming(_)
            | StudyState::Confirmed { .. }
            | StudyState::Rejected { .. }
            | StudyState::Cancelled { .. } => vec![],
        }
    }

    pub(super) fn restarted(&mut self) -> Vec<Action> {
        let uid = self.uid.clone();
        let expected = self.instances.len();
        match &mut self.state {
            StudyState::AwaitingWorklist { due: None, interrupted: times, .. } => {
                *times += 1;
                if *times >= INTERRUPTIONS {
                    return self.quarantine(&cut_off("matching it"));
                }
                vec![Action::AskWorklist { study: uid }]
            }
            StudyState::Forwarding(work) => {
                let mut actions = vec![];
                for delivery in &mut work.deliveries {
                    if delivery.due.is_some() || delivery.outcomes.len() >= expected {
                        continue;
                    }
                    delivery.interrupted += 1;
                    if delivery.interrupted >= INTERRUPTIONS {
                        return self.quarantine(&cut_off("sending it"));
                    }
                    let destination = delivery.destination.clone();
                    actions.push(Action::Send { study: uid.clone(), destination });
                }
                actions
            }
            StudyState::Confirming(_) => vec![Action::Confirm { study: uid }],
            StudyState::Inspected
            | StudyState::AwaitingWorklist { due: Some(_), .. }
            | StudyState::AwaitingDecision { .. }
            | StudyState::Confirmed { .. }
            | StudyState::Quarantined { .. }
            | StudyState::Rejected { .. }
            | StudyState::Cancelled { .. } => vec![],
        }
    }
}

/// Starts a delivery that waits; `None` if it does not.
pub(super) fn start_delivery(study: &Uid, delivery: &mut Delivery) -> Option<Action> {
    delivery.due.take()?;
    Some(Action::Send { study: study.clone(), destination: delivery.destination.clone() })
}

pub(super) fn awaiting_worklist() -> StudyState {
    StudyState::AwaitingWorklist { attempts: 0, interrupted: 0, due: None, note: None }
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
