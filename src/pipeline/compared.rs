//! What changes in a study, attribute by attribute: what its first object holds beside what it will hold.

use std::io::{Read as _, Seek as _, SeekFrom};

use super::decisions::the_one;
use super::handle::Pipeline;
use super::refusal::Refusal;
use crate::dicom::{DataSet, Item, Uid, scan};
use crate::import::{Blob, Import, ImportId, Instance, Origin, Study, StudyState};
use crate::matching::{Candidate, Target};
use crate::reconcile::{self, Local, Plan, Shown};
use crate::spool::ImportSpool;

const UNREADABLE: &str =
    "the local copy of this study cannot be read any more; ask the PACS for its originals";

impl Pipeline {
    /// The table of a study: by its decision, or as it would be for `items`, or for the best candidate if there are
    /// none.
    ///
    /// # Errors
    /// [`Refusal`] if there is no such study, nothing to file it under, or no local copy.
    pub async fn compared(
        &self,
        id: ImportId,
        uid: &Uid,
        items: &[String],
    ) -> Result<Vec<Shown>, Refusal> {
        let import = self.import(id).ok_or(Refusal::Unknown)?;
        let study = import.study(uid).ok_or(Refusal::Unknown)?;
        let plan = self.plan_of(study, items)?;
        let first = first(&import, study).ok_or_else(|| Refusal::NotNow(UNREADABLE.into()))?;
        let spool = self.shared.spool.import(id);
        let spool = spool.map_err(|_| Refusal::NotNow(UNREADABLE.into()))?;
        let header = tokio::task::spawn_blocking(move || header(&spool, &first)).await;
        let header = header.ok().flatten().ok_or_else(|| Refusal::NotNow(UNREADABLE.into()))?;
        Ok(reconcile::before_after(&plan, &header))
    }

    fn plan_of(&self, study: &Study, items: &[String]) -> Result<Plan, Refusal> {
        let candidates = match &study.state {
            StudyState::AwaitingDecision { outcome } => outcome.candidates.as_slice(),
            _ => &[],
        };
        let meant: Option<Vec<&Candidate>> = match items {
            [] => candidates.first().map(|best| vec![best]),
            items => {
                let each = items.iter().map(|item| the_one(candidates, item));
                each.collect::<Result<Option<_>, _>>()?
            }
        };
        if let Some(meant) = meant {
            let target = Target::of_orders(meant.into_iter().map(|known| known.item.clone()))
                .map_err(|error| Refusal::Invalid(error.to_string()))?;
            let settings = self.shared.settings();
            let at = self.shared.clock.now().timestamp().to_zoned(settings.zone.clone());
            return Ok(reconcile::plan(local(&target), &study.facts, &settings.site, &at));
        }
        let work = study.work().ok_or_else(|| {
            Refusal::NotNow(
                "nothing changes yet: the study is not decided and has no candidate".into(),
            )
        })?;
        let decided: Vec<String> = work.decision.target.orders().map(Item::item_id).collect();
        let is_other = |item: &String| !decided.contains(item);
        if items.iter().any(is_other) || (!items.is_empty() && items.len() != decided.len()) {
            return Err(Refusal::Invalid("the study is filed under another item".into()));
        }
        Ok(work.plan.clone())
    }
}

/// What the plan is made for.
pub(super) fn local(target: &Target) -> Local<'_> {
    match target {
        Target::Order(item) => Local::Order(item),
        Target::NoOrder(patient) => Local::NoOrder(patient),
        Target::Orders(orders) => {
            Local::Orders { first: orders.first(), further: orders.further() }
        }
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
    DataSet::read(&found.header, found.layout.syntax()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::{Syntax, Tag, sample};
    use crate::seal::Vault;
    use crate::spool::Spool;

    #[test]
    fn headers_are_read_as_they_are_written_and_not_as_they_are_labelled() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let vault = Vault::open_or_create(&keys, &folder.path().join("master")).unwrap();
        let spool = Spool::open(&folder.path().join("spool"), vault).unwrap();
        let spool = spool.create(ImportId::new()).unwrap();
        let mut pack = spool.pack().unwrap();
        for syntax in [Syntax::ImplicitLittle, Syntax::ExplicitLittle] {
            let bytes = sample::encapsulated().write(syntax);
            let blob = pack.append(&mut &*bytes, u64::MAX).unwrap();
            pack.sync().unwrap();
            let header = header(&spool, &(blob, 0, sample::uid(sample::JPEG))).unwrap();
            assert_eq!(header.text(Tag(0x0010, 0x0020)).as_deref(), Some("P-1"));
        }
    }
}
