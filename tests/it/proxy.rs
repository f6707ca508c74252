//! The way out through a proxy that wants to know who asks: a portal's recipe, a DICOMweb source, a STOW
//! destination and `lotse portal try`, each over TLS within CONNECT.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use lotse::sim::pages::{self, Pages, SHARE, Twist};
use lotse::sim::sample::Sample;
use lotse::sim::stow;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::ca::Authority;
use crate::support::peers::Orthanc;
use crate::support::{Setup, eventually, root};

const PORTAL: &str = "portal.outside.example";
const ARCHIVE: &str = "archive.outside.example";
const SERVER: &str = "pacs.outside.example";

/// `lotse:s3cret`, as RFC 7617 writes it.
const CREDENTIALS: &str = "Basic bG90c2U6czNjcmV0";

/// What stands behind a name of the outside.
struct Behind {
    address: SocketAddr,
    tls: TlsAcceptor,
}

struct Proxy {
    address: SocketAddr,
    /// The head of every request.
    seen: Arc<Mutex<Vec<String>>>,
    /// It knows nobody any more.
    refuses: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(authority: &Authority, names: &[(&str, SocketAddr)]) -> Self {
        let mut known = BTreeMap::new();
        for (name, address) in names {
            let pair = authority.pair_of_name(name);
            let certificate = CertificateDer::from_pem_file(&pair.certificate).unwrap();
            let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
            let config = ServerConfig::builder().with_no_client_auth();
            let config = config.with_single_cert(vec![certificate], key).unwrap();
            let tls = TlsAcceptor::from(Arc::new(config));
            known.insert(format!("{name}:443"), Behind { address: *address, tls });
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            refuses: Arc::default(),
        };
        let (known, seen) = (Arc::new(known), Arc::clone(&proxy.seen));
        let refuses = Arc::clone(&proxy.refuses);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (known, seen) = (Arc::clone(&known), Arc::clone(&seen));
                let refuses = Arc::clone(&refuses);
                tokio::spawn(async move {
                    // Whoever hangs up has seen enough.
                    let _ = serve(stream, &known, &seen, &refuses).await;
                });
            }
        });
        proxy
    }

    fn asked_for(&self, name: &str) -> usize {
        let line = format!("CONNECT {name}:443 HTTP/1.1\r\n");
        self.seen.lock().unwrap().iter().filter(|head| head.starts_with(&line)).count()
    }
}

