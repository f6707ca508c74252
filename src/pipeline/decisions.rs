//! From a decision to an order: a person's word, the plan, and where the study goes.

use super::Settings;
use super::handle::{Choice, Pipeline, Refusal, Seen};
use crate::dicom::{Item, Uid};
use crate::forward;
use crate::import::{
    Actor, DestinationName, Event, Import, ImportId, Kind, Order, Study, StudyState,
};
use crate::matching::{Authority, Candidate, Decision, Rejected, Target, rejected};
use crate::reconcile::{self, Local};

impl Pipeline {
    /// Files a study as a person says, contradictions overridden and noted.
    pub async fn decide(
        &self,
        id: ImportId,
        study: Uid,
        choice: Choice,
        reason: String,
        actor: Actor,
    ) -> Result<(), Refusal> {
        if reason.trim().is_empty() {
            return Err(Refusal::Invalid(
                "a decision needs a reason; say in a few words why".into(),
            ));
        }
        let import = self.import(id).ok_or(Refusal::Unknown)?;
        let Some(found) = import.study(&study) else {
            return Err(Refusal::Invalid(
                "this import holds no such study; look at it with `lotse show`".into(),
            ));
        };
        let event = match choice {
            Choice::Reject => Event::Rejected { study, reason, actor },
            Choice::Item { item_id } => {
                let (item, candidate) = self.find_item(found, &item_id).await?;
                let (evidence, overridden) = candidate
                    .map(|candidate| (candidate.evidence, candidate.contradictions))
                    .unwrap_or_default();
                let decision = Decision {
                    target: Target::Order(Box::new(item)),
                    authority: Authority::Person { actor: actor.0, reason },
                    evidence,
                    overridden: [overridden, held_by(found)].concat(),
                    rejected: not_taken(found, &item_id),
                    at: self.shared.clock.now(),
                };
                self.order(&import, found, decision)?
            }
            Choice::NoOrder { patient, seen } => {
                let complete = patient.id.as_ref().is_some_and(|id| !id.id.trim().is_empty())
                    && patient.name.is_some();
                if !complete {
                    return Err(Refusal::Invalid(
                        "a patient without an order needs at least a patient ID and a name".into(),
                    ));
                }
                let look = self.look_at(&import, found, &patient).await;
                if seen == Seen::Once && !look.doubts.is_empty() {
                    return Err(Refusal::NotNow(format!(
                        "look again at the patient: {}; send the decision as confirmed if this patient is meant",
                        look.doubts.join("; ")
                    )));
                }
                let decision = Decision {
                    target: Target::NoOrder(patient),
                    authority: Authority::Person { actor: actor.0, reason },
                    evidence: look.evidence,
                    overridden: [look.doubts, held_by(found)].concat(),
                    rejected: vec![],
                    at: self.shared.clock.now(),
                };
                self.order(&import, found, decision)?
            }
        };
        self.report(id, event).await
    }

    /// The order for a decision: its plan and destinations, fixed at this moment.
    pub(super) fn order(
        &self,
        import: &Import,
        study: &Study,
        decision: Decision,
    ) -> Result<Event, Refusal> {
        let settings = self.shared.settings();
        let destinations = destinations(import, &settings)?;
        let local = match &decision.target {
            Target::Order(item) => Local::Order(item),
            Target::NoOrder(patient) => Local::NoOrder(patient),
        };
        let at = decision.at.timestamp().to_zoned(settings.zone.clone());
        let plan = reconcile::plan(local, &study.facts, &settings.site, &at);
        let own = |name: &DestinationName| {
            let section = &settings.destinations.get(name)?.coercion;
            let coercion = settings.site.coercion.with(section);
            if coercion == settings.site.coercion {
                return None;
            }
            let site = reconcile::Site { coercion, ..settings.site.clone() };
            Some((name.clone(), reconcile::plan(local, &study.facts, &site, &at)))
        };
        let plans = destinations.iter().filter_map(own).collect();
        let order = Box::new(Order { decision, plan, plans, destinations });
        Ok(Event::Decided { study: study.uid.clone(), order })
    }

    /// The item that a person named: among the candidates, or else in the worklist as it is now.
    async fn find_item(
        &self,
        study: &Study,
        item_id: &str,
    ) -> Result<(Item, Option<Candidate>), Refusal> {
        if let StudyState::AwaitingDecision { outcome } = &study.state
            && let Some(found) = outcome.candidates.iter().find(|c| c.item_id == item_id)
        {
            return Ok((found.item.clone(), Some(found.clone())));
        }
        let (items, _) = self.worklist(None, None).await?;
        let found = items.into_iter().find(|item| item.item_id() == item_id);
        found.map(|item| (item, None)).ok_or_else(|| {
            Refusal::Invalid(
                "the worklist holds no such item now; list what it holds with `lotse worklist`"
                    .into(),
            )
        })
    }
}

/// What held a study, contradictions or a destination, which a person's decision overrides.
fn held_by(study: &Study) -> Vec<String> {
    match &study.state {
        StudyState::AwaitingDecision { outcome } => outcome.contradictions.clone(),
        StudyState::Quarantined { work: Some(work), .. } => work.held(),
        _ => vec![],
    }
}

/// The candidates that a person saw and did not take.
fn not_taken(study: &Study, item_id: &str) -> Vec<Rejected> {
    match &study.state {
        StudyState::AwaitingDecision { outcome } => rejected(&outcome.candidates, item_id),
        _ => vec![],
    }
}

/// Where a study of this import goes: as requested, else everywhere but back to the peer it came from.
fn destinations(import: &Import, settings: &Settings) -> Result<Vec<DestinationName>, Refusal> {
    let from = match &import.kind {
        Kind::Association { peer, .. } => Some(peer.as_str()),
        Kind::Link { .. } | Kind::Upload => None,
    };
    let back = |name: &DestinationName| {
        let peer = settings.destinations.get(name).map(|destination| &destination.target);
        matches!(peer, Some(forward::Target::Peer { name, .. }) if Some(name.as_str()) == from)
    };
    let mut names = settings.destinations.names();
    names.retain(|name| match &import.request.destination {
        Some(wanted) => wanted == name,
        None => !back(name),
    });
    if names.is_empty() {
        return Err(Refusal::NotNow(
            "no destination is configured that this study may go to; add one to the configuration, \
             reload, and press retry"
                .into(),
        ));
    }
    Ok(names)
}
