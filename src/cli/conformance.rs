//! `lotse conformance`: what the gateway negotiates, from the code that negotiates it.

use clap::{Args, ValueEnum};
use dicom_core::dictionary::{DataDictionary as _, UidDictionary as _};
use dicom_dictionary_std::StandardDataDictionary;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use serde_json::{Value, json};

use super::{Code, out};
use crate::dicom::Uid;
use crate::{dimse, forward, import, scp};

#[derive(Debug, Args)]
pub(super) struct Conformance {
    #[arg(long, value_enum, default_value_t = Format::Md)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Md,
    Json,
}

impl Conformance {
    pub(super) fn run(self) -> anyhow::Result<Code> {
        let statement = statement();
        match self.format {
            Format::Json => out::document(&statement),
            Format::Md => markdown(&statement),
        }
        Ok(Code::Done)
    }
}

fn statement() -> Value {
    let mut classes = vec![
        json!({"name": "Verification", "uid": dicom_dictionary_std::uids::VERIFICATION, "scu": true, "scp": true}),
        json!({
            "name": "Modality Worklist Information Model - FIND",
            "uid": dicom_dictionary_std::uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND,
            "scu": true, "scp": true,
        }),
        json!({
            "name": "Storage Commitment Push Model",
            "uid": dicom_dictionary_std::uids::STORAGE_COMMITMENT_PUSH_MODEL,
            "scu": true, "scp": true,
        }),
    ];
    classes.extend(retrieval_classes());
    classes.extend(storage_classes());
    let syntaxes = TransferSyntaxRegistry
        .iter()
        .filter(|syntax| dimse::is_stored_syntax(syntax.uid()))
        .map(|syntax| {
            let decoded = Uid::new(syntax.uid()).is_ok_and(|uid| forward::decodes(&uid));
            json!({"name": syntax.name(), "uid": syntax.uid(), "decoded": decoded})
        });
    let timeouts = dimse::Timeouts::default();
    json!({
        "product": "Lotse",
        "version": env!("CARGO_PKG_VERSION"),
        "applicationContext": "1.2.840.10008.3.1.1.1",
        "maximumPduLength": dimse::MAX_PDU,
        "sopClasses": classes,
        "worklistKeys": worklist_keys(),
        "worklistOptions": {
            "fuzzyNameMatching": true, "timezoneAdjustment": false, "combinedDateTime": true,
        },
        "storageCommitment": {
            "associationKeptForReportSeconds": 5,
            "waitForReportHours": 24,
            "requestsWithoutReport": import::COMMITMENT_REQUESTS,
            "timesSentAgain": import::RESENDS,
            "instancesPerRequest": import::COMMITMENT_BATCH,
            "copyDeleted": "retention.after-delivery behind the report, and retention.limit without one",
            "committedAsProvider": "when every destination of the study vouches for it",
        },
        // As user: `times = "adjusted"` of a source; names are never asked for.
        "worklistUserOptions": {
            "fuzzyNameMatching": false, "timezoneAdjustment": true, "combinedDateTime": false,
        },
        "transferSyntaxes": syntaxes.collect::<Vec<_>>(),
        "tls": {
            "profile": "BCP 195 RFC 8996, 9325 TLS (PS3.15 B.12)",
            "versions": crate::tls::VERSIONS,
            "cipherSuites": crate::tls::cipher_suites(),
            "clientCertificates": ["required", "optional", "none"],
        },
        "userIdentity": {
            "scu": ["username", "username and password", "JSON Web Token"],
            "scp": ["username", "username and password", "JSON Web Token"],
        },
        "associations": scp::Limits::default().associations,
        "timeoutsSeconds": {
            "connect": timeouts.connect.as_secs(),
            "association": timeouts.association.as_secs(),
            "read": timeouts.read.as_secs(),
            "write": timeouts.write.as_secs(),
            "response": timeouts.response.as_secs(),
        },
    })
}

