//! A DLX session: login, list, choice, downloads (consumer calls of interface version 1; 0.9 and 2 alike).

use bytes::Bytes;
use url::Url;

use super::answers::{self, Prepared};
use super::section::Choose;
use super::wire::{self, Asked, Item, Questions};
use super::{Error, Halt, Pull, Pulled, locate, store};
use crate::dicom::Uid;
use crate::import::{
    self, Chosen, DicomWeb, File, Link, Listing, Offer, Promised, Question, QuestionKind,
};
use crate::spool::AsyncPack;
use crate::web;
use session::{Login, Session, Waits};

mod session;

const LIST_CHANGED: &str = "the portal's list has changed since; choose again";

/// Logs in and downloads everything, or what was chosen. `answered` is the URL that gave the questions.
pub(super) async fn pull(
    client: &web::Client,
    pull: &Pull,
    answered: &Url,
    questions: Questions,
) -> Result<Pulled, Halt> {
    let link = pull.link.url();
    let base = locate::base(client, questions.base.as_deref(), answered, link)?;
    let host = base.host_str().unwrap_or("").to_owned();
    let token = locate::token(answered, link)
        .ok_or(Error::Answer { host: host.clone(), what: "the link holds no token" })?;
    let asked = &questions.questions;
    let body = match answers::prepare(asked, &usable(pull, asked)) {
        Prepared::Ready(body) => Bytes::from(body),
        Prepared::Missing { questions, note } => {
            let note = note.or_else(|| closed(pull));
            return Ok(Pulled::Asked { questions, note });
        }
    };
    let told = |told: Option<String>| {
        let url = answered.join(told?.trim()).ok()?;
        // The token goes there, so it has to be the portal's own.
        (locate::is_own(client, answered, link, &url)).then(|| Link::new(url.as_str()))?
    };
    let (qido_rs, wado_rs) =
        (told(questions.dicomweb.0.clone()), told(questions.dicomweb.1.clone()));
    let dicomweb =
        (qido_rs.is_some() || wado_rs.is_some()).then_some(DicomWeb { qido_rs, wado_rs });
    let login = Login {
        url: locate::call(&base, &["tokentfa", &token]),
        body,
        questions: asked,
        vendor: questions.vendor.as_deref(),
    };
    let one_time = asked.iter().any(|asked| answers::kind(asked) == QuestionKind::Password);
    let mut session = Session::new(client, pull, base, one_time, Some(login));
    session.login().await?;
    let mut work = Work { session, dicomweb };
    match work.download().await {
        Err(Halt::Fault(cause)) if one_time && !matches!(cause, Error::Cancelled) => {
            let error = Error::OneTime { host, cause: Box::new(cause) };
            Ok(again(asked, error.sentence()))
        }
        other => other,
    }
}

/// Goes on with the session that was left open for a person's choice, or while the portal prepared; `None` if it
/// has ended.
pub(super) async fn go_on(
    client: &web::Client,
    pull: &Pull,
    kept: &import::Session,
) -> Result<Option<Pulled>, Halt> {
    let mut session = Session::new(client, pull, kept.base.url().clone(), kept.one_time, None);
    if !session.take_over(&kept.token) {
        return Ok(None);
    }
    let mut work = Work { session, dicomweb: None };
    match work.download().await {
        Err(Halt::Fault(Error::SessionLost { .. })) => Ok(None),
        // Servers say many things of a session that has ended; a login tells whether it is more.
        Err(Halt::Fault(error))
            if !kept.one_time && !work.session.has_files() && !is_ours(&error) =>
        {
            Ok(None)
        }
        Err(Halt::Fault(cause)) if kept.one_time && !matches!(cause, Error::Cancelled) => {
            let host = kept.base.host().to_owned();
            Err(Error::OneTime { host, cause: Box::new(cause) }.into())
        }
        other => other.map(Some),
    }
}

/// Whether a login can do nothing about it.
fn is_ours(error: &Error) -> bool {
    matches!(error, Error::Cancelled | Error::Spool(_) | Error::TooLarge | Error::Deadline { .. })
}

