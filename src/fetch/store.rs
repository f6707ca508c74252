//! One body into the spool, judged by its content on the way, and gone on with when it is cut.
//!
//! Invariant: a blob holds the bytes of one version of one file, in order; what cannot be proven to be the rest
//! of it is never appended.

use std::time::Duration;

use super::content::{self, Content, Tail};
use super::{Error, Halt, Observer, name};
use crate::import::File;
use crate::spool;
use crate::spool::{AsyncPack, ImportSpool};
use crate::web::{self, Answer, Validator};

/// Attempts to go on with a cut body that bring next to nothing.
const MAX_RESUMES: u32 = 6;

/// So many bytes are progress.
const PROGRESS: u64 = 1 << 20;

/// The first wait before going on, doubled each time up to sixteenfold. Unit tests have less patience.
const FIRST_WAIT: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1000 });

/// A file that is here.
pub(super) struct Stored {
    pub(super) file: File,
    /// Entries if it is a ZIP that tells, else 1.
    pub(super) entries: Option<u64>,
}

/// Who can be asked for the rest of a body.
pub(super) trait Source {
    /// What comes from byte `from` on, whatever its status is.
    async fn rest(&mut self, from: u64, validator: &Validator) -> Result<Answer, Halt>;
}

/// A new pack of the import.
pub(super) async fn pack(spool: &ImportSpool) -> Result<AsyncPack, Error> {
    let spool = spool.clone();
    let pack = tokio::task::spawn_blocking(move || spool.pack().map(spool::Pack::into_async)).await;
    Ok(pack.map_err(|_| Error::Cancelled)??)
}

/// Writes the body as one blob. What is no file of an examination, or ends in the middle for good, is given up
/// again.
pub(super) async fn file(
    mut answer: Answer,
    source: &mut impl Source,
    pack: &mut AsyncPack,
    description: Option<&str>,
    observer: &dyn Observer,
) -> Result<Stored, Halt> {
    let host = answer.host().to_owned();
    let content = content::judge(answer.peek(content::HEAD).await.map_err(too_large)?);
    match content {
        Content::Page => return Err(Error::Page { host }.into()),
        Content::Json => {
            return Err(Error::Answer { host, what: "JSON instead of a file" }.into());
        }
        Content::Empty => return Err(Error::Cut { host }.into()),
        Content::Zip | Content::Dicom | Content::Pdf | Content::Image | Content::Other => {}
    }
    let name = name::display(answer.header("content-disposition").as_deref(), description, content);
    pack.begin();
    let mut tail = Tail::new();
    match Box::pin(stream(answer, source, pack, &mut tail, content, observer)).await {
        Ok(()) => {
            let entries = if content == Content::Zip { tail.entries() } else { Some(1) };
            Ok(Stored { file: File { name, blob: pack.finish().await? }, entries })
        }
        Err(halt) => {
            pack.abandon().await?;
            Err(halt)
        }
    }
}

/// Whether a success is a sentence for people, such as that a study is not in the archive: what is labelled as
/// text, or is nothing else and short. A clinical document is one of XML, and no sentence.
pub(super) async fn is_sentence(answer: &mut Answer) -> Result<bool, Error> {
    /// Error pages and sentences are shorter.
    const LONGEST: usize = 4 << 10;
    let label = answer.header("content-type").unwrap_or_default().trim().to_ascii_lowercase();
    let head = answer.peek(LONGEST.saturating_add(1)).await.map_err(too_large)?;
    if content::judge(head.get(..content::HEAD).unwrap_or(head)) != Content::Other {
        return Ok(false);
    }
    let text = String::from_utf8_lossy(head);
    let is_text = !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    let is_short = head.len() <= LONGEST;
    Ok(is_text && (is_short || label.starts_with("text/")) && !text.contains("ClinicalDocument"))
}

async fn stream(
    mut answer: Answer,
    source: &mut impl Source,
    pack: &mut AsyncPack,
    tail: &mut Tail,
    content: Content,
    observer: &dyn Observer,
) -> Result<(), Halt> {
    let host = answer.host().to_owned();
    let (validator, mut whole) = (answer.validator(), answer.content_length());
    let (mut tries, mut mark) = (0, 0);
    loop {
        let ended = drain(&mut answer, pack, tail, observer).await;
        let cut = match ended {
            Ok(()) if whole.is_none_or(|whole| whole == tail.length()) => break,
            Ok(()) => Error::Cut { host: host.clone() },
            Err(Error::Web(error)) if error.is_passing() => Error::Web(error),
            Err(other) => return Err(other.into()),
        };
        let Some(validator) = &validator else { return Err(cut.into()) };
        if tail.length() >= PROGRESS.saturating_add(mark) {
            (tries, mark) = (0, tail.length());
        }
        answer = rest(source, tail.length(), validator, &mut tries, cut).await?;
        let rest = answer.rest().filter(|(from, told)| {
            *from == tail.length() && (told.is_none() || whole.is_none() || *told == whole)
        });
        let Some((_, told)) = rest.filter(|_| !answer.contradicts(validator)) else {
            // The file has changed, or the portal thought better of it: the next attempt begins anew.
            return Err(Error::Cut { host }.into());
        };
        // A portal that told no length at first is held to the one that it tells now.
        whole = whole.or(told);
        tracing::debug!(host, "a download that was cut goes on");
    }
    if content == Content::Zip && !tail.ends_zip() {
        return Err(Error::Cut { host }.into());
    }
    Ok(())
}

/// Asks for the rest until somebody answers, with growing waits; gives up with `cut`.
async fn rest(
    source: &mut impl Source,
    from: u64,
    validator: &Validator,
    tries: &mut u32,
    cut: Error,
) -> Result<Answer, Halt> {
    while *tries < MAX_RESUMES {
        tokio::time::sleep(FIRST_WAIT.saturating_mul(1 << (*tries).min(4))).await;
        *tries = tries.saturating_add(1);
        match source.rest(from, validator).await {
            Err(Halt::Fault(Error::Web(error))) if error.is_passing() => {}
            other => return other,
        }
    }
    Err(cut.into())
}

/// Takes what comes until it ends, well or not.
async fn drain(
    answer: &mut Answer,
    pack: &mut AsyncPack,
    tail: &mut Tail,
    observer: &dyn Observer,
) -> Result<(), Error> {
    while let Some(piece) = answer.chunk().await.map_err(too_large)? {
        tail.push(&piece);
        observer.received(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        pack.write(piece).await?;
    }
    Ok(())
}

/// The limit on the body is ours to raise, so it is named as the config key.
pub(super) fn too_large(error: web::Error) -> Error {
    match error {
        web::Error::TooLarge { .. } => Error::TooLarge,
        other => Error::Web(other),
    }
}

#[cfg(test)]
mod tests;
