//! Memory while a medium of 300 MiB goes through, in small. In full (4 GiB, 1.5 GiB): `tests/bench media`.

use std::io::{Cursor, Write as _};

use lotse::sim::sample::Sample;
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::Setup;
use crate::support::peers::{storescp, worklist};

/// What the daemon may hold in memory at most, whatever the medium's size.
const MOST: u64 = 150 << 20;

const SLICES: u16 = 320;
const FRAMES: usize = 240;

/// Instances, and one with many frames, half of them deflated.
fn medium() -> Vec<u8> {
    let sample = Sample::new(SLICES);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let deflated =
        stored.compression_method(CompressionMethod::Deflated).compression_level(Some(1));
    for slice in 0..SLICES {
        let options = if slice % 8 == 0 { deflated } else { stored };
        archive.start_file(format!("DICOM/IM{slice:05}"), options).unwrap();
        archive.write_all(&sample.instance(slice)).unwrap();
    }
    let one = Sample::with_seed(1, 99).instance(0);
    let at = one.windows(8).rposition(|w| w == b"\xe0\x7f\x10\0OW\0\0").unwrap();
    let pixels = &one[at + 12..];
    archive.start_file("DICOM/FRAMES", deflated.large_file(true)).unwrap();
    archive.write_all(&one[..at + 8]).unwrap();
    archive.write_all(&u32::try_from(pixels.len() * FRAMES).unwrap().to_le_bytes()).unwrap();
    for _ in 0..FRAMES {
        archive.write_all(pixels).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medium_of_300_mib_needs_little_memory() {
    let medium = tokio::task::spawn_blocking(medium).await.unwrap();
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    worklist(&folder.join("worklist"), &[]).await;
    let pacs = storescp(&folder.join("stored"), &["--ignore"]).await;
    let setup = setup.peer("pacs", "PACS", pacs.port, &[]).destination_peer("pacs");
    let daemon = setup.table("[matching]\npolicy = \"confirm\"").start().await;
    let size = medium.len() >> 20;
    let id = daemon.api.upload("large.zip", medium, &json!({})).await;
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(import["counts"]["received"], u64::from(SLICES) + 1);
    let unpacked = daemon.peak_memory();
    let patient = json!({"patientId": "4711", "name": "Prüf^Phantom", "birthDate": "1970-01-01"});
    for study in import["studies"].as_array().unwrap() {
        let uid = study["studyInstanceUid"].as_str().unwrap();
        let body = json!({"noOrder": patient, "reason": "a test of memory"});
        let path = format!("/api/v1/imports/{id}/studies/{uid}/decision");
        let (status, answer) = daemon.api.post(&path, &body).await;
        assert!(status < 300, "{answer}");
    }
    let import = daemon.api.until_state(&id, "Closed").await;
    assert_eq!(import["counts"]["delivered"], u64::from(SLICES) + 1);
    let peak = daemon.peak_memory();
    println!("archive {size} MiB, peak {} MiB, unpacked {} MiB", peak >> 20, unpacked >> 20);
    assert!(peak < MOST, "the daemon took {} MiB, {} to unpack", peak >> 20, unpacked >> 20);
}
