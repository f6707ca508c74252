//! One study of an import, with what was found for it and where it goes.

use serde::Serialize;

use super::left;
use super::words::{study_next_step, study_state};
use super::{Detail, PatientView, iso_date, rfc3339};
use crate::dicom::{Item, StudyFacts};
use crate::dimse::{Status, StatusClass};
use crate::import::{
    Assurance, Counts, Delivery, DestinationName, Import, InstanceOutcome, Stand, Study,
    StudyState, Work,
};
use crate::matching::{
    Authority, Candidate, Completeness, Decision, Evidence, Outcome, Rejected, Target, Tier,
    Verdict,
};
use crate::reconcile::{self, Shown};

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StudyView {
    pub(crate) study_instance_uid: String,
    pub(crate) state: &'static str,
    pub(crate) counts: Counts,
    pub(crate) foreign: ForeignView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<DecisionView>,
    /// What the rules said when they did not decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matching: Option<MatchingView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) candidates: Option<Vec<CandidateView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) changes: Option<Vec<Shown>>,
    /// Which way it goes, once decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<RouteView>,
    pub(crate) deliveries: Vec<DeliveryView>,
    pub(crate) next_step: String,
    /// Whether it may be filed, for pages.
    #[serde(skip)]
    pub(crate) may_decide: bool,
    /// Whether it may be turned away, for pages.
    #[serde(skip)]
    pub(crate) may_reject: bool,
    /// Images that are at destinations already, for pages.
    #[serde(skip)]
    pub(crate) left: Option<String>,
}

/// Where a study goes, and why.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RouteView {
    /// Of the route; `None` if none was taken.
    pub(crate) name: Option<String>,
    pub(crate) destinations: Vec<String>,
    /// Destinations that it came from, and does not go back to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_back: Vec<String>,
    /// A sentence; not known of what an older version decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// As the study came.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForeignView {
    #[serde(flatten)]
    pub(crate) patient: PatientView,
    pub(crate) accession_number: Option<String>,
    pub(crate) study_date: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) modalities: Vec<String>,
    pub(crate) institution: Option<String>,
    /// Other identities that instances of the study carry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_identities: Vec<PatientView>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecisionView {
    pub(crate) patient: PatientView,
    pub(crate) accession_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) item_id: Option<String>,
    /// The orders, if they are several; then `accession_number` is the one that all of them have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) items: Vec<ItemView>,
    /// `rule`, `person` or `earlier`.
    pub(crate) by: &'static str,
    pub(crate) tier: Option<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) at: String,
    pub(crate) evidence: Vec<Evidence>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) overridden: Vec<String>,
    /// Candidates that came near, and why they were not taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rejected: Vec<Rejected>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MatchingView {
    pub(crate) verdict: Verdict,
    pub(crate) tier: Tier,
    pub(crate) reason: String,
    pub(crate) contradictions: Vec<String>,
    pub(crate) margin: i32,
    pub(crate) completeness: Completeness,
}

/// An item of the worklist.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemView {
    pub(crate) item_id: String,
    pub(crate) patient: PatientView,
    pub(crate) accession_number: Option<String>,
    pub(crate) requested_procedure: Option<String>,
    pub(crate) modality: Option<String>,
    /// `YYYY-MM-DD` of the first step.
    pub(crate) start_date: Option<String>,
    pub(crate) start_time: Option<String>,
    pub(crate) status: Option<String>,
}

#[derive(Clone, Serialize)]
pub(crate) struct CandidateView {
    pub(crate) rank: u32,
    pub(crate) score: i32,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) contradictions: Vec<String>,
    /// What a decision says it was made by, so that nothing is filed by what has changed meanwhile.
    pub(crate) seen: String,
    #[serde(flatten)]
    pub(crate) item: ItemView,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    pub(crate) destination: String,
    /// `Waiting`, `Sending`, `Delivered` or `Failed`.
    pub(crate) state: &'static str,
    pub(crate) total: u64,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) last_error: Option<String>,
    /// What the destination did to objects that it stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) warning: Option<String>,
    /// What vouches for it: `committed`, `found`, `answered`; `awaited` while it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assurance: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) assurance_note: Option<String>,
}

/// The study at `index`; `None` if there is none.
pub(super) fn of(import: &Import, index: usize, detail: Detail) -> Option<StudyView> {
    let study = import.studies.get(index)?;
    let work = study.work();
    let outcome = match &study.state {
        StudyState::AwaitingDecision { outcome } if detail == Detail::Full => Some(outcome),
        StudyState::AwaitingDecision { .. }
        | StudyState::Inspected
        | StudyState::AwaitingWorklist { .. }
        | StudyState::Forwarding(_)
        | StudyState::Confirming(_)
        | StudyState::Confirmed { .. }
        | StudyState::Quarantined { .. }
        | StudyState::Rejected { .. }
        | StudyState::Cancelled { .. } => None,
    };
    let changes = work
        .filter(|_| detail == Detail::Full)
        .map(|work| reconcile::shown(&work.plan, &study.facts));
    Some(StudyView {
        study_instance_uid: study.uid.to_string(),
        state: study_state(&study.state),
        counts: import.study_counts(index),
        foreign: foreign(study),
        decision: work.map(|work| decision(&work.decision)),
        matching: outcome.map(|outcome| matching(outcome)),
        candidates: outcome
            .map(|outcome| outcome.candidates.iter().map(|one| candidate(outcome, one)).collect()),
        changes,
        route: work.map(route),
        deliveries: work.map_or_else(Vec::new, |work| {
            work.deliveries.iter().map(|one| delivery(one, study.instances.len())).collect()
        }),
        next_step: study_next_step(study),
        may_decide: import.may_decide(study),
        may_reject: import.may_reject(study),
        left: (detail == Detail::Full).then(|| left::behind([&**study])).flatten(),
    })
}

