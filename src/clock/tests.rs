use super::*;

#[test]
fn running_time_goes_on_over_a_restart_in_the_same_boot() {
    let first = Clock::system(None).reading();
    let again = Clock::system(Some(&first)).now();
    assert!(again.running_ms >= first.moment.running_ms);
    assert!(again.since(first.moment) < Duration::from_secs(5));
}

#[test]
fn time_off_is_credited_up_to_the_limit_and_never_backwards() {
    let now = Clock::system(None).reading();
    let other_boot = |wall_ms| Reading {
        moment: Moment { wall_ms, running_ms: 1_000 },
        boot_ms: 0,
        boot_id: "another boot".into(),
        is_last: false,
    };
    let hour = 3_600_000;
    let off_an_hour = Clock::system(Some(&other_boot(now.moment.wall_ms - hour))).now();
    assert!((3_600_900..3_700_000).contains(&off_an_hour.running_ms), "{off_an_hour:?}");
    let jumped_a_year =
        Clock::system(Some(&other_boot(now.moment.wall_ms - 365 * 24 * hour))).now();
    assert!(jumped_a_year.running_ms < 73 * 3_600_000, "{jumped_a_year:?}");
    let set_back = Clock::system(Some(&other_boot(now.moment.wall_ms + 24 * hour))).now();
    assert!((1_000..5_000).contains(&set_back.running_ms), "{set_back:?}");
}

#[test]
fn a_simulated_clock_moves_only_when_told() {
    let clock = Clock::simulated(Moment { wall_ms: 10, running_ms: 20 });
    let before = clock.now();
    clock.clone().advance(Duration::from_secs(1));
    assert_eq!(clock.now().since(before), Duration::from_secs(1));
    assert!(clock.now().reached(before.after(Duration::from_secs(1))));
}

#[test]
fn a_boot_that_is_not_known_is_never_the_same() {
    let hour = 3_600_000;
    let reading = |boot_id: &str| Reading {
        moment: Moment { wall_ms: 0, running_ms: 1_000 },
        boot_ms: 500,
        boot_id: boot_id.into(),
        is_last: true,
    };
    assert_eq!(reading("a").going_on(hour, 700, "a"), 1_200, "the same boot goes by its own clock");
    for (before, now) in [("a", "b"), ("a", ""), ("", "a"), ("", "")] {
        assert_eq!(reading(before).going_on(hour, 700, now), 3_601_000, "{before:?} {now:?}");
    }
}

#[test]
fn a_boot_id_that_cannot_be_read_is_told_of() {
    assert!(!boot_id().is_empty(), "this machine has one");
    let folder = tempfile::tempdir().unwrap();
    assert!(boot_id_in(&folder.path().join("none")).is_err());
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    assert!(boot_id_in(&empty).is_err());
}
