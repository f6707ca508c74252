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
