//! QIDO-RS: which studies there are, and which instances they have (PS3.18 10.6).

use std::collections::BTreeSet;

use url::Url;

use super::super::listing::{self, Entry, Unusable};
use super::super::source::{MOST_INSTANCES, MOST_STUDIES, SourceError};
use super::super::{Error, FetchSection, locate};
use super::Service;
use crate::dicom::Uid;
use crate::import::Selection;
use crate::web::{Answer, Limits};

/// An instance in DICOM JSON has a kilobyte; servers that ignore the page size send all at once.
const LARGEST_LIST: u64 = 64 << 20;

/// Studies of a service that ignores what it was asked; those that were asked for are among them.
const MOST_LISTED: usize = 20_000;

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
        let too_many = |name: String| {
            Error::from(SourceError::TooManyInstances { name, limit: MOST_INSTANCES })
        };
        let list = match list(&mut answer, most_instances()).await? {
            List::Of(entries) => entries,
            List::Unknown => return count(service, study, section).await,
            List::TooMany => return Err(too_many(answer.host().to_owned())),
        };
        let of_page = list.len();
        let before = found.len();
        // A service that ignores the study has to be noticed, not believed.
        let of_study = |entry: &&Entry| uid(entry.study()).is_none_or(|uid| uid == *study);
        found.extend(list.iter().filter(of_study).filter_map(|entry| uid(entry.instance())));
        if u64::try_from(found.len()).unwrap_or(u64::MAX) > MOST_INSTANCES {
            return Err(too_many(answer.host().to_owned()));
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
    let List::Of(list) = list(&mut answer, MOST_LISTED).await? else {
        return Ok(None);
    };
    let entry = list.iter().find(|entry| uid(entry.study()).as_ref() == Some(study));
    Ok(entry.and_then(Entry::instances).map(Listed::Count))
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
    let too_many = |name| Error::from(SourceError::TooManyStudies { name, limit: MOST_STUDIES });
    let list = match list(&mut answer, MOST_LISTED).await? {
        List::Of(entries) => entries,
        List::Unknown => return Err(SourceError::NoList { name }.into()),
        List::TooMany => return Err(too_many(name)),
    };
    let mut found: Vec<Uid> = Vec::new();
    for entry in &list {
        let text = |told: Option<&str>| told.map(str::to_owned);
        if let Some(study) = uid(entry.study())
            && selection.fits(&study, text(entry.patient_id()), text(entry.accession_number()))
            && !found.contains(&study)
        {
            found.push(study);
        }
    }
    if found.len() > MOST_STUDIES {
        return Err(too_many(name));
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

/// What a service answers to a query.
enum List {
    Of(Vec<Entry>),
    /// It does not know the query.
    Unknown,
    TooMany,
}

async fn list(answer: &mut Answer, most: usize) -> Result<List, Error> {
    let name = answer.host().to_owned();
    match answer.status() {
        200 | 206 => {}
        204 => return Ok(List::Of(Vec::new())),
        401 | 403 => {
            return Err(SourceError::Denied { name, status: answer.status() }.into());
        }
        400 | 404 | 405 | 406 | 410 | 501 => return Ok(List::Unknown),
        status @ (429 | 500..=599) => return Err(Error::Unavailable { host: name, status }),
        status => return Err(Error::Refused { host: name, status }),
    }
    let body = answer.bytes(LARGEST_LIST).await?;
    if body.is_empty() {
        return Ok(List::Of(Vec::new()));
    }
    match listing::entries(&body, most) {
        Ok(list) => Ok(List::Of(list)),
        Err(Unusable::TooMany) => Ok(List::TooMany),
        Err(Unusable::NoList) => Err(SourceError::NoList { name }.into()),
    }
}

/// One more than a study may have, so that it is noticed.
fn most_instances() -> usize {
    usize::try_from(MOST_INSTANCES).unwrap_or(usize::MAX).saturating_add(1)
}

fn uid(told: Option<&str>) -> Option<Uid> {
    Uid::new(told?).ok()
}
