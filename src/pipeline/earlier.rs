//! What an earlier import of the same study says of this one.
//!
//! A study that was filed before belongs where it was filed, but only as long as everything that tells whose
//! it is has stayed the same. Invariant: an earlier decision is never followed against an identity, a request
//! or a witness that it did not know; then the rules or a person decide anew.

use crate::import::{Import, Study, StudyState};
use crate::matching::{Outcome, Target, Verdict};

/// An earlier decision.
pub(super) enum Earlier {
    /// Nothing has changed: this study follows it.
    Agrees(Target),
    /// Something has: it binds nobody, but what contradicts it waits for a person.
    Differs(Target),
}

/// The decision of the first of `others` that has filed this study. Give the newest first.
pub(super) fn decision<'a>(
    import: &Import,
    study: &Study,
    others: impl Iterator<Item = &'a Import>,
) -> Option<Earlier> {
    others.filter(|other| other.id != import.id).find_map(|other| {
        let before = other.study(&study.uid)?;
        let target = filed(before)?.clone();
        let agrees = same_identities(study, before)
            && request_agrees(import, &target)
            && witnesses_agree(import, other, &target);
        Some(if agrees { Earlier::Agrees(target) } else { Earlier::Differs(target) })
    })
}

/// Where a study was filed; a rejected or cancelled one was not.
fn filed(study: &Study) -> Option<&Target> {
    match &study.state {
        StudyState::Forwarding(work)
        | StudyState::Confirming(work)
        | StudyState::Confirmed { work, .. }
        | StudyState::Quarantined { work: Some(work), .. } => Some(&work.decision.target),
        StudyState::Inspected
        | StudyState::AwaitingWorklist { .. }
        | StudyState::AwaitingDecision { .. }
        | StudyState::Quarantined { work: None, .. }
        | StudyState::Rejected { .. }
        | StudyState::Cancelled { .. } => None,
    }
}

/// An instance of somebody else may have come with the new import, or have been missing from the old one.
fn same_identities(now: &Study, before: &Study) -> bool {
    let whole = |study: &Study| study.identities.len() < Study::MAX_IDENTITIES;
    let within = |a: &Study, b: &Study| a.identities.iter().all(|i| b.identities.contains(i));
    whole(now) && within(now, before) && within(before, now)
}

/// What the new request names has to be what the study was filed under.
fn request_agrees(import: &Import, target: &Target) -> bool {
    // Of several orders the request may name any.
    let order = import.request.accession_number.as_deref().is_none_or(|asked| {
        let mut numbers = target.orders().filter_map(|item| item.accession_number.as_ref());
        numbers.any(|known| known.number == asked.trim())
    });
    let patient = import.request.patient.as_ref().is_none_or(|asked| {
        target.patient().id.as_ref().is_some_and(|known| {
            known.id == asked.id
                && (asked.issuer.is_none()
                    || known.issuer.is_none()
                    || known.issuer == asked.issuer)
        })
    });
    order && patient
}

fn witnesses_agree(import: &Import, before: &Import, target: &Target) -> bool {
    let typed = import.request.typed_birth_date();
    (typed.is_none() || typed == target.patient().birth_date)
        && (import.portal.is_none() || import.portal == before.portal)
}

/// The rules may file a study again where it is; anywhere else a person has to know that it is filed.
pub(super) fn hold(mut outcome: Outcome, filed: &Target) -> Outcome {
    let same = outcome.candidates.first().is_some_and(|best| match filed {
        Target::Order(item) => {
            best.item.patient.id == item.patient.id && best.item_id == item.item_id()
        }
        // One of several orders is less than what a person decided.
        Target::NoOrder(_) | Target::Orders(_) => false,
    });
    if outcome.verdict == Verdict::Automatic && !same {
        outcome.verdict = Verdict::Person;
        outcome.contradictions.push("this study was filed before, and not here".to_owned());
        outcome.reason =
            "an earlier import filed this study elsewhere, and what came now differs from what came then; \
             compare both before filing it"
                .to_owned();
    }
    outcome
}

#[cfg(test)]
mod tests;
