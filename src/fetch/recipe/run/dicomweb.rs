//! DICOMweb as a step: studies and instances by QIDO-RS, objects by WADO-RS (PS3.18 10.4, 10.6).
//!
//! The instances that the service lists are the completeness check: a study of which fewer come is fetched
//! again, and never taken as whole, and neither is one of which others come.

use std::collections::BTreeSet;

use url::Url;

use super::files::is_cut;
use super::{DOWNLOADS, Ending, REST, Run};
use crate::dicom::Uid;
use crate::fetch::listing::{self, Entry};
use crate::fetch::multipart::{Multipart, Step as Part};
use crate::fetch::recipe::file::Step;
use crate::fetch::recipe::page::Entry as Item;
use crate::fetch::recipe::template::Template;
use crate::fetch::{Error, Halt, SourceError, locate, store};
use crate::web::{Call, Limits, Load};

/// A list of 30,000 instances with what servers return of each; only the UIDs are kept.
const MOST_LIST: u64 = 32 << 20;

/// Studies behind one link.
const MOST_STUDIES: usize = 200;

/// Instances of one study.
const MOST_INSTANCES: usize = 100_000;

/// One more, so that a service that sends more than it lists is told so.
const MOST_PARTS: u64 = MOST_INSTANCES as u64 + 1;

/// Which attribute of a list is wanted.
#[derive(Clone, Copy)]
enum Wanted {
    Studies,
    Instances,
}

impl Wanted {
    fn uid(self, entry: &Entry) -> Option<String> {
        let uid = match self {
            Self::Studies => entry.study(),
            Self::Instances => entry.instance(),
        };
        uid.map(str::to_owned)
    }

    /// One more than there may be, so that it is noticed.
    fn most(self) -> usize {
        match self {
            Self::Studies => MOST_STUDIES.saturating_add(1),
            Self::Instances => MOST_INSTANCES.saturating_add(1),
        }
    }
}

