//! Portal, RIS, patient index and PACS together, with one examination in the portal and its order in the RIS.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::his::{self, Index};
use super::pacs::{self, Pacs};
use super::portal::{self, Content, Portal, Question};
use super::ris::{self, Ris};
use super::sample::Sample;
use crate::clock::Clock;
use crate::dicom::Item;

/// The simulated hospital. Its folder is removed when it is dropped.
pub struct World {
    pub portal: Portal,
    pub ris: Ris,
    pub pacs: Pacs,
    /// Knows the local patients.
    pub index: Index,
    pub sample: Sample,
    folder: Folder,
}

/// A folder that only we may enter, gone when it is dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's temporary folder, which is cleaned without us.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl World {
    /// Starts everything on free ports of loopback, the examination with so many slices.
    pub async fn start(slices: u16) -> io::Result<Self> {
        let name = format!("lotse-{}", uuid::Uuid::now_v7().simple());
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::DirBuilder::new().mode(0o700).create(&folder.0)?;
        let sample = Sample::new(slices);
        let archive = folder.0.join("portal.zip");
        let (made, to) = (sample, archive.clone());
        let packed = tokio::task::spawn_blocking(move || {
            made.write_zip(io::BufWriter::new(std::fs::File::create(to)?)).map(drop)
        });
        packed.await.map_err(io::Error::other)??;

        let patient = sample.foreign_patient();
        let birth_date = sample.birth_date().replace('-', "");
        let mut item = portal::Item::new("1", "application/zip", "CT Abdomen", "");
        item.content = Content::File(archive.clone());
        item.study_uid = Some(sample.study_uid().to_string());
        item.patient_name = patient.name.map(|name| format!("{}, {}", name.family(), name.given()));
        item.birth_date = Some(birth_date.clone());
        item.sex = Some(patient.sex.as_str().to_owned());
        let portal = Portal::start(portal::Config {
            token: "ABC-S1Z-98A".to_owned(),
            questions: vec![Question::birth_date(&birth_date)],
            items: vec![item],
            all: Content::File(archive),
            faults: portal::Faults::default(),
        })
        .await?;
        let ris = Ris::start(scheduled_today(sample.worklist()), ris::Fault::None).await?;
        let pacs = Pacs::start(pacs::Fault::None, None).await?;
        let patients = sample.worklist().into_iter().map(|item| item.patient).collect();
        let index = Index::start(patients, his::Fault::None).await?;
        Ok(Self { portal, ris, pacs, index, sample, folder })
    }

    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Writes the master key and the configuration of a gateway that works in this world.
    pub fn configure(&self) -> io::Result<PathBuf> {
        let mut key = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
        let key_file = self.folder.0.join("master.key");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(&key_file)?.write_all(&key)?;
        let file = self.folder.0.join("lotse.toml");
        std::fs::write(&file, self.config(&key_file))?;
        Ok(file)
    }

    fn config(&self, key_file: &Path) -> String {
        let data_dir = self.folder.0.join("data");
        format!(
            r#"version = 1

[gateway]
institution = "Klinikum Beispiel"
data-dir = "{data_dir}"

[spool]
master-key-file = "{key_file}"

[dicom]
ae-title = "LOTSE"
quiet-time = "2s"
[[dicom.listeners]]
address = "127.0.0.1:0"

[peers.ris]
ae-title = "RIS"
address = "{ris}"

[peers.pacs]
ae-title = "PACS"
address = "{pacs}"
may = ["echo", "store"]

[[worklist.sources]]
peer = "ris"

[worklist.pdq]
address = "{index}"

[[hl7.listeners]]
address = "127.0.0.1:0"

[destinations.pacs]
peer = "pacs"

[portals.simulated]
hosts = ["127.0.0.1"]
allow-private = true
allow-http = true

[retry]
first = "1s"
longest = "30s"

[http]
listen = "127.0.0.1:0"
"#,
            data_dir = data_dir.display(),
            key_file = key_file.display(),
            ris = self.ris.address(),
            pacs = self.pacs.address(),
            index = self.index.address(),
        )
    }

    /// Ends the simulators and removes the folder.
    pub async fn stop(self) {
        self.portal.stop().await;
        self.ris.stop().await;
        self.pacs.stop().await;
    }
}

/// The orders with their steps today: worklists are asked for the days around it.
fn scheduled_today(mut orders: Vec<Item>) -> Vec<Item> {
    let today = Clock::system(None).now().timestamp().strftime("%Y%m%d").to_string();
    for step in orders.iter_mut().flat_map(|order| &mut order.steps) {
        step.start_date = Some(today.clone());
    }
    orders
}
