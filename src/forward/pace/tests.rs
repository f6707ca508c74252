use super::*;

fn time(text: &str) -> Time {
    text.parse().unwrap()
}

fn window(text: &str) -> Window {
    Window::try_from(text.to_owned()).unwrap()
}

#[test]
fn a_window_may_reach_over_midnight() {
    let night = window("20:00-06:00");
    for (at, open) in [
        ("19:59", false),
        ("20:00", true),
        ("23:59", true),
        ("00:00", true),
        ("05:59", true),
        ("06:00", false),
    ] {
        assert_eq!(night.contains(time(at)), open, "{at}");
    }
    let day = window("8:30-12:00");
    assert!(
        day.contains(time("08:30")) && !day.contains(time("12:00")) && !day.contains(time("08:29"))
    );
    let pace = Pace { window: Some(day), ..Pace::default() };
    assert!(pace.is_open(time("09:00")) && !pace.is_open(time("13:00")));
    assert!(!Pace { held: Held::Yes, ..pace }.is_open(time("09:00")));
}

#[test]
fn what_is_no_window_or_bandwidth_is_refused_with_an_example() {
    for text in [
        "",
        "20:00",
        "20-6",
        "20:00-20:00",
        "24:00-06:00",
        "20:60-21:00",
        "a:b-c:d",
        "20:00-06:00-07:00",
    ] {
        let error = Window::try_from(text.to_owned()).unwrap_err();
        assert!(error.contains("20:00-06:00"), "{error}");
    }
    for text in [
        "",
        "20",
        "20 Mbit",
        "-1 Mbit/s",
        "20 Mbyte/s",
        "1.5 Mbit/s",
        "99999999999999999999 Gbit/s",
        "Mbit/s",
    ] {
        assert!(Bandwidth::try_from(text.to_owned()).unwrap_err().contains("bit/s"), "{text}");
    }
    assert!(Bandwidth::try_from("1 kbit/s".to_owned()).unwrap_err().contains("too slow"));
}

#[test]
fn bandwidths_are_read() {
    for (text, bytes) in [
        ("20 Mbit/s", 2_500_000),
        ("500kbit/s", 62_500),
        ("1 Gbit/s", 125_000_000),
        ("80000 bit/s", 10_000),
    ] {
        assert_eq!(Bandwidth::try_from(text.to_owned()), Ok(Bandwidth(bytes)), "{text}");
    }
}

#[test]
fn no_more_leaves_than_the_bandwidth_and_one_burst() {
    let bucket = Bucket::new(Some(Bandwidth(1_000_000)));
    let begun = Instant::now();
    let (mut now, mut sent) = (begun, 0_u64);
    for _ in 0..400 {
        now += bucket.draw(64_000, now);
        sent += 64_000;
        let allowed = (now - begun + BURST).as_micros() + 64_000;
        assert!(u128::from(sent) <= allowed, "{sent} bytes after {:?}", now - begun);
    }
    // 25.6 MB at 1 MB a second, and the burst: neither slower.
    let took = now - begun;
    assert!(took < Duration::from_millis(25_600), "{took:?}");
    // A pause does not save up more than the burst.
    now += Duration::from_secs(3600);
    let waits: Duration = (0..10).map(|_| bucket.draw(64_000, now)).max().unwrap();
    assert!(waits >= Duration::from_millis(300), "{waits:?}");
    assert_eq!(Bucket::default().draw(u64::MAX, now), Duration::ZERO, "no limit");
}