impl Run<'_> {
    pub(super) async fn dicomweb(
        &mut self,
        step: &Step,
        base: &Template,
    ) -> Result<Option<Ending>, Halt> {
        for item in self.entries(step) {
            let base = self.url_of(base, item.as_ref())?;
            for study in self.studies(step, &base, item.as_ref()).await? {
                let mut tries = 0;
                loop {
                    tries += 1;
                    match self.study(step, &base, &study).await {
                        Ok(()) => break,
                        Err(Halt::Fault(error)) if tries < DOWNLOADS && is_cut(&error) => {
                            self.trace.line("cut, begun anew");
                            self.rest(REST).await;
                        }
                        Err(fault) => return Err(fault),
                    }
                }
            }
        }
        Ok(None)
    }

    async fn studies(
        &mut self,
        step: &Step,
        base: &Url,
        item: Option<&Item>,
    ) -> Result<Vec<Uid>, Halt> {
        let found = match &step.study {
            Some(study) => vec![self.plain(study, item)?],
            None => self.list(step, locate::call(base, &["studies"]), Wanted::Studies).await?,
        };
        if found.is_empty() {
            return Err(Error::Nothing { host: self.host() }.into());
        }
        if found.len() > MOST_STUDIES {
            return Err(self.changed("the service lists more studies than a link has").into());
        }
        // A UID goes back into an address: what is none is not asked for.
        let uids = found.iter().map(|uid| Uid::new(uid).ok());
        let uids = uids.collect::<Option<BTreeSet<_>>>();
        let uids = uids.ok_or_else(|| self.changed("a study has no valid UID"))?;
        self.trace.line(&format!("{} studies", uids.len()));
        Ok(uids.into_iter().collect())
    }

    /// One UID of all that QIDO-RS lists.
    async fn list(&mut self, step: &Step, url: Url, wanted: Wanted) -> Result<Vec<String>, Halt> {
        let mut headers = self.headers(step)?;
        headers.push(("accept".to_owned(), "application/dicom+json, application/json".to_owned()));
        let limits = Limits { body: MOST_LIST, ..self.section.short() };
        let mut answer = self.send(Call { url, load: Load::Nothing, headers, limits }).await?;
        if answer.status() == 204 {
            return Ok(vec![]);
        }
        if answer.status() != 200 {
            let page = self.read(answer).await?;
            self.judged(step, &page).await?;
            return Err(self.changed("the service does not list what it has").into());
        }
        let body = answer.bytes(MOST_LIST).await?;
        let listed = listing::entries(&body, wanted.most()).map_err(|fault| match fault {
            listing::Unusable::NoList => self.changed("the service's list cannot be read"),
            listing::Unusable::TooMany => self.changed("the service lists more than a link has"),
        })?;
        let uids = listed.iter().map(|entry| wanted.uid(entry)).collect::<Option<Vec<_>>>();
        Ok(uids.ok_or_else(|| self.changed("an entry of the service's list has no UID"))?)
    }

    async fn study(&mut self, step: &Step, base: &Url, study: &Uid) -> Result<(), Halt> {
        let url = locate::call(base, &["studies", study.as_str(), "instances"]);
        let listed: BTreeSet<String> =
            self.list(step, url, Wanted::Instances).await?.into_iter().collect();
        if listed.is_empty() || listed.len() > MOST_INSTANCES {
            return Err(self.changed("the service lists no usable number of instances").into());
        }
        let mut headers = self.headers(step)?;
        let accept = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
        headers.push(("accept".to_owned(), accept.to_owned()));
        let url = locate::call(base, &["studies", study.as_str()]);
        let limits = self.section.long(self.left());
        let mut answer = self.send(Call { url, load: Load::Nothing, headers, limits }).await?;
        let kind = answer.header("content-type").unwrap_or_default();
        let handed = matches!(answer.status(), 200 | 206);
        let Some(mut parts) = Multipart::new(&kind, MOST_PARTS).ok().filter(|_| handed) else {
            let page = self.read(answer).await?;
            self.judged(step, &page).await?;
            return Err(self.changed("the service does not hand out the study").into());
        };
        self.announce(answer.content_length());
        let before = self.shelf.count();
        let read = loop {
            match parts.step() {
                Ok(Part::Part(_)) => self.shelf.begin().await?,
                Ok(Part::Bytes(piece)) => {
                    self.observer.received(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                    self.shelf.write(piece).await?;
                }
                Ok(Part::PartEnds) => {
                    let number = self.shelf.count().saturating_sub(before).saturating_add(1);
                    self.shelf.finish(&format!("object {number}.dcm")).await?;
                    if number > listed.len() {
                        break Err(self.changed("the service sends more objects than it lists"));
                    }
                }
                Ok(Part::Ends) => break Ok(()),
                Ok(Part::More) => match answer.chunk().await.map_err(store::too_large) {
                    Ok(Some(piece)) => parts.push(&piece),
                    // Without its closing boundary it was cut.
                    Ok(None) => break Err(Error::Cut { host: answer.host().to_owned() }),
                    Err(error) => break Err(error),
                },
                Err(_) => {
                    let host = answer.host().to_owned();
                    break Err(Error::Answer { host, what: "its multipart answer is broken" });
                }
            }
        };
        if read.is_err() {
            self.shelf.abandon().await?;
        }
        let came = self.shelf.count().saturating_sub(before);
        self.trace.line(&format!("{came} of {} instances came", listed.len()));
        let whole = match read {
            Ok(()) if came < listed.len() => Err(Error::Cut { host: self.host() }),
            Ok(()) => self.holds(&listed, before).await,
            Err(fault) => Err(fault),
        };
        if whole.is_err() {
            self.shelf.truncate(before);
        }
        Ok(whole?)
    }

    /// Whether what came is what was listed: one object twice, or one of another study, has the right number too.
    async fn holds(&self, listed: &BTreeSet<String>, before: usize) -> Result<(), Error> {
        let Some(came) = self.shelf.instances(before).await? else { return Ok(()) };
        let is_here = |uid: &&String| Uid::new(uid).is_ok_and(|uid| came.contains(&uid));
        let got = listed.iter().filter(is_here).count();
        if got == listed.len() {
            return Ok(());
        }
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (got, told) = (number(got), number(listed.len()));
        Err(SourceError::Incomplete { name: self.host(), got, told }.into())
    }
}