/// The answers that may be posted: not the password that opened the session which has ended since.
fn usable(pull: &Pull, asked: &[Asked]) -> std::collections::BTreeMap<String, String> {
    let mut answers = pull.answers.clone();
    if pull.session.as_ref().is_some_and(|session| session.one_time) {
        let passwords = asked.iter().filter(|asked| answers::kind(asked) == QuestionKind::Password);
        for password in passwords {
            answers.remove(&password.id);
            answers.remove(&password.kind);
        }
    }
    answers
}

fn closed(pull: &Pull) -> Option<String> {
    let lost = pull.session.as_ref().is_some_and(|session| session.one_time);
    lost.then(|| {
        "the session at the portal ended before everything was here; get a new password and enter it"
            .to_owned()
    })
}

/// Asks for what is used up; everything else is known.
fn again(asked: &[Asked], note: String) -> Pulled {
    let is_password = |asked: &&Asked| answers::kind(asked) == QuestionKind::Password;
    let questions: Vec<Question> = asked.iter().filter(is_password).map(answers::shown).collect();
    Pulled::Asked { questions, note: Some(note) }
}

/// What is done in a session.
struct Work<'a> {
    session: Session<'a>,
    dicomweb: Option<DicomWeb>,
}

impl Work<'_> {
    async fn download(&mut self) -> Result<Pulled, Halt> {
        let items = self.list().await?;
        if let Some(listing) = self.choice(&items) {
            let session = self.session.handed_over();
            return Ok(Pulled::Listed { listing: Box::new(listing), session });
        }
        let pull = self.session.pull;
        let wanted: Vec<&Item> = items
            .iter()
            .filter(|item| pull.chosen.as_ref().is_none_or(|chosen| chosen.takes(&item.id)))
            .collect();
        // Everything would be more than was chosen, and there is nothing to choose from.
        if wanted.is_empty() && matches!(pull.chosen, Some(Chosen::Only(_))) {
            return Err(Error::Unlisted { host: self.session.host.clone() }.into());
        }
        let mut pack = store::pack(&pull.spool).await?;
        let mut notes = Vec::new();
        // A session that cannot be renewed may end between two files, so everything comes in one.
        let at_once = self.session.one_time && wanted.len() > 1 && wanted.len() == items.len();
        let mut files = Vec::new();
        if wanted.is_empty() || at_once {
            match self.all(&mut pack, &wanted, &mut notes).await {
                Err(Halt::Fault(Error::Missing { host, .. })) if wanted.is_empty() => {
                    return Err(Error::Nothing { host }.into());
                }
                Err(Halt::Fault(Error::Missing { .. })) => {}
                other => files.push(other?),
            }
        }
        if files.is_empty() {
            files = self.each(&mut pack, &wanted, &mut notes).await?;
        }
        pack.sync().await?;
        if !notes.is_empty() {
            pull.observer.noted(notes);
        }
        let studies: Vec<Promised> = wanted.iter().filter_map(|item| promised(item)).collect();
        pull.observer.promised(studies);
        Ok(Pulled::Done { files, portal: wire::common_patient(&wanted) })
    }

    /// What a person has to be shown first; `None` if it is clear what is wanted.
    fn choice(&self, items: &[Item]) -> Option<Listing> {
        let pull = self.session.pull;
        let note = match &pull.chosen {
            Some(Chosen::All) => return None,
            Some(Chosen::Only(keys)) => {
                let is_there = |key: &String| items.iter().any(|item| item.id == *key);
                if keys.iter().all(is_there) {
                    return None;
                }
                Some(LIST_CHANGED.to_owned())
            }
            None => {
                let asks = match pull.section.choose {
                    Choose::Never => false,
                    Choose::SeveralDates => wire::occasions(items) > 1,
                    Choose::Always => items.len() > 1,
                };
                if !asks {
                    return None;
                }
                None
            }
        };
        if items.is_empty() {
            return None;
        }
        let offers = items.iter().map(offer).collect();
        Some(Listing { offers, dicomweb: self.dicomweb.clone(), note })
    }

    /// The list; empty if the portal has none, which leaves `/downloadall` if nothing was chosen.
    async fn list(&mut self) -> Result<Vec<Item>, Halt> {
        let url = locate::call(&self.session.base, &["list"]);
        let limits = self.session.pull.section.short();
        let mut answer = self.session.get(url, limits, Waits::ComesBack).await?;
        match answer.status() {
            200..=299 => {
                let document = answer.json::<serde_json::Value>().await?;
                let what = "its list has no usable form";
                let host = self.session.host.clone();
                Ok(wire::items(&document).ok_or(Error::Answer { host, what })?)
            }
            404 | 405 | 501 => Ok(Vec::new()),
            status => Err(self.session.status(status).into()),
        }
    }

    async fn all(
        &mut self,
        pack: &mut AsyncPack,
        wanted: &[&Item],
        notes: &mut Vec<String>,
    ) -> Result<File, Halt> {
        let told = wanted.iter().map(|item| item.files).sum::<Option<u64>>();
        let told = told.filter(|_| !wanted.is_empty());
        self.session.pull.observer.downloading(None, told);
        let url = locate::call(&self.session.base, &["downloadall"]);
        let (file, note) = self.session.file(pack, url, None, Announce::LengthOf(told)).await?;
        notes.extend(note);
        Ok(file)
    }

    async fn each(
        &mut self,
        pack: &mut AsyncPack,
        wanted: &[&Item],
        notes: &mut Vec<String>,
    ) -> Result<Vec<File>, Halt> {
        let total =
            wanted.iter().try_fold(0_u64, |sum, item| sum.checked_add(item.files.unwrap_or(1)));
        self.session.pull.observer.downloading(None, total);
        let mut files = Vec::with_capacity(wanted.len());
        for item in wanted {
            let announce = match wanted {
                [only] => Announce::LengthOf(only.files),
                _ => Announce::Files(item.files),
            };
            let url = locate::call(&self.session.base, &["download", &item.id]);
            let (file, note) = self.session.file(pack, url, Some(item), announce).await?;
            notes.extend(note);
            files.push(file);
        }
        Ok(files)
    }
}

