//! Certificates and versions that are not to be trusted, by OpenSSL.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::super::support::peers::Peer;
use super::super::support::{Setup, program};
use super::server::archive;

/// Runs `openssl` to its end in this folder.
fn openssl(folder: &Path, arguments: &str) {
    let arguments = arguments.split(' ');
    let ended = Command::new(program("openssl")).args(arguments).current_dir(folder).output();
    let ended = ended.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// An authority, and certificates of it: right, expired, for another name.
fn certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for authority in ["ca", "stranger"] {
        openssl(
            folder,
            &format!(
                "req -x509 {key} -keyout {authority}.key -out {authority}.pem -subj /CN=Synthetic-{authority} -days 30"
            ),
        );
    }
    openssl(folder, &format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=portal"));
    std::fs::write(
        folder.join("ca.cnf"),
        "[ca]\ndefault_ca = d\n[d]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
         default_md = sha256\nunique_subject = no\npolicy = p\n[p]\ncommonName = supplied\n",
    )
    .unwrap();
    std::fs::write(folder.join("index"), "").unwrap();
    for (name, host, until, authority) in [
        ("right", "IP:127.0.0.1", "20991231000000Z", "ca"),
        ("expired", "IP:127.0.0.1", "20210101000000Z", "ca"),
        ("other-name", "DNS:elsewhere.example", "20991231000000Z", "ca"),
        ("unknown", "IP:127.0.0.1", "20991231000000Z", "stranger"),
    ] {
        std::fs::write(folder.join("names"), format!("subjectAltName={host}\n")).unwrap();
        openssl(
            folder,
            &format!(
                "ca -batch -config ca.cnf -cert {authority}.pem -keyfile {authority}.key -in leaf.csr \
                 -out {name}.pem -startdate 20200101000000Z -enddate {until} -extfile names -notext"
            ),
        );
    }
}

async fn server(folder: &Path, certificate: &str, options: &[&str]) -> Peer {
    Peer::start(|port| {
        let mut command = Command::new(program("openssl"));
        command.current_dir(folder).args(["s_server", "-quiet", "-WWW", "-key", "leaf.key"]);
        command.args(["-cert", &format!("{certificate}.pem")]);
        command.args(["-accept", &format!("127.0.0.1:{port}")]).args(options);
        command
    })
    .await
}

#[tokio::test]
async fn only_a_valid_certificate_of_a_known_authority_and_tls_1_2_are_trusted() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    std::fs::write(folder.path().join("study.zip"), archive()).unwrap();
    let ca = folder.path().join("ca.pem");
    let daemon = Setup::new()
        .retry("1h", "1h")
        .table(&format!(
            "[portals.inside]\nhosts = [\"127.0.0.1\"]\nallow-private = true\nca-file = {ca:?}\n\
             [fetch]\nanswer-timeout = \"20s\"",
        ))
        .start()
        .await;
    for (certificate, options, says) in [
        ("expired", &[][..], "certificate has expired"),
        ("other-name", &[], "another name"),
        ("unknown", &[], "known authority"),
        ("right", &["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "no TLS version"),
        ("right", &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "no TLS version"),
        // What was fetched holds nothing to import: it came.
        ("right", &["-tls1_2"], "DICOM object was found"),
        ("right", &["-tls1_3"], "DICOM object was found"),
    ] {
        let server = server(folder.path(), certificate, options).await;
        let link = format!("https://127.0.0.1:{}/study.zip", server.port);
        let id = daemon.api.import_link(&json!({ "link": link })).await;
        let failed = daemon.api.until_state(&id, "Failed").await;
        let told = failed["nextStep"].as_str().unwrap();
        assert!(told.contains(says), "{certificate} {options:?}: {told}");
    }
    daemon.stop().await;
}
