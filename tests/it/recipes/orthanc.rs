//! A real Orthanc with its DICOMweb plugin, behind a proxy that checks the token of a share.

use std::net::SocketAddr;

use lotse::sim::pages::{Proxy, Twist};
use serde_json::json;

use super::{Desk, SLICES, desk};
use crate::support::peers::Orthanc;

const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.e30.c2hhcmU";

async fn shared(desk: &Desk) -> (Orthanc, Proxy) {
    let orthanc = Orthanc::with_dicomweb(&desk.hospital.world.folder().join("orthanc")).await;
    for slice in 0..SLICES {
        orthanc.store(desk.hospital.world.sample.instance(slice)).await;
    }
    assert_eq!(orthanc.get("/instances").await.as_array().unwrap().len(), usize::from(SLICES));
    let behind = SocketAddr::from(([127, 0, 0, 1], orthanc.peer.port));
    let proxy = Proxy::start(behind, TOKEN).await.unwrap();
    (orthanc, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orthanc_gives_its_study_in_three_ways_with_the_same_bytes() {
    let desk = desk(Twist::None).await;
    let (orthanc, proxy) = shared(&desk).await;
    let at_name = proxy.origin().replace("127.0.0.1", "localhost");
    let mut originals: Vec<String> = (0..SLICES)
        .map(|slice| blake3::hash(&desk.hospital.world.sample.instance(slice)).to_hex().to_string())
        .collect();
    originals.sort();
    for (name, link) in [
        ("orthanc-archive", format!("{}/ui/app/token-landing.html?token={TOKEN}", proxy.origin())),
        ("orthanc-dicomweb", format!("{at_name}/ui/app/token-landing.html?token={TOKEN}")),
        ("share-dicomweb", format!("{at_name}/share?token={TOKEN}")),
    ] {
        let id = desk.import(&link).await;
        let import = desk.hospital.closed(id).await;
        assert_eq!(import.instances.len(), usize::from(SLICES), "{name}");
        let mut came: Vec<String> =
            import.instances.iter().map(|instance| instance.blob.digest.to_string()).collect();
        came.sort();
        assert_eq!(
            came, originals,
            "{name}: the objects are those that were stored, byte for byte"
        );
        let delivered = desk.hospital.show(id).await;
        let delivered = &delivered["studies"][0]["deliveries"][0]["delivered"];
        assert_eq!(delivered, &json!(SLICES), "{name}");
        println!("{name}: {SLICES} instances delivered, byte for byte");
    }
    assert_eq!(proxy.refused(), 0);

    let wrong = format!("{}/ui/app/token-landing.html?token=expired", proxy.origin());
    let sentence = desk.failed(desk.import(&wrong).await).await;
    assert!(sentence.contains("expired"), "{sentence}");
    let wrong = format!("{at_name}/share?token=expired");
    let sentence = desk.failed(desk.import(&wrong).await).await;
    assert!(sentence.contains("expired"), "{sentence}");
    assert_eq!(proxy.refused(), 2);
    drop(orthanc);
    desk.hospital.stop().await;
}