/// Query and retrieval: as SCU of the Study Root model alone.
fn retrieval_classes() -> impl Iterator<Item = Value> {
    use dicom_dictionary_std::uids;
    let classes = [
        (uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND, true),
        (uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET, true),
        (uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE, true),
        (uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND, false),
        (uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET, false),
        (uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE, false),
    ];
    let registry = dicom_dictionary_std::sop_class::registry();
    classes.into_iter().map(move |(uid, scu)| {
        let name = registry.by_uid(uid).map_or("", |entry| entry.name);
        json!({"name": name, "uid": uid, "scu": scu, "scp": true})
    })
}

/// What a worklist query may match and ask for.
fn worklist_keys() -> Vec<Value> {
    let key = |key: scp::WorklistKey| {
        let name = StandardDataDictionary.by_tag(key.tag).map_or("", |entry| entry.alias);
        json!({
            "name": name, "tag": key.tag.to_string(), "vr": key.vr.to_string(), "inStep": key.in_step,
        })
    };
    scp::worklist_keys().map(key).collect()
}

/// Every storage class of the dictionary, which can be asked for a UID but not for its list: so every UID
/// below the branch that the standard gives to storage is asked for.
fn storage_classes() -> Vec<Value> {
    const BRANCH: &str = "1.2.840.10008.5.1.4.1.1";
    let registry = dicom_dictionary_std::sop_class::registry();
    let mut classes = vec![];
    let mut look = |uid: String| {
        if let Some(entry) = registry.by_uid(&uid).filter(|_| dimse::is_storage(&uid)) {
            classes.push(json!({"name": entry.name, "uid": uid, "scu": true, "scp": true}));
        }
    };
    for a in 1..=700 {
        look(format!("{BRANCH}.{a}"));
        for b in 0..=100 {
            look(format!("{BRANCH}.{a}.{b}"));
            for c in 1..=8 {
                look(format!("{BRANCH}.{a}.{b}.{c}"));
            }
        }
    }
    classes
}

