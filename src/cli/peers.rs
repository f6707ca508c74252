//! `lotse peers`: everything that can be asked of a peer without leaving anything there.

use std::path::Path;

use clap::Args;
use dicom_core::dictionary::UidDictionary as _;
use dicom_dictionary_std::uids;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::{BadInput, Code, out};
use crate::clock::Clock;
use crate::dicom::Uid;
use crate::dimse::{self, PeerSection, Proposed, Remote, Stage, Survey};
use crate::gateway::{Config, Environment};

/// Peers that are asked at the same time, so that a few that are down do not cost their time one after the other.
const AT_ONCE: usize = 8;

#[derive(Debug, Args)]
pub(super) struct Peers {
    /// Name of a `[peers.NAME]` section; without it all of them.
    peer: Option<String>,
    #[arg(long)]
    json: bool,
}

impl Peers {
    pub(super) async fn run(self, file: Option<&Path>) -> anyhow::Result<Code> {
        crate::tls::install_provider();
        let config = Config::load(file, &Environment::of_process())?;
        let asked: Vec<_> = match &self.peer {
            Some(name) => vec![(name.clone(), find(&config, name)?.clone())],
            None => config.peers.clone().into_iter().collect(),
        };
        let services = services()?;
        let probes = asked.into_iter().map(|(name, peer)| {
            let (remote, services) = (remote(&peer, &config), &services);
            async move {
                let report = dimse::probe(&remote, services).await;
                (name, remote, report)
            }
        });
        // In their order, so that two runs can be laid side by side.
        let reports: Vec<_> = stream::iter(probes).buffered(AT_ONCE).collect().await;
        let bad = reports.iter().any(|(_, _, report)| report.fault.is_some());
        if self.json {
            let told = reports.iter().map(|(name, remote, report)| document(name, remote, report));
            out::document(&json!({ "peers": told.collect::<Vec<_>>() }));
        } else {
            reports.iter().for_each(|(name, remote, report)| show(name, remote, report));
        }
        Ok(if bad { Code::Unavailable } else { Code::Done })
    }
}

/// The peer of this name.
pub(super) fn find<'a>(config: &'a Config, name: &str) -> anyhow::Result<&'a PeerSection> {
    config.peers.get(name).ok_or_else(|| {
        let known = config.peers.keys().cloned().collect::<Vec<_>>().join(", ");
        BadInput(format!("there is no peer `{name}`; configured are: {known}")).into()
    })
}

/// How to call it while a person waits.
pub(super) fn remote(peer: &PeerSection, config: &Config) -> Remote {
    Remote { timeouts: dimse::PATIENCE, ..peer.remote(&config.dicom.ae_title) }
}

/// What is proposed: the services of a hospital's network, and storage of what is common in every syntax of weight.
fn services() -> anyhow::Result<Vec<Proposed>> {
    const PLAIN: [&str; 2] = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    const STORED: [&str; 8] = [
        uids::EXPLICIT_VR_LITTLE_ENDIAN,
        uids::IMPLICIT_VR_LITTLE_ENDIAN,
        uids::JPEG_BASELINE8_BIT,
        uids::JPEG_LOSSLESS_SV1,
        uids::JPEGLS_LOSSLESS,
        uids::JPEG2000_LOSSLESS,
        uids::JPEG2000,
        uids::RLE_LOSSLESS,
    ];
    const SERVICES: [&str; 6] = [
        uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND,
        uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
        uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE,
        uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET,
        uids::STORAGE_COMMITMENT_PUSH_MODEL,
        uids::MODALITY_PERFORMED_PROCEDURE_STEP,
    ];
    const STORAGE: [&str; 24] = [
        uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
        uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
        uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
        uids::BREAST_TOMOSYNTHESIS_IMAGE_STORAGE,
        uids::CT_IMAGE_STORAGE,
        uids::ENHANCED_CT_IMAGE_STORAGE,
        uids::MR_IMAGE_STORAGE,
        uids::ENHANCED_MR_IMAGE_STORAGE,
        uids::ULTRASOUND_IMAGE_STORAGE,
        uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
        uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
        uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
        uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE,
        uids::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE,
        uids::NUCLEAR_MEDICINE_IMAGE_STORAGE,
        uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
        uids::VL_PHOTOGRAPHIC_IMAGE_STORAGE,
        uids::OPHTHALMIC_TOMOGRAPHY_IMAGE_STORAGE,
        uids::RT_STRUCTURE_SET_STORAGE,
        uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE,
        uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE,
        uids::COMPREHENSIVE_SR_STORAGE,
        uids::X_RAY_RADIATION_DOSE_SR_STORAGE,
        uids::ENCAPSULATED_PDF_STORAGE,
    ];
    let proposed = |class: &str, syntaxes: &[&str]| -> anyhow::Result<Proposed> {
        let transfer_syntaxes = syntaxes.iter().map(|uid| uid.parse()).collect::<Result<_, _>>()?;
        Ok(Proposed { sop_class: class.parse()?, transfer_syntaxes })
    };
    let services = SERVICES.iter().map(|class| proposed(class, &PLAIN));
    services.chain(STORAGE.iter().map(|class| proposed(class, &STORED))).collect()
}

fn document(name: &str, remote: &Remote, report: &Survey) -> Value {
    let mut told = serde_json::to_value(report).unwrap_or_default();
    let beside = json!({
        "name": name,
        "aeTitle": remote.called.as_str(),
        "address": remote.address,
        "ok": report.fault.is_none(),
        "tls": remote.security.tls.is_some(),
        "certificateDaysLeft": days_left(report),
    });
    if let (Value::Object(told), Value::Object(beside)) = (&mut told, beside) {
        told.extend(beside);
    }
    told
}

pub(super) fn days_left(report: &Survey) -> Option<i64> {
    let now = Clock::system(None).now().timestamp();
    report.certificate.as_ref().map(|certificate| certificate.days_left(now))
}

fn show(name: &str, remote: &Remote, report: &Survey) {
    out::line(&format!("{name}: {} at {}", remote.called, remote.address));
    for step in &report.steps {
        let stage = stage(step.stage);
        out::line(&format!("  {stage:12} {} ({} ms)", step.found, step.milliseconds));
    }
    if let (Some(certificate), Some(days)) = (&report.certificate, days_left(report)) {
        let left = if days < 0 { "expired".to_owned() } else { format!("{days} days left") };
        out::line(&format!(
            "  {:12} {}, {left}, {}",
            "certificate", certificate.subject, certificate.fingerprint
        ));
    }
    for service in &report.services {
        let syntaxes = service.transfer_syntaxes.iter().map(syntax_name).collect::<Vec<_>>();
        out::line(&format!(
            "  {:12} {}: {}",
            "takes",
            class_name(&service.sop_class),
            syntaxes.join(", ")
        ));
    }
    if let Some(fault) = &report.fault {
        out::complain(&format!("{name}: {} failed: {}", stage(fault.stage), fault.sentence));
    }
}

pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Name => "name",
        Stage::Connection => "connection",
        Stage::Tls => "TLS",
        Stage::Association => "association",
        Stage::Echo => "C-ECHO",
        Stage::Services => "services",
    }
}

fn class_name(class: &Uid) -> String {
    let entry = dicom_dictionary_std::sop_class::registry().by_uid(class.as_str());
    entry.map_or_else(|| class.to_string(), |entry| entry.name.to_owned())
}

fn syntax_name(syntax: &Uid) -> String {
    let entry = TransferSyntaxRegistry.iter().find(|known| known.uid() == syntax.as_str());
    entry.map_or_else(|| syntax.to_string(), |entry| entry.name().to_owned())
}
