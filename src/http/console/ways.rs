//! What a person can do on a page: only what is taken.

use crate::http::view::{ImportView, StudyView};

pub(super) fn waits_for_a_person(state: &str) -> bool {
    matches!(state, "AwaitingDecision" | "Quarantined")
}

/// What trying again does now; empty if it does nothing.
pub(super) fn retry(view: &ImportView) -> &'static str {
    let any = |states: &[&str]| view.studies.iter().any(|study| states.contains(&study.state));
    match view.state {
        _ if !view.may_retry => "",
        "Asking" => "Go on without the password",
        "Unpacked" if any(&["Quarantined", "Forwarding", "Confirming"]) => "Try again now",
        "Unpacked" => "Ask the worklist again",
        _ => "Try again now",
    }
}

/// What a person can do about a study in quarantine beside what its sentence says.
pub(super) fn held(study: &StudyView) -> &'static str {
    match study.state {
        "Quarantined" if !study.may_decide => {
            "Some of it was sent or is being sent as it was decided, so it cannot be filed elsewhere: mend the cause \
             and try again, or reject what is left."
        }
        "Quarantined" if study.decision.is_some() => {
            "No destination has answered for any of it, so it may be filed anew; under another patient only if nothing \
             can have left. To file it under another order, take the order's item from `lotse worklist` and give it \
             to `lotse decide --look-again`; a patient without an order is named below."
        }
        _ => "",
    }
}