fn route(work: &Work) -> RouteView {
    let names = |names: &[DestinationName]| names.iter().map(ToString::to_string).collect();
    RouteView {
        name: work.route.clone(),
        destinations: work.deliveries.iter().map(|one| one.destination.to_string()).collect(),
        not_back: work.way.as_ref().map_or_else(Vec::new, |way| names(&way.not_back)),
        why: work.way.as_ref().map(|way| way.sentence(work.route.as_deref())),
    }
}

fn foreign(study: &Study) -> ForeignView {
    let StudyFacts {
        patient, accession_number, study_date, study_description, institution, ..
    } = &study.facts;
    let others = study.identities.iter().filter(|identity| *identity != patient);
    ForeignView {
        patient: patient.into(),
        accession_number: accession_number.as_ref().map(|number| number.number.clone()),
        study_date: study_date.as_deref().map(iso_date),
        description: study_description.clone(),
        modalities: study.modalities.clone(),
        institution: institution.clone(),
        other_identities: others.map(PatientView::from).collect(),
    }
}

fn decision(decision: &Decision) -> DecisionView {
    let (by, tier, rule_version, actor, reason) = match &decision.authority {
        Authority::Rule { tier, version } => ("rule", Some(*tier), Some(*version), None, None),
        Authority::Person { actor, reason } => {
            ("person", None, None, Some(actor.clone()), Some(reason.clone()))
        }
        Authority::Earlier => ("earlier", None, None, None, None),
    };
    DecisionView {
        patient: decision.target.patient().into(),
        accession_number: accession_number(&decision.target),
        item_id: match &decision.target {
            Target::Order(item) => Some(item.item_id()),
            Target::NoOrder(_) | Target::Orders(_) => None,
        },
        items: match &decision.target {
            Target::Orders(_) => decision.target.orders().map(ItemView::from).collect(),
            Target::Order(_) | Target::NoOrder(_) => Vec::new(),
        },
        by,
        tier,
        rule_version,
        actor,
        reason,
        at: rfc3339(decision.at),
        evidence: decision.evidence.clone(),
        overridden: decision.overridden.clone(),
        rejected: decision.rejected.clone(),
    }
}

/// The number of the order, or the one that all orders have.
fn accession_number(target: &Target) -> Option<String> {
    let number = |item: &Item| item.accession_number.as_ref().map(|number| number.number.clone());
    let mut numbers = target.orders().map(number);
    let first = numbers.next()?;
    first.filter(|first| numbers.all(|other| other.as_ref() == Some(first)))
}

fn matching(outcome: &Outcome) -> MatchingView {
    MatchingView {
        verdict: outcome.verdict,
        tier: outcome.tier,
        reason: outcome.reason.clone(),
        contradictions: outcome.contradictions.clone(),
        margin: outcome.margin,
        completeness: outcome.completeness,
    }
}

fn candidate(outcome: &Outcome, candidate: &Candidate) -> CandidateView {
    CandidateView {
        rank: candidate.rank,
        score: candidate.score,
        evidence: candidate.evidence.clone(),
        contradictions: candidate.contradictions.clone(),
        seen: outcome.seen(candidate),
        item: ItemView { item_id: candidate.item_id.clone(), ..(&candidate.item).into() },
    }
}

impl From<&Item> for ItemView {
    fn from(item: &Item) -> Self {
        let step = item.steps.iter().find(|step| step.is_open()).or_else(|| item.steps.first());
        Self {
            item_id: item.item_id(),
            patient: (&item.patient).into(),
            accession_number: item.accession_number.as_ref().map(|number| number.number.clone()),
            requested_procedure: item
                .requested_procedure_description
                .clone()
                .or_else(|| step.and_then(|step| step.description.clone())),
            modality: step.and_then(|step| step.modality.clone()),
            start_date: step.and_then(|step| step.start_date.as_deref().map(iso_date)),
            start_time: step.and_then(|step| step.start_time.clone()),
            status: step.and_then(|step| step.status.clone()),
        }
    }
}

fn delivery(delivery: &Delivery, instances: usize) -> DeliveryView {
    let total = u64::try_from(instances).unwrap_or(u64::MAX);
    let (mut delivered, mut failed, mut refusal, mut warning) = (0, 0, None, None);
    for outcome in delivery.outcomes.values() {
        match outcome {
            InstanceOutcome::Delivered { status } => {
                delivered += 1;
                let status = Status(*status);
                if warning.is_none() && status.class() == StatusClass::Warning {
                    warning = Some(status.sentence());
                }
            }
            InstanceOutcome::Refused { sentence, .. } => {
                failed += 1;
                refusal = Some(sentence);
            }
        }
    }
    let state = if delivered >= total {
        "Delivered"
    } else if delivered + failed >= total {
        "Failed"
    } else if !delivery.began || delivery.due.is_some() || delivery.held.is_some() {
        "Waiting"
    } else {
        "Sending"
    };
    let assurance = match delivery.commitment.stand {
        Stand::Assured(Assurance::Committed) => Some("committed"),
        Stand::Assured(Assurance::Found) => Some("found"),
        Stand::Assured(Assurance::Answered) => Some("answered"),
        Stand::Asked { .. } | Stand::Postponed { .. } => Some("awaited"),
        Stand::Open => None,
    };
    let last_error = (state != "Delivered").then(|| delivery.last_error.as_ref().or(refusal));
    DeliveryView {
        destination: delivery.destination.to_string(),
        state,
        total,
        delivered,
        failed,
        last_error: last_error.flatten().cloned(),
        warning,
        assurance,
        assurance_note: delivery.commitment.note.clone(),
    }
}
