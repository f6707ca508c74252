//! Asks a master patient index who somebody is: the patient demographics query QBP^Q22 and its answer RSP^K22
//! (IHE ITI TF-2 3.21).
//!
//! For a patient without an order. Invariants: what is found is filtered here again; an answer that is not whole is
//! told to be so; nothing found is logged.

use std::time::Duration;

use jiff::Zoned;
use serde::Deserialize;

use crate::clock;
use crate::dicom::{BirthDate, Patient, PersonName};
use crate::hl7::{self, Line, Message, Patience, Remote, Verdict, acknowledged};
use crate::tls;

use super::hl7::{Rules, patient_of};

/// Patients that a person can look through.
const LIMIT: usize = 25;

/// `[worklist.pdq]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PdqSection {
    /// Host and port of the patient index.
    pub address: String,
    /// Its application and facility (MSH-5, MSH-6).
    #[serde(default)]
    pub application: String,
    #[serde(default)]
    pub facility: String,
    /// Our application (MSH-3).
    #[serde(default = "ours")]
    pub sending_application: String,
    /// The assigning authority of local patient IDs: only numbers of it are asked for and taken.
    #[serde(default)]
    pub authority: Option<String>,
    /// How long the answer may take.
    #[serde(default = "patience", deserialize_with = "clock::duration")]
    pub timeout: Duration,
    /// Plain without.
    #[serde(default)]
    pub tls: Option<tls::ClientSection>,
}

fn ours() -> String {
    "LOTSE".to_owned()
}

/// A person waits in front of the screen.
fn patience() -> Duration {
    Duration::from_secs(10)
}

impl PdqSection {
    /// Every fault, as a sentence that names its key.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let port = self.address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            faults.push("worklist.pdq.address is host and port, such as 192.0.2.9:3601".to_owned());
        }
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(120) {
            faults.push("worklist.pdq.timeout is longer than nothing and at most 2m".to_owned());
        }
        if let Some(Err(error)) = self.tls.as_ref().map(tls::ClientSection::check) {
            faults.push(format!("worklist.pdq.tls: {error}"));
        }
        faults
    }

    /// How it is called by TLS, if it is.
    pub fn dialer(&self) -> Option<tls::Dialer> {
        self.tls.clone().map(tls::Dialer::new)
    }
}

/// The index as it is asked until the next reload: what its files held stays.
#[derive(Clone, Debug)]
pub struct PatientIndex {
    section: PdqSection,
    tls: Option<tls::Dialer>,
}

impl PatientIndex {
    pub fn new(section: PdqSection) -> Self {
        Self { tls: section.dialer(), section }
    }
}

/// Who is looked for: an ID, or a name and what else is known.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub patient_id: Option<String>,
    pub name: Option<PersonName>,
    pub birth_date: Option<BirthDate>,
}

/// What the index told.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub patients: Vec<Patient>,
    /// There are more than it told, or some that could not be read.
    pub is_cut: bool,
}

crate::dicom::redacted!(Wanted, Found);

/// Why nobody can be asked. No text of the answer is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the patient index: {0}")]
    Wire(#[from] hl7::Error),
    #[error("the patient index gave an answer that cannot be read ({0}); look at its log")]
    Unreadable(hl7::Fault),
    #[error("the patient index answered another question; look at its log")]
    OtherAnswer,
    #[error(
        "the patient index refused the question ({0}); compare its configuration with worklist.pdq"
    )]
    Refused(&'static str),
    #[error("name a patient ID, or a family name; a birth date alone finds too many")]
    TooLittle,
}

/// Asks the index. `now` is written into the question.
///
/// # Errors
/// If it cannot be asked or understood. Nobody found is no error.
pub async fn ask(index: &PatientIndex, wanted: &Wanted, now: &Zoned) -> Result<Found, Error> {
    let PatientIndex { section, tls } = index;
    let family = wanted.name.as_ref().map(PersonName::family).unwrap_or("");
    if wanted.patient_id.is_none() && family.is_empty() {
        return Err(Error::TooLittle);
    }
    let control_id = hl7::control_id();
    let question = question(section, wanted, now, &control_id);
    let patience = Patience { idle: section.timeout, frame: section.timeout };
    let address = section.address.clone();
    let remote = Remote { address, connect: section.timeout, patience, tls: tls.clone() };
    let answer = hl7::ask(&remote, question.as_bytes()).await?;
    let answer = Message::parse_answer(&answer).map_err(Error::Unreadable)?;
    read(section, wanted, &control_id, &answer)
}