async fn serve(
    mut stream: TcpStream,
    known: &BTreeMap<String, Behind>,
    seen: &Mutex<Vec<String>>,
    refuses: &AtomicBool,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 << 10 {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    seen.lock().unwrap().push(head.clone());
    let lets_in = head.lines().any(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        name.eq_ignore_ascii_case("proxy-authorization") && value.trim() == CREDENTIALS
    });
    if !lets_in || refuses.load(Ordering::Relaxed) {
        let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\
                      Content-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(answer.as_bytes()).await;
    }
    let wanted = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let Some(behind) = wanted.and_then(|name| known.get(name)) else {
        return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut inner = behind.tls.accept(stream).await?;
    let mut to = TcpStream::connect(behind.address).await?;
    tokio::io::copy_bidirectional(&mut inner, &mut to).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_archives_and_destinations_outside_are_reached_through_it() {
    lotse::tls::install_provider();
    let sample = Sample::new(3);
    let mut zip = std::io::Cursor::new(Vec::new());
    sample.write_zip(&mut zip).unwrap();
    let config = pages::Config {
        zip: zip.into_inner().into(),
        birth_date: sample.birth_date().to_owned(),
        twist: Twist::None,
        packing: 1,
    };
    let pages = Pages::start(config).await.unwrap();
    let setup = Setup::new();
    let orthanc = Orthanc::with_dicomweb(&setup.folder().join("orthanc")).await;
    for slice in 0..3 {
        orthanc.store(sample.instance(slice)).await;
    }
    let server = stow::Stow::start(stow::Fault::None, None).await.unwrap();
    let server_at = server.url().parse::<url::Url>().unwrap();
    let server_at = server_at.socket_addrs(|| None).unwrap()[0];
    let authority = Authority::new(&setup.folder().join("ca"), "outside");
    let names = [
        (PORTAL, pages.address()),
        (ARCHIVE, SocketAddr::from(([127, 0, 0, 1], orthanc.peer.port))),
        (SERVER, server_at),
    ];
    let proxy = Proxy::start(&authority, &names).await;
    let credentials = setup.folder().join("proxy-credentials");
    std::fs::write(&credentials, "lotse:s3cret\n").unwrap();
    let (ca, path) = (&authority.file, url::Url::parse(&server.url()).unwrap().path().to_owned());
    let site = setup
        .no_folder()
        .table(&format!(
            "[fetch]\nproxy = \"http://{}\"\nproxy-credentials-file = {credentials:?}\n\
             [portals.outside]\nhosts = [\"{PORTAL}\"]\nca-file = {ca:?}\nrecipe = \"birth-date-form\"\n\
             [dicomweb.outside]\nurl = \"https://{ARCHIVE}/dicom-web\"\nca-file = {ca:?}\nthrough-proxy = true\n\
             [destinations.outside]\nstow-url = \"https://{SERVER}{path}\"\nca-file = {ca:?}\nthrough-proxy = true\n",
            proxy.address
        ))
        .write();
    let daemon = site.start().await;

    // A recipe, and what it brought to a server outside.
    let link = format!("https://{PORTAL}/s/{SHARE}");
    let request = json!({ "link": link, "answers": { "PAT_BIRTH_DATE": sample.birth_date() } });
    let id = daemon.api.import_link(&request).await;
    let import = daemon.api.until_studies(&id, "AwaitingDecision").await;
    assert_eq!(pages.logins(), 1);
    assert!(proxy.asked_for(PORTAL) > 0);
    let study = import["studies"][0]["studyInstanceUid"].as_str().unwrap();
    let patient = json!({"patientId": "100", "name": "Muster^Eva", "birthDate": sample.birth_date(), "sex": "F"});
    let decide = ["decide", &id, study, "--no-order", "--reason", "compared by eye"];
    daemon.site().cli_with(&decide, &patient.to_string()).await.ok();
    daemon.api.until_state(&id, "Closed").await;
    assert!(proxy.asked_for(SERVER) > 0);
    assert!(server.received().len() >= 3, "{}", server.received().len());

    // A study of an archive outside.
    let from = json!({"from": {"dicomweb": "outside", "patientId": "RP-0815-4711"}});
    let accepted = daemon.site().cli_with(&["import", "-", "--json"], &from.to_string()).await;
    let fetched = accepted.json()["id"].as_str().unwrap().to_owned();
    eventually("the archive's study", async || {
        let import = daemon.api.import(&fetched).await;
        (import["counts"]["received"] == 3).then_some(())
    })
    .await;
    assert!(proxy.asked_for(ARCHIVE) > 0);

    // The trial of a recipe goes the same way.
    let before = proxy.asked_for(PORTAL);
    let recipe = root().join("config/portals/birth-date-form.toml");
    let tried =
        site.cli_with(&["portal", "try", recipe.to_str().unwrap()], &request.to_string()).await;
    assert!(
        tried.code == 0 && proxy.asked_for(PORTAL) > before,
        "{}{}",
        tried.stdout,
        tried.stderr
    );

    // A proxy that lets nobody in is told as such, and no answer was spent.
    proxy.refuses.store(true, Ordering::Relaxed);
    let id = daemon.api.import_link(&request).await;
    eventually("the fault of the proxy", async || {
        let told = daemon.api.import(&id).await["nextStep"].as_str().unwrap_or("").to_owned();
        told.contains("through the proxy; check proxy in [fetch]").then_some(())
    })
    .await;
    assert_eq!(pages.logins(), 2);
    let heads = proxy.seen.lock().unwrap().join("");
    for secret in [SHARE, sample.birth_date(), "sid="] {
        assert!(!heads.contains(secret), "{heads}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_to_go_through_a_proxy_needs_one() {
    let site = Setup::new()
        .table("[dicomweb.outside]\nurl = \"https://archive.outside.example/dicom-web\"\nthrough-proxy = true")
        .write();
    let ended = site.cli(&["check"]).await;
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, 78, "{told}");
    assert!(told.contains("dicomweb.outside.through-proxy: there is no proxy"), "{told}");
}
