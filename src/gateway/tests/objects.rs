use std::collections::BTreeSet;

use super::*;
use crate::dicom::inspect::Found;
use crate::dicom::{AeTitle, Layout, sample};
use crate::import::{Instance, Kind};
use crate::pipeline::Arrival;

fn found(instance: &str) -> Found {
    Found {
        sop_class: sample::uid("1.2.840.10008.5.1.4.1.1.2"),
        sop_instance: sample::uid(instance),
        series: sample::uid("1.2.3.5"),
        layout: Layout {
            transfer_syntax: sample::uid(sample::EXPLICIT),
            is_implicit: false,
            data_set_at: 0,
            pixel_data: None,
            ends_at: 100,
            derived: vec![],
            bulk: vec![],
        },
        facts: sample::facts("1.2.3"),
    }
}

async fn arrival(gateway: &Gateway, peer: &str) -> Arrival {
    let ae_title = AeTitle::new("STATION").unwrap();
    let kind = Kind::Association { peer: peer.to_owned(), ae_title };
    gateway.pipeline.arrival(kind).await.unwrap()
}

async fn keep(gateway: &Gateway, arrival: &Arrival, instance: &str) -> Result<(), Refusal> {
    let mut draft = arrival.spool.draft(100).unwrap();
    draft.write(instance.as_bytes()).unwrap();
    gateway.pipeline.keep(arrival, found(instance), draft.finish().unwrap()).await
}

fn kept(gateway: &Gateway, arrival: &Arrival) -> Vec<Arc<Instance>> {
    gateway.pipeline.import(arrival.id).unwrap().instances.iter().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_fails_for_one_import_keeps_the_objects_of_others() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let (one, other) = (arrival(&gateway, "one").await, arrival(&gateway, "other").await);
    let folder = config.below("spool").join(other.id.to_string());
    let away = folder.with_extension("away");
    std::fs::rename(&folder, &away).unwrap();
    for round in 0..20 {
        let name = |number| format!("1.2.3.{round}.{number}");
        let (a, b, c) = (name(1), name(2), name(3));
        let (a, b, c) = tokio::join!(
            keep(&gateway, &one, &a),
            keep(&gateway, &other, &b),
            keep(&gateway, &one, &c)
        );
        assert_eq!((a, c), (Ok(()), Ok(())));
        assert!(matches!(b, Err(Refusal::Unkept(_))), "{b:?}");
    }
    std::fs::rename(&away, &folder).unwrap();
    keep(&gateway, &other, "1.2.3.9").await.unwrap();
    let (ones, others) = (kept(&gateway, &one), kept(&gateway, &other));
    assert_eq!((ones.len(), others.len()), (40, 1));
    let packs: BTreeSet<u32> = ones.iter().map(|instance| instance.blob.pack).collect();
    assert!(packs.len() <= 2, "{packs:?}");
    for (arrival, instances) in [(&one, &ones), (&other, &others)] {
        for instance in instances {
            arrival.spool.read(&instance.blob).unwrap().verify(&instance.blob).unwrap();
        }
    }
    let ids = [one.id, other.id];
    drop((one, other));
    gateway.stop().await.unwrap();

    let gateway = started(&config, &clock).await;
    let counts = ids.map(|id| gateway.pipeline.import(id).unwrap().counts().received);
    assert_eq!(counts, [40, 1]);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_ended_takes_no_object() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let gateway = started(&config, &clock).await;
    let arrival = arrival(&gateway, "one").await;
    let sealed = ["1.2.3.1", "1.2.3.2"].map(|instance| {
        let mut draft = arrival.spool.draft(100).unwrap();
        draft.write(instance.as_bytes()).unwrap();
        draft.finish().unwrap()
    });
    let [sealed, late] = sealed;
    // In one turn or in two, before or behind each other.
    let erase = gateway.pipeline.erase(arrival.id, Actor("test".into()));
    let keep = gateway.pipeline.keep(&arrival, found("1.2.3.1"), sealed);
    let (erased, _) = tokio::join!(erase, keep);
    erased.unwrap();
    let refused = gateway.pipeline.keep(&arrival, found("1.2.3.2"), late).await;
    assert!(matches!(refused, Err(Refusal::NotNow(_))), "{refused:?}");
    assert_eq!(keys(&config), 0);
    assert!(!config.below("spool").join(arrival.id.to_string()).exists());
    gateway.stop().await.unwrap();
}

#[test]
fn the_scheduler_ends_with_the_runtime_it_was_started_in() {
    let home = tempfile::tempdir().unwrap();
    let (config, clock) = (config(home.path()), clock());
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = runtime();
    let gateway = first.block_on(started(&config, &clock));
    let arrival = first.block_on(arrival(&gateway, "one"));
    first.block_on(keep(&gateway, &arrival, "1.2.3.1")).unwrap();
    let id = arrival.id;
    drop((gateway, arrival, first));
    let again = async {
        for _ in 0..100 {
            let source = ClockSource::Given(clock.clone());
            if let Ok(gateway) = Gateway::start(config.clone(), source).await {
                return gateway;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the folder is still locked")
    };
    runtime().block_on(async {
        let gateway = again.await;
        assert_eq!(gateway.pipeline.import(id).unwrap().counts().received, 1);
        gateway.stop().await.unwrap();
    });
}
