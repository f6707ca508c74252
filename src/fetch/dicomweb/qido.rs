//! QIDO-RS: which studies there are, and which instances they have (PS3.18 10.6).

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;

use super::super::source::{MOST_INSTANCES, MOST_STUDIES, SourceError};
use super::super::{Error, FetchSection, locate};
use super::Service;
use crate::dicom::Uid;
use crate::import::Selection;
use crate::web::{Answer, Limits};

/// An instance in DICOM JSON has a kilobyte; servers that ignore the page size send all at once.
const LARGEST_LIST: u64 = 64 << 20;

/// Instances asked for at once.
const PAGE: usize = 500;

/// What a service says a study holds.
pub(super) enum Listed {
    Instances(BTreeSet<Uid>),
    /// Number of Study Related Instances (0020,1208), of a service that lists no instances.
    Count(u64),
}

impl Listed {
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Instances(uids) => u64::try_from(uids.len()).unwrap_or(u64::MAX),
            Self::Count(count) => *count,
        }
    }
}

/// The instances of a study; `None` if the service does not answer such queries.
pub(super) async fn instances(
    service: &Service,
    study: &Uid,
    section: &FetchSection,
) -> Result<Option<Listed>, Error> {
    let mut found: BTreeSet<Uid> = BTreeSet::new();
    loop {
        let mut url = locate::call(&service.base, &["studies", study.as_str(), "instances"]);
        url.query_pairs_mut()
            .append_pair("limit", &PAGE.to_string())
            .append_pair("offset", &found.len().to_string());
        let mut answer = ask(service, url, section).await?;
        let Some(list) = list(&mut answer).await? else {
            return count(service, study, section).await;
        };
        let of_page = list.len();
        let before = found.len();
        // A service that ignores the study has to be noticed, not believed.
        let of_study = |entry: &&Value| uid(entry, "0020000D").is_none_or(|uid| uid == *study);
        found.extend(list.iter().filter(of_study).filter_map(|entry| uid(entry, "00080018")));
        if u64::try_from(found.len()).unwrap_or(u64::MAX) > MOST_INSTANCES {
            let (name, limit) = (answer.host().to_owned(), MOST_INSTANCES);
            return Err(SourceError::TooManyInstances { name, limit }.into());
        }
        // The last page; or one that ignores page and offset, and told everything at once.
        if of_page == 0 || found.len() == before || of_page > PAGE {
            if found.is_empty() {
                return count(service, study, section).await;
            }
            return Ok(Some(Listed::Instances(found)));
        }
    }
}

async fn count(
    service: &Service,
    study: &Uid,
    section: &FetchSection,
) -> Result<Option<Listed>, Error> {
    let mut url = locate::call(&service.base, &["studies"]);
    url.query_pairs_mut()
        .append_pair("StudyInstanceUID", study.as_str())
        .append_pair("includefield", "00201208");
    let mut answer = ask(service, url, section).await?;
    let Some(list) = list(&mut answer).await? else {
        return Ok(None);
    };
    let entry = list.iter().find(|entry| uid(entry, "0020000D").as_ref() == Some(study));
    let count = entry.and_then(|entry| text(entry, "00201208")?.parse().ok());
    Ok(count.map(Listed::Count))
}

/// The studies that a selection means.
///
/// # Errors
/// [`SourceError::NoStudy`] if there is none; [`SourceError::TooManyStudies`].
pub(in crate::fetch) async fn studies(
    service: &Service,
    selection: &Selection,
    section: &FetchSection,
) -> Result<Vec<Uid>, Error> {
    if let (Some(study), None, None) =
        (&selection.study_instance_uid, &selection.patient_id, &selection.accession_number)
    {
        return Ok(vec![study.clone()]);
    }
    let mut url = locate::call(&service.base, &["studies"]);
    {
        let mut query = url.query_pairs_mut();
        if let Some(study) = &selection.study_instance_uid {
            query.append_pair("StudyInstanceUID", study.as_str());
        }
        if let Some(id) = &selection.patient_id {
            query.append_pair("PatientID", id);
        }
        if let Some(number) = &selection.accession_number {
            query.append_pair("AccessionNumber", number);
        }
        query.append_pair("limit", &MOST_STUDIES.saturating_add(1).to_string());
    }
    let mut answer = ask(service, url, section).await?;
    let name = answer.host().to_owned();
    let Some(list) = list(&mut answer).await? else {
        return Err(SourceError::NoList { name }.into());
    };
    let mut found: Vec<Uid> = Vec::new();
    for entry in &list {
        if let Some(study) = uid(entry, "0020000D")
            && selection.fits(&study, text(entry, "00100020"), text(entry, "00080050"))
            && !found.contains(&study)
        {
            found.push(study);
        }
    }
    if found.len() > MOST_STUDIES {
        return Err(SourceError::TooManyStudies { name, limit: MOST_STUDIES }.into());
    }
    if found.is_empty() {
        return Err(SourceError::NoStudy { name }.into());
    }
    Ok(found)
}

async fn ask(service: &Service, url: Url, section: &FetchSection) -> Result<Answer, Error> {
    let limits = Limits { body: LARGEST_LIST, ..section.short() };
    service.get(url, "application/dicom+json", limits).await
}

/// The entries of an answer; `None` if the service does not know the query.
async fn list(answer: &mut Answer) -> Result<Option<Vec<Value>>, Error> {
    let name = answer.host().to_owned();
    match answer.status() {
        200 | 206 => {}
        204 => return Ok(Some(Vec::new())),
        401 | 403 => {
            return Err(SourceError::Denied { name, status: answer.status() }.into());
        }
        400 | 404 | 405 | 406 | 410 | 501 => return Ok(None),
        status @ (429 | 500..=599) => return Err(Error::Unavailable { host: name, status }),
        status => return Err(Error::Refused { host: name, status }),
    }
    let body = answer.bytes(LARGEST_LIST).await?;
    if body.is_empty() {
        return Ok(Some(Vec::new()));
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Array(list)) => Ok(Some(list)),
        Ok(_) | Err(_) => Err(SourceError::NoList { name }.into()),
    }
}

/// The first value of an attribute (PS3.18 F.2).
fn text(entry: &Value, tag: &str) -> Option<String> {
    match entry.get(tag)?.get("Value")?.get(0)? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn uid(entry: &Value, tag: &str) -> Option<Uid> {
    Uid::new(&text(entry, tag)?).ok()
}
