use super::*;
use crate::dicom::sample;
use crate::import::{ImportId, Instance, Origin};
use crate::reconcile::Plan;
use crate::reconcile::encapsulate::{identifiers, tests::kinds};
use crate::seal::Vault;
use crate::spool::Spool;

/// Documents, photographs, films and texts are objects like others, and who asks for them is told.
#[test]
fn created_objects_are_counted_by_queries() {
    let folder = tempfile::tempdir().unwrap();
    let vault =
        Vault::open_or_create(&folder.path().join("keys"), &folder.path().join("master")).unwrap();
    let spool = Spool::open(&folder.path().join("spool"), vault).unwrap();
    let spool = spool.create(ImportId::new()).unwrap();
    let study = Uid::new("1.2.3.4").unwrap();
    let mut pack = spool.pack().unwrap();
    let mut instances = Vec::new();
    for (number, (kind, bytes)) in (0_u32..).zip(kinds()) {
        let blob = pack.append(&mut &*bytes, u64::MAX).unwrap();
        let (_, series) = identifiers(&study, &kind, "aa");
        let instance = Instance {
            sop_class: kind.sop_class(),
            sop_instance: Uid::new(&format!("1.2.3.4.5.{number}")).unwrap(),
            series,
            blob,
            origin: Origin::Created { kind, title: "Befund".to_owned() },
        };
        instances.push((number, Arc::new(instance)));
    }
    pack.sync().unwrap();
    let count = instances.len();
    let plan = Plan::default();
    let facts = sample::facts(study.as_str());
    let held =
        HeldStudy { study: study.clone(), facts, plan, modalities: vec![], instances, spool };
    let held = [Arc::new(held)];
    let us = AeTitle::new("LOTSE").unwrap();
    let found = |level: Level| {
        let mut asked = DataSet::default();
        asked.put_bytes(tags::QUERY_RETRIEVE_LEVEL, VR::CS, level.name().as_bytes().to_vec());
        asked.put_bytes(tags::STUDY_INSTANCE_UID, VR::UI, study.as_str().as_bytes().to_vec());
        select(&Sieve::of(&asked), level, &held, &us).len()
    };
    assert_eq!(found(Level::Image), count);
    assert_eq!(found(Level::Series), 6);
}
