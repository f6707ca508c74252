//! Where every instance is: the conservation that holds at any time.

use serde::{Deserialize, Serialize};

use super::state::{Import, InstanceOutcome, Origin, State, StudyState};

/// Counts over unique SOP instances received; beside them files set aside and instances created.
///
/// `received = delivered + quarantined + rejected + cancelled + in_flight`; instances that came twice are
/// counted once and again in `duplicate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    pub received: u64,
    pub delivered: u64,
    pub quarantined: u64,
    pub rejected: u64,
    pub cancelled: u64,
    pub in_flight: u64,
    pub duplicate: u64,
    pub set_aside: u64,
    pub created: u64,
    /// Of the created ones, those delivered.
    pub created_delivered: u64,
}

impl Counts {
    /// Received, and neither delivered nor given up by a person.
    pub fn undelivered(&self) -> u64 {
        self.quarantined.saturating_add(self.in_flight)
    }

    /// Whether every received instance is in exactly one place.
    pub fn is_conserved(&self) -> bool {
        self.received
            == self.delivered + self.quarantined + self.rejected + self.cancelled + self.in_flight
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.delivered += other.delivered;
        self.quarantined += other.quarantined;
        self.rejected += other.rejected;
        self.cancelled += other.cancelled;
        self.in_flight += other.in_flight;
        self.duplicate += other.duplicate;
        self.set_aside += other.set_aside;
        self.created += other.created;
        self.created_delivered += other.created_delivered;
    }
}

impl Import {
    /// Counts over the whole import.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            duplicate: u64::from(self.duplicates),
            set_aside: count(self.set_aside.len()),
            ..Counts::default()
        };
        for index in 0..self.studies.len() {
            counts += self.study_counts(index);
        }
        counts
    }

    /// Counts of the study at `index`; zero if there is none.
    pub fn study_counts(&self, index: usize) -> Counts {
        let mut counts = Counts::default();
        let Some(study) = self.studies.get(index) else {
            return counts;
        };
        for number in study.instances.iter() {
            let created = usize::try_from(*number)
                .ok()
                .and_then(|number| self.instances.get(number))
                .is_some_and(|instance| matches!(instance.origin, Origin::Created { .. }));
            let delivered = study.work().is_some_and(|work| {
                !work.deliveries.is_empty()
                    && work.deliveries.iter().all(|delivery| {
                        matches!(
                            delivery.outcomes.get(*number),
                            Some(InstanceOutcome::Delivered { .. })
                        )
                    })
            });
            if created {
                counts.created += 1;
                counts.created_delivered += u64::from(delivered);
                continue;
            }
            counts.received += 1;
            let place = match &study.state {
                _ if delivered => &mut counts.delivered,
                _ if matches!(self.state, State::Cancelled { .. }) => &mut counts.cancelled,
                StudyState::Quarantined { .. } => &mut counts.quarantined,
                StudyState::Rejected { .. } => &mut counts.rejected,
                StudyState::Cancelled { .. } => &mut counts.cancelled,
                StudyState::Inspected
                | StudyState::AwaitingWorklist { .. }
                | StudyState::AwaitingDecision { .. }
                | StudyState::Forwarding(_)
                | StudyState::Confirming(_)
                | StudyState::Confirmed { .. } => &mut counts.in_flight,
            };
            *place += 1;
        }
        counts
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