fn markdown(statement: &Value) {
    out::line(&format!("# DICOM conformance of Lotse {}\n", out::text(statement, "/version")));
    out::line(&format!(
        "Maximum PDU length {} bytes; associations released or aborted, never left open.\n",
        out::number(statement, "/maximumPduLength")
    ));
    out::line("| SOP class | UID | SCU | SCP |\n| --- | --- | --- | --- |");
    let yes = |class: &Value, role: &str| {
        if class.get(role) == Some(&Value::Bool(true)) { "yes" } else { "no" }
    };
    for class in out::items(statement, "/sopClasses") {
        out::line(&format!(
            "| {} | {} | {} | {} |",
            out::text(class, "/name"),
            out::text(class, "/uid"),
            yes(class, "scu"),
            yes(class, "scp")
        ));
    }
    out::line(
        "\nWorklist queries (PS3.4 K) match and return these attributes by the rules of their VR; others are \
         returned with zero length and status FF01. Start date and time are one interval if both are ranges. \
         Fuzzy matching of names is accepted where it is proposed. Names are compared without case and accents; `*` \
         fits a component that a name does not have, too. A step whose status (0040,0020) is COMPLETED, CANCELED, \
         CANCELLED or DISCONTINUED is a match only if the query has a value for that status. \
         The answer is in the query's character set; without one in the smallest of ASCII, ISO_IR 100 and \
         ISO_IR 192; what that can't hold is written as `?`. Above worklist.answer-limit the query ends with A700.\n\n\
         As user of a worklist Lotse asks by accession number, patient ID, and a range of days with modality and \
         station, never by name. Where a source has `times = \"adjusted\"`, timezone query adjustment is proposed \
         (PS3.4 K.5, service class application information 01 01 00 01) and used if the peer agrees; else nothing \
         is negotiated. An answer above worklist.limit is cancelled (C-CANCEL) and counts as incomplete.\n",
    );
    out::line("| Worklist attribute | Tag | VR | In the step |\n| --- | --- | --- | --- |");
    for key in out::items(statement, "/worklistKeys") {
        out::line(&format!(
            "| {} | {} | {} | {} |",
            out::text(key, "/name"),
            out::text(key, "/tag"),
            out::text(key, "/vr"),
            yes(key, "inStep")
        ));
    }
    out::line(
        "\nQueries of held studies (PS3.4 C) are hierarchical and matched by the same rules; only studies that were \
         decided are seen, as they would be delivered. A C-MOVE goes to configured peers only (else A801). Within a \
         C-GET, as SCU and as SCP, storage classes are negotiated by role selection.",
    );
    out::line(&format!(
        "\nStorage commitment (PS3.4 J), as user: a request (N-ACTION) names at most {} instances under a Transaction \
         UID of its own that is never used again. The association is kept {} s for a report; reports on associations \
         of the peer are taken by any listener under our AE title, with or without role selection, and always \
         answered: 0000, or 0110 for a transaction that is not known. Without a report after {} h \
         (commitment-timeout) it is asked again, {} times in all; then a person is. A request that is refused with 0110, \
         0111, 0131, 0213 or A7xx is asked again, one refused otherwise is not. Failure reasons 0213 and 0131 are \
         asked again, 0122 and 0119 go to a person, all others are sent again, {} times at most. The copy is deleted \
         {}. As provider: committed {}; the report comes on the association of the request if everything is known, \
         else on one to the peer's configured address, with role selection (SCP). Failure reasons: 0112 for what is \
         not held, 0110 for what was rejected or cancelled.",
        out::number(statement, "/storageCommitment/instancesPerRequest"),
        out::number(statement, "/storageCommitment/associationKeptForReportSeconds"),
        out::number(statement, "/storageCommitment/waitForReportHours"),
        out::number(statement, "/storageCommitment/requestsWithoutReport"),
        out::number(statement, "/storageCommitment/timesSentAgain"),
        out::text(statement, "/storageCommitment/copyDeleted"),
        out::text(statement, "/storageCommitment/committedAsProvider"),
    ));
    let list = |pointer: &str| {
        let all = out::items(statement, pointer).iter().filter_map(Value::as_str);
        all.collect::<Vec<_>>().join(", ")
    };
    out::line(&format!(
        "\nSecurity: {}, as requestor and acceptor: {} with {}. User identity (PS3.7 D.3.3.7) as requestor: {}; as \
         acceptor: {}. Callers are known by AE title and address, and as configured by certificate and user. By \
         default {} associations at once. Storage classes that the dictionary lacks, and the order in which transfer \
         syntaxes are preferred, are configured.",
        statement.pointer("/tls/profile").and_then(Value::as_str).unwrap_or_default(),
        list("/tls/versions"),
        list("/tls/cipherSuites"),
        list("/userIdentity/scu"),
        list("/userIdentity/scp"),
        out::number(statement, "/associations"),
    ));
    out::line(
        "\nObjects leave in the transfer syntax they came in, else with their header rewritten, else, where the \
         destination accepts no other presentation context, decoded. Decoded images have Planar Configuration 0; \
         YBR_FULL and YBR_FULL_422 of JPEG and YBR_RCT and YBR_ICT of JPEG 2000 become RGB; Lossy Image Compression \
         and its ratio and method stay. What came in Implicit VR and leaves in Explicit VR has (0028,0106) to \
         (0028,0109), (0028,0120) and (0028,0121) as SS where Pixel Representation (0028,0103) is 1. \
         Above 128 presentation contexts a study goes over several associations.\n",
    );
    out::line("| Transfer syntax for storage | UID | Decoded |\n| --- | --- | --- |");
    for syntax in out::items(statement, "/transferSyntaxes") {
        out::line(&format!(
            "| {} | {} | {} |",
            out::text(syntax, "/name"),
            out::text(syntax, "/uid"),
            yes(syntax, "decoded")
        ));
    }
    out::line(
        "\nSTOW-RS (PS3.18 10.5) as user agent: `multipart/related; type=\"application/dicom\"`, at most 50 \
         instances a request, answers as DICOM JSON or Native DICOM Model. Media (PS3.10) as file-set creator and \
         updater: a folder with DICOMDIR, Explicit VR Little Endian; keys of type 1 that an object lacks are made up \
         in its record.",
    );
}
