use super::*;

#[test]
fn writes_families_with_their_samples() {
    let metrics = Metrics::default();
    let ok = metrics.value(
        Kind::Counter,
        "lotse_http_requests_total",
        Some(("class", "2xx")),
        "By class.",
    );
    metrics
        .value(Kind::Counter, "lotse_http_requests_total", Some(("class", "4xx")), "By class.")
        .add(3);
    metrics.value(Kind::Gauge, "lotse_spool_bytes", None, "Used.").set(7);
    ok.add(1);
    ok.add(1);
    let mut text = Text::default();
    metrics.write(&mut text);
    assert_eq!(
        text.into_string(),
        "# HELP lotse_http_requests_total By class.\n# TYPE lotse_http_requests_total counter\n\
         lotse_http_requests_total{class=\"2xx\"} 2\nlotse_http_requests_total{class=\"4xx\"} 3\n\
         # HELP lotse_spool_bytes Used.\n# TYPE lotse_spool_bytes gauge\nlotse_spool_bytes 7\n"
    );
}

#[test]
fn the_same_name_and_label_is_the_same_number() {
    let metrics = Metrics::default();
    metrics.value(Kind::Counter, "lotse_a_total", None, "A.").add(2);
    assert_eq!(metrics.value(Kind::Counter, "lotse_a_total", None, "A.").get(), 2);
}

#[test]
fn a_hostile_label_stays_one_line() {
    let mut text = Text::default();
    text.sample("lotse_destination_paused", &[("destination", "a\"} 1\nevil\\"), ("b", "c")], 0);
    assert_eq!(
        text.into_string(),
        "lotse_destination_paused{destination=\"a\\\"} 1\\nevil\\\\\",b=\"c\"} 0\n"
    );
}

#[test]
fn names_follow_the_contract() {
    assert!(is_name("lotse_imports_count"));
    for wrong in ["imports", "lotse_", "lotse_A", "lotse_a b", "lotse_ä"] {
        assert!(!is_name(wrong), "{wrong}");
    }
}
