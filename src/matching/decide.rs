//! The ladder (`packaging/doc/matching.md`): from the evidence to a verdict.
//!
//! Invariant: automatic only if every witness that is present agrees, the item is open, it is the first of
//! the list, and the rung does not lean on an incomplete answer for "the only one".

use crate::dicom::Item;

use super::compare::{agrees, is_default};
use super::index::Index;
use super::rank::{self, Assessed};
use super::study::Study;
use super::{Agreement, Case, Completeness, Outcome, Policy, Tier, Verdict};

/// Where the study stands before the policy is asked.
struct Finding {
    tier: Tier,
    /// Index of the item that the rung is about.
    chosen: Option<usize>,
    contradictions: Vec<String>,
    reason: &'static str,
}

impl Finding {
    fn weak(reason: &'static str) -> Self {
        Self { tier: Tier::Weak, chosen: None, contradictions: Vec::new(), reason }
    }

    fn on(tier: Tier, chosen: usize, reason: &'static str) -> Self {
        Self { tier, chosen: Some(chosen), contradictions: Vec::new(), reason }
    }

    fn contradiction(contradictions: Vec<String>, reason: &'static str) -> Self {
        Self { tier: Tier::Contradiction, chosen: None, contradictions, reason }
    }
}

/// What the rules say of one study against a few items. For more studies make an [`Index`] once.
pub fn decide(case: &Case, items: &[Item], completeness: Completeness, policy: Policy) -> Outcome {
    Index::new(items).decide(case, completeness, policy)
}

/// Climbs the ladder over what was compared, best first.
pub(super) fn climbed(
    study: &Study<'_>,
    assessed: &[Assessed<'_>],
    completeness: Completeness,
    policy: Policy,
) -> Outcome {
    let candidates = rank::candidates(assessed);
    let mut finding = climb(study, assessed, completeness);
    // What stands first is what a person would take; the rules may not take something else.
    if finding.chosen.is_some_and(|chosen| chosen != 0) {
        finding = Finding::weak("another candidate fits better than the one the rules point to");
    }
    let allowed = match policy {
        Policy::Confirm => false,
        Policy::AutomaticWithOrder => finding.tier == Tier::RequestedOrder,
        Policy::Automatic => finding.tier <= Tier::Demographics,
    };
    let verdict = if candidates.is_empty() {
        Verdict::None
    } else if allowed && finding.chosen == Some(0) && finding.contradictions.is_empty() {
        Verdict::Automatic
    } else {
        Verdict::Person
    };
    let mut reason = finding.reason.to_owned();
    if verdict == Verdict::Person && finding.tier <= Tier::Demographics {
        reason.push_str("; the policy asks a person to confirm");
    }
    if verdict == Verdict::None && finding.tier != Tier::Contradiction {
        reason = nobody(completeness).to_owned();
    }
    Outcome {
        verdict,
        tier: finding.tier,
        margin: rank::margin(assessed),
        candidates,
        contradictions: finding.contradictions,
        reason,
        completeness,
    }
}

fn nobody(completeness: Completeness) -> &'static str {
    match completeness {
        Completeness::Complete => {
            "no order of the worklist fits; name the patient, or wait for the order"
        }
        Completeness::Incomplete => {
            "no order fits in what the worklist answered, and the answer is incomplete; try again, or name \
             the patient"
        }
    }
}

fn climb(study: &Study<'_>, assessed: &[Assessed<'_>], completeness: Completeness) -> Finding {
    let finding = match study.requested_order {
        Some(_) => named(study, assessed),
        None => unnamed(study, assessed, completeness),
    };
    if study.contradictions.is_empty() {
        return finding;
    }
    let mut contradictions = study.contradictions.clone();
    contradictions.extend(finding.contradictions);
    Finding::contradiction(
        contradictions,
        "the study contradicts itself or what is known of it; look at the contradictions before filing it",
    )
}

