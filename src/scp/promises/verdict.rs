//! What became of the instances of open requests, noted as soon as it is known.
//!
//! An import dies some time after its last study reached its end, and a report may be heard days later: when its peer is
//! on again, or when the other studies of the request are there too. Invariant: what is noted stays noted until the
//! report is heard, but for a failure that comes later.

use std::iter;
use std::sync::Arc;

use super::super::{Door, Intake};
use super::{LOOK, NO_SUCH_OBJECT, PROCESSING_FAILURE, Promise};
use crate::confirm::Standing;
use crate::dicom::Uid;
use crate::dimse::{Reference, Report};

/// After a look nobody looks for so many times as long as it took: 100,000 instances in 1,000 imports take seconds.
const REST: u32 = 10;

/// What became of an instance, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Verdict {
    Open,
    Kept,
    Failed,
}

impl Promise {
    /// Its instances with what is noted of them.
    fn noted(&self) -> impl Iterator<Item = (&(Uid, Uid), Verdict)> {
        let verdicts = self.verdicts.iter().copied().chain(iter::repeat(Verdict::Open));
        self.instances.iter().zip(verdicts)
    }

    /// What is to be noted now; `None` if it is noted already.
    pub(super) fn look(&self, intake: &dyn Intake) -> Option<Vec<Verdict>> {
        let mut news = false;
        let verdicts = self.noted().map(|((_, instance), noted)| {
            if noted == Verdict::Failed {
                return noted;
            }
            let verdict = match intake.standing(instance) {
                // Another object with the same UID, perhaps: one that was kept does not speak for it.
                Some(Standing::Failed) => Verdict::Failed,
                Some(Standing::Kept) => Verdict::Kept,
                // It may still come.
                Some(Standing::Pending) | None => noted,
            };
            news |= verdict != noted;
            verdict
        });
        let verdicts = verdicts.collect();
        news.then_some(verdicts)
    }
}

/// What is to be reported, once nothing is pending. While an import lives it is asked itself: another object with the
/// same UID may have come since.
pub(super) fn report(intake: &dyn Intake, promise: &Promise) -> Option<Report> {
    let (mut committed, mut failed) = (Vec::new(), Vec::new());
    for ((sop_class, sop_instance), noted) in promise.noted() {
        let reference =
            Reference { sop_class: sop_class.clone(), sop_instance: sop_instance.clone() };
        match (intake.standing(sop_instance), noted) {
            (Some(Standing::Pending), _) => return None,
            (Some(Standing::Kept), _) | (None, Verdict::Kept) => committed.push(reference),
            (Some(Standing::Failed), _) | (None, Verdict::Failed) => {
                failed.push((reference, PROCESSING_FAILURE));
            }
            (None, Verdict::Open) => failed.push((reference, NO_SUCH_OBJECT)),
        }
    }
    Some(Report { transaction: promise.transaction.clone(), committed, failed })
}

/// Notes what becomes of all instances, whether it can be told or not. Never ends.
pub(super) async fn watch(door: &Arc<Door>) {
    loop {
        let (door, begun) = (Arc::clone(door), tokio::time::Instant::now());
        // A panic in it was told already.
        let _ = tokio::task::spawn_blocking(move || look_at_all(&door)).await;
        tokio::time::sleep(LOOK.max(begun.elapsed().saturating_mul(REST))).await;
    }
}

/// Blocking. Everything that is found goes to the file at once, which is written as a whole.
pub(super) fn look_at_all(door: &Door) {
    let promises = door.promises();
    let open = promises.list().clone();
    let looked = open.into_iter().filter_map(|one| {
        let verdicts = one.look(&*door.intake)?;
        Some((one, verdicts))
    });
    let found: Vec<_> = looked.collect();
    if !found.is_empty() {
        promises.note(found);
    }
}
