//! DICOMweb as a source: QIDO-RS finds studies and tells what they hold, WADO-RS hands them over (PS3.18 10).
//!
//! Owns both exchanges. Invariants: every object is streamed to the spool and read to its end; what QIDO-RS lists
//! and WADO-RS does not hand over is a fault, never a smaller study; an answer to a query that does not match
//! what was asked is not believed. Credentials go to the origin of the service only.

mod qido;

use url::Url;

use super::locate;
use super::multipart::{Multipart, Step};
use super::source::{Asked, Durable, Kept, MOST_INSTANCES, Sink, SourceError};
use super::{Error, content, store};
use crate::dicom::Uid;
use crate::web::{self, Answer, Bearer, Limits};

pub(super) use qido::studies;

/// What PS3.18 8.7.3 calls "as it is stored": pixels come as they are.
const ANY_SYNTAX: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";

/// For servers that do not know the parameter.
const DEFAULT_SYNTAX: &str = "multipart/related; type=\"application/dicom\"";

/// What was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retrieved {
    /// Instances of the study, each counted once.
    pub instances: u64,
    /// As QIDO-RS counts them; `None` if the service does not answer queries, which leaves the status and the
    /// final boundary as the signs of completeness.
    pub told: Option<u64>,
}

/// A service, and with what we are let in.
#[derive(Clone)]
pub struct Service {
    pub client: web::Client,
    /// Before `/studies`.
    pub base: Url,
    pub auth: Option<Bearer>,
}

impl Service {
    async fn get(&self, url: Url, accept: &'static str, limits: Limits) -> Result<Answer, Error> {
        let mut request = self.client.get(url).header("accept", accept);
        if let Some(auth) = &self.auth {
            request = request.bearer(auth);
        }
        Ok(request.limits(limits).send().await?)
    }
}

/// Fetches one study of the service into `sink`, and holds it against what QIDO-RS lists.
///
/// # Errors
/// [`SourceError::Incomplete`] if something is missing; what is in the sink stays there, and is not to be used.
pub async fn retrieve(
    service: &Service,
    study: &Uid,
    sink: &mut Sink<'_>,
) -> Result<Retrieved, Error> {
    let listed = qido::instances(service, study, sink.section).await?;
    let before = sink.count();
    let url = locate::call(&service.base, &["studies", study.as_str()]);
    let limits = sink.section.long(sink.room());
    let mut answer = service.get(url.clone(), ANY_SYNTAX, limits).await?;
    if matches!(answer.status(), 400 | 406 | 415) {
        answer = service.get(url, DEFAULT_SYNTAX, limits).await?;
    }
    let name = answer.host().to_owned();
    let unreadable = match answer.status() {
        200 | 206 => body(&mut answer, study, sink).await?,
        401 | 403 => {
            return Err(SourceError::Denied { name, status: answer.status() }.into());
        }
        404 | 410 => return Err(SourceError::NoStudy { name }.into()),
        status @ (429 | 500..=599) => return Err(Error::Unavailable { host: name, status }),
        status => return Err(Error::Refused { host: name, status }),
    };
    let instances = sink.count().saturating_sub(before);
    let told = match &listed {
        Some(listed) => Some(listed.count()),
        // Without a list only the answer itself can tell that something is missing.
        None if answer.status() == 206 || unreadable > 0 => {
            Some(instances.saturating_add(unreadable.max(1)))
        }
        None => None,
    };
    let missing = match &listed {
        Some(qido::Listed::Instances(uids)) => uids.iter().any(|uid| !sink.has(uid)),
        Some(qido::Listed::Count(count)) => instances < *count,
        None => told.is_some(),
    };
    if missing || instances == 0 {
        let told = told.unwrap_or(1).max(1);
        let got = told.min(instances);
        return Err(SourceError::Incomplete { name, got, told }.into());
    }
    Ok(Retrieved { instances, told })
}

/// The parts of an answer, or the one object that it is. Gives how many of them cannot be read.
async fn body(answer: &mut Answer, study: &Uid, sink: &mut Sink<'_>) -> Result<u64, Error> {
    let name = answer.host().to_owned();
    let asked = Asked { study, instance: None };
    let kind = answer.header("content-type").unwrap_or_default();
    if kind.trim().to_ascii_lowercase().starts_with("application/dicom;")
        || kind.trim().eq_ignore_ascii_case("application/dicom")
    {
        sink.begin().await?;
        while let Some(piece) = answer.chunk().await.map_err(store::too_large)? {
            sink.write(piece).await?;
        }
        let kept = sink.keep(asked, Durable::AtTheEnd).await?;
        return Ok(u64::from(kept == Kept::Unreadable));
    }
    if content::judge(answer.peek(content::HEAD).await?) == content::Content::Page {
        return Err(Error::Page { host: name });
    }
    let fault = |fault| SourceError::Multipart { name: name.clone(), fault };
    let mut parts = Multipart::new(&kind, MOST_INSTANCES).map_err(fault)?;
    let mut unreadable = 0_u64;
    loop {
        match parts.step().map_err(fault)? {
            Step::Part(_) => sink.begin().await?,
            Step::Bytes(bytes) => sink.write(bytes).await?,
            Step::PartEnds => {
                if sink.keep(asked, Durable::AtTheEnd).await? == Kept::Unreadable {
                    unreadable = unreadable.saturating_add(1);
                }
            }
            Step::Ends => break,
            Step::More => match answer.chunk().await.map_err(store::too_large)? {
                Some(piece) => parts.push(&piece),
                None => {
                    parts.end().map_err(fault)?;
                    break;
                }
            },
        }
    }
    if unreadable > 0 {
        tracing::warn!(count = unreadable, "parts of a DICOMweb answer are no objects");
    }
    Ok(unreadable)
}

#[cfg(test)]
mod tests;
