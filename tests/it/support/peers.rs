//! Real peers as processes. They cannot tell their port, so each gets one that was free a moment ago and is
//! started anew on another if somebody was faster.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Ended, Process, eventually, free_port, program, run, script, test_env};

/// How often a port is tried that somebody else may have taken.
const PORTS: usize = 5;

/// A listening peer.
pub struct Peer {
    pub process: Process,
    pub port: u16,
}

impl Peer {
    /// Starts what `command` makes of a port, and waits until it listens there.
    pub async fn start(command: impl Fn(u16) -> Command) -> Self {
        for _ in 0..PORTS {
            if let Some(peer) = Self::start_on(free_port(), &command).await {
                return peer;
            }
        }
        panic!("{:?} does not listen on any of {PORTS} ports", command(0));
    }

    /// The same on a port that is given; `None` if the process ended.
    pub async fn start_on(port: u16, command: impl Fn(u16) -> Command) -> Option<Self> {
        let mut process = Process::start(&mut command(port));
        let listens = eventually("a peer to listen", || {
            let alive = process.lives();
            let open = TcpStream::connect(("127.0.0.1", port)).is_ok();
            std::future::ready(if !alive { Some(false) } else { open.then_some(true) })
        });
        if listens.await { Some(Self { process, port }) } else { None }
    }
}

/// DCMTK's storage SCP, keeping every byte as it came.
pub async fn storescp(folder: &Path, options: &[&str]) -> Peer {
    Peer::start(storescp_command(folder, options)).await
}

pub fn storescp_command(folder: &Path, options: &[&str]) -> impl Fn(u16) -> Command {
    std::fs::create_dir_all(folder).unwrap();
    let (folder, options) =
        (folder.to_owned(), options.iter().map(|&o| o.to_owned()).collect::<Vec<_>>());
    move |port| {
        let mut command = Command::new(program("storescp"));
        command.args(["--fork", "+B", "+xa", "-aet", "PACS", "-od"]).arg(&folder);
        command.args(&options).arg(port.to_string());
        command
    }
}

/// DCMTK's worklist SCP over `folder`, which has one folder a called AE title.
pub async fn wlmscpfs(folder: &Path) -> Peer {
    Peer::start(wlmscpfs_command(folder)).await
}

pub fn wlmscpfs_command(folder: &Path) -> impl Fn(u16) -> Command {
    let folder = folder.to_owned();
    move |port| {
        let mut command = Command::new(program("wlmscpfs"));
        command.args(["-v", "-csk", "-dhl", "-dfp"]).arg(&folder).arg(port.to_string());
        command
    }
}

/// Orthanc with its own configuration.
pub struct Orthanc {
    pub peer: Peer,
    pub dicom: u16,
    client: reqwest::Client,
}