/// The request names an order: that one or a person.
fn named(study: &Study<'_>, assessed: &[Assessed<'_>]) -> Finding {
    let hits: Vec<(usize, &Assessed<'_>)> = assessed
        .iter()
        .enumerate()
        .filter(|(_, a)| a.requested_order == Agreement::Equal)
        .collect();
    let Some((_, first)) = hits.first() else {
        return Finding::weak(
            "the order that the request names is not in the worklist; choose an order, or wait for it",
        );
    };
    if hits.iter().any(|(_, a)| !a.same_patient(first)) {
        return Finding::contradiction(
            vec!["two patients share the accession number that the request names".to_owned()],
            "the accession number of the request belongs to more than one patient; choose the right one",
        );
    }
    let open: Vec<(usize, &Assessed<'_>)> = hits.iter().copied().filter(|(_, a)| a.open).collect();
    let (index, hit) = match open.as_slice() {
        [] => {
            return Finding::weak(
                "the order that the request names is closed; choose an open order, or reopen it",
            );
        }
        [(index, hit)] => (*index, *hit),
        _ => {
            return Finding::weak(
                "several orders carry the accession number that the request names; choose one",
            );
        }
    };
    let contradictions = hit.contradictions();
    if !contradictions.is_empty() {
        return Finding::contradiction(
            contradictions,
            "the request names an order, but the study contradicts it; check whether link and order belong \
             together",
        );
    }
    if study.unnamed_instances {
        return Finding::weak("some instances carry no name; check that all are of one patient");
    }
    if !hit.identity_agrees() {
        return Finding::weak(
            "the request names an order, but name and birth date do not both agree with it; compare them",
        );
    }
    let reason = if hit.sex == Agreement::Equal {
        "the request names an order, and name, birth date and sex agree with it"
    } else {
        "the request names an order, and name and birth date agree with it"
    };
    Finding::on(Tier::RequestedOrder, index, reason)
}

/// No order is named: the patient first, then the order among that patient's items.
fn unnamed(study: &Study<'_>, assessed: &[Assessed<'_>], completeness: Completeness) -> Finding {
    let Some(best) = assessed.first() else {
        return Finding::weak(nobody(completeness));
    };
    let trusted = |a: &Assessed<'_>| {
        a.patient_id == Agreement::Equal || a.requested_patient == Agreement::Equal
    };
    let asked_patient = study.case.witnesses.requested_patient.is_some();
    if asked_patient && !assessed.iter().any(|a| a.requested_patient == Agreement::Equal) {
        return Finding::weak(
            "the patient that the request names has no order in the worklist; choose, or wait for the order",
        );
    }
    let pointed = trusted(best)
        || best.name.agreement != Agreement::Different && best.birth_date != Agreement::Missing;
    let contradictions = best.contradictions();
    if pointed && !contradictions.is_empty() && best.name.agreement != Agreement::Missing {
        return Finding::contradiction(
            contradictions,
            "the best candidate contradicts the study; compare both before filing it",
        );
    }
    let by_id = trusted(best);
    let fits = |a: &Assessed<'_>| {
        if by_id { trusted(a) } else { a.identity_agrees() }
    };
    if !fits(best) || !best.identity_agrees() {
        return Finding::weak("no patient agrees in name and birth date; compare the candidates");
    }
    if study.unnamed_instances {
        return Finding::weak("some instances carry no name; check that all are of one patient");
    }
    if assessed.iter().any(|a| !a.same_patient(best) && fits(a)) {
        return Finding::weak("more than one patient fits; choose the right one");
    }
    // A header with a slip may mean the neighbour; only an ID tells them apart.
    if !by_id && assessed.iter().any(|a| !a.same_patient(best) && a.could_be_meant()) {
        return Finding::weak("another patient is close to this one; compare both");
    }
    if !by_id && best.item.patient.birth_date.is_none_or(is_default) {
        return Finding::weak("the birth date is one that stands for an unknown day; compare more");
    }
    if completeness == Completeness::Incomplete {
        return Finding::weak(
            "the worklist did not answer completely, so others may fit as well; try again, or choose",
        );
    }
    only_order(assessed, best, by_id)
}

/// The patient is found; exactly one open order has to fit.
fn only_order(assessed: &[Assessed<'_>], best: &Assessed<'_>, by_id: bool) -> Finding {
    let orders: Vec<(usize, &Assessed<'_>)> =
        assessed.iter().enumerate().filter(|(_, a)| a.open && a.same_patient(best)).collect();
    let (index, order) = match orders.as_slice() {
        [(index, order)] => (*index, *order),
        [] => return Finding::weak("the patient is found, but has no open order; choose, or wait"),
        several => match fitting(several) {
            Some(chosen) => chosen,
            None => {
                return Finding::weak(
                    "the patient is found, but has several open orders; choose one, or those that the study \
                     answers together",
                );
            }
        },
    };
    let contradictions = order.contradictions();
    if !contradictions.is_empty() || !order.identity_agrees() {
        return Finding::contradiction(
            contradictions,
            "the entries of this patient do not agree with each other; compare them",
        );
    }
    if shares_number(assessed, order) {
        return Finding::contradiction(
            vec!["two patients share the accession number of the order".to_owned()],
            "the accession number belongs to more than one patient; choose the right one",
        );
    }
    let item = order.item;
    if item.accession_number.is_none() && item.requested_procedure_id.is_none() {
        return Finding::weak("the only order of the patient has no number; confirm it");
    }
    if order.fit.excludes() {
        return Finding::weak(
            "the order of the patient is for another modality, body part or side; confirm it",
        );
    }
    if by_id {
        return Finding::on(
            Tier::PatientId,
            index,
            "patient ID, name and birth date agree, and one open order of the patient fits",
        );
    }
    debug_assert!(agrees(order.name.agreement));
    Finding::on(
        Tier::Demographics,
        index,
        "name and birth date agree with exactly one patient, of whom one open order fits",
    )
}

/// Of several orders the one that is for this examination, if all others are for something else.
fn fitting<'a, 'b>(orders: &[(usize, &'a Assessed<'b>)]) -> Option<(usize, &'a Assessed<'b>)> {
    let mut left = orders.iter().filter(|(_, order)| !order.fit.excludes());
    let only = left.next().filter(|(_, order)| order.fit.speaks())?;
    left.next().is_none().then_some(*only)
}

fn shares_number(assessed: &[Assessed<'_>], order: &Assessed<'_>) -> bool {
    let Some(number) = &order.item.accession_number else {
        return false;
    };
    assessed.iter().any(|a| {
        let other = a.item.accession_number.as_ref();
        !a.same_patient(order) && other.is_some_and(|other| other.number == number.number)
    })
}
