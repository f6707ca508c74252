use std::collections::BTreeMap;

use super::*;
use crate::pipeline::WorklistHealth;

#[test]
fn the_snapshot_becomes_lines_that_prometheus_reads() {
    let snapshot = Snapshot {
        version: "0.1.0",
        uptime_seconds: 5,
        imports: BTreeMap::from([("Closed", 2), ("Unpacked", 1)]),
        studies: BTreeMap::from([("AwaitingDecision", 1)]),
        counts: Counts { received: 9, delivered: 8, in_flight: 1, ..Counts::default() },
        oldest_unfinished_seconds: Some(70),
        queues: BTreeMap::from([("pull", 0)]),
        destinations: BTreeMap::from([(
            "pacs\"x".to_owned(),
            DestinationHealth { paused: true, waiting_instances: 3, ..Default::default() },
        )]),
        worklist: WorklistHealth { reachable: Some(false), ..WorklistHealth::default() },
        disk_used: 10,
        disk_free: 20,
        last_errors: Vec::new(),
        alarms: vec!["disk".into()],
    };
    let text = exposition(&snapshot, &Metrics::default()).into_string();
    for line in [
        "lotse_imports_count{state=\"Closed\"} 2",
        "lotse_studies_count{state=\"AwaitingDecision\"} 1",
        "lotse_instances_count{place=\"delivered\"} 8",
        "lotse_instances_count{place=\"in_flight\"} 1",
        "lotse_oldest_unfinished_seconds 70",
        "lotse_destination_paused_state{destination=\"pacs\\\"x\"} 1",
        "lotse_worklist_reachable_state 0",
        "lotse_spool_free_bytes 20",
        "lotse_alarms_count 1",
    ] {
        assert!(text.lines().any(|is| is == line), "{line}\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("lotse_"), "{line}");
        assert!(line.rsplit_once(' ').unwrap().1.parse::<u64>().is_ok(), "{line}");
    }
}
