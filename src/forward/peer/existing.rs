//! What is asked of a PACS beside sending: before the first object, whether it holds the study for another
//! patient; after a run, whose the instances are that it called duplicates.
//!
//! Invariants: nothing is sent to a PACS that says the study is somebody else's, unless a person overrode just
//! this; a duplicate counts as delivered only if the PACS, asked, holds it for our patient, or if just this
//! instance may be there by us and nobody can be asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Peer, Shared, locked};
use crate::dicom::{PatientId, Uid};
use crate::dimse::{self, Client, Remote, Status};
use crate::forward::holdings::{self, Held, Subject};
use crate::forward::verdict::{self, When};
use crate::forward::{Ended, Existing, Run, Stored};
use crate::import::{Instance, InstanceOutcome};

/// Who is asked: the peer itself unless the section names another.
fn asked<'a>(peer: &Peer<'a>) -> (&'a str, &'a Remote) {
    match &peer.check.query {
        Some((name, remote)) => (name, remote),
        None => (peer.name, peer.remote),
    }
}

/// Asks before anything is sent; `None` if sending may begin.
pub(super) async fn before(peer: &Peer<'_>, run: &Run) -> Option<Ended> {
    if peer.check.existing == Existing::Ignore || run.stored == Stored::Some {
        return None;
    }
    let held = holdings::sentence(peer.name);
    if run.overridden.contains(&held) {
        return None;
    }
    let (name, remote) = asked(peer);
    let patient = run.plan.patient();
    let permit = tokio::select! {
        biased;
        () = run.brake.stopped() => return Some(stopped()),
        permit = peer.permits.acquire() => permit,
    };
    let asking = holdings::ask(remote, &run.study, patient.as_ref());
    let answer = tokio::select! {
        biased;
        () = run.brake.stopped() => return Some(stopped()),
        answer = asking => answer,
    };
    drop(permit);
    match answer {
        Ok(Held::Not | Held::Ours) => None,
        Ok(Held::Foreign) => Some(Ended::Held { sentence: held }),
        Ok(Held::Busy(why)) => {
            Some(postponed(format!("{name} cannot say now whether it holds the study: {why}")))
        }
        Ok(Held::Unknown(why)) if peer.check.existing == Existing::Require => {
            Some(postponed(format!(
                "{name} cannot be asked whether it holds the study for another patient: {why}; enable queries \
             there, or set existing-study to \"ask\""
            )))
        }
        Ok(Held::Unknown(why)) => {
            tracing::warn!(
                destination = peer.name,
                %why,
                "a study is sent without knowing whether the destination holds it for another patient"
            );
            None
        }
        Err(error) => Some(verdict::of_error(&error, name, remote, When::Before)),
    }
}

/// Finds out what became of the instances that the peer called duplicates, and records it.
pub(super) async fn duplicates(peer: &Peer<'_>, run: &RunFacts, shared: &Shared) -> Option<Ended> {
    let doubtful = std::mem::take(&mut *locked(&shared.doubtful));
    if doubtful.is_empty() || shared.brake.is_cancelled() {
        return None;
    }
    let (name, remote) = asked(peer);
    let outcomes = if peer.check.existing == Existing::Ignore {
        doubtful.iter().map(|(number, _)| (*number, delivered())).collect()
    } else {
        let contexts = holdings::contexts();
        let asking = dimse::call(remote, &contexts, async |client: &mut Client| {
            settle(client, name, run, &doubtful).await
        });
        let answer = tokio::select! {
            biased;
            () = shared.brake.cancelled() => return Some(stopped()),
            answer = asking => answer,
        };
        match answer {
            Ok(Settled::Known(outcomes)) => outcomes,
            Ok(Settled::Later(why)) => {
                return Some(postponed(format!(
                    "{name} cannot say now whose the instances are that it has already: {why}"
                )));
            }
            Err(error) => return Some(verdict::of_error(&error, name, remote, When::Before)),
        }
    };
    match shared.recorder.record(outcomes).await {
        Ok(()) => None,
        Err(crate::forward::Gone) => {
            shared.brake.cancel();
            None
        }
    }
}

/// What is known of a run when its objects are on their way.
pub(super) struct RunFacts {
    pub(super) study: Uid,
    pub(super) patient: Option<PatientId>,
    pub(super) may_hold: Arc<BTreeSet<u32>>,
}

enum Settled {
    Known(Vec<(u32, InstanceOutcome)>),
    Later(String),
}

async fn settle(
    client: &mut Client,
    name: &str,
    run: &RunFacts,
    doubtful: &[(u32, Arc<Instance>)],
) -> Result<Settled, dimse::Error> {
    let subject = Subject { study: &run.study, instance: None };
    let study = match holdings::of_subject(client, subject, run.patient.as_ref()).await? {
        Held::Busy(why) => return Ok(Settled::Later(why)),
        known => known,
    };
    let mut outcomes = Vec::with_capacity(doubtful.len());
    for (number, instance) in doubtful {
        let here = match &study {
            Held::Ours => {
                let instance = Some((&instance.series, &instance.sop_instance));
                let subject = Subject { study: &run.study, instance };
                holdings::of_subject(client, subject, run.patient.as_ref()).await?
            }
            elsewhere => elsewhere.clone(),
        };
        let outcome = match here {
            Held::Busy(why) => return Ok(Settled::Later(why)),
            Held::Ours => delivered(),
            Held::Foreign => refused(format!(
                "{name} has this instance already, for another patient; compare both there and correct the \
                 patient, then press retry"
            )),
            Held::Not => refused(format!(
                "{name} says that it has this instance already, but does not find it in this study; look for \
                 its SOP Instance UID there, then press retry"
            )),
            // An earlier run broke off at it and may have left it there.
            Held::Unknown(_) if run.may_hold.contains(number) => delivered(),
            Held::Unknown(why) => refused(format!(
                "{name} says that it has this instance already, and cannot be asked for which patient: {why}; \
                 look there, then set existing-study to \"ignore\" and press retry, or cancel the import"
            )),
        };
        outcomes.push((*number, outcome));
    }
    Ok(Settled::Known(outcomes))
}

fn delivered() -> InstanceOutcome {
    InstanceOutcome::Delivered { status: Status::DUPLICATE_INSTANCE.0 }
}

fn refused(sentence: String) -> InstanceOutcome {
    InstanceOutcome::Refused { status: Some(Status::DUPLICATE_INSTANCE.0), sentence }
}

fn stopped() -> Ended {
    postponed(super::STOPPED.to_owned())
}

fn postponed(sentence: String) -> Ended {
    Ended::Postponed { sentence, pause_destination: false }
}