fn question(section: &PdqSection, wanted: &Wanted, now: &Zoned, control_id: &str) -> String {
    let at = now.strftime("%Y%m%d%H%M%S%z").to_string();
    let birth_date = wanted.birth_date.map(BirthDate::to_dicom).unwrap_or_default();
    let name = wanted.name.as_ref();
    let mut keys = Vec::new();
    let mut key = |field: &'static str, value: &str| {
        if !value.is_empty() {
            keys.push((field, value.to_owned()));
        }
    };
    key("@PID.3.1", wanted.patient_id.as_deref().unwrap_or(""));
    if let Some(authority) = section.authority.as_deref().filter(|_| wanted.patient_id.is_some()) {
        let is_oid = authority.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        key(if is_oid { "@PID.3.4.2" } else { "@PID.3.4.1" }, authority);
    }
    key("@PID.5.1", name.map(PersonName::family).unwrap_or(""));
    key("@PID.5.2", name.map(PersonName::given).unwrap_or(""));
    key("@PID.7", &birth_date);
    let keys: Vec<Vec<&str>> =
        keys.iter().map(|(field, value)| vec![*field, value.as_str()]).collect();
    let mut text = hl7::header(
        (&section.sending_application, ""),
        (&section.application, &section.facility),
        &at,
        &["QBP", "Q22", "QBP_Q21"],
        control_id,
        "P",
        "2.5",
    );
    let domain = section.authority.as_deref().unwrap_or("");
    let query = Line::new("QPD").text("IHE PDQ Query").text(control_id).repeated(&keys).skip(4);
    text.push_str(&query.parts(&["", "", "", domain]).end());
    text.push_str(&Line::new("RCP").text("I").parts(&[&LIMIT.to_string(), "RD"]).end());
    text
}

fn read(
    section: &PdqSection,
    wanted: &Wanted,
    control_id: &str,
    answer: &Message,
) -> Result<Found, Error> {
    let ack = acknowledged(answer).ok_or(Error::OtherAnswer)?;
    if ack.control_id != control_id {
        return Err(Error::OtherAnswer);
    }
    match ack.verdict {
        Verdict::Accept => {}
        Verdict::Error => return Err(Error::Refused("AE")),
        Verdict::Reject => return Err(Error::Refused("AR")),
    }
    if answer.kind().0 != "RSP" {
        return Err(Error::OtherAnswer);
    }
    let status = answer.segment("QAK").and_then(|qak| qak.field(2).text(1)).unwrap_or_default();
    if matches!(status.as_str(), "AE" | "AR") {
        return Err(Error::Refused("query status"));
    }
    let rules = Rules { authority: section.authority.clone(), ..Rules::default() };
    let more = answer.segment("DSC").is_some_and(|dsc| dsc.field(1).text(1).is_some());
    let mut found = Found { patients: Vec::new(), is_cut: more };
    for pid in answer.segments().filter(|segment| segment.name() == "PID") {
        match patient_of(pid, &rules) {
            Ok(patient) if fits(&patient, wanted) && found.patients.len() < LIMIT => {
                if !found.patients.contains(&patient) {
                    found.patients.push(patient);
                }
            }
            Ok(patient) => found.is_cut |= fits(&patient, wanted),
            // Without a local number nothing can be filed under it, but it is somebody.
            Err(_) => found.is_cut = true,
        }
    }
    Ok(found)
}

/// An index may ignore what it does not support; an ID and a birth date are exact.
fn fits(patient: &Patient, wanted: &Wanted) -> bool {
    let id = patient.id.as_ref().map(|id| id.id.as_str());
    let same_id = wanted.patient_id.as_deref().is_none_or(|asked| id == Some(asked));
    let same_day = match (wanted.birth_date, patient.birth_date) {
        (Some(asked), Some(found)) => asked == found,
        _ => true,
    };
    same_id && same_day
}

#[cfg(test)]
mod tests;