/// What is known when a file begins.
#[derive(Clone, Copy)]
enum Announce {
    /// Files in it; its length is not that of the whole.
    Files(Option<u64>),
    /// Files in it; it is everything.
    LengthOf(Option<u64>),
}

impl Announce {
    fn files(self) -> Option<u64> {
        match self {
            Self::Files(files) | Self::LengthOf(files) => files,
        }
    }
}

/// Fewer files than announced are a remark, not a fault: portals count differently.
fn shortfall(name: &str, told: Option<u64>, found: Option<u64>) -> Option<String> {
    let (told, found) = told.zip(found).filter(|(told, found)| found < told)?;
    Some(format!(
        "{name}: the portal announced {told} files, {found} came; ask the sender whether something is missing"
    ))
}

/// The study that an entry of the list promises; a report or a picture promises none.
fn promised(item: &Item) -> Option<Promised> {
    let media_type = item.media_type.as_deref().unwrap_or("").to_ascii_lowercase();
    if ["application/pdf", "image/", "text/"].iter().any(|other| media_type.starts_with(other)) {
        return None;
    }
    let study = Uid::new(item.study_uid.as_deref()?).ok()?;
    let description = item.description.as_deref().map(|text| super::name::clean(text, 200));
    let date = item.date.map(|date| format!("of {date}"));
    let shown = [description.or_else(|| item.modalities.clone()), date].into_iter().flatten();
    let shown = shown.collect::<Vec<_>>().join(" ");
    let shown = if shown.is_empty() { format!("study {study}") } else { shown };
    Some(Promised { study, shown })
}

/// An entry of the list as a person sees it.
pub(super) fn offer(item: &Item) -> Offer {
    Offer {
        key: item.id.clone(),
        description: item.description.as_deref().map(|text| super::name::clean(text, 200)),
        study_uid: item.study_uid.clone(),
        date: item.date,
        modalities: item.modalities.clone(),
        patient: item.patient.clone(),
        accession_number: item.accession_number.clone(),
        media_type: item.media_type.clone(),
        files: item.files,
    }
}
