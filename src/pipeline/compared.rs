//! What changes in a study, attribute by attribute: what its first object holds beside what it will hold.

use std::io::{Read as _, Seek as _, SeekFrom};

use super::handle::{Pipeline, Refusal};
use crate::dicom::{DataSet, Syntax, Uid, scan};
use crate::import::{Blob, Import, ImportId, Instance, Origin, Study, StudyState};
use crate::matching::Target;
use crate::reconcile::{self, Local, Plan, Shown};
use crate::spool::ImportSpool;

const UNREADABLE: &str =
    "the local copy of this study cannot be read any more; ask the PACS for its originals";

impl Pipeline {
    /// The table of a study: by its decision, or as it would be for `item`, or for the best candidate.
    ///
    /// # Errors
    /// [`Refusal`] if there is no such study, nothing to file it under, or no local copy.
    pub async fn compared(
        &self,
        id: ImportId,
        uid: &Uid,
        item: Option<&str>,
    ) -> Result<Vec<Shown>, Refusal> {
        let import = self.import(id).ok_or(Refusal::Unknown)?;
        let study = import.study(uid).ok_or(Refusal::Unknown)?;
        let plan = self.plan_of(study, item)?;
        let first = first(&import, study).ok_or_else(|| Refusal::NotNow(UNREADABLE.into()))?;
        let spool = self.shared.spool.import(id);
        let spool = spool.map_err(|_| Refusal::NotNow(UNREADABLE.into()))?;
        let header = tokio::task::spawn_blocking(move || header(&spool, &first)).await;
        let header = header.ok().flatten().ok_or_else(|| Refusal::NotNow(UNREADABLE.into()))?;
        Ok(reconcile::before_after(&plan, &header))
    }

    fn plan_of(&self, study: &Study, item: Option<&str>) -> Result<Plan, Refusal> {
        let wanted = |candidate: &&crate::matching::Candidate| {
            item.is_none_or(|item| candidate.item_id == item)
        };
        let candidate = match &study.state {
            StudyState::AwaitingDecision { outcome } => outcome.candidates.iter().find(wanted),
            _ => None,
        };
        if let Some(candidate) = candidate {
            let settings = self.shared.settings();
            let at = self.shared.clock.now().timestamp().to_zoned(settings.zone.clone());
            let local = Local::Order(&candidate.item);
            return Ok(reconcile::plan(local, &study.facts, &settings.site, &at));
        }
        let work = study.work().ok_or_else(|| {
            Refusal::NotNow(
                "nothing changes yet: the study is not decided and has no candidate".into(),
            )
        })?;
        let decided = match &work.decision.target {
            Target::Order(order) => Some(order.item_id()),
            Target::NoOrder(_) => None,
        };
        if item.is_some() && item != decided.as_deref() {
            return Err(Refusal::Invalid("the study is filed under another item".into()));
        }
        Ok(work.plan.clone())
    }
}

/// The first object that was received, with what is needed to read its header.
pub(super) fn first(import: &Import, study: &Study) -> Option<(Blob, u64, Uid)> {
    let instances = study.instances.iter().filter_map(|number| {
        let instance: &Instance = import.instances.get(usize::try_from(*number).ok()?)?;
        match &instance.origin {
            Origin::Received { layout } => {
                Some((instance.blob.clone(), layout.data_set_at, layout.transfer_syntax.clone()))
            }
            Origin::Created { .. } => None,
        }
    });
    instances.into_iter().next()
}

/// Blocking.
pub(super) fn header(
    spool: &ImportSpool,
    (blob, at, syntax): &(Blob, u64, Uid),
) -> Option<DataSet> {
    let mut reader = spool.read(blob).ok()?;
    reader.seek(SeekFrom::Start(*at)).ok()?;
    let length = blob.length.checked_sub(*at)?;
    let limits = scan::Limits::default();
    let found = scan::scan_data_set(&mut reader.by_ref(), length, syntax, &limits).ok()?;
    DataSet::read(&found.header, Syntax::of(&found.layout.transfer_syntax)).ok()
}
