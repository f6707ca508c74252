//! What is held and decided, for peers that may ask for it.
//!
//! Invariant: a study is seen only once a rule or a person has decided whose it is, and as long as its key lives.

use std::collections::HashSet;
use std::sync::Arc;

use super::Pipeline;
use crate::forward::HeldStudy;
use crate::import::{Import, Instance, Study, StudyState};

impl Pipeline {
    /// Every decided study, newest import first; what several imports hold is told once. Blocking.
    pub fn held(&self) -> Vec<Arc<HeldStudy>> {
        let mut known = HashSet::new();
        let mut held = Vec::new();
        for import in self.imports() {
            if !import.studies.iter().any(|study| is_decided(study)) {
                continue;
            }
            // One whose key is gone meanwhile is not held any more.
            let Ok(spool) = self.shared.spool.import(import.id) else { continue };
            for study in import.studies.iter().filter(|study| is_decided(study)) {
                let Some(work) = study.work() else { continue };
                let instances = instances(&import, study);
                let new: Vec<_> = instances
                    .filter(|(_, instance)| known.insert(instance.sop_instance.clone()))
                    .collect();
                if new.is_empty() {
                    continue;
                }
                held.push(Arc::new(HeldStudy {
                    study: study.uid.clone(),
                    facts: study.facts.clone(),
                    plan: work.plan.clone(),
                    modalities: study.modalities.clone(),
                    instances: new,
                    spool: spool.clone(),
                }));
            }
        }
        held
    }
}

fn instances<'a>(
    import: &'a Import,
    study: &'a Study,
) -> impl Iterator<Item = (u32, Arc<Instance>)> + 'a {
    study.instances.iter().filter_map(|number| {
        let instance = import.instances.get(usize::try_from(*number).ok()?)?;
        Some((*number, Arc::clone(instance)))
    })
}

fn is_decided(study: &Study) -> bool {
    match &study.state {
        StudyState::Forwarding(_)
        | StudyState::Confirming(_)
        | StudyState::Confirmed { .. }
        | StudyState::Quarantined { work: Some(_), .. } => true,
        StudyState::Inspected
        | StudyState::AwaitingWorklist { .. }
        | StudyState::AwaitingDecision { .. }
        | StudyState::Quarantined { work: None, .. }
        | StudyState::Rejected { .. }
        | StudyState::Cancelled { .. } => false,
    }
}