impl Orthanc {
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, json!({})).await
    }

    /// With its DICOMweb plugin.
    pub async fn with_dicomweb(folder: &Path) -> Self {
        let plugin = Path::new("/usr/share/orthanc/plugins/libOrthancDicomWeb.so");
        assert!(plugin.exists(), "{} is missing: run tests/env", plugin.display());
        Self::start_with(folder, json!({"Plugins": [plugin]})).await
    }

    /// With modalities on loopback, by AE title and port.
    pub async fn start_knowing(folder: &Path, modalities: &[(&str, u16)]) -> Self {
        let known: serde_json::Map<String, Value> = modalities
            .iter()
            .map(|(title, port)| ((*title).to_owned(), json!([title, "127.0.0.1", port])))
            .collect();
        Self::start_with(folder, json!({"DicomModalities": known})).await
    }

    /// The same with settings of its own.
    pub async fn start_with(folder: &Path, own: Value) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let dicom = free_port();
        let configured = |http: u16| {
            let mut settings = json!({
                "Name": "PACS", "StorageDirectory": folder, "IndexDirectory": folder,
                "HttpPort": http, "DicomPort": dicom, "DicomAet": "PACS",
                "DicomCheckCalledAet": false, "DicomAlwaysAllowStore": true, "DicomAlwaysAllowEcho": true,
                "DicomAlwaysAllowFind": true, "DicomAlwaysAllowGet": true, "DicomAlwaysAllowMove": true,
                "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "Plugins": [],
            });
            for (key, value) in own.as_object().unwrap() {
                settings[key] = value.clone();
            }
            let file = folder.join("orthanc.json");
            std::fs::write(&file, settings.to_string()).unwrap();
            let mut command = Command::new(program("Orthanc"));
            command.arg(&file);
            command
        };
        lotse::tls::install_provider();
        let peer = Peer::start(configured).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let orthanc = Self { peer, dicom, client };
        eventually("Orthanc's DICOM port", || {
            std::future::ready(TcpStream::connect(("127.0.0.1", dicom)).ok().map(drop))
        })
        .await;
        orthanc
    }

    /// Stores a Part 10 file over its REST interface.
    pub async fn store(&self, object: Vec<u8>) {
        let address = format!("http://127.0.0.1:{}/instances", self.peer.port);
        let answer = self.client.post(address).body(object).send().await.unwrap();
        answer.error_for_status().unwrap();
    }

    pub async fn get(&self, path: &str) -> Value {
        serde_json::from_slice(&self.bytes(path).await).unwrap()
    }

    pub async fn upload(&self, object: Vec<u8>) {
        let address = format!("http://127.0.0.1:{}/instances", self.peer.port);
        self.client.post(address).body(object).send().await.unwrap().error_for_status().unwrap();
    }

    /// Tells it whom it may send to.
    pub async fn knows(&self, name: &str, ae_title: &str, port: u16) {
        let address = format!("http://127.0.0.1:{}/modalities/{name}", self.peer.port);
        let modality = json!({"AET": ae_title, "Host": "127.0.0.1", "Port": port});
        let put = self.client.put(address).body(modality.to_string()).send();
        put.await.unwrap().error_for_status().unwrap();
    }

    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let address = format!("http://127.0.0.1:{}{path}", self.peer.port);
        let answer = self.client.get(address).send().await.unwrap().error_for_status().unwrap();
        answer.bytes().await.unwrap().to_vec()
    }

    /// Writes every instance as a file into `folder`.
    pub async fn export(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        for id in self.get("/instances").await.as_array().unwrap() {
            let id = id.as_str().unwrap();
            let file = self.bytes(&format!("/instances/{id}/file")).await;
            std::fs::write(folder.join(id), file).unwrap();
        }
    }
}

/// A script of `tests/it/peers` in the test environment's Python.
pub fn python(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(test_env("venv/bin/python"));
    command.arg("-B").arg(script(name)).args(arguments).env("PYTHONUNBUFFERED", "1");
    command
}

pub async fn run_python(name: &str, arguments: &[&str]) -> Ended {
    run(&mut python(name, arguments), "").await
}

/// A script of `tests/it/peers` in Node, with the test environment's packages.
pub fn node(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("node"));
    command.arg(script(name)).args(arguments).env("NODE_PATH", test_env("node/node_modules"));
    command
}

/// A command of DCMTK.
pub fn dcmtk(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(name));
    command.args(arguments);
    command
}

/// A PDI medium made from pydicom's `dicomdirtests` (see `medium.py`).
pub struct Medium {
    pub folder: PathBuf,
    pub images: usize,
    pub studies: usize,
}

impl Medium {
    pub async fn make(folder: &Path, options: &[&str]) -> Self {
        let mut arguments = vec![folder.to_str().unwrap()];
        arguments.extend(options);
        let told = run_python("medium.py", &arguments).await.ok();
        let mut numbers = told.split_whitespace().map(|number| number.parse().unwrap());
        let (images, studies) = (numbers.next().unwrap(), numbers.next().unwrap());
        Self { folder: folder.to_owned(), images, studies }
    }

    pub fn zip(&self) -> Vec<u8> {
        std::fs::read(self.folder.join("medium.zip")).unwrap()
    }

    pub fn originals(&self) -> PathBuf {
        self.folder.join("originals")
    }

    /// The images as paths.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = std::fs::read_dir(self.originals())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }
}

/// Writes `.wl` files: orders of the invented patient as `ACCESSION, MODALITY` pairs, his one CT order if
/// there are none, and orders of strangers.
pub async fn worklist(folder: &Path, orders: &[&str]) {
    let mut arguments = vec![folder.to_str().unwrap()];
    arguments.extend(orders);
    run_python("worklist.py", &arguments).await.ok();
}

/// Holds what arrived against what was given (see `compare.py`).
#[track_caller]
pub fn compare(originals: &Path, received: &Path, options: &[&str]) {
    let mut arguments = vec![originals.to_str().unwrap(), received.to_str().unwrap()];
    arguments.extend(options);
    let ended = python("compare.py", &arguments).output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    let error = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "what arrived is not what it should be:\n{text}{error}");
}
