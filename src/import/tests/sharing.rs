//! What the states of an import share, and what is in memory once.

use super::*;

fn of(instances: &Instances) -> Vec<&str> {
    instances.iter().map(|one| one.sop_instance.as_str()).collect()
}

fn received(numbers: std::ops::Range<u32>) -> Import {
    let kind = Kind::Association { peer: "ct".into(), ae_title: AeTitle::new("CT").unwrap() };
    let (mut import, _) = begun(kind);
    for n in numbers {
        let stored = Event::Stored { instance: Box::new(inspected(n)) };
        import.apply(&stored, Moment::default()).unwrap();
    }
    import
}

#[test]
fn every_instance_is_found_among_thousands() {
    let import = received(0..3000);
    assert_eq!(import.instances.len(), 3000);
    for n in 0..3000 {
        assert_eq!(import.number_of(&uid(&format!("1.2.3.4.{n}"))), Some(n));
        let found = import.instances.get(usize::try_from(n).unwrap()).unwrap();
        assert_eq!(found.blob, blob(n));
    }
    assert_eq!(import.number_of(&uid("1.2.3.4.3000")), None);
    assert!(import.instances.get(3000).is_none());
}

#[test]
fn a_state_that_somebody_holds_stays_and_the_next_one_copies_little_of_it() {
    let mut import = received(0..1000);
    let held = import.clone();
    import
        .apply(&Event::Stored { instance: Box::new(inspected(1000)) }, Moment::default())
        .unwrap();
    assert_eq!((held.instances.len(), import.instances.len()), (1000, 1001));
    assert_eq!(held.number_of(&uid("1.2.3.4.1000")), None);
    let both = held.instances.iter().zip(import.instances.iter());
    assert!(both.into_iter().all(|(one, other)| Arc::ptr_eq(one, other)));
    assert_eq!(of(&held.instances), of(&import.instances)[..1000]);
}

#[test]
fn what_instances_have_in_common_is_in_memory_once() {
    let import = received(0..2);
    let [one, other] = [0, 1].map(|n| import.instances.get(n).unwrap());
    let same = |one: &Uid, other: &Uid| std::ptr::eq(one.as_str(), other.as_str());
    assert!(same(&one.sop_class, &other.sop_class) && same(&one.series, &other.series));
    let unpacked = Event::Unpacked {
        instances: vec![inspected(0), inspected(3), inspected(1)],
        documents: vec![],
        set_aside: vec![],
    };
    let text = serde_json::to_string(&unpacked).unwrap();
    let Event::Unpacked { instances, .. } = serde_json::from_str(&text).unwrap() else { panic!() };
    assert!(Arc::ptr_eq(&instances[0].facts, &instances[1].facts));
    assert!(!Arc::ptr_eq(&instances[1].facts, &instances[2].facts), "it is of another study");
    assert!(same(&instances[0].layout.transfer_syntax, &instances[2].layout.transfer_syntax));
}

#[test]
fn outcomes_are_those_of_a_plain_map() {
    let outcome = |n: u32| match n % 3 {
        0 => InstanceOutcome::Refused { status: None, sentence: n.to_string() },
        _ => InstanceOutcome::Delivered { status: 0 },
    };
    let plain: BTreeMap<u32, _> = (0..1000).rev().map(|n| (n * 7, outcome(n))).collect();
    let mut outcomes: Outcomes = plain.clone().into_iter().collect();
    let held = outcomes.clone();
    assert_eq!(outcomes.len(), 1000);
    assert!(outcomes.iter().eq(plain.iter().map(|(number, outcome)| (*number, outcome))));
    assert!((0..7000).all(|number| outcomes.get(number) == plain.get(&number)));
    let text = serde_json::to_string(&outcomes).unwrap();
    assert_eq!(text, serde_json::to_string(&plain).unwrap());
    assert!(serde_json::from_str::<Outcomes>(&text).unwrap() == outcomes);
    outcomes.retain(|number, _| number < 70);
    assert_eq!((outcomes.len(), held.len()), (10, 1000));
    outcomes.retain(|_, _| false);
    assert!(outcomes.is_empty() && outcomes == Outcomes::default());
}

#[test]
fn a_blob_is_written_as_ever() {
    let text =
        format!(r#"{{"pack":1,"at":4096,"length":3,"digest":"{}"}}"#, "0aF".repeat(20) + "77ff");
    let blob: Blob = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&blob).unwrap(), text.to_lowercase());
    for wrong in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
        assert!(Digest::try_from(wrong.to_owned()).is_err(), "{wrong}");
    }
}
