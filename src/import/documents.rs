//! Documents that came along with a study.
//!
//! A document has no header to check, so it is never matched on its own: it rides with a study of the same
//! arrival, and only if everything that arrived tells of one patient.

use std::sync::Arc;

use super::Blob;
use super::state::{Import, Instance, Origin, SetAside};
use crate::reconcile::encapsulate::{self, FileKind};

/// Files the documents under the largest study, or sets them aside with the reason.
pub(super) fn attach(import: &mut Import, documents: &[(FileKind, String, Blob)]) {
    let mut patients = import.studies.iter().flat_map(|study| &study.identities);
    let first = patients.next();
    let one_patient = first.is_some() && patients.all(|patient| Some(patient) == first);
    let largest = import.studies.iter().max_by_key(|study| study.instances.len());
    let target = match largest.filter(|_| one_patient) {
        Some(study) => Ok(study.uid.clone()),
        None if first.is_some() => Err(
            "the images are of more than one patient, so nobody can tell whose document this is",
        ),
        None => Err("there are no images beside it, and a document is never matched on its own"),
    };
    for (kind, title, blob) in documents {
        let uid = match &target {
            Ok(uid) => uid.clone(),
            Err(reason) => {
                import.set_aside.push(SetAside { name: title.clone(), reason: (*reason).into() });
                continue;
            }
        };
        let (sop_instance, series) = encapsulate::identifiers(&uid, kind, &blob.digest.to_string());
        if import.number_of(&sop_instance).is_some() {
            import.duplicates += 1;
            continue;
        }
        let number = import.instances.push(Instance {
            sop_class: kind.sop_class(),
            sop_instance,
            series,
            blob: blob.clone(),
            origin: Origin::Created { kind: kind.clone(), title: title.clone() },
        });
        if let Some(study) = import.studies.iter_mut().find(|study| study.uid == uid) {
            Arc::make_mut(&mut Arc::make_mut(study).instances).push(number);
        }
    }
}
