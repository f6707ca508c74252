//! When a burst of C-STORE is over.

use std::time::Duration;

use super::*;

fn at(seconds: u64) -> Moment {
    Moment { wall_ms: 0, running_ms: seconds * 1000 }
}

fn begun() -> Import {
    let kind =
        Kind::Association { peer: "station".into(), ae_title: AeTitle::new("STATION").unwrap() };
    let requested = Event::Requested { kind, request: Request::default() };
    Import::begin(ImportId::new(), &requested, at(0)).unwrap().0
}

#[test]
fn a_burst_without_end_is_closed_when_it_is_too_long() {
    let mut import = begun();
    let most = TIMES.longest.as_secs();
    for second in 0..most {
        let event = Event::Stored { instance: Box::new(inspected(u32::try_from(second).unwrap())) };
        import.apply(&event, at(second)).unwrap();
        assert_eq!(import.what_is_due(&TIMES, at(second)), None, "after {second} s");
        let due = import.next_due(&TIMES);
        assert!(due.running_ms <= most * 1000, "looked at in time, at {due:?}");
    }
    assert_eq!(import.what_is_due(&TIMES, at(most)), Some(Due::Long));
    // Objects that were let in before are still taken.
    let late = Event::Stored { instance: Box::new(inspected(5000)) };
    import.apply(&late, at(most + 1)).unwrap();
    assert_eq!(import.what_is_due(&TIMES, at(most + 2)), Some(Due::Long));
    let actions = import.apply(&Event::BecameQuiet, at(most + 2)).unwrap();
    assert!(!actions.is_empty() && import.state == State::Unpacked);
    assert_eq!(import.counts().received, most + 1);
    assert!(import.apply(&late, at(most + 3)).is_err());
}

#[test]
fn silence_comes_before_the_longest_time() {
    let mut import = begun();
    let event = Event::Stored { instance: Box::new(inspected(1)) };
    import.apply(&event, at(3)).unwrap();
    assert_eq!(import.next_due(&TIMES).running_ms, 33_000);
    assert_eq!(import.what_is_due(&TIMES, at(33)), Some(Due::Quiet));
    // A quiet time that is longer than a burst may be does not make it longer.
    let times = Times { quiet: Duration::from_secs(3600), ..TIMES };
    assert_eq!(import.next_due(&times).running_ms, 600_000);
    assert_eq!(import.what_is_due(&times, at(599)), None);
    assert_eq!(import.what_is_due(&times, at(600)), Some(Due::Long));
}
